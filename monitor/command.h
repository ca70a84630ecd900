/* SPDX-License-Identifier: MIT */
/*
 * The human monitor's side of the command table (io/command.h): lines of text
 * to rows and their arguments, and what is printed.
 */
#ifndef MONITOR_COMMAND_H
#define MONITOR_COMMAND_H

#include "io/command.h"
#include "system/system.h"

const MonCommand *mon_command_find(const char *name);           /* "info status" too; NULL */
/* Sorted by name; `info` picks the words of info, else the commands. Ends with NULL; caller frees. */
const MonCommand **mon_commands(bool info);
/* Does the line's command do I/O?  It is run in a fiber then. */
bool mon_line_waits(const char *line);
/* One line of a human: text for him, errors as "Error: ..." or as the monitor words them. Caller frees. */
char *mon_run_line(System *s, unsigned *cpu, const char *line);
char **mon_complete(System *s, const char *text);

/* ---- expressions of print, x, xp (expr.c): C's integer operators, $register, 0x numbers ---- */
bool mon_expr(Cpu *cpu, const char **text, int64_t *out, Error **errp);

#endif
