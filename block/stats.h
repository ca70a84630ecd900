/* SPDX-License-Identifier: MIT */
/*
 * What a disk has done and how long it took: counters, latencies of the last
 * seconds, histograms.
 *
 * Counters are atomic and cost a few additions; intervals and histograms are
 * under a lock and only touched when somebody has asked for them.  Times are
 * nanoseconds of whatever clock the caller has (the loop's).
 */
#ifndef BLOCK_STATS_H
#define BLOCK_STATS_H

#include "io/lock.h"
#include "util/json.h"

typedef enum { STAT_READ, STAT_WRITE, STAT_UNMAP, STAT_FLUSH, STAT_TYPES } StatType;

typedef struct StatInterval StatInterval;
typedef struct StatHistogram {
    uint64_t *boundaries, *bins;        /* n and n + 1; NULL: none */
    unsigned n;
} StatHistogram;

typedef struct BlkStats {
    struct {
        uint64_t ops, bytes, failed, invalid, ns;
    } of[STAT_TYPES];
    int64_t last;                       /* when the last request ended; 0: never */
    bool account_invalid, account_failed;       /* such requests count as activity, and failed ones' time */
    bool extras;                        /* atomic: there is something under the lock */
    IoLock lock;
    GPtrArray *intervals;               /* StatInterval */
    StatHistogram histogram[STAT_TYPES];
} BlkStats;

void stats_init(BlkStats *s);
void stats_fini(BlkStats *s);
/* Any thread. */
void stats_done(BlkStats *s, StatType type, uint64_t bytes, bool failed, int64_t begin, int64_t now);
void stats_invalid(BlkStats *s, StatType type, int64_t now);
/* Latencies of the last so many seconds are kept from now on. */
void stats_add_interval(BlkStats *s, unsigned seconds, int64_t now);
/* Ascending boundaries, none zero; n = 0: none any more.  Begins at zero.  False: not such a list. */
bool stats_set_histogram(BlkStats *s, StatType type, const uint64_t *boundaries, unsigned n);
/* The record that programs get, but for wr_highest_offset. */
Json *stats_record(BlkStats *s, int64_t now);

#endif
