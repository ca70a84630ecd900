/* SPDX-License-Identifier: MIT */
#include "tests/block/handmade.h"

#include <bzlib.h>
#include <string.h>

#include "block/deflate.h"
#include "tests/block/pack-lzfse.h"
#include "util/bswap.h"

bool hand_sector(unsigned s, uint8_t *out)
{
    bool data = s < 40 || (s >= 100 && s < 130);

    for (unsigned i = 0; i < 512; i++) {
        out[i] = data ? (uint8_t)(s * 7 + i / 64 + 1) : 0;
    }
    return data;
}

static void *at(GByteArray *a, uint64_t off, uint64_t len)
{
    unsigned old = a->len;

    if (off + len > old) {
        g_byte_array_set_size(a, off + len);
        memset(a->data + old, 0, off + len - old);
    }
    return a->data + off;
}

static void sectors(unsigned first, unsigned n, uint8_t *out)
{
    for (unsigned i = 0; i < n; i++) {
        hand_sector(first + i, out + i * 512);
    }
}

GByteArray *hand_bochs(void)
{
    enum { EXTENT = 16384, PER = EXTENT / 512, CATALOG = HAND_SIZE / EXTENT, DATA = 512 + CATALOG * 4 };
    GByteArray *a = g_byte_array_new();
    uint8_t buf[512];
    uint32_t next = 0;

    memcpy(at(a, 0, 512), "Bochs Virtual HD Image", 22);
    memcpy(a->data + 32, "Redolog", 7);
    memcpy(a->data + 48, "Growing", 7);
    stl_le_p(a->data + 64, 0x00020000);
    stl_le_p(a->data + 68, 512);
    stl_le_p(a->data + 72, CATALOG);
    stl_le_p(a->data + 76, 512);
    stl_le_p(a->data + 80, EXTENT);
    stq_le_p(a->data + 88, HAND_SIZE);
    for (unsigned e = 0; e < CATALOG; e++) {
        bool any = false;

        for (unsigned s = 0; s < PER; s++) {
            if (hand_sector(e * PER + s, buf)) {
                uint64_t extent = DATA + next * (uint64_t)(512 + EXTENT);

                any = true;
                memcpy(at(a, extent + 512 + s * 512, 512), buf, 512);
                a->data[extent + s / 8] |= 1 << s % 8;
            }
        }
        stl_le_p(at(a, 512 + e * 4, 4), any ? next : 0xffffffffu);
        next += any;
    }
    return a;
}

GByteArray *hand_cloop(void)
{
    enum { BLOCK = 16384, COUNT = HAND_SIZE / BLOCK };
    GByteArray *a = g_byte_array_new();
    uint8_t plain[BLOCK], packed[BLOCK * 2];
    uint64_t end = 136 + (COUNT + 1) * 8;

    strcpy(at(a, 0, 136), "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\nexit $?\n");
    stl_be_p(a->data + 128, BLOCK);
    stl_be_p(a->data + 132, COUNT);
    for (unsigned b = 0; b < COUNT; b++) {
        ssize_t len;

        sectors(b * (BLOCK / 512), BLOCK / 512, plain);
        len = deflate_pack(packed, sizeof(packed), plain, BLOCK, DEFLATE_ZLIB);
        stq_be_p(at(a, 136 + b * 8, 8), end);
        memcpy(at(a, end, len), packed, len);
        end += len;
    }
    stq_be_p(a->data + 136 + COUNT * 8, end);
    return a;
}

static void cow_content(GByteArray *a, uint64_t bitmap, uint64_t data)
{
    uint8_t buf[512];

    at(a, data, HAND_SIZE);
    for (unsigned s = 0; s < HAND_SECTORS; s++) {
        if (hand_sector(s, buf)) {
            a->data[bitmap + s / 8] |= 1 << s % 8;
            memcpy(a->data + data + s * 512, buf, 512);
        }
    }
}

