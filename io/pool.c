/* SPDX-License-Identifier: MIT */
#include "io/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

/* One per process, as the CPUs are; it holds nothing but tasks on their way. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool ready;
    PoolTask *first, *last;
    unsigned threads, idle, waiting;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void pool_prepare(void)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&pool.work, &attr);
    pthread_condattr_destroy(&attr);
    pool.ready = true;
}

static void post_done(void *opaque)
{
    PoolTask *task = opaque;

    task->done(task);
}

/* Called with the lock; NULL after ten idle seconds. */
static PoolTask *next_task(void)
{
    struct timespec until;
    int r = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 10;
    pool.idle++;
    while (!pool.first && r != ETIMEDOUT) {
        r = pthread_cond_timedwait(&pool.work, &pool.lock, &until);
    }
    pool.idle--;
    if (!pool.first) {
        return NULL;
    }
    PoolTask *task = pool.first;

    pool.first = task->next;
    pool.waiting--;
    return task;
}

static void *worker(void *opaque)
{
    PoolTask *task;

    pthread_setname_np(pthread_self(), "pool");
    pthread_mutex_lock(&pool.lock);
    while ((task = next_task())) {
        pthread_mutex_unlock(&pool.lock);
        task->run(task);
        loop_post_node(task->loop, &task->post);
        pthread_mutex_lock(&pool.lock);
    }
    pool.threads--;
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

static void spawn(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;

    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, &attr, worker, NULL) == 0) {
        pool.threads++;
    } else if (pool.threads == 0) {
        g_error("no thread for blocking calls: %s", g_strerror(errno));
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
}

void pool_submit(Loop *loop, PoolTask *task)
{
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
    pool.waiting++;
    if (pool.waiting > pool.idle && pool.threads < POOL_THREADS) {
        spawn();
    }
    pthread_cond_signal(&pool.work);
    pthread_mutex_unlock(&pool.lock);
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
            pool.waiting--;
            found = true;
            break;
        }
    }
    pthread_mutex_unlock(&pool.lock);
    return found;
}
