/* SPDX-License-Identifier: MIT */
/*
 * savevm, loadvm, delvm and the jobs of programs: the machine's state and its
 * disks as of one moment, inside of the disks' images.
 *
 * The state is written to a file without a name first: nothing of the machine
 * can move meanwhile, its processors are parked, and nothing of its disks
 * before the snapshots are there, since the session is drained.  A load looks at the whole
 * state before it changes anything.
 */
#include "monitor/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "block/iothread.h"
#include "block/job/job.h"
#include "block/vmstate.h"
#include "hw/core/clock.h"
#include "monitor/command.h"

#define COMMAND(row, ...) static const MonCommand row = { __VA_ARGS__ }; MON_COMMAND(row)

/* ---- a place for the state ---- */

static int state_file(Error **errp)
{
    const char *dir = getenv("TMPDIR");
    g_autofree char *path = g_strdup_printf("%s/rhea-state-XXXXXX", dir ? dir : "/var/tmp");
    int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0) {
        error_set_errno(errp, errno, "Could not create a temporary file in '%s' (set TMPDIR)", dir ? dir : "/var/tmp");
        return -1;
    }
    unlink(path);
    return fd;
}

/* ---- the machine stands still, and so do its disks ---- */

typedef struct {
    Machine *m;
    bool was_running;
    BlkDrain *drain;
} Standstill;

static void count_busy(Blk *b, void *opaque)
{
    *(unsigned *)opaque += (blk_device(b) || *blk_name(b)) && blk_in_flight(b);
}

/* Devices may have a queue of their own behind what is in flight. */
static void settle(Session *s)
{
    unsigned busy;

    do {
        blk_undrain(blk_drain_session(s));
        iothread_settle_all(s);
        busy = 0;
        blks_foreach(s, count_busy, &busy);
    } while (busy);
}

/* The processors are parked, whoever says `cont` meanwhile. */
static Standstill stand_still(Machine *m)
{
    Standstill w = { m, machine_is_running(m), NULL };

    if (w.was_running) {
        machine_pause(m, RUN_SAVING);
    }
    vcpu_pause_all(m);
    settle(m->session);
    return w;
}

static void hold_disks(Standstill *w)
{
    w->drain = blk_drain_session(w->m->session);
}

static void move_on(Standstill *w, bool run)
{
    if (w->drain) {
        blk_undrain(w->drain);
    }
    vcpu_resume_all(w->m);
    if (w->was_running && run) {
        machine_run(w->m);
    } else if (w->was_running && machine_state(w->m) == RUN_SAVING) {
        machine_set_state(w->m, RUN_PAUSED);
    }
}

/* ---- save ---- */

static bool save_here(Machine *m, const GPtrArray *disks, const SnapDisk *vm, const char *tag, int fd, Standstill *still, Error **errp)
{
    bool ok = machine_save_fd(m, fd, errp);
    int64_t now = loop_wall_time();
    BlkSnapshot sn = { .name = (char *)tag, .date_sec = (uint32_t)(now / 1000000), .date_nsec = (uint32_t)(now % 1000000 * 1000), .icount = UINT64_MAX,
                       .vm_clock_nsec = (uint64_t)clock_now(m->clock) };

    hold_disks(still);
    return ok && snap_disks_delete(disks, tag, errp) && snap_state_write(vm, fd, &sn.vm_state_size, errp) && snap_disks_create(disks, vm, &sn, errp);
}

bool snapshot_save(Machine *m, const SnapshotWhat *what, Error **errp)
{
    Session *s = m->session;
    g_autoptr(GPtrArray) disks = snap_disks(s, what->devices, true, errp);
    const SnapDisk *vm = disks ? snap_disks_vm(disks, what->vmstate, errp) : NULL;
    Standstill still;
    int fd;
    bool ok;

    if (!vm) {
        return false;
    }
    if (!what->replace && snap_disks_any(disks, what->tag)) {
        return error_set(errp, "Snapshot '%s' already exists in one or more devices", what->tag);
    }
    fd = state_file(errp);
    if (fd < 0) {
        return false;
    }
    still = stand_still(m);
    ok = save_here(m, disks, vm, what->tag, fd, &still, errp);
    move_on(&still, true);
    close(fd);
    return ok;
}

