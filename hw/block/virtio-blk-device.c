/* SPDX-License-Identifier: MIT */
/* virtio-blk: configuration space, the drive it takes, rows. */
#include "hw/block/virtio-blk-priv.h"

#include <string.h>

#include "block/drive.h"
#include "block/stats.h"
#include "hw/virtio/bootorder.h"
#include "util/bits.h"
#include "util/bswap.h"

enum { CONFIG_SIZE = 60 };

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

static bool take_thread(VirtioBlk *s, Error **errp)
{
    if (!s->iothread) {
        return true;
    }
    s->thread = iothread_get(s->vd.dev.machine->session, s->iothread);
    if (!s->thread) {
        return error_set(errp, "Property 'virtio-blk-device.iothread' can't find value '%s'", s->iothread);
    }
    iothread_ref(s->thread);
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

    if (!check_sizes(s, errp) || !take_thread(s, errp) || !take_drive(s, errp)) {
        return false;
    }
    perm = BLK_PERM_READ | (blk_read_only(s->blk) ? 0 : BLK_PERM_WRITE);
    shared = s->share_rw ? BLK_PERM_ALL : BLK_PERM_READ | BLK_PERM_WRITE_SAME | BLK_PERM_RESIZE;
    if (!blk_set_perm(s->blk, perm, shared, errp)) {
        return false;
    }
    if (s->account_invalid != PROP_AUTO) {
        blk_stats(s->blk)->account_invalid = s->account_invalid == PROP_ON;
    }
    if (s->account_failed != PROP_AUTO) {
        blk_stats(s->blk)->account_failed = s->account_failed == PROP_ON;
    }
    blk_set_events(s->blk, &blk_events, s);
    blk_set_device(s->blk, dev->id ? dev->id : dev->path);
    vblk_status_ok(s);
    input_port_init(&s->port, device_inputs(dev), INPUT_BLOCK, dev->path, vblk_completed, s, dev->mutex);
    s->vd.default_loop = s->thread ? iothread_loop(s->thread) : blk_loop(s->blk);
    virtio_setup(&s->vd, CONFIG_SIZE, s->num_queues);
    for (unsigned i = 0; i < s->num_queues; i++) {
        virtio_add_queue(&s->vd, s->queue_size, vblk_handle);
    }
    s->waiting = g_ptr_array_new();
    s->listener.event = vblk_resumed;
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
        iothread_settle(s->thread);
        blk_drain_begin(s->blk);
        blk_drain_end(s->blk);
        iothread_settle(s->thread);
        blk_set_events(s->blk, NULL, NULL);
        blk_set_device(s->blk, NULL);
        blk_set_io_status(s->blk, BLK_IO_NO_STATUS);
        input_port_fini(&s->port);
        s->has_listener = false;
        vblk_fini(s);
        g_ptr_array_unref(s->waiting);
    }
    if (s->thread) {
        iothread_unref(s->thread);
        s->thread = NULL;
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
    PROP_STR("iothread", VirtioBlk, iothread, NULL, .help = "ID of the iothread object that serves the queues"),
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
    PROP_AUTO_ONOFF("account-invalid", VirtioBlk, account_invalid, PROP_AUTO, .help = "requests that can not be count as activity"),
    PROP_AUTO_ONOFF("account-failed", VirtioBlk, account_failed, PROP_AUTO, .help = "failed requests count as activity"),
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

static const StateField blk_state[] = { STATE_BOOL(VirtioBlk, wce, .keep = true), STATE_KIND(VirtioBlk, held, vblk_held_kind, .keep = true), {} };
static const VirtioOps blk_ops = {
    .id = VIRTIO_ID_BLOCK, .name = "virtio-blk", .pci_class = 0x010000, .pci_legacy_id = 0x1001, .boot_node = "/disk@0,0",
    .features = blk_features, .features_ok = features_ok, .get_config = get_config, .set_config = set_config,
    .reset = vblk_reset, .queue_reset = vblk_queue_reset,
};

VIRTIO_TYPES(virtio_blk, "virtio-blk", VirtioBlk, .desc = "Disk", .category = "Storage", .props = blk_props, .state = blk_state,
             .pre_save = vblk_pre_save, .post_load = post_load, .ops = &blk_ops, .realize = blk_realize, .unrealize = blk_unrealize);
