/* SPDX-License-Identifier: MIT */
/*
 * Block device: Virtual I/O Device 1.2, section 5.2.
 *
 * Kicks run on the disk's event loop; requests go to the block layer with the
 * guest's own memory as vector and finish through the machine's door.  A reset
 * on the main thread waits for what is in flight; one by the guest lets go of
 * it, and holds the vCPU until the host has done with the guest's memory.
 */
#include "hw/block/virtio-blk-priv.h"

#include <errno.h>
#include <string.h>

#include "util/bits.h"
#include "util/bswap.h"
#include "util/iov.h"
#include "util/log.h"

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum { HEADER = 16, RANGE = 16, ID_BYTES = 20 };
#define LATENCY_NS (50 * NS_PER_US)     /* of a request, under instruction-driven time */

/* ---- lists of requests ---- */

static void link_in(Request **head, Request *r)
{
    r->next = *head;
    r->prev = head;
    if (r->next) {
        r->next->prev = &r->next;
    }
    *head = r;
}

static void link_out(Request *r)
{
    *r->prev = r->next;
    if (r->next) {
        r->next->prev = r->prev;
    }
    r->prev = NULL;
}

/* ---- completion ---- */

static void finish(Request *r, uint8_t status)
{
    VirtQueue *q = r->q;

    iov_write(r->e->in, r->e->nin, r->e->in_bytes - 1, &status, 1);
    virtio_push(q, r->e, (uint32_t)r->e->in_bytes);     /* the status is the last byte */
    virtio_notify(q);
    g_free(r);
}

/* By what the policy says; the request waits for the machine to go on. */
static void stop_for(VirtioBlk *s, Request *r)
{
    log_print("%s: %s at %" PRIu64 ": %s", s->vd.dev.path, r->type == T_IN ? "read" : "write", r->blk.off, g_strerror(-r->result));
    blk_report_error(s->blk, r->blk.op, -r->result, BLK_ERROR_STOP);
    machine_request(s->vd.dev.machine, REQUEST_STOP, CAUSE_HOST_ERROR);
    link_in(&s->stopped, r);
}

static void settle(VirtioBlk *s, Request *r)
{
    uint32_t policy = r->type == T_IN ? s->rerror : s->werror;
    bool stop = policy == ON_STOP || (policy == ON_ENOSPC && r->result == -ENOSPC);

    if (r->result >= 0) {
        finish(r, S_OK);
    } else if (r->result == -ENOTSUP) {
        finish(r, S_UNSUPP);
    } else if (stop) {
        stop_for(s, r);
    } else {
        blk_report_error(s->blk, r->blk.op, -r->result, policy == ON_IGNORE ? BLK_ERROR_IGNORE : BLK_ERROR_REPORT);
        finish(r, policy == ON_IGNORE ? S_OK : S_IOERR);
    }
}

/* Without an answer. */
static void let_go(VirtioBlk *s, Request *r)
{
    link_out(r);
    if (r->q) {
        vring_drop(&r->q->ring, r->e);
    } else {
        vring_forget(&virtio_queue(&s->vd, 0)->ring, r->e);
        s->orphans--;
    }
    g_free(r);
    while (!s->orphans && s->waiting->len) {
        vcpu_release(g_ptr_array_remove_index(s->waiting, s->waiting->len - 1));
    }
}

/*
 * The driver gives a queue up (NULL: all).  What the host is still writing into
 * the guest's memory for it cannot be called back, so the vCPU that did it waits;
 * under instruction-driven time its completions take effect at this instruction, and the guest's clock stands until they have come.
 */
static void orphan(VirtioBlk *s, const VirtQueue *q)
{
    bool host_time = clock_mode(s->vd.dev.machine->clock) == CLOCK_HOST;
    Cpu *cpu = vcpu_current();

    for (Request *r = s->flying; r; r = r->next) {
        if (r->q && (!q || r->q == q)) {
            r->q = NULL;                                /* nobody hears of it any more */
            s->orphans++;
            if (cpu) {
                input_hurry(r->ticket);
            }
            if (host_time) {
                blk_cancel(&r->blk);                    /* one that waits for its turn ends now */
            }
        }
    }
    if (s->orphans && cpu && host_time) {
        g_ptr_array_add(s->waiting, cpu);
        vcpu_hold(cpu);
    }
}

/* Through the door, lock held: the result of a request. */
void vblk_completed(void *opaque, const void *data, size_t len)
{
    VirtioBlk *s = opaque;
    Request *r;

    memcpy(&r, data, len);
    if (r->q) {
        link_out(r);
        settle(s, r);
    } else {
        let_go(s, r);
    }
}

