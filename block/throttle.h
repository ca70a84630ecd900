/* SPDX-License-Identifier: MIT */
/*
 * Limits on what disks do in a second, alone or as a group.
 *
 * A group has six leaky buckets: bytes and requests, each in total, of reads
 * and of writes.  What is done fills them, time empties them at the limit's
 * rate, and whoever finds one full waits.  Without a burst a bucket holds what
 * flows in 100 ms; with `max` it holds max * length units, and where the burst
 * lasts longer than a second, a second bucket holds the burst itself to `max`.
 * A request longer than `op_size` counts as several.
 *
 * Members of a group (disks, throttle nodes) take turns: one request each, and
 * reads and writes alternate where both wait.  Each request costs the same,
 * however many members there are.  A member that is drained waits for nothing:
 * what it does is counted, and others pay.
 *
 * Groups belong to a session, found by name, and live while somebody holds
 * them: members, and the object of -object throttle-group.  Making, changing
 * and joining: main thread.  throttle_io(): a fiber of any loop.  Time is the
 * event loop's, host time; a machine with counted instructions asks for turns in
 * its own (throttle_reserve, blk_take_turn), so that runs are repeatable.
 */
#ifndef BLOCK_THROTTLE_H
#define BLOCK_THROTTLE_H

#include "block/block.h"
#include "block/throttle-wait.h"
#include "io/fiber.h"

typedef enum {
    THROTTLE_BPS_TOTAL, THROTTLE_BPS_READ, THROTTLE_BPS_WRITE, THROTTLE_IOPS_TOTAL, THROTTLE_IOPS_READ, THROTTLE_IOPS_WRITE, THROTTLE_LIMITS
} ThrottleKind;

typedef struct ThrottleLimit {
    int64_t avg;                    /* units in a second; 0: no limit */
    int64_t max;                    /* in a burst; 0: none */
    int64_t length;                 /* seconds that a burst lasts */
} ThrottleLimit;

typedef struct ThrottleConfig {
    ThrottleLimit limit[THROTTLE_LIMITS];
    int64_t op_size;                /* 0: each request counts as one */
} ThrottleConfig;

/* No limits, bursts of one second. */
void throttle_config_init(ThrottleConfig *c);
bool throttle_config_check(const ThrottleConfig *c, Error **errp);
bool throttle_config_on(const ThrottleConfig *c);

/* ---- names of the limits: bps-total, iops-read-max, bps-write-max-length ... iops-size; and bps, iops_rd_max ... ---- */
typedef struct ThrottleName {
    const char *name, *old;
    size_t offset;                  /* of its int64_t in ThrottleConfig */
} ThrottleName;
extern const ThrottleName throttle_names[];         /* ends with {} */
/* What `o` has under PREFIXname (or the old names) goes into the config; true. */
bool throttle_config_read(ThrottleConfig *c, const Json *o, const char *prefix, bool old, Error **errp);

/* ---- the buckets; pure ---- */
typedef struct ThrottleState {
    ThrottleConfig config;
    double level[THROTTLE_LIMITS], burst[THROTTLE_LIMITS];
    int64_t last;                   /* when they were emptied last */
} ThrottleState;
void throttle_leak(ThrottleState *s, int64_t now);
/* ns until the next read or write may begin; 0: now.  Leaked to now. */
int64_t throttle_wait(const ThrottleState *s, bool write);
void throttle_account(ThrottleState *s, bool write, uint64_t bytes);

/* ---- groups ---- */
typedef struct ThrottleGroup ThrottleGroup;
ThrottleGroup *throttle_group_find(Session *s, const char *name);               /* NULL: none; no reference */
ThrottleGroup *throttle_group_get(Session *s, const char *name);                /* made when there is none; a reference */
ThrottleGroup *throttle_group_ref(ThrottleGroup *g);
void throttle_group_unref(ThrottleGroup *g);
const char *throttle_group_name(const ThrottleGroup *g);
void throttle_group_config(ThrottleGroup *g, ThrottleConfig *out);
/* Checked limits; others than before empty the buckets, and whoever may go now goes. */
void throttle_group_set(ThrottleGroup *g, const ThrottleConfig *c);

/* Another time than the loop's, for tests: now() is asked, and nobody is woken but by throttle_group_run(), at throttle_group_next() (INT64_MAX: nobody waits). */
void throttle_group_clock(ThrottleGroup *g, int64_t (*now)(void *opaque), void *opaque);
int64_t throttle_group_next(ThrottleGroup *g);
void throttle_group_run(ThrottleGroup *g);

/* ---- members ---- */
typedef struct ThrottleMember ThrottleMember;
ThrottleMember *throttle_join(ThrottleGroup *g);
void throttle_leave(ThrottleMember *m);                 /* nothing of it waits; NULL is fine */
ThrottleGroup *throttle_group_of(const ThrottleMember *m);
unsigned throttle_group_members(const ThrottleGroup *g);
/* True: now.  Else post.fn is called in time, with the result in the record: without a fiber, so that any number may wait.  Any thread. */
bool throttle_enter(ThrottleMember *m, bool write, ThrottleWait *w);
/* Wait for one's turn.  -ECANCELED when *cancelled (may be NULL) was set before it came.  Fiber only. */
int throttle_io(ThrottleMember *m, bool write, uint64_t bytes, const int *cancelled);
/*
 * A turn in another time than the host's: how long after `now` (ns, of any clock) the request may begin.  It is taken, nobody waits for it: requests
 * of a group go in the order in which they ask, reads and writes each in a line of their own unless a limit is of both.  Any thread.
 */
int64_t throttle_reserve(ThrottleMember *m, bool write, uint64_t bytes, int64_t now);
/* Look at the `cancelled` of what waits.  Any thread. */
void throttle_check_cancelled(ThrottleMember *m);
/* From on to off nothing of it waits. */
void throttle_drain(ThrottleMember *m, bool on);
unsigned throttle_drained_times(ThrottleMember *m);

/* ---- a disk's limits ---- */
/* Join a group (made when there is none; "": one of its own) and give it limits that were checked; NULL: no limits, out of any group.  Drains. */
void blk_throttle(Blk *b, const char *group, const ThrottleConfig *c);
const char *blk_throttle_group(const Blk *b);           /* NULL: none */
bool blk_throttle_config(const Blk *b, ThrottleConfig *out);    /* false: none, *out has no limits */
/* The members of a record (b may be NULL), and the line of `info block`. */
void blk_throttle_describe(const Blk *b, Json *into);
void blk_throttle_print(const Blk *b, GString *out);

#endif
