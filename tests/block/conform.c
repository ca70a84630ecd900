/* SPDX-License-Identifier: MIT */
#include "tests/block/conform.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/image.h"

Loop *loop;
Session *session;
char *dir;

void setup(void)
{
    loop = loop_new_glib("test", NULL);
    session = session_new();
}

void teardown(void)
{
    session_free(session);
    loop_free(loop);
}

char *file_of(const char *name, uint64_t size)
{
    char *path = g_build_filename(dir, name, NULL);
    Error *err = NULL;

    unlink(path);
    g_assert_true(blk_create_file(session, path, size, NULL, &err));
    return path;
}

Blk *open_ok(const char *filename, const char *options, unsigned flags)
{
    Error *err = NULL;
    Json *o = options ? json_parse(options, strlen(options), NULL) : NULL;
    unsigned perm = BLK_PERM_READ | (flags & BLK_O_RDWR ? BLK_PERM_WRITE | BLK_PERM_RESIZE : 0);
    Blk *b = blk_open(session, filename, o, flags, perm, BLK_PERM_ALL, &err);

    if (!b) {
        g_error("%s", error_message(err));
    }
    return b;
}

/* ---- a shadow copy in memory, many requests in flight, none overlapping ---- */

enum { SLOTS = 16, SLOT = SIZE / SLOTS, ROUNDS = 60 };

typedef struct {
    BlkReq req;
    struct iovec iov[3];
    uint8_t buf[SLOT];
    int left;
    GRand *rnd;
    unsigned slot;
    int *running;
} Worker;

uint8_t shadow[SIZE];

static void next(Worker *w);

static void check_read(Worker *w)
{
    g_assert_cmpint(memcmp(w->buf, shadow + w->req.off, w->req.len), ==, 0);
}

static void worker_done(BlkReq *req, int result)
{
    Worker *w = req->opaque;

    g_assert_cmpint(result, ==, 0);
    if (req->op == BLK_READ) {
        check_read(w);
    }
    next(w);
}

static void vector(Worker *w)
{
    uint64_t a = w->req.len / 3, b = w->req.len / 2;

    w->iov[0] = (struct iovec){ w->buf, a };
    w->iov[1] = (struct iovec){ w->buf + a, b };
    w->iov[2] = (struct iovec){ w->buf + a + b, w->req.len - a - b };
    w->req.iov = w->iov;
    w->req.iovcnt = 3;
}

static void next(Worker *w)
{
    uint64_t base = (uint64_t)w->slot * SLOT;
    unsigned unit = g_rand_boolean(w->rnd) ? 1 : 4096;

    if (--w->left < 0) {
        --*w->running;
        g_rand_free(w->rnd);
        g_free(w);
        return;
    }
    w->req.op = g_rand_int_range(w->rnd, 0, 5);
    w->req.off = g_rand_int_range(w->rnd, 0, SLOT / unit) * unit;
    w->req.len = (1 + g_rand_int_range(w->rnd, 0, MIN(SLOT - w->req.off, 100000) / unit)) * unit;
    w->req.len = MIN(w->req.len, SLOT - w->req.off);
    w->req.off += base;
    w->req.flags = g_rand_int_range(w->rnd, 0, 8) == 0 ? BLK_FUA : 0;
    if (w->req.op == BLK_WRITE) {
        memset(w->buf, g_rand_int(w->rnd), w->req.len);
        memcpy(shadow + w->req.off, w->buf, w->req.len);
    } else if (w->req.op == BLK_ZEROES) {
        w->req.flags |= g_rand_boolean(w->rnd) ? BLK_MAY_UNMAP : 0;
        memset(shadow + w->req.off, 0, w->req.len);
    } else if (w->req.op == BLK_DISCARD) {
        w->req.op = BLK_READ;                   /* what discarded blocks hold is open */
        w->req.flags = 0;
    } else if (w->req.op == BLK_READ) {
        w->req.flags = 0;
    }
    vector(w);
    blk_submit(&w->req);
}

void workload(Blk *b, unsigned seed, bool fresh)
{
    int running = SLOTS;

    g_assert_cmpuint(blk_size(b), ==, SIZE);
    if (fresh) {
        memset(shadow, 0, SIZE);
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        Worker *w = g_new0(Worker, 1);

        w->req = (BlkReq){ .blk = b, .done = worker_done, .opaque = w };
        w->left = ROUNDS;
        w->slot = i;
        w->rnd = g_rand_new_with_seed(seed + i);
        w->running = &running;
        next(w);
    }
    while (running) {
        loop_step(loop, true);
    }
}

void verify(Blk *b)
{
    g_autofree uint8_t *all = g_malloc(SIZE);

    g_assert_cmpint(blk_read(b, 0, all, SIZE, 0), ==, 0);
    g_assert_cmpint(memcmp(all, shadow, SIZE), ==, 0);
}

/* What is said to be zeroes reads so. */
static void verify_status(Blk *b)
{
    for (uint64_t at = 0; at < SIZE;) {
        BlkExtent e;

        g_assert_cmpint(blk_status(b, at, SIZE - at, true, &e), ==, 0);
        g_assert_cmpuint(e.len, >, 0);
        for (uint64_t i = 0; i < e.len && (e.flags & BLK_EXT_ZERO); i++) {
            g_assert_cmpuint(shadow[at + i], ==, 0);
        }
        at += e.len;
    }
}

void conform(const char *path, const char *options, unsigned flags)
{
    Blk *b = open_ok(path, options, flags | BLK_O_RDWR);

    memset(shadow, 0, SIZE);
    verify_status(b);                           /* nothing of this answer may outlive the writes */
    workload(b, 1, true);
    verify_status(b);
    verify(b);
    blk_free(b);
    b = open_ok(path, options, flags);
    verify_status(b);
    verify(b);
    blk_free(b);
}
