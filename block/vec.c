/* SPDX-License-Identifier: MIT */
/* Vectors of requests, and memory fit for direct I/O. */
#include "block/driver.h"

#include <stdlib.h>

#include "util/iov.h"

void blk_vec_read(BlkVec v, void *buf, uint64_t len)
{
    iov_read(v.iov, v.n, v.skip, buf, len);
}

void blk_vec_write(BlkVec v, const void *buf, uint64_t len)
{
    iov_write(v.iov, v.n, v.skip, buf, len);
}

void blk_vec_fill(BlkVec v, uint8_t byte, uint64_t len)
{
    iov_fill(v.iov, v.n, v.skip, byte, len);
}

void *blk_buffer(size_t len)
{
    void *p;

    if (posix_memalign(&p, 4096, MAX(len, 1))) {
        g_error("no memory for %zu bytes of a block request", len);
    }
    return p;
}
