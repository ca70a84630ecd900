/* SPDX-License-Identifier: MIT */
/*
 * Exports as a vhost-user back end: another program's virtio block device is
 * served from here, out of its own memory (vhost-user specification, as the
 * rust-vmm and QEMU projects publish it).
 *
 * One front end at a time, on a unix socket.  One fiber reads its messages;
 * kicks come on descriptors.  What it says is checked; but it shares its
 * memory as files, and one that makes such a file shorter ends this process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/export/vhost-priv.h"
#include "block/nbd/address.h"
#include "io/fiber.h"

enum {
    GET_FEATURES = 1, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE, SET_LOG_BASE, SET_LOG_FD, SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL,
    SET_VRING_ERR, GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE, GET_CONFIG = 24, SET_CONFIG,
};
enum { FLAG_VERSION = 1, FLAG_REPLY = 4, FLAG_NEED_REPLY = 8, HEADER = 12, PAYLOAD_MAX = 4096 };
enum { P_MQ = 0, P_REPLY_ACK = 3, P_CONFIG = 9 };
enum { F_INDIRECT = 28, F_EVENT_IDX = 29, F_PROTOCOL = 30, F_VERSION_1 = 32, F_PACKED = 34 };

typedef struct {
    uint32_t request, flags, size;
    uint8_t data[PAYLOAD_MAX];
    int fds[SOCKET_FDS_MAX];
    unsigned nfds;
} Message;

/* Numbers are in the host's order: both ends are on it. */
static uint32_t get32(const Message *m, unsigned at)
{
    uint32_t v;

    memcpy(&v, m->data + at, sizeof(v));
    return v;
}

static uint64_t get64(const Message *m, unsigned at)
{
    uint64_t v;

    memcpy(&v, m->data + at, sizeof(v));
    return v;
}

/* ---- memory ---- */

static uint8_t *host_address(const VhostExport *x, uint64_t gpa, uint64_t *len)
{
    for (unsigned i = 0; i < x->nregions; i++) {
        const VhostRegion *r = &x->regions[i];

        if (gpa >= r->gpa && gpa - r->gpa < r->size) {
            *len = MIN(*len, r->size - (gpa - r->gpa));
            return r->host + (gpa - r->gpa);
        }
    }
    return NULL;
}

static void *exact(const VhostExport *x, uint64_t addr, unsigned size)
{
    uint64_t len = size;
    uint8_t *p = addr % size ? NULL : host_address(x, addr, &len);

    return p && len == size && (uintptr_t)p % size == 0 ? p : NULL;
}

static bool mem_load(void *opaque, uint64_t addr, unsigned size, uint64_t *val)
{
    void *p = exact(opaque, addr, size);

    if (!p) {
        return false;
    }
    *val = size == 2 ? __atomic_load_n((uint16_t *)p, __ATOMIC_SEQ_CST) : size == 4 ? __atomic_load_n((uint32_t *)p, __ATOMIC_SEQ_CST) : __atomic_load_n((uint64_t *)p, __ATOMIC_SEQ_CST);
    return true;
}

static bool mem_store(void *opaque, uint64_t addr, unsigned size, uint64_t val)
{
    void *p = exact(opaque, addr, size);

    if (!p) {
        return false;
    }
    switch (size) {
    case 2:
        __atomic_store_n((uint16_t *)p, val, __ATOMIC_SEQ_CST);
        return true;
    case 4:
        __atomic_store_n((uint32_t *)p, val, __ATOMIC_SEQ_CST);
        return true;
    }
    __atomic_store_n((uint64_t *)p, val, __ATOMIC_SEQ_CST);
    return true;
}

static bool mem_read(void *opaque, uint64_t addr, void *buf, uint64_t len)
{
    while (len) {
        uint64_t now = len;
        const uint8_t *p = host_address(opaque, addr, &now);

        if (!p) {
            return false;
        }
        memcpy(buf, p, now);
        buf = (uint8_t *)buf + now;
        addr += now;
        len -= now;
    }
    return true;
}

static void *mem_map(void *opaque, uint64_t addr, uint64_t *len, bool device_writes)
{
    return host_address(opaque, addr, len);
}

static void mem_unmap(void *opaque, void *host, uint64_t len, bool device_writes, uint64_t written)
{
}

static const VringMem front_memory = { .load = mem_load, .store = mem_store, .read = mem_read, .map = mem_map, .unmap = mem_unmap };

