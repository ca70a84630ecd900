/* SPDX-License-Identifier: MIT */
/*
 * Virtio devices: Virtual I/O Device 1.2, chapters 2 and 3, and the legacy
 * interface.
 *
 * One struct, any transport.  A device's struct begins with a VirtioDevice.
 * It is registered twice, by VIRTIO_TYPES(): as NAME-device for a virtio bus
 * (a virtio-mmio window provides one) and as NAME-pci (or just NAME) for a PCI bus; both have
 * the same rows, functions and lock.  DeviceType.ops is a VirtioOps.
 *
 * Realize: the type's realize() calls virtio_setup(), then virtio_add_queue()
 * for each queue; what the transport needs is laid out afterwards.
 *
 * Locks and threads.  Everything here runs with the device's lock held:
 * queue handlers, VirtioOps, register accesses.  A kick runs the queue's
 * handler on the vCPU's thread; with virtio_queue_set_loop() it runs on that
 * event loop instead (block devices, I/O threads).  Completions may come from
 * any thread: take the lock, push, virtio_notify().
 *
 * A driver that lies: virtio_broken() says why in the guest log, sets
 * DEVICE_NEEDS_RESET and stops all queues until the driver resets the device.
 */
#ifndef HW_VIRTIO_VIRTIO_H
#define HW_VIRTIO_VIRTIO_H

#include "hw/core/device.h"
#include "hw/pci/pci.h"
#include "util/vring.h"

typedef struct VirtioDevice VirtioDevice;
typedef struct VirtQueue VirtQueue;
typedef struct VirtioTransport VirtioTransport;
typedef struct Loop Loop;

enum { VIRTIO_QUEUES_MAX = 1024, VIRTIO_NO_VECTOR = 0xffff };

/* Device status, 2.1 */
enum {
    VIRTIO_ACKNOWLEDGE = 1, VIRTIO_DRIVER = 2, VIRTIO_DRIVER_OK = 4, VIRTIO_FEATURES_OK = 8, VIRTIO_NEEDS_RESET = 64, VIRTIO_FAILED = 128,
};

/* Features of every device, chapter 6 (bit numbers) */
enum {
    VIRTIO_F_NOTIFY_ON_EMPTY = 24, VIRTIO_F_ANY_LAYOUT = 27, VIRTIO_F_INDIRECT_DESC = 28, VIRTIO_F_EVENT_IDX = 29, VIRTIO_F_VERSION_1 = 32,
    VIRTIO_F_ACCESS_PLATFORM = 33, VIRTIO_F_RING_PACKED = 34, VIRTIO_F_RING_RESET = 40,
};

enum {
    VIRTIO_ID_NET = 1, VIRTIO_ID_BLOCK = 2, VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_RNG = 4, VIRTIO_ID_BALLOON = 5, VIRTIO_ID_SCSI = 8,
    VIRTIO_ID_9P = 9, VIRTIO_ID_GPU = 16, VIRTIO_ID_INPUT = 18, VIRTIO_ID_VSOCK = 19,
};

typedef void VirtQueueFn(VirtQueue *q);

struct VirtQueue {
    VirtioDevice *vdev;
    uint16_t index;
    uint16_t size_max;          /* as the device offers it */
    uint16_t vector;
    Vring ring;
    VirtQueueFn *handle;        /* the driver kicked, or the queue may have become useful */
    Loop *loop;                 /* NULL: on the thread that kicks */
    bool posted;
    struct VirtQueuePost *post;
    struct VirtQueueWindow *win;    /* ring areas in host memory */
};

/* What a kind of device gives. */
typedef struct VirtioOps {
    uint16_t id;                /* VIRTIO_ID_ */
    const char *name;           /* "virtio-net" */
    uint32_t pci_class;         /* 0x020000 */
    uint16_t pci_legacy_id;     /* 0x1000; 0: no legacy interface */
    const char *boot_node;      /* "/disk@0,0": below the device's own in a boot path; NULL: nothing boots from it */
    /* Device-specific bits that it offers. */
    uint64_t (*features)(VirtioDevice *vd);
    /* Features are agreed on (FEATURES_OK, or a legacy write). False: refused. */
    bool (*features_ok)(VirtioDevice *vd);
    /* Fill cfg[0 .. config_size), zeroed before. */
    void (*get_config)(VirtioDevice *vd, uint8_t *cfg);
    /* The driver wrote [offset, offset + len). */
    void (*set_config)(VirtioDevice *vd, const uint8_t *cfg, uint32_t offset, uint32_t len);
    void (*status)(VirtioDevice *vd, uint8_t old);          /* after a change of the status */
    void (*reset)(VirtioDevice *vd);                        /* drop what is in flight; queues still stand */
    void (*queue_reset)(VirtQueue *q);                      /* likewise for one */
    unsigned (*pci_vectors)(VirtioDevice *vd);              /* default number of MSI-X vectors; NULL: queues + 1 */
} VirtioOps;

