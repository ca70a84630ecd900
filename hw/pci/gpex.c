/* SPDX-License-Identifier: MIT */
/*
 * gpex-pcihost: a host bridge that is nothing but ECAM and windows, with a
 * function 1b36:0008 in slot 0.  A board maps dev->mmio[0] (ECAM), adds windows
 * with pci_host_map_mem/io and connects irq[0..3], the pins of the root bus
 * after swizzling: slot d, pin p (A is 0) pulls irq[(d + p) % 4].
 */
#include "hw/pci/pci.h"
#include "hw/pci/pci-priv.h"

#include "util/bits.h"

typedef struct Gpex {
    PciHost host;
    uint64_t ecam_size;
} Gpex;

static const DeviceType gpex_root_type;

static bool gpex_realize(Device *dev, Error **errp)
{
    Gpex *s = (Gpex *)dev;
    Device *root;

    if (!is_pow2(s->ecam_size) || s->ecam_size < 1 << 20 || s->ecam_size > 256 << 20) {
        return error_set(errp, "ecam-size is a power of two from 1M (one bus) to 256M");
    }
    device_add_mmio(dev, "pcie-mmcfg-mmio", s->ecam_size, &pci_ecam_ops, dev);
    pci_host_init(&s->host, "pcie.0", true);
    root = device_new_type(dev->machine, &gpex_root_type, NULL, errp);
    if (!root || !device_realize(root, &s->host.root.bus, NULL, errp)) {
        return false;
    }
    return true;
}

static void gpex_unrealize(Device *dev)
{
    pci_host_fini((PciHost *)dev);
}

static void gpex_finalize(Device *dev)
{
    PciHost *h = (PciHost *)dev;

    g_slist_free_full(g_steal_pointer(&h->windows), g_free);
}

static const StateField gpex_state[] = {
    STATE_ARRAY(PciHost, intx_count, int32_t, .keep = true),
    {}
};
static const Prop gpex_props[] = {
    PROP_SIZE("ecam-size", Gpex, ecam_size, 256 << 20, .help = "bytes of configuration space, 1 MiB for each bus"),
    {}
};

static const DeviceType gpex_type = {
    .name = "gpex-pcihost", .desc = "Generic PCI Express host bridge", .category = "Controller/Bridge/Hub", .size = sizeof(Gpex),
    .props = gpex_props, .irqs = PCI_PINS, .state = gpex_state,
    .realize = gpex_realize, .unrealize = gpex_unrealize, .finalize = gpex_finalize,
};
DEVICE_TYPE(gpex_type);

/* ---- the function in slot 0 ---- */

static bool gpex_root_realize(Device *dev, Error **errp)
{
    PciDevice *d = pci_device(dev);

    (void)errp;
    pci_set_ids(d, &(PciIds){ .vendor = 0x1b36, .device = 0x0008, .class_code = 0x060000, .subvendor = 0x1af4, .subdevice = 0x1100 });
    return true;
}

static const DeviceType gpex_root_type = {
    .name = "gpex-root", .desc = "Generic PCI Express host bridge: function 0", .category = "Controller/Bridge/Hub", .size = sizeof(PciDevice),
    .bus = "PCI", .base = &pci_device_base, .stateless = true, .realize = gpex_root_realize,
};
DEVICE_TYPE(gpex_root_type);
