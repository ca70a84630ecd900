/* SPDX-License-Identifier: MIT */
/* rhea-nbd: opens the image, serves it, ends. */
#include "block/nbd/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <linux/nbd.h>
#include <unistd.h>

#include "block/drive.h"
#include "block/driver.h"
#include "block/image.h"
#include "block/nbd/tool-priv.h"
#include "util/size.h"

/* ---- messages ---- */

int nbd_tool_error(NbdTool *t, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s: ", t->name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return 1;
}

int nbd_tool_fail(NbdTool *t, const char *what, Error *err)
{
    nbd_tool_error(t, "%s%s", what ? what : "", error_message(err));
    fputs(error_hint_text(err), stderr);
    error_free(err);
    return 1;
}

/* ---- the image ---- */

static Json *raw_part(const NbdTool *t, const BlkNode *n)
{
    Json *raw = json_object();

    json_set_string(raw, "driver", "raw");
    json_set_uint(raw, "offset", t->offset);
    json_set_string(raw, "file", blk_node_name(n));
    return raw;
}

static void add_text(Json *o, const char *key, const char *value)
{
    if (value) {
        json_set_string(o, key, value);
    }
}

static Json *image_options(NbdTool *t, Error **errp)
{
    static const OptKey none[] = { {} };
    static const OptGroup any = { .name = "file", .open = true, .keys = none };
    Json *o = t->image_opts ? options_parse(&any, t->file, errp) : json_object();

    if (o) {
        add_text(o, "driver", t->format);
        add_text(o, "detect-zeroes", t->detect_zeroes);
        if (t->aio) {
            add_text(o, "file.aio", t->aio);
        }
    }
    return o;
}

/* file.aio as the object that it is. */
static void nest_aio(NbdTool *t, Json *o)
{
    Json *file;

    if (!json_remove(o, "file.aio")) {
        return;
    }
    file = json_get(o, "file");
    if (!file) {
        file = json_object();
        json_set_string(file, "filename", t->file);
        json_set_string(file, "driver", "file");
        json_set(o, "file", file);
        t->file = NULL;
    }
    json_set_string(file, "aio", t->aio);
}

static BlkNode *open_part(NbdTool *t, BlkNode *n, Error **errp)
{
    uint64_t size = blk_node_size(n);
    BlkNode *part;

    if (t->offset >= size) {
        error_set(errp, "Offset (%" PRIu64 ") cannot be %s size of the containing file (%" PRIu64 ")", t->offset, t->offset > size ? "greater than" : "equal to", size);
        blk_node_unref(n);
        return NULL;
    }
    part = blk_node_open(t->session, NULL, raw_part(t, n), t->flags, errp);
    blk_node_unref(n);
    return part;
}

static bool load_snapshot(NbdTool *t, BlkNode *n, Error **errp)
{
    const char *name = t->snapshot_param;
    Blk *b = blk_new(t->session, NULL, BLK_PERM_READ, BLK_PERM_ALL, errp);
    bool ok;

    for (const char *key = "snapshot.id=\0snapshot.name=\0"; *key; key += strlen(key) + 1) {
        name = g_str_has_prefix(name, key) ? name + strlen(key) : name;
    }
    if (!blk_insert(b, n, errp)) {
        blk_free(b);
        return false;
    }
    ok = n->drv->image && n->drv->image->snapshot_load ? blk_snapshot_load(b, name, errp) :
         error_set(errp, "Block format '%s' used by device '' does not support temporarily loading internal snapshots", n->drv->name);
    blk_free(b);
    return ok;
}

static void warn_raw(const BlkNode *n)
{
    if (n->probed && !strcmp(n->drv->name, "raw") && !n->read_only) {
        fprintf(stderr, "WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
                "         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.\n"
                "         Specify the 'raw' format explicitly to remove the restrictions.\n", n->filename);
    }
}

static BlkNode *open_image(NbdTool *t, Error **errp)
{
    g_autofree char *name = g_strdup(t->file);
    Json *o = image_options(t, errp);
    BlkNode *n = NULL;

    t->flags |= t->read_only ? 0 : BLK_O_RDWR;
    if (o) {
        nest_aio(t, o);
        n = blk_node_open(t->session, t->image_opts ? NULL : t->file, o, t->snapshot ? t->flags & ~BLK_O_RDWR : t->flags, errp);
    }
    if (!n) {
        error_prepend(errp, "Failed to blk_new_open '%s': ", name);
        return NULL;
    }
    warn_raw(n);
    if (t->snapshot_param && !load_snapshot(t, n, errp)) {
        error_prepend(errp, "Failed to load snapshot: ");
        blk_node_unref(n);
        return NULL;
    }
    if (t->snapshot) {
        n = blk_node_overlay(n, t->flags, errp);
    }
    return n && t->offset ? open_part(t, n, errp) : n;
}

/* ---- serving ---- */

SocketAddress *nbd_tool_address(const NbdTool *t)
{
    const char *fds = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");

    if (fds && pid && !t->list && atoi(pid) == getpid() && atoi(fds) == 1) {
        return socket_address_fd(3);    /* systemd's protocol: the socket is there already */
    }
    return t->socket_path ? socket_address_unix(t->socket_path) :
           socket_address_inet(t->bind ? t->bind : t->list ? "127.0.0.1" : "0.0.0.0", t->port ? t->port : G_STRINGIFY(10809));
}

