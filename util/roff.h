/* SPDX-License-Identifier: MIT */
/* Text for manual pages. */
#ifndef UTIL_ROFF_H
#define UTIL_ROFF_H

#include <glib.h>

/* Plain text: backslashes, hyphens, and dots at the start of a line are the text's own. */
void roff_put(GString *out, const char *text);
/* Lines up to NULL; one that begins with a dot is a macro. */
void roff_lines(GString *out, const char *const *lines);
/* A row of a list: what is typed, and what it does. */
void roff_item(GString *out, const char *form, const char *help);

#endif
