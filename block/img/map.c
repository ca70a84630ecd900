/* SPDX-License-Identifier: MIT */
/* map */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "block/img/img-priv.h"

typedef struct {
    Img *im;
    Blk *b;
    uint64_t at, end;
    bool json, first;
    BlkExtent last;
    uint64_t last_off;
    int error;
} Map;

static bool same(const BlkExtent *a, const BlkExtent *b)
{
    unsigned bits = BLK_EXT_DATA | BLK_EXT_ZERO | BLK_EXT_ALLOCATED | BLK_EXT_OFFSET | BLK_EXT_COMPRESSED;

    return (a->flags & bits) == (b->flags & bits) && a->depth == b->depth && (!(a->flags & BLK_EXT_OFFSET) || (a->node == b->node && a->offset + a->len == b->offset));
}

static const char *file_name(const BlkExtent *e)
{
    return e->node->filename;
}

/* A million lines are usual: numbers are written by hand, which is three times as fast as printf. */
static char *put(char *p, const char *text)
{
    return stpcpy(p, text);
}

static char *put_number(char *p, uint64_t v)
{
    char digits[20];
    unsigned n = sizeof(digits);

    do {
        digits[--n] = '0' + v % 10;
        v /= 10;
    } while (v);
    return mempcpy(p, digits + n, sizeof(digits) - n);
}

static char *put_bool(char *p, bool v)
{
    return put(p, v ? "true" : "false");
}

static void print_json(Map *m, const BlkExtent *e)
{
    char line[256], *p = line;

    p = put(p, m->first ? "{ \"start\": " : ",\n{ \"start\": ");
    p = put_number(p, m->last_off);
    p = put(p, ", \"length\": ");
    p = put_number(p, e->len);
    p = put(p, ", \"depth\": ");
    p = put_number(p, e->depth);
    p = put(p, ", \"present\": ");
    p = put_bool(p, e->flags & BLK_EXT_ALLOCATED);
    p = put(p, ", \"zero\": ");
    p = put_bool(p, e->flags & BLK_EXT_ZERO);
    p = put(p, ", \"data\": ");
    p = put_bool(p, e->flags & BLK_EXT_DATA);
    p = put(p, ", \"compressed\": ");
    p = put_bool(p, e->flags & BLK_EXT_COMPRESSED);
    if (e->flags & BLK_EXT_OFFSET) {
        p = put(p, ", \"offset\": ");
        p = put_number(p, e->offset);
    }
    *p++ = '}';
    fwrite_unlocked(line, 1, p - line, stdout);
    m->first = false;
}

static int print_one(Map *m)
{
    const BlkExtent *e = &m->last;

    if (m->json) {
        print_json(m, e);
    } else if ((e->flags & BLK_EXT_DATA) && !(e->flags & BLK_EXT_ZERO)) {
        if (!(e->flags & BLK_EXT_OFFSET)) {
            return img_error(m->im, "File contains external, encrypted or compressed clusters.");
        }
        printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", m->last_off, e->len, e->offset, file_name(e));
    }
    return 0;
}

static void run_map(void *opaque)
{
    Map *m = opaque;

    while (m->at < m->end && !m->error) {
        BlkExtent e;

        m->error = node_status_chain(blk_node(m->b), NULL, m->at, m->end - m->at, &e);
        if (m->error < 0 || !e.len) {
            return;
        }
        m->error = node_status_refine(&e);
        if (m->last.len && same(&m->last, &e)) {
            m->last.len += e.len;
        } else {
            if (m->last.len && print_one(m)) {
                m->error = 1;
                return;
            }
            m->last = e;
            m->last_off = m->at;
        }
        m->at += e.len;
    }
    if (m->last.len && m->error == 0 && print_one(m)) {
        m->error = 1;
    }
}

int img_map(Img *im, int argc, char **argv)
{
    const char *format = NULL;
    uint64_t start = 0, max = UINT64_MAX;
    Map m = { .im = im, .first = true };
    int c;

    while ((c = img_getopt(im, argc, argv)) != -1) {
        if (c == -2 || (c == OPT_OUTPUT && !img_is_json(im, optarg, &m.json)) || (c == 's' && !img_size(im, optarg, "start offset", 1, &start)) ||
            (c == 'l' && !img_size(im, optarg, "max length", 1, &max))) {
            return 1;
        }
        format = c == 'f' ? optarg : format;
    }
    if (argc - optind != 1) {
        return img_try_help(im, "Expecting one image file name");
    }
    m.b = img_open(im, argv[optind], format, BLK_O_ONCE);
    if (!m.b) {
        return 1;
    }
    m.at = MIN(start, blk_size(m.b));
    m.end = m.at + MIN(max, blk_size(m.b) - m.at);
    printf("%s", m.json ? "[" : "Offset          Length          Mapped to       File\n");
    img_run(im, run_map, &m);
    printf("%s", m.json ? "]\n" : "");
    if (m.error < 0) {
        img_error(im, "Failed to read image metadata: %s", g_strerror(-m.error));
    }
    blk_free(m.b);
    return m.error != 0;
}
