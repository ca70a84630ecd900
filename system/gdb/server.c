/* SPDX-License-Identifier: MIT */
#include "system/gdb/gdb-priv.h"

#include <errno.h>
#include <string.h>

#define PARTING_NS 2000000000ll

void gdb_reply_len(GdbServer *g, const char *text, size_t len)
{
    g_string_truncate(g->last, 0);
    gdb_packet_put(g->last, text, len);
    char_write_all(&g->front, g->last->str, g->last->len);
}

void gdb_reply(GdbServer *g, const char *text)
{
    gdb_reply_len(g, text, strlen(text));
}

void gdb_reply_error(GdbServer *g, int err)
{
    char text[8];

    g_snprintf(text, sizeof(text), "E%02d", err);
    gdb_reply(g, text);
}

Cpu *gdb_cpu(GdbServer *g, unsigned i)
{
    return i < machine_ncpus(g->machine) ? machine_cpu(g->machine, i) : NULL;
}

void gdb_put_thread(GdbServer *g, GString *out, unsigned cpu)
{
    g_string_append_printf(out, g->multiprocess ? "p01.%02x" : "%02x", cpu + 1);
}

bool gdb_parse_hex(const char **p, uint64_t *v)
{
    char *end;

    if (!g_ascii_isxdigit(**p)) {
        return false;
    }
    *v = g_ascii_strtoull(*p, &end, 16);
    *p = end;
    return true;
}

bool gdb_parse_thread(const char **p, int *cpu)
{
    uint64_t v;

    if (**p == 'p') {                       /* process: 1, 0 (any) or -1 (all) */
        ++*p;
        if (g_str_has_prefix(*p, "-1")) {
            *p += 2;
        } else if (!gdb_parse_hex(p, &v) || v > 1) {
            return false;
        }
        if (**p != '.') {
            *cpu = -1;
            return true;
        }
        ++*p;
    }
    if (g_str_has_prefix(*p, "-1")) {
        *p += 2;
        *cpu = -1;
        return true;
    }
    if (!gdb_parse_hex(p, &v) || v > INT32_MAX) {
        return false;
    }
    *cpu = v ? (int)v - 1 : 0;              /* 0: any */
    return true;
}

void gdb_stop_reply(GdbServer *g, int signal)
{
    g_autoptr(GString) out = g_string_new(NULL);
    Cpu *cpu = gdb_cpu(g, g->c_cpu);
    int kind = 0;

    g_string_append_printf(out, "T%02xthread:", signal);
    gdb_put_thread(g, out, g->c_cpu);
    g_string_append_c(out, ';');
    if (cpu && cpu->exit_code == CPU_STOP_WATCHPOINT && g->machine->accel->watch_hit) {
        vaddr addr = g->machine->accel->watch_hit(cpu, &kind);

        g_string_append_printf(out, "%swatch:%016" PRIx64 ";", kind == 3 ? "r" : kind == 4 ? "a" : "", (uint64_t)addr);
    }
    gdb_reply(g, out->str);
}

/* ---- packets ---- */

static void packet(GdbServer *g)
{
    const char *p = g->in.data;

    if (!gdb_query_packet(g, p) && !gdb_state_packet(g, p) && !gdb_resume_packet(g, p)) {
        gdb_reply(g, "");
    }
}

static void interrupt(GdbServer *g)
{
    if (machine_is_running(g->machine)) {
        machine_pause(g->machine, RUN_PAUSED);          /* the stop is answered in gdb_machine_event */
    } else if (g->running) {
        g->running = false;
        gdb_stop_reply(g, 2);
    }
}

static void one_byte(GdbServer *g, uint8_t b)
{
    switch (gdb_packet_byte(&g->in, b)) {
    case GDB_PACKET:
        char_write_all(&g->front, "+", 1);
        packet(g);
        break;
    case GDB_BAD:
        char_write_all(&g->front, "-", 1);
        break;
    case GDB_NAK:
        char_write_all(&g->front, g->last->str, g->last->len);
        break;
    case GDB_INTERRUPT:
        interrupt(g);
        break;
    case GDB_MORE:
    case GDB_ACK:
        break;
    }
}

static size_t can_read(void *opaque)
{
    GdbServer *g = opaque;

    return g->system->ending && !g->parting ? 0 : 4096;
}

static void take_input(void *opaque, const uint8_t *buf, size_t len)
{
    GdbServer *g = opaque;

    if (g->parting) {
        g->parted = g->parted || memchr(buf, '+', len);
        return;
    }
    for (size_t i = 0; i < len && !g->system->ending; i++) {
        one_byte(g, buf[i]);
    }
}

