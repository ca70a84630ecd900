/* SPDX-License-Identifier: MIT */
/* Formats that are read only, from images made by hand; hostile images by name; the log of VHDX. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block/bitmap.h"
#include "block/dmg/lzfse.h"
#include "block/image.h"
#include "tests/block/handmade.h"
#include "tests/block/images.h"
#include "tests/block/pack-lzfse.h"
#include "util/bswap.h"

static Loop *loop;
static Session *session;

static void setup(void)
{
    loop = loop_new("test");
    loop_attach(loop);
    session = session_new();
}

static void teardown(void)
{
    session_free(session);
    loop_free(loop);
    memdisk_clear();
}

/* ---- read-only formats ---- */

static const struct {
    const char *name, *format, *suffix, *descriptor;
    GByteArray *(*make)(void);
    bool peer;                          /* reads it too */
} readers[] = {
    { "bochs", "bochs", ".img", NULL, hand_bochs, true },
    { "cloop", "cloop", ".img", NULL, hand_cloop, true },
    { "cow3", "cow", ".img", NULL, hand_cow, false },
    { "cow2", "cow", ".img", NULL, hand_cow2, false },
    { "dmg", "dmg", ".dmg", NULL, hand_dmg, false },
    { "dmg-zlib", "dmg", ".dmg", NULL, hand_dmg_zlib, true },
    { "dmg-old", "dmg", ".dmg", NULL, hand_dmg_old, false },
    { "dmg-lzfse", "dmg", ".dmg", NULL, hand_dmg_lzfse, false },
    { "vmdk-cowd-alone", "vmdk", ".img", NULL, hand_cowd, false },
    { "vmdk-cowd", "vmdk", ".img", "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"vmfsSparse\"\nRW 512 VMFSSPARSE \"%s\"\n", hand_cowd, true },
    { "vmdk-stream", "vmdk", ".img", NULL, hand_stream, true },
    { "vmdk-sesparse", "vmdk", ".img", "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"seSparse\"\nRW 512 SESPARSE \"%s\"\n", hand_sesparse, true },
};

static void compare(Blk *b)
{
    uint8_t got[512], want[512];

    g_assert_cmpuint(blk_size(b), ==, HAND_SIZE);
    for (unsigned s = 0; s < HAND_SECTORS; s++) {
        hand_sector(s, want);
        g_assert_cmpint(blk_read(b, s * 512ull, got, 512, 0), ==, 0);
        g_assert_cmpmem(got, 512, want, 512);
    }
    for (uint64_t at = 0; at < HAND_SIZE;) {
        BlkExtent e;

        g_assert_cmpint(blk_status(b, at, HAND_SIZE - at, true, &e), ==, 0);
        g_assert_cmpuint(e.len, >, 0);
        for (uint64_t s = at / 512; (e.flags & BLK_EXT_ZERO) && s < (at + e.len) / 512; s++) {
            g_assert_false(hand_sector(s, want));
        }
        at += e.len;
    }
    g_assert_cmpint(blk_write(b, 0, got, 512, 0), <, 0);
}

/* Between fork and exec: the bound is for our code, another program wants address space for its threads. */
static void unbounded(gpointer data)
{
    struct rlimit memory = { RLIM_INFINITY, RLIM_INFINITY };

    setrlimit(RLIMIT_AS, &memory);
}

static void ask_peer(const char *format, const char *path)
{
    g_autofree char *raw = g_strconcat(path, ".raw", NULL), *program = g_find_program_in_path("qemu-img"), *bytes = NULL;
    const char *argv[] = { "qemu-img", "convert", "-f", format, "-O", "raw", path, raw, NULL };
    uint8_t want[512];
    gsize len;
    int status;

    if (!program || !g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, unbounded, NULL, NULL, NULL, &status, NULL)) {
        return;
    }
    g_assert_cmpint(status, ==, 0);
    g_assert_true(g_file_get_contents(raw, &bytes, &len, NULL));
    g_assert_cmpuint(len, ==, HAND_SIZE);
    for (unsigned s = 0; s < HAND_SECTORS; s++) {
        hand_sector(s, want);
        g_assert_cmpmem(bytes + s * 512, 512, want, 512);
    }
    unlink(raw);
}

static void test_reader(gconstpointer opaque)
{
    unsigned i = GPOINTER_TO_UINT(opaque);
    GByteArray *a = readers[i].make();
    g_autofree char *dir = g_dir_make_tmp("formats-XXXXXX", NULL), *name = g_strconcat("image", readers[i].suffix, NULL), *path = g_build_filename(dir, name, NULL);
    g_autofree char *desc = g_build_filename(dir, "desc.vmdk", NULL);
    Error *err = NULL;
    Json *o = json_object();
    Blk *b;

    setup();
    g_assert_true(g_file_set_contents(path, (char *)a->data, a->len, NULL));
    if (readers[i].descriptor) {
        g_auto(GStrv) parts = g_strsplit(readers[i].descriptor, "%s", 2);
        g_autofree char *text = g_strconcat(parts[0], name, parts[1], NULL);

        g_assert_true(g_file_set_contents(desc, text, -1, NULL));
    }
    b = blk_open(session, readers[i].descriptor ? desc : path, o, 0, BLK_PERM_READ, BLK_PERM_ALL, &err);    /* the format is found */
    if (!b) {
        g_error("%s", error_message(err));
    }
    g_assert_cmpstr(blk_node_driver(blk_node(b)), ==, readers[i].format);
    compare(b);
    blk_free(b);
    if (readers[i].peer) {
        ask_peer(readers[i].format, readers[i].descriptor ? desc : path);
    }
    unlink(desc);
    unlink(path);
    rmdir(dir);
    g_byte_array_unref(a);
    teardown();
}

