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

static const OptKey debug_keys[] = {
    { "image", OPT_ANY, "the disk" },
    { "inject-error", OPT_ANY, "list of {event, iotype, state, errno, sector, once, immediately}" },
    { "set-state", OPT_ANY, "list of {event, state, new_state}" },
    { "align", OPT_SIZE, "alignment that requests must have; 0: as the image", .def = "0" },
    {}
};

/* ---- rules ---- */

static bool rule_event(Rule *r, const Json *o, Error **errp)
{
    const char *name = json_get_string(o, "event");

    for (unsigned i = 0; name && i < EVENTS; i++) {
        if (!strcmp(name, event_names[i]) || !g_strcmp0(name, event_aliases[i])) {
            r->event = i;
            return true;
        }
    }
    return error_set(errp, name ? "blkdebug knows no event '%s' here (none, preadv, pwritev, pwritev_zero, flush_to_disk, pdiscard)" : "Parameter 'event' is missing", name);
}

static bool rule_io(Rule *r, const Json *o, Error **errp)
{
    const char *name = json_get_string(o, "iotype");

    r->io = BIT(IO_READ) | BIT(IO_WRITE) | BIT(IO_ZEROES) | BIT(IO_DISCARD) | BIT(IO_FLUSH);
    for (unsigned i = 0; name && i < IO_TYPES; i++) {
        if (!strcmp(name, io_names[i])) {
            r->io = BIT(i);
            return true;
        }
    }
    return !name || error_set(errp, "Invalid parameter '%s'", name);
}

static int64_t number(const Json *o, const char *key, int64_t def)
{
    Json *v = json_get(o, key);
    g_autofree char *text = v ? json_scalar_text(v) : NULL;

    return text ? g_ascii_strtoll(text, NULL, 0) : def;
}

static bool truth(const Json *o, const char *key)
{
    Json *v = json_get(o, key);
    g_autofree char *text = v ? json_scalar_text(v) : NULL;

    return text && (!strcmp(text, "true") || !strcmp(text, "on"));
}

static bool rule_parse(Rule *r, const Json *o, bool inject, Error **errp)
{
    static const char *const keys[] = { "event", "state", "iotype", "errno", "sector", "once", "immediately", "new_state" };

    for (unsigned i = 0; i < json_size(o); i++) {
        unsigned k = 0;

        while (k < ARRAY_SIZE(keys) && strcmp(json_key_at(o, i), keys[k])) {
            k++;
        }
        if (k == ARRAY_SIZE(keys) || (inject ? k == 7 : k > 1 && k < 7)) {
            return error_set(errp, "Parameter '%s' is unexpected", json_key_at(o, i));
        }
    }
    r->inject = inject;
    r->state = (int)number(o, "state", 0);
    r->new_state = (int)number(o, "new_state", 0);
    r->sector = number(o, "sector", -1);
    r->error = (int)number(o, "errno", EIO);
    r->once = truth(o, "once");
    r->immediately = truth(o, "immediately");
    if (r->error < 1 || r->error > 4095) {
        return error_set(errp, "errno %d is none", r->error);
    }
    if (!rule_event(r, o, errp) || !rule_io(r, o, errp)) {
        return false;
    }
    r->armed = inject && !r->state && r->event == EV_NONE;
    return true;
}

static bool rules_parse(Debug *s, const Json *o, const char *key, bool inject, Error **errp)
{
    Json *list = json_get(o, key);

    if (list && !json_is(list, JSON_ARRAY)) {
        return error_set(errp, "Parameter '%s' is a list", key);
    }
    for (unsigned i = 0; list && i < json_size(list); i++) {
        s->rules = g_renew(Rule, s->rules, s->nrules + 1);
        s->rules[s->nrules] = (Rule){};
        if (!json_is(json_at(list, i), JSON_OBJECT)) {
            return error_set(errp, "Parameter '%s' is a list of objects", key);
        }
        if (!rule_parse(&s->rules[s->nrules], json_at(list, i), inject, errp)) {
            return false;
        }
        s->nrules++;
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
