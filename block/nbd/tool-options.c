/* SPDX-License-Identifier: MIT */
/* rhea-nbd: the command line. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/nbd/proto.h"
#include "block/nbd/tool-priv.h"
#include "io/object.h"
#include "util/roff.h"
#include "util/size.h"
#include "util/trace.h"

enum { OPT_CACHE = 256, OPT_AIO, OPT_DISCARD, OPT_DETECT_ZEROES, OPT_HANDSHAKE, OPT_OBJECT, OPT_TLS_CREDS, OPT_TLS_HOSTNAME, OPT_TLS_AUTHZ, OPT_IMAGE_OPTS,
       OPT_FORK, OPT_PID_FILE, OPT_SELINUX, OPT_MANUAL };

typedef struct {
    const char *name;
    int letter;                         /* or OPT_ */
    const char *arg;                    /* NULL: none */
    const char *help;
} Row;

/* One row an option: for getopt and for the help. A row without a name is a headline. */
static const Row rows[] = {
    { "help", 'h', NULL, "display this help and exit" },
    { "version", 'V', NULL, "output version information and exit" },
    { "manual", OPT_MANUAL, NULL, "print the manual page, for man(1), and exit" },
    { .help = "Connection properties:" },
    { "port", 'p', "PORT", "port to listen on (default `10809')" },
    { "bind", 'b', "IFACE", "interface to bind to (default `0.0.0.0')" },
    { "socket", 'k', "PATH", "path to the unix socket" },
    { "shared", 'e', "NUM", "device can be shared by NUM clients (default '1')" },
    { "persistent", 't', NULL, "don't exit on the last connection" },
    { "verbose", 'v', NULL, "tell of connections that come and go" },
    { "export-name", 'x', "NAME", "expose export by name (default is empty string)" },
    { "description", 'D', "TEXT", "export a human-readable description" },
    { "handshake-limit", OPT_HANDSHAKE, "N", "limit client's handshake to N seconds (default 10); 0: no limit" },
    { .help = "Exposing part of the image:" },
    { "offset", 'o', "OFFSET", "offset into the image" },
    { "allocation-depth", 'A', NULL, "expose the allocation depth" },
    { "bitmap", 'B', "NAME", "expose a persistent dirty bitmap" },
    { .help = "General purpose options:" },
    { "list", 'L', NULL, "list exports available from another NBD server" },
    { "object", OPT_OBJECT, "type,id=ID,...", "define an object such as 'secret' or TLS credentials" },
    { "tls-creds", OPT_TLS_CREDS, "ID", "use id of an earlier --object to provide TLS" },
    { "tls-authz", OPT_TLS_AUTHZ, "ID", "use id of an earlier --object to provide authorization" },
    { "tls-hostname", OPT_TLS_HOSTNAME, "HOSTNAME", "override hostname used to check x509 certificate" },
    { "trace", 'T', "[enable=]PATTERN", "arm trace points" },
    { "fork", OPT_FORK, NULL, "fork off the server process and exit the parent once the server is running" },
    { "pid-file", OPT_PID_FILE, "PATH", "store the server's process ID in the given file" },
    { "selinux-label", OPT_SELINUX, "LABEL", "refused: there is no SELinux support" },
    { .help = "Kernel NBD client support:" },
    { "connect", 'c', "DEV", "refused: use nbd-client(8), or mount through FUSE" },
    { "disconnect", 'd', NULL, "disconnect the specified device" },
    { .help = "Block device options:" },
    { "format", 'f', "FORMAT", "set image format (raw, qcow2, ...)" },
    { "read-only", 'r', NULL, "export read-only" },
    { "snapshot", 's', NULL, "send writes to a temporary file on top of FILE" },
    { "load-snapshot", 'l', "SNAPSHOT", "export an internal snapshot, read-only: snapshot.id=ID,snapshot.name=NAME or ID_OR_NAME" },
    { "nocache", 'n', NULL, "disable host cache" },
    { "cache", OPT_CACHE, "MODE", "set cache mode: none, writeback (default), writethrough, directsync, unsafe" },
    { "aio", OPT_AIO, "MODE", "set AIO mode (native, io_uring or threads)" },
    { "discard", OPT_DISCARD, "MODE", "set discard mode (ignore, unmap)" },
    { "detect-zeroes", OPT_DETECT_ZEROES, "MODE", "set detect-zeroes mode (off, on, unmap)" },
    { "image-opts", OPT_IMAGE_OPTS, NULL, "treat FILE as a full set of image options" },
};