/* ---- LZFSE: what the program of those who published it makes of "abc" 100 times, and of 4096 times 'A' ---- */

static const struct { const char *name, *hex, *of; unsigned times; } published[] = {
    { "lzvn", "6276786e2c01000013000000c803616263f0fff005e163060000000000000062767824", "abc", 100 },
    { "lzfse", "6276783200100000040000000003007000000000000c0050830000002490000ce7d75c030000005c03000000c04ff0937c0f0000000000000000000000000000000000000000000000000000000000"
      "0000c0a30f000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000003456ff3f62767824", "A", 4096 },
};

static void test_published(gconstpointer opaque)
{
    unsigned i = GPOINTER_TO_UINT(opaque), period = strlen(published[i].of), size = period * published[i].times, len = strlen(published[i].hex) / 2;
    g_autofree uint8_t *in = g_malloc(len), *out = g_malloc(size);

    for (unsigned k = 0; k < len; k++) {
        in[k] = g_ascii_xdigit_value(published[i].hex[2 * k]) << 4 | g_ascii_xdigit_value(published[i].hex[2 * k + 1]);
    }
    g_assert_cmpint(lzfse_unpack(out, size, in, len), ==, 0);
    for (unsigned k = 0; k < size; k++) {
        g_assert_cmpint(out[k], ==, published[i].of[k % period]);
    }
    g_assert_cmpint(lzfse_unpack(out, size - 1, in, len), <, 0);        /* exactly */
    g_assert_cmpint(lzfse_unpack(out, size, in, len - 16), <, 0);
}

static void test_packed(void)
{
    static void (*const pack[])(GByteArray *out, const uint8_t *in, unsigned len) = { pack_lzfse, pack_lzvn };
    GRand *r = g_rand_new_with_seed(11);
    uint8_t in[8000], out[8000];

    for (unsigned t = 0; t < 40; t++) {
        unsigned len = 100 + (unsigned)g_rand_int_range(r, 0, sizeof(in) - 100);
        g_autoptr(GByteArray) a = g_byte_array_new();

        for (unsigned k = 0; k < len;) {
            unsigned n = 1 + (unsigned)g_rand_int_range(r, 0, 90), how = (unsigned)g_rand_int_range(r, 0, 4), back = how == 1 ? 97 : 555;
            uint8_t c = g_rand_int(r);

            for (; n && k < len; n--, k++) {
                in[k] = how == 0 ? c : (how == 1 || how == 2) && k >= back ? in[k - back] : g_rand_int(r) % (2 + 6 * t);
            }
        }
        pack[t % 2](a, in, len / 2);
        pack[t / 2 % 2](a, in + len / 2, len - len / 2);
        pack_lz_end(a);
        g_assert_cmpint(lzfse_unpack(out, len, a->data, a->len), ==, 0);
        g_assert_cmpmem(out, len, in, len);
    }
    g_rand_free(r);
}

/* ---- hostile images, by name ---- */

/* Up to four changes of a good image: place, bytes, value (big or little endian as the format is). */
typedef struct {
    const char *name;
    char letter;
    const char *says;                   /* part of the message; NULL: opens, and reading stays in bounds */
    struct {
        uint64_t at;
        int size;                       /* of the value; negative: little endian */
        uint64_t value;
    } change[4];
    const char *from;                   /* places count from where these four bytes are last in the image; NULL: from its begin */
} Hostile;

