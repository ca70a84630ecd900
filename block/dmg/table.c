/* SPDX-License-Identifier: MIT */
/* Tables of chunks. */
#include "block/dmg/dmg-priv.h"

#include <inttypes.h>
#include <string.h>

#include "util/bswap.h"

enum { T_SECTOR = 8, T_SECTORS = 16, T_DATA = 24, T_COUNT = 200, T_CHUNKS = 204, C_TYPE = 0, C_SECTOR = 8, C_SECTORS = 16, C_OFFSET = 24, C_LEN = 32, C_SIZE = 40 };

static bool add_chunk(GArray *chunks, const uint8_t *c, uint64_t first, uint64_t data_fork, Error **errp)
{
    uint64_t sector = ldq_be_p(c + C_SECTOR), sectors = ldq_be_p(c + C_SECTORS), at = ldq_be_p(c + C_OFFSET), len = ldq_be_p(c + C_LEN);
    uint32_t type = ldl_be_p(c + C_TYPE);
    bool packed = type & 0x80000000u;
    DmgChunk k;

    if (type == CHUNK_COMMENT || type == CHUNK_END || !sectors) {
        return true;
    }
    if (packed ? !dmg_packing_known(type, errp) : type > CHUNK_IGNORE) {
        return packed ? false : error_set(errp, "a dmg chunk of the unknown type 0x%" PRIx32, type);
    }
    if (sectors > INT64_MAX / 1024 || first > INT64_MAX / 1024 || sector > INT64_MAX / 1024 || (packed && sectors > MAX_CHUNK / 512)) {
        return error_set(errp, "sector count %" PRIu64 " for chunk %u is larger than max (%u)", sectors, chunks->len, MAX_CHUNK / 512);
    }
    if (at > INT64_MAX / 2 || data_fork > INT64_MAX / 2 || (packed && len > MAX_CHUNK)) {
        return error_set(errp, "length %" PRIu64 " for chunk %u is larger than max (%u)", len, chunks->len, MAX_CHUNK);
    }
    k = (DmgChunk){ (first + sector) * 512, sectors * 512, data_fork + at, len, type };
    g_array_append_val(chunks, k);
    return true;
}

bool dmg_add_table(GArray *chunks, const uint8_t *p, uint64_t len, uint64_t data_fork, Error **errp)
{
    uint64_t first, count;

    if (len < T_CHUNKS || memcmp(p, "mish", 4)) {
        return true;                        /* another kind of block */
    }
    first = ldq_be_p(p + T_SECTOR);
    count = MIN((uint32_t)ldl_be_p(p + T_COUNT), (len - T_CHUNKS) / C_SIZE);
    if ((uint64_t)ldq_be_p(p + T_DATA) > INT64_MAX / 2) {
        return error_set(errp, "a dmg table points outside of any file");
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!add_chunk(chunks, p + T_CHUNKS + i * C_SIZE, first, data_fork + ldq_be_p(p + T_DATA), errp)) {
            return false;
        }
    }
    return true;
}

/* Only what stands in <data> elements matters: those that are tables begin with their mark. */
bool dmg_parse_plist(GArray *chunks, const char *xml, uint64_t data_fork, Error **errp)
{
    for (const char *p = xml; (p = strstr(p, "<data>")) != NULL;) {
        const char *end = strstr(p += 6, "</data>");
        g_autofree char *text = NULL;
        g_autofree uint8_t *block = NULL;
        gsize len;

        if (!end) {
            break;
        }
        text = g_strndup(p, end - p);
        block = g_base64_decode(text, &len);
        if (!dmg_add_table(chunks, block, len, data_fork, errp)) {
            return false;
        }
        p = end;
    }
    return true;
}

bool dmg_parse_fork(GArray *chunks, const uint8_t *fork, uint64_t len, uint64_t data_fork, Error **errp)
{
    uint64_t at, end;

    if (len < 16) {
        return error_set(errp, "the resource fork of a dmg image is too short");
    }
    at = (uint32_t)ldl_be_p(fork);
    end = MIN(len, at + (uint32_t)ldl_be_p(fork + 8));
    while (at + 4 <= end) {
        uint64_t size = (uint32_t)ldl_be_p(fork + at);

        if (size > end - at - 4) {
            break;
        }
        if (!dmg_add_table(chunks, fork + at + 4, size, data_fork, errp)) {
            return false;
        }
        at += 4 + size;
    }
    return true;
}
