/* SPDX-License-Identifier: MIT */
/* Host time, for counters and for the rate at which pages are rewritten; never for the guest. */
#include <time.h>

#include "accel/tcg/tcg-priv.h"

uint64_t tcg_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void tcg_deadline_in(struct timespec *ts, uint64_t ns)
{
    clock_gettime(CLOCK_REALTIME, ts);
    ts->tv_nsec += (long)ns;
    ts->tv_sec += ts->tv_nsec / 1000000000;
    ts->tv_nsec %= 1000000000;
}
