/* SPDX-License-Identifier: MIT */
/*
 * Errors by order, for tests: rules say which requests fail and how.
 *
 *     {"driver": "blkdebug", "image": {...},
 *      "inject-error": [{"event": "none", "iotype": "write", "sector": 64, "errno": 28, "once": true}],
 *      "set-state": [{"event": "flush_to_disk", "state": 1, "new_state": 2}]}
 *
 * A rule is asked when its event passes: "none" is every request; a rule with
 * another event, or a state, lies in wait until that event has passed in that
 * state, and then strikes the next request.  The state is 1 at first.
 */
#include "block/filter/filter.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "util/bits.h"

typedef enum { EV_NONE, EV_READ, EV_WRITE, EV_ZERO, EV_FLUSH, EV_DISCARD, EVENTS } Event;
typedef enum { IO_READ, IO_WRITE, IO_ZEROES, IO_DISCARD, IO_FLUSH, IO_STATUS, IO_TYPES } IoType;

static const char *const event_names[EVENTS] = { "none", "preadv", "pwritev", "pwritev_zero", "flush_to_disk", "pdiscard" };
static const char *const event_aliases[EVENTS] = { NULL, "read_aio", "write_aio", NULL, "flush_to_os", NULL };
static const char *const io_names[IO_TYPES] = { "read", "write", "write-zeroes", "discard", "flush", "block-status" };

typedef struct Rule {
    Event event;
    bool inject;                /* or: change the state */
    int state, new_state;       /* 0: any */
    unsigned io;                /* mask of IoType */
    int64_t sector;             /* -1: any */
    int error;
    bool once, immediately;
    bool armed, spent;
} Rule;

typedef struct {
    IoLock lock;
    Rule *rules;
    unsigned nrules;
    int state;
} Debug;

#define EVENT_KEYS \
    { "event", OPT_ENUM, "what it is asked at", .values = "none|preadv|read_aio|pwritev|write_aio|pwritev_zero|flush_to_disk|flush_to_os|pdiscard", .must = true }, \
    { "state", OPT_NUMBER, "in which alone it counts; 0: any", .max = INT_MAX }
static const OptKey inject_keys[] = {
    EVENT_KEYS,
    { "iotype", OPT_ENUM, "requests that fail", .values = "read|write|write-zeroes|discard|flush|block-status" },
    { "errno", OPT_NUMBER, "how", .def = "5", .max = 4095 },
    { "sector", OPT_NUMBER, "of 512 bytes, that they must touch", .max = INT64_MAX },
    { "once", OPT_BOOL, "only the first" },
    { "immediately", OPT_BOOL, "without a turn of the loop" },
    {}
};
static const OptKey state_keys[] = { EVENT_KEYS, { "new_state", OPT_NUMBER, "from then on", .max = INT_MAX, .must = true }, {} };
static const OptGroup inject_group = { .name = "inject-error", .keys = inject_keys }, state_group = { .name = "set-state", .keys = state_keys };

static const OptKey debug_keys[] = {
    { "image", OPT_ANY, "the disk" },
    { "inject-error", OPT_TREE, "list of {event, iotype, state, errno, sector, once, immediately}", .many = true, .sub = &inject_group },
    { "set-state", OPT_TREE, "list of {event, state, new_state}", .many = true, .sub = &state_group },
    { "align", OPT_SIZE, "alignment that requests must have; 0: as the image", .def = "0" },
    {}
};

/* ---- rules ---- */

static unsigned index_of(const char *const *names, unsigned n, const char *name)
{
    unsigned i = 0;

    while (i < n && g_strcmp0(names[i], name)) {
        i++;
    }
    return i;
}

static Event event_of(const char *name)
{
    unsigned i = index_of(event_names, EVENTS, name);

    return i < EVENTS ? i : index_of(event_aliases, EVENTS, name);
}

/* o is checked. */
static Rule rule_of(const Json *o, bool inject)
{
    const char *io = json_get_string(o, "iotype");
    Rule r = {
        .event = event_of(json_get_string(o, "event")), .inject = inject, .state = (int)json_get_u64(o, "state", 0), .new_state = (int)json_get_u64(o, "new_state", 0),
        .io = io ? BIT(index_of(io_names, IO_TYPES, io)) : BIT(IO_READ) | BIT(IO_WRITE) | BIT(IO_ZEROES) | BIT(IO_DISCARD) | BIT(IO_FLUSH),
        .sector = json_get(o, "sector") ? (int64_t)json_get_u64(o, "sector", 0) : -1, .error = (int)json_get_u64(o, "errno", EIO),
        .once = json_get_bool(o, "once", false), .immediately = json_get_bool(o, "immediately", false),
    };

    r.armed = inject && !r.state && r.event == EV_NONE;
    return r;
}