static void connection_closed(void *opaque, unsigned left, bool negotiated)
{
    NbdTool *t = opaque;

    if (t->verbose) {
        nbd_tool_error(t, "a client has left, %u stay", left);
    }
    if (left == 0 && negotiated && !t->persistent) {
        t->stop = true;
    }
}

static bool start_server(NbdTool *t, Error **errp)
{
    g_autoptr(SocketAddress) a = nbd_tool_address(t);
    NbdServerConfig config = { .tls_creds = t->tls_creds, .tls_authz = t->tls_authz, .max_connections = t->shared, .handshake_max = t->handshake };

    if (!nbd_server_start(t->session, a, &config, errp)) {
        return false;
    }
    nbd_server_set_closed(nbd_server_get(t->session), connection_closed, t);
    return true;
}

static bool add_export(NbdTool *t, BlkNode *n, Error **errp)
{
    g_autoptr(Json) o = json_object();
    Export *e;

    json_set_string(o, "type", "nbd");
    json_set_string(o, "id", "#export");
    json_set_string(o, "node-name", blk_node_name(n));
    json_set_string(o, "name", t->export_name ? t->export_name : "");
    json_set_bool(o, "writable", !t->read_only);
    json_set_bool(o, "writethrough", t->flags & BLK_O_WRITETHROUGH);
    json_set_bool(o, "allocation-depth", t->depth);
    add_text(o, "description", t->description);
    if (t->bitmap) {
        Json *list = json_array();

        json_append(list, json_string(t->bitmap));
        json_set(o, "bitmaps", list);
    }
    e = export_add(t->session, o, errp);
    return e != NULL;
}

static void signalled(void *opaque, unsigned events)
{
    NbdTool *t = opaque;

    t->stop = true;
}

static bool write_pid(NbdTool *t)
{
    g_autofree char *text = g_strdup_printf("%d\n", getpid());
    int fd = open(t->pid_file, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        nbd_tool_error(t, "Could not create '%s': %s", t->pid_file, strerror(errno));
        return false;
    }
    close(fd);
    return true;
}

/* The parent may go: from here on there is nobody to read messages. */
static void tell_parent(NbdTool *t)
{
    int null;

    if (t->ready_fd < 0) {
        return;
    }
    null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    if (!t->verbose) {
        dup2(null, 2);
    }
    close(null);
    if (write(t->ready_fd, "", 1) != 1) {
        exit(1);
    }
    close(t->ready_fd);
}

static int serve(NbdTool *t)
{
    sigset_t set;
    Error *err = NULL;
    BlkNode *n = open_image(t, &err);
    LoopFd *watch;
    int fd;

    if (!n || !start_server(t, &err) || !add_export(t, n, &err)) {
        blk_node_unref(n);
        return nbd_tool_fail(t, NULL, err);
    }
    blk_node_unref(n);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL); /* before anybody can know our number */
    if (t->pid_file && !write_pid(t)) {
        return 1;
    }
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    watch = loop_fd_add(t->loop, fd, LOOP_READ, signalled, t);
    tell_parent(t);
    loop_run_until(t->loop, &t->stop);
    loop_fd_remove(watch);
    close(fd);
    nbd_server_stop(t->session, NULL);
    return 0;
}

/* ---- --fork ---- */

static int wait_for_child(int fd, pid_t child)
{
    char c;
    int status = 1;

    if (read(fd, &c, 1) == 1) {
        return 0;
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1;
}

/* In the parent: false, with the exit code. */
static bool fork_server(NbdTool *t, int *status)
{
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
        *status = nbd_tool_error(t, "Failed to fork: %s", strerror(errno));
        return false;
    }
    if (pid) {
        close(fds[1]);
        *status = wait_for_child(fds[0], pid);
        return false;
    }
    close(fds[0]);
    setsid();
    t->ready_fd = fds[1];
    return true;
}

/* ---- -d ---- */

int nbd_tool_disconnect(NbdTool *t)
{
    int fd = open(t->file, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        return nbd_tool_error(t, "Cannot open %s: %s", t->file, strerror(errno));
    }
    if (ioctl(fd, NBD_DISCONNECT) < 0) {
        close(fd);
        return nbd_tool_error(t, "%s is no network block device: %s", t->file, strerror(errno));
    }
    ioctl(fd, NBD_CLEAR_SOCK);
    close(fd);
    printf("%s disconnected\n", t->file);
    return 0;
}

/* ---- main ---- */

static int run(NbdTool *t)
{
    int status;

    if (t->disconnect) {
        return nbd_tool_disconnect(t);
    }
    if (t->do_fork && !fork_server(t, &status)) {
        return status;
    }
    t->loop = loop_new(t->name);
    loop_attach(t->loop);
    status = t->list ? nbd_tool_list(t) : serve(t);
    session_free(t->session);
    t->session = NULL;
    loop_attach(NULL);
    loop_free(t->loop);
    return status;
}

int nbd_tool_main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    NbdTool t = { .argv0 = argv[0], .name = slash ? slash + 1 : argv[0], .session = session_new(), .shared = 1, .handshake = 10, .ready_fd = -1 };
    int status;

    signal(SIGPIPE, SIG_IGN);
    if (nbd_tool_options(&t, argc, argv, &status)) {
        status = run(&t);
    }
    session_free(t.session);
    return status;
}
