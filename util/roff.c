/* SPDX-License-Identifier: MIT */
#include "util/roff.h"

void roff_put(GString *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\\' || *p == '-') {
            g_string_append_printf(out, "\\%c", *p == '-' ? '-' : 'e');
        } else if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n')) {
            g_string_append_printf(out, "\\&%c", *p);
        } else {
            g_string_append_c(out, *p);
        }
    }
}

void roff_lines(GString *out, const char *const *lines)
{
    for (; *lines; lines++) {
        if (**lines == '.') {
            g_string_append(out, *lines);
        } else {
            roff_put(out, *lines);
        }
        g_string_append_c(out, '\n');
    }
}

void roff_item(GString *out, const char *form, const char *help)
{
    g_string_append(out, ".TP\n.B ");
    roff_put(out, form);
    g_string_append_c(out, '\n');
    roff_put(out, help);
    g_string_append_c(out, '\n');
}
