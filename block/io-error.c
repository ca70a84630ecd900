/* SPDX-License-Identifier: MIT */
/* What a device has done about a failed request of its disk: the state that `query-block` shows, and the event for programs. */
#include "block/block-priv.h"

#include <errno.h>

#include "io/qmp.h"

static const OptKey error_keys[] = {
    { "device", OPT_STRING, .must = true }, { "node-name", OPT_STRING }, { "operation", OPT_ENUM, .values = "read|write", .must = true },
    { "action", OPT_ENUM, .values = "ignore|report|stop", .must = true }, { "nospace", OPT_BOOL }, { "reason", OPT_STRING, .must = true }, {}
};
static const QmpEvent error_event = { .name = "BLOCK_IO_ERROR", .keys = error_keys, .rare = true, .by = "device" };
QMP_EVENT(error_event);

typedef struct Report {
    Session *session;
    Blk *blk;
    bool write, found;
    int error;
    BlkErrorAction action;
} Report;

static void send(const Report *r)
{
    static const char *const actions[] = { [BLK_ERROR_REPORT] = "report", [BLK_ERROR_IGNORE] = "ignore", [BLK_ERROR_STOP] = "stop" };
    Json *d = json_object();

    json_set_string(d, "device", blk_name(r->blk));
    if (blk_node(r->blk)) {
        json_set_string(d, "node-name", blk_node_name(blk_node(r->blk)));
    }
    json_set_string(d, "operation", r->write ? "write" : "read");
    json_set_string(d, "action", actions[r->action]);
    json_set_bool(d, "nospace", r->error == ENOSPC);
    json_set_string(d, "reason", g_strerror(r->error));
    qmp_event(r->session, "BLOCK_IO_ERROR", d);
}

static void is_it(Blk *b, void *opaque)
{
    Report *r = opaque;

    r->found = r->found || b == r->blk;
}

/* On the main loop, later: the handle may have gone. */
static void send_later(void *opaque)
{
    Report *r = opaque;

    blks_foreach(r->session, is_it, r);
    if (r->found) {
        send(r);
    }
    g_free(r);
}

void blk_report_error(Blk *b, BlkOp op, int error, BlkErrorAction action)
{
    Report r = { .session = b->session, .blk = b, .write = op != BLK_READ, .error = error, .action = action };

    if (action == BLK_ERROR_STOP) {
        __atomic_store_n(&b->io_status, error == ENOSPC ? BLK_IO_NOSPACE : BLK_IO_FAILED, __ATOMIC_RELAXED);
    }
    if (loop_current() == b->loop) {
        send(&r);
    } else {
        loop_post(b->loop, send_later, g_memdup2(&r, sizeof(r)));
    }
}

void blk_set_io_status(Blk *b, BlkIoStatus status)
{
    __atomic_store_n(&b->io_status, status, __ATOMIC_RELAXED);
}

const char *blk_io_status(const Blk *b)
{
    static const char *const names[] = { [BLK_IO_NO_STATUS] = NULL, [BLK_IO_OK] = "ok", [BLK_IO_FAILED] = "failed", [BLK_IO_NOSPACE] = "nospace" };

    return names[__atomic_load_n(&b->io_status, __ATOMIC_RELAXED)];
}
