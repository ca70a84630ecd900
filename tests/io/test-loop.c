/* SPDX-License-Identifier: MIT */
/* Loops: posts from threads, timers in order, descriptors, both kinds of loop. */
#include "io/loop.h"

#include <fcntl.h>
#include <unistd.h>

static Loop *make(gconstpointer glib)
{
    Loop *loop = glib ? loop_new_glib("test", g_main_context_new()) : loop_new("test");

    loop_attach(loop);
    return loop;
}

static void count_up(void *opaque)
{
    ++*(int *)opaque;
}

static void set_true(void *opaque)
{
    *(bool *)opaque = true;
}

/* ---- posts ---- */

enum { POSTS = 20000 };

typedef struct {
    Loop *loop;
    int *count;
} Poster;

static void *poster(void *opaque)
{
    Poster *p = opaque;

    for (int i = 0; i < POSTS; i++) {
        loop_post(p->loop, count_up, p->count);
    }
    return NULL;
}

static void test_post(gconstpointer glib)
{
    Loop *loop = make(glib);
    int count = 0;
    Poster p = { loop, &count };
    GThread *a = g_thread_new("a", poster, &p), *b = g_thread_new("b", poster, &p);

    while (count < 2 * POSTS) {
        loop_step(loop, true);
    }
    g_thread_join(a);
    g_thread_join(b);
    g_assert_cmpint(count, ==, 2 * POSTS);
    loop_step(loop, false);             /* a late wake-up of the descriptor may be left */
    g_assert_false(loop_step(loop, false));
    loop_free(loop);
}

typedef struct {
    LoopPost post;
    Loop *loop;
    int left;
} Reposter;

static void repost(void *opaque)
{
    Reposter *r = opaque;

    if (--r->left) {
        loop_post_node(r->loop, &r->post);
    }
}

static void test_repost(gconstpointer glib)
{
    Loop *loop = make(glib);
    Reposter r = { { NULL, repost, &r }, loop, 100 };

    loop_post_node(loop, &r.post);
    while (r.left) {
        loop_step(loop, true);
    }
    loop_free(loop);
}

/* ---- timers ---- */

typedef struct {
    LoopTimer timer;
    int id;
    GString *order;
} Ticket;

static void ring(void *opaque)
{
    Ticket *t = opaque;

    g_string_append_c(t->order, 'a' + t->id);
}

static void test_timers(gconstpointer glib)
{
    Loop *loop = make(glib);
    g_autoptr(GString) order = g_string_new(NULL);
    static const int delay[] = { 7, 3, 9, 1, 5, 2, 8, 4, 6, 0 };
    Ticket t[10];
    int64_t now = loop_now();

    for (int i = 0; i < 10; i++) {
        t[i].id = delay[i];
        t[i].order = order;
        loop_timer_init(&t[i].timer, loop, ring, &t[i]);
        loop_timer_at(&t[i].timer, now + (20 - delay[i]) * 1000000);
    }
    for (int i = 0; i < 10; i++) {
        loop_timer_at(&t[i].timer, now + delay[i] * 1000000);      /* moved */
    }
    loop_timer_cancel(&t[4].timer);
    loop_timer_cancel(&t[4].timer);
    while (order->len < 9) {
        loop_step(loop, true);
    }
    g_assert_cmpstr(order->str, ==, "abcdeghij");
    g_assert_cmpint(loop_now() - now, >=, 9000000);
    g_assert_false(loop_timer_armed(&t[0].timer));
    loop_free(loop);
}

/* A deadline that passes while the loop gets ready to sleep for it. */
static void test_short_timers(gconstpointer glib)
{
    Loop *loop = make(glib);
    LoopTimer t;

    for (int i = 0; i < 5000; i++) {
        bool rang = false;

        loop_timer_init(&t, loop, set_true, &rang);
        loop_timer_at(&t, loop_now() + i % 500);
        loop_run_until(loop, &rang);
    }
    loop_free(loop);
}