static void drop_memory(VhostExport *x)
{
    for (unsigned i = 0; i < x->nregions; i++) {
        munmap(x->regions[i].map, x->regions[i].map_size);
    }
    x->nregions = 0;
}

static bool map_region(VhostExport *x, const Message *m, unsigned i)
{
    VhostRegion *r = &x->regions[i];
    unsigned at = 8 + i * 32;
    uint64_t offset = get64(m, at + 24);
    struct stat st;

    *r = (VhostRegion){ .gpa = get64(m, at), .size = get64(m, at + 8), .uaddr = get64(m, at + 16) };
    if (!r->size || r->gpa + r->size < r->gpa || r->uaddr + r->size < r->uaddr || offset + r->size < offset || fstat(m->fds[i], &st) < 0 || (uint64_t)st.st_size < offset + r->size) {
        return false;
    }
    r->map_size = offset + r->size;
    r->map = mmap(NULL, r->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fds[i], 0);
    if (r->map == MAP_FAILED) {
        return false;
    }
    r->host = (uint8_t *)r->map + offset;
    x->nregions = i + 1;
    return true;
}

static void pause_queue(void *opaque)
{
    VhostQueue *q = opaque;

    q->paused = true;
    while (q->running) {
        fiber_sleep(20000);
    }
}

static void resume_queue(void *opaque)
{
    VhostQueue *q = opaque;

    q->paused = false;
    vhost_blk_run(q);
}

/* On the loop of each. */
static void each_queue(VhostExport *x, FiberFn *fn)
{
    for (unsigned i = 0; i < x->nqueues; i++) {
        export_run_on(x->q[i].loop, fn, &x->q[i]);
    }
}

static bool map_all(VhostExport *x, const Message *m, unsigned n)
{
    drop_memory(x);
    for (unsigned i = 0; i < n; i++) {
        if (!map_region(x, m, i)) {
            return false;
        }
    }
    return true;
}

static bool set_memory(VhostExport *x, const Message *m)
{
    uint32_t n = m->size >= 8 ? get32(m, 0) : 0;
    bool ok;

    if (n > VHOST_REGIONS || m->size < 8 + n * 32 || m->nfds != n) {
        return false;
    }
    each_queue(x, pause_queue);         /* requests point into the old memory */
    ok = map_all(x, m, n);
    each_queue(x, resume_queue);
    return ok;
}

/* Rings are given by the front end's own addresses. */
static bool to_guest(const VhostExport *x, uint64_t user, uint64_t *gpa)
{
    for (unsigned i = 0; i < x->nregions; i++) {
        const VhostRegion *r = &x->regions[i];

        if (user >= r->uaddr && user - r->uaddr < r->size) {
            *gpa = r->gpa + (user - r->uaddr);
            return true;
        }
    }
    return false;
}

/* ---- queues ---- */

static void kicked(void *opaque, unsigned events)
{
    VhostQueue *q = opaque;
    uint64_t count;

    if (read(q->kick, &count, sizeof(count)) < 0 && errno != EAGAIN) {
        loop_fd_events(q->watch, 0);
        return;
    }
    vhost_blk_run(q);
}

void vhost_queue_done(VhostQueue *q)
{
    uint64_t one = 1;

    if (vring_should_notify(&q->vr) && q->call >= 0 && write(q->call, &one, sizeof(one)) < 0 && errno != EAGAIN) {
        close(q->call);
        q->call = -1;
    }
    vhost_blk_run(q);                   /* one that waited for room */
}

static void set_fd(int *at, int fd)
{
    if (*at >= 0) {
        close(*at);
    }
    *at = fd;
}

static void queue_stop(VhostQueue *q)
{
    loop_fd_remove(q->watch);
    q->watch = NULL;
    set_fd(&q->kick, -1);
    q->started = false;
    while (q->running) {
        fiber_sleep(20000);
    }
    q->vr.ready = false;
}

static void stop_queue(void *opaque)
{
    queue_stop(opaque);
}

