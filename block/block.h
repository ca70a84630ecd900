/* SPDX-License-Identifier: MIT */
/*
 * Block layer: what devices, jobs, exports and tools see of a disk.
 *
 * A BlkNode is one driver's view of a disk: a file, a format over a file, a
 * filter over a format.  Nodes hang together by edges and belong to a Session.
 * Whoever uses a disk from outside the graph holds a Blk: a named edge to the
 * top node with the permissions it asked for.  A device gets its Blk as a
 * property and never opens a path.
 *
 * Two ways to do I/O on a Blk:
 *
 *  - BlkReq and blk_submit(): for devices.  Any thread; never waits; done() is
 *    called on the request's loop.  The request, its vector and the memory
 *    that it points at (pinned guest RAM) stay untouched until then.  Nothing
 *    is allocated on the way.
 *  - blk_read() and friends: straight-line code.  In a fiber they let other
 *    work go on.  Outside of fibers they run the thread's loop until they are
 *    done (main() before the machine runs, tests), or, in a thread without a
 *    loop, wait while the Blk's loop does the work.
 *
 * Results are 0 or a negative errno.  Requests may overlap and finish in any
 * order.  What a write promises: it is read back by every later request once
 * it is done, and survives a power cut once a later blk_flush() is done (or
 * at once with BLK_FUA).  Requests run on the loop that they were submitted
 * for, so one disk can be served by several I/O threads; drivers lock what
 * they share.
 *
 * Offsets and lengths are bytes; any alignment is fine (the layer reads,
 * changes and writes where a host file needs more), aligned ones are fast.
 * Beyond the end: reads and writes fail with -EIO, before anything moves.
 */
#ifndef BLOCK_BLOCK_H
#define BLOCK_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "block/throttle-wait.h"
#include "io/loop.h"
#include "io/session.h"
#include "util/error.h"
#include "util/json.h"

typedef struct BlkNode BlkNode;
typedef struct Blk Blk;

/* ---- permissions: what a user of a node does, and what it lets others do; numbers as in the locks on image files ---- */
enum {
    BLK_PERM_READ = 1 << 0,             /* reads what nobody changes behind its back */
    BLK_PERM_WRITE = 1 << 1,
    BLK_PERM_WRITE_SAME = 1 << 2,       /* writes that do not change what is read (copying up, committing down) */
    BLK_PERM_RESIZE = 1 << 3,
    BLK_PERM_ALL = 15,
};

/* ---- opening ---- */
enum {
    BLK_O_RDWR = 1 << 0,
    BLK_O_DIRECT = 1 << 1,              /* cache.direct: past the host's page cache */
    BLK_O_NO_FLUSH = 1 << 2,            /* cache.no-flush: flushes are not passed to the host */
    BLK_O_NO_BACKING = 1 << 3,          /* leave the backing file closed */
    BLK_O_UNMAP = 1 << 4,               /* discards reach the host file */
    BLK_O_FORCE_SHARE = 1 << 5,         /* look at an image that another program writes */
    BLK_O_AUTO_RDONLY = 1 << 6,         /* fall back to read-only where writing is not allowed */
    BLK_O_CHECK = 1 << 7,               /* for checking: open what is marked corrupt or dirty */
    BLK_O_WRITETHROUGH = 1 << 8,        /* of a Blk: each write is flushed before it is done */
    BLK_O_NO_IO = 1 << 9,               /* only headers will be read */
    BLK_O_TEMPORARY = 1 << 10,          /* the file is removed once it is open */
    BLK_O_PROTOCOL_NODE = 1 << 11,      /* the name is the file itself: no format above it */
    BLK_O_ONCE = 1 << 12,               /* will be read once, from begin to end: tables need not be kept */
};
/* cache=none|writeback|writethrough|directsync|unsafe as flags (the three bits above). */
bool blk_cache_flags(const char *mode, unsigned *flags, Error **errp);

/*
 * Open a node: of a file name as people write it (PATH, PROTOCOL:..., json:{...}),
 * of options (`driver`, `node-name`, `file` ... as -blockdev has them; taken over), or of
 * both, the options going first.  Without a driver the format is probed.
 * The caller holds one reference.
 */
