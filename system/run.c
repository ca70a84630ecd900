/* SPDX-License-Identifier: MIT */
/* From main() to the exit status: the order of a start, what follows events, the end. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "block/job/job.h"
#include "io/fiber.h"
#include "monitor/monitor.h"
#include "monitor/qmp-front.h"
#include "monitor/qmp-machine.h"
#include "monitor/snapshot.h"
#include "system/drives.h"
#include "system/gdb/gdb.h"
#include "system/netcards.h"
#include "system/objects.h"
#include "system/system.h"
#include "util/log.h"
#include "util/size.h"
#include "util/trace.h"

/* ---- words ---- */

void system_print_error(const ProgramName *name, const Error *err)
{
    fprintf(stderr, "%s: %s\n%s", name->base, error_message(err), error_hint_text(err));
}

void system_print_info(System *s, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s: %s\n", s->name->base, text);
}

static void host_say(void *opaque, const char *line)
{
    puts(line);
    fflush(stdout);
}

static void host_info(void *opaque, const char *line)
{
    System *s = opaque;

    system_print_info(s, "%s%sinfo: %s", s->working_on ? s->working_on : "", s->working_on ? ": " : "", line);
}

static void host_quit(void *opaque)
{
    system_quit(opaque, CAUSE_HOST_UI);
}

/* ---- running, stopping, ending ---- */

void system_end(System *s, int code)
{
    if (!s->ending) {
        s->ending = true;
        s->exit_code = code;
        loop_quit(s->loop);
    }
}

bool system_continue(System *s, Error **errp)
{
    RunState st = machine_state(s->machine);

    if (st == RUN_SHUTDOWN || st == RUN_INTERNAL_ERROR) {
        return error_set(errp, "Resetting the Virtual Machine is required");
    }
    machine_run(s->machine);
    return true;
}

void system_stop(System *s)
{
    machine_pause(s->machine, RUN_PAUSED);
}

void system_reset(System *s, RequestCause cause)
{
    bool was_off = machine_state(s->machine) == RUN_SHUTDOWN;

    if (s->actions.reboot_ends) {
        system_quit(s, cause);
        return;
    }
    machine_reset(s->machine, cause);
    if (was_off) {
        machine_run(s->machine);
    }
}

void system_quit(System *s, RequestCause cause)
{
    if (s->ending) {
        return;
    }
    qmp_quitting(s, cause);
    if (s->machine) {
        machine_pause(s->machine, RUN_SHUTDOWN);
    }
    system_end(s, s->exit_code);
}

static void machine_said(MachineListener *l, Machine *m, const MachineEvent *ev)
{
    System *s = (System *)((char *)l - offsetof(System, listener));

    qmp_machine_event(s, ev);
    switch (ev->kind) {
    case EVENT_SHUTDOWN:
        if (s->actions.shutdown_stays && !ev->exit_code) {
            break;
        }
        system_end(s, ev->exit_code);
        break;
    case EVENT_PANIC:
        if (s->actions.panic == PANIC_NONE) {
            machine_run(m);
        } else if (s->actions.panic != PANIC_PAUSE && !s->actions.shutdown_stays) {
            system_end(s, s->actions.panic == PANIC_EXIT_FAILURE);
        }
        break;
    default:
        break;
    }
    gdb_machine_event(s->gdb, ev);
}

/* ---- the settings that are the process's ---- */

static bool arm_trace(const CmdArg *a, void *data, Error **errp)
{
    const char *pattern = json_get_string(a->value, "enable"), *path = json_get_string(a->value, "events");
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (pattern && !trace_arm(pattern, errp)) {
        return false;
    }
    if (path && !g_file_get_contents(path, &text, NULL, NULL)) {
        return error_set(errp, "Could not read '%s'", path);
    }
    lines = g_strsplit(text ? text : "", "\n", -1);
    for (unsigned i = 0; lines[i]; i++) {
        if (*g_strstrip(lines[i]) && lines[i][0] != '#' && !trace_arm(lines[i], errp)) {
            return false;
        }
    }
    return true;
}

static bool logs_open(System *s, Error **errp)
{
    const char *file = cmdline_text(s->cl, "D"), *items = cmdline_text(s->cl, "d");

    return (!file || log_open(file, errp)) && (!items || log_set(items, errp)) && cmdline_each(s->cl, "trace", arm_trace, NULL, errp);
}

static bool uuid_ok(const char *text)
{
    return g_uuid_string_is_valid(text);
}

