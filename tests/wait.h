/* SPDX-License-Identifier: MIT */
/*
 * Waiting in tests. A test waits for a fact, never for a time: how long another
 * thread, process or the kernel takes is not known on a busy machine. The limit
 * only turns a hang into a failure that says where; it is far beyond anything
 * that was ever needed, and below what meson allows (tests/meson.build, check).
 */
#ifndef TESTS_WAIT_H
#define TESTS_WAIT_H

#include <glib.h>
#include <stdbool.h>

enum { WAIT_SECONDS = 240 };

static inline gint64 wait_end(void)
{
    return g_get_monotonic_time() + (gint64)WAIT_SECONDS * G_USEC_PER_SEC;
}

/* Until COND is true (it is not asked again afterwards); STEP is done in between: one turn of a loop, or a short sleep. */
#define WAIT_UNTIL(cond, step) G_STMT_START { \
    gint64 end_ = wait_end(); \
    bool met_; \
    while (!(met_ = (cond)) && g_get_monotonic_time() < end_) { \
        step; \
    } \
    if (!met_) { \
        g_error("%s:%d: this never became true: %s", __FILE__, __LINE__, #cond); \
    } \
} G_STMT_END

#endif