BlkNode *blk_node_open(Session *s, const char *filename, Json *options, unsigned flags, Error **errp);
BlkNode *blk_node_ref(BlkNode *n);
void blk_node_unref(BlkNode *n);                        /* closes with the last reference; NULL is fine */
BlkNode *blk_node_find(Session *s, const char *name);   /* by node name; no reference */
const char *blk_node_name(const BlkNode *n);            /* "#blockNNN" when nobody gave one */
const char *blk_node_driver(const BlkNode *n);          /* "qcow2" */
const char *blk_node_filename(const BlkNode *n);        /* as given: for messages, and where names beside it begin */
char *blk_node_full_name(const BlkNode *n);             /* opens the same bytes again: a file name, or json:{...}; the caller frees */
char *blk_node_record_name(const BlkNode *below, const char *image);     /* the same as it has to be recorded in an image of this name, which is where relative names begin */
BlkNode *blk_node_backing(const BlkNode *n);            /* the one below a copy-on-write node, or NULL */
uint64_t blk_node_size(const BlkNode *n);
bool blk_node_read_only(const BlkNode *n);

/* ---- a user's handle ---- */
/* `name` is the user's id ("disk0", as in -drive id=); NULL or "" for none.  Empty: no medium until blk_insert(). */
Blk *blk_new(Session *s, const char *name, unsigned perm, unsigned shared, Error **errp);
Blk *blk_find(Session *s, const char *name);
void blks_foreach(Session *s, void (*fn)(Blk *b, void *data), void *data);     /* in the order of making */
/* blk_node_open(), blk_new() and blk_insert() in one go, for tools and tests. */
Blk *blk_open(Session *s, const char *filename, Json *options, unsigned flags, unsigned perm, unsigned shared, Error **errp);
void blk_free(Blk *b);                                  /* drains, lets the node go; NULL is fine */
const char *blk_name(const Blk *b);
Session *blk_session(const Blk *b);

/* Medium: takes its own reference. */
bool blk_insert(Blk *b, BlkNode *n, Error **errp);
void blk_eject(Blk *b);
BlkNode *blk_node(const Blk *b);                        /* NULL: no medium */
bool blk_set_perm(Blk *b, unsigned perm, unsigned shared, Error **errp);
void blk_get_perm(const Blk *b, unsigned *perm, unsigned *shared);
/* The loop for requests that name none: the main loop at first, an I/O thread's later.  Only while drained. */
void blk_set_loop(Blk *b, Loop *loop);
Loop *blk_loop(const Blk *b);
void blk_set_writethrough(Blk *b, bool on);             /* write cache off: each write is flushed before it is done */
bool blk_writethrough(const Blk *b);

/* What a device wants to hear; on the main loop, drained where the graph changes. */
typedef struct BlkEvents {
    void (*resized)(void *opaque);
    void (*medium)(void *opaque, bool inserted);
    void (*drain_begin)(void *opaque);                  /* stop polling queues: what is submitted now waits */
    void (*drain_end)(void *opaque);
} BlkEvents;
void blk_set_events(Blk *b, const BlkEvents *events, void *opaque);

/* ---- facts ---- */
bool blk_present(const Blk *b);
bool blk_read_only(const Blk *b);
uint64_t blk_size(const Blk *b);                        /* 0 without medium */
typedef struct BlkLimits {
    uint32_t align;                 /* offsets, lengths and memory that need no copying */
    uint32_t cluster;               /* granularity of allocation; 0: none */
    uint32_t discard_align;         /* best granularity of discard */
    uint64_t max_transfer;          /* longest request that is passed on whole */
} BlkLimits;
void blk_limits(const Blk *b, BlkLimits *out);

/* ---- asynchronous requests ---- */
typedef enum { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_ZEROES } BlkOp;
enum {
    BLK_FUA = 1 << 0,               /* write, zeroes: on the medium when done */
    BLK_NO_FALLBACK = 1 << 1,       /* zeroes: -ENOTSUP rather than writing them out */
    BLK_MAY_UNMAP = 1 << 2,         /* zeroes: may leave a hole */
    BLK_SAME = 1 << 3,              /* write: does not change what is read */
    BLK_COMPRESSED_WRITE = 1 << 4,  /* write: store compressed where the format can */
    BLK_PREFETCH = 1 << 5,          /* read: bring it up, the data is not wanted */
};

typedef struct BlkReq BlkReq;
struct BlkReq {
    /* the submitter's */
    Blk *blk;
    BlkOp op;
    unsigned flags;
    uint64_t off, len;
    const struct iovec *iov;        /* read, write: exactly len bytes */
    unsigned iovcnt;
    void (*done)(BlkReq *req, int result);
    void *opaque;
    Loop *loop;                     /* where it runs and is done; NULL: blk_loop() */
    /* inside */
    LoopPost post;
    BlkReq *next;                   /* while held by a drain */
    int cancelled;
    int64_t begin;                  /* when it came, where that is counted */
    ThrottleWait wait;              /* for its turn */
    bool limited;                   /* which has come */
    bool turn_taken;                /* blk_take_turn(): waits for none */
    bool inside;                    /* in blk_submit(), which done() must not be called from */
    int result;
};
void blk_submit(BlkReq *req);
/*
 * Before blk_submit(): the disk's limits (block/throttle.h) in the caller's time instead of the host's.  How long after `now` (ns) the request would
 * begin; it goes below at once, and the caller keeps its end back as long.  `throttle` nodes below go by the host's time.
 */
