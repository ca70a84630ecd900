/* SPDX-License-Identifier: MIT */
/* Requests: read from the client, checked, run. */
#include "block/nbd/server-priv.h"

#include <assert.h>
#include <errno.h>

#include "util/bswap.h"
#include "util/size.h"

enum { READS_WITHOUT_REST = 16, CACHE_STEP = 1 << 20 };

/* ---- input ---- */

static bool want(NbdConn *c, size_t len, unsigned *reads)
{
    while (c->in_len - c->in_at < len) {
        ssize_t r;

        memmove(c->in, c->in + c->in_at, c->in_len - c->in_at);
        c->in_len -= c->in_at;
        c->in_at = 0;
        nbd_send(c);
        if (++*reads % READS_WITHOUT_REST == 0) {
            fiber_pause();              /* a client that is never silent does not keep the others waiting */
        }
        r = c->dead || c->closing ? 0 : stream_read_some(c->stream, c->in + c->in_len, NBD_INPUT_SIZE - c->in_len, NULL);
        if (r <= 0) {
            return false;
        }
        c->in_len += r;
    }
    return true;
}

static bool read_payload(NbdConn *c, void *buf, size_t len)
{
    size_t have = MIN(len, c->in_len - c->in_at);

    memcpy(buf, c->in + c->in_at, have);
    c->in_at += have;
    if (have == len) {
        return true;
    }
    nbd_send(c);                        /* the client may wait for answers before it goes on */
    return stream_read_all(c->stream, (char *)buf + have, len - have, NULL);
}

static bool skip_payload(NbdConn *c, uint64_t len)
{
    char waste[4096];

    while (len) {
        size_t now = MIN(len, sizeof(waste));

        if (!read_payload(c, waste, now)) {
            return false;
        }
        len -= now;
    }
    return true;
}

/* ---- what may be asked ---- */

typedef struct Command {
    uint16_t flags;                     /* that are allowed */
    uint16_t needs;                     /* NBD_FLAG_ of the export; 0: always there */
    bool writes, ranged, payload;
} Command;

static const Command commands[] = {
    [NBD_CMD_READ] = { .flags = NBD_CMD_DF | NBD_CMD_FUA, .ranged = true },
    [NBD_CMD_WRITE] = { .flags = NBD_CMD_FUA, .writes = true, .ranged = true, .payload = true },
    [NBD_CMD_DISC] = { .flags = NBD_CMD_FUA },
    [NBD_CMD_FLUSH] = { .flags = NBD_CMD_FUA },
    [NBD_CMD_TRIM] = { .flags = NBD_CMD_FUA, .writes = true, .ranged = true },
    [NBD_CMD_CACHE] = { .flags = NBD_CMD_FUA, .ranged = true },
    [NBD_CMD_WRITE_ZEROES] = { .flags = NBD_CMD_FUA | NBD_CMD_NO_HOLE | NBD_CMD_FAST_ZERO, .writes = true, .ranged = true },
    [NBD_CMD_BLOCK_STATUS] = { .flags = NBD_CMD_FUA | NBD_CMD_REQ_ONE | NBD_CMD_PAYLOAD_LEN, .ranged = true },
};

