/* SPDX-License-Identifier: MIT */
/* Saving the machine, and what hangs on character devices. */
#include "monitor/command.h"

#include <string.h>

#include "block/block.h"
#include "system/gdb/gdb.h"

#define COMMAND(row, ...) static const MonCommand row = { __VA_ARGS__ }; MON_COMMAND(row)

static bool migrate_run(MonCall *call, Error **errp)
{
    const char *uri = json_get_string(call->args, "uri");
    bool was_running = machine_is_running(call->machine);
    int ret;

    if (!g_str_has_prefix(uri, "file:")) {
        return error_set(errp, "unknown migration protocol: %s; there is file:PATH", uri);
    }
    machine_pause(call->machine, RUN_PAUSED);       /* before: nothing happens behind the moment that is saved */
    if (machine_save(call->machine, uri + 5, errp)) {       /* this waits for what is in flight */
        ret = blk_flush_all(call->system->session);         /* so a copy of the images that is made now goes with the file */
        if (ret == 0) {
            return true;
        }
        error_set(errp, "a disk cannot be flushed: %s", g_strerror(-ret));
    }
    if (was_running) {
        machine_run(call->machine);
    }
    return false;
}
static const OptKey migrate_keys[] = { { "detach", OPT_BOOL, .alias = "d" }, { "uri", OPT_STRING, .must = true }, {} };
COMMAND(migrate_command, .name = "migrate", .params = "[-d] file:PATH", .help = "save the machine to a file and stop it",
        .keys = migrate_keys, .rest = true, .waits = true, .run = migrate_run);

static bool incoming_run(MonCall *call, Error **errp)
{
    const char *uri = json_get_string(call->args, "uri");

    if (!g_str_has_prefix(uri, "file:")) {
        return error_set(errp, "unknown migration protocol: %s; there is file:PATH", uri);
    }
    if (machine_state(call->machine) != RUN_INMIGRATE) {
        return error_set(errp, "'-incoming' was not specified on the command line");
    }
    return machine_restore(call->machine, uri + 5, errp) && system_continue(call->system, errp);
}
static const OptKey incoming_keys[] = { { "uri", OPT_STRING, .must = true }, {} };
COMMAND(incoming_command, .name = "migrate_incoming", .params = "file:PATH", .help = "go on from a saved machine (-incoming defer)",
        .keys = incoming_keys, .rest = true, .run = incoming_run);

static bool ringbuf_read_run(MonCall *call, Error **errp)
{
    const char *id = json_get_string(call->args, "device");
    Chardev *c = chardev_find(call->system->session, id);
    g_autofree uint8_t *data = NULL;
    size_t len;

    if (!c) {
        return error_set(errp, "Device '%s' not found", id);
    }
    data = chardev_ringbuf_read(c, json_get_u64(call->args, "size", 0), &len, errp);
    if (data) {
        g_string_append_len(call->out, (char *)data, len);
        g_string_append_c(call->out, '\n');
    }
    return data;
}
static const OptKey ringbuf_keys[] = { { "device", OPT_STRING, .must = true }, { "size", OPT_NUMBER, .must = true, .max = 1 << 20 }, {} };
COMMAND(ringbuf_command, .name = "ringbuf_read", .params = "device size", .help = "read from a ring buffer character device",
        .keys = ringbuf_keys, .run = ringbuf_read_run);

static bool chardev_add_run(MonCall *call, Error **errp)
{
    g_autoptr(Json) opts = options_parse(options_group("chardev"), json_get_string(call->args, "args"), errp);

    return opts && chardev_new(call->system->session, opts, errp);
}
static const OptKey chardev_add_keys[] = { { "args", OPT_STRING, .must = true }, {} };
COMMAND(chardev_add_command, .name = "chardev-add", .params = "args", .help = "add chardev", .keys = chardev_add_keys, .rest = true, .run = chardev_add_run);

static bool chardev_remove_run(MonCall *call, Error **errp)
{
    return chardev_remove(call->system->session, json_get_string(call->args, "id"), errp);
}
static const OptKey chardev_remove_keys[] = { { "id", OPT_STRING, .must = true }, {} };
COMMAND(chardev_remove_command, .name = "chardev-remove", .params = "id", .help = "remove chardev", .keys = chardev_remove_keys, .run = chardev_remove_run);

/* ---- devices ---- */

static bool device_add_run(MonCall *call, Error **errp)
{
    g_autoptr(Json) opts = options_parse(options_group("device"), json_get_string(call->args, "device"), errp);

    bool ok;

    vcpu_pause_all(call->machine);
    ok = opts && system_device_add(call->system, opts, errp);
    vcpu_resume_all(call->machine);
    return ok;
}
static const OptKey device_add_keys[] = { { "device", OPT_STRING, .must = true }, {} };
COMMAND(device_add_command, .name = "device_add", .params = "driver[,prop=value][,...]", .help = "add device, like -device on the command line",
        .keys = device_add_keys, .rest = true, .run = device_add_run);

static bool gdbserver_run(MonCall *call, Error **errp)
{
    const char *device = json_get_string(call->args, "device");

    if (!gdb_listen(call->system, device ? device : "tcp::1234", errp)) {
        return false;
    }
    g_string_append_printf(call->out, !g_strcmp0(device, "none") ? "Disabled gdbserver\n" : "Waiting for gdb connection on device '%s'\n",
                           device ? device : "tcp::1234");
    return true;
}
static const OptKey gdbserver_keys[] = { { "device", OPT_STRING }, {} };
COMMAND(gdbserver_command, .name = "gdbserver", .params = "[device]", .help = "start gdbserver on given device (default 'tcp::1234'), stop with 'none'",
        .keys = gdbserver_keys, .run = gdbserver_run);
