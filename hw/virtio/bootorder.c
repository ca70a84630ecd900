/* SPDX-License-Identifier: MIT */
/* bootindex: devices as firmware finds them (IEEE 1275 paths), in the order in which it shall try them. */
#include "hw/virtio/bootorder.h"

#include "hw/core/machine.h"
#include "hw/virtio/mmio.h"
#include "util/bits.h"

static bool is_virtio(const Device *dev)
{
    return dev->type->base == &virtio_bus_base || dev->type->base == &virtio_pci_base;
}

static const char *pci_node(uint16_t class)
{
    static const struct { uint16_t class; const char *name; } names[] = { { 0x0100, "scsi" }, { 0x0200, "ethernet" }, { 0x0604, "pci-bridge" } };

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (names[i].class == class) {
            return names[i].name;
        }
    }
    return "pci";
}

static void pci_path(const PciDevice *d, GString *out)
{
    if (d->bus->bridge) {
        pci_path(d->bus->bridge, out);
    } else {
        g_string_append(out, "/pci@ffffffffffffffff");          /* the host has no address of its own */
    }
    g_string_append_printf(out, "/%s@%x", pci_node(pci_get16(d, PCI_CLASS_PROG + 1)), d->devfn >> 3);
    if (d->devfn & 7) {
        g_string_append_printf(out, ",%x", d->devfn & 7);
    }
}

static void path(VirtioDevice *vd, GString *out)
{
    if (vd->vpci) {
        pci_path(&vd->pci, out);
    } else {
        g_string_append_printf(out, "/virtio-mmio@%016" PRIx64, vd->dev.bus->parent->mmio[0].offset);
    }
    g_string_append(out, vd->ops->boot_node);
}

static void collect(Device *dev, void *data)
{
    if (is_virtio(dev) && virtio_device(dev)->bootindex >= 0) {
        g_ptr_array_add(data, dev);
    }
}

static gint by_index(gconstpointer a, gconstpointer b)
{
    return virtio_device(*(Device *const *)a)->bootindex - virtio_device(*(Device *const *)b)->bootindex;
}

GString *virtio_bootorder(Machine *m)
{
    g_autoptr(GPtrArray) devs = g_ptr_array_new();
    GString *out = g_string_new(NULL);

    devices_foreach(m, collect, devs);
    g_ptr_array_sort(devs, by_index);
    for (guint i = 0; i < devs->len; i++) {
        g_string_append(out, i ? "\n" : "");
        path(virtio_device(g_ptr_array_index(devs, i)), out);
    }
    if (devs->len) {
        g_string_append_c(out, 0);
    }
    return out;
}

typedef struct Taken { int32_t index; bool found; } Taken;

static void look(Device *dev, void *data)
{
    Taken *t = data;

    t->found |= is_virtio(dev) && virtio_device(dev)->bootindex == t->index;
}

bool virtio_bootindex_check(VirtioDevice *vd, Error **errp)
{
    Taken t = { vd->bootindex, false };

    if (vd->bootindex < -1) {
        return error_set(errp, "bootindex is a number from 0 on");
    }
    if (vd->bootindex >= 0) {
        devices_foreach(vd->dev.machine, look, &t);
    }
    return !t.found || error_set(errp, "The bootindex %d has already been used", vd->bootindex);
}