/* 0, or the errno of the answer. */
static int check(const NbdJob *j)
{
    const NbdConn *c = j->conn;
    const NbdExport *x = c->exp;
    const Command *cmd = j->cmd < G_N_ELEMENTS(commands) ? &commands[j->cmd] : NULL;
    uint64_t size = __atomic_load_n(&x->size, __ATOMIC_RELAXED);
    uint16_t flags = j->flags;

    if (!cmd || (j->cmd == NBD_CMD_BLOCK_STATUS && !c->structured)) {
        return EINVAL;
    }
    if (cmd->payload && c->extended) {
        flags &= ~NBD_CMD_PAYLOAD_LEN;          /* it has to be there; qemu's client leaves it out, and others let it */
    }
    if ((flags & ~cmd->flags) || ((flags & NBD_CMD_DF) && !c->structured) || ((flags & NBD_CMD_PAYLOAD_LEN) && !c->extended)) {
        return EINVAL;
    }
    if (cmd->writes && !x->exp->writable) {
        return EPERM;
    }
    if (cmd->ranged && (j->off > size || j->len > size - j->off)) {
        return j->cmd == NBD_CMD_WRITE || j->cmd == NBD_CMD_WRITE_ZEROES ? ENOSPC : EINVAL;
    }
    if (cmd->ranged && ((j->off | j->len) & (x->min_block - 1))) {
        return EINVAL;
    }
    if ((j->cmd == NBD_CMD_READ || cmd->payload) && j->len > NBD_MAX_DATA) {
        return EINVAL;
    }
    if (j->cmd == NBD_CMD_BLOCK_STATUS && (j->len == 0 || !j->context_mask)) {
        return EINVAL;
    }
    return 0;
}

/* ---- running ---- */

static int run_cache(Blk *b, uint64_t off, uint64_t len, void *waste)
{
    int r = 0;

    while (len && r == 0) {
        uint64_t now = MIN(len, CACHE_STEP);

        r = blk_read(b, off, waste, now, BLK_PREFETCH);
        off += now;
        len -= now;
    }
    return r;
}

static int run_command(NbdJob *j)
{
    Blk *b = j->conn->exp->exp->blk;
    unsigned fua = j->flags & NBD_CMD_FUA ? BLK_FUA : 0;
    int r;

    switch (j->cmd) {
    case NBD_CMD_READ:
        j->data_len = j->len;
        return j->len ? blk_read(b, j->off, j->buf, j->len, 0) : 0;
    case NBD_CMD_WRITE:
        return blk_write(b, j->off, j->buf, j->len, fua);
    case NBD_CMD_FLUSH:
        return blk_flush(b);
    case NBD_CMD_TRIM:
        r = blk_discard(b, j->off, j->len);
        return r == 0 && fua ? blk_flush(b) : r;
    case NBD_CMD_CACHE:
        return run_cache(b, j->off, j->len, j->buf);
    case NBD_CMD_WRITE_ZEROES:
        return blk_zeroes(b, j->off, j->len, fua | (j->flags & NBD_CMD_NO_HOLE ? 0 : BLK_MAY_UNMAP) | (j->flags & NBD_CMD_FAST_ZERO ? BLK_NO_FALLBACK : 0));
    }
    return -EINVAL;
}

static void run_job(void *opaque)
{
    NbdJob *j = opaque;

    if (j->cmd == NBD_CMD_BLOCK_STATUS) {
        nbd_status_run(j);
    } else {
        nbd_answer(j, -run_command(j));
    }
}

/* ---- one request ---- */

static void parse(NbdJob *j, const uint8_t *p)
{
    j->flags = lduw_be_p(p + 4);
    j->cmd = lduw_be_p(p + 6);
    j->cookie = ldq_be_p(p + 8);
    j->off = ldq_be_p(p + 16);
    j->len = j->conn->extended ? ldq_be_p(p + 24) : ldl_be_p(p + 24);
}

static uint64_t payload_of(const NbdJob *j)
{
    return j->cmd == NBD_CMD_WRITE || (j->conn->extended && (j->flags & NBD_CMD_PAYLOAD_LEN)) ? j->len : 0;
}

/* Bytes that running it takes. */
static uint64_t data_of(const NbdJob *j)
{
    return j->cmd == NBD_CMD_READ ? j->len : j->cmd == NBD_CMD_CACHE ? MIN(j->len, CACHE_STEP) : j->cmd == NBD_CMD_BLOCK_STATUS ? NBD_STATUS_BYTES : 0;
}

static bool room(const NbdConn *c, size_t need)
{
    return c->jobs == 1 || (c->jobs <= NBD_JOBS_MAX && c->job_bytes + need <= NBD_JOB_BYTES_MAX);
}

