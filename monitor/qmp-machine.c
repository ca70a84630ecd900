/* SPDX-License-Identifier: MIT */
#include "monitor/qmp-machine.h"

#include <string.h>

#include "io/qmp.h"
#include "monitor/command.h"

#define COMMAND(row, ...) static const MonCommand row = { __VA_ARGS__ }; MON_COMMAND(row)
#define EVENT(row, ...) static const QmpEvent row = { __VA_ARGS__ }; QMP_EVENT(row)

/* ---- events ---- */

static const OptKey cause_keys[] = { { "guest", OPT_BOOL, .must = true }, { "reason", OPT_STRING, .must = true }, {} };
static const OptKey panic_keys[] = { { "action", OPT_ENUM, .values = "pause|poweroff|run", .must = true }, {} };
EVENT(stop_event, .name = "STOP");
EVENT(resume_event, .name = "RESUME");
EVENT(reset_event, .name = "RESET", .keys = cause_keys);
EVENT(shutdown_event, .name = "SHUTDOWN", .keys = cause_keys);
EVENT(powerdown_event, .name = "POWERDOWN");
EVENT(panic_event, .name = "GUEST_PANICKED", .keys = panic_keys);

static Json *cause_data(RequestCause cause)
{
    Json *d = json_object();

    json_set_bool(d, "guest", cause >= CAUSE_GUEST_SHUTDOWN && cause <= CAUSE_GUEST_PANIC);
    json_set_string(d, "reason", request_cause_name(cause));
    return d;
}

static Json *panic_data(System *s)
{
    Json *d = json_object();

    json_set_string(d, "action", s->actions.panic == PANIC_PAUSE ? "pause" : s->actions.panic == PANIC_NONE ? "run" : "poweroff");
    return d;
}

void qmp_machine_event(System *s, const MachineEvent *ev)
{
    switch (ev->kind) {
    case EVENT_STOP:
        if (machine_state(s->machine) != RUN_SHUTDOWN) {        /* SHUTDOWN says it */
            qmp_event(s->session, "STOP", NULL);
        }
        break;
    case EVENT_RESUME:
        qmp_event(s->session, "RESUME", NULL);
        break;
    case EVENT_RESET:
        qmp_event(s->session, "RESET", cause_data(ev->cause));
        break;
    case EVENT_SHUTDOWN:
        qmp_event(s->session, "SHUTDOWN", cause_data(ev->cause));
        break;
    case EVENT_POWERDOWN:
        qmp_event(s->session, "POWERDOWN", NULL);
        break;
    case EVENT_PANIC:
        qmp_event(s->session, "GUEST_PANICKED", panic_data(s));
        break;
    default:
        break;
    }
}

void qmp_quitting(System *s, RequestCause cause)
{
    if (s->session) {
        qmp_event(s->session, "SHUTDOWN", cause_data(cause));
    }
}

/* ---- commands ---- */

static bool status_run(MonCall *call, Error **errp)
{
    call->ret = json_object();
    json_set_string(call->ret, "status", run_state_name(machine_state(call->machine)));
    json_set_bool(call->ret, "singlestep", false);
    json_set_bool(call->ret, "running", machine_is_running(call->machine));
    return true;
}
static const OptKey status_ret[] = { { "running", OPT_BOOL, .must = true }, { "singlestep", OPT_BOOL, .must = true }, { "status", OPT_STRING, .must = true }, {} };
COMMAND(status_command, .qmp = "query-status", .run = status_run, .ret = status_ret);

static bool name_run(MonCall *call, Error **errp)
{
    call->ret = json_object();
    if (call->system->guest_name) {
        json_set_string(call->ret, "name", call->system->guest_name);
    }
    return true;
}
static const OptKey name_ret[] = { { "name", OPT_STRING }, {} };
COMMAND(name_command, .qmp = "query-name", .run = name_run, .ret = name_ret);

static bool uuid_run(MonCall *call, Error **errp)
{
    call->ret = json_object();
    json_set_string(call->ret, "UUID", call->system->uuid ? call->system->uuid : "00000000-0000-0000-0000-000000000000");
    return true;
}
static const OptKey uuid_ret[] = { { "UUID", OPT_STRING, .must = true }, {} };
COMMAND(uuid_command, .qmp = "query-uuid", .run = uuid_run, .ret = uuid_ret);

static bool kvm_run(MonCall *call, Error **errp)
{
    call->ret = json_object();
    json_set_bool(call->ret, "enabled", call->machine->accel && !strcmp(call->machine->accel->name, "kvm"));
    json_set_bool(call->ret, "present", true);
    return true;
}
static const OptKey kvm_ret[] = { { "enabled", OPT_BOOL, .must = true }, { "present", OPT_BOOL, .must = true }, {} };
COMMAND(kvm_command, .qmp = "query-kvm", .run = kvm_run, .ret = kvm_ret);

/* A person's command by a program: what it prints is the answer, errors too. */
static bool human_run(MonCall *call, Error **errp)
{
    unsigned cpu = json_get_u64(call->args, "cpu-index", 0);
    g_autofree char *out = NULL;
    GString *text;

    if (cpu && cpu >= machine_ncpus(call->machine)) {
        return error_set(errp, "Parameter 'cpu-index' expects a CPU number");
    }
    out = mon_run_line(call->system, &cpu, json_get_string(call->args, "command-line"));
    text = g_string_new(out);
    g_string_replace(text, "\n", "\r\n", 0);
    call->ret = json_string(text->str);
    g_string_free(text, TRUE);
    return true;
}
static const OptKey human_keys[] = { { "command-line", OPT_STRING, .must = true }, { "cpu-index", OPT_NUMBER }, {} };
COMMAND(human_command, .qmp = "human-monitor-command", .keys = human_keys, .run = human_run, .waits = true, .ret_type = "str");
