/* SPDX-License-Identifier: MIT */
/* Commands that run, stop and end the machine, and help. */
#include "monitor/command.h"

#include <string.h>

#include "block/block.h"
#include "block/iothread.h"
#include "util/log.h"
#include "util/trace.h"

#define COMMAND(row, ...) static const MonCommand row = { __VA_ARGS__ }; MON_COMMAND(row)

static void help_line(GString *out, const MonCommand *c)
{
    g_string_append_printf(out, "%s%s%s %s -- %s\n", c->name, c->alias ? "|" : "", c->alias ? c->alias : "", c->params ? c->params : "", c->help);
}

static void help_list(GString *out, bool info)
{
    g_autofree const MonCommand **all = mon_commands(info);

    for (unsigned i = 0; all[i]; i++) {
        help_line(out, all[i]);
    }
}

static bool help_run(MonCall *call, Error **errp)
{
    const char *name = json_get_string(call->args, "name");
    const MonCommand *c = name ? mon_command_find(name) : NULL;

    if (!name) {
        help_list(call->out, false);
    } else if (!strcmp(name, "info")) {
        help_list(call->out, true);
    } else if (c) {
        help_line(call->out, c);
    } else {
        g_string_append_printf(call->out, "unknown command: '%s'\n", name);
    }
    return true;
}
static const OptKey help_keys[] = { { "name", OPT_STRING }, {} };
COMMAND(help_command, .name = "help", .alias = "?", .params = "[cmd]", .help = "show the help", .keys = help_keys, .rest = true, .run = help_run);

static bool info_run(MonCall *call, Error **errp)
{
    const char *name = json_get_string(call->args, "item");

    if (name) {
        g_string_append_printf(call->out, "unknown command: 'info %s'\n", name);
    } else {
        help_list(call->out, true);
    }
    return true;
}
static const OptKey info_keys[] = { { "item", OPT_STRING }, {} };
COMMAND(info_command, .name = "info", .params = "[subcommand]", .help = "show various information about the system state", .keys = info_keys,
        .rest = true, .run = info_run);

static bool quit_run(MonCall *call, Error **errp)
{
    system_quit(call->system, CAUSE_HOST_QUIT);
    return true;
}
COMMAND(quit_command, .name = "quit", .qmp = "quit", .alias = "q", .help = "quit the emulator", .run = quit_run);

static bool stop_run(MonCall *call, Error **errp)
{
    Session *s = call->system->session;

    system_stop(call->system);
    iothread_settle_all(s);                         /* what the guest asked for there is submitted */
    blk_drain_all_begin(s);                         /* a copy of the images that is made now has all that the guest wrote */
    blk_drain_all_end(s);
    blk_flush_all(s);                               /* what fails is told to the guest when it asks */
    return true;
}
COMMAND(stop_command, .name = "stop", .qmp = "stop", .alias = "s", .help = "stop emulation", .run = stop_run, .waits = true);

static bool cont_run(MonCall *call, Error **errp)
{
    return system_continue(call->system, errp);
}
COMMAND(cont_command, .name = "cont", .qmp = "cont", .alias = "c", .help = "resume emulation", .run = cont_run);

static bool reset_run(MonCall *call, Error **errp)
{
    system_reset(call->system, CAUSE_HOST_RESET);
    return true;
}
COMMAND(reset_command, .name = "system_reset", .qmp = "system_reset", .help = "reset the system", .run = reset_run);

static bool powerdown_run(MonCall *call, Error **errp)
{
    machine_powerdown(call->machine);
    return true;
}
COMMAND(powerdown_command, .name = "system_powerdown", .qmp = "system_powerdown", .help = "send system power down event", .run = powerdown_run);

static bool log_run(MonCall *call, Error **errp)
{
    return log_set(json_get_string(call->args, "items"), errp);
}
static const OptKey log_keys[] = { { "items", OPT_STRING, .must = true }, {} };
COMMAND(log_command, .name = "log", .params = "item1[,...]", .help = "activate logging of the specified items", .keys = log_keys, .run = log_run);

static bool logfile_run(MonCall *call, Error **errp)
{
    return log_open(json_get_string(call->args, "filename"), errp);
}
static const OptKey logfile_keys[] = { { "filename", OPT_STRING, .must = true, .values = "filename" }, {} };
COMMAND(logfile_command, .name = "logfile", .params = "filename", .help = "output logs to 'filename'", .keys = logfile_keys, .run = logfile_run);

static bool trace_run(MonCall *call, Error **errp)
{
    const char *option = json_get_string(call->args, "option");
    g_autofree char *pattern = g_strdup_printf("%s%s", g_strcmp0(option, "off") ? "" : "-", json_get_string(call->args, "name"));

    return trace_arm(pattern, errp);
}
static const OptKey trace_keys[] = { { "name", OPT_STRING, .must = true }, { "option", OPT_ENUM, .values = "on|off" }, {} };
COMMAND(trace_command, .name = "trace-event", .params = "name [on|off]", .help = "arm or disarm trace points", .keys = trace_keys, .run = trace_run);

static bool cpu_run(MonCall *call, Error **errp)
{
    uint64_t n = json_get_u64(call->args, "index", 0);

    if (!call->machine || n >= machine_ncpus(call->machine)) {
        return error_set(errp, "invalid CPU index");
    }
    *call->cpu = (unsigned)n;
    return true;
}
static const OptKey cpu_keys[] = { { "index", OPT_NUMBER, .must = true }, {} };
COMMAND(cpu_command, .name = "cpu", .params = "index", .help = "set the default CPU", .keys = cpu_keys, .run = cpu_run);