/* Wait until what the others hold leaves room for `need` bytes; then take them. */
static bool take_buffer(NbdJob *j, size_t need)
{
    NbdConn *c = j->conn;

    while (!room(c, need)) {
        nbd_send(c);
        if (c->dead) {
            return false;
        }
        if (!room(c, need)) {
            c->waits = fiber_self();
            fiber_yield();
        }
    }
    if (need) {
        j->buf = nbd_buffer_get(c->server, need, &j->buf_size);
        c->job_bytes += j->buf_size;
    }
    return !c->dead;
}

/* Block status with a choice of contexts behind the header: 64 bits of length, then their numbers. */
static int parse_contexts(NbdJob *j)
{
    const uint8_t *p = j->buf;
    uint64_t n = j->len;
    uint32_t mask = 0;

    if (n < 12 || n % 4) {
        return EINVAL;
    }
    for (uint64_t at = 8; at < n; at += 4) {
        uint32_t id = ldl_be_p(p + at);

        if (id >= NBD_CONTEXTS_MAX || !(j->conn->context_mask & (1u << id)) || (mask & (1u << id))) {
            return EINVAL;
        }
        mask |= 1u << id;
    }
    j->context_mask = mask;
    j->len = ldq_be_p(p);
    return 0;
}

/* The payload, where there is one: false when the connection is over. */
static bool take_payload(NbdJob *j, uint64_t payload, int *error)
{
    bool status = j->cmd == NBD_CMD_BLOCK_STATUS;

    if (status && payload && payload <= 8 + 4 * NBD_CONTEXTS_MAX) {
        if (!take_buffer(j, payload) || !read_payload(j->conn, j->buf, payload)) {
            return false;
        }
        *error = parse_contexts(j);
        nbd_job_drop_buffer(j);
        return true;
    }
    if (j->cmd == NBD_CMD_WRITE && payload <= NBD_MAX_DATA) {
        return take_buffer(j, payload) && read_payload(j->conn, j->buf, payload);
    }
    if (payload > NBD_MAX_DATA) {
        return false;                   /* too much to read over */
    }
    *error = EINVAL;                    /* a payload that has no meaning here */
    return skip_payload(j->conn, payload);
}

static bool take_request(NbdConn *c, const uint8_t *head)
{
    NbdJob *j = nbd_job_new(c);
    uint64_t payload;
    int error = 0, bad;

    parse(j, head);
    payload = payload_of(j);
    j->context_mask = c->context_exp == c->exp ? c->context_mask : 0;
    if (j->cmd == NBD_CMD_DISC && !payload) {
        nbd_job_abandon(j);
        return false;
    }
    if (payload ? !take_payload(j, payload, &error) : !take_buffer(j, 0)) {
        nbd_job_abandon(j);
        return false;
    }
    bad = error ? error : check(j);
    if (!bad && !j->buf && !take_buffer(j, data_of(j))) {
        nbd_job_abandon(j);
        return false;
    }
    if (bad) {
        nbd_answer(j, bad);
    } else {
        fiber_start(run_job, j);
    }
    return true;
}

void nbd_serve(NbdConn *c)
{
    size_t size = c->extended ? NBD_REQUEST_EXT_SIZE : NBD_REQUEST_SIZE;
    uint32_t magic = c->extended ? NBD_MAGIC_REQUEST_EXT : NBD_MAGIC_REQUEST;
    unsigned reads = 0;

    c->in = g_malloc(NBD_INPUT_SIZE);
    while (want(c, size, &reads)) {
        uint8_t head[NBD_REQUEST_EXT_SIZE];

        memcpy(head, c->in + c->in_at, size);
        c->in_at += size;
        if (ldl_be_p(head) != magic || !take_request(c, head)) {
            break;
        }
    }
    c->closing = true;
    nbd_send(c);
}
