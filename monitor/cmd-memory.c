/* SPDX-License-Identifier: MIT */
/* x, xp, print: memory and numbers in a format /COUNT FORMAT SIZE. */
#include "monitor/command.h"

#include <string.h>

#include "system/debug-mem.h"
#include "util/bswap.h"

#define COMMAND(row, ...) static const MonCommand row = { __VA_ARGS__ }; MON_COMMAND(row)

enum { COUNT_MAX = 65536 };

typedef struct Format { unsigned count, size; char letter; } Format;

static bool format_parse(const char *text, Format *f, Error **errp)
{
    static const char sizes[] = "bhwg";
    const char *p = text ? text + 1 : "";
    char *end;

    if (g_ascii_isdigit(*p)) {
        uint64_t n = g_ascii_strtoull(p, &end, 10);

        if (n > COUNT_MAX) {
            return error_set(errp, "count %" PRIu64 " is above %d", n, COUNT_MAX);
        }
        f->count = (unsigned)n;
        p = end;
    }
    for (; *p; p++) {
        const char *s = strchr(sizes, *p);

        if (s) {
            f->size = 1u << (s - sizes);
        } else if (strchr("oduxic", *p)) {
            f->letter = *p;
        } else {
            return error_set(errp, "invalid char in format: '%c'", *p);
        }
    }
    return true;
}

static void print_value(GString *out, const Format *f, uint64_t v)
{
    unsigned bits = f->size * 8;
    int64_t s = (int64_t)(v << (64 - bits)) >> (64 - bits);

    v &= ~0ull >> (64 - bits);
    switch (f->letter) {
    case 'o':
        g_string_append_printf(out, "0%0*" PRIo64, (int)(bits + 2) / 3, v);
        break;
    case 'd':
        g_string_append_printf(out, "%" PRId64, s);
        break;
    case 'u':
        g_string_append_printf(out, "%" PRIu64, v);
        break;
    case 'c':
        g_string_append_printf(out, v >= ' ' && v < 0x7f ? "'%c'" : "'\\x%02x'", (int)(v & 0xff));
        break;
    default:
        g_string_append_printf(out, "0x%0*" PRIx64, (int)f->size * 2, v);
    }
}

static Cpu *chosen(MonCall *call)
{
    return call->machine && *call->cpu < machine_ncpus(call->machine) ? machine_cpu(call->machine, *call->cpu) : NULL;
}

static bool evaluate(MonCall *call, const char *key, int64_t *v, Error **errp)
{
    const char *text = json_get_string(call->args, key);
    bool ok;

    text = text ? text : "";
    vcpu_pause_all(call->machine);
    ok = mon_expr(chosen(call), &text, v, errp);
    vcpu_resume_all(call->machine);
    text += strspn(text, " \t");
    return ok && (!*text || error_set(errp, "invalid char '%c' in expression", *text));
}

static bool print_run(MonCall *call, Error **errp)
{
    Format f = { 1, 8, 'd' };
    int64_t v;

    if (!format_parse(json_get_string(call->args, "format"), &f, errp) || !evaluate(call, "expr", &v, errp)) {
        return false;
    }
    if (f.letter == 'x') {
        g_string_append_printf(call->out, "%#" PRIx64 "\n", (uint64_t)v);
    } else if (f.letter == 'o') {
        g_string_append_printf(call->out, "%#" PRIo64 "\n", (uint64_t)v);
    } else {
        f.size = f.letter == 'c' ? 1 : 8;
        print_value(call->out, &f, (uint64_t)v);
        g_string_append_c(call->out, '\n');
    }
    return true;
}

/* Bytes from the chosen address space; what could not be read is the end. */
static uint64_t fetch(MonCall *call, bool physical, uint64_t addr, uint8_t *buf, uint64_t len)
{
    if (physical) {
        return debug_phys_read(call->machine->as, addr, buf, len) ? len : 0;
    }
    return chosen(call) ? debug_mem_read(chosen(call), addr, buf, len) : 0;
}

static void dump_code(MonCall *call, const Format *f, bool physical, uint64_t addr)
{
    Cpu *cpu = chosen(call);

    for (unsigned i = 0; i < f->count; i++) {
        uint8_t code[16];
        char text[160];
        uint64_t got = fetch(call, physical, addr, code, 4);
        int len = got && cpu && cpu->ops->disassemble ? cpu->ops->disassemble(cpu, code, got, addr, text, sizeof(text)) : 0;

        if (len <= 0) {
            g_string_append_printf(call->out, got ? "0x%08" PRIx64 ":  (no disassembler)\n" : "0x%08" PRIx64 ":  Cannot access memory\n", addr);
            return;
        }
        g_string_append_printf(call->out, "0x%08" PRIx64 ":  ", addr);
        for (int b = len - 1; b >= 0; b--) {
            g_string_append_printf(call->out, "%02x", code[b]);
        }
        g_string_append_printf(call->out, "  %s\n", text);
        addr += len;
    }
}

static void dump_values(MonCall *call, const Format *f, bool physical, uint64_t addr)
{
    unsigned per_line = f->letter == 'c' || f->size == 1 ? 8 : 16 / f->size;

    for (unsigned i = 0; i < f->count; i++) {
        uint8_t buf[8];

        if (i % per_line == 0) {
            g_string_append_printf(call->out, "%s%016" PRIx64 ":", i ? "\n" : "", addr);
        }
        if (fetch(call, physical, addr, buf, f->size) < f->size) {
            g_string_append(call->out, " Cannot access memory");
            break;
        }
        g_string_append_c(call->out, ' ');
        print_value(call->out, f, ldn_le_p(buf, f->size));
        addr += f->size;
    }
    g_string_append_c(call->out, '\n');
}

static bool dump(MonCall *call, bool physical, Error **errp)
{
    Format f = { 1, 4, 'x' };
    int64_t addr;

    if (!format_parse(json_get_string(call->args, "format"), &f, errp) || !evaluate(call, "addr", &addr, errp)) {
        return false;
    }
    vcpu_pause_all(call->machine);
    if (f.letter == 'i') {
        dump_code(call, &f, physical, (uint64_t)addr);
    } else {
        dump_values(call, &f, physical, (uint64_t)addr);
    }
    vcpu_resume_all(call->machine);
    return true;
}

static bool x_run(MonCall *call, Error **errp)
{
    return dump(call, false, errp);
}

static bool xp_run(MonCall *call, Error **errp)
{
    return dump(call, true, errp);
}

static const OptKey x_keys[] = { { "format", OPT_STRING }, { "addr", OPT_STRING }, {} };
COMMAND(x_command, .name = "x", .params = "/fmt addr", .help = "virtual memory dump starting at 'addr'", .keys = x_keys, .rest = true, .run = x_run);
COMMAND(xp_command, .name = "xp", .params = "/fmt addr", .help = "physical memory dump starting at 'addr'", .keys = x_keys, .rest = true, .run = xp_run);
static const OptKey print_keys[] = { { "format", OPT_STRING }, { "expr", OPT_STRING }, {} };
COMMAND(print_command, .name = "print", .alias = "p", .params = "/fmt expr", .help = "print expression value (use $reg for CPU register access)",
        .keys = print_keys, .rest = true, .run = print_run);