static const Hostile hostile[] = {
    { "vdi-table-of-2^30-blocks", 'v', "data overlap", { { 0x180, -4, 0x3fffffff } } },
    { "vdi-disk-2^63", 'v', "unsupported VDI image", { { 0x170, -8, 1ull << 63 } } },
    { "vdi-block-size-0", 'v', "block size", { { 0x178, -4, 0 } } },
    { "vdi-table-in-header", 'v', "overlap", { { 0x154, -4, 0 } } },
    { "vdi-entry-far-away", 'v', NULL, { { 512, -4, 0xfffffff0 } } },
    { "vdi-two-entries-one-block", 'v', NULL, { { 516, -4, 0 } } },
    { "vdi-parent", 'v', "parent UUID", { { 0x1b8, -4, 1 } } },
    { "parallels-zero-tracks", 'p', "Zero sectors per track", { { 28, -4, 0 } } },
    { "parallels-big-cluster", 'p', "Too big cluster", { { 28, -4, 0x7fffffff } } },
    { "parallels-catalog-2^32", 'p', "Catalog too large", { { 32, -4, 0xffffffff } } },
    { "parallels-size-2^63", 'p', "sectors", { { 36, -8, 1ull << 62 } } },
    { "parallels-entry-into-header", 'p', NULL, { { 64, -4, 0 }, { 68, -4, 0xffffffff } } },
    { "vpc-block-size-odd", 'c', "Invalid block size", { { 512 + 32, 4, 12345 } } },
    { "vpc-entries-2^32", 'c', "Too many blocks", { { 512 + 28, 4, 0xffffffff } } },
    { "vpc-table-too-small", 'c', "Page table too small", { { 512 + 28, 4, 1 } } },
    { "vpc-table-at-2^63", 'c', "offset too large", { { 512 + 16, 8, INT64_MAX } } },
    { "vpc-header-at-2^63", 'c', "dynamic VHD header", { { 16, 8, INT64_MAX } } },
    { "vpc-block-far-away", 'c', NULL, { { 1536, 4, 0xfffffff0 } } },
    { "vpc-child-of-nobody", 'c', NULL, { { 60, 4, 4 } } },
    { "vpc-child-locator-far-away", 'k', NULL, { { 512 + 576 + 16, 8, INT64_MAX } } },
    { "vpc-child-locator-of-2^32-bytes", 'k', NULL, { { 512 + 576 + 8, 4, 0xffffffff }, { 512 + 600 + 8, 4, 0xffffffff } } },
    { "vpc-child-block-far-away", 'k', NULL, { { 2560, 4, 0xfffffff0 } } },
    { "vpc-child-block-in-the-table", 'k', NULL, { { 2560, 4, 5 } } },
    { "vpc-child-blocks-of-2^31", 'k', NULL, { { 512 + 32, 4, 1u << 31 } } },
    { "qed-cluster-3", 'e', "cluster size", { { 4, -4, 3 } } },
    { "qed-table-2^31", 'e', "table size", { { 8, -4, 1u << 31 } } },
    { "qed-size-2^63", 'e', "image size", { { 48, -8, 1ull << 62 } } },
    { "qed-l1-in-header", 'e', "is invalid", { { 40, -8, 0 } } },
    { "qed-l1-names-itself", 'e', NULL, { { 4096, -8, 4096 } } },
    { "qed-l2-far-away", 'e', NULL, { { 4096, -8, 1ull << 62 } } },
    { "qed-unknown-feature", 'e', "Unsupported QED features", { { 16, -8, 1ull << 40 } } },
    { "qed-backing-name-2^32", 'e', "outside of the header", { { 16, -8, 1 }, { 56, -4, 0xffffffff }, { 60, -4, 0xffffffff } } },
    { "qcow-cluster-bits-63", 'q', "between 512 and 64k", { { 32, 1, 63 } } },
    { "qcow-l2-bits-63", 'q', "between 512 and 64k", { { 33, 1, 63 } } },
    { "qcow-size-2^63", 'q', "too large", { { 24, 8, INT64_MAX } } },
    { "qcow-l1-of-2^40-bytes", 'q', "too large", { { 24, 8, 1ull << 60 } } },
    { "qcow-l1-loop", 'q', NULL, { { 48, 8, 48 } } },
    { "qcow-packed-bomb", 'q', NULL, { { 48, 8, 512 }, { 512, 8, ~0ull } } },
    { "qcow-backing-name-2^32", 'q', "too long", { { 8, 8, 48 }, { 16, 4, 0xffffffff } } },
    { "vmdk-grain-2^63", 'm', "granularity", { { 20, -8, 1ull << 63 } } },
    { "vmdk-grain-0", 'm', "granularity", { { 20, -8, 0 } } },
    { "vmdk-table-entries-2^32", 'm', "L2 table size", { { 44, -4, 0xffffffff } } },
    { "vmdk-capacity-2^63", 'm', "capacity", { { 12, -8, 1ull << 63 } } },
    { "vmdk-capacity-2^54", 'm', "L1 size", { { 12, -8, 1ull << 53 } } },
    { "vmdk-directory-at-2^63", 'm', "outside of any file", { { 56, -8, 1ull << 62 } } },
    { "vmdk-descriptor-at-2^63", 'm', "outside of any file", { { 28, -8, 1ull << 62 } } },
    { "vmdk-table-loop", 'm', NULL, { { 0x3400, -4, 0x1a } } },
    { "vmdk-version-9", 'm', "Unsupported VMDK version", { { 4, -4, 9 } } },
    { "vmdk-stream-marker-lies", 's', NULL, { { 65536 + 8, -4, 0xffffffff } } },
    { "vhdx-both-headers-broken", 'h', "No valid VHDX header", { { 64 << 10, 4, 0 }, { 128 << 10, 4, 0 } } },
    { "vhdx-regions-broken", 'h', "region table", { { 192 << 10, 4, 0 }, { 256 << 10, 4, 0 } } },
    { "vhdx-metadata-broken", 'h', "metadata", { { 3 << 20, 4, 0 } } },
    { "vhdx-block-size-0", 'h', "block size", { { (3 << 20) + (64 << 10), -4, 0 } } },
    { "vhdx-disk-2^63", 'h', "disk size", { { (3 << 20) + (64 << 10) + 8, -8, 1ull << 63 } } },
    { "vhdx-disk-larger-than-table", 'h', "too short", { { (3 << 20) + (64 << 10) + 8, -8, 1ull << 45 } } },
    { "vhdx-block-far-away", 'h', NULL, { { 2 << 20, -8, (1ull << 62) | 6 } } },
    { "vhdx-block-partial", 'h', NULL, { { 2 << 20, -8, (4ull << 20) | 7 } } },
    { "vhdx-child-bitmap-far-away", 'H', NULL, { { (2 << 20) + 4096 * 8, -8, (1ull << 62) | 6 } } },
    { "vhdx-child-no-bitmap", 'H', NULL, { { (2 << 20) + 4096 * 8, -8, 0 } } },
    { "vhdx-child-bitmap-in-its-own-table", 'H', NULL, { { (2 << 20) + 4096 * 8, -8, (2ull << 20) | 6 } } },
    { "vhdx-child-without-locator", 'H', "no item of metadata", { { (3 << 20) + 32 + 5 * 32 + 24, -4, 0 }, { (3 << 20) + 32 + 5 * 32, -8, 0 } } },
    { "vhdx-child-locator-far-away", 'H', "no item of metadata", { { (3 << 20) + 32 + 5 * 32 + 16, -4, 0xffffff00 } } },
    { "vhdx-child-locator-of-2^32", 'H', "no item of metadata", { { (3 << 20) + 32 + 5 * 32 + 20, -4, 0xffffffff } } },
    { "vhdx-child-locator-of-65535-pairs", 'H', "invalid name", { { (3 << 20) + 69632 + 18, -2, 0xffff } } },
    { "vhdx-child-pair-far-away", 'H', NULL, { { (3 << 20) + 69632 + 20, -8, ~0ull }, { (3 << 20) + 69632 + 28, -4, ~0u } } },
    { "vhdx-child-linkage-no-guid", 'H', NULL, { { (3 << 20) + 69632 + 24, -4, 20 }, { (3 << 20) + 69632 + 30, -2, 2 } } },
    { "vhdx-sectors-of-2^31", 'h', "sector size", { { (3 << 20) + (64 << 10) + 32, -4, 1u << 31 } } },
    { "bochs-catalog-2^32", 'b', "Catalog size", { { 72, -4, 0xffffffff } } },
    { "bochs-extent-3", 'b', "at least 512", { { 80, -4, 3 } } },
    { "bochs-extent-2^31", 'b', "too large", { { 80, -4, 1u << 31 } } },
    { "bochs-size-2^63", 'b', "too small", { { 88, -8, 1ull << 62 } } },
    { "bochs-extent-far-away", 'b', NULL, { { 512, -4, 0xfffffff0 } } },
    { "cloop-block-2^31", 'o', "64 MB or less", { { 128, 4, 1u << 31 } } },
    { "cloop-block-0", 'o', "cannot be zero", { { 128, 4, 0 } } },
    { "cloop-count-2^32", 'o', "too many offsets", { { 132, 4, 0xffffffff } } },
    { "cloop-offsets-backwards", 'o', NULL, { { 136, 8, 1ull << 62 } } },
    { "cloop-bomb", 'o', NULL, { { 128, 4, 1 << 26 } } },
    { "cow-size-2^62", 'w', "unsupported cow header", { { 12, 8, 1ull << 62 } } },
    { "cow-align-0", 'w', "unsupported cow header", { { 24, 4, 0 } } },
    { "dmg-chunks-2^32", 'D', NULL, { { 200, 4, 0xffffffff } }, "mish" },
    { "dmg-chunk-of-2^62-sectors", 'D', "larger than max", { { 204 + 16, 8, 1ull << 62 } }, "mish" },
    { "dmg-chunk-of-2^24-sectors", 'D', "larger than max", { { 204 + 16, 8, 1ull << 24 } }, "mish" },
    { "dmg-chunk-packed-2^62", 'D', "larger than max", { { 204 + 32, 8, 1ull << 62 } }, "mish" },
    { "dmg-chunk-far-away", 'D', "larger than max", { { 204 + 24, 8, 1ull << 62 } }, "mish" },
    { "dmg-chunks-at-2^63", 'D', "larger than max", { { 8, 8, 1ull << 63 } }, "mish" },
    { "dmg-fork-at-2^63", 'D', "outside of it", { { 40, 8, 1ull << 63 } }, "koly" },
    { "dmg-fork-of-2^62", 'D', "outside of it", { { 48, 8, 1ull << 62 } }, "koly" },
    { "dmg-xml-at-2^63", 'd', "outside of it", { { 216, 8, 1ull << 63 } }, "koly" },
    { "dmg-xml-of-2^62", 'd', "outside of it", { { 224, 8, 1ull << 62 } }, "koly" },
    { "lzfse-block-of-2^32-bytes", 'Z', NULL, { { 4, -4, 0xffffffff } }, "bvx2" },
    { "lzfse-header-of-2^32-bytes", 'Z', NULL, { { 24, -4, 0xffffffff } }, "bvx2" },
    { "lzfse-strings-too-long", 'Z', NULL, { { 8, -8, 0x7ffffffffffffff } }, "bvx2" },
    { "lzfse-states-too-many", 'Z', NULL, { { 16, -8, ~0ull } }, "bvx2" },
    { "lzfse-frequencies-too-large", 'Z', NULL, { { 32, -8, ~0ull } }, "bvx2" },
    { "lzfse-bits-of-nothing", 'Z', NULL, { { 20, -4, 0 } }, "bvx2" },
    { "lzvn-block-of-2^32-bytes", 'Z', NULL, { { 4, -4, 0xffffffff } }, "bvxn" },
    { "lzvn-string-of-2^32-bytes", 'Z', NULL, { { 8, -4, 0xffffffff } }, "bvxn" },
    { "lzvn-copy-from-before-the-begin", 'Z', NULL, { { 12, 4, 0x3fffff00 } }, "bvxn" },
    { "lzfse-plain-of-2^32-bytes", 'Z', NULL, { { 4, -4, 0xffffffff } }, "bvx-" },
    { "luks-key-iterations-2^32", 'l', "out of range", { { 164, 4, 0xffffffff } } },
    { "luks-slot-iterations-2^32", 'l', "out of range", { { 208 + 4, 4, 0xffffffff } } },
    { "luks-slot-iterations-0", 'l', "out of range", { { 208 + 4, 4, 0 } } },
    { "luks-stripes-2^32", 'l', "is corrupted", { { 208 + 44, 4, 0xffffffff } } },
    { "luks-slot-in-header", 'l', "outside of the header", { { 208 + 40, 4, 0 } } },
    { "luks-slot-far-away", 'l', "outside of the header", { { 208 + 40, 4, 0x7fffffff } } },
    { "luks-slots-overlap", 'l', "overlapping", { { 208 + 48 + 40, 4, 8 } } },
    { "luks-key-of-2^32-bytes", 'l', "not supported", { { 108, 4, 0xffffffff } } },
    { "luks-payload-in-header", 'l', "overlapping with the header", { { 104, 4, 0 } } },
    { "luks-payload-in-slots", 'l', "outside of the header", { { 104, 4, 8 } } },
    { "luks-payload-far-away", 'l', NULL, { { 104, 4, 0xffffffff } } },
    { "luks-no-key", 'l', "Invalid password", { { 208, 4, 0x0000dead } } },
    { "luks-cipher-without-end", 'l', "not supported", { { 8, 8, 0x7878787878787878 }, { 16, 8, 0x7878787878787878 }, { 24, 8, 0x7878787878787878 }, { 32, 8, 0x7878787878787878 } } },
    { "qcow2-cluster-bits-63", 'Q', "Unsupported cluster size", { { 20, 4, 63 } } },
    { "qcow2-size-2^63", 'Q', "too big", { { 24, 8, 1ull << 63 } } },
    { "qcow2-l1-of-2^32-entries", 'Q', "too large", { { 36, 4, 0xffffffff } } },
    { "qcow2-l1-too-short", 'Q', "too small", { { 24, 8, 1ull << 40 } } },
    { "qcow2-l1-at-2^63", 'Q', "offset invalid", { { 40, 8, 1ull << 63 } } },
    { "qcow2-l1-odd", 'Q', "offset invalid", { { 40, 8, 0x3001 } } },
    { "qcow2-counts-at-2^63", 'Q', "offset invalid", { { 48, 8, 1ull << 63 } } },
    { "qcow2-table-of-counts-2^32", 'Q', "too large", { { 56, 4, 0xffffffff } } },
    { "qcow2-snapshots-2^32", 'Q', "too large", { { 60, 4, 0xffffffff } } },
    { "qcow2-snapshots-in-header", 'Q', "too large", { { 60, 4, 60000 }, { 64, 8, 0x1000 } } },
    { "qcow2-count-width-2^63", 'Q', "too large", { { 96, 4, 63 } } },
    { "qcow2-header-of-2^32-bytes", 'Q', "exceeds cluster size", { { 100, 4, 0xffffffff } } },
    { "qcow2-extension-of-2^32-bytes", 'Q', "too large", { { 112, 4, 0x6803f857 }, { 116, 4, 0xffffffff } } },
    { "qcow2-backing-name-2^32", 'Q', "too long", { { 8, 8, 512 }, { 16, 4, 0xffffffff } } },
    { "qcow2-feature-nobody-knows", 'Q', "Unsupported qcow2 feature", { { 72, 8, 1ull << 40 } } },
    { "qcow2-l1-names-itself", 'Q', NULL, { { 0x3000, 8, 0x3000 | 1ull << 63 } } },
    { "qcow2-l1-names-the-counts", 'Q', NULL, { { 0x3000, 8, 0x2000 | 1ull << 63 } } },
    { "qcow2-l2-far-away", 'Q', NULL, { { 0x3000, 8, 1ull << 55 } } },
    { "qcow2-counts-name-themselves", 'Q', NULL, { { 0x1000, 8, 0x1000 } } },
    { "qcow2-counts-far-away", 'Q', NULL, { { 0x1000, 8, 1ull << 62 } } },
    { "qcow2-two-clusters-in-one-place", 'Q', NULL, { { 0x4000, 8, 0x5000 | 1ull << 63 }, { 0x4008, 8, 0x5000 | 1ull << 63 }, { 0x4010, 8, 0x1000 | 1ull << 63 } } },
    { "qcow2-packed-far-away", 'Q', NULL, { { 0x4000, 8, 1ull << 62 | 0x3ffffffffffffffull } } },
    { "qcow2-packed-in-itself", 'Q', NULL, { { 0x4000, 8, 1ull << 62 | 0x0300000000004000ull } } },
    { "qcow2-luks-header-2^62", 'L', "Encryption header", { { 8, 8, 1ull << 62 } }, "\x05\x37\xbe\x77" },
    { "qcow2-luks-header-of-2^62", 'L', "Encryption header", { { 16, 8, 1ull << 62 } }, "\x05\x37\xbe\x77" },
    { "qcow2-luks-stripes-2^32", 'L', "is corrupted", { { 208 + 44, 4, 0xffffffff } }, "LUKS" },
    { "qcow2-luks-iterations-2^32", 'L', "out of range", { { 164, 4, 0xffffffff } }, "LUKS" },
};

