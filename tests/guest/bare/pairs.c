/* SPDX-License-Identifier: MIT */
/*
 * Single-copy atomicity (FEAT_LSE2): one processor writes values whose parts are equal, the others read them and compare.
 * A line a shape: NAME reads=N torn=N.  Names that begin with "free" may tear.  The last line is PAIRS DONE.
 */
#include "tests/guest/bare/bare.h"

#ifndef TURNS
#define TURNS 400000
#endif

static uint8_t place[64] __attribute__((aligned(64)));
static Gate gate;
static unsigned ncpu;
static uint64_t torn[4];

static uint64_t pair_x(uint8_t *at)
{
    uint64_t a, b;

    asm volatile("ldp %0, %1, [%2]" : "=r"(a), "=r"(b) : "r"(at) : "memory");
    return a ^ b;
}

static void set_pair_x(uint8_t *at, uint64_t v)
{
    asm volatile("stp %0, %0, [%1]" : : "r"(v), "r"(at) : "memory");
}

static uint64_t pair_w(uint8_t *at)
{
    uint32_t a, b;

    asm volatile("ldp %w0, %w1, [%2]" : "=r"(a), "=r"(b) : "r"(at) : "memory");
    return a ^ b;
}

static void set_pair_w(uint8_t *at, uint64_t v)
{
    asm volatile("stp %w0, %w0, [%1]" : : "r"(v), "r"(at) : "memory");
}

static uint64_t pair_sw(uint8_t *at)
{
    uint64_t a, b;

    asm volatile("ldpsw %0, %1, [%2]" : "=r"(a), "=r"(b) : "r"(at) : "memory");
    return a ^ b;
}

static uint64_t one_x(uint8_t *at)
{
    uint64_t a;

    asm volatile("ldr %0, [%1]" : "=r"(a) : "r"(at) : "memory");
    return a ^ (a << 8 | (a & 0xff));
}

static void set_one_x(uint8_t *at, uint64_t v)
{
    asm volatile("str %0, [%1]" : : "r"(v), "r"(at) : "memory");
}

static uint64_t acquire_x(uint8_t *at)
{
    uint64_t a;

    asm volatile("ldar %0, [%1]" : "=r"(a) : "r"(at) : "memory");
    return a ^ (a << 8 | (a & 0xff));
}

static void release_x(uint8_t *at, uint64_t v)
{
    asm volatile("stlr %0, [%1]" : : "r"(v), "r"(at) : "memory");
}

static const struct Shape {
    const char *name;
    unsigned off;
    uint64_t (*parts_differ)(uint8_t *at);
    void (*set)(uint8_t *at, uint64_t v);
} shapes[] = {
    { "ldp-x", 16, pair_x, set_pair_x },
    { "ldp-w", 20, pair_w, set_pair_w },
    { "ldpsw", 16, pair_sw, set_pair_w },
    { "ldr-x-unaligned", 19, one_x, set_one_x },
    { "ldar-x-unaligned", 21, acquire_x, release_x },
    { "free-ldp-x-across", 24, pair_x, set_pair_x },
};

static void run_shape(const struct Shape *s, unsigned cpu)
{
    uint8_t *at = place + s->off;

    torn[cpu] = 0;
    gate_pass(&gate, ncpu);
    for (unsigned i = 0; i < TURNS; i++) {
        if (!cpu) {
            s->set(at, i & 1 ? 0 : ~0ull);
        } else {
            torn[cpu] += s->parts_differ(at) != 0;
        }
    }
    gate_pass(&gate, ncpu);
    if (!cpu) {
        put_text(s->name);
        put_text(" reads=");
        put_num((uint64_t)TURNS * (ncpu - 1));
        put_text(" torn=");
        put_num(torn[1] + torn[2] + torn[3]);
        put_text("\n");
    }
    gate_pass(&gate, ncpu);
}

int main(unsigned cpu)
{
    static uint32_t go;

    if (!cpu) {
        ncpu = start_cpus(2);
        __atomic_store_n(&go, 1, __ATOMIC_RELEASE);
    }
    while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE)) {
    }
    for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        run_shape(&shapes[i], cpu);
    }
    if (!cpu) {
        put_text("PAIRS DONE\n");
        psci(0x84000008, 0, 0, 0);
    }
    for (;;) {
        asm volatile("wfi");
    }
}
