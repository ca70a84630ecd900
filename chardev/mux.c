/* SPDX-License-Identifier: MIT */
/*
 * mux: several fronts on one back end; one of them has the input.  The escape
 * key (Ctrl-A) and a letter switch, break, or end the program.
 */
#include "chardev/chardev-priv.h"

#include <string.h>
#include <unistd.h>

enum { MUX_FRONTS = 8 };

typedef struct CharMux {
    Chardev c;
    CharFront below;
    CharFront *fronts[MUX_FRONTS];
    unsigned n, focus;
    bool escaped;               /* the escape key was the last */
    bool stamps, line_start;    /* Ctrl-A t */
    int64_t stamp_base;
} CharMux;

static const OptKey mux_keys[] = { { "chardev", OPT_STRING, .must = true, .help = "the device to share" }, {} };
static const OptVariant mux_options = { .group = "chardev", .name = "mux", .help = "shares another device", .keys = mux_keys };
OPT_VARIANT(mux_options);

static CharFront *focused(CharMux *m)
{
    return m->n ? m->fronts[m->focus] : NULL;
}

static void tell(CharFront *f, CharEvent ev)
{
    if (f && f->ops->event) {
        f->ops->event(f->opaque, ev);
    }
}

static void set_focus(CharMux *m, unsigned focus)
{
    CharFront *old = focused(m);

    m->focus = focus;
    if (old != focused(m)) {
        tell(old, CHAR_FOCUS_OUT);
    }
    tell(focused(m), CHAR_FOCUS_IN);
    chardev_post_update(&m->c);
}

static void print_help(CharMux *m)
{
    static const char text[] =
        "\n\r"
        "C-a h    print this help\n\r"
        "C-a x    exit emulator\n\r"
        "C-a t    toggle console timestamps\n\r"
        "C-a b    send break (magic sysrq)\n\r"
        "C-a c    switch between console and monitor\n\r"
        "C-a C-a  sends C-a\n\r";

    chardev_output(&m->c, text, strlen(text), true);
}

/* The key behind the escape key.  True when it is to be passed on. */
static bool escape_key(CharMux *m, uint8_t key)
{
    const CharHost *host = &m->c.all->host;

    if (key == host->escape) {
        return true;
    }
    switch (key) {
    case 'x':
        chardev_output(&m->c, "QEMU: Terminated\n\r", 18, true);
        host->quit(host->opaque);
        break;
    case 'c':
        if (m->n) {
            set_focus(m, (m->focus + 1) % m->n);
        }
        break;
    case 'b':
        tell(focused(m), CHAR_BREAK);
        break;
    case 't':
        m->stamps = !m->stamps;
        m->stamp_base = loop_now();
        m->line_start = true;
        break;
    case 'h':
    case '?':
        print_help(m);
        break;
    }
    return false;
}

/* One byte of input: is it for the front? */
static bool mux_key(CharMux *m, uint8_t key)
{
    if (m->escaped) {
        m->escaped = false;
        return escape_key(m, key);
    }
    m->escaped = m->c.all->host.escape && key == m->c.all->host.escape;
    return !m->escaped;
}

/* ---- the front on the back end below ---- */

static size_t below_can_read(void *opaque)
{
    CharFront *f = focused(opaque);

    return f ? f->ops->can_read(f->opaque) : 1;         /* the escape key works with nobody there */
}

static void below_read(void *opaque, const uint8_t *buf, size_t len)
{
    CharMux *m = opaque;
    size_t from = 0;

    for (size_t i = 0; i < len; i++) {
        if (m->escaped || buf[i] == m->c.all->host.escape) {
            CharFront *f = focused(m);

            if (f && i > from) {
                f->ops->read(f->opaque, buf + from, i - from);
            }
            from = mux_key(m, buf[i]) ? i : i + 1;
        }
    }
    if (focused(m) && len > from) {
        focused(m)->ops->read(focused(m)->opaque, buf + from, len - from);
    }
}