static uint64_t last_of(const GByteArray *a, const char *four)
{
    uint64_t at = a->len - 4;

    while (at && memcmp(a->data + at, four, 4)) {
        at--;
    }
    return at;
}

static void test_hostile(gconstpointer opaque)
{
    const Hostile *h = opaque;
    const ImageRow *row = image_row(h->letter);
    g_autofree uint8_t *copy = NULL, *buf = g_malloc(65536);
    const GByteArray *good;
    Error *err = NULL;
    uint64_t end = 0, from;
    Session *s;
    Blk *b;

    setup();
    s = image_session(row);
    if (!s) {
        g_test_skip("no secrets in this build");
        teardown();
        return;
    }
    good = image_good(row);
    from = h->from ? last_of(good, h->from) : 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(h->change); i++) {
        end = MAX(end, from + h->change[i].at + 8);
    }
    g_assert_cmpuint(end, <=, good->len);
    copy = g_memdup2(good->data, good->len);
    for (unsigned i = 0; i < G_N_ELEMENTS(h->change) && h->change[i].size; i++) {
        for (int k = 0, n = ABS(h->change[i].size); k < n; k++) {
            copy[from + h->change[i].at + k] = h->change[i].value >> 8 * (h->change[i].size < 0 ? k : n - 1 - k);
        }
    }
    memdisk_set(copy, good->len);
    b = image_open(row, s, BLK_O_NO_BACKING, &err);
    if (h->says) {
        g_assert_null(b);
        if (!strstr(error_message(err), h->says)) {
            g_error("%s: says '%s', not '%s'", h->name, error_message(err), h->says);
        }
        error_free(err);
    } else {
        BlkCheck c = {};

        g_assert_nonnull(b);
        for (uint64_t at = 0; at + 65536 <= MIN(blk_size(b), 4 << 20); at += 65536) {
            BlkExtent e;

            blk_read(b, at, buf, 65536, 0);
            blk_status(b, at, 65536, true, &e);
        }
        blk_check(b, &c);
        blk_free(b);
    }
    session_free(s);
    teardown();
}