static void client_comes(GdbServer *g)
{
    memset(&g->in, 0, sizeof(g->in));
    g->client = true;
    g->multiprocess = g->physical = g->running = false;
    g->step_flags = CPU_STEP | CPU_STEP_NO_IRQ | CPU_STEP_NO_TIMER;
    g->g_cpu = g->c_cpu = 0;
    machine_pause(g->machine, RUN_PAUSED);
}

static void client_leaves(GdbServer *g)
{
    g->client = g->running = false;
    gdb_clear_stops(g);
    if (g->machine->accel && g->machine->accel->break_clear) {
        vcpu_pause_all(g->machine);
        g->machine->accel->break_clear(g->machine);
        vcpu_resume_all(g->machine);
    }
}

static void event(void *opaque, CharEvent ev)
{
    GdbServer *g = opaque;

    if (g->parting) {
        g->parted = g->parted || ev == CHAR_CLOSED;
    } else if (ev == CHAR_OPENED) {
        client_comes(g);
    } else if (ev == CHAR_CLOSED && g->client) {
        client_leaves(g);
    }
}

static const CharOps gdb_ops = { .can_read = can_read, .read = take_input, .event = event };

void gdb_machine_event(GdbServer *g, const MachineEvent *ev)
{
    if (!g || !g->client || !g->running) {
        return;
    }
    if (ev->kind == EVENT_STOP && machine_state(g->machine) != RUN_DEBUG && machine_state(g->machine) != RUN_SHUTDOWN) {
        g->running = false;
        gdb_clear_stops(g);
        gdb_stop_reply(g, 2);
    } else if (ev->kind == EVENT_DEBUG) {
        g->running = false;
        g->c_cpu = g->g_cpu = ev->cpu ? (unsigned)ev->cpu->index : 0;
        gdb_clear_stops(g);
        gdb_stop_reply(g, 5);
    }
}

/* ---- life ---- */

/* tcp:...: we are the server and nobody is waited for. */
static char *device_text(const char *device)
{
    return g_str_has_prefix(device, "tcp:") && !strstr(device, "server") ? g_strdup_printf("%s,server=on,wait=off", device) : g_strdup(device);
}

bool gdb_listen(System *s, const char *device, Error **errp)
{
    g_autofree char *text = NULL;
    GdbServer *g;
    Chardev *c;

    gdb_close(s);
    if (!device || !strcmp(device, "none")) {
        return true;
    }
    text = device_text(device);
    c = chardev_new_text(s->session, "gdb", text, NULL, errp);
    if (!c) {
        return false;
    }
    g = g_new0(GdbServer, 1);
    g->system = s;
    g->machine = s->machine;
    g->own = g_str_has_prefix(device, "chardev:") ? NULL : c;
    g->last = g_string_new(NULL);
    s->gdb = g;
    return char_attach(&g->front, c, &gdb_ops, g, errp);
}

static bool open_one(const CmdArg *a, void *data, Error **errp)
{
    System *s = data;

    if (s->gdb) {
        return error_set(errp, "one debugger at a time is served");
    }
    return gdb_listen(s, a->text, errp);
}

bool gdb_open_all(System *s, Error **errp)
{
    return cmdline_each(s->cl, "gdb", open_one, s, errp);
}

static void waited_enough(void *opaque)
{
    ((GdbServer *)opaque)->parted = true;
}

/*
 * The program ends.  A client that waits for a stop acknowledges the word of it; were the connection gone by then,
 * it would report a broken pipe in place of the exit status.  One that does not answer holds nobody up for long.
 */
static void part(GdbServer *g)
{
    LoopTimer limit;
    char text[8];

    g_snprintf(text, sizeof(text), "W%02x", g->system->exit_code & 0xff);
    g->parting = true;
    gdb_reply(g, text);
    if (!g->running) {
        return;
    }
    char_accept(&g->front);
    loop_timer_init(&limit, g->system->loop, waited_enough, g);
    loop_timer_at(&limit, loop_now() + PARTING_NS);
    loop_run_until(g->system->loop, &g->parted);
    loop_timer_cancel(&limit);
}

void gdb_close(System *s)
{
    GdbServer *g = s->gdb;

    if (!g) {
        return;
    }
    if (g->client && s->ending) {
        part(g);
    } else if (g->client) {
        client_leaves(g);
    }
    char_detach(&g->front);
    if (g->own) {
        chardev_remove(s->session, "gdb", NULL);
    }
    g_string_free(g->last, TRUE);
    g_free(g);
    s->gdb = NULL;
}
