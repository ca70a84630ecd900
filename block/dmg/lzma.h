/* SPDX-License-Identifier: MIT */
/* LZMA chunks: by liblzma, or not at all. */
#ifndef BLOCK_DMG_LZMA_H
#define BLOCK_DMG_LZMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool dmg_lzma_here(void);
int dmg_lzma_unpack(uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len);

#endif
