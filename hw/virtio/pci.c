/* SPDX-License-Identifier: MIT */
/*
 * Virtio over PCI (Virtual I/O Device 1.2, section 4.1): modern capabilities in
 * BAR 4, MSI-X in BAR 1, the legacy interface in I/O BAR 0.  On a root bus a
 * device is transitional, behind a root port modern only, unless told otherwise.
 */
#include "hw/virtio/virtio.h"
#include "hw/virtio/pci-priv.h"
#include "hw/virtio/virtio-priv.h"

#include <string.h>

#include "hw/core/machine.h"
#include "util/bits.h"
#include "util/log.h"

/* ---- interrupts ---- */

static void vpci_irq_update(VirtioDevice *vd)
{
    pci_set_intx(&vd->pci, vd->isr && !pci_msix_enabled(&vd->pci));
}

static void message(VirtioDevice *vd, uint16_t vector)
{
    if (!pci_msix_enabled(&vd->pci)) {
        vpci_irq_update(vd);
    } else if (vector != VIRTIO_NO_VECTOR) {
        pci_msix_notify(&vd->pci, vector);
    }
}

static void vpci_notify_queue(VirtioDevice *vd, VirtQueue *q)
{
    message(vd, q->vector);
}

static void vpci_notify_config(VirtioDevice *vd)
{
    message(vd, vd->config_vector);
}

static bool vpci_legacy(VirtioDevice *vd)
{
    return vd->vpci->legacy && !virtio_has(vd, VIRTIO_F_VERSION_1) && !vd->vpci->modern_driver;
}

static const VirtioTransport pci_transport = {
    .name = "virtio-pci", .legacy = vpci_legacy, .notify_queue = vpci_notify_queue, .notify_config = vpci_notify_config,
    .irq_update = vpci_irq_update,
};

uint8_t vpci_isr_read(VirtioDevice *vd)
{
    uint8_t isr = vd->isr;

    vd->isr = 0;
    vpci_irq_update(vd);
    return isr;
}

uint16_t vpci_vector(VirtioDevice *vd, uint64_t val)
{
    return vd->pci.cap_msix && val < vd->pci.msix_vectors ? (uint16_t)val : VIRTIO_NO_VECTOR;
}

/* ---- identity and layout ---- */

/* Vendor 1af4; transitional 1000 and up, subsystem the type; modern 1040 + type, revision 1. */
static void set_ids(VirtioDevice *vd)
{
    bool legacy = vd->vpci->legacy;
    PciIds ids = {
        .vendor = 0x1af4, .device = legacy ? vd->ops->pci_legacy_id : 0x1040 + vd->ops->id,
        .subvendor = 0x1af4, .subdevice = legacy ? vd->ops->id : 0x1100,
        .class_code = vd->vpci->class_code ? vd->vpci->class_code << 8 : vd->ops->pci_class, .revision = !legacy, .pin = 1,
    };

    pci_set_ids(&vd->pci, &ids);
}

static bool choose_interfaces(VirtioDevice *vd, Error **errp)
{
    VirtioPci *v = vd->vpci;
    bool behind_port = pci_is_express_bus(&vd->pci) && !pci_is_root_bus(&vd->pci);

    v->legacy = v->disable_legacy == PROP_AUTO ? !behind_port : v->disable_legacy == PROP_OFF;
    v->legacy = v->legacy && vd->ops->pci_legacy_id;
    v->modern = !v->disable_modern;
    if (!v->legacy && !v->modern) {
        return error_set(errp, "device cannot work as neither modern nor legacy mode is enabled");
    }
    v->express = behind_port && v->modern;
    return true;
}

static bool vpci_realize(Device *dev, Error **errp)
{
    VirtioDevice *vd = virtio_device(dev);

    vd->transport = &pci_transport;
    return virtio_base_realize(dev, errp) && choose_interfaces(vd, errp) && (set_ids(vd), true);
}

static unsigned vector_count(VirtioDevice *vd)
{
    unsigned n = vd->vpci->vectors;

    if (n == UINT32_MAX) {
        n = vd->ops->pci_vectors ? vd->ops->pci_vectors(vd) : vd->nqueues + 1;
    }
    return MIN(n, 2048);
}

static bool offer_features(VirtioDevice *vd, Error **errp)
{
    vd->host_features = vd->prop_features | vd->ops->features(vd);
    if (vd->vpci->modern) {
        vd->host_features |= BIT64(VIRTIO_F_VERSION_1);
    } else if (vd->prop_features & BIT64(VIRTIO_F_RING_PACKED)) {
        return error_set(errp, "packed=on needs the modern interface, which disable-modern=on leaves out");
    } else {
        vd->host_features = (uint32_t)vd->host_features;
    }
    return true;
}

static bool vpci_realize_late(Device *dev, Error **errp)
{
    VirtioDevice *vd = virtio_device(dev);
    unsigned vectors = vector_count(vd);
    VirtioPci *v = vd->vpci;

    if (!offer_features(vd, errp)) {
        return false;
    }
    if (v->express) {
        pci_add_express(&vd->pci, 0x40, PCI_EXP_ENDPOINT);
        pci_add_pm(&vd->pci, 0x7c);
    }
    if (v->modern) {
        vpci_modern_layout(vd);
    }
    if (vectors) {
        pci_add_msix_bar(&vd->pci, 0, vectors, 1);
    }
    if (v->legacy) {
        vpci_legacy_layout(vd);
    }
    pci_config_done(&vd->pci);
    return true;
}

static void vpci_reset_enter(Device *dev)
{
    VirtioDevice *vd = virtio_device(dev);

    virtio_base_reset_enter(dev);
    vd->vpci->modern_driver = false;
}

/* ---- rows ---- */

#define VP(f) offsetof(VirtioDevice, vpci_store.f)
static const Prop vpci_props[] = {
    { .name = "disable-legacy", .type = &prop_onoffauto, .offset = VP(disable_legacy), .def = PROP_AUTO, .help = "leave out the legacy interface" },
    { .name = "disable-modern", .type = &prop_bool, .offset = VP(disable_modern), .def = false, .help = "leave out the modern interface" },
    { .name = "vectors", .type = &prop_u32, .offset = VP(vectors), .def = UINT32_MAX, .help = "MSI-X vectors; 0: none" },
    { .name = "page-per-vq", .type = &prop_bool, .offset = VP(page_per_vq), .def = false, .help = "a page of doorbells for each queue" },
    { .name = "class", .type = &prop_u32, .offset = VP(class_code), .def = 0, .help = "PCI class" },
    {}
};

static const StateField vpci_fields[] = {
    STATE_BOOL(VirtioDevice, vpci_store.modern_driver, .keep = true),
    {}
};
static const StateTable vpci_state = { .name = "virtio-pci", .fields = vpci_fields };

static bool vpci_early(Device *dev, Error **errp)
{
    (void)errp;
    virtio_device(dev)->vpci = &virtio_device(dev)->vpci_store;
    return true;
}

/* PCI below, what all virtio devices have on it, the transport on top. */
static const DeviceBase virtio_over_pci = {
    .name = "virtio", .base = &pci_device_base, .props = virtio_props, .state = &virtio_state, .realize = vpci_early,
    .unrealize = virtio_base_unrealize, .reset_hold = virtio_base_reset_hold,
};
const DeviceBase virtio_pci_base = {
    .name = "virtio-pci", .base = &virtio_over_pci, .props = vpci_props, .state = &vpci_state,
    .realize = vpci_realize, .realize_late = vpci_realize_late, .reset_enter = vpci_reset_enter,
};
