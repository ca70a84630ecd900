/* SPDX-License-Identifier: MIT */
#include "monitor/monitor.h"

#include <string.h>

#include "io/fiber.h"
#include "monitor/command.h"
#include "monitor/line.h"

struct Monitor {
    System *system;
    CharFront front;
    LineEditor line;
    unsigned cpu;               /* the one that info registers and x look at */
    bool greeted, focused;
    bool mux;
    bool busy;                  /* a command waits; what is typed meanwhile is kept */
    GString *typed;
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

static void run_line(Monitor *m, const char *text)
{
    g_autofree char *out = mon_run_line(m->system, &m->cpu, text);

    put_text(m, out);
    if (!m->system->ending) {
        line_prompt(&m->line);
    }
}

static void take_typed(Monitor *m);

typedef struct Waiting { Monitor *m; char *text; } Waiting;

static void run_waiting(void *opaque)
{
    Waiting *w = opaque;
    Monitor *m = w->m;

    run_line(m, w->text);
    m->busy = false;
    g_free(w->text);
    g_free(w);
    flush(m);
    take_typed(m);
}

/* From the loop: the editor is done with the line by then. */
static void start_waiting(void *opaque)
{
    fiber_start(run_waiting, opaque);
}

static void got_line(void *opaque, const char *text)
{
    Monitor *m = opaque;
    Waiting *w;

    flush(m);
    if (!mon_line_waits(text)) {
        run_line(m, text);
        return;
    }
    w = g_new(Waiting, 1);
    *w = (Waiting){ m, g_strdup(text) };
    m->busy = true;
    loop_post(m->system->loop, start_waiting, w);
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

static void take_typed(Monitor *m)
{
    size_t i = 0;

    while (i < m->typed->len && !m->busy && !m->system->ending) {
        line_key(&m->line, (uint8_t)m->typed->str[i++]);
    }
    g_string_erase(m->typed, 0, i);
    flush(m);
}

static void take_input(void *opaque, const uint8_t *buf, size_t len)
{
    Monitor *m = opaque;

    g_string_append_len(m->typed, (const char *)buf, len);
    take_typed(m);
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
    m->typed = g_string_new(NULL);
    if (!char_attach(&m->front, c, &monitor_ops, m, errp)) {
        line_fini(&m->line);
        g_string_free(m->typed, TRUE);
        g_free(m);
        return NULL;
    }
    return m;
}

void monitor_free(Monitor *m)
{
    while (m->busy) {
        loop_step(m->system->loop, true);
    }
    char_detach(&m->front);
    line_fini(&m->line);
    g_string_free(m->typed, TRUE);
    g_free(m);
}

const char *monitor_chardev(const Monitor *m)
{
    return chardev_id(m->front.chr);
}