int64_t blk_take_turn(BlkReq *req, int64_t now);
/* A request, not a command: done() is still called, with -ECANCELED if it had not begun. */
void blk_cancel(BlkReq *req);

/* ---- what a handle has done (block/stats.h); handles with a name or a device are counted ---- */
typedef struct BlkStats BlkStats;
BlkStats *blk_stats(Blk *b);
/* A request that a device refused before it was one: outside of the disk, not aligned. */
void blk_invalid(Blk *b, BlkOp op);
/*
 * A request of a device has failed (error: a positive errno value) and this is what the device does: BLOCK_IO_ERROR goes out, and with
 * BLK_ERROR_STOP the disk's state says why the machine stands.  Any thread, the request not yet answered.
 */
typedef enum { BLK_ERROR_REPORT, BLK_ERROR_IGNORE, BLK_ERROR_STOP } BlkErrorAction;
void blk_report_error(Blk *b, BlkOp op, int error, BlkErrorAction action);
/* `io-status` of query-block: a device that stops for errors says OK when it begins and when the machine goes on. */
typedef enum { BLK_IO_NO_STATUS, BLK_IO_OK, BLK_IO_FAILED, BLK_IO_NOSPACE } BlkIoStatus;
void blk_set_io_status(Blk *b, BlkIoStatus status);
const char *blk_io_status(const Blk *b);                /* "nospace"; NULL: no state */
/* The device that the handle belongs to, as its path; for info.  NULL: none. */
void blk_set_device(Blk *b, const char *path);
const char *blk_device(const Blk *b);

/* ---- straight-line I/O ---- */
int blk_read(Blk *b, uint64_t off, void *buf, uint64_t len, unsigned flags);
int blk_write(Blk *b, uint64_t off, const void *buf, uint64_t len, unsigned flags);
int blk_readv(Blk *b, uint64_t off, const struct iovec *iov, unsigned n, uint64_t len, unsigned flags);
int blk_writev(Blk *b, uint64_t off, const struct iovec *iov, unsigned n, uint64_t len, unsigned flags);
int blk_flush(Blk *b);
int blk_discard(Blk *b, uint64_t off, uint64_t len);
int blk_zeroes(Blk *b, uint64_t off, uint64_t len, unsigned flags);
/* Copy between disks; the host's file system may share the blocks.  -ENOTSUP when it cannot be handed down: read and write instead. */
int blk_copy(Blk *from, uint64_t from_off, Blk *to, uint64_t to_off, uint64_t len, unsigned flags);
typedef enum { BLK_PREALLOC_OFF, BLK_PREALLOC_METADATA, BLK_PREALLOC_FALLOC, BLK_PREALLOC_FULL } BlkPrealloc;
bool blk_resize(Blk *b, uint64_t size, BlkPrealloc prealloc, Error **errp);

/* ---- what is where ---- */
enum {
    BLK_EXT_DATA = 1 << 0,          /* read from storage */
    BLK_EXT_ZERO = 1 << 1,          /* reads as zeroes */
    BLK_EXT_ALLOCATED = 1 << 2,     /* this layer answers, not its backing file */
    BLK_EXT_OFFSET = 1 << 3,        /* `offset` in `node`'s file holds it as it is */
    BLK_EXT_COMPRESSED = 1 << 4,
    BLK_EXT_EOF = 1 << 5,           /* ends at the end of the disk */
};
typedef struct BlkExtent {
    uint64_t len;
    unsigned flags;
    uint64_t offset;
    BlkNode *node;                  /* whose file `offset` is in; borrowed */
    unsigned depth;                 /* layers below the top that were passed */
} BlkExtent;
/* The first extent of a range, at least one byte, of the top layer alone, or of the chain down to the end and the holes of its files. */
int blk_status(Blk *b, uint64_t off, uint64_t len, bool chain, BlkExtent *out);

/* ---- drain ---- */
/*
 * From begin to end no request is in flight and new ones wait.  Main thread,
 * not from callbacks of the loop it runs; ends, because every request does.
 * Nests.
 */
void blk_drain_begin(Blk *b);
void blk_drain_end(Blk *b);
void blk_drain_all_begin(Session *s);
void blk_drain_all_end(Session *s);
unsigned blk_in_flight(const Blk *b);
/* Flush every disk of a session (the machine stops); the first error. */
int blk_flush_all(Session *s);

#endif