/* On the disk's loop, no lock. */
static void blk_done(BlkReq *req, int result)
{
    Request *r = req->opaque;

    r->result = result;
    input_complete(r->ticket, &r, sizeof(r));
}

/* Under instruction-driven time limits are part of the modelled latency: the host does not let the request wait. */
static int64_t latency(const VirtioBlk *s, Request *r)
{
    Clock *c = s->vd.dev.machine->clock;

    return clock_mode(c) == CLOCK_ICOUNT ? LATENCY_NS + blk_take_turn(&r->blk, clock_now(c)) : 0;
}

static void submit(VirtioBlk *s, Request *r)
{
    r->ticket = input_ticket(&s->port, latency(s, r));
    link_in(&s->flying, r);
    blk_submit(&r->blk);
}

/* ---- requests ---- */

static Request *request_new(VirtioBlk *s, VirtQueue *q, VringElem *e, uint32_t type, unsigned pieces)
{
    Request *r = g_malloc0(sizeof(*r) + pieces * sizeof(struct iovec));

    r->s = s;
    r->q = q;
    r->e = e;
    r->type = type;
    r->blk = (BlkReq){ .blk = s->blk, .done = blk_done, .opaque = r, .loop = q->loop };
    return r;
}

static void answer(VirtioBlk *s, VirtQueue *q, VringElem *e, uint8_t status)
{
    finish(request_new(s, q, e, T_GET_ID, 0), status);
}

static bool range_ok(const VirtioBlk *s, uint64_t sector, uint64_t bytes)
{
    uint64_t end = blk_size(s->blk) / SECTOR;

    return !(bytes % s->logical) && !((sector * SECTOR) % s->logical) && sector <= end && bytes / SECTOR <= end - sector;
}

static void read_write(VirtioBlk *s, VirtQueue *q, VringElem *e, bool write, uint64_t sector)
{
    uint64_t bytes = write ? e->out_bytes - HEADER : e->in_bytes - 1;
    unsigned max = write ? e->nout : e->nin;
    Request *r;

    if (!range_ok(s, sector, bytes) || (write && blk_read_only(s->blk))) {
        blk_invalid(s->blk, write ? BLK_WRITE : BLK_READ);
        answer(s, q, e, S_IOERR);
        return;
    }
    r = request_new(s, q, e, write ? T_OUT : T_IN, max);
    r->blk.op = write ? BLK_WRITE : BLK_READ;
    r->blk.off = sector * SECTOR;
    r->blk.len = bytes;
    r->blk.iov = r->iov;
    r->blk.iovcnt = iov_cut(write ? e->out : e->in, max, write ? HEADER : 0, bytes, r->iov, max);
    submit(s, r);
}

static void discard(VirtioBlk *s, VirtQueue *q, VringElem *e, bool zeroes)
{
    uint32_t max = zeroes ? s->max_zeroes : s->max_discard, count, flags;
    uint8_t range[RANGE];
    uint64_t sector;
    Request *r;

    if (!(zeroes ? virtio_has(&s->vd, F_WRITE_ZEROES) : virtio_has(&s->vd, F_DISCARD)) || blk_read_only(s->blk)) {
        answer(s, q, e, S_UNSUPP);
        return;
    }
    if (e->out_bytes != HEADER + RANGE) {
        answer(s, q, e, S_UNSUPP);
        return;
    }
    iov_read(e->out, e->nout, HEADER, range, RANGE);
    sector = ldq_le_p(range);
    count = ldl_le_p(range + 8);
    flags = ldl_le_p(range + 12);
    if (flags & ~(zeroes ? 1u : 0u)) {
        answer(s, q, e, S_UNSUPP);
    } else if (count > max || !range_ok(s, sector, (uint64_t)count * SECTOR)) {
        blk_invalid(s->blk, zeroes ? BLK_ZEROES : BLK_DISCARD);
        answer(s, q, e, S_IOERR);
    } else {
        r = request_new(s, q, e, zeroes ? T_WRITE_ZEROES : T_DISCARD, 0);
        r->blk.op = zeroes ? BLK_ZEROES : BLK_DISCARD;
        r->blk.flags = zeroes && (flags & 1) ? BLK_MAY_UNMAP : 0;
        r->blk.off = sector * SECTOR;
        r->blk.len = (uint64_t)count * SECTOR;
        submit(s, r);
    }
}

static void get_id(VirtioBlk *s, VirtQueue *q, VringElem *e)
{
    char id[ID_BYTES] = { 0 };
    const char *text = s->serial ? s->serial : "";

    memcpy(id, text, MIN(strlen(text), ID_BYTES));
    iov_write(e->in, e->nin, 0, id, MIN(e->in_bytes - 1, ID_BYTES));
    answer(s, q, e, S_OK);
}