static bool queue_start(VhostQueue *q)
{
    VhostExport *x = q->x;
    bool packed = x->features >> F_PACKED & 1;
    uint64_t used;

    if (!q->vr.num || !to_guest(x, q->desc_user, &q->vr.desc) || !to_guest(x, q->avail_user, &q->vr.avail) || !to_guest(x, q->used_user, &q->vr.used)) {
        return false;
    }
    if (!packed) {
        if (!mem_load(x, q->vr.used + 2, 2, &used)) {
            return false;
        }
        q->vr.used_idx = used;
    }
    q->vr.broken = false;
    vring_start(&q->vr, packed, x->features >> F_EVENT_IDX & 1);
    q->started = true;
    q->enabled |= !(x->features >> F_PROTOCOL & 1);
    if (q->kick >= 0) {
        q->watch = loop_fd_add(loop_current(), q->kick, LOOP_READ, kicked, q);
    }
    vhost_blk_run(q);
    return true;
}

/* ---- messages ---- */

static VhostQueue *queue_of(VhostExport *x, const Message *m)
{
    uint32_t i = m->size >= 8 ? get32(m, 0) & 0xff : UINT32_MAX;

    return i < x->nqueues ? &x->q[i] : NULL;
}

/* Reading and writing it must not keep anybody, and it must be something that can be waited for. */
static bool is_eventfd(int fd)
{
    char path[64], what[64];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    n = readlink(path, what, sizeof(what));
    return (n < 0 || (n == 20 && !memcmp(what, "anon_inode:[eventfd]", 20))) && fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0;
}

/* A descriptor of a queue, or none (bit 8, or nothing came): -1. */
static bool take_eventfd(Message *m, int *fd)
{
    *fd = m->nfds == 1 && !(get64(m, 0) & 0x100) ? m->fds[0] : -1;
    if (*fd >= 0 && !is_eventfd(*fd)) {
        return false;
    }
    m->nfds = *fd >= 0 ? 0 : m->nfds;   /* ours now */
    return true;
}

static bool set_ring_here(VhostQueue *q, Message *m)
{
    VhostExport *x = q->x;
    int fd;

    switch (m->request) {
    case SET_VRING_NUM:
        if (q->started || get32(m, 4) > VRING_SIZE_MAX || !get32(m, 4)) {
            return false;
        }
        q->vr.num = get32(m, 4);
        return true;
    case SET_VRING_BASE:
        if (q->started) {
            return false;
        }
        q->vr.last_avail = get32(m, 4);
        if (x->features >> F_PACKED & 1) {
            q->vr.last_avail = get32(m, 4) & 0x7fff;
            q->vr.avail_wrap = get32(m, 4) >> 15 & 1;
            q->vr.used_idx = get32(m, 4) >> 16 & 0x7fff;
            q->vr.used_wrap = get32(m, 4) >> 31;
        }
        return true;
    case SET_VRING_ADDR:
        if (m->size < 40) {
            return false;
        }
        q->desc_user = get64(m, 8);
        q->used_user = get64(m, 16);
        q->avail_user = get64(m, 24);
        return true;
    case SET_VRING_ENABLE:
        q->enabled = get32(m, 4);
        vhost_blk_run(q);
        return true;
    case SET_VRING_CALL:
        if (!take_eventfd(m, &fd)) {
            return false;
        }
        set_fd(&q->call, fd);
        return true;
    case SET_VRING_ERR:
        return true;                    /* errors are told to nobody: the ring just stops */
    case SET_VRING_KICK:
        if (!take_eventfd(m, &fd)) {
            return false;
        }
        queue_stop(q);
        set_fd(&q->kick, fd);
        return queue_start(q);
    }
    return false;
}

typedef struct {
    VhostQueue *q;
    Message *m;
    bool ok;
} RingChange;

static void change_ring(void *opaque)
{
    RingChange *c = opaque;

    c->ok = set_ring_here(c->q, c->m);
}

static bool set_ring(VhostExport *x, Message *m)
{
    RingChange c = { .q = queue_of(x, m), .m = m };

    if (c.q) {
        export_run_on(c.q->loop, change_ring, &c);
    }
    return c.ok;
}

static bool send_reply(VhostExport *x, Message *m, uint32_t size)
{
    struct iovec iov[2] = { { m, HEADER }, { m->data, size } };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

    m->flags = FLAG_VERSION | FLAG_REPLY;
    m->size = size;
    return sendmsg(x->fd, &msg, MSG_NOSIGNAL) == (ssize_t)(HEADER + size);
}

static bool send_u64(VhostExport *x, Message *m, uint64_t v)
{
    memcpy(m->data, &v, sizeof(v));
    return send_reply(x, m, sizeof(v));
}

