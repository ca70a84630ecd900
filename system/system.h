/* SPDX-License-Identifier: MIT */
/*
 * The program: a command line made into a session, a machine and the people
 * that look at it (terminal, monitors, debugger), and the loop that runs it.
 *
 * system_run() is all of main().  A System is made by it and handed to what it
 * starts; there is no global one.  Everything here is the main thread's.
 */
#ifndef SYSTEM_SYSTEM_H
#define SYSTEM_SYSTEM_H

#include "chardev/chardev.h"
#include "hw/core/machine.h"
#include "io/loop.h"
#include "io/session.h"
#include "system/cmdline.h"

typedef struct System System;

/* What follows an event: -action, -no-reboot, -no-shutdown. */
typedef struct SystemActions {
    bool reboot_ends;               /* reboot=shutdown */
    bool shutdown_stays;            /* shutdown=pause */
    enum { PANIC_SHUTDOWN, PANIC_EXIT_FAILURE, PANIC_PAUSE, PANIC_NONE } panic;
} SystemActions;

/* A monitor that is opened once the machine is there. */
typedef struct MonitorWanted {
    char *chardev;                  /* its id */
    bool control, pretty;           /* the machine protocol */
} MonitorWanted;

struct System {
    ProgramName *name;
    CmdLine *cl;
    Session *session;
    Loop *loop;
    const MachineType *type;
    Machine *machine;
    MachineListener listener;
    SystemActions actions;
    const char *working_on;         /* option as typed, for what is said meanwhile; NULL: none */
    char *guest_name;               /* -name, or NULL */
    char *uuid;
    GPtrArray *monitors;            /* Monitor * */
    GPtrArray *qmps;                /* QmpFront * */
    GPtrArray *monitors_wanted;     /* MonitorWanted *: for people and for programs */
    struct GdbServer *gdb;          /* or NULL */
    struct Drives *drives;          /* drives.c */
    struct NetCards *cards;         /* net/net.h */
    struct Daemon *daemon;
    char *pidfile;
    int exit_code;
    bool ending;
};

/* The whole life; returns the exit status. */
int system_run(int argc, char **argv);

/* Leave the loop after what is running now; the first code stands. */
void system_end(System *s, int code);
/* Start or go on ('cont'); an error says what has to happen first. */
bool system_continue(System *s, Error **errp);
void system_stop(System *s);
/* Monitor's system_reset: what -no-reboot makes of it included. */
void system_reset(System *s, RequestCause cause);
void system_quit(System *s, RequestCause cause);

/* "PROG: message", hint lines below, on stderr. */
void system_print_error(const ProgramName *name, const Error *err);
void system_print_info(System *s, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* ---- the steps, each in a file of its name ---- */
/* lists.c: answers -device help and the like on stdout. True: it was a question; *code is the status. */
bool lists_answer(const ProgramName *name, const CmdLine *cl, int *code);
/* backends.c: character devices, serial lines, monitors' devices. */
bool fds_open(System *s, Error **errp);         /* fds.c: -add-fd */
bool backends_open(System *s, GPtrArray *serials, Error **errp);
/* machine.c: the board that is asked for, then the machine with its devices. */
bool system_machine_type(System *s, Error **errp);
bool system_machine_open(System *s, char **serials, Error **errp);
/* An object of group "device": -device and device_add. */
bool system_device_add(System *s, const Json *opts, Error **errp);
/* signals.c */
bool signals_init(System *s, Error **errp);
void signals_exit(System *s);
/* daemon.c: -daemonize and -pidfile */
bool daemon_begin(System *s, Error **errp);     /* returns in the child */
void daemon_ready(System *s);                   /* the parent may go, with status 0 */
bool pidfile_write(System *s, Error **errp);
void pidfile_remove(System *s);

#endif