/* ---- load ---- */

/* The disks follow the machine, whose state may still be refused. */
static bool load_here(Machine *m, const GPtrArray *disks, const char *tag, int fd, Error **errp)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);

    if (!machine_restore_over(m, path, errp)) {
        return false;
    }
    if (!snap_disks_apply(disks, tag, errp)) {
        machine_set_state(m, RUN_INTERNAL_ERROR);       /* the machine does not fit its disks */
        return false;
    }
    return true;
}

bool snapshot_load(Machine *m, const SnapshotWhat *what, Error **errp)
{
    Session *s = m->session;
    g_autoptr(GPtrArray) disks = snap_disks(s, what->devices, true, errp);
    const SnapDisk *vm = disks ? snap_disks_vm(disks, what->vmstate, errp) : NULL;
    Standstill still;
    int fd;
    bool ok;

    if (!vm) {
        return false;
    }
    if (!snap_disks_all(disks, what->tag)) {
        return error_set(errp, "Snapshot '%s' does not exist in one or more devices", what->tag);
    }
    if (!snap_disks_check_apply(disks, errp)) {
        return false;
    }
    fd = state_file(errp);
    if (fd < 0) {
        return false;
    }
    still = stand_still(m);
    hold_disks(&still);
    ok = snap_state_read(vm, what->tag, fd, errp) && load_here(m, disks, what->tag, fd, errp);
    move_on(&still, machine_state(m) != RUN_INTERNAL_ERROR);
    close(fd);
    return ok;
}

/* ---- delete ---- */

bool snapshot_delete(Session *s, const SnapshotWhat *what, Error **errp)
{
    g_autoptr(GPtrArray) disks = snap_disks(s, what->devices, true, errp);
    BlkDrain *drain;
    bool ok;

    if (!disks) {
        return false;
    }
    drain = blk_drain_session(s);
    ok = snap_disks_delete(disks, what->tag, errp);
    blk_undrain(drain);
    return ok;
}

/* ---- for people ---- */

static char *fresh_tag(void)
{
    time_t now = loop_wall_time() / 1000000;
    char text[32];
    struct tm tm;

    localtime_r(&now, &tm);
    strftime(text, sizeof(text), "vm-%Y%m%d%H%M%S", &tm);
    return g_strdup(text);
}

static bool savevm_run(MonCall *call, Error **errp)
{
    const char *tag = json_get_string(call->args, "name");
    g_autofree char *own = tag ? NULL : fresh_tag();

    return snapshot_save(call->machine, &(SnapshotWhat){ .tag = tag ? tag : own, .replace = true }, errp);
}
static const OptKey savevm_keys[] = { { "name", OPT_STRING }, {} };
COMMAND(savevm_command, .name = "savevm", .params = "[tag]", .help = "save a VM snapshot. If no tag is provided, a new one is made from the date", .keys = savevm_keys, .waits = true,
        .run = savevm_run);

static bool loadvm_run(MonCall *call, Error **errp)
{
    return snapshot_load(call->machine, &(SnapshotWhat){ .tag = json_get_string(call->args, "name") }, errp);
}
static const OptKey tag_keys[] = { { "name", OPT_STRING, .must = true }, {} };
COMMAND(loadvm_command, .name = "loadvm", .params = "tag", .help = "restore a VM snapshot from its tag", .keys = tag_keys, .waits = true, .run = loadvm_run);

static bool delvm_run(MonCall *call, Error **errp)
{
    return snapshot_delete(call->session, &(SnapshotWhat){ .tag = json_get_string(call->args, "name") }, errp);
}
COMMAND(delvm_command, .name = "delvm", .params = "tag", .help = "delete a VM snapshot from its tag", .keys = tag_keys, .waits = true, .run = delvm_run);

