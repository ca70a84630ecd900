/* SPDX-License-Identifier: MIT */
#include "monitor/qmp-front.h"

struct QmpFront {
    CharFront front;
    QmpHost host;                       /* the caller's */
    Qmp *qmp;
};

static void put(void *opaque, const char *text, size_t len)
{
    QmpFront *f = opaque;

    char_write_all(&f->front, text, len);
}

static void prepare(void *opaque, MonCall *call)
{
    QmpFront *f = opaque;

    if (f->host.prepare) {
        f->host.prepare(f->host.opaque, call);
    }
}

static int take_fd(void *opaque)
{
    return char_take_fd(&((QmpFront *)opaque)->front);
}

static size_t can_read(void *opaque)
{
    return 4096;
}

static void take_input(void *opaque, const uint8_t *buf, size_t len)
{
    qmp_feed(((QmpFront *)opaque)->qmp, buf, len);
}

static void event(void *opaque, CharEvent ev)
{
    QmpFront *f = opaque;

    if (ev == CHAR_OPENED) {
        qmp_connected(f->qmp);
    } else if (ev == CHAR_CLOSED) {
        qmp_disconnected(f->qmp);
    }
}

static const CharOps front_ops = { .can_read = can_read, .read = take_input, .event = event, .background = true };

QmpFront *qmp_front_new(Chardev *c, const QmpHost *host, Error **errp)
{
    QmpFront *f = g_new0(QmpFront, 1);
    QmpHost ours = *host;

    f->host = *host;
    ours.write = put;
    ours.prepare = prepare;
    ours.take_fd = take_fd;
    ours.opaque = f;
    f->qmp = qmp_new(&ours);
    if (!char_attach(&f->front, c, &front_ops, f, errp)) {
        qmp_free(f->qmp);
        g_free(f);
        return NULL;
    }
    return f;
}

void qmp_front_free(QmpFront *f)
{
    qmp_free(f->qmp);
    char_detach(&f->front);
    g_free(f);
}