GByteArray *hand_cow(void)
{
    GByteArray *a = g_byte_array_new();
    uint8_t *h = at(a, 0, 4096 + 32);

    stl_be_p(h, 0x4f4f4f4d);
    stl_be_p(h + 4, 3);
    stq_be_p(h + 12, HAND_SIZE);
    stl_be_p(h + 20, 512);
    stl_be_p(h + 24, 4096);
    cow_content(a, 8192, 12288);
    return a;
}

GByteArray *hand_cow2(void)
{
    GByteArray *a = g_byte_array_new();
    uint8_t *h = at(a, 0, 8 + 1024 + 16);

    stl_be_p(h, 0x4f4f4f4d);
    stl_be_p(h + 4, 2);
    stq_be_p(h + 8 + 1024 + 4, HAND_SIZE);
    stl_be_p(h + 8 + 1024 + 12, 512);
    cow_content(a, 8 + 1024 + 16, (8 + 1024 + 16 + HAND_SECTORS / 8 + 511) / 512 * 512);
    return a;
}

/* ---- dmg ---- */

typedef struct {
    GByteArray *file, *table;
    unsigned count;
} Dmg;

static void chunk(Dmg *d, uint32_t type, unsigned first, unsigned n, const void *bytes, uint64_t len)
{
    uint8_t *c;

    c = at(d->table, 204 + d->count++ * 40, 40);
    stl_be_p(c, type);
    stq_be_p(c + 8, first);
    stq_be_p(c + 16, n);
    stq_be_p(c + 24, d->file->len);
    stq_be_p(c + 32, len);
    if (len) {
        g_byte_array_append(d->file, bytes, len);
    }
}

static Dmg dmg_begin(void)
{
    Dmg d = { g_byte_array_new(), g_byte_array_new(), 0 };

    memcpy(at(d.table, 0, 204), "mish", 4);
    stl_be_p(d.table->data + 4, 1);
    stq_be_p(d.table->data + 16, HAND_SECTORS);
    return d;
}

static void trailer(GByteArray *a, uint64_t where, uint64_t off, uint64_t len)
{
    uint64_t end = a->len;
    uint8_t *k = at(a, end, 512);

    memcpy(k, "koly", 4);
    stl_be_p(k + 4, 4);
    stl_be_p(k + 8, 512);
    stq_be_p(k + where, off);
    stq_be_p(k + where + 8, len);
    stq_be_p(k + 0x1ec, HAND_SECTORS);
}

static GByteArray *dmg_end(Dmg *d)
{
    g_autofree char *text = NULL, *xml = NULL;
    uint64_t xml_at = d->file->len;

    chunk(d, 0xffffffffu, HAND_SECTORS, 0, NULL, 0);
    stl_be_p(d->table->data + 200, d->count);
    text = g_base64_encode(d->table->data, d->table->len);
    xml = g_strdup_printf("<?xml version=\"1.0\"?>\n<plist><dict><key>resource-fork</key><dict><key>blkx</key><array><dict><key>Data</key>\n<data>\n%s\n</data></dict></array></dict></dict></plist>\n", text);
    g_byte_array_append(d->file, (uint8_t *)xml, strlen(xml));
    trailer(d->file, 0xd8, xml_at, strlen(xml));
    g_byte_array_unref(d->table);
    return d->file;
}

static GByteArray *make_dmg(bool bzip2)
{
    Dmg d = dmg_begin();
    uint8_t plain[40 * 512], packed[40 * 1024];
    unsigned len = sizeof(packed);

    sectors(0, 32, plain);
    chunk(&d, 0x80000005u, 0, 32, packed, deflate_pack(packed, sizeof(packed), plain, 32 * 512, DEFLATE_ZLIB));
    sectors(32, 8, plain);
    chunk(&d, 1, 32, 8, plain, 8 * 512);
    chunk(&d, 2, 40, 60, NULL, 0);
    sectors(100, 30, plain);
    if (bzip2) {
        BZ2_bzBuffToBuffCompress((char *)packed, &len, (char *)plain, 30 * 512, 9, 0, 0);
    } else {
        len = deflate_pack(packed, sizeof(packed), plain, 30 * 512, DEFLATE_ZLIB);
    }
    chunk(&d, bzip2 ? 0x80000006u : 0x80000005u, 100, 30, packed, len);
    chunk(&d, 0, 130, HAND_SECTORS - 130, NULL, 0);
    return dmg_end(&d);
}