static bool give_base(VhostExport *x, Message *m)
{
    VhostQueue *q = queue_of(x, m);
    uint32_t base;

    if (!q) {
        return false;
    }
    export_run_on(q->loop, stop_queue, q);
    base = q->vr.last_avail;
    if (x->features >> F_PACKED & 1) {
        base = q->vr.last_avail | (uint32_t)q->vr.avail_wrap << 15 | (uint32_t)q->vr.used_idx << 16 | (uint32_t)q->vr.used_wrap << 31;
    }
    memcpy(m->data + 4, &base, sizeof(base));
    return send_reply(x, m, 8);
}

static bool give_config(VhostExport *x, Message *m)
{
    uint32_t off = m->size >= 12 ? get32(m, 0) : UINT32_MAX, size = m->size >= 12 ? get32(m, 4) : 0;
    uint8_t config[VHOST_BLK_CONFIG];

    if (off > VHOST_BLK_CONFIG || size > m->size - 12 || size > PAYLOAD_MAX - 12) {
        return send_reply(x, m, 0);     /* the specification's way to say no */
    }
    vhost_blk_config(x, config);
    memset(m->data + 12, 0, size);
    memcpy(m->data + 12, config + off, MIN(size, VHOST_BLK_CONFIG - off));
    return send_reply(x, m, 12 + size);
}

static uint64_t all_features(const VhostExport *x)
{
    return vhost_blk_features(x) | 1ull << F_INDIRECT | 1ull << F_EVENT_IDX | 1ull << F_PROTOCOL | 1ull << F_VERSION_1 | 1ull << F_PACKED;
}

static bool set_features(VhostExport *x, const Message *m, uint64_t known, uint64_t *at)
{
    if (m->size < 8 || (get64(m, 0) & ~known)) {
        return false;
    }
    *at = get64(m, 0);
    return true;
}

static bool set_config(VhostExport *x, const Message *m)
{
    return m->size >= 12 && get32(m, 4) <= m->size - 12 && vhost_blk_set_config(x, get32(m, 0), m->data + 12, get32(m, 4));
}

/* False: the front end does not keep to the protocol, and is left. */
static bool handle(VhostExport *x, Message *m)
{
    uint64_t protocol = 1ull << P_MQ | 1ull << P_REPLY_ACK | 1ull << P_CONFIG;
    bool ack = (m->flags & FLAG_NEED_REPLY) && (x->protocol >> P_REPLY_ACK & 1), ok;

    switch (m->request) {
    case GET_FEATURES:
        return send_u64(x, m, all_features(x));
    case GET_PROTOCOL_FEATURES:
        return send_u64(x, m, protocol);
    case GET_QUEUE_NUM:
        return send_u64(x, m, x->nqueues);
    case GET_VRING_BASE:
        return give_base(x, m);
    case GET_CONFIG:
        return give_config(x, m);
    case SET_FEATURES:
        ok = set_features(x, m, all_features(x), &x->features);
        break;
    case SET_PROTOCOL_FEATURES:
        ok = set_features(x, m, protocol, &x->protocol);
        break;
    case SET_OWNER:
    case RESET_OWNER:
        ok = true;
        break;
    case SET_MEM_TABLE:
        ok = set_memory(x, m);
        break;
    case SET_CONFIG:
        ok = set_config(x, m);
        break;
    default:
        ok = set_ring(x, m);
        break;
    }
    return ack ? send_u64(x, m, !ok) : ok;
}

/* ---- the connection ---- */

static bool read_some(VhostExport *x, void *buf, size_t len, Message *m)
{
    size_t done = 0;

    while (done < len) {
        int *fds = NULL;
        unsigned n = 0;
        ssize_t r = socket_recv_fds(x->fd, &(struct iovec){ (char *)buf + done, len - done }, 1, &fds, &n);

        for (unsigned i = 0; i < n; i++) {
            if (m->nfds < SOCKET_FDS_MAX) {
                m->fds[m->nfds++] = fds[i];
            } else {
                close(fds[i]);
            }
        }
        g_free(fds);
        if (r == -EAGAIN) {
            fiber_wait_fd(x->fd, LOOP_READ);
        } else if (r <= 0) {
            return false;
        } else {
            done += r;
        }
    }
    return true;
}

static bool one_message(VhostExport *x, Message *m)
{
    bool ok;

    m->nfds = 0;
    ok = read_some(x, m, HEADER, m) && m->size <= PAYLOAD_MAX && (m->flags & 3) == FLAG_VERSION && read_some(x, m->data, m->size, m) && handle(x, m);
    for (unsigned i = 0; i < m->nfds; i++) {
        close(m->fds[i]);
    }
    return ok && !x->quit;
}

