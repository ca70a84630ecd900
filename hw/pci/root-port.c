/* SPDX-License-Identifier: MIT */
/* pcie-root-port (1b36:000c): a bridge with one link, PCI Express Base 3.0 chapters 1.3.1 and 7.8. */
#include "hw/pci/bridge.h"
#include "hw/pci/pci-priv.h"

#include "util/bits.h"

typedef struct RootPort {
    PciBridge br;
    uint8_t port, chassis;
    uint16_t slot;
} RootPort;

static bool root_port_init(Device *dev, Error **errp)
{
    (void)errp;
    pci_bridge_init((PciBridge *)dev);
    return true;
}

static bool root_port_realize(Device *dev, Error **errp)
{
    RootPort *p = (RootPort *)dev;
    PciDevice *d = pci_device(dev);
    uint16_t cap;

    if (!pci_is_express_bus(d) || !pci_is_root_bus(d)) {
        return error_set(errp, "pcie-root-port must be plugged on the root bus of a PCI Express host");
    }
    pci_set_ids(d, &(PciIds){ .vendor = 0x1b36, .device = 0x000c, .class_code = 0x060400, .pin = 1 });
    cap = pci_add_cap(d, PCI_CAP_SSVID, 0x40, 8);
    pci_set16(d, cap + 4, 0x1af4);
    pci_add_msix_bar(d, 0x48, 1, 0);
    pci_add_express(d, 0x54, PCI_EXP_ROOT_PORT);
    pci_set32(d, d->cap_exp + 0x0c, 1 | 1 << 4 | (uint32_t)p->port << 24);
    pci_set32(d, d->cap_exp + 0x14, (uint32_t)p->slot << 19);           /* no hot-plug: the slot's number only */
    pci_add_ext_cap(d, PCI_EXT_AER, 2, 0x100, 0x48);
    pci_add_ext_cap(d, PCI_EXT_ACS, 1, 0x148, 8);
    pci_bridge_setup(&p->br, true);
    return true;
}

static void root_port_unrealize(Device *dev)
{
    pci_bridge_teardown((PciBridge *)dev);
}

/* Presence and link follow what is plugged in (7.8.8, 7.8.11). */
static void root_port_reset_exit(Device *dev)
{
    RootPort *p = (RootPort *)dev;
    PciDevice *d = pci_device(dev);
    bool present = p->br.sec.slots[0] != NULL;

    pci_set16(d, d->cap_exp + 0x1a, present ? 0x40 : 0);
}

static const Prop root_port_props[] = {
    PROP_U8("port", RootPort, port, 0, .help = "link number"),
    PROP_U8("chassis", RootPort, chassis, 0, .help = "chassis of the slot"),
    PROP_U16("slot", RootPort, slot, 0, .max = 0x1fff, .help = "physical slot number"),
    {}
};

static const DeviceType root_port_type = {
    .name = "pcie-root-port", .desc = "PCI Express Root Port", .category = "Controller/Bridge/Hub", .size = sizeof(RootPort),
    .bus = "PCI", .base = &pci_device_base, .props = root_port_props, .user_creatable = true, .stateless = true,
    .init = root_port_init, .realize = root_port_realize, .unrealize = root_port_unrealize, .reset_exit = root_port_reset_exit,
};
DEVICE_TYPE(root_port_type);
