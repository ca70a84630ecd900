/* SPDX-License-Identifier: MIT */
#include "io/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

/* A place for a thread.  Places are never freed, so that one may be woken after the lock was let go. */
typedef struct Worker {
    pthread_cond_t wake;
    bool used, called;
    struct Worker *below;
} Worker;

/* One per process, as the CPUs are; it holds nothing but tasks on their way. */
static struct {
    pthread_mutex_t lock;
    bool ready;
    PoolTask *first, *last;
    Worker *idle;               /* who fell asleep last is woken first: its caches are warm, and the others can end */
    unsigned threads;
    Worker workers[POOL_THREADS];
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void pool_prepare(void)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    for (unsigned i = 0; i < POOL_THREADS; i++) {
        pthread_cond_init(&pool.workers[i].wake, &attr);
    }
    pthread_condattr_destroy(&attr);
    pool.ready = true;
}

static void post_done(void *opaque)
{
    PoolTask *task = opaque;

    task->done(task);
}

static void leave_idle(Worker *w)
{
    Worker **at = &pool.idle;

    while (*at != w) {
        at = &(*at)->below;
    }
    *at = w->below;
}

/* Ten seconds of sleep at most; false when nobody called. */
static bool rest(Worker *w)
{
    struct timespec until;
    int r = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 10;
    w->called = false;
    w->below = pool.idle;
    pool.idle = w;
    while (!w->called && r != ETIMEDOUT) {
        r = pthread_cond_timedwait(&w->wake, &pool.lock, &until);
    }
    if (!w->called) {
        leave_idle(w);
    }
    return w->called;
}

/* Called with the lock; NULL after ten idle seconds. */
static PoolTask *next_task(Worker *w)
{
    PoolTask *task;

    while (!pool.first) {           /* another may have been quicker than who was called */
        if (!rest(w) && !pool.first) {
            return NULL;
        }
    }
    task = pool.first;
    pool.first = task->next;
    return task;
}

static void *worker(void *opaque)
{
    Worker *w = opaque;
    PoolTask *task;

    pthread_setname_np(pthread_self(), "pool");
    pthread_mutex_lock(&pool.lock);
    while ((task = next_task(w))) {
        pthread_mutex_unlock(&pool.lock);
        task->run(task);
        loop_post_node(task->loop, &task->post);
        pthread_mutex_lock(&pool.lock);
    }
    pool.threads--;
    w->used = false;
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

static Worker *free_place(void)
{
    Worker *w = pool.workers;

    while (w->used) {
        w++;
    }
    return w;
}

static void spawn(void)
{
    Worker *w = free_place();
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;

    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, &attr, worker, w) == 0) {
        w->used = true;
        pool.threads++;
    } else if (pool.threads == 0) {
        g_error("no thread for blocking calls: %s", g_strerror(errno));
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
}

/* Somebody for the task that was just queued: called from sleep (whom to wake is returned), or new. */
static Worker *call_worker(void)
{
    Worker *w = pool.idle;

    if (w) {
        pool.idle = w->below;
        w->called = true;
    } else if (pool.threads < POOL_THREADS) {
        spawn();
    }
    return w;
}

void pool_submit(Loop *loop, PoolTask *task)
{
    Worker *w;

    task->loop = loop;
    task->next = NULL;
    task->post = (LoopPost){ NULL, post_done, task };
    pthread_mutex_lock(&pool.lock);
    if (!pool.ready) {
        pool_prepare();
    }
    if (pool.first) {
        pool.last->next = task;
    } else {
        pool.first = task;
    }
    pool.last = task;
    w = call_worker();
    pthread_mutex_unlock(&pool.lock);
    if (w) {
        pthread_cond_signal(&w->wake);
    }
}

bool pool_cancel(PoolTask *task)
{
    PoolTask **at, *before = NULL;
    bool found = false;

    pthread_mutex_lock(&pool.lock);
    for (at = &pool.first; *at; before = *at, at = &(*at)->next) {
        if (*at == task) {
            *at = task->next;
            if (pool.last == task) {
                pool.last = before;
            }
            found = true;
            break;
        }
    }
    pthread_mutex_unlock(&pool.lock);
    return found;
}
