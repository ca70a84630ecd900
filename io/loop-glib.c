/* SPDX-License-Identifier: MIT */
/* The main thread's loop: the epoll descriptor and the timers as one GLib source. */
#include "io/loop-priv.h"

typedef struct {
    GSource source;
    Loop *loop;
    gpointer tag;
} LoopSource;

static gboolean source_prepare(GSource *source, gint *timeout)
{
    LoopSource *s = (LoopSource *)source;
    int64_t ns = loop_prepare(s->loop);

    g_source_set_ready_time(source, ns < 0 ? -1 : (loop_now() + ns + 999) / 1000);
    *timeout = ns == 0 ? 0 : -1;
    return ns == 0;
}

static gboolean source_check(GSource *source)
{
    LoopSource *s = (LoopSource *)source;
    int64_t next = loop_timers_next(s->loop);

    return g_source_query_unix_fd(source, s->tag) || (next >= 0 && next <= loop_now());
}

static gboolean source_dispatch(GSource *source, GSourceFunc fn, gpointer opaque)
{
    LoopSource *s = (LoopSource *)source;
    struct epoll_event ev[LOOP_BATCH];
    int n = epoll_wait(s->loop->epfd, ev, LOOP_BATCH, 0);

    loop_dispatch(s->loop, ev, MAX(n, 0));
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = { source_prepare, source_check, source_dispatch, NULL, NULL, NULL };

void loop_glib_attach(Loop *loop, GMainContext *context)
{
    GSource *source = g_source_new(&source_funcs, sizeof(LoopSource));
    LoopSource *s = (LoopSource *)source;

    s->loop = loop;
    s->tag = g_source_add_unix_fd(source, loop->epfd, G_IO_IN);
    loop->source = source;
    loop->context = context ? g_main_context_ref(context) : NULL;
    g_source_set_static_name(source, "rhea-loop");
    g_source_attach(source, context);
}

void loop_glib_detach(Loop *loop)
{
    g_source_destroy(loop->source);
    g_source_unref(loop->source);
    if (loop->context) {
        g_main_context_unref(loop->context);
    }
}
