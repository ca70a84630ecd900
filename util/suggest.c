/* SPDX-License-Identifier: MIT */
#include "util/suggest.h"

#include <string.h>

enum { KEEP = 3, LONGEST = 63 };

typedef struct { const char *name; unsigned distance; } Near;

struct Suggest {
    char *typed;
    unsigned limit;             /* farther names are no help */
    unsigned n;
    Near near[KEEP];
};

static char fold(char c)
{
    return c == '_' ? '-' : g_ascii_tolower(c);
}

static unsigned distance(const char *a, const char *b)
{
    unsigned rows[3][LONGEST + 1], *before = rows[0], *last = rows[1], *now = rows[2];
    unsigned la = strlen(a), lb = strlen(b);

    if (la > LONGEST || lb > LONGEST) {
        return ~0u;
    }
    for (unsigned j = 0; j <= lb; j++) {
        last[j] = j;
    }
    for (unsigned i = 1; i <= la; i++) {
        unsigned *spare = before;

        now[0] = i;
        for (unsigned j = 1; j <= lb; j++) {
            bool same = fold(a[i - 1]) == fold(b[j - 1]);

            now[j] = MIN(MIN(last[j], now[j - 1]) + 1, last[j - 1] + !same);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1])) {
                now[j] = MIN(now[j], before[j - 2] + 1);
            }
        }
        before = last;
        last = now;
        now = spare;
    }
    return last[lb];
}

static bool begins(const char *name, const char *typed)
{
    while (*typed && fold(*name) == fold(*typed)) {
        name++;
        typed++;
    }
    return !*typed;
}

Suggest *suggest_new(const char *typed)
{
    Suggest *s = g_new0(Suggest, 1);
    unsigned len = strlen(typed);

    s->typed = g_strdup(typed);
    s->limit = len <= 2 ? 1 : len <= 5 ? 2 : 3;
    return s;
}

void suggest_add(Suggest *s, const char *name)
{
    unsigned d = distance(s->typed, name), i;

    if (strlen(s->typed) >= 3 && begins(name, s->typed)) {
        d = MIN(d, 2);
    }
    if (d > s->limit || d >= strlen(name)) {
        return;
    }
    for (i = 0; i < s->n; i++) {
        if (!strcmp(s->near[i].name, name)) {
            return;
        }
    }
    for (i = s->n < KEEP ? s->n++ : KEEP; i > 0 && s->near[i - 1].distance > d; i--) {
        if (i < KEEP) {
            s->near[i] = s->near[i - 1];
        }
    }
    if (i < KEEP) {
        s->near[i] = (Near){ name, d };
    }
}

char *suggest_text(Suggest *s)
{
    g_autoptr(GString) text = g_string_new(NULL);

    while (s->n && s->near[s->n - 1].distance > s->near[0].distance + 1) {
        s->n--;                 /* much farther than the best: noise */
    }
    for (unsigned i = 0; i < s->n; i++) {
        g_string_append_printf(text, "%s'%s'", !i ? "" : i + 1 < s->n ? ", " : " or ", s->near[i].name);
    }
    g_free(s->typed);
    g_free(s);
    return text->len ? g_strdup(text->str) : NULL;
}

bool suggest_hint(Suggest *s, const char *help, Error **errp)
{
    g_autofree char *text = suggest_text(s);

    if (text) {
        error_hint(errp, "did you mean %s?", text);
    }
    if (help) {
        error_hint(errp, "the list: %s", help);
    }
    return false;
}
