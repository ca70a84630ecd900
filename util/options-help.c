/* SPDX-License-Identifier: MIT */
/* Help text out of the option tables. */
#include "util/options.h"

#include <string.h>

const char *options_type_text(const OptKey *k)
{
    static const char *const names[] = {
        [OPT_STRING] = "str", [OPT_ID] = "id", [OPT_NUMBER] = "num", [OPT_SIZE] = "size",
        [OPT_BOOL] = "bool (on/off)", [OPT_TREE] = "tree", [OPT_ANY] = "str",
    };

    return k->type == OPT_ENUM ? k->values : names[k->type];
}

static void add_keys(GPtrArray *lines, const OptKey *keys)
{
    for (const OptKey *k = keys; k && k->name; k++) {
        g_autofree char *head = g_strdup_printf("%s=<%s>", k->name, options_type_text(k));
        GString *line;

        if (k->absent) {
            continue;
        }
        line = g_string_new(NULL);
        g_string_append_printf(line, k->help || k->def ? "  %-22s" : "  %s", head);
        if (k->help || k->def) {
            g_string_append_printf(line, " - %s", k->help ? k->help : "");
        }
        if (k->def) {
            g_string_append_printf(line, " (default: %s)", k->def);
        }
        g_ptr_array_add(lines, g_string_free(line, FALSE));
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *options_help(const OptGroup *g, const OptVariant *v)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    GString *out = g_string_new(NULL);

    g_string_append_printf(out, "%s options:\n", v ? v->name : g->name);
    add_keys(lines, g->keys);
    add_keys(lines, v ? v->keys : NULL);
    g_ptr_array_sort(lines, by_text);
    for (unsigned i = 0; i < lines->len; i++) {
        g_string_append_printf(out, "%s\n", (char *)g_ptr_array_index(lines, i));
    }
    return g_string_free(out, FALSE);
}
