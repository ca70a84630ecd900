/* SPDX-License-Identifier: MIT */
/*
 * A guest for virtio devices without a processor: the bench machine, a window
 * of virtio-mmio or a PCI host, and a driver's set-up by the book.
 */
#ifndef TESTS_HW_VIRTIO_GUEST_H
#define TESTS_HW_VIRTIO_GUEST_H

#include "hw/pci/pci.h"
#include "hw/core/machine.h"
#include "hw/virtio/mmio.h"
#include "tests/hw/virtio/drv.h"

typedef enum { GUEST_MMIO_LEGACY, GUEST_MMIO, GUEST_PCI, GUEST_PCI_LEGACY } GuestKind;

typedef struct Guest {
    GuestKind kind;
    Machine *m;
    DrvMem mem;
    Device *transport;          /* the window, or the PCI host */
    VirtioDevice *vd;
    uint64_t common, isr, device, notify, io;       /* of a PCI function */
    unsigned irqs;              /* interrupts heard and acknowledged */
    DrvQueue *queues[8];
    unsigned nqueues;
    uint64_t features;          /* agreed on */
} Guest;

enum { GUEST_ECAM = 0x70000000, GUEST_MEM32 = 0x50000000, GUEST_IO = 0x40000000, GUEST_WINDOW = 0x30000000 };

/* `driver` without "-device" or "-pci"; props: name, value ..., NULL. */
Guest *guest_new(GuestKind kind, Session *s, const char *driver, const char *const *props);
/* The same with another clock than one that stands. */
Guest *guest_new_clock(GuestKind kind, ClockMode clock, Session *s, const char *driver, const char *const *props);
void guest_free(Guest *g);
/* PCI: BARs get their addresses, capabilities are read; done by guest_new(), again after a reset of the machine. */
void guest_assign(Guest *g);
/* Reset, acknowledge, agree on what both want, make queues (0: as long as offered), DRIVER_OK. */
void guest_start(Guest *g, uint64_t want, unsigned nqueues, uint16_t size);
uint8_t guest_status(Guest *g);
void guest_set_status(Guest *g, uint8_t v);
uint64_t guest_offered(Guest *g);
void guest_kick(Guest *g, unsigned queue);
/* Interrupt pending? Reads and acknowledges it as a driver does. */
bool guest_irq(Guest *g);
uint64_t guest_config(Guest *g, unsigned offset, unsigned size);
void guest_config_write(Guest *g, unsigned offset, unsigned size, uint64_t val);
uint64_t guest_rd(Guest *g, uint64_t addr, unsigned size);
void guest_wr(Guest *g, uint64_t addr, unsigned size, uint64_t val);
uint32_t guest_pci_rd(Guest *g, unsigned devfn, unsigned reg, unsigned size);
void guest_pci_wr(Guest *g, unsigned devfn, unsigned reg, unsigned size, uint32_t val);

#endif
