/* SPDX-License-Identifier: MIT */
/* The console device: queues, configuration, the bus of its ports. */
#include "hw/char/virtio-serial.h"

#include <string.h>

#include "util/bits.h"
#include "util/bswap.h"

enum { F_MULTIPORT = 1, F_EMERG_WRITE = 2, QUEUE_SIZE = 128, CONFIG_SIZE = 12, CONFIG_EMERG = 8 };

static SerialPort *port_of_queue(VirtQueue *q)
{
    VirtioSerial *s = virtio_serial(q->vdev);

    return s->ports[q->index < 2 ? 0 : (q->index - 2) / 2];
}

static void rx_handle(VirtQueue *q)
{
    SerialPort *p = port_of_queue(q);

    if (p) {
        serial_port_room(p);
    }
}

static void tx_drop(VirtQueue *q)
{
    VringElem *e;

    while ((e = virtio_pop(q))) {
        virtio_push(q, e, 0);
    }
    virtio_notify(q);
}

static void tx_handle(VirtQueue *q)
{
    SerialPort *p = port_of_queue(q);

    if (p) {
        serial_port_send(p);
    } else {
        tx_drop(q);                                     /* nobody there: gone */
    }
}

bool serial_multiport(const VirtioSerial *s)
{
    return virtio_has(&s->vd, F_MULTIPORT);
}

static uint64_t serial_features(VirtioDevice *vd)
{
    VirtioSerial *s = virtio_serial(vd);

    return (s->max_ports > 1 ? BIT64(F_MULTIPORT) : 0) | (s->emergency_write ? BIT64(F_EMERG_WRITE) : 0);
}

static void get_config(VirtioDevice *vd, uint8_t *c)
{
    stl_le_p(c + 4, virtio_serial(vd)->max_ports);
}

/* One character, before there are queues. */
static void set_config(VirtioDevice *vd, const uint8_t *c, uint32_t offset, uint32_t len)
{
    VirtioSerial *s = virtio_serial(vd);
    SerialPort *p = s->ports[0];

    (void)len;
    if (offset == CONFIG_EMERG && s->emergency_write && p) {
        char_write(&p->front, c + CONFIG_EMERG, 1);
    }
}

static void serial_reset(VirtioDevice *vd)
{
    VirtioSerial *s = virtio_serial(vd);

    s->driver_ready = false;
    s->pending_len = 0;
    for (unsigned i = 0; i < SERIAL_PORTS_MAX; i++) {
        if (s->ports[i]) {
            serial_port_reset(s->ports[i]);
        }
    }
}

/* Without MULTIPORT the one port is open as long as the driver is. */
static void serial_status(VirtioDevice *vd, uint8_t old)
{
    VirtioSerial *s = virtio_serial(vd);
    SerialPort *p = s->ports[0];

    if (p && !serial_multiport(s) && ((vd->status ^ old) & VIRTIO_DRIVER_OK)) {
        p->guest_open = vd->status & VIRTIO_DRIVER_OK;
        serial_port_room(p);
    }
}

static unsigned serial_vectors(VirtioDevice *vd)
{
    (void)vd;
    return 2;
}

/* ---- the bus ---- */

static bool port_attach(Bus *bus, Device *dev, char **where, Error **errp)
{
    SerialPort *p = (SerialPort *)dev;

    p->serial = (VirtioSerial *)bus->parent;
    dev->mutex = bus->parent->mutex;
    if (!serial_port_plug(p, errp)) {
        return false;
    }
    *where = g_strdup_printf("port%u", p->nr);
    return true;
}

static void port_detach(Bus *bus, Device *dev)
{
    SerialPort *p = (SerialPort *)dev;

    (void)bus;
    p->serial->ports[p->nr] = NULL;
}

const BusType virtio_serial_bus_type = { .name = "virtio-serial-bus", .attach = port_attach, .detach = port_detach };

static bool serial_realize(Device *dev, Error **errp)
{
    VirtioSerial *s = virtio_serial(virtio_device(dev));
    g_autofree char *name = dev->id ? g_strconcat(dev->id, ".0", NULL) : g_strdup_printf("virtio-serial-bus.%u", dev->nr);

    if (!s->max_ports || s->max_ports > SERIAL_PORTS_MAX) {
        return error_set(errp, "max_ports is a number from 1 to %d", SERIAL_PORTS_MAX);
    }
    virtio_setup(&s->vd, CONFIG_SIZE, 2 * s->max_ports + 2);
    virtio_add_queue(&s->vd, QUEUE_SIZE, rx_handle);
    virtio_add_queue(&s->vd, QUEUE_SIZE, tx_handle);
    if (s->max_ports > 1) {
        virtio_add_queue(&s->vd, 32, serial_control_in);
        virtio_add_queue(&s->vd, 32, serial_control_out);
    }
    for (unsigned i = 1; i < s->max_ports; i++) {
        virtio_add_queue(&s->vd, QUEUE_SIZE, rx_handle);
        virtio_add_queue(&s->vd, QUEUE_SIZE, tx_handle);
    }
    bus_init(&s->bus, &virtio_serial_bus_type, dev, name);
    return true;
}

static void serial_unrealize(Device *dev)
{
    bus_fini(&virtio_serial(virtio_device(dev))->bus);
}

static const Prop serial_props[] = {
    PROP_U32("max_ports", VirtioSerial, max_ports, SERIAL_PORTS_MAX, .help = "ports that the driver is told of"),
    PROP_BOOL("emergency-write", VirtioSerial, emergency_write, true, .help = "on/off"),
    {}
};
static const StateField serial_state[] = {
    STATE_BOOL(VirtioSerial, driver_ready, .keep = true),
    STATE_U32(VirtioSerial, pending_len, .keep = true, .max = SERIAL_PENDING),
    STATE_BUF(VirtioSerial, pending, .keep = true),
    {}
};
static const VirtioOps serial_ops = {
    .id = VIRTIO_ID_CONSOLE, .name = "virtio-serial", .pci_class = 0x078000, .pci_legacy_id = 0x1003, .features = serial_features,
    .get_config = get_config, .set_config = set_config, .status = serial_status, .reset = serial_reset, .pci_vectors = serial_vectors,
};

VIRTIO_TYPES(vserial, "virtio-serial", VirtioSerial, .desc = "Console and serial ports", .category = "Input", .props = serial_props,
             .state = serial_state, .ops = &serial_ops, .realize = serial_realize, .unrealize = serial_unrealize);