/* ---- a chain that goes round ---- */

static char *chain_file(const char *dir, const char *name, const char *backing)
{
    char *path = g_build_filename(dir, name, NULL);
    g_autoptr(Json) o = json_object();

    json_set_uint(o, "size", 1 << 20);
    if (backing) {
        json_set_string(o, "backing_file", backing);
        json_set_string(o, "backing_fmt", "qcow2");
    }
    g_assert_true(blk_create(session, blk_driver_find("qcow2"), path, o, NULL));
    return path;
}

typedef struct { Blk *b; const char *backing; bool ok; } Rebase;

static void rebase(void *opaque)
{
    Rebase *r = opaque;

    r->ok = blk_node(r->b)->drv->image->change_backing(blk_node(r->b), r->backing, "qcow2", NULL);
}

static void set_backing(const char *path, const char *backing)
{
    Json *o = json_object();
    Rebase r = { .backing = backing };

    json_set_string(o, "driver", "qcow2");
    r.b = blk_open(session, path, o, BLK_O_RDWR | BLK_O_NO_BACKING, BLK_PERM_READ | BLK_PERM_WRITE, BLK_PERM_ALL, NULL);
    g_assert_nonnull(r.b);
    blk_run(loop, rebase, &r);
    g_assert_true(r.ok);
    blk_free(r.b);
}

