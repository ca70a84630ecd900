/* SPDX-License-Identifier: MIT */
/*
 * rhea-storage-daemon: nodes, exports, jobs and a monitor without a machine.
 *
 * Options are worked on one after the other, in their order on the command
 * line.  It ends at a signal, or when a monitor says quit.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block/drive.h"
#include "block/export/export.h"
#include "block/job/job.h"
#include "chardev/chardev.h"
#include "io/object.h"
#include "monitor/qmp-front.h"
#include "util/roff.h"
#include "util/trace.h"

#define COMMAND(row, ...) static const MonCommand row = { __VA_ARGS__ }; MON_COMMAND(row)

typedef struct {
    const char *argv0, *name;
    Session *session;
    Loop *loop;
    GPtrArray *monitors;                /* QmpFront */
    const char *pidfile;
    int ready_fd;                       /* of the parent that waits; -1 */
    bool daemonize, stop;
} Daemon;

/* The one that `quit` is for: a row's function is told of the session only. */
static const SessionKind daemon_kind = { .name = "storage daemon", .space = "daemon" };

/* ---- commands of its own ---- */

static bool quit_run(MonCall *call, Error **errp)
{
    Daemon *d = session_get(call->session, &daemon_kind, "#daemon");

    d->stop = true;
    return true;
}
COMMAND(quit_command, .qmp = "quit", .run = quit_run);

static bool object_add_run(MonCall *call, Error **errp)
{
    g_autoptr(Json) o = json_copy(call->args);

    return options_check(&object_group, o, errp) && session_object_add(call->session, o, errp);
}
static const OptKey object_add_keys[] = { { "qom-type", OPT_STRING, .must = true }, { "id", OPT_STRING, .must = true }, {} };
COMMAND(object_add_command, .qmp = "object-add", .keys = object_add_keys, .open = true, .run = object_add_run);

static bool object_del_run(MonCall *call, Error **errp)
{
    return session_object_del(call->session, json_get_string(call->args, "id"), errp);
}
static const OptKey object_del_keys[] = { { "id", OPT_STRING, .must = true }, {} };
COMMAND(object_del_command, .qmp = "object-del", .keys = object_del_keys, .run = object_del_run);

/* ---- options ---- */

static bool add_blockdev(Daemon *d, const char *text, Error **errp)
{
    return blockdev_add(d->session, text, errp);
}

static bool add_export(Daemon *d, const char *text, Error **errp)
{
    return export_add_text(d->session, text, errp) != NULL;
}

static bool add_object(Daemon *d, const char *text, Error **errp)
{
    return session_object_parse(d->session, text, errp);
}

static bool add_chardev(Daemon *d, const char *text, Error **errp)
{
    g_autoptr(Json) o = options_parse(options_group("chardev"), text, errp);

    return o && chardev_new(d->session, o, errp);
}

static bool add_server(Daemon *d, const char *text, Error **errp)
{
    static const OptKey keys[] = {
        { "addr", OPT_ANY }, { "tls-creds", OPT_STRING }, { "tls-authz", OPT_STRING }, { "max-connections", OPT_NUMBER, .max = UINT32_MAX },
        { "handshake-max-seconds", OPT_NUMBER, .max = UINT32_MAX }, {}
    };
    static const OptGroup group = { .name = "nbd-server", .keys = keys };
    g_autoptr(Json) o = options_parse(&group, text, errp);

    return o && nbd_server_start_json(d->session, o, errp);
}