/* ---- descriptors ---- */

typedef struct {
    LoopFd *watch;
    int fd;
    int got;
    unsigned events;
} Reader;

static void on_read(void *opaque, unsigned events)
{
    Reader *r = opaque;
    char c;

    r->events |= events;
    if (read(r->fd, &c, 1) == 1) {
        r->got++;
    } else {
        loop_fd_remove(r->watch);
        r->watch = NULL;
    }
}

static void test_fd(gconstpointer glib)
{
    Loop *loop = make(glib);
    Reader r = {};
    int p[2];

    g_assert_cmpint(pipe2(p, O_NONBLOCK), ==, 0);
    r.fd = p[0];
    r.watch = loop_fd_add(loop, p[0], LOOP_READ, on_read, &r);
    g_assert_false(loop_step(loop, false));
    g_assert_cmpint(write(p[1], "xyz", 3), ==, 3);
    while (r.got < 3) {
        loop_step(loop, true);
    }
    loop_fd_events(r.watch, 0);
    g_assert_cmpint(write(p[1], "x", 1), ==, 1);
    g_assert_false(loop_step(loop, false));             /* resting */
    loop_fd_events(r.watch, LOOP_READ);
    close(p[1]);
    while (r.watch) {
        loop_step(loop, true);
    }
    g_assert_cmpint(r.got, ==, 4);
    g_assert_true(r.events & LOOP_HUP);
    close(p[0]);
    loop_free(loop);
}

/* A regular file is always ready; epoll would refuse it. */
static void test_regular_file(gconstpointer glib)
{
    Loop *loop = make(glib);
    g_autofree char *path = NULL;
    Reader r = { .fd = g_file_open_tmp("loop-XXXXXX", &path, NULL) };

    g_assert_cmpint(write(r.fd, "ab", 2), ==, 2);
    lseek(r.fd, 0, SEEK_SET);
    r.watch = loop_fd_add(loop, r.fd, LOOP_READ, on_read, &r);
    while (r.watch) {
        loop_step(loop, true);
    }
    g_assert_cmpint(r.got, ==, 2);
    close(r.fd);
    unlink(path);
    loop_free(loop);
}

/* ---- threads ---- */

static void who(void *opaque)
{
    *(Loop **)opaque = loop_current();
}

static void test_thread(void)
{
    LoopThread *t = loop_thread_new("io/a-long-thread-name");
    Loop *seen = NULL;
    int count = 0;

    loop_call(loop_thread_loop(t), who, &seen);
    g_assert_true(seen == loop_thread_loop(t));
    for (int i = 0; i < 1000; i++) {
        loop_post(loop_thread_loop(t), count_up, &count);
    }
    loop_thread_free(t);                                /* runs what is posted */
    g_assert_cmpint(count, ==, 1000);
}

static void test_quit(void)
{
    Loop *loop = make(NULL);
    bool ran = false;

    loop_post(loop, set_true, &ran);
    loop_quit(loop);
    loop_run(loop);
    loop_run_until(loop, &ran);
    loop_free(loop);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (int glib = 0; glib < 2; glib++) {
        const struct { const char *name; GTestDataFunc fn; } both[] = {
            { "post", test_post }, { "repost", test_repost }, { "timers", test_timers }, { "short-timers", test_short_timers }, { "fd", test_fd }, { "regular-file", test_regular_file },
        };
        for (unsigned i = 0; i < G_N_ELEMENTS(both); i++) {
            g_autofree char *path = g_strdup_printf("/loop/%s/%s", glib ? "glib" : "epoll", both[i].name);
            g_test_add_data_func(path, GINT_TO_POINTER(glib), both[i].fn);
        }
    }
    g_test_add_func("/loop/thread", test_thread);
    g_test_add_func("/loop/quit", test_quit);
    return g_test_run();
}
