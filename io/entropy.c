/* SPDX-License-Identifier: MIT */
#include "io/entropy.h"

#include <glib.h>
#include <errno.h>
#include <sys/random.h>

void io_entropy(void *buf, size_t len)
{
    uint8_t *to = buf;

    while (len) {
        ssize_t n = getrandom(to, len, 0);

        if (n < 0 && errno != EINTR) {
            g_error("the host gives no random bytes: %s", g_strerror(errno));
        }
        to += MAX(n, 0);
        len -= MAX(n, 0);
    }
}

void io_uuid(uint8_t out[16])
{
    io_entropy(out, 16);
    out[6] = (out[6] & 0x0f) | 0x40;
    out[8] = (out[8] & 0x3f) | 0x80;
}
