/* SPDX-License-Identifier: MIT */
#include "util/log.h"

#include <stdio.h>
#include <string.h>

uint32_t log_mask;

void log_print(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;
    size_t len;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    len = strlen(text);
    flockfile(stderr);
    fputs(text, stderr);
    if (!len || text[len - 1] != '\n') {
        fputc('\n', stderr);
    }
    funlockfile(stderr);
}

bool log_rate_ok(LogRate *rate)
{
    int64_t now = g_get_monotonic_time();

    if (now - rate->window_us > G_USEC_PER_SEC) {
        rate->window_us = now;
        rate->count = 0;
    }
    if (++rate->count == 20) {
        log_print("(further lines of this kind are left out for a second)");
    }
    return rate->count < 20;
}
