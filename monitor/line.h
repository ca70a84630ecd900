/* SPDX-License-Identifier: MIT */
/*
 * A line editor for terminals at the other end of a wire: bytes in, bytes to
 * echo out, a callback for each line.  It always echoes, with ANSI sequences;
 * clients on pipes and sockets count on that.
 */
#ifndef MONITOR_LINE_H
#define MONITOR_LINE_H

#include <stdint.h>
#include <glib.h>

enum { LINE_MAX_LEN = 4096, LINE_HISTORY = 64 };

typedef struct LineEditor {
    const char *prompt;
    GString *out;                           /* to be sent; the owner empties it */
    void (*line)(void *opaque, const char *text);
    /* The words that could stand at the end of `text`; NULL-terminated, the caller frees. */
    char **(*complete)(void *opaque, const char *text);
    void *opaque;
    GString *buf;
    unsigned cursor;                        /* in buf */
    unsigned shown;                         /* where the terminal's cursor is */
    enum { LINE_PLAIN, LINE_ESC, LINE_CSI } state;
    unsigned csi_number;
    GPtrArray *history;
    unsigned history_at;
} LineEditor;

void line_init(LineEditor *e);              /* prompt, callbacks and opaque are set */
void line_fini(LineEditor *e);
void line_prompt(LineEditor *e);            /* a fresh line */
void line_key(LineEditor *e, uint8_t key);

#endif
