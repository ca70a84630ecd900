/* SPDX-License-Identifier: MIT */
/* Answers: made, queued, sent together. */
#include "block/nbd/server-priv.h"

#include <assert.h>
#include <errno.h>

#include "util/bswap.h"

/*
 * Answers are gathered, but only so many: the client should have something to
 * do while the next ones are made, and the data still be in the cache.
 */
enum { SEND_PIECES = 128, SEND_JOBS = 8, SEND_BYTES = 64 << 10 };

/* ---- jobs ---- */

NbdJob *nbd_job_new(NbdConn *c)
{
    NbdJob *j = c->free_jobs;

    if (j) {
        c->free_jobs = j->next;
    } else {
        j = g_new(NbdJob, 1);
    }
    *j = (NbdJob){ .conn = c };
    c->jobs++;
    c->running++;
    c->refs++;
    return j;
}

void nbd_job_drop_buffer(NbdJob *j)
{
    if (j->buf) {
        j->conn->job_bytes -= j->buf_size;
        nbd_buffer_put(j->conn->server, j->buf, j->buf_size);
        j->buf = NULL;
    }
}

void nbd_job_free(NbdJob *j)
{
    NbdConn *c = j->conn;

    nbd_job_drop_buffer(j);
    j->next = c->free_jobs;
    c->free_jobs = j;
    c->jobs--;
    if (c->waits) {
        fiber_wake(c->waits);
        c->waits = NULL;
    }
    nbd_conn_unref(c);
}

void nbd_job_abandon(NbdJob *j)
{
    j->conn->running--;
    nbd_job_free(j);
}

/* ---- making answers ---- */

void nbd_put_chunk(const NbdJob *j, uint8_t *at, uint16_t flags, uint16_t type, uint64_t len)
{
    bool ext = j->conn->extended;

    stl_be_p(at, ext ? NBD_MAGIC_CHUNK_EXT : NBD_MAGIC_CHUNK);
    stw_be_p(at + 4, flags);
    stw_be_p(at + 6, type);
    stq_be_p(at + 8, j->cookie);
    if (ext) {
        stq_be_p(at + 16, j->off);
        stq_be_p(at + 24, len);
    } else {
        stl_be_p(at + 16, len);
    }
}

static void put_simple(NbdJob *j, int error)
{
    stl_be_p(j->head, NBD_MAGIC_SIMPLE);
    stl_be_p(j->head + 4, nbd_errno_to_wire(error));
    stq_be_p(j->head + 8, j->cookie);
    j->head_len = NBD_SIMPLE_SIZE;
}

static void put_structured(NbdJob *j, int error)
{
    unsigned n = nbd_chunk_size(j->conn);

    if (error) {
        nbd_put_chunk(j, j->head, NBD_CHUNK_DONE, NBD_CHUNK_ERROR, 6);
        stl_be_p(j->head + n, nbd_errno_to_wire(error));
        stw_be_p(j->head + n + 4, 0);           /* no words */
        j->head_len = n + 6;
    } else if (j->cmd == NBD_CMD_READ && j->data_len) {
        nbd_put_chunk(j, j->head, NBD_CHUNK_DONE, NBD_CHUNK_DATA, 8 + j->data_len);
        stq_be_p(j->head + n, j->off);
        j->head_len = n + 8;
    } else {
        nbd_put_chunk(j, j->head, NBD_CHUNK_DONE, NBD_CHUNK_NONE, 0);
        j->head_len = n;
    }
}

static void enqueue(NbdJob *j)
{
    NbdConn *c = j->conn;

    j->next = NULL;
    j->sent = 0;
    *c->out_last = j;
    c->out_last = &j->next;
    c->running--;
    c->unsent += 1 + j->data_len / SEND_BYTES * SEND_JOBS;
    if (c->unsent < SEND_JOBS) {
        nbd_send_later(c);
    } else {
        nbd_send(c);
    }
}

