/* SPDX-License-Identifier: MIT */
/* Control messages between device and driver: Virtual I/O Device 1.2, section 5.3.6.2. */
#include "hw/char/virtio-serial.h"

#include <string.h>

#include "util/bswap.h"
#include "util/iov.h"
#include "util/log.h"

enum { DEVICE_READY = 0, DEVICE_ADD = 1, DEVICE_REMOVE = 2, PORT_READY = 3, CONSOLE_PORT = 4, RESIZE = 5, PORT_OPEN = 6, PORT_NAME = 7 };
enum { CONTROL_IN = 2, HEAD = 8, NAME_MAX_BYTES = 256 };

/* ---- to the driver ---- */

static void flush_pending(VirtioSerial *s)
{
    VirtQueue *q = virtio_queue(&s->vd, CONTROL_IN);
    VringElem *e;

    while (s->pending_len && (e = virtio_pop(q))) {
        unsigned len = MIN(lduw_le_p(s->pending), SERIAL_PENDING - 2), all = MIN(len + 2, s->pending_len);
        size_t put = iov_write(e->in, e->nin, 0, s->pending + 2, all - 2);

        s->pending_len -= all;
        memmove(s->pending, s->pending + all, s->pending_len);
        virtio_push(q, e, (uint32_t)put);
    }
    virtio_notify(q);
}

static void tell(VirtioSerial *s, uint32_t nr, uint16_t event, uint16_t value, const char *text)
{
    uint8_t *at = s->pending + s->pending_len;
    size_t extra = text ? MIN(strlen(text), NAME_MAX_BYTES) : 0;

    if (!serial_multiport(s) || !s->driver_ready) {
        return;
    }
    if (s->pending_len + 2 + HEAD + extra > SERIAL_PENDING) {
        log_guest("%s: the driver does not take control messages", s->vd.dev.path);
        return;
    }
    stw_le_p(at, (uint16_t)(HEAD + extra));
    stl_le_p(at + 2, nr);
    stw_le_p(at + 6, event);
    stw_le_p(at + 8, value);
    if (extra) {
        memcpy(at + 10, text, extra);
    }
    s->pending_len += (uint32_t)(2 + HEAD + extra);
    flush_pending(s);
}

void serial_tell_open(SerialPort *p)
{
    tell(p->serial, p->nr, PORT_OPEN, p->host_open, NULL);
}

void serial_tell_added(SerialPort *p, bool added)
{
    tell(p->serial, p->nr, added ? DEVICE_ADD : DEVICE_REMOVE, 1, NULL);
}

void serial_control_in(VirtQueue *q)
{
    flush_pending(virtio_serial(q->vdev));
}

/* ---- from the driver ---- */

static void device_ready(VirtioSerial *s)
{
    s->driver_ready = true;
    for (unsigned i = 0; i < SERIAL_PORTS_MAX; i++) {
        if (s->ports[i]) {
            serial_tell_added(s->ports[i], true);
        }
    }
}

static void port_ready(VirtioSerial *s, SerialPort *p)
{
    if (p->is_console) {
        tell(s, p->nr, CONSOLE_PORT, 1, NULL);
    }
    if (p->name) {
        tell(s, p->nr, PORT_NAME, 1, p->name);
    }
    if (p->host_open) {
        serial_tell_open(p);
    }
}

static void message(VirtioSerial *s, const uint8_t *m)
{
    uint32_t nr = ldl_le_p(m);
    uint16_t event = lduw_le_p(m + 4), value = lduw_le_p(m + 6);
    SerialPort *p = nr < SERIAL_PORTS_MAX ? s->ports[nr] : NULL;

    if (event == DEVICE_READY) {
        if (value) {
            device_ready(s);
        }
    } else if (!p) {
        log_guest("%s: control message %u for port %u, which is not there", s->vd.dev.path, event, nr);
    } else if (event == PORT_READY) {
        if (value) {
            port_ready(s, p);
        }
    } else if (event == PORT_OPEN) {
        MachineEvent ev = { .kind = EVENT_DEVICE, .device = p->dev.path, .name = "VSERPORT_CHANGE" };

        p->guest_open = value;
        machine_event(s->vd.dev.machine, &ev);
        serial_port_room(p);
    } else {
        log_guest("%s: control message %u", s->vd.dev.path, event);
    }
}

static void out_work(VirtQueue *q)
{
    VirtioSerial *s = virtio_serial(q->vdev);
    uint8_t m[HEAD];
    VringElem *e;

    while ((e = virtio_pop(q))) {
        bool whole = iov_read(e->out, e->nout, 0, m, HEAD) == HEAD;

        virtio_push(q, e, 0);
        if (whole) {
            message(s, m);
        }
    }
    virtio_notify(q);
}

void serial_control_out(VirtQueue *q)
{
    virtio_queue_work(q, out_work);
}