/* ---- help ---- */

static char *form_of(const Row *r)
{
    const char *eq = r->arg ? "=" : "", *arg = r->arg ? r->arg : "";

    return r->letter < OPT_CACHE ? g_strdup_printf("-%c, --%s%s%s", r->letter, r->name, eq, arg) : g_strdup_printf("--%s%s%s", r->name, eq, arg);
}

static void print_row(const Row *r)
{
    g_autofree char *form = NULL, *left = NULL;

    if (!r->name) {
        printf("\n%s\n", r->help);
        return;
    }
    form = form_of(r);
    left = g_strdup_printf("%s%s", r->letter < OPT_CACHE ? "  " : "      ", form);
    printf(strlen(left) > 27 ? "%s\n%28s%s\n" : "%-27s%s%s\n", left, strlen(left) > 27 ? "" : " ", r->help);
}

static void print_help(const NbdTool *t)
{
    printf("Usage: %s [OPTIONS] FILE\n"
           "  or:  %s -L [OPTIONS]\n"
           "Serve a disk image over the network block device protocol\n\n", t->argv0, t->argv0);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        print_row(&rows[i]);
    }
}

/* ---- the manual page ---- */

static const char *const intro[] = {
    ".SH NAME", "rhea-nbd - serve a disk image over the network block device protocol", ".SH SYNOPSIS", ".B rhea\\-nbd [OPTIONS] FILE", ".br", ".B rhea\\-nbd \\-L [OPTIONS]", ".SH DESCRIPTION",
    "Others read and write the disk in FILE, of any format, through a TCP port or a unix socket. With -L the exports of another server are listed.",
    "The program ends when its last client has left, unless -t is given. Called as qemu-nbd it prints that program's name and version.", ".SH OPTIONS", NULL
};
static const char *const last[] = {
    ".SH EXAMPLES", "An image for everybody who may open the socket, until the program is stopped:", ".PP", ".RS", ".nf", "rhea-nbd -t -f qcow2 -k /tmp/disk.sock disk.qcow2", "nbdcopy nbd+unix:///?socket=/tmp/disk.sock copy.raw",
    ".fi", ".RE", ".PP", "In the background, on a port, with certificates asked for:", ".PP", ".RS", ".nf",
    "rhea-nbd --fork --pid-file=/run/disk.pid -t -p 10809 -f raw --object tls-creds-x509,id=tls0,endpoint=server,dir=/etc/pki --tls-creds tls0 disk.raw", ".fi", ".RE", ".PP",
    "As a device of this machine: serve on a socket, then nbd-client -unix /tmp/disk.sock /dev/nbd0.", ".SH EXIT STATUS", "0 when its last client has left or it was told to end by a signal, 1 if anything went wrong.",
    ".SH SEE ALSO", "rhea-img(1), rhea-storage-daemon(1), nbd-client(8)", NULL
};

static void print_manual(const NbdTool *t)
{
    g_autoptr(GString) out = g_string_new(".TH RHEA-NBD 1\n");

    roff_lines(out, intro);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *form = rows[i].name ? form_of(&rows[i]) : NULL;

        if (form) {
            roff_item(out, form, rows[i].help);
        } else {
            g_string_append_printf(out, ".SS %.*s\n", (int)strcspn(rows[i].help, ":"), rows[i].help);
        }
    }
    roff_lines(out, last);
    fputs(out->str, stdout);
}

