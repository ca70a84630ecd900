/* SPDX-License-Identifier: MIT */
/* For the debugger: a chain of calls whose return addresses are signed (built with -mbranch-protection=pac-ret), and a variable to watch. */
#include "tests/guest/bare/bare.h"

#define NAMED __attribute__((noinline, noclone))

volatile unsigned depth, total;

NAMED unsigned innermost(unsigned n)
{
    total += n;
    return total;
}

NAMED unsigned middle(unsigned n)
{
    unsigned found = innermost(n + 1);

    depth--;
    return found + depth;
}

NAMED unsigned outer(unsigned n)
{
    unsigned found;

    depth = 2;
    found = middle(n + 1);
    return found + depth;
}

static inline void keys_on(void)
{
    uint64_t sctlr;

    asm volatile("msr apiakeylo_el1, %0\n msr apiakeyhi_el1, %1" : : "r"(0x0123456789abcdefull), "r"(0xfedcba9876543210ull));
    asm volatile("mrs %0, sctlr_el1" : "=r"(sctlr));
    asm volatile("msr sctlr_el1, %0\n isb" : : "r"(sctlr | 1ull << 31) : "memory");
}

/* Its own return address was not signed yet, so it does not return. */
int main(unsigned cpu)
{
    (void)cpu;
    keys_on();
    put_num(outer(40));
    put_char('\n');
    psci(0x84000008, 0, 0, 0);
    for (;;) {
    }
}
