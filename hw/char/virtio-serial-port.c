/* SPDX-License-Identifier: MIT */
/* virtconsole and virtserialport: bytes between a character back end and two queues. */
#include "hw/char/virtio-serial.h"

#include <string.h>

#include "util/iov.h"

enum { ANY_NR = UINT32_MAX, CHUNK = 4096 };

static bool open_for_input(const SerialPort *p)
{
    return virtio_running(&p->serial->vd) && p->guest_open && !p->held_len;
}

/* ---- to the host ---- */

/* Lock held.  What the back end does not take now waits for writable(). */
void serial_port_send(SerialPort *p)
{
    VirtQueue *q = serial_tx(p->serial, p->nr);
    uint8_t buf[CHUNK];

    while (p->tx || (p->tx = virtio_pop(q))) {
        while (p->tx_done < p->tx->out_bytes) {
            size_t n = iov_read(p->tx->out, p->tx->nout, p->tx_done, buf, sizeof(buf));
            size_t took = char_write(&p->front, buf, n);

            p->tx_done += (uint32_t)took;
            if (took < n) {
                virtio_notify(q);
                return;
            }
        }
        virtio_push(q, p->tx, 0);
        p->tx = NULL;
        p->tx_done = 0;
    }
    virtio_notify(q);
}

static void front_writable(void *opaque)
{
    SerialPort *p = opaque;

    device_lock(&p->dev);
    if (virtio_running(&p->serial->vd)) {
        serial_port_send(p);
    }
    device_unlock(&p->dev);
}

/* ---- to the guest ---- */

static size_t front_can_read(void *opaque)
{
    SerialPort *p = opaque;
    uint64_t room = 0;

    device_lock(&p->dev);
    if (open_for_input(p)) {
        room = vring_in_space(&serial_rx(p->serial, p->nr)->ring, CHUNK);
    }
    device_unlock(&p->dev);
    return MIN(room, CHUNK);
}

static void front_read(void *opaque, const uint8_t *buf, size_t len)
{
    input_send(&((SerialPort *)opaque)->input, buf, len);
}

static size_t put(SerialPort *p, const uint8_t *data, size_t len)
{
    VirtQueue *q = serial_rx(p->serial, p->nr);
    size_t done = 0, part;
    VringElem *e;

    while (done < len && (e = virtio_pop(q))) {
        part = iov_write(e->in, e->nin, 0, data + done, len - done);
        virtio_push(q, e, (uint32_t)part);
        done += part;
    }
    virtio_notify(q);
    return done;
}

/* Through the door, lock held.  The driver may have closed the port meanwhile: the rest waits. */
static void arrived(void *opaque, const void *data, size_t len)
{
    SerialPort *p = opaque;
    size_t done = open_for_input(p) ? put(p, data, len) : 0;

    if (done < len) {
        p->held = g_realloc(p->held, p->held_len + len - done);
        memcpy(p->held + p->held_len, (const uint8_t *)data + done, len - done);
        p->held_len += (uint32_t)(len - done);
    }
}

void serial_port_room(SerialPort *p)
{
    if (p->held_len && virtio_running(&p->serial->vd) && p->guest_open) {
        size_t done = put(p, p->held, p->held_len);

        p->held_len -= (uint32_t)done;
        memmove(p->held, p->held + done, p->held_len);
    }
    if (open_for_input(p) && p->front.chr) {
        char_accept(&p->front);
    }
}

static void front_event(void *opaque, CharEvent ev)
{
    SerialPort *p = opaque;

    if (ev != CHAR_OPENED && ev != CHAR_CLOSED) {
        return;
    }
    device_lock(&p->dev);
    if (p->host_open != (ev == CHAR_OPENED)) {
        p->host_open = ev == CHAR_OPENED;
        serial_tell_open(p);
    }
    device_unlock(&p->dev);
}

static const CharOps front_ops = { .can_read = front_can_read, .read = front_read, .event = front_event, .writable = front_writable };

