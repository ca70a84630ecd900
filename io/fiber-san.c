/* SPDX-License-Identifier: MIT */
/*
 * What AddressSanitizer and ThreadSanitizer must hear of a switch.  The two
 * compilers say in different ways that a sanitizer is on, hence the only
 * conditional lines of the fibers.
 */
#include "io/fiber-priv.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

void fiber_san_create(FiberSan *s, const void *bottom, size_t size)
{
    *s = (FiberSan){ .bottom = bottom, .size = size };
}

void fiber_san_destroy(FiberSan *s)
{
}

void fiber_san_clean(FiberSan *s)
{
    __asan_unpoison_memory_region(s->bottom, s->size);
}

void fiber_san_leave(FiberSan *from, FiberSan *to, int last)
{
    __sanitizer_start_switch_fiber(last ? NULL : &from->fake, to->bottom, to->size);
}

void fiber_san_arrive(FiberSan *self, FiberSan *from)
{
    const void *bottom;
    size_t size;

    __sanitizer_finish_switch_fiber(self->fake, &bottom, &size);
    if (!from->size) {
        from->bottom = bottom;
        from->size = size;
    }
}

#elif defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)

#include <sanitizer/tsan_interface.h>

void fiber_san_create(FiberSan *s, const void *bottom, size_t size)
{
    *s = (FiberSan){ .bottom = bottom, .size = size, .tsan = __tsan_create_fiber(0) };
}

void fiber_san_destroy(FiberSan *s)
{
    __tsan_destroy_fiber(s->tsan);
}

__attribute__((no_sanitize("thread"), always_inline))
static inline void switch_tsan(FiberSan *from, FiberSan *to)
{
    if (!from->tsan) {
        from->tsan = __tsan_get_current_fiber();
    }
    __tsan_switch_to_fiber(to->tsan, 0);
}

void fiber_san_clean(FiberSan *s)
{
}

__attribute__((no_sanitize("thread")))
void fiber_san_leave(FiberSan *from, FiberSan *to, int last)
{
    switch_tsan(from, to);
}

__attribute__((no_sanitize("thread")))
void fiber_san_arrive(FiberSan *self, FiberSan *from)
{
}

#else

void fiber_san_create(FiberSan *s, const void *bottom, size_t size)
{
}

void fiber_san_destroy(FiberSan *s)
{
}

void fiber_san_clean(FiberSan *s)
{
}

void fiber_san_leave(FiberSan *from, FiberSan *to, int last)
{
}

void fiber_san_arrive(FiberSan *self, FiberSan *from)
{
}

#endif
