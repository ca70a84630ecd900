/* SPDX-License-Identifier: MIT */
/* Finding a command for a line, its arguments by position, running it. */
#include "monitor/command.h"

#include <stdlib.h>
#include <string.h>

#include "io/fiber.h"

ROWS_DECLARE(mon_commands, MonCommand);

const MonCommand *mon_command_find(const char *name)
{
    ROWS_FOREACH(mon_commands, MonCommand, c) {
        if (c->name && (!strcmp(c->name, name) || options_one_of(c->alias, name, false))) {
            return c;
        }
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const MonCommand *const *)a)->name, (*(const MonCommand *const *)b)->name);
}

const MonCommand **mon_commands(bool info)
{
    const MonCommand **list = g_new0(const MonCommand *, ROWS_COUNT(mon_commands) + 1);
    unsigned n = 0;

    ROWS_FOREACH(mon_commands, MonCommand, c) {
        if (c->name && g_str_has_prefix(c->name, "info ") == info) {
            list[n++] = c;
        }
    }
    qsort(list, n, sizeof(*list), by_name);
    return list;
}

/* ---- arguments ---- */

/* The next word, quotes and all; *p moves behind it. */
static char *next_word(const char **p, Error **errp)
{
    GString *word = g_string_new(NULL);
    const char *s = *p + strspn(*p, " \t");

    if (*s != '"') {
        size_t len = strcspn(s, " \t");

        g_string_append_len(word, s, len);
        *p = s + len;
        return g_string_free(word, FALSE);
    }
    for (s++; *s && *s != '"'; s++) {
        if (*s == '\\' && s[1]) {
            s++;
            g_string_append_c(word, *s == 'n' ? '\n' : *s == 'r' ? '\r' : *s);
        } else {
            g_string_append_c(word, *s);
        }
    }
    if (!*s) {
        g_string_free(word, TRUE);
        error_set(errp, "unterminated string");
        return NULL;
    }
    *p = s + 1;
    return g_string_free(word, FALSE);
}

static const OptKey *flag_of(const MonCommand *c, char letter)
{
    for (const OptKey *k = c->keys; k && k->name; k++) {
        char text[2] = { letter, 0 };

        if (k->type == OPT_BOOL && (k->alias ? options_one_of(k->alias, text, false) : k->name[0] == letter)) {
            return k;
        }
    }
    return NULL;
}

static bool has_flags(const MonCommand *c)
{
    for (const OptKey *k = c->keys; k && k->name; k++) {
        if (k->type == OPT_BOOL) {
            return true;
        }
    }
    return false;
}

/* Last word of the command's name, as messages have it. */
static const char *short_name(const MonCommand *c)
{
    const char *blank = strrchr(c->name, ' ');

    return blank ? blank + 1 : c->name;
}

static bool take_flags(const MonCommand *c, const char **p, Json *args, Error **errp)
{
    for (;;) {
        const char *s = *p + strspn(*p, " \t");
        const OptKey *k;

        if (s[0] != '-' || !g_ascii_isalpha(s[1]) || (s[2] && s[2] != ' ')) {
            return true;
        }
        k = flag_of(c, s[1]);
        if (!k) {
            return error_set(errp, "%s: unsupported option -%c", short_name(c), s[1]);
        }
        json_set_bool(args, k->name, true);
        *p = s + 2;
    }
}

static const char *kind_word(const OptKey *k)
{
    return k->values ? k->values : k->type == OPT_NUMBER || k->type == OPT_SIZE ? "integer" : "string";
}

static bool take_args(const MonCommand *c, const char *p, Json *args, Error **errp)
{
    if (has_flags(c) && !take_flags(c, &p, args, errp)) {
        return false;
    }
    for (const OptKey *k = c->keys; k && k->name; k++) {
        g_autofree char *word = NULL;

        if (k->type == OPT_BOOL) {
            continue;
        }
        p += strspn(p, " \t");
        if (!strcmp(k->name, "format") && *p != '/') {
            continue;                           /* "/fmt" directly behind the command, or not at all */
        }
        if (!*p) {
            if (k->must) {
                return error_set(errp, "%s: %s expected", short_name(c), kind_word(k));
            }
            continue;
        }
        if (c->rest && !k[1].name) {
            word = g_strdup(p);
            p += strlen(p);
        } else {
            word = next_word(&p, errp);
        }
        if (!word) {
            return false;
        }
        json_set_string(args, k->name, word);
    }
    p += strspn(p, " \t");
    if (*p) {
        return error_set(errp, "%s%s%s: extraneous characters at the end of line", short_name(c), c->alias ? "|" : "", c->alias ? c->alias : "");
    }
    return true;
}

