/* SPDX-License-Identifier: MIT */
#include "system/config-file.h"

#include <stdio.h>
#include <string.h>

#include "util/filemap.h"
#include "util/suggest.h"

typedef struct Section {
    const CmdOption *opt;           /* NULL: none yet */
    GString *text;                  /* key=value,... with commas doubled */
    char *typed;                    /* [group "id"] */
} Section;

/* The option whose argument follows a group: [drive] is -drive, [smp-opts] is -smp. */
static const CmdOption *option_of_group(const char *group)
{
    for (const CmdOption *o = cmd_options; o->name || o->help; o++) {
        if (o->name && !o->as && o->group && !strcmp(o->group, group)) {
            return o;
        }
    }
    return NULL;
}

static bool unknown_group(const char *group, Error **errp)
{
    Suggest *s = suggest_new(group);

    for (const CmdOption *o = cmd_options; o->name || o->help; o++) {
        if (o->name && o->group) {
            suggest_add(s, o->group);
        }
    }
    error_set(errp, "There is no option group '%s'", group);
    return suggest_hint(s, NULL, errp);
}

static bool finish(CmdLine *cl, Section *s, Error **errp)
{
    bool ok = !s->opt || cmdline_add(cl, s->opt->name, s->text->str, s->typed, errp);

    s->opt = NULL;
    g_string_truncate(s->text, 0);
    g_clear_pointer(&s->typed, g_free);
    return ok;
}

static void put(Section *s, const char *key, const char *value)
{
    g_auto(GStrv) parts = g_strsplit(value, ",", -1);
    g_autofree char *doubled = g_strjoinv(",,", parts);

    g_string_append_printf(s->text, "%s%s=%s", s->text->len ? "," : "", key, doubled);
}

/* [group] or [group "id"] */
static bool begin(Section *s, const char *line, Error **errp)
{
    char group[64], id[128];
    int end = 0;

    if (sscanf(line, "[%63[^] \t\"] \"%127[^\"]\"]%n", group, id, &end) == 2 && end) {
        /* with an id */
    } else if (end = 0, sscanf(line, "[%63[^] \t\"]]%n", group, &end) == 1 && end) {
        id[0] = 0;
    } else {
        return error_set(errp, "parse error: '%s' is not [group] or [group \"id\"]", line);
    }
    if (line[end]) {
        return error_set(errp, "parse error: '%s' behind the section name", line + end);
    }
    s->opt = option_of_group(group);
    if (!s->opt) {
        return unknown_group(group, errp);
    }
    s->typed = g_strdup(line);
    if (id[0]) {
        put(s, "id", id);
    }
    return true;
}

/* key = "value" */
static bool assign(Section *s, const char *line, Error **errp)
{
    g_auto(GStrv) sides = g_strsplit(line, "=", 2);
    char *key = g_strstrip(sides[0]), *value = sides[1] ? g_strstrip(sides[1]) : NULL;
    size_t len = value ? strlen(value) : 0;

    if (len < 2 || value[0] != '"' || value[len - 1] != '"' || !*key) {
        return g_utf8_validate(line, -1, NULL) && strlen(line) < 200 ? error_set(errp, "parse error: '%s' is not key = \"value\"", line)
                                                                     : error_set(errp, "parse error: this is not a configuration file");
    }
    if (!s->opt) {
        return error_set(errp, "no group defined");
    }
    value[len - 1] = 0;
    put(s, key, value + 1);
    return true;
}

static bool one_line(CmdLine *cl, Section *s, char *line, Error **errp)
{
    g_strstrip(line);
    if (!*line || *line == '#') {
        return true;
    }
    return *line == '[' ? finish(cl, s, errp) && begin(s, line, errp) : assign(s, line, errp);
}

bool config_text_read(CmdLine *cl, const char *name, const char *text, Error **errp)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    Section s = { .text = g_string_new(NULL) };
    bool ok = true;

    for (unsigned i = 0; ok && lines[i]; i++) {
        ok = one_line(cl, &s, lines[i], errp);
        if (!ok) {
            error_prepend(errp, "%s:%u: ", name, i + 1);
        }
    }
    ok = ok && finish(cl, &s, errp);
    g_string_free(s.text, TRUE);
    g_free(s.typed);
    return ok;
}

bool config_file_read(CmdLine *cl, const char *path, Error **errp)
{
    g_autoptr(FileMap) map = file_map(path, errp);
    g_autofree char *text = map ? g_strndup((const char *)map->data, map->size) : NULL;

    return map && config_text_read(cl, path, text, errp);
}
