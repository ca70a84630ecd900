/* SPDX-License-Identifier: MIT */
/* Packets that ask and set: q, Q, H, T, ?, v questions. */
#include "system/gdb/gdb-priv.h"

#include <errno.h>
#include <string.h>

#include "monitor/command.h"

typedef void QueryFn(GdbServer *g, const char *rest);

static void supported(GdbServer *g, const char *rest)
{
    g->multiprocess = strstr(rest, "multiprocess+");
    gdb_reply(g, "PacketSize=1000;qXfer:features:read+;vContSupported+;multiprocess+");
}

static void thread_list(GdbServer *g)
{
    g_autoptr(GString) out = g_string_new("m");

    if (!gdb_cpu(g, g->next_thread)) {
        gdb_reply(g, "l");
        return;
    }
    gdb_put_thread(g, out, g->next_thread++);
    gdb_reply(g, out->str);
}

static void first_threads(GdbServer *g, const char *rest)
{
    g->next_thread = 0;
    thread_list(g);
}

static void more_threads(GdbServer *g, const char *rest)
{
    thread_list(g);
}

static void extra_info(GdbServer *g, const char *rest)
{
    g_autofree char *text = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    Cpu *cpu;
    int i;

    if (!gdb_parse_thread(&rest, &i) || i < 0 || !(cpu = gdb_cpu(g, (unsigned)i))) {
        gdb_reply_error(g, EINVAL);
        return;
    }
    text = g_strdup_printf("CPU#%d [%s]", i, cpu->halted || cpu->power_off ? "halted " : "running");
    gdb_hex_encode(out, text, strlen(text));
    gdb_reply(g, out->str);
}

/* features:read:ANNEX:OFFSET,LENGTH */
static void features(GdbServer *g, const char *rest)
{
    g_auto(GStrv) parts = g_strsplit(rest, ":", 2);
    Cpu *cpu = gdb_cpu(g, g->g_cpu);
    const char *xml = parts[0] && parts[1] && cpu && cpu->ops->gdb_xml ? cpu->ops->gdb_xml(cpu, parts[0]) : NULL, *at = parts[0] ? parts[1] : NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    uint64_t offset, len, size;

    if (!xml || !gdb_parse_hex(&at, &offset) || *at++ != ',' || !gdb_parse_hex(&at, &len)) {
        gdb_reply(g, "E00");
        return;
    }
    size = strlen(xml);
    offset = MIN(offset, size);
    len = MIN(len, GDB_PACKET_MAX / 2 - 3);             /* escapes may double it */
    len = MIN(len, size - offset);
    g_string_append_c(out, offset + len < size ? 'm' : 'l');
    g_string_append_len(out, xml + offset, len);
    gdb_reply_len(g, out->str, out->len);
}

static void monitor_command(GdbServer *g, const char *rest)
{
    g_autofree char *line = g_malloc0(strlen(rest) / 2 + 1), *text = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    unsigned cpu = g->g_cpu;

    gdb_hex_decode(rest, (uint8_t *)line, strlen(rest) / 2);
    text = mon_run_line(g->system, &cpu, line);
    for (size_t at = 0, len = strlen(text); at < len; at += 1024) {
        g_string_assign(out, "O");
        gdb_hex_encode(out, text + at, MIN(len - at, 1024));
        gdb_reply(g, out->str);
    }
    gdb_reply(g, "OK");
}

static void current_thread(GdbServer *g, const char *rest)
{
    g_autoptr(GString) out = g_string_new("QC");

    gdb_put_thread(g, out, g->c_cpu);
    gdb_reply(g, out->str);
}

static void attached(GdbServer *g, const char *rest)
{
    gdb_reply(g, "1");
}

static void our_supported(GdbServer *g, const char *rest)
{
    gdb_reply(g, "sstepbits;sstep;PhyMemMode");
}

static void step_bits(GdbServer *g, const char *rest)
{
    gdb_reply(g, "ENABLE=1,NOIRQ=2,NOTIMER=4");
}

static void step_get(GdbServer *g, const char *rest)
{
    char text[16];

    g_snprintf(text, sizeof(text), "0x%x", g->step_flags);
    gdb_reply(g, text);
}

static void step_set(GdbServer *g, const char *rest)
{
    uint64_t v;

    rest += g_str_has_prefix(rest, "0x") ? 2 : 0;
    if (!gdb_parse_hex(&rest, &v) || v & ~7ull) {
        gdb_reply_error(g, EINVAL);
        return;
    }
    g->step_flags = (unsigned)v | CPU_STEP;
    gdb_reply(g, "OK");
}

static void physical_get(GdbServer *g, const char *rest)
{
    gdb_reply(g, g->physical ? "1" : "0");
}

static void physical_set(GdbServer *g, const char *rest)
{
    g->physical = *rest == '1';
    gdb_reply(g, "OK");
}

static void resume_actions(GdbServer *g, const char *rest)
{
    gdb_reply(g, "vCont;c;C;s;S");
}

static void why_stopped(GdbServer *g, const char *rest)
{
    gdb_stop_reply(g, 5);
}

/* Hg, Hc */
static void set_thread(GdbServer *g, const char *rest)
{
    unsigned *which = *rest == 'g' ? &g->g_cpu : &g->c_cpu;
    bool known = *rest == 'g' || *rest == 'c';
    int cpu;

    rest++;
    if (!known || !gdb_parse_thread(&rest, &cpu) || (cpu >= 0 && !gdb_cpu(g, (unsigned)cpu))) {
        gdb_reply_error(g, EINVAL);
        return;
    }
    if (cpu >= 0) {
        *which = (unsigned)cpu;
    }
    gdb_reply(g, "OK");
}

static void thread_alive(GdbServer *g, const char *rest)
{
    int cpu;

    if (gdb_parse_thread(&rest, &cpu) && cpu >= 0 && gdb_cpu(g, (unsigned)cpu)) {
        gdb_reply(g, "OK");
    } else {
        gdb_reply_error(g, EINVAL);
    }
}

static const struct { const char *name; QueryFn *fn; bool whole; } queries[] = {
    { "qSupported", supported }, { "qfThreadInfo", first_threads, true }, { "qsThreadInfo", more_threads, true },
    { "qThreadExtraInfo,", extra_info }, { "qXfer:features:read:", features }, { "qRcmd,", monitor_command }, { "qC", current_thread, true },
    { "qAttached", attached }, { "qqemu.Supported", our_supported, true }, { "qqemu.sstepbits", step_bits, true },
    { "qqemu.sstep", step_get, true }, { "Qqemu.sstep=", step_set }, { "qqemu.PhyMemMode", physical_get, true },
    { "Qqemu.PhyMemMode:", physical_set }, { "vCont?", resume_actions, true }, { "vAttach;", why_stopped }, { "?", why_stopped, true },
    { "H", set_thread }, { "T", thread_alive },
};

bool gdb_query_packet(GdbServer *g, const char *p)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(queries); i++) {
        size_t len = strlen(queries[i].name);

        if (!strncmp(p, queries[i].name, len) && (!queries[i].whole || !p[len])) {
            queries[i].fn(g, p + len);
            return true;
        }
    }
    return false;
}
