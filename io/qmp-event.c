/* SPDX-License-Identifier: MIT */
/* Events: their time, and the rate of those that a guest can cause at will. */
#include "io/qmp-priv.h"

#include <string.h>

#include "io/loop.h"

enum { RATE_NS = 1000000000 };

/* One rare event of a session and a key: what waits for the second to be over. */
typedef struct Held {
    Session *session;
    char *id;
    LoopTimer timer;
    Json *event;                /* NULL: nothing came since the last one that was sent */
} Held;

static void held_free(void *object)
{
    Held *h = object;

    loop_timer_cancel(&h->timer);
    json_unref(h->event);
    g_free(h->id);
    g_free(h);
}

static const SessionKind held_kind = { .name = "held event", .space = "qmp", .destroy = held_free };

static void second_over(void *opaque)
{
    Held *h = opaque;

    if (!h->event) {
        session_destroy(h->session, &held_kind, h->id);
        return;
    }
    qmp_event_send(h->session, g_steal_pointer(&h->event));
    loop_timer_at(&h->timer, loop_now() + RATE_NS);
}

/* True: the event is kept for later. */
static bool hold(Session *s, const QmpEvent *row, Json *event)
{
    g_autofree char *value = row->by ? json_scalar_text(json_get(json_get(event, "data"), row->by)) : NULL;
    g_autofree char *id = g_strdup_printf("#held-%s-%s", row->name, value ? value : "");
    Held *h = session_get(s, &held_kind, id);

    if (h) {
        json_unref(h->event);
        h->event = event;
        return true;
    }
    h = g_new0(Held, 1);
    h->session = s;
    h->id = g_strdup(id);
    loop_timer_init(&h->timer, loop_current(), second_over, h);
    if (!session_add(s, &held_kind, id, h, NULL)) {
        held_free(h);
        return false;
    }
    loop_timer_at(&h->timer, loop_now() + RATE_NS);
    return false;
}

void qmp_event(Session *s, const char *name, Json *data)
{
    const QmpEvent *row = event_find(name);
    int64_t us = loop_wall_time();
    Json *event = json_object(), *time = json_object();

    g_assert(row);
    json_set_int(time, "seconds", us / 1000000);
    json_set_int(time, "microseconds", us % 1000000);
    json_set(event, "timestamp", time);
    json_set_string(event, "event", name);
    if (data) {
        json_set(event, "data", data);
    }
    if (!row->rare || !hold(s, row, event)) {
        qmp_event_send(s, event);
    }
}
