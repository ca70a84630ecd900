/* SPDX-License-Identifier: MIT */
/* A node with limits: requests wait for the turn of their throttle group. */
#include "block/filter/filter.h"

#include "block/throttle.h"

typedef struct {
    ThrottleMember *member;
} Throttle;

static const OptKey throttle_keys[] = {
    { "throttle-group", OPT_STRING, "id of the group with the limits" },
    { "file", OPT_ANY, "what is limited" },
    {}
};

static bool throttle_open(BlkNode *n, Json *o, Error **errp)
{
    Throttle *s = n->state;
    const char *name = json_get_string(o, "throttle-group");
    ThrottleGroup *g = name ? throttle_group_find(n->session, name) : NULL;

    if (!name) {
        return error_set(errp, "Please specify a throttle group");
    }
    if (!g) {
        return error_set(errp, "Throttle group '%s' does not exist", name);
    }
    if (!filter_open(n, o, "file", errp)) {
        return false;
    }
    s->member = throttle_join(g);
    return true;
}

static void throttle_close(BlkNode *n)
{
    throttle_leave(((Throttle *)n->state)->member);
}

/* Another group, from the next request on. */
static void *throttle_reopen_prepare(BlkNode *n, Json *o, unsigned flags, Error **errp)
{
    const char *name = json_get_string(o, "throttle-group");
    ThrottleGroup *g = name ? throttle_group_find(n->session, name) : NULL;

    if (!name) {
        error_set(errp, "Please specify a throttle group");
    } else if (!g) {
        error_set(errp, "Throttle group '%s' does not exist", name);
    }
    return g ? throttle_join(g) : NULL;
}

static void throttle_reopen_commit(BlkNode *n, void *state)
{
    Throttle *s = n->state;
    ThrottleMember *old = s->member;

    s->member = state;
    for (unsigned times = throttle_drained_times(old); times; times--) {
        throttle_drain(s->member, true);
    }
    throttle_leave(old);
}

static void throttle_reopen_abort(BlkNode *n, void *state)
{
    throttle_leave(state);
}

static void throttle_drained(BlkNode *n, bool on)
{
    throttle_drain(((Throttle *)n->state)->member, on);
}

static int turn(BlkNode *n, bool write, uint64_t bytes)
{
    return throttle_io(((Throttle *)n->state)->member, write, bytes, NULL);
}

static int throttle_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    int r = turn(n, false, len);

    return r ? r : filter_read(n, off, len, v, flags);
}

static int throttle_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    int r = turn(n, true, len);

    return r ? r : filter_write(n, off, len, v, flags);
}

static int throttle_write_compressed(BlkNode *n, uint64_t off, uint64_t len, BlkVec v)
{
    int r = turn(n, true, len);

    return r ? r : filter_write_compressed(n, off, len, v);
}

static int throttle_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    int r = turn(n, true, len);

    return r ? r : filter_wrote(n, off + len, node_zeroes(n->file->node, off, len, flags));     /* written out below, if so: counted once */
}

static int throttle_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    int r = turn(n, true, 0);

    return r ? r : filter_discard(n, off, len);
}

static const BlkDriver throttle = {
    .name = "throttle", .help = "limits of a group", .kind = BLK_DRV_FILTER, .state_size = sizeof(Throttle), .options = throttle_keys, .open = throttle_open,
    .close = throttle_close, .changes = "throttle-group", .reopen_prepare = throttle_reopen_prepare, .reopen_commit = throttle_reopen_commit,
    .reopen_abort = throttle_reopen_abort, .drain = throttle_drained, .read = throttle_read, .write = throttle_write, .write_compressed = throttle_write_compressed,
    .discard = throttle_discard, .zeroes = throttle_zeroes, .status = filter_status, .resize = filter_resize, .fua = true,
};
BLK_DRIVER(throttle);
