/* SPDX-License-Identifier: MIT */
/* Fibers: switching, waiting and waking within a loop and between two. */
#include "io/fiber.h"

#include <fenv.h>
#include <string.h>
#include <unistd.h>

static Loop *loop;

static void setup(void)
{
    loop = loop_new("test");
    loop_attach(loop);
}

static void teardown(void)
{
    loop_free(loop);
}

/* ---- order ---- */

static GString *text;

static int spoken;

static void speaker(void *opaque)
{
    const char *name = opaque;

    g_string_append_printf(text, "%s1", name);
    fiber_pause();
    g_string_append_printf(text, "%s2", name);
    fiber_pause();
    g_string_append_printf(text, "%s3", name);
    spoken++;
}

static void conductor(void *opaque)
{
    fiber_start(speaker, (void *)"a");
    fiber_start(speaker, (void *)"b");
    g_string_append(text, "-");
    while (spoken < 2) {
        fiber_sleep(1000);
    }
}

static void test_order(void)
{
    setup();
    text = g_string_new(NULL);
    fiber_call(loop, conductor, NULL);
    g_assert_cmpstr(text->str, ==, "a1b1-a2b2a3b3");
    g_string_free(text, true);
    teardown();
}

/* ---- registers and stack survive switches ---- */

static double mix(unsigned seed, int depth)
{
    volatile char room[512];
    double x = seed, y = seed * 0.5, z = seed + 0.25;

    memset((char *)room, seed, sizeof(room));
    fiber_pause();
    if (depth) {
        x += mix(seed + 1, depth - 1);
    }
    for (unsigned i = 0; i < sizeof(room); i++) {
        g_assert_cmpint((unsigned char)room[i], ==, (unsigned char)seed);
    }
    return x + y * z;
}

static double mix_plain(unsigned seed, int depth)
{
    double x = seed;

    return (depth ? x + mix_plain(seed + 1, depth - 1) : x) + seed * 0.5 * (seed + 0.25);
}

static int finished;

static void mixer(void *opaque)
{
    unsigned seed = GPOINTER_TO_UINT(opaque);

    fesetround(seed & 1 ? FE_UPWARD : FE_TONEAREST);    /* control words are per fiber */
    fiber_pause();
    g_assert_cmpfloat(mix(seed, 20), ==, mix_plain(seed, 20));
    g_assert_cmpint(fegetround(), ==, seed & 1 ? FE_UPWARD : FE_TONEAREST);
    fesetround(FE_TONEAREST);
    finished++;
}

static void test_many(void)
{
    setup();
    finished = 0;
    for (unsigned i = 0; i < 300; i++) {
        fiber_start_on(loop, mixer, GUINT_TO_POINTER(i));
    }
    while (finished < 300) {
        loop_step(loop, true);
    }
    teardown();
}

/* ---- mutex ---- */

static FiberMutex mutex;
static int inside, total;

static void locker(void *opaque)
{
    for (int i = 0; i < 50; i++) {
        fiber_mutex_lock(&mutex);
        g_assert_cmpint(inside++, ==, 0);
        if (i % 3 == 0) {
            fiber_pause();
        }
        inside--;
        total++;
        fiber_mutex_unlock(&mutex);
    }
    __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
}

static void test_mutex(void)
{
    LoopThread *a = loop_thread_new("a"), *b = loop_thread_new("b");

    fiber_mutex_init(&mutex);
    finished = total = 0;
    for (int i = 0; i < 10; i++) {
        fiber_start_on(loop_thread_loop(i & 1 ? a : b), locker, NULL);
    }
    while (__atomic_load_n(&finished, __ATOMIC_SEQ_CST) < 10) {
        g_usleep(1000);
    }
    loop_thread_free(a);
    loop_thread_free(b);
    g_assert_cmpint(total, ==, 500);
    fiber_mutex_destroy(&mutex);
}

/* ---- queue and event ---- */

