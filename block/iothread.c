/* SPDX-License-Identifier: MIT */
#include "block/iothread.h"

#include <assert.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/command.h"
#include "io/fiber.h"
#include "io/object.h"

struct IoThread {
    LoopThread *thread;
    long tid;
    unsigned users;
};

static void destroy(void *object)
{
    IoThread *t = object;

    loop_thread_free(t->thread);
    g_free(t);
}

static const SessionKind iothread_kind = {
    .name = "iothread", .space = "object", .duplicate = "attempt to add duplicate property '%s' to object (type 'container')", .destroy = destroy,
};

static void note_tid(void *opaque)
{
    ((IoThread *)opaque)->tid = syscall(SYS_gettid);
}

static bool create(Session *s, const char *id, const Json *opts, Error **errp)
{
    g_autofree char *name = g_strdup_printf("IO %s", id);
    IoThread *t = g_new0(IoThread, 1);

    t->thread = loop_thread_new(name);
    loop_call(iothread_loop(t), note_tid, t);
    if (!session_add(s, &iothread_kind, id, t, errp)) {
        destroy(t);
        return false;
    }
    return true;
}

#define NO_POLLING "loops of this program sleep in the kernel; leave it out"
static const OptKey iothread_keys[] = {
    { "poll-max-ns", OPT_NUMBER, .absent = NO_POLLING }, { "poll-grow", OPT_NUMBER, .absent = NO_POLLING }, { "poll-shrink", OPT_NUMBER, .absent = NO_POLLING },
    { "aio-max-batch", OPT_NUMBER, .absent = "requests go to the kernel once per turn of the loop; leave it out" },
    { "thread-pool-min", OPT_NUMBER, .absent = "the pool is the program's; leave it out" },
    { "thread-pool-max", OPT_NUMBER, .absent = "the pool is the program's; leave it out" }, {}
};
static const OptVariant iothread_options = { .group = "object", .name = "iothread", .help = "a thread that serves disks", .keys = iothread_keys };
OPT_VARIANT(iothread_options);

static bool deletable(void *object, const char *id, Error **errp)
{
    return !((IoThread *)object)->users || error_set(errp, "object '%s' is in use, can not be deleted", id);
}

static const SessionObject iothread_object = { .name = "iothread", .create = create, .kind = &iothread_kind, .deletable = deletable };
SESSION_OBJECT(iothread_object);

IoThread *iothread_get(Session *s, const char *id)
{
    return session_get(s, &iothread_kind, id);
}

Loop *iothread_loop(const IoThread *t)
{
    return loop_thread_loop(t->thread);
}

void iothread_ref(IoThread *t)
{
    t->users++;
}

void iothread_unref(IoThread *t)
{
    assert(t->users);
    t->users--;
}

static void nothing(void *opaque)
{
    (void)opaque;
}

static void wake(void *opaque)
{
    fiber_wake(opaque);
}

void iothread_settle(IoThread *t)
{
    if (t && fiber_self()) {
        loop_post(iothread_loop(t), wake, fiber_self());
        fiber_yield();
    } else if (t) {
        loop_call(iothread_loop(t), nothing, NULL);
    }
}

static void collect(const char *id, void *object, void *opaque)
{
    (void)id;
    iothread_ref(object);
    g_ptr_array_add(opaque, object);
}

void iothread_settle_all(Session *s)
{
    GPtrArray *all = g_ptr_array_new();

    session_foreach(s, &iothread_kind, collect, all);
    for (unsigned i = 0; i < all->len; i++) {
        iothread_settle(all->pdata[i]);
        iothread_unref(all->pdata[i]);
    }
    g_ptr_array_unref(all);
}

/* ---- query-iothreads ---- */

static void describe(const char *id, void *object, void *opaque)
{
    const IoThread *t = object;
    Json *o = json_object();

    json_set_string(o, "id", id);
    json_set_int(o, "thread-id", t->tid);
    json_set_int(o, "poll-max-ns", 0);
    json_set_int(o, "poll-grow", 0);
    json_set_int(o, "poll-shrink", 0);
    json_set_int(o, "aio-max-batch", 0);
    json_append(opaque, o);
}

static void print(const char *id, void *object, void *opaque)
{
    g_string_append_printf(opaque, "%s:\n  thread_id=%ld\n", id, ((const IoThread *)object)->tid);
}

static bool query(MonCall *call, Error **errp)
{
    if (call->out) {
        session_foreach(call->session, &iothread_kind, print, call->out);
        return true;
    }
    call->ret = json_array();
    session_foreach(call->session, &iothread_kind, describe, call->ret);
    return true;
}

static const OptKey query_ret[] = {
    { "id", OPT_STRING, .must = true }, { "thread-id", OPT_NUMBER, .must = true }, { "poll-max-ns", OPT_NUMBER, .must = true }, { "poll-grow", OPT_NUMBER, .must = true },
    { "poll-shrink", OPT_NUMBER, .must = true }, { "aio-max-batch", OPT_NUMBER, .must = true }, {}
};
static const MonCommand query_command = {
    .name = "info iothreads", .qmp = "query-iothreads", .help = "show threads that serve disks", .run = query, .ret = query_ret, .ret_type = "[]",
};
MON_COMMAND(query_command);