static bool process_settings(System *s, Error **errp)
{
    g_autoptr(Json) name = cmdline_merged(s->cl, "name"), action = cmdline_merged(s->cl, "action"), over = cmdline_merged(s->cl, "overcommit");
    const char *panic = json_get_string(action, "panic"), *process = json_get_string(name, "process"), *uuid = cmdline_text(s->cl, "uuid");
    const char *vga = cmdline_text(s->cl, "vga"), *vnc = cmdline_text(s->cl, "vnc"), *parallel = cmdline_text(s->cl, "parallel");

    s->guest_name = g_strdup(json_get_string(name, "guest"));
    if (!json_get_bool(name, "debug-threads", true)) {
        return error_set(errp, "-name: debug-threads=off is not available in this build: threads have names");
    }
    if (process) {
        prctl(PR_SET_NAME, process);
    }
    s->actions.reboot_ends = !g_strcmp0(json_get_string(action, "reboot"), "shutdown");
    s->actions.shutdown_stays = !g_strcmp0(json_get_string(action, "shutdown"), "pause");
    s->actions.panic = !panic || !strcmp(panic, "shutdown") ? PANIC_SHUTDOWN : !strcmp(panic, "pause") ? PANIC_PAUSE :
                       !strcmp(panic, "none") ? PANIC_NONE : PANIC_EXIT_FAILURE;
    if (uuid && !uuid_ok(uuid)) {
        return error_set(errp, "-uuid %s: failed to parse UUID string: wrong format", uuid);
    }
    s->uuid = g_strdup(uuid);
    if (vga && strcmp(vga, "none")) {
        return error_set(errp, "-vga %s: not available in this build: there is no display; -vga none", vga);
    }
    if (vnc && strcmp(vnc, "none")) {
        return error_set(errp, "-vnc %s: not available in this build: there is no display; -vnc none", vnc);
    }
    if (parallel && strcmp(parallel, "none") && strcmp(parallel, "null")) {
        return error_set(errp, "-parallel %s: not available in this build: there is no parallel port; -parallel none", parallel);
    }
    if (json_get_bool(over, "mem-lock", false) && mlockall(MCL_CURRENT | MCL_FUTURE)) {
        return error_set_errno(errp, errno, "-overcommit mem-lock=on: locking memory failed");
    }
    return true;
}

static uint8_t escape_key(System *s)
{
    const char *text = cmdline_text(s->cl, "echr");
    uint64_t n;

    return !text ? 1 : number_parse_u64(text, &n, NULL) ? (uint8_t)n : 1;
}

/* ---- the start, in order ---- */

static bool open_session(System *s, GPtrArray *serials, Error **errp)
{
    CharHost host = {
        .quit = host_quit, .say = host_say, .info = host_info, .opaque = s, .escape = escape_key(s),
        .no_stdio = cmdline_has(s->cl, "daemonize") ? "-daemonize" : NULL,
    };
    bool ok;

    s->session = session_new();
    s->loop = loop_new_glib("main", NULL);
    chardevs_init(s->session, s->loop, &host);
    ok = fds_open(s, errp) && objects_open(s, errp) && backends_open(s, serials, errp) && drives_open(s, errp) && netcards_open(s, errp);
    g_ptr_array_add(serials, NULL);
    return ok;
}

static void prepare_call(void *opaque, MonCall *call)
{
    System *s = opaque;

    call->system = s;
    call->machine = s->machine;
}

static bool open_monitor_wanted(System *s, const MonitorWanted *w, Error **errp)
{
    Chardev *c = chardev_find(s->session, w->chardev);
    QmpHost host = {
        .session = s->session, .version = version_number(), .package = version_package(), .pretty = w->pretty, .prepare = prepare_call, .opaque = s,
    };
    void *made = w->control ? (void *)qmp_front_new(c, &host, errp) : (void *)monitor_new(s, c, errp);

    if (made) {
        g_ptr_array_add(w->control ? s->qmps : s->monitors, made);
    }
    return made;
}

static bool open_monitors(System *s, Error **errp)
{
    for (unsigned i = 0; i < s->monitors_wanted->len; i++) {
        if (!open_monitor_wanted(s, g_ptr_array_index(s->monitors_wanted, i), errp)) {
            return false;
        }
    }
    return true;
}

static void monitor_wanted_free(void *opaque)
{
    MonitorWanted *w = opaque;

    g_free(w->chardev);
    g_free(w);
}

typedef struct {
    Machine *m;
    SnapshotWhat what;
    Error **errp;
    bool ok;
} LoadVm;

static void load_vm(void *opaque)
{
    LoadVm *l = opaque;

    session_lock(l->m->session);
    l->ok = snapshot_load(l->m, &l->what, l->errp);
    session_unlock(l->m->session);
}