static bool rules_parse(Debug *s, const Json *o, const char *key, bool inject, Error **errp)
{
    Json *list = json_get(o, key);

    for (unsigned i = 0; list && i < json_size(list); i++) {
        if (!json_is(json_at(list, i), JSON_OBJECT)) {
            return error_set(errp, "Parameter '%s' is a list of objects", key);
        }
        s->rules = g_renew(Rule, s->rules, s->nrules + 1);
        s->rules[s->nrules] = rule_of(json_at(list, i), inject);
        if (!s->rules[s->nrules++].error) {
            return error_set(errp, "errno 0 is none");
        }
    }
    return true;
}

/* ---- requests ---- */

static void pass_event(Debug *s, Event event)
{
    int next = s->state;

    for (unsigned i = 0; i < s->nrules; i++) {
        Rule *r = &s->rules[i];

        if (r->event == event && (!r->state || r->state == s->state)) {
            if (r->inject) {
                r->armed = !r->spent;
            } else {
                next = r->new_state;
            }
        }
    }
    s->state = next;
}

/* What becomes of a request: 0, or a negative errno by the first rule that fits. */
static int ask(BlkNode *n, Event event, IoType io, uint64_t off, uint64_t len)
{
    Debug *s = n->state;
    bool wait = false;
    int result = 0;

    io_lock(&s->lock);
    pass_event(s, event);
    pass_event(s, EV_NONE);
    for (unsigned i = 0; i < s->nrules && !result; i++) {
        Rule *r = &s->rules[i];
        bool here = r->sector < 0 || ((uint64_t)r->sector * 512 < off + len && off < ((uint64_t)r->sector + 1) * 512);

        if (r->inject && r->armed && !r->spent && here && (r->io & BIT(io))) {
            result = -r->error;
            r->spent = r->once;
            wait = !r->immediately;
        }
    }
    io_unlock(&s->lock);
    if (wait) {
        fiber_pause();
    }
    return result;
}

static int debug_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    int r = ask(n, EV_READ, IO_READ, off, len);

    return r ? r : filter_read(n, off, len, v, flags);
}

static int debug_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    int r = ask(n, EV_WRITE, IO_WRITE, off, len);

    return r ? r : filter_write(n, off, len, v, flags);
}

static int debug_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    int r = ask(n, EV_ZERO, IO_ZEROES, off, len);

    return r ? r : filter_zeroes(n, off, len, flags);
}

static int debug_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    int r = ask(n, EV_DISCARD, IO_DISCARD, off, len);

    return r ? r : filter_discard(n, off, len);
}

static int debug_flush(BlkNode *n)
{
    int r = ask(n, EV_FLUSH, IO_FLUSH, 0, UINT64_MAX);

    return r ? r : node_flush(n->file->node);
}

static int debug_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out)
{
    int r = ask(n, EV_NONE, IO_STATUS, off, len);

    return r ? r : filter_status(n, off, len, out);
}

/* ---- life ---- */

static bool debug_open(BlkNode *n, Json *o, Error **errp)
{
    Debug *s = n->state;
    uint64_t align = json_get_u64(o, "align", 0);

    io_lock_init(&s->lock);
    s->state = 1;
    if (!rules_parse(s, o, "inject-error", true, errp) || !rules_parse(s, o, "set-state", false, errp) || !filter_open(n, o, "image", errp)) {
        g_free(s->rules);
        return false;
    }
    if (align) {
        if (!is_pow2(align) || align > 64 << 20) {
            g_free(s->rules);
            return error_set(errp, "Cannot meet constraints with align %" PRIu64, align);
        }
        n->align = MAX(n->align, (uint32_t)align);
    }
    return true;
}

static void debug_close(BlkNode *n)
{
    Debug *s = n->state;

    g_free(s->rules);
    io_lock_destroy(&s->lock);
}

static const BlkDriver blkdebug = {
    .name = "blkdebug", .help = "errors by order, for tests", .kind = BLK_DRV_FILTER, .state_size = sizeof(Debug), .options = debug_keys,
    .open = debug_open, .close = debug_close, .read = debug_read, .write = debug_write, .flush = debug_flush,
    .discard = debug_discard, .zeroes = debug_zeroes, .status = debug_status, .resize = filter_resize,
};
BLK_DRIVER(blkdebug);
