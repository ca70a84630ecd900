/* SPDX-License-Identifier: MIT */
/*
 * The one door: everything that enters a machine from outside.
 *
 * Host time, random bytes, characters, network frames, disk completions, keys
 * and signals come through here, are counted by kind, and are written to a log
 * when one is armed; nothing else in hw/ may ask the host for them.
 *
 * Asynchronous inputs have a port.  The back end (any thread) calls
 * input_send(); the port's function runs with the device's lock held: at once
 * under host-driven time, at the next exact point under instruction-driven time
 * (inputs_run(), called by the thread that runs the vCPUs).
 *
 * A request that the device itself began (a disk read) takes a ticket at submit
 * time.  Under instruction-driven time its completion takes effect at submit
 * time plus the modelled latency, and the guest's clock waits there for the
 * host if need be; under host-driven time it takes effect when it is there.
 */
#ifndef HW_CORE_INPUTS_H
#define HW_CORE_INPUTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hw/core/clock.h"
#include "util/error.h"

typedef struct Inputs Inputs;

typedef enum {
    INPUT_TIME, INPUT_RANDOM, INPUT_CHAR, INPUT_FRAME, INPUT_BLOCK, INPUT_KEY, INPUT_SIGNAL, INPUT_KINDS
} InputKind;

typedef void InputFn(void *opaque, const void *data, size_t len);

typedef struct InputPort {
    Inputs *inputs;
    InputKind kind;
    const char *name;           /* of the device: log lines */
    InputFn *fn;
    void *opaque;
    pthread_mutex_t *lock;      /* NULL: none */
} InputPort;

typedef struct InputTicket InputTicket;

Inputs *inputs_new(Clock *clock);
void inputs_free(Inputs *in);
/* -seed N: random bytes come from a generator with this seed from now on. */
void inputs_seed(Inputs *in, uint64_t seed);
/* For a save: where that generator is, zeroes without a seed.  Setting it changes nothing in a machine without one, or from zeroes. */
void inputs_get_seed(Inputs *in, uint64_t state[4]);
void inputs_set_seed(Inputs *in, const uint64_t state[4]);
/* Write one line per input to `path`: "ns kind name length digest"; for time and random the value. */
bool inputs_log_open(Inputs *in, const char *path, Error **errp);
uint64_t inputs_count(const Inputs *in, InputKind kind);
const char *input_kind_name(InputKind kind);

/*
 * -rtc: where the wall clock of the machine begins (NULL, "utc", "localtime", "2006-06-17T16:01:21", "2006-06-17") and whether it goes
 * with the host ("host", "rt", NULL) or with guest time ("vm").  Before the machine runs.
 */
bool inputs_set_wall(Inputs *in, const char *base, const char *clock, Error **errp);
/* Nanoseconds since 1970 of the machine's wall clock: UTC of the host unless inputs_set_wall said otherwise; under ICOUNT and FROZEN: of the moment of start plus guest time. */
int64_t input_host_time(Inputs *in);
/* Any amount; asks the kernel, or the seeded generator. */
void input_random(Inputs *in, void *buf, size_t len);

void input_port_init(InputPort *p, Inputs *in, InputKind kind, const char *name, InputFn *fn, void *opaque, pthread_mutex_t *lock);
void input_port_fini(InputPort *p);             /* drops what is queued for it; lock not held */
void input_send(InputPort *p, const void *data, size_t len);        /* data is copied if it has to wait */

/* At submit, under the device's lock. */
InputTicket *input_ticket(InputPort *p, int64_t latency_ns);
/*
 * Under instruction-driven time: it takes effect now, at the end of the instruction that runs, when the guest's clock waits for the host.
 * For a device that is told to stop what it does.  The thread that runs the vCPUs; under host-driven time nothing.
 */
void input_hurry(InputTicket *t);
/* From any thread, once; frees the ticket when it has taken effect. */
void input_complete(InputTicket *t, const void *data, size_t len);

/* ICOUNT: deliver what has been sent; the thread that runs the vCPUs, between blocks.  True when there was something. */
bool inputs_run(Inputs *in);
/* Called (any thread) when something was queued: the accelerator kicks the vCPU. */
void inputs_set_notify(Inputs *in, void (*notify)(void *opaque), void *opaque);

#endif
