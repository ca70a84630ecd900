/* SPDX-License-Identifier: MIT */
/*
 * Log: what a guest does wrong, and what a developer wants to see.
 *
 * Categories are bits of one process-wide mask that is set once at start-up
 * (-d) and by the monitor; a category that is off costs one predictable
 * branch.  Lines go to stderr or to the file of -D, whole lines at a time,
 * from any thread.  Everything that a guest can cause to be printed is rate
 * limited (per call site).
 */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "util/error.h"

typedef enum {
    LOG_GUEST = 1u << 0,    /* the guest did what the manual forbids */
    LOG_UNIMP = 1u << 1,    /* the guest touched what we do not model */
    LOG_INT   = 1u << 2,    /* interrupts and exceptions */
    LOG_MMU   = 1u << 3,
    LOG_IN    = 1u << 4,    /* guest instructions as translated */
    LOG_IR    = 1u << 5,
    LOG_OPT   = 1u << 6,    /* IR after the passes */
    LOG_OUT   = 1u << 7,    /* host code */
    LOG_CPU   = 1u << 8,    /* registers at block entry */
    LOG_RESET = 1u << 9,
    LOG_EXEC  = 1u << 10,   /* each block run through the dispatcher */
    LOG_TRACE = 1u << 11,   /* armed trace points */
} LogMask;

extern uint32_t log_mask;

static inline bool log_enabled(uint32_t mask)
{
    return G_UNLIKELY(log_mask & mask);
}

/*
 * The argument of -d: names of categories (ours or the peer's, "guest_errors",
 * "in_asm" ...), "all", "none", and trace:PATTERN, separated by commas; sets the
 * mask to their union.  Unknown names are refused with the nearest, and nothing
 * changes.
 */
bool log_set(const char *names, Error **errp);
/* The list for -d help; caller frees. */
char *log_help(void);
/* -D: lines go to this file (%d in the name is the process number) from now on; NULL: stderr again. */
bool log_open(const char *path, Error **errp);

/* Unconditional print of a line (newline is added when missing). */
void log_print(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

typedef struct { int64_t window_us; uint32_t count; } LogRate;
/* True when this call site may still print in the current second; says once that lines are left out. */
bool log_rate_ok(LogRate *rate);

#define log_limited(mask, ...) do { \
        if (log_enabled(mask)) { static LogRate log_rate_; if (log_rate_ok(&log_rate_)) { log_print(__VA_ARGS__); } } } while (0)
#define log_guest(...) log_limited(LOG_GUEST, __VA_ARGS__)
#define log_unimp(...) log_limited(LOG_UNIMP, __VA_ARGS__)
#define log_at(mask, ...) do { if (log_enabled(mask)) { log_print(__VA_ARGS__); } } while (0)

#endif
