/* SPDX-License-Identifier: MIT */
/*
 * Inside of the dmg driver.  Facts: "Demystifying the DMG File Format"
 * (J. Levin), and the file formats pages of libmodi.  Big endian.  A trailer
 * says where the tables of chunks are: in a property list as base64, in older
 * images in a resource fork.
 */
#ifndef BLOCK_DMG_DMG_PRIV_H
#define BLOCK_DMG_DMG_PRIV_H

#include "block/grains.h"

enum {
    CHUNK_ZERO = 0, CHUNK_RAW = 1, CHUNK_IGNORE = 2, CHUNK_COMMENT = 0x7ffffffe,
};
#define CHUNK_ADC 0x80000004u
#define CHUNK_ZLIB 0x80000005u
#define CHUNK_BZIP2 0x80000006u
#define CHUNK_LZFSE 0x80000007u
#define CHUNK_LZMA 0x80000008u
#define CHUNK_END 0xffffffffu
enum { MAX_CHUNK = 64 << 20, MAX_TABLES = 64 << 20 };

typedef struct DmgChunk {
    uint64_t start, size;           /* in the disk, bytes */
    uint64_t at, packed;            /* in the file */
    uint32_t type;
} DmgChunk;

/* ---- table.c: chunks of one "mish" block, appended ---- */
bool dmg_add_table(GArray *chunks, const uint8_t *p, uint64_t len, uint64_t data_fork, Error **errp);
/* All tables of a property list, or of a resource fork. */
bool dmg_parse_plist(GArray *chunks, const char *xml, uint64_t data_fork, Error **errp);
bool dmg_parse_fork(GArray *chunks, const uint8_t *fork, uint64_t len, uint64_t data_fork, Error **errp);

/* ---- unpack.c ---- */
bool dmg_packing_known(uint32_t type, Error **errp);
int dmg_unpack(uint32_t type, uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len);

#endif
