/* SPDX-License-Identifier: MIT */
/*
 * stdio: the terminal (or pipe) that the program was started on.  A terminal
 * goes into raw mode and comes back at the end; with signal=on Ctrl-C still
 * ends the program.  The descriptors are shared with the shell and with other
 * programs, so they stay in blocking mode.
 */
#include "chardev/chardev-priv.h"

#include <termios.h>
#include <unistd.h>

typedef struct CharStdio {
    Chardev c;
    CharFd fd;
    bool tty;
    struct termios old;
} CharStdio;

static const OptKey stdio_keys[] = { { "signal", OPT_BOOL, .def = "on", .help = "Ctrl-C on the terminal ends the program" }, {} };
static const OptVariant stdio_options = { .group = "chardev", .name = "stdio", .help = "standard input and output", .keys = stdio_keys };
OPT_VARIANT(stdio_options);

static void raw_mode(CharStdio *s, bool signals)
{
    struct termios t;

    s->tty = tcgetattr(0, &s->old) == 0;
    if (!s->tty) {
        return;
    }
    t = s->old;
    t.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
    if (!signals) {
        t.c_lflag &= ~ISIG;
    }
    t.c_cflag = (t.c_cflag & ~(CSIZE | PARENB)) | CS8;
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    tcsetattr(0, TCSANOW, &t);      /* output processing stays on: messages on stderr keep their line ends */
}

static bool stdio_open(Chardev *c, const Json *opts, Error **errp)
{
    CharStdio *s = (CharStdio *)c;

    if (c->all->host.no_stdio) {
        return error_set(errp, "cannot use stdio with %s", c->all->host.no_stdio);
    }
    if (c->all->stdio) {
        return error_set(errp, "cannot use stdio by multiple character devices");
    }
    c->all->stdio = c;
    s->fd = (CharFd){ .c = c, .in = 0, .out = 1, .shared = true };
    char_fd_start(&s->fd);
    raw_mode(s, json_get_bool(opts, "signal", true));
    c->open = true;
    return true;
}

static void stdio_close(Chardev *c)
{
    CharStdio *s = (CharStdio *)c;

    if (c->all->stdio != c) {
        return;
    }
    char_fd_stop(&s->fd);
    if (s->tty) {
        tcsetattr(0, TCSANOW, &s->old);
    }
    c->all->stdio = NULL;
}

static ssize_t stdio_write(Chardev *c, const uint8_t *buf, size_t len)
{
    return char_fd_write(&((CharStdio *)c)->fd, buf, len);
}

static void stdio_update(Chardev *c)
{
    char_fd_update(&((CharStdio *)c)->fd);
}

static const CharType stdio_type = {
    .name = "stdio", .size = sizeof(CharStdio), .open = stdio_open, .close = stdio_close, .write = stdio_write, .update = stdio_update,
};
CHAR_TYPE(stdio_type);
