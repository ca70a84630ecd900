/* SPDX-License-Identifier: MIT */
/*
 * Trace points: one line each in a folder's file `trace-events`.
 *
 *     blk_read(const char *node, uint64_t off) "node=%s off=%" PRIu64
 *
 * scripts/trace-gen.py makes FOLDER/trace.h with a function trace_blk_read() of
 * these arguments, and trace.c with its row.  A point that is not armed costs
 * one load and one predictable branch; its arguments should be cheap.  Armed
 * ones print "blk_read node=disk off=512" to the log: key=value in the order of
 * the line, which tests may look for.  Points are armed by -trace PATTERN,
 * -d trace:PATTERN and the monitor.
 *
 * meson.build of a folder that has a trace-events file:
 *
 *     src += custom_target('FOLDER-trace', input: 'trace-events', output: ['trace.h', 'trace.c'], command: trace_gen)
 */
#ifndef UTIL_TRACE_H
#define UTIL_TRACE_H

#include <inttypes.h>
#include <stdbool.h>
#include <glib.h>

#include "util/error.h"
#include "util/lsection.h"

typedef struct TracePoint {
    const char *name;
    bool *on;
} TracePoint;

#define TRACE_POINT(row) ROW_IN_SECTION(trace_points, TracePoint, row)

/* Glob pattern ('*', '?') over names, "-PATTERN" to turn off; one that matches nothing is an error with the nearest names. */
bool trace_arm(const char *pattern, Error **errp);
/* One name per line, sorted; caller frees. */
char *trace_list(void);

#endif
