/* SPDX-License-Identifier: MIT */
/* Creating images, and what image tools share. */
#include "block/image.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { CLEARED = 4096 };                /* bytes that a name of a format could lie in */

void blk_snapshot_free(BlkSnapshot *sn)
{
    if (sn) {
        g_free(sn->id);
        g_free(sn->name);
        g_free(sn);
    }
}

typedef struct {
    Blk *b;
    BlkCheck *c;
    int result;
} Check;

static void run_check(void *opaque)
{
    Check *k = opaque;
    BlkNode *n = blk_node(k->b);
    const BlkImageOps *ops = n->drv->image;

    if (!ops || !ops->check) {
        k->result = -ENOTSUP;
        return;
    }
    k->result = n->read_only ? 0 : node_flush(n);       /* tables are read from the file */
    k->result = k->result ? k->result : ops->check(n, k->c);
}

int blk_check(Blk *b, BlkCheck *c)
{
    Check k = { b, c, 0 };

    blk_run(blk_loop(b), run_check, &k);
    return k.result;
}

typedef struct {
    Session *s;
    const BlkDriver *drv;
    const char *filename;
    Json *options;
    Error **errp;
    bool ok;
} Create;

static void run_create(void *opaque)
{
    Create *c = opaque;
    bool there = blk_host_file_there(c->filename);

    c->ok = blk_host_file_prepare(c->filename, c->options, c->errp) && c->drv->create(c->s, c->filename, c->options, c->errp) &&
            (c->drv->preallocates || blk_host_file_finish(c->filename, c->options, c->errp));
    if (!c->ok && !there) {                     /* half an image is none */
        blk_host_file_remove(c->filename);
    }
}

bool blk_create(Session *s, const BlkDriver *drv, const char *filename, Json *options, Error **errp)
{
    Create c = { s, drv, filename, options, errp, false };

    if (!drv->create) {
        return error_set(errp, "Format driver '%s' does not support image creation", drv->name);
    }
    blk_run(NULL, run_create, &c);
    return c.ok;
}

bool blk_can_make(const char *filename, Error **errp)
{
    const BlkDriver *d = blk_protocol_of(filename, errp);
    bool host = d && (!strcmp(d->name, "file") || !strcmp(d->name, "host_device"));

    return host || (d && d->make) || (d && error_set(errp, "Protocol driver '%s' does not support image creation", d->name));
}

bool blk_make_there(Session *s, const char *filename, uint64_t size, Error **errp)
{
    Blk *b = blk_open(s, filename, NULL, BLK_O_RDWR | BLK_O_PROTOCOL_NODE | BLK_O_UNMAP, BLK_PERM_READ | BLK_PERM_WRITE, BLK_PERM_READ, errp);
    int r = 0;
    bool ok;

    if (!b) {
        return false;
    }
    ok = blk_size(b) >= size || error_set(errp, "Cannot grow %s nodes: it has %" PRIu64 " bytes, %" PRIu64 " are needed", blk_node(b)->drv->name, blk_size(b), size);
    if (ok) {
        r = node_zeroes(blk_node(b), 0, MIN(blk_size(b), CLEARED), BLK_MAY_UNMAP);
        r = r ? r : node_flush(blk_node(b));
    }
    blk_free(b);
    return ok && (r == 0 || error_set_errno(errp, -r, "Failed to clear what is at '%s'", filename));
}

bool blk_can_change_backing(const BlkNode *n, Error **errp)
{
    return (n->drv->image && n->drv->image->change_backing) || error_set(errp, "images of format '%s' can not be given another backing file", n->drv->name);
}

enum { COMMIT_CHUNK = 1 << 20 };

static int commit_piece(BlkNode *top, Blk *base, const BlkExtent *e, uint64_t off, uint8_t *buf)
{
    int r;

    if (e->flags & BLK_EXT_ZERO) {
        return blk_zeroes(base, off, e->len, BLK_MAY_UNMAP);
    }
    r = node_read(top, off, e->len, BLK_VEC1(buf, e->len), 0);
    return r ? r : blk_write(base, off, buf, e->len, 0);
}