static bool add_monitor(Daemon *d, const char *text, Error **errp)
{
    static const OptKey keys[] = {
        { "chardev", OPT_STRING, .must = true }, { "id", OPT_ID }, { "mode", OPT_ENUM, .values = "control|readline" }, { "pretty", OPT_BOOL }, {}
    };
    static const OptGroup group = { .name = "monitor", .implied = "chardev", .keys = keys };
    g_autoptr(Json) o = options_parse(&group, text, errp);
    const char *mode = json_get_string(o, "mode"), *name = json_get_string(o, "chardev");
    Chardev *c = name ? chardev_find(d->session, name) : NULL;
    QmpHost host = { .session = d->session, .version = "8.2.0", .package = "rhea-" RHEA_VERSION, .pretty = json_get_bool(o, "pretty", false), .opaque = d };
    QmpFront *f;

    if (!o) {
        return false;
    }
    if (mode && !strcmp(mode, "readline")) {
        return error_set(errp, "a storage daemon has no monitor for people; use mode=control");
    }
    if (!c) {
        return error_set(errp, "chardev \"%s\" not found", name);
    }
    f = qmp_front_new(c, &host, errp);
    if (f) {
        g_ptr_array_add(d->monitors, f);
    }
    return f != NULL;
}

static bool arm_trace(Daemon *d, const char *text, Error **errp)
{
    return trace_arm(g_str_has_prefix(text, "enable=") ? text + 7 : text, errp);
}

static const struct {
    const char *name, *arg, *help;
    bool (*run)(Daemon *d, const char *text, Error **errp);     /* NULL: main() knows */
} rows[] = {
    { "help", NULL, "display this help and exit", NULL },
    { "version", NULL, "output version information and exit", NULL },
    { "trace", "[enable=]PATTERN", "arm trace points", arm_trace },
    { "blockdev", "[driver=]DRIVER,node-name=N,...", "add a node", add_blockdev },
    { "chardev", "BACKEND,id=ID,...", "add a character device", add_chardev },
    { "daemonize", NULL, "go to the background once all is set up", NULL },
    { "export", "[type=]TYPE,id=ID,node-name=N,...", "export a node: nbd, fuse, vhost-user-blk", add_export },
    { "monitor", "[chardev=]ID[,mode=control][,pretty=on|off]", "a QMP monitor on a character device", add_monitor },
    { "nbd-server", "addr.type=inet|unix,addr....[,tls-creds=ID][,tls-authz=ID][,max-connections=N]", "start the NBD server", add_server },
    { "object", "TYPE,id=ID,...", "add an object: secret, tls-creds-x509...", add_object },
    { "pidfile", "PATH", "write the process's number to a file", NULL },
    { "manual", NULL, "print the manual page, for man(1), and exit", NULL },
};
enum { ROW_HELP = 0, ROW_VERSION = 1, ROW_DAEMONIZE = 5, ROW_PIDFILE = 10, ROW_MANUAL = 11 };

static int fail(Daemon *d, const char *option, Error *err)
{
    fprintf(stderr, "%s: ", d->name);
    if (option) {
        fprintf(stderr, "--%s: ", option);
    }
    fprintf(stderr, "%s\n%s", error_message(err), error_hint_text(err));
    error_free(err);
    return 1;
}

static void print_help(const Daemon *d)
{
    printf("Usage: %s [options]\nDisks, exports and a monitor without a machine\n\n", d->argv0);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        printf("  --%s%s%s\n                         %s\n", rows[i].name, rows[i].arg ? " " : "", rows[i].arg ? rows[i].arg : "", rows[i].help);
    }
}