static FiberQueue queue;
static FiberEvent event;
static IoLock lock = IO_LOCK_INIT;
static int items, taken;

static void consumer(void *opaque)
{
    for (;;) {
        io_lock(&lock);
        if (items < 0) {
            io_unlock(&lock);
            break;
        }
        if (items > 0) {
            items--;
            taken++;
            io_unlock(&lock);
            continue;
        }
        fiber_queue_wait(&queue, &lock);
    }
    fiber_event_wait(&event);
    __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
}

static void test_queue(void)
{
    LoopThread *t = loop_thread_new("consumer");
    int want = 0;

    fiber_queue_init(&queue);
    fiber_event_init(&event);
    finished = taken = items = 0;
    for (int i = 0; i < 5; i++) {
        fiber_start_on(loop_thread_loop(t), consumer, NULL);
    }
    for (int i = 0; i < 2000; i++) {
        io_lock(&lock);
        items++;
        want++;
        io_unlock(&lock);
        fiber_queue_wake(&queue);
    }
    while (io_lock(&lock), items > 0) {
        io_unlock(&lock);
        fiber_queue_wake_all(&queue);
        g_usleep(100);
    }
    items = -1;
    io_unlock(&lock);
    fiber_queue_wake_all(&queue);
    g_usleep(2000);
    fiber_queue_wake_all(&queue);
    g_assert_cmpint(__atomic_load_n(&finished, __ATOMIC_SEQ_CST), ==, 0);
    fiber_event_set(&event);
    while (__atomic_load_n(&finished, __ATOMIC_SEQ_CST) < 5) {
        fiber_queue_wake_all(&queue);
        g_usleep(100);
    }
    loop_thread_free(t);
    g_assert_cmpint(taken, ==, want);
    fiber_queue_destroy(&queue);
    fiber_event_destroy(&event);
}

/* ---- descriptors, time, blocking calls ---- */

static void slow(void *opaque)
{
    g_usleep(2000);
    *(bool *)opaque = loop_current() == NULL;
}

static void waiter(void *opaque)
{
    int p[2];
    char c;
    bool elsewhere = false;
    int64_t before = loop_now();

    g_assert_cmpint(pipe(p), ==, 0);
    g_assert_cmpint(write(p[1], "x", 1), ==, 1);
    g_assert_true(fiber_wait_fd(p[0], LOOP_READ) & LOOP_READ);
    g_assert_cmpint(read(p[0], &c, 1), ==, 1);
    close(p[0]);
    close(p[1]);
    fiber_sleep(3000000);
    g_assert_cmpint(loop_now() - before, >=, 3000000);
    fiber_blocking(slow, &elsewhere);
    g_assert_true(elsewhere);
}

static void test_wait(void)
{
    setup();
    fiber_call(loop, waiter, NULL);
    teardown();
}

/* ---- what must end the program ---- */

static void hold_and_wait(void *opaque)
{
    io_lock(&lock);
    fiber_pause();
}

static void test_lock_across_switch(void)
{
    if (g_test_subprocess()) {
        setup();
        fiber_call(loop, hold_and_wait, NULL);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*held across a switch*");
}

static int overflow(int n)
{
    volatile char room[4096];

    memset((char *)room, n, sizeof(room));
    return n ? overflow(n + 1) + room[n & 4095] : room[0];
}

static void deep(void *opaque)
{
    *(volatile int *)opaque = overflow(1);
}

static void test_guard_page(void)
{
    int sink;

    if (g_test_subprocess()) {
        setup();
        fiber_call(loop, deep, &sink);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fiber/order", test_order);
    g_test_add_func("/fiber/many", test_many);
    g_test_add_func("/fiber/mutex", test_mutex);
    g_test_add_func("/fiber/queue", test_queue);
    g_test_add_func("/fiber/wait", test_wait);
    g_test_add_func("/fiber/lock-across-switch", test_lock_across_switch);
    g_test_add_func("/fiber/guard-page", test_guard_page);
    return g_test_run();
}
