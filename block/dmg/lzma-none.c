/* SPDX-License-Identifier: MIT */
#include "block/dmg/lzma.h"

#include <errno.h>

bool dmg_lzma_here(void)
{
    return false;
}

int dmg_lzma_unpack(uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len)
{
    return -ENOTSUP;
}