void nbd_answer(NbdJob *j, int error)
{
    if (error || j->cmd != NBD_CMD_READ) {
        j->data_len = 0;
    }
    if (j->conn->structured) {
        put_structured(j, error);
    } else {
        put_simple(j, error);
    }
    enqueue(j);
}

void nbd_answer_raw(NbdJob *j)
{
    j->head_len = 0;
    enqueue(j);
}

/* ---- sending ---- */

static unsigned add_piece(struct iovec *iov, unsigned n, void *base, size_t len, size_t *skip)
{
    if (*skip >= len) {
        *skip -= len;
        return n;
    }
    iov[n] = (struct iovec){ (char *)base + *skip, len - *skip };
    *skip = 0;
    return n + 1;
}

static unsigned gather(NbdConn *c, struct iovec *iov)
{
    unsigned n = 0;

    for (NbdJob *j = c->out; j && n + 2 <= SEND_PIECES; j = j->next) {
        size_t skip = j->sent;

        n = add_piece(iov, n, j->head, j->head_len, &skip);
        n = add_piece(iov, n, j->buf, j->data_len, &skip);
    }
    return n;
}

static void pop(NbdConn *c)
{
    NbdJob *j = c->out;

    c->out = j->next;
    if (!c->out) {
        c->out_last = &c->out;
    }
    nbd_job_free(j);
}

static void sent(NbdConn *c, size_t n)
{
    while (c->out) {
        NbdJob *j = c->out;
        size_t left = j->head_len + j->data_len - j->sent;

        if (n < left) {
            j->sent += n;
            return;
        }
        n -= left;
        pop(c);
    }
}

static void drop_all(NbdConn *c)
{
    while (c->out) {
        pop(c);
    }
}

static size_t total(const struct iovec *iov, unsigned n)
{
    size_t len = 0;

    for (unsigned i = 0; i < n; i++) {
        len += iov[i].iov_len;
    }
    return len;
}

/* The client takes its time. */
static void send_waiting(void *opaque)
{
    NbdConn *c = opaque;
    struct iovec iov[SEND_PIECES];

    while (c->out && !c->dead) {
        unsigned n = gather(c, iov);
        size_t len = total(iov, n);

        if (!stream_writev_all(c->stream, iov, n, NULL)) {
            nbd_conn_kill(c);
            break;
        }
        sent(c, len);
    }
    c->sending = false;
    if (c->dead) {
        drop_all(c);
    }
    nbd_conn_unref(c);
}

/* The server stops and nothing runs: over, however little the client reads. */
static void end_in_hurry(NbdConn *c)
{
    if (c->hurry && c->running == 0 && !c->dead) {
        nbd_conn_kill(c);
    }
}

static void send_now(NbdConn *c)
{
    struct iovec iov[SEND_PIECES];

    c->unsent = 0;
    while (c->out && !c->dead) {
        ssize_t r = stream_writev(c->stream, iov, gather(c, iov));

        if (r == -EAGAIN) {
            if (c->hurry && c->running == 0) {
                return;
            }
            c->sending = true;
            c->refs++;
            fiber_start(send_waiting, c);
            return;
        }
        if (r <= 0) {
            nbd_conn_kill(c);
            return;
        }
        sent(c, r);
    }
}

void nbd_send(NbdConn *c)
{
    c->refs++;
    if (!c->sending) {
        send_now(c);
    }
    end_in_hurry(c);
    if (c->dead && !c->sending) {
        drop_all(c);
    }
    nbd_conn_unref(c);
}

static void flush_posted(void *opaque)
{
    NbdConn *c = opaque;

    c->flush_posted = false;
    nbd_send(c);
    nbd_conn_unref(c);
}

void nbd_send_later(NbdConn *c)
{
    if (!c->flush_posted) {
        c->flush_posted = true;
        c->refs++;
        c->flush = (LoopPost){ NULL, flush_posted, c };
        loop_post_node(loop_current(), &c->flush);
    }
}
