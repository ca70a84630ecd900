/* SPDX-License-Identifier: MIT */
/* LZFSE chunks: a stream of blocks in memory, and the simpler code of its short blocks, LZVN. */
#ifndef BLOCK_DMG_LZFSE_H
#define BLOCK_DMG_LZFSE_H

#include <stddef.h>
#include <stdint.h>

/* What has been unpacked so far; a copy may reach back to its begin. */
typedef struct LzOut {
    uint8_t *bytes;
    size_t len, room;
} LzOut;

/* Exactly out_len bytes, or -EIO. */
int lzfse_unpack(uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len);
int lzvn_unpack(LzOut *o, const uint8_t *in, size_t in_len);

/* Append; -EIO when there is no room, or when `back` leads to before the begin. */
int lz_literals(LzOut *o, const uint8_t *from, size_t n);
int lz_copy(LzOut *o, size_t back, size_t n);

#endif
