/* SPDX-License-Identifier: MIT */
/* What fronts call, and the way of bytes between a front and its back end. */
#include "chardev/chardev-priv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "chardev/trace.h"

bool char_attach(CharFront *f, Chardev *c, const CharOps *ops, void *opaque, Error **errp)
{
    g_assert(!f->chr);
    *f = (CharFront){ .ops = ops, .opaque = opaque };
    if (c->type->attach) {
        if (!c->type->attach(c, f, errp)) {
            return false;
        }
        f->chr = c;
    } else if (c->front) {
        return error_set(errp, "chardev '%s' is already in use", c->id);
    } else {
        f->chr = c;
        c->front = f;
    }
    if (char_is_open(f) && ops->event) {
        ops->event(opaque, CHAR_OPENED);
    }
    chardev_post_update(c);
    return true;
}

void char_detach(CharFront *f)
{
    Chardev *c = f->chr;

    if (!c) {
        return;
    }
    if (c->type->detach) {
        c->type->detach(c, f);
    } else {
        c->front = NULL;
    }
    io_lock(&c->lock);
    f->chr = NULL;
    io_unlock(&c->lock);
    chardev_post_update(c);
}

static void log_output(Chardev *c, const uint8_t *buf, size_t len)
{
    while (c->log_fd >= 0 && len) {
        ssize_t n = write(c->log_fd, buf, len);

        if (n < 0 && errno != EINTR) {
            close(c->log_fd);           /* a full disk ends the log, not the guest */
            c->log_fd = -1;
        } else if (n > 0) {
            buf += n;
            len -= n;
        }
    }
}

/* c->lock held: hand over what the host takes, queue the rest if there is room. */
static size_t output_locked(Chardev *c, const uint8_t *buf, size_t len, bool all)
{
    ssize_t n = 0;
    size_t rest, room;

    if (!c->open) {
        return len;
    }
    if (!c->out->len) {
        n = c->type->write(c, buf, len);
        if (n < 0) {
            return len;
        }
    }
    room = c->out->len < CHAR_QUEUE ? CHAR_QUEUE - c->out->len : 0;
    rest = all ? len - n : MIN(len - n, room);
    g_byte_array_append(c->out, buf + n, rest);
    return n + rest;
}

size_t chardev_output(Chardev *c, const void *buf, size_t len, bool all)
{
    size_t taken;
    bool queued;

    io_lock(&c->lock);
    taken = output_locked(c, buf, len, all);
    log_output(c, buf, taken);
    queued = c->out->len;
    io_unlock(&c->lock);
    trace_char_output(c->id, len, taken);
    if (queued) {
        chardev_post_update(c);
    }
    return taken;
}

size_t char_write(CharFront *f, const void *buf, size_t len)
{
    size_t taken = f->chr ? chardev_output(f->chr, buf, len, false) : len;

    if (taken < len) {
        __atomic_store_n(&f->short_write, true, __ATOMIC_RELAXED);
        chardev_post_update(f->chr);    /* it may have drained in between */
    }
    return taken;
}

void char_write_all(CharFront *f, const void *buf, size_t len)
{
    if (f->chr) {
        chardev_output(f->chr, buf, len, true);
    }
}

void char_printf(CharFront *f, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    char_write_all(f, text, strlen(text));
}

void char_accept(CharFront *f)
{
    if (f->chr) {
        chardev_post_update(f->chr);
    }
}

bool char_is_open(const CharFront *f)
{
    return f->chr && __atomic_load_n(&f->chr->open, __ATOMIC_ACQUIRE);
}

int char_take_fd(CharFront *f)
{
    return f->chr && f->chr->type->take_fd ? f->chr->type->take_fd(f->chr) : -1;
}

void char_hang_up(CharFront *f)
{
    if (f->chr && f->chr->type->hang_up) {
        f->chr->type->hang_up(f->chr);
    }
}

/* ---- the back end's side ---- */

size_t chardev_can_read(Chardev *c)
{
    return c->front ? c->front->ops->can_read(c->front->opaque) : 0;
}

void chardev_input(Chardev *c, const uint8_t *buf, size_t len)
{
    trace_char_input(c->id, len);
    if (c->front && len) {
        c->front->ops->read(c->front->opaque, buf, len);
    }
}

void chardev_event(Chardev *c, CharEvent ev)
{
    if (c->front && c->front->ops->event) {
        c->front->ops->event(c->front->opaque, ev);
    }
}

void chardev_set_open(Chardev *c, bool open)
{
    bool was;

    io_lock(&c->lock);
    was = c->open;
    __atomic_store_n(&c->open, open, __ATOMIC_RELEASE);
    if (!open) {
        g_byte_array_set_size(c->out, 0);
    }
    io_unlock(&c->lock);
    if (was != open) {
        trace_char_open(c->id, open, c->filename);
        chardev_event(c, open ? CHAR_OPENED : CHAR_CLOSED);
        chardev_post_update(c);         /* a front that was told "no room" hears of it now */
    }
}

bool chardev_has_output(Chardev *c)
{
    bool has;

    io_lock(&c->lock);
    has = c->out->len;
    io_unlock(&c->lock);
    return has;
}

void chardev_drain(Chardev *c)
{
    CharFront *f;
    ssize_t n;
    bool room;

    io_lock(&c->lock);
    if (c->out->len && c->open) {
        n = c->type->write(c, c->out->data, c->out->len);
        if (n) {
            g_byte_array_remove_range(c->out, 0, n < 0 ? c->out->len : (guint)n);
        }
    }
    room = c->out->len < CHAR_QUEUE / 2;
    io_unlock(&c->lock);
    f = c->front;
    if (room && f && __atomic_exchange_n(&f->short_write, false, __ATOMIC_RELAXED) && f->ops->writable) {
        f->ops->writable(f->opaque);
    }
}
