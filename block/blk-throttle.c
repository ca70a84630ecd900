/* SPDX-License-Identifier: MIT */
/* Limits of a handle: which group, and as records and text. */
#include "block/block-priv.h"

#include <inttypes.h>
#include <string.h>

void blk_throttle(Blk *b, const char *group, const ThrottleConfig *c)
{
    ThrottleGroup *g = c ? throttle_group_get(b->session, *group ? group : b->name) : NULL;

    blk_drain_begin(b);
    if (b->throttle && (!g || throttle_group_of(b->throttle) != g)) {
        throttle_drain(b->throttle, false);
        throttle_leave(g_steal_pointer(&b->throttle));
    }
    if (g && !b->throttle) {
        b->throttle = throttle_join(g);
        throttle_drain(b->throttle, true);      /* as all that it has, until the drain's end */
    }
    if (g) {
        throttle_group_set(g, c);
        throttle_group_unref(g);
    }
    blk_drain_end(b);
}

const char *blk_throttle_group(const Blk *b)
{
    return b->throttle ? throttle_group_name(throttle_group_of(b->throttle)) : NULL;
}

bool blk_throttle_config(const Blk *b, ThrottleConfig *out)
{
    throttle_config_init(out);
    if (b->throttle) {
        throttle_group_config(throttle_group_of(b->throttle), out);
    }
    return b->throttle;
}

/* Averages are always there, bursts where there are some. */
void blk_throttle_describe(const Blk *b, Json *into)
{
    ThrottleConfig c;

    if (!b || !blk_throttle_config(b, &c)) {
        throttle_config_init(&c);
    }
    for (const ThrottleName *n = throttle_names; n->name; n++) {
        int64_t v = *(const int64_t *)((const char *)&c + n->offset);
        bool length = g_str_has_suffix(n->old, "_length"), burst = strstr(n->old, "_max");
        const ThrottleLimit *l = &c.limit[n->offset / sizeof(ThrottleLimit)];

        if (!strcmp(n->name, "iops-size") ? v != 0 : !burst || (length ? l->max != 0 : v != 0)) {
            json_set_int(into, n->old, v);
        }
    }
    if (b && b->throttle) {
        json_set_string(into, "group", blk_throttle_group(b));
    }
}

void blk_throttle_print(const Blk *b, GString *out)
{
    ThrottleConfig c;

    if (!blk_throttle_config(b, &c)) {
        return;
    }
    g_string_append(out, "    I/O throttling:  ");
    for (unsigned half = 0; half < 2; half++) {
        for (unsigned burst = 0; burst < 2; burst++) {
            for (unsigned i = 0; i < 3; i++) {
                static const char *const who[] = { "", "_rd", "_wr" };
                const ThrottleLimit *l = &c.limit[half * 3 + i];

                g_string_append_printf(out, " %s%s%s=%" PRId64, half ? "iops" : "bps", who[i], burst ? "_max" : "", burst ? l->max : l->avg);
            }
        }
    }
    g_string_append_printf(out, " iops_size=%" PRId64 " group=%s\n", c.op_size, blk_throttle_group(b));
}
