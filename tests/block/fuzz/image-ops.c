/* SPDX-License-Identifier: MIT */
/*
 * What inputs of fuzz-formats do with an image.  An operation is four bytes:
 * a code (top bit: places count from the end), a place in 256 bytes (big
 * endian), a length (top bit: in 4 KiB, else in 100 bytes).
 */
#include <stdio.h>
#include <string.h>

#include "block/bitmap.h"
#include "block/image.h"
#include "tests/block/fuzz/image-input.h"

enum { BUFFER = 128 * 4096, GROW_MAX = 8 << 20, IN_FLIGHT = 6 };

typedef struct Work {
    const ImageInput *in;
    Session *s;
    Loop *loop;
    Blk *b;
    uint8_t *buf;
    const uint8_t *op;
    uint64_t at, len;
    unsigned pending;
} Work;

static void line(void *opaque, const char *text)
{
    if (g_getenv("RHEA_FUZZ_SAVE")) {
        fprintf(stderr, "check: %s\n", text);
    }
}

static const BlkImageOps *image_of(const Work *w)
{
    return blk_node(w->b)->drv->image;
}

static void do_read(Work *w)
{
    blk_read(w->b, w->at, w->buf, w->len, 0);
}

static void do_write(Work *w)
{
    memset(w->buf, w->op[3] | 1, w->len);
    blk_write(w->b, w->at, w->buf, w->len, w->op[2] & 1 ? BLK_FUA : 0);
}

static void do_packed(Work *w)
{
    memset(w->buf, w->op[3] | 1, w->len);
    blk_write(w->b, w->at, w->buf, w->len, BLK_COMPRESSED_WRITE);
}

static void do_zeroes(Work *w)
{
    blk_zeroes(w->b, w->at, w->len, w->op[2] & 1 ? BLK_MAY_UNMAP : 0);
}

static void do_discard(Work *w)
{
    blk_discard(w->b, w->at, w->len);
}

static void do_flush(Work *w)
{
    blk_flush(w->b);
}

/* At most 200 extents. */
static void do_status(Work *w)
{
    uint64_t size = blk_size(w->b);
    BlkExtent e;

    for (unsigned i = 0; i < 200 && w->at < size; i++, w->at += e.len) {
        if (blk_status(w->b, w->at, size - w->at, w->op[3] & 1, &e) < 0 || !e.len) {
            return;
        }
    }
}

static void do_check(Work *w)
{
    bool repair = !blk_read_only(w->b) && w->op[3] & 1;
    BlkCheck c = { .report = line, .repair_leaks = repair, .repair_all = repair && w->op[3] & 2 };

    if (blk_size(w->b) < 1ull << 36) {
        blk_check(w->b, &c);
    }
}

static void do_resize(Work *w)
{
    uint64_t size = blk_size(w->b), to = w->op[3] & 1 ? size + w->at % GROW_MAX : w->at;

    blk_resize(w->b, to, w->op[3] & 2 ? BLK_PREALLOC_METADATA : BLK_PREALLOC_OFF, NULL);
}

static void do_reopen(Work *w)
{
    unsigned mode = w->op[3] & 1 ? BLK_O_CHECK : BLK_O_RDWR;

    blk_free(w->b);
    w->b = image_open(w->in->row, w->s, mode | BLK_O_NO_BACKING | (w->op[3] & 2 ? BLK_O_UNMAP : 0), NULL);
}

/* ---- what has no call for whoever holds a Blk: in a fiber ---- */

static void snapshot_fiber(void *opaque)
{
    Work *w = opaque;
    BlkNode *n = blk_node(w->b);
    const BlkImageOps *ops = n->drv->image;
    char name[2] = { (char)('r' + w->op[2] % 4) };
    BlkSnapshot sn = { .name = name, .vm_state_size = 0, .icount = UINT64_MAX };
    GPtrArray *list;

    switch (w->op[3] % 4) {
    case 0:
        if (ops->snapshot_create && !n->read_only) {
            ops->snapshot_create(n, &sn, NULL);
        }
        return;
    case 1:
        if (ops->snapshot_apply && !n->read_only) {
            ops->snapshot_apply(n, name, NULL);
        }
        return;
    case 2:
        if (ops->snapshot_delete && !n->read_only) {
            ops->snapshot_delete(n, name, NULL);
        }
        return;
    default:
        list = ops->snapshot_list ? ops->snapshot_list(n) : NULL;
        if (list) {
            json_unref(blk_snapshots_info(list));
            g_ptr_array_unref(list);
        }
    }
}

static void bitmap_fiber(void *opaque)
{
    Work *w = opaque;
    BlkNode *n = blk_node(w->b);
    const BlkImageOps *ops = n->drv->image;
    const char *name = w->op[2] & 1 ? "b" : "c";
    BlkBitmap *b = blk_bitmap_find(n, name);

    if (n->read_only || !ops->bitmap_can_store) {
        return;
    }
    if (!b && w->op[3] & 1) {
        b = blk_bitmap_new(n, name, w->op[3] & 2 ? 512 : 0, NULL);
        if (b && !(b->persistent = ops->bitmap_can_store(n, name, NULL))) {
            blk_bitmap_free(b);
        }
    } else if (b && !(w->op[3] & 1)) {
        if (!b->stored || ops->bitmap_remove(n, name, NULL)) {
            blk_bitmap_free(b);
        }
    } else if (b && !b->inconsistent && w->op[3] & 4) {
        blk_bitmap_clear_all(b);
    }
}

