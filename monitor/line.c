/* SPDX-License-Identifier: MIT */
#include "monitor/line.h"

#include <string.h>

#define CTRL(c) ((c) & 0x1f)

void line_init(LineEditor *e)
{
    e->out = g_string_new(NULL);
    e->buf = g_string_new(NULL);
    e->history = g_ptr_array_new_with_free_func(g_free);
    e->state = LINE_PLAIN;
}

void line_fini(LineEditor *e)
{
    g_string_free(e->out, TRUE);
    g_string_free(e->buf, TRUE);
    g_ptr_array_unref(e->history);
}

static void move(LineEditor *e, unsigned to)
{
    for (; e->shown > to; e->shown--) {
        g_string_append(e->out, "\033[D");
    }
    for (; e->shown < to; e->shown++) {
        g_string_append(e->out, "\033[C");
    }
}

/* The whole line again, then the cursor to its place. */
static void redraw(LineEditor *e)
{
    move(e, 0);
    g_string_append_printf(e->out, "%s\033[K", e->buf->str);
    e->shown = e->buf->len;
    move(e, e->cursor);
}

void line_prompt(LineEditor *e)
{
    g_string_append(e->out, e->prompt);
    e->shown = 0;
    e->cursor = e->buf->len;
    if (e->buf->len) {
        g_string_append(e->out, e->buf->str);
        e->shown = e->buf->len;
    }
}

static void insert(LineEditor *e, const char *text)
{
    if (e->buf->len + strlen(text) < LINE_MAX_LEN) {
        g_string_insert(e->buf, e->cursor, text);
        e->cursor += strlen(text);
        redraw(e);
    }
}

static void erase(LineEditor *e, unsigned from, unsigned to)
{
    if (from < to && to <= e->buf->len) {
        g_string_erase(e->buf, from, to - from);
        e->cursor = from;
        redraw(e);
    }
}

static void erase_word(LineEditor *e)
{
    unsigned from = e->cursor;

    while (from > 0 && e->buf->str[from - 1] == ' ') {
        from--;
    }
    while (from > 0 && e->buf->str[from - 1] != ' ') {
        from--;
    }
    erase(e, from, e->cursor);
}

static void remember(LineEditor *e, const char *text)
{
    unsigned n = e->history->len;

    if (*text && (!n || strcmp(g_ptr_array_index(e->history, n - 1), text))) {
        g_ptr_array_add(e->history, g_strdup(text));
        if (n + 1 > LINE_HISTORY) {
            g_ptr_array_remove_index(e->history, 0);
        }
    }
    e->history_at = e->history->len;
}

static void recall(LineEditor *e, int step)
{
    unsigned at = e->history_at + step;

    if (at > e->history->len) {             /* wraps below 0 too */
        return;
    }
    e->history_at = at;
    g_string_assign(e->buf, at < e->history->len ? g_ptr_array_index(e->history, at) : "");
    e->cursor = e->buf->len;
    redraw(e);
}

static void accept(LineEditor *e)
{
    g_autofree char *text = g_strdup(e->buf->str);

    g_string_append(e->out, "\r\n");
    remember(e, text);
    g_string_truncate(e->buf, 0);
    e->cursor = e->shown = 0;
    e->line(e->opaque, text);
}

/* ---- completion ---- */

static unsigned common(char **words)
{
    unsigned len = strlen(words[0]);

    for (unsigned i = 1; words[i]; i++) {
        unsigned n = 0;

        while (n < len && words[i][n] == words[0][n]) {
            n++;
        }
        len = n;
    }
    return len;
}

static void list_words(LineEditor *e, char **words)
{
    unsigned width = 0, column = 0;

    for (unsigned i = 0; words[i]; i++) {
        width = MAX(width, strlen(words[i]));
    }
    width = MAX(width + 2, 10);
    g_string_append(e->out, "\r\n");
    for (unsigned i = 0; words[i]; i++) {
        g_string_append_printf(e->out, "%-*s", (int)width, words[i]);
        column += width;
        if (column + width > 80 || !words[i + 1]) {
            g_string_append(e->out, "\r\n");
            column = 0;
        }
    }
    line_prompt(e);
}

static void complete(LineEditor *e)
{
    g_autofree char *text = g_strndup(e->buf->str, e->cursor);
    const char *blank = strrchr(text, ' ');
    unsigned typed = strlen(blank ? blank + 1 : text), len;
    g_auto(GStrv) words = e->complete ? e->complete(e->opaque, text) : NULL;
    g_autofree char *more = NULL;

    if (!words || !words[0]) {
        return;
    }
    len = common(words);
    more = len > typed ? g_strdup_printf("%.*s%s", (int)(len - typed), words[0] + typed, words[1] ? "" : " ") : g_strdup(words[1] ? "" : " ");
    if (words[1]) {
        g_string_insert(e->buf, e->cursor, more);
        list_words(e, words);
    } else {
        insert(e, more);
    }
}

/* ---- keys ---- */

static void csi_key(LineEditor *e, uint8_t key)
{
    unsigned end = e->buf->len;

    switch (key) {
    case '0' ... '9':
        e->csi_number = (e->csi_number * 10 + (key - '0')) % 1000;
        return;
    case 'A':
        recall(e, -1);
        break;
    case 'B':
        recall(e, 1);
        break;
    case 'C':
        e->cursor = MIN(e->cursor + 1, end);
        break;
    case 'D':
        e->cursor -= e->cursor > 0;
        break;
    case 'H':
        e->cursor = 0;
        break;
    case 'F':
        e->cursor = end;
        break;
    case '~':
        if (e->csi_number == 3) {
            erase(e, e->cursor, e->cursor + 1);
        } else if (e->csi_number == 1 || e->csi_number == 4) {
            e->cursor = e->csi_number == 1 ? 0 : end;
        }
        break;
    }
    move(e, e->cursor);
    e->state = LINE_PLAIN;
}

static void plain_key(LineEditor *e, uint8_t key)
{
    char text[2] = { (char)key, 0 };

    switch (key) {
    case '\r':
    case '\n':
        accept(e);
        return;
    case '\t':
        complete(e);
        return;
    case 0x1b:
        e->state = LINE_ESC;
        return;
    case 0x7f:
    case CTRL('h'):
        if (e->cursor) {
            erase(e, e->cursor - 1, e->cursor);
        }
        return;
    case CTRL('a'):
        e->cursor = 0;
        break;
    case CTRL('e'):
        e->cursor = e->buf->len;
        break;
    case CTRL('d'):
        erase(e, e->cursor, e->cursor + 1);
        return;
    case CTRL('k'):
        erase(e, e->cursor, e->buf->len);
        return;
    case CTRL('u'):
        erase(e, 0, e->buf->len);
        return;
    case CTRL('w'):
        erase_word(e);
        return;
    case CTRL('l'):
        g_string_append(e->out, "\033[2J\033[1;1H");
        line_prompt(e);
        return;
    case CTRL('p'):
        recall(e, -1);
        return;
    case CTRL('n'):
        recall(e, 1);
        return;
    default:
        if (key >= ' ') {
            insert(e, text);
        }
        return;
    }
    move(e, e->cursor);
}

void line_key(LineEditor *e, uint8_t key)
{
    if (e->state == LINE_ESC) {
        e->state = key == '[' || key == 'O' ? LINE_CSI : LINE_PLAIN;
        e->csi_number = 0;
    } else if (e->state == LINE_CSI) {
        csi_key(e, key);
    } else {
        plain_key(e, key);
    }
}