/* ---- life ---- */

/* Port 0 is a console's; others take the first free number from 1 on. */
bool serial_port_plug(SerialPort *p, Error **errp)
{
    VirtioSerial *s = p->serial;
    uint32_t nr = p->nr;

    p->is_console = !strcmp(p->dev.type->name, "virtconsole");
    if (nr == ANY_NR) {
        for (nr = p->is_console ? 0 : 1; nr < s->max_ports && s->ports[nr]; nr++) {
        }
    }
    if (nr >= s->max_ports) {
        return error_set(errp, "virtio-serial-bus: Maximum port number is %u; give the device more with max_ports", s->max_ports - 1);
    }
    if (!nr && !p->is_console) {
        return error_set(errp, "virtio-serial-bus: Port number 0 on virtio-serial devices reserved for virtconsole devices for backward compatibility.");
    }
    if (s->ports[nr]) {
        return error_set(errp, "virtio-serial-bus: A port already exists at id %u", nr);
    }
    p->nr = nr;
    s->ports[nr] = p;
    return true;
}

static bool attach_chardev(SerialPort *p, Error **errp)
{
    Chardev *c;

    if (!p->chardev || !*p->chardev) {
        p->host_open = true;                            /* what goes there is lost, as on a line nobody reads */
        return true;
    }
    c = chardev_find(p->dev.machine->session, p->chardev);
    if (!c) {
        return error_set(errp, "Property '%s.chardev' can't find value '%s'", p->dev.type->name, p->chardev);
    }
    return char_attach(&p->front, c, &front_ops, p, errp);
}

static bool port_realize(Device *dev, Error **errp)
{
    SerialPort *p = (SerialPort *)dev;

    input_port_init(&p->input, device_inputs(dev), INPUT_CHAR, dev->path, arrived, p, dev->mutex);
    return attach_chardev(p, errp) && (serial_tell_added(p, true), true);
}

static void port_unrealize(Device *dev)
{
    SerialPort *p = (SerialPort *)dev;

    char_detach(&p->front);
    if (p->input.inputs) {
        input_port_fini(&p->input);
    }
    serial_tell_added(p, false);
    serial_port_reset(p);
}

void serial_port_reset(SerialPort *p)
{
    if (p->tx) {
        vring_drop(&serial_tx(p->serial, p->nr)->ring, p->tx);
        p->tx = NULL;
    }
    p->tx_done = 0;
    p->guest_open = false;
    g_clear_pointer(&p->held, g_free);
    p->held_len = 0;
}

/* The buffer goes back into the ring; tx_done says where to go on. */
static void port_pre_save(Device *dev)
{
    SerialPort *p = (SerialPort *)dev;

    if (p->tx) {
        vring_unpop(&serial_tx(p->serial, p->nr)->ring, p->tx);
        p->tx = NULL;
    }
}

static const Prop port_props[] = {
    PROP_STR("chardev", SerialPort, chardev, NULL, .help = "ID of a chardev to use as a backend"),
    PROP_STR("name", SerialPort, name, NULL, .help = "name that the guest sees"),
    PROP_U32("nr", SerialPort, nr, ANY_NR, .help = "number of the port"),
    {}
};
static const StateField port_state[] = {
    STATE_BOOL(SerialPort, guest_open, .keep = true), STATE_U32(SerialPort, tx_done, .keep = true), {}
};

#define PORT(ident, n, text) \
    static const DeviceType ident##_type = { \
        .name = n, .desc = text, .category = "Input", .size = sizeof(SerialPort), .bus = "virtio-serial-bus", .user_creatable = true, \
        .hotpluggable = true, .props = port_props, .state = port_state, .pre_save = port_pre_save, \
        .realize = port_realize, .unrealize = port_unrealize }; \
    DEVICE_TYPE(ident##_type)
PORT(virtconsole, "virtconsole", "Console on a virtio-serial device");
PORT(virtserialport, "virtserialport", "Port on a virtio-serial device");