static void print_version(const NbdTool *t)
{
    printf("%s %s (Rhea " RHEA_VERSION ")\n", t->argv0, !strncmp(t->name, "qemu-nbd", 8) ? "8.2.0" : RHEA_VERSION);
    printf("MIT licence; written by the authors of Rhea\n");
}

/* ---- one option ---- */

static bool number_option(NbdTool *t, char letter, const char *text)
{
    uint64_t v;

    if (letter == 'e') {
        if (!number_parse_u64(text, &v, NULL) || v > INT32_MAX) {
            nbd_tool_error(t, "Invalid shared device number '%s'", text);
            return false;
        }
        t->shared = v;
        return true;
    }
    if (!number_parse_u64(text, &t->offset, NULL)) {
        nbd_tool_error(t, "Invalid offset '%s'", text);
        return false;
    }
    return true;
}

static bool handshake_option(NbdTool *t, const char *text)
{
    uint64_t v;

    if (!number_parse_u64(text, &v, NULL) || v > UINT32_MAX) {
        nbd_tool_error(t, "Invalid handshake limit '%s'", text);
        return false;
    }
    t->handshake = v;
    return true;
}

static bool cache_option(NbdTool *t, const char *mode)
{
    if (t->cache) {
        nbd_tool_error(t, "-n and --cache can only be specified once");
        return false;
    }
    t->cache = mode;
    if (!blk_cache_flags(mode, &t->flags, NULL)) {
        nbd_tool_error(t, "Invalid cache mode `%s'", mode);
        return false;
    }
    return true;
}

static bool mode_option(NbdTool *t, int c, const char *mode)
{
    if (c == OPT_AIO) {
        if (t->aio) {
            nbd_tool_error(t, "--aio can only be specified once");
            return false;
        }
        t->aio = mode;
        if (!options_one_of("native|io_uring|threads", mode, false)) {
            nbd_tool_error(t, "Invalid aio mode '%s'", mode);
            return false;
        }
    } else if (c == OPT_DISCARD) {
        if (!options_one_of("ignore|off|unmap|on", mode, false)) {
            nbd_tool_error(t, "Invalid discard mode `%s'", mode);
            return false;
        }
        t->flags = options_one_of("unmap|on", mode, false) ? t->flags | BLK_O_UNMAP : t->flags & ~BLK_O_UNMAP;
    } else {
        t->detect_zeroes = mode;
        if (!options_one_of("off|on|unmap", mode, false)) {
            nbd_tool_error(t, "Failed to parse detect_zeroes mode: invalid parameter value: %s", mode);
            return false;
        }
    }
    return true;
}

static bool error_option(NbdTool *t, Error *err)
{
    nbd_tool_fail(t, NULL, err);
    return false;
}

static bool trace_option(NbdTool *t, const char *text)
{
    Error *err = NULL;

    return trace_arm(g_str_has_prefix(text, "enable=") ? text + 7 : text, &err) ? true : error_option(t, err);
}

static bool one_option(NbdTool *t, int c, const char *arg)
{
    Error *err = NULL;

    switch (c) {
    case 'p': t->port = arg; return true;
    case 'b': t->bind = arg; return true;
    case 't': t->persistent = true; return true;
    case 'v': t->verbose = true; return true;
    case 'x': t->export_name = arg; return true;
    case 'D': t->description = arg; return true;
    case 'A': t->depth = true; return true;
    case 'B': t->bitmap = arg; return true;
    case 'L': t->list = true; return true;
    case 'f': t->format = arg; return true;
    case 'r': t->read_only = true; return true;
    case 's': t->snapshot = true; return true;
    case 'l': t->snapshot_param = arg; t->read_only = true; return true;
    case 'd': t->disconnect = true; return true;
    case 'n': return cache_option(t, "none");
    case 'e': case 'o': return number_option(t, c, arg);
    case 'T': return trace_option(t, arg);
    case OPT_HANDSHAKE: return handshake_option(t, arg);
    case OPT_CACHE: return cache_option(t, arg);
    case OPT_AIO: case OPT_DISCARD: case OPT_DETECT_ZEROES: return mode_option(t, c, arg);
    case OPT_TLS_CREDS: t->tls_creds = arg; return true;
    case OPT_TLS_AUTHZ: t->tls_authz = arg; return true;
    case OPT_TLS_HOSTNAME: t->hostname = arg; return true;
    case OPT_IMAGE_OPTS: t->image_opts = true; return true;
    case OPT_FORK: t->do_fork = true; return true;
    case OPT_PID_FILE: t->pid_file = arg; return true;
    case OPT_OBJECT: return session_object_parse(t->session, arg, &err) ? true : error_option(t, err);
    case 'k':
        t->socket_path = arg;
        if (arg[0] != '/') {
            nbd_tool_error(t, "socket path must be absolute");
            return false;
        }
        return true;
    case 'c':
        nbd_tool_error(t, "-c %s: this program does not drive the kernel's NBD client; serve on a socket and use nbd-client(8)", arg);
        return false;
    case OPT_SELINUX:
        nbd_tool_error(t, "SELinux support not enabled in this binary");
        return false;
    }
    nbd_tool_error(t, "Try `%s --help' for more information.", t->argv0);
    return false;
}