static bool begin(System *s, Error **errp)
{
    const char *incoming = cmdline_text(s->cl, "incoming");
    LoadVm load = { s->machine, { .tag = cmdline_text(s->cl, "loadvm") }, errp, true };

    if (load.what.tag) {
        fiber_call(loop_current(), load_vm, &load);
        if (!load.ok) {
            return false;
        }
    }

    if (incoming) {
        machine_set_state(s->machine, RUN_INMIGRATE);
        if (!strcmp(incoming, "defer")) {
            return true;
        }
        if (!g_str_has_prefix(incoming, "file:")) {
            return error_set(errp, "-incoming %s: unknown migration protocol: %s; there is file:PATH", incoming, incoming);
        }
        if (!machine_restore(s->machine, incoming + 5, errp)) {
            return error_prepend(errp, "-incoming %s: ", incoming);
        }
        machine_set_state(s->machine, RUN_PAUSED);
    }
    if (!cmdline_has(s->cl, "S")) {
        machine_run(s->machine);
    }
    return true;
}

static bool start(System *s, Error **errp)
{
    g_autoptr(GPtrArray) serials = g_ptr_array_new_with_free_func(g_free);

    if (!process_settings(s, errp) || !logs_open(s, errp) || !system_machine_type(s, errp) || !daemon_begin(s, errp) || !open_session(s, serials, errp)) {
        return false;
    }
    if (!signals_init(s, errp) || !system_machine_open(s, (char **)serials->pdata, errp)) {
        return false;
    }
    if (s->machine->dumpdtb) {                          /* that was all */
        system_print_info(s, "info: dtb dumped to %s. Exiting.", s->machine->dumpdtb);
        return true;
    }
    s->machine->reset_is_shutdown = s->actions.reboot_ends;
    s->listener.event = machine_said;
    machine_listener_add(s->machine, &s->listener);
    if (!open_monitors(s, errp) || !gdb_open_all(s, errp) || !pidfile_write(s, errp)) {
        return false;
    }
    daemon_ready(s);
    return begin(s, errp);
}

static void finish(System *s)
{
    gdb_close(s);
    if (s->session) {
        jobs_end(s->session);
    }
    for (unsigned i = 0; i < s->monitors->len; i++) {
        monitor_free(g_ptr_array_index(s->monitors, i));
    }
    for (unsigned i = 0; i < s->qmps->len; i++) {
        qmp_front_free(g_ptr_array_index(s->qmps, i));
    }
    if (s->machine) {
        machine_close(s->machine);
        s->machine = NULL;
    }
    if (s->session) {
        netcards_close(s);
        drives_close(s);
        chardevs_exit(s->session);
        signals_exit(s);
        session_free(s->session);
        while (loop_step(s->loop, false)) {
        }
        loop_free(s->loop);
    }
    pidfile_remove(s);
    g_ptr_array_unref(s->monitors);
    g_ptr_array_unref(s->qmps);
    g_ptr_array_unref(s->monitors_wanted);
    g_free(s->guest_name);
    g_free(s->uuid);
    g_free(s->daemon);
}

/* -version and -help count wherever they stand, once all names are known to be good. */
static bool immediate(const ProgramName *name, const CmdLine *cl)
{
    for (unsigned i = 0; i < cl->args->len; i++) {
        const char *opt = ((const CmdArg *)g_ptr_array_index(cl->args, i))->opt->name;
        g_autofree char *text = !strcmp(opt, "version") ? version_text(name) : !strcmp(opt, "h") || !strcmp(opt, "help") ? cmdline_help(name) : NULL;

        if (text) {
            fputs(text, stdout);
            return true;
        }
    }
    return false;
}

int system_run(int argc, char **argv)
{
    System s = { .name = program_name_new(argv[0]) };
    Error *err = NULL;
    int code = 0;
    bool ok;

    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN);
    s.cl = cmdline_new(argc, argv, &err);
    if (s.cl && (immediate(s.name, s.cl) || lists_answer(s.name, s.cl, &code))) {
        /* answered */
    } else {
        s.monitors = g_ptr_array_new();
        s.qmps = g_ptr_array_new();
        s.monitors_wanted = g_ptr_array_new_with_free_func(monitor_wanted_free);
        ok = s.cl && cmdline_check(s.cl, &err) && start(&s, &err);
        if (ok && !s.machine->dumpdtb) {
            loop_run(s.loop);
        } else if (!ok) {
            system_print_error(s.name, err);
            error_free(err);
        }
        finish(&s);
        code = ok ? s.exit_code : 1;
    }
    cmdline_free(s.cl);
    program_name_free(s.name);
    return code;
}
