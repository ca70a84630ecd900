/* SPDX-License-Identifier: MIT */
/*
 * The command line: one table of options, and what was typed by it.
 *
 * The table (options.c) has a row per option in the order of -help.  A row
 * names the option group that its argument follows (util/options.h), or takes
 * plain text.  Short forms (-hda, -kernel, -s) say what they stand for.  What
 * the program knows and does not have is a row with `.absent`, refused by name.
 * -help, the manual page and the shell completion are printed from the table.
 *
 * Parsing has two passes, as scripts expect: all names and arguments first,
 * then the arguments themselves, left to right.
 */
#ifndef SYSTEM_CMDLINE_H
#define SYSTEM_CMDLINE_H

#include "util/error.h"
#include "util/json.h"
#include "util/options.h"

typedef struct CmdOption {
    const char *name;           /* NULL: a heading, in .help */
    const char *arg;            /* as -help shows it; NULL: takes none */
    const char *help;           /* lines */
    const char *group;          /* option group of the argument; NULL: text */
    const char *as;             /* stands for this option ... */
    const char *as_text;        /* ... with this text; %s: what was typed, commas doubled */
    const char *absent;         /* why it is refused */
    bool hidden;                /* another name of the row before */
} CmdOption;

extern const CmdOption cmd_options[];       /* ends with {} */
const CmdOption *cmd_option_find(const char *name);

/* One option as typed, worked out to the option that it stands for. */
typedef struct CmdArg {
    const CmdOption *opt;
    char *typed;                /* "-device foo", for messages */
    char *text;                 /* argument; "" for options without one */
    Json *value;                /* of options with a group, once cmdline_check has run */
} CmdArg;

typedef struct CmdLine {
    char *program;              /* last component of argv[0] */
    GPtrArray *args;            /* CmdArg *, in order */
} CmdLine;

/* First pass. NULL: unknown option (nearest names as hint), or an argument is missing. */
CmdLine *cmdline_new(int argc, char **argv, Error **errp);
void cmdline_free(CmdLine *cl);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CmdLine, cmdline_free)
/* Second pass: arguments by their groups; files of -readconfig are put in. Messages begin with the option as typed. */
bool cmdline_check(CmdLine *cl, Error **errp);
/* Adds what a short form or a file says; takes nothing. */
bool cmdline_add(CmdLine *cl, const char *name, const char *text, const char *typed, Error **errp);

/* Text of the last one; NULL when it was not given. */
const char *cmdline_text(const CmdLine *cl, const char *name);
bool cmdline_has(const CmdLine *cl, const char *name);
/* All of one name merged (-machine a -machine b=c); an empty object when there is none.  Caller unrefs. */
Json *cmdline_merged(const CmdLine *cl, const char *name);
/* Each of one name in order; stops and returns false when fn does; messages get the option as typed in front. */
typedef bool CmdArgFn(const CmdArg *a, void *data, Error **errp);
bool cmdline_each(const CmdLine *cl, const char *name, CmdArgFn *fn, void *data, Error **errp);
/* "-device foo: " in front of the message; false. */
bool cmd_arg_error(const CmdArg *a, Error **errp);

/* ---- names (names.c) ---- */
typedef struct ProgramName {
    char *base;                 /* "qemu-system-aarch64", for messages */
    const char *arch;           /* "aarch64"; NULL: the name does not say */
    bool peer;                  /* called by the peer's name: speak its version line */
} ProgramName;
ProgramName *program_name_new(const char *argv0);
void program_name_free(ProgramName *p);
/* Two lines for the peer's names, one of our own otherwise.  Caller frees. */
char *version_text(const ProgramName *p);
const char *version_number(void);       /* "8.2.0": what clients choose features by */
const char *version_package(void);      /* "rhea-0.1.0" */

/* ---- texts out of the table (help.c) ---- */
char *cmdline_help(const ProgramName *p);
char *cmdline_manual(void);             /* roff, section 1 */
char *cmdline_completion(void);         /* for bash */

#endif
