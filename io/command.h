/* SPDX-License-Identifier: MIT */
/*
 * The command table, for people and for programs.
 *
 * A command is a row: names, arguments as option keys, a line of help, and a
 * function.  `name` is what a person types into the human monitor, `qmp` what a
 * program sends; a row has either or both.  The human monitor fills the keys by
 * position (boolean keys are flags, -x by the first letter of the key or its
 * alias), the machine protocol fills them by name; both go through the same
 * checks.  Rows lie in a linker section: any file may add some, from the layer
 * of its subject (a storage daemon links those of the block layer and has no
 * machine).
 *
 * The function is called on the main thread.  A row with `.waits` is called in
 * a fiber: it may do block I/O and drain.  Commands that wait run one at a time
 * in a session, behind session_lock().
 */
#ifndef IO_COMMAND_H
#define IO_COMMAND_H

#include "io/session.h"
#include "util/lsection.h"
#include "util/options.h"

struct System;
struct Machine;
struct Qmp;

typedef struct MonCall {
    Session *session;
    struct System *system;      /* NULL in programs without a machine, as is */
    struct Machine *machine;
    unsigned *cpu;              /* the one that the monitor looks at */
    const Json *args;           /* checked */
    GString *out;               /* what a person reads; lines end in \n.  NULL when a program asks */
    Json *ret;                  /* what a program gets, set by the function; NULL: {} */
    struct Qmp *qmp;            /* who asks; NULL: a person */
} MonCall;

typedef struct MonCommand {
    const char *name;           /* "stop"; "info status": a word of info; NULL: not for people */
    const char *qmp;            /* "query-status"; NULL: not for programs */
    const char *alias;          /* "s" */
    const OptKey *keys;         /* in the order of the line; .must: "NAME expected"; NULL: none */
    const char *params;         /* as help shows them */
    const char *help;
    bool rest;                  /* the last key takes the rest of the line */
    bool waits;                 /* does I/O: in a fiber */
    bool open;                  /* keys that the table does not have are kept, unchecked */
    bool (*run)(MonCall *call, Error **errp);
    char **(*complete)(struct System *s);       /* words for the first argument */
    /* For the schema. */
    const OptKey *ret;          /* members of the answer; NULL: an empty object, unless */
    const char *ret_type;       /* "str", "any", "[any]" ...: an answer of this built-in type; "[]": a list of `ret` */
    const char *select;         /* the key whose value adds keys; */
    void (*variants)(void (*add)(void *opaque, const char *value, const OptKey *keys), void *opaque);
    const char *features;       /* "a|b" */
} MonCommand;

#define MON_COMMAND(row) ROW_IN_SECTION(mon_commands, MonCommand, row)

/* By the program's name; NULL when there is none. */
const MonCommand *command_find(const char *qmp);
/* All rows with a program's name, sorted by it, NULL at the end; caller frees the array. */
const MonCommand **commands_list(void);
/* Check and normalise a program's arguments in place. */
bool command_check(const MonCommand *c, Json *args, Error **errp);

/* Events that programs hear of are rows too, for the schema and the rate. */
typedef struct QmpEvent {
    const char *name;           /* "STOP" */
    const OptKey *keys;         /* its data; NULL: none */
    bool rare;                  /* at most one in a second, of each value of `by`: the first at once, then the last */
    const char *by;             /* member of the data; NULL: all alike */
} QmpEvent;
#define QMP_EVENT(row) ROW_IN_SECTION(qmp_events, QmpEvent, row)
const QmpEvent *event_find(const char *name);
void events_foreach(void (*fn)(const QmpEvent *ev, void *opaque), void *opaque);

#endif