static void refused(const char *path)
{
    Error *err = NULL;

    g_assert_null(blk_open(session, path, NULL, 0, BLK_PERM_READ, BLK_PERM_ALL, &err));
    g_assert_nonnull(strstr(error_message(err), "infinite loop"));
    error_free(err);
}

static void test_cycle(void)
{
    g_autofree char *dir = g_dir_make_tmp("formats-XXXXXX", NULL), *a, *b, *c;

    setup();
    a = chain_file(dir, "a", NULL);
    b = chain_file(dir, "b", "a");
    c = chain_file(dir, "c", "b");
    set_backing(a, "a");
    refused(a);                             /* itself */
    refused(c);
    set_backing(a, "c");
    refused(a);                             /* a round of three, from each */
    refused(b);
    refused(c);
    unlink(a);
    unlink(b);
    unlink(c);
    rmdir(dir);
    teardown();
}

/* ---- every row of images.c ---- */

static void test_rows(void)
{
    g_autofree uint8_t *buf = g_malloc(65536);

    setup();
    for (const ImageRow *row = image_rows; row->format; row++) {
        Session *s = image_session(row);
        const GByteArray *good = s ? image_good(row) : NULL;
        Error *err = NULL;
        Blk *b;

        if (!s) {
            continue;
        }
        memdisk_set(good->data, good->len);
        image_spill(row);
        b = image_open(row, s, BLK_O_NO_BACKING, &err);
        if (!b && !(row->live && strstr(error_message(err), "log that needs to be replayed"))) {
            g_error("%c: %s: %s", row->letter, row->format, error_message(err));
        }
        error_free(err);
        for (uint64_t at = 0; b && at < blk_size(b); at += 65536) {
            g_assert_cmpint(blk_read(b, at, buf, MIN(65536, blk_size(b) - at), 0), ==, 0);
        }
        g_assert_true(row->letter != 'P' || blk_bitmap_find(blk_node(b), "5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a"));
        blk_free(b);
        session_free(s);
        memdisk_clear();
    }
    teardown();
}