/* Each kind of block alone, then all in one chunk. */
GByteArray *hand_dmg_lzfse(void)
{
    static void (*const pack[])(GByteArray *out, const uint8_t *in, unsigned len) = { pack_lzfse, pack_lzvn, pack_lz_plain };
    Dmg d = dmg_begin();
    uint8_t plain[40 * 512];
    GByteArray *a;

    sectors(0, 40, plain);
    for (unsigned i = 0; i < 3; i++) {
        a = g_byte_array_new();
        pack[i](a, plain + i * 8 * 512, 8 * 512);
        pack_lz_end(a);
        chunk(&d, 0x80000007u, i * 8, 8, a->data, a->len);
        g_byte_array_unref(a);
    }
    a = g_byte_array_new();
    for (unsigned i = 0; i < 8; i++) {
        pack[i % 3](a, plain + (24 + i * 2) * 512, 2 * 512);
    }
    pack_lz_end(a);
    chunk(&d, 0x80000007u, 24, 16, a->data, a->len);
    g_byte_array_unref(a);
    sectors(100, 30, plain);
    a = g_byte_array_new();
    pack_lzfse(a, plain, 30 * 512);
    chunk(&d, 0x80000007u, 100, 30, a->data, a->len);       /* and no end */
    g_byte_array_unref(a);
    chunk(&d, 2, 130, HAND_SECTORS - 130, NULL, 0);
    return dmg_end(&d);
}

GByteArray *hand_dmg(void)
{
    return make_dmg(true);
}

GByteArray *hand_dmg_zlib(void)
{
    return make_dmg(false);
}

/* Literals of up to 128 bytes, and one copy of each length of code. */
static unsigned pack_adc(uint8_t *out, const uint8_t *in, unsigned len)
{
    unsigned o = 0, i = 0;

    while (i < len) {
        unsigned n = MIN(len - i, i ? 128 : 8);

        if (i >= 8 && i + 67 <= len && !memcmp(in + i, in + i - 1, 67)) {
            out[o++] = 0x40 | 63;
            out[o++] = 0;
            out[o++] = 0;                       /* the byte before, 67 times */
            i += 67;
        } else if (i >= 8 && i + 3 <= len && !memcmp(in + i, in + i - 2, 3)) {
            out[o++] = 0;
            out[o++] = 1;
            i += 3;
        } else {
            out[o++] = 0x80 | (n - 1);
            memcpy(out + o, in + i, n);
            o += n;
            i += n;
        }
    }
    return o;
}

GByteArray *hand_dmg_old(void)
{
    Dmg d = dmg_begin();
    uint8_t plain[40 * 512], packed[40 * 1024], *fork;
    uint64_t at_fork;

    sectors(0, 40, plain);
    chunk(&d, 0x80000004u, 0, 40, packed, pack_adc(packed, plain, 40 * 512));
    sectors(100, 30, plain);
    chunk(&d, 0x80000005u, 100, 30, packed, deflate_pack(packed, sizeof(packed), plain, 30 * 512, DEFLATE_ZLIB));
    chunk(&d, 2, 130, HAND_SECTORS - 130, NULL, 0);
    chunk(&d, 0xffffffffu, HAND_SECTORS, 0, NULL, 0);
    stl_be_p(d.table->data + 200, d.count);
    at_fork = d.file->len;
    fork = at(d.file, at_fork, 256 + 4 + d.table->len);
    stl_be_p(fork, 256);
    stl_be_p(fork + 8, 4 + d.table->len);
    stl_be_p(fork + 256, d.table->len);
    memcpy(fork + 260, d.table->data, d.table->len);
    trailer(d.file, 0x28, at_fork, 260 + d.table->len);
    g_byte_array_unref(d.table);
    return d.file;
}

/* ---- extents of vmdk ---- */