static void reset_queue(void *opaque)
{
    VhostQueue *q = opaque;

    queue_stop(q);
    set_fd(&q->call, -1);
    vring_init(&q->vr, &front_memory, q->x);
    q->enabled = false;
}

static void reset(VhostExport *x)
{
    each_queue(x, reset_queue);
    drop_memory(x);
    x->features = x->protocol = 0;
    blk_set_writethrough(x->exp->blk, x->writethrough);
}

static void serve(void *opaque)
{
    VhostExport *x = opaque;
    g_autofree Message *m = g_new0(Message, 1);

    while (one_message(x, m)) {
    }
    reset(x);
    close(x->fd);
    x->fd = -1;
    x->fibers = 0;
    if (x->watch && !x->quit) {
        loop_fd_events(x->watch, LOOP_READ);
    }
}

static void incoming(void *opaque, unsigned events)
{
    VhostExport *x = opaque;
    int fd = socket_accept(x->listener);

    if (fd >= 0) {
        loop_fd_events(x->watch, 0);    /* the next one waits */
        x->fd = fd;
        x->fibers = 1;
        fiber_start(serve, x);
    }
}

/* ---- the export ---- */

static const OptKey vhost_keys[] = {
    { "addr", OPT_ANY, "unix socket or descriptor that the front end connects to" }, { "addr.type", OPT_STRING, "" }, { "addr.path", OPT_STRING, "" }, { "addr.str", OPT_STRING, "" },
    { "logical-block-size", OPT_SIZE, "of the disk, 512 to 2M", .def = "512" },
    { "num-queues", OPT_NUMBER, "request queues", .def = "1" },
    {}
};

static bool check_options(VhostExport *x, const Json *o, Error **errp)
{
    uint64_t size = json_get_u64(o, "logical-block-size", 512), n = json_get_u64(o, "num-queues", 1);

    if (size < 512 || size > 2 << 20 || size & (size - 1)) {
        return error_set(errp, "Property .logical-block-size doesn't take value %" G_GUINT64_FORMAT, size);
    }
    if (n < 1 || n > VHOST_QUEUES) {
        return error_set(errp, "num-queues must be between 1 and %d", VHOST_QUEUES);
    }
    x->block_size = size;
    x->nqueues = n;
    return true;
}

static bool vhost_open(Export *e, const Json *o, Error **errp)
{
    VhostExport *x = e->state;
    g_autoptr(SocketAddress) a = nbd_address_from_json(e->session, o, "addr", errp);

    x->exp = e;
    x->fd = -1;
    if (!a || !check_options(x, o, errp)) {
        return false;
    }
    if (a->kind != SOCKET_UNIX && a->kind != SOCKET_FD) {
        return error_set(errp, "vhost-user needs a unix socket: descriptors travel on it");
    }
    x->listener = socket_listen(a, 1, errp);
    if (x->listener < 0) {
        return false;
    }
    x->writethrough = blk_writethrough(e->blk);
    x->unlink_path = a->kind == SOCKET_UNIX && !a->abstract ? g_strdup(a->path) : NULL;
    for (unsigned i = 0; i < x->nqueues; i++) {
        x->q[i] = (VhostQueue){ .x = x, .loop = export_loop(e, i), .kick = -1, .call = -1 };
        vring_init(&x->q[i].vr, &front_memory, x);
    }
    x->watch = loop_fd_add(loop_current(), x->listener, LOOP_READ, incoming, x);
    return true;
}

static bool vhost_in_use(const Export *e)
{
    return ((const VhostExport *)e->state)->fd >= 0;
}

static void vhost_close(Export *e)
{
    VhostExport *x = e->state;

    x->quit = true;
    loop_fd_remove(x->watch);
    x->watch = NULL;
    close(x->listener);
    if (x->fd >= 0) {
        shutdown(x->fd, SHUT_RDWR);
    }
    export_wait_zero(&x->fibers);
    if (x->unlink_path) {
        unlink(x->unlink_path);
    }
    g_free(x->unlink_path);
}

static const ExportType vhost_type = {
    .name = "vhost-user-blk", .help = "a virtio block device of another program", .state_size = sizeof(VhostExport), .keys = vhost_keys,
    .open = vhost_open, .in_use = vhost_in_use, .close = vhost_close,
};
EXPORT_TYPE(vhost_type);
