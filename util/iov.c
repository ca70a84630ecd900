/* SPDX-License-Identifier: MIT */
#include "util/iov.h"

#include <glib.h>
#include <string.h>

size_t iov_bytes(const struct iovec *iov, unsigned n)
{
    size_t sum = 0;

    for (unsigned i = 0; i < n; i++) {
        sum += iov[i].iov_len;
    }
    return sum;
}

/* One step of a walk: the part of [offset, offset + len) that lies in the first piece at or after *i. */
static size_t piece(const struct iovec *iov, unsigned n, unsigned *i, size_t *offset, size_t len, uint8_t **at)
{
    while (*i < n && *offset >= iov[*i].iov_len) {
        *offset -= iov[(*i)++].iov_len;
    }
    if (*i == n) {
        return 0;
    }
    *at = (uint8_t *)iov[*i].iov_base + *offset;
    return MIN(iov[*i].iov_len - *offset, len);
}

size_t iov_read(const struct iovec *iov, unsigned n, size_t offset, void *buf, size_t len)
{
    size_t done = 0, part;
    unsigned i = 0;
    uint8_t *at;

    while (done < len && (part = piece(iov, n, &i, &offset, len - done, &at))) {
        memcpy((uint8_t *)buf + done, at, part);
        done += part;
        offset += part;
    }
    return done;
}

size_t iov_write(const struct iovec *iov, unsigned n, size_t offset, const void *buf, size_t len)
{
    size_t done = 0, part;
    unsigned i = 0;
    uint8_t *at;

    while (done < len && (part = piece(iov, n, &i, &offset, len - done, &at))) {
        memcpy(at, (const uint8_t *)buf + done, part);
        done += part;
        offset += part;
    }
    return done;
}

size_t iov_fill(const struct iovec *iov, unsigned n, size_t offset, uint8_t byte, size_t len)
{
    size_t done = 0, part;
    unsigned i = 0;
    uint8_t *at;

    while (done < len && (part = piece(iov, n, &i, &offset, len - done, &at))) {
        memset(at, byte, part);
        done += part;
        offset += part;
    }
    return done;
}

unsigned iov_cut(const struct iovec *iov, unsigned n, size_t offset, size_t len, struct iovec *out, unsigned max)
{
    size_t done = 0, part;
    unsigned i = 0, count = 0;
    uint8_t *at;

    while (done < len && count < max && (part = piece(iov, n, &i, &offset, len - done, &at))) {
        out[count++] = (struct iovec){ at, part };
        done += part;
        offset += part;
    }
    return count;
}
