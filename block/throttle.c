/* SPDX-License-Identifier: MIT */
/* Leaky buckets: limits, their names, and how long to wait. */
#include "block/throttle.h"

#include <math.h>
#include <stddef.h>

enum { READS = 1, WRITES = 2 };
#define VALUE_MAX 1000000000000000ll

/* Which bucket a request fills. */
static const struct { unsigned who; bool ops; } kinds[THROTTLE_LIMITS] = {
    [THROTTLE_BPS_TOTAL] = { READS | WRITES, false }, [THROTTLE_BPS_READ] = { READS, false }, [THROTTLE_BPS_WRITE] = { WRITES, false },
    [THROTTLE_IOPS_TOTAL] = { READS | WRITES, true }, [THROTTLE_IOPS_READ] = { READS, true }, [THROTTLE_IOPS_WRITE] = { WRITES, true },
};

#define NAMES(kind, name_, old_) \
    { name_, old_, offsetof(ThrottleConfig, limit[kind].avg) }, { name_ "-max", old_ "_max", offsetof(ThrottleConfig, limit[kind].max) }, \
    { name_ "-max-length", old_ "_max_length", offsetof(ThrottleConfig, limit[kind].length) }
const ThrottleName throttle_names[] = {
    NAMES(THROTTLE_BPS_TOTAL, "bps-total", "bps"), NAMES(THROTTLE_BPS_READ, "bps-read", "bps_rd"), NAMES(THROTTLE_BPS_WRITE, "bps-write", "bps_wr"),
    NAMES(THROTTLE_IOPS_TOTAL, "iops-total", "iops"), NAMES(THROTTLE_IOPS_READ, "iops-read", "iops_rd"), NAMES(THROTTLE_IOPS_WRITE, "iops-write", "iops_wr"),
    { "iops-size", "iops_size", offsetof(ThrottleConfig, op_size) }, {}
};

/* ---- limits ---- */

void throttle_config_init(ThrottleConfig *c)
{
    *c = (ThrottleConfig){};
    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        c->limit[i].length = 1;
    }
}

bool throttle_config_on(const ThrottleConfig *c)
{
    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        if (c->limit[i].avg > 0) {
            return true;
        }
    }
    return false;
}

static bool in_range(int64_t v)
{
    return v >= 0 && v <= VALUE_MAX;
}

static bool mixed(const ThrottleConfig *c, unsigned total)
{
    const ThrottleLimit *l = &c->limit[total];

    return (l[0].avg && (l[1].avg || l[2].avg)) || (l[0].max && (l[1].max || l[2].max));
}

static bool check_limit(const ThrottleLimit *l, Error **errp)
{
    if (!in_range(l->avg) || !in_range(l->max)) {
        return error_set(errp, "bps/iops/max values must be within [0, %lld]", VALUE_MAX);
    }
    if (l->length <= 0) {
        return error_set(errp, "the burst length cannot be 0");
    }
    if (l->length > 1 && !l->max) {
        return error_set(errp, "burst length set without burst rate");
    }
    if (l->max && l->length > VALUE_MAX / l->max) {
        return error_set(errp, "burst length too high for this burst rate");
    }
    if (l->max && !l->avg) {
        return error_set(errp, "bps_max/iops_max require corresponding bps/iops values");
    }
    return !l->max || l->max >= l->avg || error_set(errp, "bps_max/iops_max cannot be lower than bps/iops");
}

bool throttle_config_check(const ThrottleConfig *c, Error **errp)
{
    const ThrottleLimit *ops = &c->limit[THROTTLE_IOPS_TOTAL];

    if (mixed(c, THROTTLE_BPS_TOTAL) || mixed(c, THROTTLE_IOPS_TOTAL)) {
        return error_set(errp, "bps/iops/max total values and read/write values cannot be used at the same time");
    }
    if (c->op_size && !ops[0].avg && !ops[1].avg && !ops[2].avg) {
        return error_set(errp, "iops size requires an iops value to be set");
    }
    if (!in_range(c->op_size)) {
        return error_set(errp, "bps/iops/max values must be within [0, %lld]", VALUE_MAX);
    }
    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        if (!check_limit(&c->limit[i], errp)) {
            return false;
        }
    }
    return true;
}

bool throttle_config_read(ThrottleConfig *c, const Json *o, const char *prefix, bool old, Error **errp)
{
    for (const ThrottleName *n = throttle_names; n->name; n++) {
        g_autofree char *key = g_strconcat(prefix, old ? n->old : n->name, NULL);
        int64_t *to = (int64_t *)((char *)c + n->offset);
        const Json *v = json_get(o, key);

        if (v && !json_as_i64(v, to)) {
            return error_set(errp, "Parameter '%s' expects a number", key);
        }
    }
    return true;
}

/* ---- buckets ---- */

static void leak(double *level, double rate, double seconds)
{
    *level = fmax(*level - rate * seconds, 0);
}

void throttle_leak(ThrottleState *s, int64_t now)
{
    double seconds = (double)(now - s->last) / 1e9;

    if (seconds <= 0) {
        return;
    }
    s->last = now;
    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        leak(&s->level[i], (double)s->config.limit[i].avg, seconds);
        leak(&s->burst[i], (double)s->config.limit[i].max, seconds);
    }
}

/* Rounded up: at its end the bucket is not too full any more, but for what is less than a nanosecond. */
static int64_t time_for(double units, double rate)
{
    double ns = units / rate * 1e9;

    return ns < 1 ? 0 : (int64_t)ceil(ns);
}

static int64_t wait_of(const ThrottleState *s, unsigned i)
{
    const ThrottleLimit *l = &s->config.limit[i];
    double size = l->max ? (double)l->max * (double)l->length : (double)l->avg / 10;
    int64_t wait = 0;

    if (!l->avg) {
        return 0;
    }
    wait = time_for(s->level[i] - size, (double)l->avg);
    if (l->length > 1) {
        wait = MAX(wait, time_for(s->burst[i] - (double)l->max / 10, (double)l->max));
    }
    return wait;
}

int64_t throttle_wait(const ThrottleState *s, bool write)
{
    int64_t wait = 0;

    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        if (kinds[i].who & (write ? WRITES : READS)) {
            wait = MAX(wait, wait_of(s, i));
        }
    }
    return wait;
}

void throttle_account(ThrottleState *s, bool write, uint64_t bytes)
{
    int64_t op = s->config.op_size;
    double ops = op && bytes > (uint64_t)op ? (double)bytes / (double)op : 1;

    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        if (kinds[i].who & (write ? WRITES : READS)) {
            double units = kinds[i].ops ? ops : (double)bytes;

            s->level[i] += units;
            s->burst[i] += s->config.limit[i].length > 1 ? units : 0;
        }
    }
}
