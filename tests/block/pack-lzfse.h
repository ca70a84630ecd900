/* SPDX-License-Identifier: MIT */
/* Makes LZFSE and LZVN streams: the other way round than block/dmg, from the description of the format. */
#ifndef TESTS_BLOCK_PACK_LZFSE_H
#define TESTS_BLOCK_PACK_LZFSE_H

#include <glib.h>
#include <stdint.h>

/* A block each, appended; of at most 32 KiB. */
void pack_lzfse(GByteArray *out, const uint8_t *in, unsigned len);
void pack_lzvn(GByteArray *out, const uint8_t *in, unsigned len);
void pack_lz_plain(GByteArray *out, const uint8_t *in, unsigned len);
void pack_lz_end(GByteArray *out);

#endif
