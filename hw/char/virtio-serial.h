/* SPDX-License-Identifier: MIT */
/*
 * Console device (Virtual I/O Device 1.2, section 5.3) and the ports in it.
 *
 * virtio-serial-device or -pci provides a bus; virtconsole and virtserialport
 * plug into it and share its lock.  Port 0 belongs to the first virtconsole:
 * it works for drivers without MULTIPORT too.
 */
#ifndef HW_CHAR_VIRTIO_SERIAL_H
#define HW_CHAR_VIRTIO_SERIAL_H

#include "chardev/chardev.h"
#include "hw/core/machine.h"
#include "hw/virtio/virtio.h"

enum { SERIAL_PORTS_MAX = 31, SERIAL_PENDING = 4096 };

typedef struct VirtioSerial VirtioSerial;

typedef struct SerialPort {
    Device dev;
    /* properties */
    char *chardev, *name;
    uint32_t nr;
    /* */
    VirtioSerial *serial;
    bool is_console;
    CharFront front;
    InputPort input;
    uint8_t *held;              /* came through the door and found no buffer */
    uint32_t held_len;
    VringElem *tx;              /* not all of it is written yet */
    /* state */
    bool guest_open, host_open;
    uint32_t tx_done;           /* bytes of the oldest buffer that are out */
} SerialPort;

struct VirtioSerial {
    VirtioDevice vd;
    Bus bus;
    uint32_t max_ports;
    bool emergency_write;
    SerialPort *ports[SERIAL_PORTS_MAX];
    /* state */
    bool driver_ready;
    uint32_t pending_len;       /* control messages without a buffer: two bytes of length, then the message */
    uint8_t pending[SERIAL_PENDING];
};

extern const BusType virtio_serial_bus_type;
static inline VirtioSerial *virtio_serial(VirtioDevice *vd)
{
    return (VirtioSerial *)vd;
}

/* Queues of a port: 0 and 1 for port 0, then from 4 on; 2 and 3 are control. */
static inline VirtQueue *serial_rx(VirtioSerial *s, uint32_t nr)
{
    return virtio_queue(&s->vd, nr ? 2 * nr + 2 : 0);
}
static inline VirtQueue *serial_tx(VirtioSerial *s, uint32_t nr)
{
    return virtio_queue(&s->vd, nr ? 2 * nr + 3 : 1);
}

/* ---- control (virtio-serial-ctrl.c); lock held ---- */
bool serial_multiport(const VirtioSerial *s);
void serial_control_in(VirtQueue *q);           /* the driver gave buffers for messages */
void serial_control_out(VirtQueue *q);          /* it sent some */
void serial_tell_open(SerialPort *p);           /* host_open has changed */
void serial_tell_added(SerialPort *p, bool added);

/* ---- ports (virtio-serial-port.c); lock held ---- */
void serial_port_send(SerialPort *p);           /* transmit queue to chardev */
void serial_port_room(SerialPort *p);           /* the receive queue has buffers, or the driver opened the port */
void serial_port_reset(SerialPort *p);
bool serial_port_plug(SerialPort *p, Error **errp);

#endif
