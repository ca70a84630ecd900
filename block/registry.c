/* SPDX-License-Identifier: MIT */
/* The drivers of this program, by name and by what a file begins with. */
#include "block/driver.h"

#include <stdlib.h>
#include <string.h>

ROWS_DECLARE(blk_drivers, BlkDriver);

const BlkDriver *blk_driver_find(const char *name)
{
    ROWS_FOREACH(blk_drivers, BlkDriver, d) {
        if (!strcmp(d->name, name)) {
            return d;
        }
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const BlkDriver *const *)a)->name, (*(const BlkDriver *const *)b)->name);
}

const BlkDriver **blk_drivers(void)
{
    const BlkDriver **list = g_new0(const BlkDriver *, ROWS_COUNT(blk_drivers) + 1);
    unsigned n = 0;

    ROWS_FOREACH(blk_drivers, BlkDriver, d) {
        list[n++] = d;
    }
    qsort(list, n, sizeof(*list), by_name);
    return list;
}

const BlkDriver *blk_driver_probe(const uint8_t *buf, size_t len, const char *filename)
{
    const BlkDriver *best = NULL;
    int best_score = 0;

    ROWS_FOREACH(blk_drivers, BlkDriver, d) {
        int score = d->probe ? d->probe(buf, len, filename) : 0;
        if (score > best_score) {
            best_score = score;
            best = d;
        }
    }
    return best ? best : blk_driver_find("raw");
}