static const char *const intro[] = {
    ".SH NAME", "rhea-storage-daemon - disks, exports and a monitor without a machine", ".SH SYNOPSIS", ".B rhea\\-storage\\-daemon [OPTIONS]", ".SH DESCRIPTION",
    "The block layer of rhea(1) as a program of its own: nodes are added, exported over NBD, FUSE or vhost-user, and worked on by jobs, from the command line and over QMP.",
    "Options are worked on one after the other, in their order. The program ends at a signal or when a monitor says quit, after its exports.", ".SH OPTIONS", NULL
};
static const char *const exports_are[] = { ".SH EXPORTS", "Every export has these options:", NULL };
static const char *const last[] = {
    ".SH EXAMPLES", "A qcow2 image as an export of a unix socket, with a monitor on another:", ".PP", ".RS", ".nf",
    "rhea-storage-daemon --blockdev driver=qcow2,node-name=disk,file.driver=file,file.filename=disk.qcow2 \\", "  --nbd-server addr.type=unix,addr.path=/tmp/nbd.sock --export nbd,id=e,node-name=disk,writable=on \\",
    "  --chardev socket,id=m,path=/tmp/qmp.sock,server=on,wait=off --monitor m", ".fi", ".RE", ".PP", "The same disk as a raw file of this machine:", ".PP", ".RS", ".nf",
    "rhea-storage-daemon --blockdev driver=qcow2,node-name=disk,file.driver=file,file.filename=disk.qcow2 --export fuse,id=e,node-name=disk,mountpoint=disk.raw,writable=on", ".fi", ".RE",
    ".SH EXIT STATUS", "0 after a signal or quit, 1 if an option could not be worked on.", ".SH SEE ALSO", "rhea(1), rhea-img(1), rhea-nbd(1)", NULL
};

static void put_keys(GString *out, const OptKey *keys)
{
    for (const OptKey *k = keys; k && k->name; k++) {
        g_autofree char *form = g_strdup_printf("%s=<%s>", k->name, options_type_text(k));

        if (!k->absent) {
            roff_item(out, form, k->help ? k->help : "");
        }
    }
}

static void put_export(void *opaque, const char *name, const OptKey *keys)
{
    g_string_append_printf(opaque, ".SS %s\n", name);
    put_keys(opaque, keys);
}

static void print_manual(const Daemon *d)
{
    g_autoptr(GString) out = g_string_new(".TH RHEA-STORAGE-DAEMON 1\n");

    roff_lines(out, intro);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *form = g_strdup_printf("--%s%s%s", rows[i].name, rows[i].arg ? " " : "", rows[i].arg ? rows[i].arg : "");

        roff_item(out, form, rows[i].help);
    }
    roff_lines(out, exports_are);
    put_keys(out, export_keys);
    export_types_foreach(put_export, out);
    roff_lines(out, last);
    fputs(out->str, stdout);
}

static void print_version(const Daemon *d)
{
    printf("%s version %s (Rhea " RHEA_VERSION ")\nMIT licence; written by the authors of Rhea\n", d->name, strncmp(d->name, "qemu", 4) ? RHEA_VERSION : "8.2.0");
}

typedef struct {
    unsigned row;
    const char *text;
} Wanted;

/* All options are read before the first is worked on: going to the background comes first.  Negative: go on. */
static int read_options(Daemon *d, int argc, char **argv, GArray *wanted)
{
    struct option all[G_N_ELEMENTS(rows) + 1] = {};
    int c;

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        all[i] = (struct option){ rows[i].name, rows[i].arg ? required_argument : no_argument, NULL, 256 + (int)i };
    }
    while ((c = getopt_long(argc, argv, "hVT:", all, NULL)) >= 0) {
        Wanted w = { c == 'h' ? ROW_HELP : c == 'V' ? ROW_VERSION : c == 'T' ? 2 : (unsigned)(c - 256), optarg };

        if (c == '?') {
            fprintf(stderr, "Try '%s --help' for more information.\n", d->argv0);
            return 1;
        }
        if (w.row == ROW_HELP || w.row == ROW_VERSION || w.row == ROW_MANUAL) {
            (w.row == ROW_HELP ? print_help : w.row == ROW_VERSION ? print_version : print_manual)(d);
            return 0;
        }
        d->daemonize |= w.row == ROW_DAEMONIZE;
        d->pidfile = w.row == ROW_PIDFILE ? optarg : d->pidfile;
        g_array_append_val(wanted, w);
    }
    if (optind < argc) {
        fprintf(stderr, "%s: Unexpected argument: %s\n", d->name, argv[optind]);
        return 1;
    }
    return -1;
}

/* ---- life ---- */

