/* SPDX-License-Identifier: MIT */
/*
 * A disk is reset while it reads (virtio 1.2, section 4.2.2: the modern registers of a memory-mapped device). When the reset is
 * done the driver's memory is its own again: nothing of the read may land in it.  Prints CLEAN or DIRTY and the moment at the end.
 */
#include "tests/guest/bare/bare.h"

enum { STATUS = 0x70, QUEUE_NUM = 0x38, QUEUE_READY = 0x44, NOTIFY = 0x50, FEATURES = 0x20, FEATURES_SEL = 0x24, DESC = 0x80, DRIVER = 0x90, DEVICE = 0xa0 };
enum { SIZE = 16384, FILL = 0x55 };

static struct { uint64_t addr; uint32_t len; uint16_t flags, next; } desc[8] __attribute__((aligned(16)));
static struct { uint16_t flags, idx, ring[8], event; } avail __attribute__((aligned(2)));
static struct { uint16_t flags, idx; struct { uint32_t id, len; } ring[8]; uint16_t event; } used __attribute__((aligned(4)));
static struct { uint32_t type, zero; uint64_t sector; } header;
static volatile uint8_t data[SIZE], answer;

static volatile uint32_t *reg(unsigned offset)
{
    return (volatile uint32_t *)(0x0a003e00ull + offset);           /* the last window: the first -device */
}

static void set_address(unsigned offset, const volatile void *p)
{
    *reg(offset) = (uint32_t)(uintptr_t)p;
    *reg(offset + 4) = (uint32_t)((uintptr_t)p >> 32);
}

static void start(void)
{
    *reg(STATUS) = 0;
    *reg(STATUS) = 1 | 2;
    *reg(FEATURES_SEL) = 1;
    *reg(FEATURES) = 1;                                             /* VERSION_1 */
    *reg(STATUS) = 1 | 2 | 8;
    *reg(QUEUE_NUM) = 8;
    set_address(DESC, desc);
    set_address(DRIVER, &avail);
    set_address(DEVICE, &used);
    *reg(QUEUE_READY) = 1;
    *reg(STATUS) = 1 | 2 | 8 | 4;
}

static void submit_read(void)
{
    desc[0].addr = (uintptr_t)&header;
    desc[0].len = sizeof(header);
    desc[0].flags = 1;
    desc[0].next = 1;
    desc[1].addr = (uintptr_t)data;
    desc[1].len = SIZE;
    desc[1].flags = 1 | 2;
    desc[1].next = 2;
    desc[2].addr = (uintptr_t)&answer;
    desc[2].len = 1;
    desc[2].flags = 2;
    avail.idx = 1;
    asm volatile("dsb sy" : : : "memory");
    *reg(NOTIFY) = 0;
}

static bool untouched(void)
{
    for (unsigned i = 0; i < SIZE; i++) {
        if (data[i] != FILL) {
            return false;
        }
    }
    return true;
}

int main(unsigned cpu)
{
    uint64_t now;

    (void)cpu;
    start();
    submit_read();
    *reg(STATUS) = 0;
    while (*reg(STATUS)) {
    }
    for (unsigned i = 0; i < SIZE; i++) {
        data[i] = FILL;
    }
    for (unsigned i = 0; i < 1000000; i++) {
        asm volatile("nop");
    }
    asm volatile("mrs %0, cntvct_el0" : "=r"(now));
    put_text(untouched() ? "CLEAN " : "DIRTY ");
    put_num(now);
    put_char('\n');
    return 0;
}
