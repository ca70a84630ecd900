/* SPDX-License-Identifier: MIT */
#include "monitor/monitor.h"

#include <string.h>

#include "monitor/command.h"
#include "monitor/line.h"

struct Monitor {
    System *system;
    CharFront front;
    LineEditor line;
    unsigned cpu;               /* the one that info registers and x look at */
    bool greeted, focused;
    bool mux;
};

static void flush(Monitor *m)
{
    if (m->line.out->len) {
        char_write_all(&m->front, m->line.out->str, m->line.out->len);
        g_string_truncate(m->line.out, 0);
    }
}

/* Lines end CR LF on the wire, whatever the transport. */
static void put_text(Monitor *m, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\n') {
            g_string_append_c(m->line.out, '\r');
        }
        g_string_append_c(m->line.out, *p);
    }
}

static void greet(Monitor *m)
{
    g_string_append_printf(m->line.out, "QEMU %s monitor - type 'help' for more information\r\n", version_number());
    m->greeted = true;
    line_prompt(&m->line);
    flush(m);
}

static void got_line(void *opaque, const char *text)
{
    Monitor *m = opaque;
    g_autofree char *out = NULL;

    flush(m);
    out = mon_run_line(m->system, &m->cpu, text);
    put_text(m, out);
    if (!m->system->ending) {
        line_prompt(&m->line);
    }
}

static char **complete(void *opaque, const char *text)
{
    return mon_complete(((Monitor *)opaque)->system, text);
}

static size_t can_read(void *opaque)
{
    Monitor *m = opaque;

    return m->system->ending ? 0 : 256;
}

static void take_input(void *opaque, const uint8_t *buf, size_t len)
{
    Monitor *m = opaque;

    for (size_t i = 0; i < len && !m->system->ending; i++) {
        line_key(&m->line, buf[i]);
    }
    flush(m);
}

static void event(void *opaque, CharEvent ev)
{
    Monitor *m = opaque;

    switch (ev) {
    case CHAR_OPENED:
        m->greeted = false;
        g_string_truncate(m->line.buf, 0);
        if (!m->mux || m->focused) {
            greet(m);
        }
        break;
    case CHAR_FOCUS_IN:
        m->focused = true;
        if (!char_is_open(&m->front)) {
            break;
        }
        if (!m->greeted) {
            greet(m);
        } else {
            line_prompt(&m->line);
            flush(m);
        }
        break;
    case CHAR_FOCUS_OUT:
        m->focused = false;
        if (m->greeted) {
            char_write_all(&m->front, "\r\n", 2);
        }
        break;
    case CHAR_CLOSED:
    case CHAR_BREAK:
        break;
    }
}

static const CharOps monitor_ops = { .can_read = can_read, .read = take_input, .event = event, .background = true };

Monitor *monitor_new(System *s, Chardev *c, Error **errp)
{
    Monitor *m = g_new0(Monitor, 1);

    m->system = s;
    m->mux = chardev_is_mux(c);
    m->line.prompt = "(qemu) ";
    m->line.line = got_line;
    m->line.complete = complete;
    m->line.opaque = m;
    line_init(&m->line);
    if (!char_attach(&m->front, c, &monitor_ops, m, errp)) {
        line_fini(&m->line);
        g_free(m);
        return NULL;
    }
    return m;
}

void monitor_free(Monitor *m)
{
    char_detach(&m->front);
    line_fini(&m->line);
    g_free(m);
}

const char *monitor_chardev(const Monitor *m)
{
    return chardev_id(m->front.chr);
}