static int wait_for_child(int fd, pid_t child)
{
    int status = 0;
    char c;

    if (read(fd, &c, 1) == 1) {
        return 0;
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1;
}

/* Negative: go on, in the child. */
static int to_background(Daemon *d)
{
    int fds[2];
    pid_t pid;

    if (!d->daemonize) {
        return -1;
    }
    if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
        fprintf(stderr, "%s: cannot go to the background: %s\n", d->name, strerror(errno));
        return 1;
    }
    if (pid) {
        close(fds[1]);
        return wait_for_child(fds[0], pid);
    }
    close(fds[0]);
    setsid();
    d->ready_fd = fds[1];
    return -1;
}

static void ready(Daemon *d)
{
    int null = d->ready_fd >= 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;

    for (int fd = 0; null >= 0 && fd <= 2; fd++) {
        dup2(null, fd);
    }
    if (d->ready_fd >= 0) {
        if (write(d->ready_fd, "", 1) != 1) {
            d->stop = true;             /* nobody waits any more */
        }
        close(d->ready_fd);
        close(null);
    }
}

static bool write_pid(Daemon *d, Error **errp)
{
    g_autofree char *text = g_strdup_printf("%d\n", getpid());
    int fd = d->pidfile ? open(d->pidfile, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600) : -1;

    if (d->pidfile && (fd < 0 || write(fd, text, strlen(text)) < 0)) {
        return error_set_errno(errp, errno, "cannot create PID file: Cannot open pid file '%s'", d->pidfile);
    }
    if (fd >= 0) {
        close(fd);
    }
    return true;
}

static int work(Daemon *d, const GArray *wanted)
{
    Error *err = NULL;

    for (unsigned i = 0; i < wanted->len; i++) {
        const Wanted *w = &g_array_index(wanted, Wanted, i);

        if (rows[w->row].run && !rows[w->row].run(d, w->text, &err)) {
            return fail(d, rows[w->row].name, err);
        }
    }
    return write_pid(d, &err) ? 0 : fail(d, NULL, err);
}

static void quit(void *opaque)
{
    Daemon *d = opaque;

    d->stop = true;
}

static void signalled(void *opaque, unsigned events)
{
    quit(opaque);
}

static void say(void *opaque, const char *line)
{
    puts(line);
}

static int serve(Daemon *d, const GArray *wanted)
{
    CharHost host = { .quit = quit, .say = say, .info = say, .opaque = d, .escape = 1, .no_stdio = d->daemonize ? "--daemonize" : NULL };
    sigset_t set;
    LoopFd *watch;
    int status, fd;

    chardevs_init(d->session, d->loop, &host);
    session_add(d->session, &daemon_kind, "#daemon", d, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    watch = loop_fd_add(d->loop, fd, LOOP_READ, signalled, d);
    status = work(d, wanted);
    if (status == 0) {
        ready(d);
        while (!d->stop) {
            loop_step(d->loop, true);
        }
    }
    loop_fd_remove(watch);
    close(fd);
    exports_close_all(d->session);
    if (nbd_server_get(d->session)) {
        nbd_server_stop(d->session, NULL);
    }
    g_ptr_array_free(d->monitors, true);
    chardevs_exit(d->session);
    return status;
}

static void free_monitor(void *p)
{
    qmp_front_free(p);
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    Daemon d = { .argv0 = argv[0], .name = slash ? slash + 1 : argv[0], .ready_fd = -1, .monitors = g_ptr_array_new_with_free_func(free_monitor) };
    g_autoptr(GArray) wanted = g_array_new(false, false, sizeof(Wanted));
    int status = read_options(&d, argc, argv, wanted);

    signal(SIGPIPE, SIG_IGN);
    status = status < 0 ? to_background(&d) : status;
    if (status >= 0) {
        return status;
    }
    d.loop = loop_new("main");
    loop_attach(d.loop);
    d.session = session_new();
    status = serve(&d, wanted);
    jobs_end(d.session);
    session_free(d.session);
    while (loop_step(d.loop, false)) {      /* what was posted to things that are closed now */
    }
    loop_attach(NULL);
    loop_free(d.loop);
    return status;
}
