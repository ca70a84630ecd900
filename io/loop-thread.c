/* SPDX-License-Identifier: MIT */
/* A thread that runs a loop until it is told to end. */
#include "io/loop.h"

#include <pthread.h>
#include <signal.h>

struct LoopThread {
    Loop *loop;
    pthread_t thread;
};

static void *thread_main(void *opaque)
{
    LoopThread *t = opaque;
    char name[16];

    g_strlcpy(name, loop_name(t->loop), sizeof(name));
    pthread_setname_np(pthread_self(), name);
    loop_attach(t->loop);
    loop_run(t->loop);
    return NULL;
}

/* Signals are the main thread's and the vCPUs' business. */
LoopThread *loop_thread_new(const char *name)
{
    LoopThread *t = g_new0(LoopThread, 1);
    sigset_t all, before;
    int r;

    t->loop = loop_new(name);
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&t->thread, NULL, thread_main, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r) {
        g_error("no thread for the event loop '%s': %s", name, g_strerror(r));
    }
    return t;
}

Loop *loop_thread_loop(LoopThread *t)
{
    return t->loop;
}

static void quit_self(void *opaque)
{
    loop_quit(opaque);
}

void loop_thread_free(LoopThread *t)
{
    if (!t) {
        return;
    }
    loop_post(t->loop, quit_self, t->loop);
    pthread_join(t->thread, NULL);
    loop_free(t->loop);
    g_free(t);
}
