/* SPDX-License-Identifier: MIT */
/* file: output to a file, input from another; pipe: a pair of FIFOs PATH.in and PATH.out, or one PATH for both. */
#include "chardev/chardev-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "io/fdset.h"

typedef struct CharFile {
    Chardev c;
    CharFd fd;
} CharFile;

static const OptKey file_keys[] = {
    { "path", OPT_STRING, .help = "file that gets the output" },
    { "append", OPT_BOOL, .def = "off", .help = "keep what the file holds" },
    { "input-path", OPT_STRING, .help = "file that the input comes from" },
    {}
};
static const OptVariant file_options = { .group = "chardev", .name = "file", .help = "output to a file", .keys = file_keys };
OPT_VARIANT(file_options);

static const OptKey pipe_keys[] = { { "path", OPT_STRING, .help = "FIFO PATH, or the pair PATH.in and PATH.out" }, {} };
static const OptVariant pipe_options = { .group = "chardev", .name = "pipe", .help = "named pipes", .keys = pipe_keys };
OPT_VARIANT(pipe_options);

static int open_path(const Chardev *c, const char *path, int flags, Error **errp)
{
    int fd = fdset_open(c->all->session, path, flags | O_NOCTTY, 0666);

    if (fd < 0) {
        error_set_errno(errp, errno, "Could not open '%s'", path);
    }
    return fd;
}

static bool start(CharFile *s, int in, int out)
{
    s->fd = (CharFd){ .c = &s->c, .in = in, .out = out };
    char_fd_start(&s->fd);
    s->c.open = true;
    return true;
}

static bool file_open(Chardev *c, const Json *opts, Error **errp)
{
    CharFile *s = (CharFile *)c;
    const char *path = json_get_string(opts, "path"), *input = json_get_string(opts, "input-path");
    int in = -1, out;

    s->fd.in = s->fd.out = -1;
    if (!path) {
        return error_set(errp, "chardev: file: no filename given");
    }
    out = open_path(c, path, O_WRONLY | O_CREAT | (json_get_bool(opts, "append", false) ? O_APPEND : O_TRUNC), errp);
    if (out < 0) {
        return false;
    }
    s->fd.out = out;
    if (input && (in = open_path(c, input, O_RDONLY | O_NONBLOCK, errp)) < 0) {
        return false;
    }
    return start(s, in, out);
}

static bool pipe_open(Chardev *c, const Json *opts, Error **errp)
{
    CharFile *s = (CharFile *)c;
    const char *path = json_get_string(opts, "path");
    g_autofree char *path_in = g_strdup_printf("%s.in", path ? path : ""), *path_out = g_strdup_printf("%s.out", path ? path : "");
    int in, out;

    s->fd.in = s->fd.out = -1;
    if (!path) {
        return error_set(errp, "chardev: pipe: no device path given");
    }
    in = open(path_in, O_RDWR | O_CLOEXEC | O_NONBLOCK);    /* read-write: the open does not wait for the other side */
    out = open(path_out, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (in < 0 || out < 0) {
        if (in >= 0 || out >= 0) {
            close(in >= 0 ? in : out);
        }
        in = out = open_path(c, path, O_RDWR | O_NONBLOCK, errp);
        if (in < 0) {
            return false;
        }
    }
    return start(s, in, out);
}

static void file_close(Chardev *c)
{
    CharFile *s = (CharFile *)c;

    char_fd_stop(&s->fd);
    if (s->fd.in >= 0) {
        close(s->fd.in);
    }
    if (s->fd.out >= 0 && s->fd.out != s->fd.in) {
        close(s->fd.out);
    }
}

static ssize_t file_write(Chardev *c, const uint8_t *buf, size_t len)
{
    return char_fd_write(&((CharFile *)c)->fd, buf, len);
}

static void file_update(Chardev *c)
{
    char_fd_update(&((CharFile *)c)->fd);
}

static const CharType file_type = {
    .name = "file", .size = sizeof(CharFile), .open = file_open, .close = file_close, .write = file_write, .update = file_update,
};
static const CharType pipe_type = {
    .name = "pipe", .size = sizeof(CharFile), .open = pipe_open, .close = file_close, .write = file_write, .update = file_update,
};
CHAR_TYPE(file_type);
CHAR_TYPE(pipe_type);