/* ---- lines ---- */

/* The command of a line and where its arguments begin; NULL: *name is what was typed. */
static const MonCommand *command_of(const char *line, const char **args, char **name)
{
    const char *p = line;
    const MonCommand *c;

    *name = next_word(&p, NULL);
    if (*name && p[0] == ' ' && !strcmp(*name, "info")) {
        const char *q = p;
        g_autofree char *word = next_word(&q, NULL);

        if (word && *word) {
            char *full = g_strdup_printf("info %s", word);

            g_free(*name);
            *name = full;
            p = q;
        }
    }
    c = *name ? mon_command_find(*name) : NULL;
    if (!c && *name && g_ascii_isalpha(**name) && strchr(*name, '/')) {     /* x/4x, p/d: no blank before the format */
        char *slash = strchr(*name, '/');
        g_autofree char *head = g_strndup(*name, slash - *name);

        c = mon_command_find(head);
        if (c && c->keys && !strcmp(c->keys[0].name, "format")) {
            p = line + strspn(line, " \t") + strlen(head);
        } else {
            c = NULL;
        }
    }
    *args = p;
    return c;
}

static void run(System *s, unsigned *cpu, const MonCommand *c, const char *rest, GString *out)
{
    const OptGroup group = { .name = c->name, .keys = c->keys, .open = c->open };
    g_autoptr(Json) args = json_object();
    MonCall call = { .session = s ? s->session : NULL, .system = s, .machine = s ? s->machine : NULL, .cpu = cpu, .args = args, .out = out };
    Error *err = NULL;
    bool ok;

    if (!take_args(c, rest, args, &err)) {
        g_string_append_printf(out, "%s\nTry \"help %s\" for more information\n", error_message(err), c->name);
        error_free(err);
        return;
    }
    ok = options_check_text(&group, args, &err);
    if (ok && c->waits && !fiber_self()) {
        ok = error_set(&err, "%s does I/O: not from here; use the monitor", c->name);
    } else if (ok) {
        if (c->waits) {
            session_lock(s->session);
        }
        ok = c->run(&call, &err);
        if (c->waits) {
            session_unlock(s->session);
        }
    }
    if (!ok) {
        g_string_append_printf(out, "Error: %s\n%s", error_message(err), error_hint_text(err));
    }
    json_unref(call.ret);
    error_free(err);
}

bool mon_line_waits(const char *line)
{
    g_autofree char *name = NULL;
    const char *args;
    const MonCommand *c = command_of(line, &args, &name);

    return c && c->waits;
}

char *mon_run_line(System *s, unsigned *cpu, const char *line)
{
    GString *out = g_string_new(NULL);
    g_autofree char *name = NULL;
    const MonCommand *c;
    const char *args;

    line += strspn(line, " \t");
    if (*line && *line != '#') {
        c = command_of(line, &args, &name);
        if (c) {
            run(s, cpu, c, args, out);
        } else {
            g_string_append_printf(out, "unknown command: '%s'\n", name ? name : line);
        }
    }
    return g_string_free(out, FALSE);
}

/* ---- completion ---- */

static char **matching(char **words, const char *start)
{
    GPtrArray *out = g_ptr_array_new();

    for (unsigned i = 0; words && words[i]; i++) {
        if (g_str_has_prefix(words[i], start)) {
            g_ptr_array_add(out, g_strdup(words[i]));
        }
    }
    g_ptr_array_add(out, NULL);
    g_strfreev(words);
    return (char **)g_ptr_array_free(out, FALSE);
}

static char **names_of(bool info)
{
    g_autofree const MonCommand **all = mon_commands(info);
    GPtrArray *out = g_ptr_array_new();

    for (unsigned i = 0; all[i]; i++) {
        g_ptr_array_add(out, g_strdup(info ? all[i]->name + 5 : all[i]->name));
    }
    g_ptr_array_add(out, NULL);
    return (char **)g_ptr_array_free(out, FALSE);
}

char **mon_complete(System *s, const char *text)
{
    const char *blank = strrchr(text, ' ');
    g_autofree char *name = NULL;
    const MonCommand *c;
    const char *args;

    if (!blank) {
        return matching(names_of(false), text);
    }
    if (g_str_has_prefix(text, "info ") && blank == text + 4) {
        return matching(names_of(true), blank + 1);
    }
    if (g_str_has_prefix(text, "help ") && blank == text + 4) {
        return matching(names_of(false), blank + 1);
    }
    c = command_of(text, &args, &name);
    return c && c->complete ? matching(c->complete(s), blank + 1) : NULL;
}
