/* SPDX-License-Identifier: MIT */
/* Facts: [MS-VHDX] 2.2, 2.3; "Virtual Hard Disk Image Format Specification" 1.0. */
#include <string.h>

#include "tests/block/fuzz/image-input.h"
#include "util/bswap.h"
#include "util/crc32c.h"

static void seal_vhdx(uint8_t *image, size_t len, size_t at, size_t size)
{
    if (at <= len && size <= len - at && size >= 8) {
        stl_le_p(image + at + 4, 0);
        stl_le_p(image + at + 4, crc32c(0, image + at, size));
    }
}

/* Headers, regions, and every entry of a log within the first MiBs. */
static void vhdx(uint8_t *image, size_t len)
{
    enum { KIB = 1024 };

    seal_vhdx(image, len, 64 * KIB, 4 * KIB);
    seal_vhdx(image, len, 128 * KIB, 4 * KIB);
    seal_vhdx(image, len, 192 * KIB, 64 * KIB);
    seal_vhdx(image, len, 256 * KIB, 64 * KIB);
    for (size_t at = 1024 * KIB; at + 4 * KIB <= MIN(len, 3072 * KIB); at += 4 * KIB) {
        if (!memcmp(image + at, "loge", 4)) {
            seal_vhdx(image, len, at, MIN((uint32_t)ldl_le_p(image + at + 8), 1024 * KIB));
        }
    }
}

static void seal_vpc(uint8_t *image, size_t len, uint64_t at, size_t size, size_t field)
{
    uint32_t sum = 0;

    if (at > len || size > len - at) {
        return;
    }
    stl_be_p(image + at + field, 0);
    for (size_t i = 0; i < size; i++) {
        sum += image[at + i];
    }
    stl_be_p(image + at + field, ~sum);
}

static void vpc(uint8_t *image, size_t len)
{
    enum { FOOTER = 512, CHECKSUM = 64, DATA_OFFSET = 16, HEADER = 1024, HEADER_CHECKSUM = 36 };

    if (len < FOOTER) {
        return;
    }
    seal_vpc(image, len, 0, FOOTER, CHECKSUM);
    seal_vpc(image, len, len - FOOTER, FOOTER, CHECKSUM);
    seal_vpc(image, len, ldq_be_p(image + DATA_OFFSET), HEADER, HEADER_CHECKSUM);
}

static void parallels(uint8_t *image, size_t len)
{
    enum { TRACKS = 28, EXT = 56, SUM = 8, FEATURES = 24, DIGEST = 16 };
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_MD5);
    uint64_t at = len > 64 ? (uint64_t)ldq_le_p(image + EXT) * 512 : 0, size = len > 64 ? (uint32_t)ldl_le_p(image + TRACKS) * 512ull : 0;
    gsize digest = DIGEST;

    if (at && at <= len && size >= FEATURES && size <= len - at) {
        g_checksum_update(sum, image + at + FEATURES, (gssize)(size - FEATURES));
        g_checksum_get_digest(sum, image + at + SUM, &digest);
    }
}

void image_seal(const ImageRow *row, uint8_t *image, size_t len)
{
    if (!strcmp(row->format, "vhdx")) {
        vhdx(image, len);
    } else if (!strcmp(row->format, "vpc")) {
        vpc(image, len);
    } else if (!strcmp(row->format, "parallels")) {
        parallels(image, len);
    }
}
