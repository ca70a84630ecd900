/* SPDX-License-Identifier: MIT */
#include "util/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/suggest.h"
#include "util/trace.h"

uint32_t log_mask;
static FILE *log_file;              /* NULL: stderr */

static const struct { const char *name, *other; uint32_t bit; const char *help; } items[] = {
    { "guest", "guest_errors", LOG_GUEST, "what the guest does against the manual" },
    { "unimp", NULL, LOG_UNIMP, "what the guest touches and we do not model" },
    { "int", NULL, LOG_INT, "interrupts and exceptions" },
    { "mmu", NULL, LOG_MMU, "address translation" },
    { "in", "in_asm", LOG_IN, "guest instructions of each block translated" },
    { "ir", "op", LOG_IR, "intermediate form of each block" },
    { "opt", "op_opt", LOG_OPT, "intermediate form behind the passes" },
    { "out", "out_asm", LOG_OUT, "host code of each block" },
    { "cpu", NULL, LOG_CPU, "registers when a block is entered" },
    { "reset", "cpu_reset", LOG_RESET, "registers when a processor is reset" },
    { "exec", NULL, LOG_EXEC, "blocks entered through the dispatcher" },
};

static bool item_find(const char *name, uint32_t *bit)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(items); i++) {
        if (!strcmp(name, items[i].name) || !g_strcmp0(name, items[i].other)) {
            *bit = items[i].bit;
            return true;
        }
    }
    return false;
}

static bool unknown(const char *name, Error **errp)
{
    Suggest *s = suggest_new(name);

    for (unsigned i = 0; i < G_N_ELEMENTS(items); i++) {
        suggest_add(s, items[i].name);
        if (items[i].other) {
            suggest_add(s, items[i].other);
        }
    }
    error_set(errp, "unknown log category '%s'", name);
    return suggest_hint(s, "-d help", errp);
}

bool log_set(const char *names, Error **errp)
{
    g_auto(GStrv) parts = g_strsplit(names, ",", -1);
    uint32_t mask = 0, bit;

    for (unsigned i = 0; parts[i]; i++) {
        if (g_str_has_prefix(parts[i], "trace:")) {
            continue;                               /* below, once all names are known to be good */
        } else if (!strcmp(parts[i], "all")) {
            mask |= ~(uint32_t)LOG_TRACE;
        } else if (!strcmp(parts[i], "none")) {
            mask = 0;
        } else if (!item_find(parts[i], &bit)) {
            return unknown(parts[i], errp);
        } else {
            mask |= bit;
        }
    }
    for (unsigned i = 0; parts[i]; i++) {
        if (g_str_has_prefix(parts[i], "trace:") && !trace_arm(parts[i] + 6, errp)) {
            return false;
        }
    }
    log_mask = mask | (log_mask & LOG_TRACE);
    return true;
}

char *log_help(void)
{
    GString *out = g_string_new("Log items (comma separated):\n");

    for (unsigned i = 0; i < G_N_ELEMENTS(items); i++) {
        g_string_append_printf(out, "%-15s %s%s%s%s\n", items[i].other ? items[i].other : items[i].name, items[i].help,
                               items[i].other ? " (also: " : "", items[i].other ? items[i].name : "", items[i].other ? ")" : "");
    }
    g_string_append(out, "trace:PATTERN   enable trace events\n\nUse \"-d trace:help\" to get a list of trace events.\n\n");
    return g_string_free(out, FALSE);
}

bool log_open(const char *path, Error **errp)
{
    g_auto(GStrv) parts = path ? g_strsplit(path, "%d", 2) : NULL;
    g_autofree char *name = NULL;
    FILE *f = NULL;

    if (path) {
        name = parts[1] ? g_strdup_printf("%s%d%s", parts[0], (int)getpid(), parts[1]) : g_strdup(path);
        f = fopen(name, "we");
        if (!f) {
            return error_set_errno(errp, errno, "Error opening logfile %s", name);
        }
        setvbuf(f, NULL, _IOLBF, 0);
    }
    if (log_file) {
        fclose(log_file);
    }
    log_file = f;
    return true;
}

void log_print(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    FILE *f = log_file ? log_file : stderr;
    va_list ap;
    size_t len;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    len = strlen(text);
    flockfile(f);
    fputs(text, f);
    if (!len || text[len - 1] != '\n') {
        fputc('\n', f);
    }
    funlockfile(f);
}

bool log_rate_ok(LogRate *rate)
{
    int64_t now = g_get_monotonic_time();

    if (now - rate->window_us > G_USEC_PER_SEC) {
        rate->window_us = now;
        rate->count = 0;
    }
    if (++rate->count == 20) {
        log_print("(further lines of this kind are left out for a second)");
    }
    return rate->count < 20;
}