static void info_fiber(void *opaque)
{
    Work *w = opaque;
    BlkNode *n = blk_node(w->b);
    const BlkImageOps *ops = n->drv->image;

    if (ops->info) {
        json_unref(ops->info(n));
    }
    if (ops->dirty) {
        ops->dirty(n);
    }
    json_unref(blk_bitmaps_info(n));
}

static void empty_fiber(void *opaque)
{
    Work *w = opaque;
    BlkNode *n = blk_node(w->b);

    if (n->drv->image->make_empty && !n->read_only) {
        n->drv->image->make_empty(n, blk_size(w->b));
    }
}

static void backing_fiber(void *opaque)
{
    Work *w = opaque;
    BlkNode *n = blk_node(w->b);

    if (n->drv->image->change_backing && !n->read_only) {
        n->drv->image->change_backing(n, w->op[3] & 1 ? "base" : NULL, w->op[3] & 1 ? "raw" : NULL, NULL);
    }
}

static void amend_fiber(void *opaque)
{
    static const uint8_t widths[8] = { 1, 2, 4, 8, 16, 32, 64, 16 };
    Work *w = opaque;
    BlkNode *n = blk_node(w->b);
    bool inner = !strcmp(n->drv->name, "qcow2");
    Json *o = json_object();

    switch (w->op[3] % 5) {
    case 0:
        json_set_string(o, "compat", w->op[2] & 1 ? "0.10" : "1.1");
        break;
    case 1:
        json_set_uint(o, "refcount_bits", widths[w->op[2] % 8]);
        break;
    case 2:
        json_set_bool(o, "lazy_refcounts", w->op[2] & 1);
        break;
    case 3:
        json_set_uint(o, "size", w->at % GROW_MAX);
        break;
    default:
        json_set_string(o, inner ? "encrypt.state" : "state", "inactive");
        json_set_uint(o, inner ? "encrypt.keyslot" : "keyslot", w->op[2] % 8);
    }
    if (n->drv->image->amend && !n->read_only && blk_size(w->b) < 1ull << 36) {
        n->drv->image->amend(n, o, true, NULL);
    }
    json_unref(o);
}

static void in_fiber(Work *w, FiberFn *fn)
{
    if (image_of(w)) {
        fiber_call(w->loop, fn, w);
    }
}

static void do_snapshot(Work *w)
{
    in_fiber(w, snapshot_fiber);
}

static void do_bitmap(Work *w)
{
    in_fiber(w, bitmap_fiber);
}

static void do_info(Work *w)
{
    in_fiber(w, info_fiber);
}

static void do_empty(Work *w)
{
    in_fiber(w, empty_fiber);
}

static void do_backing(Work *w)
{
    in_fiber(w, backing_fiber);
}

static void do_amend(Work *w)
{
    in_fiber(w, amend_fiber);
}

static void do_fail(Work *w)
{
    memdisk_fail(w->op[3] % 32, w->op[2] & 1 ? 28 : 5);         /* ENOSPC, EIO */
}

/* ---- several at a time ---- */

static void one_done(BlkReq *r, int result)
{
    ((Work *)r->opaque)->pending--;
}

static void do_flight(Work *w)
{
    BlkReq reqs[IN_FLIGHT] = {};
    struct iovec iov[IN_FLIGHT];
    static const BlkOp kinds[4] = { BLK_WRITE, BLK_READ, BLK_ZEROES, BLK_DISCARD };

    w->pending = IN_FLIGHT;
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        uint64_t len = MAX(MIN(w->len, 32768), 512) >> (i % 3);

        iov[i] = (struct iovec){ w->buf + i * 32768, len };
        reqs[i] = (BlkReq){ .blk = w->b, .op = kinds[(w->op[3] >> i) % 4], .off = w->at + i * len / 2, .len = len, .iov = &iov[i], .iovcnt = 1, .done = one_done, .opaque = w,
                            .flags = i & 1 ? 0 : BLK_MAY_UNMAP & -((w->op[3] >> i) % 4 == 2) };
        blk_submit(&reqs[i]);
    }
    while (w->pending) {
        loop_step(w->loop, true);
    }
}

static void (*const codes[])(Work *w) = {
    do_read, do_write, do_packed, do_zeroes, do_discard, do_flush, do_status, do_check, do_resize, do_reopen, do_snapshot, do_bitmap, do_info, do_empty, do_backing, do_fail, do_flight, do_amend,
};

bool image_ops_keep_flags(const ImageInput *in)
{
    bool fail = false, check = false;

    for (unsigned i = 0; i < in->n_ops; i++) {
        void (*fn)(Work *w) = codes[(in->ops[i * IN_OP] & 0x1f) % G_N_ELEMENTS(codes)];

        fail |= fn == do_fail;
        check |= fn == do_check;
    }
    return !fail || !check;
}

Blk *image_ops(const ImageInput *in, Session *s, Loop *loop, Blk *b)
{
    static uint8_t buf[BUFFER];
    Work w = { .in = in, .s = s, .loop = loop, .b = b, .buf = buf };

    memset(buf, 0, BUFFER);
    for (unsigned i = 0; i < in->n_ops && w.b; i++) {
        uint64_t size = blk_size(w.b);

        w.op = in->ops + i * IN_OP;
        w.at = (uint64_t)(w.op[1] << 8 | w.op[2]) * 256;
        w.at = w.op[0] & 0x80 ? size - MIN(w.at, size) : w.at;
        w.len = w.op[3] & 0x80 ? (w.op[3] & 0x7f) * 4096u : w.op[3] * 100u;
        codes[(w.op[0] & 0x1f) % G_N_ELEMENTS(codes)](&w);
    }
    memdisk_fail(-1, 0);
    return w.b;
}