int blk_commit_data(BlkNode *top, Blk *base, BlkCommitStep *step, void *opaque)
{
    uint64_t size = node_size(top);
    uint8_t *buf = blk_buffer(COMMIT_CHUNK);
    int r = 0;

    for (uint64_t off = 0; off < size && r == 0;) {
        BlkExtent e;

        r = node_status_chain(top, blk_node(base), off, size - off, &e);
        if (r < 0 || !e.len) {
            r = r ? r : -EIO;
            break;
        }
        if (e.flags & BLK_EXT_ALLOCATED) {
            bool data = !(e.flags & BLK_EXT_ZERO);

            e.len = data ? MIN(e.len, COMMIT_CHUNK) : e.len;
            if (step && data) {
                step(opaque, e.len, 100.0 * off / size);
            }
            r = commit_piece(top, base, &e, off, buf);
        }
        off += e.len;
        if (step) {
            step(opaque, 0, 100.0 * off / size);
        }
    }
    free(buf);
    return r ? r : blk_flush(base);
}

int blk_make_empty(BlkNode *top)
{
    const BlkImageOps *ops = top->drv->image;

    return ops && ops->make_empty ? ops->make_empty(top, node_size(top)) : 0;
}

static bool is_thin(const BlkNode *n, const Json *created)
{
    const char *prealloc = json_get_string(created, "preallocation");

    return n->drv->image && n->drv->image->thin && (!prealloc || !strcmp(prealloc, "off"));
}

bool blk_fresh_is_zero(const BlkNode *n, const Json *created)
{
    bool thin = is_thin(n, created), encrypted = json_get(created, "encrypt.format") || json_get_bool(created, "encryption", false);

    if (!n->drv->zero_init || json_get_bool(created, "keep_data_file", false) || (encrypted && !thin)) {
        return false;
    }
    for (const BlkChild *c = n->children; c; c = c->next) {
        bool unread = c->role == BLK_CHILD_BACKING || (thin && c == n->file && c->role == BLK_CHILD_FILE);

        if (!unread && !blk_fresh_is_zero(c->node, NULL)) {
            return false;
        }
    }
    return true;
}

typedef struct {
    Blk *b;
    const char *name;
    Error **errp;
    bool ok;
} Load;

static void run_load(void *opaque)
{
    Load *l = opaque;

    l->ok = blk_node(l->b)->drv->image->snapshot_load(blk_node(l->b), l->name, l->errp);
}

bool blk_snapshot_load(Blk *b, const char *name, Error **errp)
{
    Load l = { b, name, errp, false };

    blk_run(blk_loop(b), run_load, &l);
    return l.ok;
}

typedef struct {
    BlkNode *n;
    Error **errp;
    bool ok;
} Reopen;

static bool reopen(BlkNode *n, Error **errp)
{
    if (!n->read_only) {
        return true;
    }
    for (BlkChild *c = n->children; c; c = c->next) {
        if (c->role != BLK_CHILD_BACKING && !reopen(c->node, errp)) {
            return false;
        }
    }
    n->read_only = false;
    n->flags |= BLK_O_RDWR | (n->drv->kind & BLK_DRV_PROTOCOL ? BLK_O_UNMAP : 0);
    if ((n->drv->reopen_rw && !n->drv->reopen_rw(n, errp)) || !blk_refresh_perms(n, errp)) {
        n->read_only = true;
        n->flags &= ~BLK_O_RDWR;
        return false;
    }
    return true;
}

static void run_reopen(void *opaque)
{
    Reopen *r = opaque;

    r->ok = reopen(r->n, r->errp);
}

bool blk_reopen_rw(BlkNode *n, Error **errp)
{
    Reopen r = { n, errp, false };

    blk_run(NULL, run_reopen, &r);
    return r.ok;
}
