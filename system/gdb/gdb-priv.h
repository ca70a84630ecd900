/* SPDX-License-Identifier: MIT */
/* Inside of the debug server: the connection (server.c), questions (query.c), state (state.c), running (resume.c). */
#ifndef SYSTEM_GDB_GDB_PRIV_H
#define SYSTEM_GDB_GDB_PRIV_H

#include "system/gdb/gdb.h"
#include "system/gdb/packet.h"

struct GdbServer {
    System *system;
    Machine *machine;
    CharFront front;
    Chardev *own;               /* the back end, made by us; NULL: somebody else's */
    GdbPacket in;
    GString *last;              /* last packet sent, for a NAK */
    bool client;                /* somebody is there */
    bool running;               /* the client waits for a stop */
    bool parting, parted;       /* the program ends: the client was told; it has heard */
    bool multiprocess;          /* thread ids as pPID.TID */
    bool physical;              /* addresses go past the page tables */
    unsigned step_flags;        /* CPU_STEP...: how single steps are made */
    unsigned g_cpu, c_cpu;      /* of Hg, Hc and the last stop */
    unsigned next_thread;       /* of qsThreadInfo */
};

void gdb_reply(GdbServer *g, const char *text);
void gdb_reply_len(GdbServer *g, const char *text, size_t len);
void gdb_reply_error(GdbServer *g, int err);            /* "E22" */
Cpu *gdb_cpu(GdbServer *g, unsigned i);                 /* NULL: none of that number */
void gdb_put_thread(GdbServer *g, GString *out, unsigned cpu);
/* "p1.2", "2", "-1": false if it is none. *cpu: index, or -1 for all. Moves *p behind it. */
bool gdb_parse_thread(const char **p, int *cpu);
bool gdb_parse_hex(const char **p, uint64_t *v);
void gdb_stop_reply(GdbServer *g, int signal);
void gdb_resume(GdbServer *g);
void gdb_clear_stops(GdbServer *g);                     /* single steps and held threads */

/* Each answers the packet, or returns false: not one of its. */
bool gdb_query_packet(GdbServer *g, const char *p);
bool gdb_state_packet(GdbServer *g, const char *p);
bool gdb_resume_packet(GdbServer *g, const char *p);

#endif
