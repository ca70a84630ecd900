/* SPDX-License-Identifier: MIT */
/*
 * Images of formats that we do not write, made from their specifications.
 * All hold the same disk: HAND_SIZE bytes, data in the sectors that
 * hand_sector() fills, zeroes elsewhere.
 */
#ifndef TESTS_BLOCK_HANDMADE_H
#define TESTS_BLOCK_HANDMADE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { HAND_SIZE = 256 << 10, HAND_SECTORS = HAND_SIZE / 512, HAND_DESCRIPTOR = 1024 };
#define HAND_EXTENT "e"                     /* how descriptors name it */

/* Fills 512 bytes; false: zeroes. */
bool hand_sector(unsigned sector, uint8_t *out);

GByteArray *hand_bochs(void);
GByteArray *hand_cloop(void);
GByteArray *hand_cow(void);                 /* version 3 */
GByteArray *hand_cow2(void);                /* version 2 */
GByteArray *hand_dmg(void);                 /* zlib, bzip2, plain chunks in a property list */
GByteArray *hand_dmg_zlib(void);            /* without bzip2 */
GByteArray *hand_dmg_old(void);             /* ADC and zlib chunks in a resource fork */
GByteArray *hand_dmg_lzfse(void);           /* LZFSE, LZVN and plain blocks */
GByteArray *hand_sesparse(void);            /* the extent alone */
GByteArray *hand_cowd(void);                /* an ESX sparse extent */
GByteArray *hand_split_sesparse(void);      /* HAND_DESCRIPTOR bytes of one, padded, then that extent */
GByteArray *hand_split_flat(void);          /* the same: flat, zero, flat and sparse pieces, of one file */
GByteArray *hand_parallels(void);           /* with a bitmap in its extension */
GByteArray *hand_stream(void);              /* vmdk with its directory at the end */

#endif