static void below_event(void *opaque, CharEvent ev)
{
    CharMux *m = opaque;

    if (ev == CHAR_OPENED || ev == CHAR_CLOSED) {
        chardev_set_open(&m->c, ev == CHAR_OPENED);
        for (unsigned i = 0; i < m->n; i++) {
            tell(m->fronts[i], ev);
        }
    } else if (ev == CHAR_BREAK) {
        tell(focused(m), ev);
    }
}

static void below_writable(void *opaque)
{
    CharMux *m = opaque;

    chardev_drain(&m->c);
    for (unsigned i = 0; i < m->n; i++) {
        CharFront *f = m->fronts[i];

        if (__atomic_exchange_n(&f->short_write, false, __ATOMIC_RELAXED) && f->ops->writable) {
            f->ops->writable(f->opaque);
        }
    }
}

static const CharOps below_ops = {
    .can_read = below_can_read, .read = below_read, .event = below_event, .writable = below_writable,
};

/* ---- the type ---- */

static bool mux_open(Chardev *c, const Json *opts, Error **errp)
{
    CharMux *m = (CharMux *)c;
    const char *id = json_get_string(opts, "chardev");
    Chardev *below = chardev_find(c->all->session, id);

    if (!below) {
        return error_set(errp, "mux: base chardev %s not found", id);
    }
    return char_attach(&m->below, below, &below_ops, m, errp);
}

static void mux_close(Chardev *c)
{
    CharMux *m = (CharMux *)c;

    while (m->n) {
        char_detach(m->fronts[m->n - 1]);
    }
    char_detach(&m->below);
}

static ssize_t write_stamped(CharMux *m, const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (m->line_start) {
            int64_t ms = (loop_now() - m->stamp_base) / 1000000;

            char_printf(&m->below, "[%02d:%02d:%02d.%03d] ", (int)(ms / 3600000), (int)(ms / 60000 % 60), (int)(ms / 1000 % 60), (int)(ms % 1000));
        }
        char_write_all(&m->below, buf + i, 1);
        m->line_start = buf[i] == '\n';
    }
    return len;
}

static ssize_t mux_write(Chardev *c, const uint8_t *buf, size_t len)
{
    CharMux *m = (CharMux *)c;

    return m->stamps ? write_stamped(m, buf, len) : (ssize_t)char_write(&m->below, buf, len);
}

static void mux_update(Chardev *c)
{
    char_accept(&((CharMux *)c)->below);
}

static bool mux_attach(Chardev *c, CharFront *f, Error **errp)
{
    CharMux *m = (CharMux *)c;

    if (m->n == MUX_FRONTS) {
        return error_set(errp, "chardev '%s' has %d users already, which is the most", c->id, MUX_FRONTS);
    }
    f->chr = c;
    m->fronts[m->n++] = f;
    if (m->n == 1 || !f->ops->background) {
        set_focus(m, m->n - 1);
    }
    return true;
}

static void mux_detach(Chardev *c, CharFront *f)
{
    CharMux *m = (CharMux *)c;

    for (unsigned i = 0; i < m->n; i++) {
        if (m->fronts[i] == f) {
            memmove(&m->fronts[i], &m->fronts[i + 1], (m->n - i - 1) * sizeof(f));
            m->n--;
            m->focus -= m->focus > i || (m->focus == m->n && m->n);
            break;
        }
    }
    if (m->n) {
        tell(focused(m), CHAR_FOCUS_IN);
    }
}

static void mux_hang_up(Chardev *c)
{
    char_hang_up(&((CharMux *)c)->below);
}

static const CharType mux_type = {
    .name = "mux", .size = sizeof(CharMux), .open = mux_open, .close = mux_close, .write = mux_write, .update = mux_update,
    .attach = mux_attach, .detach = mux_detach, .hang_up = mux_hang_up,
};
CHAR_TYPE(mux_type);

bool chardev_is_mux(const Chardev *c)
{
    return c->type == &mux_type;
}

bool chardev_has_front(const Chardev *c)
{
    return c->front || (chardev_is_mux(c) && ((const CharMux *)c)->n);
}