GByteArray *hand_sesparse(void)
{
    enum { GD = 4096, TABLES = 8192, GRAINS = TABLES + 32768, GRAIN = 4096 };
    GByteArray *a = g_byte_array_new();
    uint8_t *h = at(a, 0, GRAINS), buf[GRAIN];
    uint64_t next = 0;

    stq_le_p(h, 0xcafebabe);
    stq_le_p(h + 8, 0x0000000200000001ull);
    stq_le_p(h + 16, HAND_SECTORS);
    stq_le_p(h + 24, 8);
    stq_le_p(h + 32, 64);
    stq_le_p(h + 80, 1);                        /* volatile header */
    stq_le_p(h + 88, 1);
    stq_le_p(h + 128, GD / 512);
    stq_le_p(h + 136, 8);
    stq_le_p(h + 144, TABLES / 512);
    stq_le_p(h + 152, 64);
    stq_le_p(h + 192, GRAINS / 512);
    stq_le_p(h + 200, 256);
    stq_le_p(h + 512, 0xcafecafe);
    stq_le_p(h + GD, 0x1000000000000000ull);
    for (unsigned g = 0; g < HAND_SIZE / GRAIN; g++) {
        bool any = false;

        for (unsigned s = 0; s < 8; s++) {
            any |= hand_sector(g * 8 + s, buf + s * 512);
        }
        if (any) {
            memcpy(at(a, GRAINS + next * GRAIN, GRAIN), buf, GRAIN);
        }
        stq_le_p(a->data + TABLES + g * 8, any ? 3ull << 60 | (next & 0xfff) << 48 | next >> 12 : g & 1 ? 2ull << 60 : 0);
        next += any;
    }
    return a;
}

GByteArray *hand_cowd(void)
{
    enum { GRAIN = 4096, GD = 2048, TABLE = 4096, DATA = TABLE + 16384 };
    GByteArray *a = g_byte_array_new();
    uint8_t *h = at(a, 0, DATA), buf[GRAIN];
    uint64_t end = DATA;

    memcpy(h, "COWD", 4);
    stl_le_p(h + 4, 1);
    stl_le_p(h + 8, 3);
    stl_le_p(h + 12, HAND_SECTORS);
    stl_le_p(h + 16, GRAIN / 512);
    stl_le_p(h + 20, GD / 512);
    stl_le_p(h + 24, 1);
    stl_le_p(h + 28, DATA / 512);
    stl_le_p(h + GD, TABLE / 512);
    for (unsigned g = 0; g < HAND_SIZE / GRAIN; g++) {
        bool any = false;

        for (unsigned s = 0; s < 8; s++) {
            any |= hand_sector(g * 8 + s, buf + s * 512);
        }
        if (any) {
            memcpy(at(a, end, GRAIN), buf, GRAIN);
            stl_le_p(a->data + TABLE + g * 4, end / 512);
            end += GRAIN;
        }
    }
    return a;
}

static GByteArray *described(const char *type, const char *lines, GByteArray *extent)
{
    GByteArray *a = g_byte_array_new();
    char *head = at(a, 0, HAND_DESCRIPTOR);

    g_snprintf(head, HAND_DESCRIPTOR, "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"%s\"\n%s", type, lines);
    g_byte_array_append(a, extent->data, extent->len);
    g_byte_array_unref(extent);
    return a;
}

GByteArray *hand_split_sesparse(void)
{
    return described("seSparse", "RW 512 SESPARSE \"" HAND_EXTENT "\"\n", hand_sesparse());
}

GByteArray *hand_split_flat(void)
{
    return described("twoGbMaxExtentSparse", "RW 64 FLAT \"" HAND_EXTENT "\" 8\nRW 60 ZERO\nRW 512 VMFSSPARSE \"" HAND_EXTENT "\"\nRW 4 FLAT \"" HAND_EXTENT "\" 0\n", hand_cowd());
}

