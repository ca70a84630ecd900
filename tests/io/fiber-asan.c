/* SPDX-License-Identifier: MIT */
/*
 * AddressSanitizer must follow our fibers: `clean` passes, and an overflow
 * planted on a fiber's stack, on the heap or on the thread's stack after a
 * switch ends the program.
 */
#include "io/fiber.h"

#include <stdio.h>
#include <string.h>

static volatile int index_out = 40;

static void stack_fault(void *opaque)
{
    volatile char buf[32];

    memset((char *)buf, 1, sizeof(buf));
    fiber_pause();
    buf[index_out] = 1;
}

static void heap_fault(void *opaque)
{
    volatile char *buf = g_malloc(32);

    fiber_pause();
    buf[index_out] = 1;
    g_free((char *)buf);
}

static int deep(int n)
{
    volatile char buf[200];

    memset((char *)buf, n, sizeof(buf));
    fiber_pause();
    return n ? deep(n - 1) + buf[7] : buf[0];
}

static void clean(void *opaque)
{
    *(volatile int *)opaque = deep(20);
}

int main(int argc, char **argv)
{
    Loop *loop = loop_new("test");
    volatile char here[32] = {};
    int sink;

    loop_attach(loop);
    for (int i = 0; i < 50; i++) {
        fiber_call(loop, clean, &sink);
    }
    if (!strcmp(argv[1], "stack")) {
        fiber_call(loop, stack_fault, NULL);
    } else if (!strcmp(argv[1], "heap")) {
        fiber_call(loop, heap_fault, NULL);
    } else if (!strcmp(argv[1], "outside")) {
        here[index_out] = 1;
    }
    loop_free(loop);
    return here[0] & 0;
}
