/* SPDX-License-Identifier: MIT */
/* Creating images, and what image tools share. */
#include "block/image.h"

#include <errno.h>

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
    const BlkImageOps *ops = blk_node(k->b)->drv->image;

    k->result = ops && ops->check ? ops->check(blk_node(k->b), k->c) : -ENOTSUP;
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

    c->ok = c->drv->create(c->s, c->filename, c->options, c->errp);
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
