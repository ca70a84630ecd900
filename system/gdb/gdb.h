/* SPDX-License-Identifier: MIT */
/*
 * The debug server for gdb: a front on a character device.
 *
 * One thread per vCPU, all in process 1.  The machine stops when a client
 * comes and stays stopped when it goes without 'D'.  Registers and the target
 * description come from CpuOps, breakpoints go to the accelerator.
 */
#ifndef SYSTEM_GDB_GDB_H
#define SYSTEM_GDB_GDB_H

#include "system/system.h"

typedef struct GdbServer GdbServer;

/* Every -gdb of the command line (one is served). */
bool gdb_open_all(System *s, Error **errp);
/* The monitor's gdbserver: NULL or "none" ends it. */
bool gdb_listen(System *s, const char *device, Error **errp);
void gdb_close(System *s);                  /* tells the client how the program ended */
void gdb_machine_event(GdbServer *g, const MachineEvent *ev);       /* g may be NULL */

#endif
