/* SPDX-License-Identifier: MIT */
/* Deflate (RFC 1951) as image formats use it: whole pieces, of known length. */
#ifndef BLOCK_DEFLATE_H
#define BLOCK_DEFLATE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* window: 8..15 with a zlib header (RFC 1950), negative without, as zlib counts it. */
enum { DEFLATE_ZLIB = 15, DEFLATE_RAW_4K = -12 };

/* Fills out exactly; input may be longer than needed.  0, or -EIO for anything else. */
int deflate_unpack(uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len, int window);
/* For many pieces: the room that packing needs is kept.  One thread at a time. */
typedef struct DeflatePacker DeflatePacker;
DeflatePacker *deflate_packer_new(int window);
void deflate_packer_free(DeflatePacker *p);             /* NULL is fine */
/* Bytes, or -ENOMEM when they do not fit. */
ssize_t deflate_packer_run(DeflatePacker *p, uint8_t *out, size_t room, const uint8_t *in, size_t in_len);
/* For one. */
ssize_t deflate_pack(uint8_t *out, size_t room, const uint8_t *in, size_t in_len, int window);

#endif
