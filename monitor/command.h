/* SPDX-License-Identifier: MIT */
/*
 * The monitor's command table.
 *
 * A command is a row: names, arguments as option keys, a line of help, and a
 * function from arguments to text.  The human monitor fills the keys by
 * position (boolean keys are flags, -x by the first letter of the key or its
 * alias); a machine protocol fills them by name; both go through the same
 * checks.  Rows lie in a linker section: any file may add some.
 */
#ifndef MONITOR_COMMAND_H
#define MONITOR_COMMAND_H

#include "system/system.h"
#include "util/lsection.h"
#include "util/options.h"

typedef struct MonCall {
    System *system;
    Machine *machine;
    unsigned *cpu;              /* the one that the monitor looks at */
    const Json *args;
    GString *out;               /* lines end in \n */
} MonCall;

typedef struct MonCommand {
    const char *name;           /* "stop"; "info status": a word of info */
    const char *alias;          /* "s" */
    const OptKey *keys;         /* in the order of the line; .must: "NAME expected"; NULL: none */
    const char *params;         /* as help shows them */
    const char *help;
    bool rest;                  /* the last key takes the rest of the line */
    bool (*run)(MonCall *call, Error **errp);
    char **(*complete)(System *s);      /* words for the first argument */
} MonCommand;

#define MON_COMMAND(row) ROW_IN_SECTION(mon_commands, MonCommand, row)

const MonCommand *mon_command_find(const char *name);           /* "info status" too; NULL */
/* Sorted by name; `info` picks the words of info, else the commands. Ends with NULL; caller frees. */
const MonCommand **mon_commands(bool info);
/* One line of a human: text for him, errors as "Error: ..." or as the monitor words them. Caller frees. */
char *mon_run_line(System *s, unsigned *cpu, const char *line);
char **mon_complete(System *s, const char *text);

/* ---- expressions of print, x, xp (expr.c): C's integer operators, $register, 0x numbers ---- */
bool mon_expr(Cpu *cpu, const char **text, int64_t *out, Error **errp);

#endif
