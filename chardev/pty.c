/* SPDX-License-Identifier: MIT */
/*
 * pty: a pseudo-terminal whose name is announced on stdout.  The kernel says
 * "hung up" without end while nobody has the other side open, so then we look
 * again every PTY_LOOK instead of watching.
 */
#include "chardev/chardev-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static const int64_t PTY_LOOK = 100 * 1000000ll;

typedef struct CharPty {
    Chardev c;
    CharFd fd;
    LoopTimer look;
} CharPty;

static const OptKey pty_keys[] = { { "path", OPT_STRING, .help = "symbolic link to make to the terminal" }, {} };
static const OptVariant pty_options = { .group = "chardev", .name = "pty", .help = "pseudo-terminal, announced on stdout", .keys = pty_keys };
OPT_VARIANT(pty_options);

static bool somebody_there(CharPty *s)
{
    struct pollfd p = { .fd = s->fd.in, .events = POLLIN };

    return poll(&p, 1, 0) >= 0 && !(p.revents & POLLHUP);
}

static void look(void *opaque)
{
    CharPty *s = opaque;

    if (somebody_there(s)) {
        char_fd_start(&s->fd);
        chardev_set_open(&s->c, true);
        s->c.type->update(&s->c);
    } else {
        loop_timer_at(&s->look, loop_now() + PTY_LOOK);
    }
}

static void pty_hup(Chardev *c)
{
    CharPty *s = (CharPty *)c;

    char_fd_stop(&s->fd);
    chardev_set_open(c, false);
    loop_timer_at(&s->look, loop_now() + PTY_LOOK);
}

/* The terminal passes bytes as they are until its user says otherwise. */
static void raw_mode(const char *name)
{
    int fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios t;

    if (fd >= 0) {
        if (tcgetattr(fd, &t) == 0) {
            cfmakeraw(&t);
            tcsetattr(fd, TCSANOW, &t);
        }
        close(fd);
    }
}

static bool pty_open(Chardev *c, const Json *opts, Error **errp)
{
    CharPty *s = (CharPty *)c;
    g_autofree char *line = NULL;
    char name[64];
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    s->fd = (CharFd){ .c = c, .in = fd, .out = fd, .hup = pty_hup };
    loop_timer_init(&s->look, c->loop, look, s);
    if (fd < 0 || grantpt(fd) || unlockpt(fd) || ptsname_r(fd, name, sizeof(name)) || !char_fd_nonblock(fd)) {
        return error_set_errno(errp, errno, "Failed to create PTY");
    }
    if (json_get_string(opts, "path") && symlink(name, json_get_string(opts, "path"))) {
        return error_set_errno(errp, errno, "Failed to create PTY symlink '%s'", json_get_string(opts, "path"));
    }
    raw_mode(name);
    chardev_set_filename(c, "pty:%s", name);
    line = g_strdup_printf("char device redirected to %s (label %s)", name, c->id);
    c->all->host.say(c->all->host.opaque, line);
    loop_timer_at(&s->look, loop_now());
    return true;
}

static void pty_close(Chardev *c)
{
    CharPty *s = (CharPty *)c;

    loop_timer_cancel(&s->look);
    char_fd_stop(&s->fd);
    if (s->fd.in >= 0) {
        close(s->fd.in);
    }
}

static ssize_t pty_write(Chardev *c, const uint8_t *buf, size_t len)
{
    return char_fd_write(&((CharPty *)c)->fd, buf, len);
}

static void pty_update(Chardev *c)
{
    CharPty *s = (CharPty *)c;

    if (c->open) {
        char_fd_update(&s->fd);
    }
}

static const CharType pty_type = {
    .name = "pty", .size = sizeof(CharPty), .open = pty_open, .close = pty_close, .write = pty_write, .update = pty_update,
};
CHAR_TYPE(pty_type);
