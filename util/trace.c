/* SPDX-License-Identifier: MIT */
#include "util/trace.h"

#include <stdlib.h>
#include <string.h>

#include "util/log.h"
#include "util/suggest.h"

ROWS_DECLARE(trace_points, TracePoint);

static bool unmatched(const char *pattern, Error **errp)
{
    Suggest *s = suggest_new(pattern);

    ROWS_FOREACH(trace_points, TracePoint, p) {
        suggest_add(s, p->name);
    }
    error_set(errp, "no trace point matches '%s'", pattern);
    return suggest_hint(s, "-trace help", errp);
}

bool trace_arm(const char *pattern, Error **errp)
{
    bool on = pattern[0] != '-', any = false;

    ROWS_FOREACH(trace_points, TracePoint, p) {
        if (g_pattern_match_simple(pattern + !on, p->name)) {
            __atomic_store_n(p->on, on, __ATOMIC_RELAXED);
            any = true;
        }
    }
    if (!any) {
        return unmatched(pattern + !on, errp);
    }
    log_mask |= on ? LOG_TRACE : 0;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *trace_list(void)
{
    g_autofree const char **names = g_new0(const char *, ROWS_COUNT(trace_points) + 1);
    GString *out = g_string_new(NULL);
    unsigned n = 0;

    ROWS_FOREACH(trace_points, TracePoint, p) {
        names[n++] = p->name;
    }
    qsort(names, n, sizeof(*names), by_name);
    for (unsigned i = 0; i < n; i++) {
        g_string_append_printf(out, "%s\n", names[i]);
    }
    return g_string_free(out, FALSE);
}