/* ---- the log of VHDX: a cut between the log and the pages, seen by both ---- */

static GByteArray *cut_vhdx(void)
{
    const GByteArray *good = image_good(image_row('h'));
    g_autofree uint8_t *data = g_malloc(1 << 20);
    GByteArray *a = g_byte_array_new();
    const uint8_t *now;
    uint64_t len;
    Blk *b;

    memdisk_set(good->data, good->len);
    b = memdisk_open(session, "vhdx", BLK_O_RDWR, NULL);
    memset(data, 'L', 1 << 20);
    g_assert_cmpint(blk_write(b, 2 << 20, data, 1 << 20, 0), ==, 0);
    memdisk_fail(-1, 0);
    for (unsigned n = 0;; n++) {                /* the first failure after which the header names a log */
        Error *err = NULL;
        Blk *again;

        memdisk_fail(n, EIO);
        if (blk_flush(b) == 0) {
            break;
        }
        now = memdisk_get(&len);
        g_byte_array_set_size(a, 0);
        g_byte_array_append(a, now, len);
        again = memdisk_open(session, "vhdx", 0, &err);
        if (!again && strstr(error_message(err), "log that needs to be replayed")) {
            error_free(err);
            break;
        }
        error_free(err);
        blk_free(again);
    }
    memdisk_fail(-1, 0);
    blk_free(b);
    return a;
}

static void test_vhdx_log(void)
{
    g_autofree char *dir = g_dir_make_tmp("formats-XXXXXX", NULL), *path = g_build_filename(dir, "cut.vhdx", NULL), *program = g_find_program_in_path("qemu-img");
    const char *argv[] = { "qemu-img", "check", "-q", "-r", "all", "-f", "vhdx", path, NULL };
    g_autofree uint8_t *data = g_malloc(1 << 20);
    GByteArray *a;
    int status;
    Blk *b;

    setup();
    a = cut_vhdx();
    g_assert_cmpuint(a->len, >, 0);
    memdisk_set(a->data, a->len);
    b = memdisk_open(session, "vhdx", BLK_O_RDWR, NULL);
    g_assert_nonnull(b);
    g_assert_cmpint(blk_read(b, 2 << 20, data, 1 << 20, 0), ==, 0);
    g_assert_cmpint(data[0], ==, 'L');
    g_assert_cmpint(data[(1 << 20) - 1], ==, 'L');
    blk_free(b);
    b = memdisk_open(session, "vhdx", 0, NULL);         /* and now read-only is fine */
    g_assert_nonnull(b);
    blk_free(b);
    if (program) {
        Error *err = NULL;

        g_assert_true(g_file_set_contents(path, (char *)a->data, a->len, NULL));
        g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, unbounded, NULL, NULL, NULL, &status, NULL));
        g_assert_cmpint(WEXITSTATUS(status), ==, 0);
        b = blk_open(session, path, json_object(), 0, BLK_PERM_READ, BLK_PERM_ALL, &err);
        if (!b) {
            g_error("after the peer's replay: %s", error_message(err));
        }
        memset(data, 0, 1 << 20);
        g_assert_cmpint(blk_read(b, 2 << 20, data, 1 << 20, 0), ==, 0);
        g_assert_cmpint(data[4096], ==, 'L');
        blk_free(b);
        unlink(path);
    }
    rmdir(dir);
    g_byte_array_unref(a);
    teardown();
}

/*
 * More pages of tables than one entry of the log takes, cut after the first entry: bits of sectors go out before the block that they are of is said to
 * be there in parts, for the bits that lie on the medium are those of an older block.
 */
enum { MANY_BLOCKS = 64 << 10, BLOCK = 1 << 20, BLOCK_TABLE = 2 << 20, IN_PARTS = 7, FEW = 4096 };
#define OVER_RAW ", \"backing\": {\"driver\": \"raw\", \"file\": {\"driver\": \"file\", \"filename\": \"%s\"}}"

static void write_byte(Blk *b, uint64_t off, uint64_t len, char byte)
{
    g_autofree uint8_t *data = g_malloc(len);

    memset(data, byte, len);
    g_assert_cmpint(blk_write(b, off, data, len, 0), ==, 0);
}

static void make_empty(void *opaque)
{
    g_assert_cmpint(blk_make_empty(opaque), ==, 0);
}

