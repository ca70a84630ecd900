/* SPDX-License-Identifier: MIT */
/* Vectors of requests, and memory fit for direct I/O. */
#include "block/driver.h"

#include <stdlib.h>
#include <string.h>

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

static bool bytes_zero(const char *p, size_t len)
{
    return p[0] == 0 && !memcmp(p, p + 1, len - 1);
}

bool blk_vec_is_zero(BlkVec v, uint64_t len)
{
    for (unsigned i = 0; len && i < v.n; i++) {
        size_t n = v.iov[i].iov_len;

        if (v.skip >= n) {
            v.skip -= n;
            continue;
        }
        n = MIN(n - v.skip, len);
        if (!bytes_zero((const char *)v.iov[i].iov_base + v.skip, n)) {
            return false;
        }
        v.skip = 0;
        len -= n;
    }
    return true;
}

void *blk_buffer(size_t len)
{
    void *p;

    if (posix_memalign(&p, 4096, MAX(len, 1))) {
        g_error("no memory for %zu bytes of a block request", len);
    }
    return p;
}
