/* SPDX-License-Identifier: MIT */
/* What bare-metal test programs for the virt board have: a console, processors, barriers between them. */
#ifndef TESTS_GUEST_BARE_BARE_H
#define TESTS_GUEST_BARE_BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int main(unsigned cpu);
void secondary(uint64_t cpu);

static inline void put_char(char c)
{
    *(volatile uint32_t *)0x09000000 = (uint8_t)c;
}

static inline void put_text(const char *s)
{
    while (*s) {
        put_char(*s++);
    }
}

static inline void put_num(uint64_t v)
{
    char buf[24];
    int n = 0;

    do {
        buf[n++] = '0' + v % 10;
        v /= 10;
    } while (v);
    while (n) {
        put_char(buf[--n]);
    }
}

static inline int64_t psci(uint64_t fn, uint64_t a, uint64_t b, uint64_t c)
{
    register uint64_t x0 asm("x0") = fn, x1 asm("x1") = a, x2 asm("x2") = b, x3 asm("x3") = c;

    asm volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
    return (int64_t)x0;
}

/* Starts processors 1, 2, ... as far as there are any (at most `most` in all); returns how many run. */
static inline unsigned start_cpus(unsigned most)
{
    unsigned n = 1;

    while (n < most && !psci(0xc4000003, n, (uint64_t)(uintptr_t)secondary, n)) {
        n++;
    }
    return n;
}

/* All `n` arrive before one leaves. */
typedef struct Gate { uint32_t count, turn; } Gate;

static inline void gate_pass(Gate *g, unsigned n)
{
    uint32_t turn = __atomic_load_n(&g->turn, __ATOMIC_ACQUIRE);

    if (__atomic_add_fetch(&g->count, 1, __ATOMIC_ACQ_REL) == n) {
        __atomic_store_n(&g->count, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&g->turn, turn + 1, __ATOMIC_RELEASE);
    } else {
        /* the processor is given away only now and then: who comes next should find the others running */
        for (unsigned n = 1; __atomic_load_n(&g->turn, __ATOMIC_ACQUIRE) == turn; n++) {
            if (!(n % 16384)) {
                asm volatile("yield");
            }
        }
    }
}

#endif
