/* SPDX-License-Identifier: MIT */
/* compare: 0 equal, 1 different, 2 trouble */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/img/img-priv.h"

enum { CHUNK = 2 << 20 };

typedef struct {
    Img *im;
    Blk *b[2];
    const char *name[2];
    bool strict;
    int status;
} Compare;

static int differ(Compare *k, const char *fmt, uint64_t at)
{
    g_autofree char *text = g_strdup_printf("%s", fmt);

    if (strstr(text, "offset")) {
        img_print(k->im, "Content mismatch at offset %" PRIu64 "!\n", at);
    } else {
        img_print(k->im, "%s\n", text);
    }
    return 1;
}

static uint64_t first_difference(const uint8_t *a, const uint8_t *b, uint64_t len)
{
    uint64_t i = 0;

    while (i < len && a[i] == b[i]) {
        i++;
    }
    return i & ~511ull;
}

static int trouble(Compare *k, unsigned i, uint64_t at, int r)
{
    img_error(k->im, "Error while reading offset %" PRIu64 " of %s: %s", at, k->name[i], g_strerror(-r));
    return 4;
}

static int compare_range(Compare *k, uint8_t *buf, uint64_t at, uint64_t end)
{
    while (at < end) {
        BlkExtent e[2];
        uint64_t len = end - at;
        bool zero[2];

        for (unsigned i = 0; i < 2; i++) {
            int r = blk_status(k->b[i], at, len, true, &e[i]);
            if (r < 0 || !e[i].len) {
                img_error(k->im, "Sector allocation test failed for %s", k->name[i]);
                return 3;
            }
            len = MIN(len, e[i].len);
            zero[i] = e[i].flags & BLK_EXT_ZERO;
        }
        if (k->strict && !(e[0].flags & BLK_EXT_ALLOCATED) != !(e[1].flags & BLK_EXT_ALLOCATED)) {
            return differ(k, "Strict mode: Offset allocation mismatch!", at);
        }
        if (!zero[0] || !zero[1]) {
            len = MIN(len, CHUNK);
            for (unsigned i = 0; i < 2; i++) {
                int r = zero[i] ? 0 : blk_read(k->b[i], at, buf + i * CHUNK, len, 0);
                if (r < 0) {
                    return trouble(k, i, at, r);
                }
                if (zero[i]) {
                    memset(buf + i * CHUNK, 0, len);
                }
            }
            if (memcmp(buf, buf + CHUNK, len)) {
                return differ(k, "offset", at + first_difference(buf, buf + CHUNK, len));
            }
        }
        at += len;
        img_progress(k->im, 100.0 * at / MAX(1, end));
    }
    return 0;
}

/* What one has more than the other must be zero. */
static int compare_rest(Compare *k, uint8_t *buf, uint64_t at)
{
    unsigned i = blk_size(k->b[0]) > at ? 0 : 1;
    uint64_t end = blk_size(k->b[i]);

    img_print(k->im, "Warning: Image size mismatch!\n");
    while (at < end) {
        BlkExtent e;
        uint64_t len;
        int r = blk_status(k->b[i], at, end - at, true, &e);

        if (r < 0 || !e.len) {
            return 3;
        }
        len = e.len;
        if (!(e.flags & BLK_EXT_ZERO)) {
            len = MIN(len, CHUNK);
            r = blk_read(k->b[i], at, buf, len, 0);
            if (r < 0) {
                return trouble(k, i, at, r);
            }
            if (!img_is_zero(buf, len)) {
                memset(buf + CHUNK, 0, len);
                return differ(k, "offset", at + first_difference(buf, buf + CHUNK, len));
            }
        }
        at += len;
    }
    return 0;
}

static void run_compare(void *opaque)
{
    Compare *k = opaque;
    uint64_t common = MIN(blk_size(k->b[0]), blk_size(k->b[1]));
    uint8_t *buf = blk_buffer(2 * CHUNK);

    if (k->strict && blk_size(k->b[0]) != blk_size(k->b[1])) {
        k->status = differ(k, "Strict mode: Image size mismatch!", 0);
    } else {
        k->status = compare_range(k, buf, 0, common);
    }
    if (k->status == 0 && blk_size(k->b[0]) != blk_size(k->b[1])) {
        k->status = compare_rest(k, buf, common);
    }
    if (k->status == 0) {
        img_print(k->im, "Images are identical.\n");
    }
    free(buf);
}

int img_compare(Img *im, int argc, char **argv)
{
    const char *format[2] = {};
    Compare k = { .im = im };
    unsigned flags = BLK_O_ONCE;
    int c;

    while ((c = img_getopt(im, argc, argv)) != -1) {
        if (c == -2 || (c == 'T' && !img_cache(im, optarg, "source ", &flags))) {
            return 1;
        }
        format[0] = c == 'f' ? optarg : format[0];
        format[1] = c == 'F' ? optarg : format[1];
        k.strict |= c == 's';
    }
    if (argc - optind != 2) {
        return img_try_help(im, "Expecting two image file names");
    }
    k.status = 2;
    for (unsigned i = 0; i < 2; i++) {
        k.name[i] = argv[optind + i];
        k.b[i] = img_open(im, k.name[i], format[i], flags);
        if (!k.b[i]) {
            goto out;
        }
    }
    img_run(im, run_compare, &k);
    img_progress_end(im);
out:
    blk_free(k.b[0]);
    blk_free(k.b[1]);
    return k.status;
}
