/* SPDX-License-Identifier: MIT */
/*
 * Block device: Virtual I/O Device 1.2, section 5.2.
 *
 * Kicks run on the disk's event loop; requests go to the block layer with the
 * guest's own memory as vector and finish through the machine's door.  A reset
 * on the main thread waits for what is in flight; one by the guest lets go of
 * it, and what comes back later is dropped.
 */
#include <errno.h>
#include <string.h>

#include "block/block.h"
#include "block/drive.h"
#include "hw/core/machine.h"
#include "hw/virtio/bootorder.h"
#include "hw/virtio/virtio.h"
#include "util/bits.h"
#include "util/bswap.h"
#include "util/iov.h"
#include "util/log.h"

enum { F_SEG_MAX = 2, F_GEOMETRY = 4, F_RO = 5, F_BLK_SIZE = 6, F_FLUSH = 9, F_TOPOLOGY = 10, F_CONFIG_WCE = 11, F_MQ = 12, F_DISCARD = 13,
       F_WRITE_ZEROES = 14 };
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum { SECTOR = 512, HEADER = 16, RANGE = 16, ID_BYTES = 20, RANGES_MAX = 1, CONFIG_SIZE = 60 };
enum { ON_REPORT, ON_IGNORE, ON_ENOSPC, ON_STOP, ON_AUTO };
#define LATENCY_NS (50 * NS_PER_US)     /* of a request, under instruction-driven time */

typedef struct VirtioBlk VirtioBlk;

typedef struct Request {
    BlkReq blk;
    VirtioBlk *s;
    VirtQueue *q;               /* NULL: the driver has reset the device meanwhile */
    VringElem *e;
    InputTicket *ticket;
    struct Request *next, **prev;   /* in flight, or waiting to be tried again */
    int result;
    uint32_t type;
    struct iovec iov[];
} Request;

struct VirtioBlk {
    VirtioDevice vd;
    /* properties */
    char *drive, *serial;
    uint16_t num_queues, queue_size;
    uint32_t logical, physical;
    uint64_t logical_prop, physical_prop;
    bool share_rw, config_wce, discard, write_zeroes;
    uint32_t max_discard, max_zeroes, werror, rerror, write_cache;
    /* */
    Blk *blk;
    bool own_blk;               /* made for a node */
    Session *session;
    bool wce_at_reset;
    bool wce;                   /* the driver may see a volatile cache */
    InputPort port;
    Request *flying, *stopped;
    bool has_listener;
    MachineListener listener;
};

static VirtioBlk *virtio_blk(VirtioDevice *vd)
{
    return (VirtioBlk *)vd;
}

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

static void report(VirtioBlk *s, const Request *r, bool stop)
{
    MachineEvent ev = { .kind = EVENT_DEVICE, .device = s->vd.dev.path, .name = "BLOCK_IO_ERROR" };

    log_print("%s: %s at %" PRIu64 ": %s", s->vd.dev.path, r->type == T_IN ? "read" : "write", r->blk.off, g_strerror(-r->result));
    if (stop) {
        machine_event(s->vd.dev.machine, &ev);
        machine_request(s->vd.dev.machine, REQUEST_STOP, CAUSE_HOST_ERROR);
    }
}

static void settle(VirtioBlk *s, Request *r)
{
    uint32_t policy = r->type == T_IN ? s->rerror : s->werror;
    bool stop = policy == ON_STOP || (policy == ON_ENOSPC && r->result == -ENOSPC);

    if (r->result >= 0 || policy == ON_IGNORE) {
        finish(r, S_OK);
    } else if (r->result == -ENOTSUP) {
        finish(r, S_UNSUPP);
    } else if (stop) {
        report(s, r, true);
        link_in(&s->stopped, r);
    } else {
        finish(r, S_IOERR);
    }
}

/* Through the door, lock held: the result of a request. */
static void completed(void *opaque, const void *data, size_t len)
{
    VirtioBlk *s = opaque;
    Request *r;

    memcpy(&r, data, len);
    link_out(r);
    if (r->q) {
        settle(s, r);
    } else {
        vring_forget(&virtio_queue(&s->vd, 0)->ring, r->e);
        g_free(r);
    }
}

/* On the disk's loop, no lock. */
static void blk_done(BlkReq *req, int result)
{
    Request *r = req->opaque;

    r->result = result;
    input_complete(r->ticket, &r, sizeof(r));
}