/* ---- together ---- */

static bool conflict(NbdTool *t)
{
    if (t->tls_authz && !t->tls_creds) {
        return nbd_tool_error(t, "--tls-authz is not permitted without --tls-creds");
    }
    if (t->list && (t->persistent || t->bitmap || t->depth || t->read_only || t->snapshot || t->format || t->export_name || t->description || t->offset || t->image_opts || t->cache || t->aio)) {
        return nbd_tool_error(t, "List mode is incompatible with per-device settings");
    }
    if (t->list && t->do_fork) {
        return nbd_tool_error(t, "List mode is incompatible with forking");
    }
    if (t->socket_path && (t->port || t->bind)) {
        return nbd_tool_error(t, "-k/--socket cannot be used together with -p/--port or -b/--bind");
    }
    if (t->image_opts && t->format) {
        return nbd_tool_error(t, "--image-opts and -f are mutually exclusive");
    }
    if (t->image_opts && t->offset) {
        return nbd_tool_error(t, "-o and --image-opts are mutually exclusive; put offset= into the options");
    }
    if (t->export_name && strlen(t->export_name) > NBD_MAX_STRING) {
        return nbd_tool_error(t, "export name '%s' too long", t->export_name);
    }
    if (t->description && strlen(t->description) > NBD_MAX_STRING) {
        return nbd_tool_error(t, "export description '%s' too long", t->description);
    }
    return false;
}

static bool files(NbdTool *t, int argc, char **argv)
{
    if (t->list) {
        return optind == argc ? true : !nbd_tool_error(t, "List mode is incompatible with a file name");
    }
    if (optind != argc - 1) {
        nbd_tool_error(t, "Invalid number of arguments");
        fprintf(stderr, "Try `%s --help' for more information.\n", t->argv0);
        return false;
    }
    t->file = argv[optind];
    return true;
}

bool nbd_tool_options(NbdTool *t, int argc, char **argv, int *status)
{
    struct option all[G_N_ELEMENTS(rows) + 1] = {};
    g_autoptr(GString) letters = g_string_new(NULL);
    unsigned n = 0;
    int c;

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const Row *r = &rows[i];

        if (r->name) {
            all[n++] = (struct option){ r->name, r->arg ? required_argument : no_argument, NULL, r->letter };
            if (r->letter < OPT_CACHE) {
                g_string_append_printf(letters, "%c%s", r->letter, r->arg ? ":" : "");
            }
        }
    }
    *status = 1;
    while ((c = getopt_long(argc, argv, letters->str, all, NULL)) >= 0) {
        if (c == 'h' || c == 'V' || c == OPT_MANUAL) {
            (c == 'h' ? print_help : c == 'V' ? print_version : print_manual)(t);
            *status = 0;
            return false;
        }
        if (!one_option(t, c, optarg)) {
            return false;
        }
    }
    return !conflict(t) && files(t, argc, argv);
}