static void flush(VirtioBlk *s, VirtQueue *q, VringElem *e)
{
    Request *r = request_new(s, q, e, T_FLUSH, 0);

    r->blk.op = BLK_FLUSH;
    submit(s, r);
}

void vblk_begin(VirtioBlk *s, VirtQueue *q, VringElem *e)
{
    uint8_t header[HEADER];
    uint64_t sector;

    if (iov_read(e->out, e->nout, 0, header, HEADER) != HEADER || !e->in_bytes) {
        vring_drop(&q->ring, e);
        virtio_broken(q->vdev, "a block request without header or status");
        return;
    }
    sector = ldq_le_p(header + 8);
    switch (ldl_le_p(header)) {
    case T_IN:
        read_write(s, q, e, false, sector);
        break;
    case T_OUT:
        read_write(s, q, e, true, sector);
        break;
    case T_FLUSH:
        flush(s, q, e);
        break;
    case T_GET_ID:
        get_id(s, q, e);
        break;
    case T_DISCARD:
    case T_WRITE_ZEROES:
        discard(s, q, e, ldl_le_p(header) == T_WRITE_ZEROES);
        break;
    default:
        answer(s, q, e, S_UNSUPP);
    }
}

static bool waits(const VirtioBlk *s)
{
    return s->stopped || s->held;
}

static void work(VirtQueue *q)
{
    VirtioBlk *s = virtio_blk(q->vdev);
    VringElem *e;

    while (!waits(s) && (e = virtio_pop(q))) {
        vblk_begin(s, q, e);
    }
}

void vblk_handle(VirtQueue *q)
{
    if (!waits(virtio_blk(q->vdev))) {
        virtio_queue_work(q, work);
    }
}

/* ---- errors that stopped the machine: again when it goes on ---- */

void vblk_status_ok(VirtioBlk *s)
{
    bool stops = s->werror == ON_STOP || s->werror == ON_ENOSPC || s->rerror == ON_STOP;

    blk_set_io_status(s->blk, stops ? BLK_IO_OK : BLK_IO_NO_STATUS);
}

void vblk_resumed(MachineListener *l, Machine *m, const MachineEvent *ev)
{
    VirtioBlk *s = (VirtioBlk *)((char *)l - offsetof(VirtioBlk, listener));
    Request *r, *again;

    (void)m;
    if (ev->kind != EVENT_RESUME) {
        return;
    }
    vblk_status_ok(s);
    device_lock(&s->vd.dev);
    again = s->stopped;
    s->stopped = NULL;
    while ((r = again)) {
        again = r->next;
        submit(s, r);
    }
    vblk_held_begin(s);
    for (unsigned i = 0; i < s->vd.nqueues && virtio_running(&s->vd); i++) {
        vblk_handle(virtio_queue(&s->vd, i));
    }
    device_unlock(&s->vd.dev);
}

/* ---- reset, save ---- */

static bool on_main_thread(const VirtioBlk *s)
{
    return loop_current() && loop_current() == blk_loop(s->blk);
}

/* The lock is held; the vCPUs are parked. */
static void wait_for_all(VirtioBlk *s)
{
    device_unlock(&s->vd.dev);
    iothread_settle(s->thread);                         /* kicks that are under way there */
    blk_drain_begin(s->blk);
    blk_drain_end(s->blk);
    iothread_settle(s->thread);                         /* and what followed from them */
    device_lock(&s->vd.dev);
}

static void forget_stopped(VirtioBlk *s)
{
    while (s->stopped) {
        let_go(s, s->stopped);
    }
    vblk_held_forget(s);
}

void vblk_fini(VirtioBlk *s)
{
    forget_stopped(s);
    while (s->flying) {                                 /* done, but their moment in the guest's time never came */
        let_go(s, s->flying);
    }
}

void vblk_reset(VirtioDevice *vd)
{
    VirtioBlk *s = virtio_blk(vd);

    orphan(s, NULL);
    if ((s->flying || s->thread) && on_main_thread(s) && !machine_is_running(vd->dev.machine)) {
        wait_for_all(s);
    }
    forget_stopped(s);
    if (s->blk) {
        s->wce = s->wce_at_reset;
        blk_set_writethrough(s->blk, !s->wce);
    }
}

void vblk_queue_reset(VirtQueue *q)
{
    VirtioBlk *s = virtio_blk(q->vdev);
    Request *next;

    orphan(s, q);
    for (Request *r = s->stopped; r; r = next) {
        next = r->next;
        if (r->q == q) {
            let_go(s, r);
        }
    }
}

void vblk_pre_save(Device *dev)
{
    VirtioBlk *s = virtio_blk(virtio_device(dev));

    if ((s->flying || s->thread) && on_main_thread(s)) {
        wait_for_all(s);
    }
}