static bool info_run(MonCall *call, Error **errp)
{
    g_autoptr(GPtrArray) disks = snap_disks(call->session, NULL, false, errp);

    return disks && snap_disks_text(disks, call->out, errp);
}
COMMAND(info_command, .name = "info snapshots", .help = "show the currently saved VM snapshots", .waits = true, .run = info_run);

/* ---- for programs: jobs ---- */

typedef struct SnapshotJob {
    BlkJob job;
    Machine *m;
    char *tag, *vmstate;
    Json *devices;
} SnapshotJob;

static int run_job(BlkJob *j, bool (*fn)(Machine *m, const SnapshotWhat *what, Error **errp))
{
    SnapshotJob *w = (SnapshotJob *)j;
    bool ok;

    job_set_total(j, 1);
    session_lock(j->session);
    ok = fn(w->m, &(SnapshotWhat){ .tag = w->tag, .vmstate = w->vmstate, .devices = w->devices }, &j->error);
    session_unlock(j->session);
    job_progress(j, 1);
    return ok ? 0 : -EIO;
}

static bool delete_of(Machine *m, const SnapshotWhat *what, Error **errp)
{
    return snapshot_delete(m->session, what, errp);
}

static int save_job(BlkJob *j)
{
    return run_job(j, snapshot_save);
}

static int load_job(BlkJob *j)
{
    return run_job(j, snapshot_load);
}

static int delete_job(BlkJob *j)
{
    return run_job(j, delete_of);
}

static void free_job(BlkJob *j)
{
    SnapshotJob *w = (SnapshotJob *)j;

    g_free(w->tag);
    g_free(w->vmstate);
    json_unref(w->devices);
}

static const JobType save_type = { .name = "snapshot-save", .size = sizeof(SnapshotJob), .run = save_job, .free = free_job };
static const JobType load_type = { .name = "snapshot-load", .size = sizeof(SnapshotJob), .run = load_job, .free = free_job };
static const JobType delete_type = { .name = "snapshot-delete", .size = sizeof(SnapshotJob), .run = delete_job, .free = free_job };

static bool begin(MonCall *call, const JobType *type, Error **errp)
{
    JobParams p = { .id = json_get_string(call->args, "job-id"), .auto_finalize = true };
    SnapshotJob *w = job_new(call->session, type, &p, errp);

    if (!w) {
        return false;
    }
    w->m = call->machine;
    w->tag = g_strdup(json_get_string(call->args, "tag"));
    w->vmstate = g_strdup(json_get_string(call->args, "vmstate"));
    w->devices = json_copy(json_get(call->args, "devices"));
    job_start(&w->job);
    return true;
}

static const OptKey with_state_keys[] = {
    { "job-id", OPT_STRING, .must = true }, { "tag", OPT_STRING, .must = true }, { "vmstate", OPT_STRING, .must = true }, { "devices", OPT_STRING, .many = true, .must = true }, {}
};
static const OptKey delete_keys[] = { { "job-id", OPT_STRING, .must = true }, { "tag", OPT_STRING, .must = true }, { "devices", OPT_STRING, .many = true, .must = true }, {} };

static bool save_run(MonCall *call, Error **errp)
{
    return begin(call, &save_type, errp);
}
COMMAND(save_command, .qmp = "snapshot-save", .keys = with_state_keys, .waits = true, .run = save_run);

static bool load_run(MonCall *call, Error **errp)
{
    return begin(call, &load_type, errp);
}
COMMAND(load_command, .qmp = "snapshot-load", .keys = with_state_keys, .waits = true, .run = load_run);

static bool delete_run(MonCall *call, Error **errp)
{
    return begin(call, &delete_type, errp);
}
COMMAND(delete_command, .qmp = "snapshot-delete", .keys = delete_keys, .waits = true, .run = delete_run);