struct VirtioTransport {
    const char *name;
    bool (*legacy)(VirtioDevice *vd);                       /* does the driver use the legacy interface? */
    void (*notify_queue)(VirtioDevice *vd, VirtQueue *q);
    void (*notify_config)(VirtioDevice *vd);
    void (*irq_update)(VirtioDevice *vd);                   /* isr has changed */
};

/* Of the PCI transport; part of every device so that rows can reach it. */
typedef struct VirtioPci {
    uint32_t disable_legacy;            /* OnOffAuto */
    bool disable_modern, page_per_vq;
    uint32_t vectors, class_code;
    bool legacy, modern, express;       /* what the device offers */
    uint16_t window_cap;
    bool modern_driver;                 /* the driver uses the modern interface; saved */
    MemRegion bar, parts[4], io;
} VirtioPci;

struct VirtioDevice {
    union {
        Device dev;
        PciDevice pci;          /* on a PCI bus */
    };
    const VirtioOps *ops;
    const VirtioTransport *transport;
    VirtioPci vpci_store, *vpci;    /* vpci: NULL on another transport */
    uint64_t host_features;     /* common bits by property, then all that are offered */
    uint64_t prop_features;
    int32_t bootindex;          /* -1: none */
    uint32_t config_size;
    /* state */
    uint64_t guest_features;
    uint32_t features_sel, guest_features_sel;
    uint16_t queue_sel, config_vector;
    uint8_t status, isr;
    bool broken;
    uint32_t generation;        /* of the configuration space */
    uint32_t legacy_page_size, legacy_align;
    uint32_t nqueues, max_queues;
    VirtQueue *queues;
    Loop *default_loop;         /* of new queues */
};

static inline VirtioDevice *virtio_device(Device *dev)
{
    return (VirtioDevice *)dev;
}

static inline bool virtio_has(const VirtioDevice *vd, unsigned feature)
{
    return vd->guest_features >> feature & 1;
}

/* ---- for devices ---- */
void virtio_setup(VirtioDevice *vd, uint32_t config_size, unsigned max_queues);
VirtQueue *virtio_add_queue(VirtioDevice *vd, uint16_t size, VirtQueueFn *handle);
/* Kicks run on `loop` from now on (NULL: where they happen). Vcpus parked, or in realize. */
void virtio_queue_set_loop(VirtQueue *q, Loop *loop);
static inline VirtQueue *virtio_queue(VirtioDevice *vd, unsigned i)
{
    return &vd->queues[i];
}
static inline bool virtio_running(const VirtioDevice *vd)
{
    return (vd->status & VIRTIO_DRIVER_OK) && !vd->broken;
}
/* Pop and push are vring_pop(&q->ring), vring_push(...); virtio_pop also handles what a lying driver did. */
VringElem *virtio_pop(VirtQueue *q);
void virtio_push(VirtQueue *q, VringElem *e, uint32_t written);
void virtio_notify(VirtQueue *q);
void virtio_config_changed(VirtioDevice *vd);
void virtio_broken(VirtioDevice *vd, const char *why);
/* A queue handler's loop: kicks off, work, kicks on, until nothing came meanwhile.  work() empties the queue. */
void virtio_queue_work(VirtQueue *q, void (*work)(VirtQueue *q));

/* ---- for transports; the lock is held ---- */
void virtio_set_status(VirtioDevice *vd, uint8_t status);
void virtio_reset(VirtioDevice *vd);
bool virtio_set_features(VirtioDevice *vd, uint64_t features);
void virtio_config_read(VirtioDevice *vd, uint32_t offset, unsigned size, uint64_t *val);
void virtio_config_write(VirtioDevice *vd, uint32_t offset, unsigned size, uint64_t val);
void virtio_kick(VirtioDevice *vd, uint32_t index);
void virtio_queue_start(VirtQueue *q);
void virtio_queue_reset(VirtQueue *q);
/* Legacy: all three parts from one address; 0 takes the queue away. */
void virtio_queue_set_legacy(VirtQueue *q, uint64_t addr, uint32_t align);

/* ---- rows ---- */
extern const DeviceBase virtio_bus_base, virtio_pci_base;
extern const BusType virtio_bus_type;       /* "virtio-bus", one device */

/*
 * Both types of a device: VIRTIO_TYPES(rng, "virtio-rng", VirtioRng, .desc = ..., .props = ..., .ops = &rng_ops, ...).
 */
#define VIRTIO_TYPES(ident, n, S, ...) \
    static const DeviceType ident##_bus_type = { \
        .name = n "-device", .size = sizeof(S), .bus = "virtio-bus", .base = &virtio_bus_base, .user_creatable = true, .hotpluggable = true, \
        __VA_ARGS__ }; \
    DEVICE_TYPE(ident##_bus_type); \
    static const char *const ident##_pci_aliases[] = { n, NULL }; \
    static const DeviceType ident##_pci_type = { \
        .name = n "-pci", .aliases = ident##_pci_aliases, .size = sizeof(S), .bus = "PCI", .base = &virtio_pci_base, .user_creatable = true, .hotpluggable = true, \
        __VA_ARGS__ }; \
    DEVICE_TYPE(ident##_pci_type)

#endif