/* "Parallels Expandable Image File Format", with the features of its extension. */
GByteArray *hand_parallels(void)
{
    enum { CLUSTER = 4096, N = HAND_SIZE / CLUSTER, EXT = CLUSTER, BITS = 2 * CLUSTER, DATA = 3 * CLUSTER, FEATURE = EXT + 24, BITMAP = FEATURE + 24 };
    GByteArray *a = g_byte_array_new();
    uint8_t *h = at(a, 0, DATA);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_MD5);
    gsize len = 16;

    memcpy(h, "WithouFreSpacExt", 16);
    stl_le_p(h + 16, 2);
    stl_le_p(h + 20, 16);
    stl_le_p(h + 24, 1);
    stl_le_p(h + 28, CLUSTER / 512);
    stl_le_p(h + 32, N);
    stq_le_p(h + 36, HAND_SECTORS);
    stl_le_p(h + 48, DATA / 512);
    stq_le_p(h + 56, EXT / 512);
    for (unsigned i = 0; i < 8; i++) {
        stl_le_p(a->data + 64 + i * 8, 3 + i);
        sectors(i * 16, 8, at(a, DATA + i * CLUSTER, CLUSTER));
    }
    h = a->data;
    stq_le_p(h + EXT, 0xab234cef23dcea87ull);
    stq_le_p(h + FEATURE, 0x20385fae252cb34aull);
    stl_le_p(h + FEATURE + 16, 40);
    stq_le_p(h + BITMAP, HAND_SECTORS);
    memset(h + BITMAP + 8, 0x5a, 16);
    stl_le_p(h + BITMAP + 24, 8);
    stl_le_p(h + BITMAP + 28, 1);
    stq_le_p(h + BITMAP + 32, BITS / 512);
    memcpy(h + BITS, "\xa1\0\xff", 3);
    g_checksum_update(sum, h + EXT + 24, CLUSTER - 24);
    g_checksum_get_digest(sum, h + EXT + 8, &len);
    return a;
}

GByteArray *hand_stream(void)
{
    enum { GRAIN = 65536 };
    GByteArray *a = g_byte_array_new();
    uint8_t *h = at(a, 0, 128 * 512), plain[GRAIN], packed[2 * GRAIN];
    uint32_t table[512] = {};
    uint64_t table_at, gd_at;

    memcpy(h, "KDMV", 4);
    stl_le_p(h + 4, 3);
    stl_le_p(h + 8, 0x30001);
    stq_le_p(h + 12, HAND_SECTORS);
    stq_le_p(h + 20, GRAIN / 512);
    stq_le_p(h + 28, 1);
    stq_le_p(h + 36, 20);
    stl_le_p(h + 44, 512);
    stq_le_p(h + 56, UINT64_MAX);
    stq_le_p(h + 64, 128);
    memcpy(h + 73, "\n \r\n", 4);
    stuw_le_p(h + 77, 1);
    strcpy((char *)h + 512, "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"streamOptimized\"\n\nRW 512 SPARSE \"x.vmdk\"\n");
    for (unsigned g = 0; g < HAND_SIZE / GRAIN; g++) {
        uint64_t end = a->len;
        ssize_t len;

        sectors(g * 128, 128, plain);
        if (!plain[0] && g > 1) {
            continue;
        }
        len = deflate_pack(packed, sizeof(packed), plain, GRAIN, DEFLATE_ZLIB);
        h = at(a, end, (12 + len + 511) / 512 * 512);
        stq_le_p(h, g * 128);
        stl_le_p(h + 8, len);
        memcpy(h + 12, packed, len);
        stl_le_p(&table[g], end / 512);
    }
    table_at = a->len + 512;
    h = at(a, a->len, 512 + 2048);              /* marker, table */
    stq_le_p(h, 4);
    stl_le_p(h + 12, 1);
    memcpy(h + 512, table, sizeof(table));
    gd_at = a->len + 512;
    h = at(a, a->len, 1024);                    /* marker, directory */
    stq_le_p(h, 1);
    stl_le_p(h + 12, 2);
    stl_le_p(h + 512, table_at / 512);
    h = at(a, a->len, 1536);                    /* marker, footer, end of stream */
    stq_le_p(h, 1);
    stl_le_p(h + 12, 3);
    memcpy(h + 512, a->data, 512);
    stq_le_p(h + 512 + 56, gd_at / 512);
    return a;
}