static void submit(VirtioBlk *s, Request *r)
{
    r->ticket = input_ticket(&s->port, LATENCY_NS);
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

/* False: not a request at all. */
static bool begin(VirtioBlk *s, VirtQueue *q, VringElem *e)
{
    uint8_t header[HEADER];
    uint64_t sector;

    if (iov_read(e->out, e->nout, 0, header, HEADER) != HEADER || !e->in_bytes) {
        return false;
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
    return true;
}

static void work(VirtQueue *q)
{
    VirtioBlk *s = virtio_blk(q->vdev);
    VringElem *e;

    while (!s->stopped && (e = virtio_pop(q))) {
        if (!begin(s, q, e)) {
            vring_drop(&q->ring, e);
            virtio_broken(q->vdev, "a block request without header or status");
            return;
        }
    }
}

static void handle(VirtQueue *q)
{
    if (!virtio_blk(q->vdev)->stopped) {
        virtio_queue_work(q, work);
    }
}

/* ---- errors that stopped the machine: again when it goes on ---- */

static void resumed(MachineListener *l, Machine *m, const MachineEvent *ev)
{
    VirtioBlk *s = (VirtioBlk *)((char *)l - offsetof(VirtioBlk, listener));
    Request *r, *again;

    (void)m;
    if (ev->kind != EVENT_RESUME) {
        return;
    }
    device_lock(&s->vd.dev);
    again = s->stopped;
    s->stopped = NULL;
    while ((r = again)) {
        again = r->next;
        submit(s, r);
    }
    for (unsigned i = 0; i < s->vd.nqueues && virtio_running(&s->vd); i++) {
        handle(virtio_queue(&s->vd, i));
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
    blk_drain_begin(s->blk);
    blk_drain_end(s->blk);
    device_lock(&s->vd.dev);
}

static void blk_reset(VirtioDevice *vd)
{
    VirtioBlk *s = virtio_blk(vd);
    Request *r;

    for (r = s->flying; r; r = r->next) {
        r->q = NULL;                                    /* nobody hears of it any more */
    }
    if (s->flying && on_main_thread(s) && !machine_is_running(vd->dev.machine)) {
        wait_for_all(s);
    }
    while ((r = s->stopped)) {
        link_out(r);
        vring_drop(&r->q->ring, r->e);
        g_free(r);
    }
    if (s->blk) {
        s->wce = s->wce_at_reset;
        blk_set_writethrough(s->blk, !s->wce);
    }
}

static void queue_reset(VirtQueue *q)
{
    for (Request *r = virtio_blk(q->vdev)->flying; r; r = r->next) {
        if (r->q == q) {
            r->q = NULL;
        }
    }
}

static void pre_save(Device *dev)
{
    VirtioBlk *s = virtio_blk(virtio_device(dev));

    if (s->flying && on_main_thread(s)) {
        wait_for_all(s);
    }
}

/* ---- configuration ---- */

static uint64_t blk_features(VirtioDevice *vd)
{
    VirtioBlk *s = virtio_blk(vd);
    uint64_t f = BIT64(F_SEG_MAX) | BIT64(F_GEOMETRY) | BIT64(F_BLK_SIZE) | BIT64(F_FLUSH) | BIT64(F_TOPOLOGY);

    f |= s->config_wce ? BIT64(F_CONFIG_WCE) : 0;
    f |= s->num_queues > 1 ? BIT64(F_MQ) : 0;
    if (blk_read_only(s->blk)) {
        return f | BIT64(F_RO);
    }
    return f | (s->discard ? BIT64(F_DISCARD) : 0) | (s->write_zeroes ? BIT64(F_WRITE_ZEROES) : 0);
}

/* Without FLUSH the driver could not make anything last: each write does it. */
static bool features_ok(VirtioDevice *vd)
{
    VirtioBlk *s = virtio_blk(vd);

    s->wce = s->wce && (virtio_has(vd, F_FLUSH) || virtio_has(vd, F_CONFIG_WCE));
    blk_set_writethrough(s->blk, !s->wce);
    return true;
}

static void get_config(VirtioDevice *vd, uint8_t *c)
{
    VirtioBlk *s = virtio_blk(vd);
    uint64_t sectors = blk_size(s->blk) / SECTOR;

    stq_le_p(c, sectors);
    stl_le_p(c + 12, s->queue_size - 2u);
    stw_le_p(c + 16, (uint16_t)MIN(sectors / (16 * 63), 16383));
    c[18] = 16;
    c[19] = 63;
    stl_le_p(c + 20, s->logical);
    c[24] = (uint8_t)ctz32(s->physical / s->logical);
    stw_le_p(c + 26, 1);
    c[32] = s->wce;
    stw_le_p(c + 34, s->num_queues);
    stl_le_p(c + 36, s->max_discard);
    stl_le_p(c + 40, RANGES_MAX);
    stl_le_p(c + 44, s->logical / SECTOR);
    stl_le_p(c + 48, s->max_zeroes);
    stl_le_p(c + 52, RANGES_MAX);
    c[56] = 1;
}

static void set_config(VirtioDevice *vd, const uint8_t *c, uint32_t offset, uint32_t len)
{
    VirtioBlk *s = virtio_blk(vd);

    if (offset <= 32 && offset + len > 32) {
        s->wce = c[32] & 1;
        blk_set_writethrough(s->blk, !s->wce);
    }
}

static void resized(void *opaque)
{
    VirtioBlk *s = opaque;

    device_lock(&s->vd.dev);
    virtio_config_changed(&s->vd);
    device_unlock(&s->vd.dev);
}

static const BlkEvents blk_events = { .resized = resized };

/* ---- life ---- */

static bool take_drive(VirtioBlk *s, Error **errp)
{
    Drive *drive;

    if (!s->drive) {
        return error_set(errp, "drive property not set");
    }
    s->session = s->vd.dev.machine->session;
    if (!blk_find(s->session, s->drive) && !blk_node_find(s->session, s->drive)) {
        return error_set(errp, "Property 'virtio-blk-device.drive' can't find value '%s'", s->drive);
    }
    s->own_blk = !blk_find(s->session, s->drive);
    s->blk = drive_resolve(s->session, s->drive, errp);
    if (!s->blk) {
        return false;
    }
    drive = drive_of(s->session, s->blk);
    if (drive && drive->claimed) {
        s->blk = NULL;
        return error_set(errp, "Property 'virtio-blk-device.drive' can't take value '%s', it's in use", s->drive);
    }
    if (!blk_present(s->blk)) {
        return error_set(errp, "Device needs media, but drive is empty");
    }
    if (drive) {
        drive->claimed = true;
        s->werror = s->werror != ON_AUTO ? s->werror : drive->werror == DRIVE_ERROR_REPORT ? ON_REPORT :
                    drive->werror == DRIVE_ERROR_IGNORE ? ON_IGNORE : drive->werror == DRIVE_ERROR_STOP ? ON_STOP : ON_ENOSPC;
        s->rerror = s->rerror != ON_AUTO ? s->rerror : drive->rerror == DRIVE_ERROR_IGNORE ? ON_IGNORE :
                    drive->rerror == DRIVE_ERROR_STOP ? ON_STOP : ON_REPORT;
    }
    s->wce_at_reset = s->write_cache == PROP_AUTO ? !blk_writethrough(s->blk) : s->write_cache == PROP_ON;
    s->werror = s->werror == ON_AUTO ? ON_ENOSPC : s->werror;
    s->rerror = s->rerror == ON_AUTO ? ON_REPORT : s->rerror;
    return true;
}

static bool check_sizes(VirtioBlk *s, Error **errp)
{
    s->logical = s->logical_prop ? (uint32_t)s->logical_prop : SECTOR;
    s->physical = s->physical_prop ? (uint32_t)s->physical_prop : s->logical;
    if (!is_pow2(s->logical) || s->logical < SECTOR || s->logical > 2 << 20 || !is_pow2(s->physical) || s->physical < s->logical) {
        return error_set(errp, "logical_block_size is a power of two from 512 to 2 MiB, physical_block_size another, not smaller");
    }
    if (!is_pow2(s->queue_size) || s->queue_size < 4 || s->queue_size > VRING_SIZE_MAX) {
        return error_set(errp, "invalid queue-size property: must be a power of 2 from 4 to %d", VRING_SIZE_MAX);
    }
    if (s->num_queues == UINT16_MAX) {
        s->num_queues = s->vd.vpci ? (uint16_t)MAX(s->vd.dev.machine->smp.cpus, 1) : 1;
    }
    if (!s->num_queues || s->num_queues > VIRTIO_QUEUES_MAX) {
        return error_set(errp, "num-queues property must be larger than 0 and at most %d", VIRTIO_QUEUES_MAX);
    }
    return true;
}

static bool blk_realize(Device *dev, Error **errp)
{
    VirtioBlk *s = virtio_blk(virtio_device(dev));
    unsigned perm, shared;

    if (!check_sizes(s, errp) || !take_drive(s, errp)) {
        return false;
    }
    perm = BLK_PERM_READ | (blk_read_only(s->blk) ? 0 : BLK_PERM_WRITE);
    shared = s->share_rw ? BLK_PERM_ALL : BLK_PERM_READ | BLK_PERM_WRITE_SAME | BLK_PERM_RESIZE;
    if (!blk_set_perm(s->blk, perm, shared, errp)) {
        return false;
    }
    blk_set_events(s->blk, &blk_events, s);
    input_port_init(&s->port, device_inputs(dev), INPUT_BLOCK, dev->path, completed, s, dev->mutex);
    s->vd.default_loop = blk_loop(s->blk);
    virtio_setup(&s->vd, CONFIG_SIZE, s->num_queues);
    for (unsigned i = 0; i < s->num_queues; i++) {
        virtio_add_queue(&s->vd, s->queue_size, handle);
    }
    s->listener.event = resumed;
    machine_listener_add(dev->machine, &s->listener);
    s->has_listener = true;
    return true;
}

static void blk_unrealize(Device *dev)
{
    VirtioBlk *s = virtio_blk(virtio_device(dev));
    Drive *drive = s->blk ? drive_of(s->session, s->blk) : NULL;

    if (s->has_listener) {
        machine_listener_del(dev->machine, &s->listener);
        blk_drain_begin(s->blk);
        blk_drain_end(s->blk);
        blk_set_events(s->blk, NULL, NULL);
        input_port_fini(&s->port);
        s->has_listener = false;
    }
    if (drive) {
        drive->claimed = false;
    }
    if (s->own_blk) {
        blk_free(s->blk);
    }
    s->blk = NULL;
}

static const char *const on_error[] = { "report", "ignore", "enospc", "stop", "auto", NULL };

static const Prop blk_props[] = {
    PROP_STR("drive", VirtioBlk, drive, NULL, .help = "Node name or ID of a block device to use as a backend"),
    VIRTIO_PROP_BOOTINDEX(VirtioBlk),
    PROP_STR("serial", VirtioBlk, serial, NULL, .help = "up to 20 characters"),
    PROP_U16("num-queues", VirtioBlk, num_queues, UINT16_MAX, .help = "one for each processor on PCI, else 1"),
    PROP_U16("queue-size", VirtioBlk, queue_size, 256, .help = "descriptors in a queue"),
    PROP_SIZE("logical_block_size", VirtioBlk, logical_prop, 0, .help = "A power of two between 512 B and 2 MiB"),
    PROP_SIZE("physical_block_size", VirtioBlk, physical_prop, 0, .help = "A power of two between 512 B and 2 MiB"),
    PROP_BOOL("share-rw", VirtioBlk, share_rw, false, .help = "others may write the disk meanwhile"),
    PROP_BOOL("config-wce", VirtioBlk, config_wce, true, .help = "the driver may turn the write cache off"),
    PROP_AUTO_ONOFF("write-cache", VirtioBlk, write_cache, PROP_AUTO, .help = "off: each write lasts when it is done"),
    PROP_BOOL("discard", VirtioBlk, discard, true, .help = "on/off"),
    PROP_BOOL("write-zeroes", VirtioBlk, write_zeroes, true, .help = "on/off"),
    PROP_U32("max-discard-sectors", VirtioBlk, max_discard, 4194303, .help = "longest discard"),
    PROP_U32("max-write-zeroes-sectors", VirtioBlk, max_zeroes, 4194303, .help = "longest range of zeroes"),
    PROP_ENUM("werror", VirtioBlk, werror, ON_AUTO, on_error, .help = "Error handling policy, report/ignore/enospc/stop/auto"),
    PROP_ENUM("rerror", VirtioBlk, rerror, ON_AUTO, on_error, .help = "Error handling policy, report/ignore/enospc/stop/auto"),
    {}
};

static bool post_load(Device *dev, Error **errp)
{
    VirtioBlk *s = virtio_blk(virtio_device(dev));

    (void)errp;
    blk_set_writethrough(s->blk, !s->wce);
    return true;
}

static const StateField blk_state[] = { STATE_BOOL(VirtioBlk, wce, .keep = true), {} };
static const VirtioOps blk_ops = {
    .id = VIRTIO_ID_BLOCK, .name = "virtio-blk", .pci_class = 0x010000, .pci_legacy_id = 0x1001, .boot_node = "/disk@0,0",
    .features = blk_features, .features_ok = features_ok, .get_config = get_config, .set_config = set_config,
    .reset = blk_reset, .queue_reset = queue_reset,
};

VIRTIO_TYPES(virtio_blk, "virtio-blk", VirtioBlk, .desc = "Disk", .category = "Storage", .props = blk_props, .state = blk_state,
             .pre_save = pre_save, .post_load = post_load, .ops = &blk_ops, .realize = blk_realize, .unrealize = blk_unrealize);