/* A child whose first block was all there, in two parts, and was committed: its bits are set, and nothing is there.  Its bytes are the disk in memory's. */
static void child_with_old_bits(const char *dir, const char *over)
{
    g_autofree char *parent = g_build_filename(dir, "parent.vhdx", NULL), *child = g_build_filename(dir, "child.vhdx", NULL), *bytes = NULL;
    g_autoptr(Json) o = json_object();
    gsize len;
    Blk *b;

    json_set_uint(o, "size", (uint64_t)MANY_BLOCKS * BLOCK);
    json_set_uint(o, "block_size", BLOCK);
    g_assert_true(blk_create(session, blk_driver_find("vhdx"), parent, o, NULL));
    json_set_string(o, "backing_file", parent);
    json_set_string(o, "backing_fmt", "vhdx");
    g_assert_true(blk_create(session, blk_driver_find("vhdx"), child, o, NULL));
    g_assert_true(g_file_get_contents(child, &bytes, &len, NULL));
    unlink(child);
    unlink(parent);
    memdisk_set(bytes, len);
    b = memdisk_open_more(session, "vhdx", over, BLK_O_RDWR, NULL);
    g_assert_nonnull(b);
    write_byte(b, 0, BLOCK / 2, 'A');
    write_byte(b, BLOCK / 2, BLOCK / 2, 'A');
    blk_run(NULL, make_empty, blk_node(b));
    blk_free(b);
}

/* Flushes, each of which fails at a later write than the one before, until the table on the medium says that the first block is there in parts. */
static GByteArray *cut_when_in_parts(Blk *b)
{
    GByteArray *a = g_byte_array_new();
    const uint8_t *now;
    uint64_t len;

    for (unsigned n = 0;; n++) {
        int r;

        memdisk_fail(n, EIO);
        r = blk_flush(b);
        now = memdisk_get(&len);
        if ((now[BLOCK_TABLE] & 7) == IN_PARTS) {
            break;
        }
        g_assert_cmpint(r, !=, 0);
    }
    memdisk_fail(-1, 0);
    g_byte_array_append(a, now, len);
    return a;
}

static void test_vhdx_log_order(void)
{
    g_autofree char *dir = g_dir_make_tmp("formats-XXXXXX", NULL), *raw = g_build_filename(dir, "raw", NULL), *over = g_strdup_printf(OVER_RAW, raw), *old = g_malloc(BLOCK);
    GByteArray *a;
    Blk *b;

    setup();
    memset(old, 'P', BLOCK);
    g_assert_true(g_file_set_contents(raw, old, BLOCK, NULL));
    child_with_old_bits(dir, over);
    b = memdisk_open_more(session, "vhdx", over, BLK_O_RDWR, NULL);
    g_assert_cmpint(blk_zeroes(b, BLOCK, (MANY_BLOCKS - 1ull) * BLOCK, BLK_MAY_UNMAP | BLK_NO_FALLBACK), ==, 0);       /* every page of the table */
    write_byte(b, 0, FEW, 'B');
    a = cut_when_in_parts(b);
    blk_free(b);
    memdisk_set(a->data, a->len);
    b = memdisk_open_more(session, "vhdx", over, BLK_O_RDWR, NULL);
    g_assert_nonnull(b);
    g_assert_cmpint(blk_read(b, 0, old, BLOCK, 0), ==, 0);
    g_assert_cmpint(old[0], ==, 'B');
    for (unsigned i = FEW; i < BLOCK; i++) {
        g_assert_cmpint(old[i], ==, 'P');
    }
    blk_free(b);
    g_byte_array_unref(a);
    unlink(raw);
    rmdir(dir);
    teardown();
}

/* An image that wants more than this is one that has won.  (A sanitizer's shadow alone is larger.) */
static void bounded(void)
{
    struct rlimit memory = { 768 << 20, RLIM_INFINITY }, seconds = { 120, 120 };

#if !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
    setrlimit(RLIMIT_AS, &memory);
#endif
    (void)memory;
    setrlimit(RLIMIT_CPU, &seconds);
}

int main(int argc, char **argv)
{
    int r;

    bounded();
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(readers); i++) {
        g_autofree char *name = g_strconcat("/formats/read/", readers[i].name, NULL);
        g_test_add_data_func(name, GUINT_TO_POINTER(i), test_reader);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(published); i++) {
        g_autofree char *name = g_strconcat("/formats/lzfse/published/", published[i].name, NULL);
        g_test_add_data_func(name, GUINT_TO_POINTER(i), test_published);
    }
    g_test_add_func("/formats/lzfse/packed", test_packed);
    for (unsigned i = 0; i < G_N_ELEMENTS(hostile); i++) {
        g_autofree char *name = g_strconcat("/formats/hostile/", hostile[i].name, NULL);
        g_test_add_data_func(name, &hostile[i], test_hostile);
    }
    g_test_add_func("/formats/hostile/chain-goes-round", test_cycle);
    g_test_add_func("/formats/rows", test_rows);
    g_test_add_func("/formats/vhdx-log", test_vhdx_log);
    g_test_add_func("/formats/vhdx-log-order", test_vhdx_log_order);
    r = g_test_run();
    images_free();
    return r;
}
