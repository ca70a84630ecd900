/* SPDX-License-Identifier: MIT */
/* Inside of fibers: the host's switch and what the sanitizers must hear. */
#ifndef IO_FIBER_PRIV_H
#define IO_FIBER_PRIV_H

#include <stddef.h>

/*
 * Save the callee-saved registers on this stack, its pointer in *from, and go
 * on with the stack `to` as it was saved.  In fiber-<host>.c.
 */
void fiber_switch(void **from, void *to);
/* A stack, from its top, whose first switch calls entry() with an aligned stack. */
void *fiber_stack_prepare(void *top, void (*entry)(void));

/* fiber-san.c: no-ops in builds without a sanitizer. */
typedef struct FiberSan {
    void *fake;                 /* AddressSanitizer's fake stack of a stack that was left */
    const void *bottom;         /* of the stack */
    size_t size;
    void *tsan;
} FiberSan;
void fiber_san_create(FiberSan *s, const void *bottom, size_t size);
void fiber_san_destroy(FiberSan *s);
/* The stack is empty again (its last frame never returned). */
void fiber_san_clean(FiberSan *s);
/* Before leaving `from` for `to`; `last` when `from` never comes back. */
void fiber_san_leave(FiberSan *from, FiberSan *to, int last);
/* First thing after arriving on `self`, from `from` (whose bounds it learns if they are not known: a thread's own stack). */
void fiber_san_arrive(FiberSan *self, FiberSan *from);

#endif
