/* SPDX-License-Identifier: MIT */
/* Both engines against the same file: patterns, the end of the file, more requests than a ring holds. */
#include "io/aio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 4096, COUNT = 1000 };

typedef struct {
    AioReq req;
    struct iovec iov[2];
    char *buf;
    int64_t result;
    int *left;
} Slot;

static void slot_done(AioReq *req, int64_t result)
{
    Slot *s = req->opaque;

    s->result = result;
    --*s->left;
}

static void start(Loop *loop, AioEngine engine, Slot *s, AioOp op, int fd, uint64_t off, uint64_t len)
{
    s->iov[0] = (struct iovec){ s->buf, 1000 };
    s->iov[1] = (struct iovec){ s->buf + 1000, len - 1000 };
    s->req = (AioReq){ .op = op, .fd = fd, .iov = s->iov, .iovcnt = 2, .off = off, .len = len, .done = slot_done, .opaque = s };
    aio_submit(loop, engine, &s->req);
}

static void wait_all(Loop *loop, const int *left)
{
    while (*left) {
        loop_step(loop, true);
    }
}

static void test_file(gconstpointer opaque)
{
    AioEngine engine = GPOINTER_TO_INT(opaque);
    Loop *loop = loop_new("test");
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("aio-XXXXXX", &path, NULL), left = COUNT;
    Slot *slots = g_new0(Slot, COUNT), sync = { .left = &left };

    unlink(path);
    loop_attach(loop);
    if (engine == AIO_URING && !aio_uring_usable(loop, NULL)) {
        g_test_skip("no io_uring here");
        goto out;
    }
    for (int i = 0; i < COUNT; i++) {
        slots[i].buf = g_malloc(BLOCK);
        slots[i].left = &left;
        memset(slots[i].buf, i * 7 + 1, BLOCK);
        start(loop, engine, &slots[i], AIO_WRITE, fd, (uint64_t)i * BLOCK, BLOCK);
    }
    g_assert_cmpint(left, ==, COUNT);                   /* never from inside the submit */
    wait_all(loop, &left);
    for (int i = 0; i < COUNT; i++) {
        g_assert_cmpint(slots[i].result, ==, BLOCK);
        memset(slots[i].buf, 0, BLOCK);
    }
    left = 1;
    sync.req = (AioReq){ .op = AIO_FDATASYNC, .fd = fd, .done = slot_done, .opaque = &sync };
    aio_submit(loop, engine, &sync.req);
    wait_all(loop, &left);
    g_assert_cmpint(sync.result, ==, 0);
    g_assert_cmpint(ftruncate(fd, (uint64_t)(COUNT - 1) * BLOCK + 1500), ==, 0);
    left = COUNT;
    for (int i = 0; i < COUNT; i++) {
        start(loop, engine, &slots[i], AIO_READ, fd, (uint64_t)i * BLOCK, BLOCK);
    }
    wait_all(loop, &left);
    for (int i = 0; i < COUNT; i++) {
        int want = i == COUNT - 1 ? 1500 : BLOCK;
        g_assert_cmpint(slots[i].result, ==, want);
        for (int k = 0; k < want; k++) {
            g_assert_cmpint(slots[i].buf[k], ==, (char)(i * 7 + 1));
        }
        g_free(slots[i].buf);
    }
    left = 1;
    sync.req = (AioReq){ .op = AIO_FALLOCATE, .mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, .fd = fd, .off = 0, .len = BLOCK, .done = slot_done, .opaque = &sync };
    aio_submit(loop, engine, &sync.req);
    wait_all(loop, &left);
    g_assert_true(sync.result == 0 || sync.result == -EOPNOTSUPP);
out:
    g_free(slots);
    close(fd);
    loop_free(loop);
}

/* A full disk in the middle, and a descriptor that cannot be written. */
static void test_errors(gconstpointer opaque)
{
    AioEngine engine = GPOINTER_TO_INT(opaque);
    Loop *loop = loop_new("test");
    char buf[BLOCK] = {};
    int left = 2;
    Slot a = { .buf = buf, .left = &left }, b = a;
    int full = open("/dev/full", O_RDWR), ro = open("/dev/null", O_RDONLY);

    loop_attach(loop);
    if (engine == AIO_URING && !aio_uring_usable(loop, NULL)) {
        g_test_skip("no io_uring here");
    } else {
        start(loop, engine, &a, AIO_WRITE, full, 0, BLOCK);
        start(loop, engine, &b, AIO_WRITE, ro, 0, BLOCK);
        wait_all(loop, &left);
        g_assert_cmpint(a.result, ==, -ENOSPC);
        g_assert_cmpint(b.result, ==, -EBADF);
    }
    close(full);
    close(ro);
    loop_free(loop);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/aio/uring/file", GINT_TO_POINTER(AIO_URING), test_file);
    g_test_add_data_func("/aio/threads/file", GINT_TO_POINTER(AIO_THREADS), test_file);
    g_test_add_data_func("/aio/uring/errors", GINT_TO_POINTER(AIO_URING), test_errors);
    g_test_add_data_func("/aio/threads/errors", GINT_TO_POINTER(AIO_THREADS), test_errors);
    return g_test_run();
}
