/* SPDX-License-Identifier: MIT */
/*
 * Drivers: what a file format, protocol or filter gives the block layer.
 *
 * A driver is one const row (BLK_DRIVER).  All calls but those marked run in
 * fibers, on any loop, several at a time; a driver locks what it shares with
 * FiberMutex (across waits) or IoLock.  Requests reach it within the disk's
 * size, aligned to node->align, writes only to writable nodes.  Vectors are
 * BlkVec: a list of pieces with a start, so that a request can be cut without
 * copying lists.
 *
 * Graph changes (children, open, close, perm) happen on the main loop while
 * the nodes concerned are drained.
 */
#ifndef BLOCK_DRIVER_H
#define BLOCK_DRIVER_H

#include "block/block.h"
#include "io/fiber.h"
#include "util/lsection.h"
#include "util/options.h"

/* ---- vectors ---- */
typedef struct BlkVec {
    const struct iovec *iov;
    unsigned n;
    uint64_t skip;                  /* bytes of the list before the request's first */
} BlkVec;
static inline BlkVec blk_vec_from(BlkVec v, uint64_t skip)
{
    v.skip += skip;
    return v;
}
void blk_vec_read(BlkVec v, void *buf, uint64_t len);           /* vector -> buf */
void blk_vec_write(BlkVec v, const void *buf, uint64_t len);    /* buf -> vector */
void blk_vec_fill(BlkVec v, uint8_t byte, uint64_t len);
bool blk_vec_is_zero(BlkVec v, uint64_t len);
/* One piece of buf. */
#define BLK_VEC1(buf_, len_) ((BlkVec){ &(struct iovec){ (void *)(buf_), (len_) }, 1, 0 })

/* ---- edges ---- */
typedef enum {
    BLK_CHILD_FILE,                 /* holds this node's metadata and data */
    BLK_CHILD_DATA,                 /* holds data only */
    BLK_CHILD_BACKING,              /* answers for what is not here */
    BLK_CHILD_FILTERED,             /* this node only looks at what passes */
    BLK_CHILD_ROOT,                 /* of a Blk */
} BlkRole;
typedef struct BlkChild BlkChild;
struct BlkChild {
    BlkNode *node;                  /* below */
    BlkNode *parent;                /* above; NULL for a root */
    Blk *blk;                       /* root: whose */
    const char *name;               /* "file", "backing", "data-file" */
    BlkRole role;
    unsigned perm, shared;          /* granted */
    BlkChild *next;                 /* of the parent's children */
    BlkChild *next_user;            /* of the node's users */
};

typedef struct BlkDriver BlkDriver;
struct BlkNode {
    const BlkDriver *drv;
    Session *session;
    char *name;
    char *filename;                 /* for messages and info; "" when there is none */
    Json *options;                  /* as opened, for json: names and reopen */
    unsigned flags;                 /* BLK_O_ */
    unsigned refs;
    BlkChild *children;
    BlkChild *users;
    BlkChild *file;                 /* shortcuts into children */
    BlkChild *backing;
    uint64_t size;                  /* atomic; kept by the driver */
    uint32_t align;                 /* power of two; 1: any */
    uint32_t mem_align;             /* of buffers; 1: any */
    uint32_t cluster;               /* granularity of allocation; 0: none */
    unsigned perm, shared;          /* of all users together */
    bool read_only;
    uint64_t highest;               /* atomic: end of the farthest write */
    struct { uint64_t ok, failed, bytes; } discards;        /* atomic each; of protocols */
    bool detect_zeroes;             /* written zeroes become zeroes() */
    bool probed;                    /* nobody named the format */
    bool fixed;                     /* its size is not ours to change: a device, a window, another program's export; set by the driver's open */
    bool hears_drains;              /* it is counted as one of those */
    char *backing_name;             /* as the image says; set by the driver's open, opened by the layer after it */
    char *backing_format;           /* may be NULL: probe */
    bool backing_off;               /* the user said: not opened; the image goes on recording it */
    Json *backing_options;          /* given by the user instead */
    IoLock lock;                    /* of `tracked` */
    struct NodeWrite *tracked;      /* writes in flight, where unaligned ones must wait for others (align > 1) */
    FiberQueue tracked_wait;
    IoLock bitmaps_lock;
    struct BlkBitmap *bitmaps;      /* block/bitmap.h */
    struct BlkJob *job;             /* that needs the node as it is (block/job/job.h) */
    uint64_t write_gen;             /* atomic: counts changes, for flush */
    uint64_t flush_gen;
    void *state;                    /* of drv->state_size, zeroed */
};

/* ---- the row ---- */
enum { BLK_DRV_PROTOCOL = 1, BLK_DRV_FORMAT = 2, BLK_DRV_FILTER = 4 };

struct BlkDriver {
    const char *name;
    const char *help;
    unsigned kind;
    size_t state_size;
    const OptKey *options;          /* beside the ones that all nodes have */
    const char *prefix;             /* protocol: of file names, "nbd:" or "nbd://|nbd+unix://" separated by '|' */
    const char *view_options;       /* "offset|size": a node that has one of them is not what its file's name would open */
    const char *use_options;        /* "aio|locking": how a node is used, which says nothing of its bytes */
    bool needs_filename;
    bool own_filename;              /* protocol: open() sets the node's file name as it is to be printed */

    /* How sure are the first bytes of a file of this format: 0 to 100. */
    int (*probe)(const uint8_t *buf, size_t len, const char *filename);
    /* Protocol: options from a name behind its prefix (NULL: {"filename": name}). */
    bool (*parse_filename)(const char *name, Json *options, Error **errp);

    bool (*open)(BlkNode *n, Json *options, Error **errp);      /* opens children with blk_open_child(); sets size */
    bool (*reopen_rw)(BlkNode *n, Error **errp);                /* was read-only, children are writable now; NULL: nothing to do */
    bool (*reopen_ro)(BlkNode *n, Error **errp);                /* will be read-only: the last chance to write; NULL: nothing to do */
    /*
     * Other options of those in `changes` ("aio|..."), or other flags: all that can fail, then commit (n->flags are the new
     * ones) or abort with what prepare returned; both free it.  NULL: only what the layer itself does can change.
     */
    const char *changes;
    void *(*reopen_prepare)(BlkNode *n, Json *options, unsigned flags, Error **errp);
    void (*reopen_commit)(BlkNode *n, void *state);
    void (*reopen_abort)(BlkNode *n, void *state);
    void (*close)(BlkNode *n);                                  /* children are closed by the layer, after */
    /* A child's edge leads to another node than `before` now; for drivers that keep more than the edge.  Drained; may be taken back by another call. */
    void (*child_moved)(BlkNode *n, const BlkChild *c, const BlkNode *before);
    /* `below` is about to answer for what is not in n: is it what n was made over?  NULL: anything may. */
    bool (*backing_is)(BlkNode *n, BlkNode *below, Error **errp);
    /* Asks of a child for what users do with the node; NULL: by role. */
    void (*child_perm)(BlkNode *n, BlkChild *c, unsigned perm, unsigned shared, unsigned *child_perm, unsigned *child_shared);
    /* Locks of the host: take what is new (fail: as before), then drop the rest.  Not in a fiber. */
    bool (*perm_prepare)(BlkNode *n, unsigned perm, unsigned shared, Error **errp);
    void (*perm_commit)(BlkNode *n, unsigned perm, unsigned shared);
    void (*perm_abort)(BlkNode *n);

    /* A user is drained, from `on` until off: nothing that it has asked for may wait for time to pass.  Main loop, not in a fiber. */
    void (*drain)(BlkNode *n, bool on);

    int (*read)(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags);
    int (*write)(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags);
    int (*write_compressed)(BlkNode *n, uint64_t off, uint64_t len, BlkVec v);
    int (*flush)(BlkNode *n);                   /* NULL: of the file child */
    int (*discard)(BlkNode *n, uint64_t off, uint64_t len);     /* may do less; -ENOTSUP is fine */
    int (*zeroes)(BlkNode *n, uint64_t off, uint64_t len, unsigned flags);  /* -ENOTSUP: the layer writes them */
    int (*status)(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out);  /* NULL: all data */
    int (*copy)(BlkNode *from, uint64_t from_off, BlkNode *to, uint64_t to_off, uint64_t len, unsigned flags);
    bool (*resize)(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp);
    int64_t (*allocated)(BlkNode *n);           /* bytes on the host's disk; NULL: of the file child */

    /* ---- images ---- */
    /* Protocol: what is at this name is emptied (or made), and is a file of `size` bytes or at least as long; NULL: images are not created over it. */
    bool (*make)(Session *s, const char *filename, uint64_t size, Error **errp);
    const OptKey *create_options;               /* in the order in which they are printed */
    bool (*create)(Session *s, const char *filename, Json *options, Error **errp);
    bool preallocates;                          /* create() sees to the option of this name; else the host's file is filled after it */
    const struct BlkImageOps *image;            /* more of a format (block/image.h) */
    bool fua;                                   /* write and zeroes honour BLK_FUA themselves */
    bool as_long_as_file;                       /* a format that is as long as its file child, but for a header */
    bool has_backing;                           /* the format can name a backing file */
    bool zero_init;                             /* a fresh image reads as zeroes (blk_fresh_is_zero: if what is below does) */
};
/* What a filter with one such child looks at; NULL for all else. */
static inline BlkNode *blk_filtered(const BlkNode *n)
{
    unsigned count = 0;

    if (!(n->drv->kind & BLK_DRV_FILTER) || !n->file || n->file->role != BLK_CHILD_FILTERED) {
        return NULL;
    }
    for (const BlkChild *c = n->children; c; c = c->next) {
        count += c->role == BLK_CHILD_FILTERED;
    }
    return count == 1 ? n->file->node : NULL;
}
#define BLK_DRIVER(row) ROW_IN_SECTION(blk_drivers, BlkDriver, row)

const BlkDriver *blk_driver_find(const char *name);
/* Of what holds an image of this name; NULL: error set. */
const BlkDriver *blk_protocol_of(const char *filename, Error **errp);
/* Sorted by name, NULL at the end; the array is the caller's. */
const BlkDriver **blk_drivers(void);
/* The driver that the bytes look like, "raw" when none. */
const BlkDriver *blk_driver_probe(const uint8_t *buf, size_t len, const char *filename);

/* May something lie below n: a backing file, open or only named (who opened the image without it will not be the last)? */
static inline bool node_has_below(const BlkNode *n)
{
    return n->backing || n->backing_name;
}

/* The image says so from now on; a format of nothing is none.  Both are copied. */
static inline void node_backing_named(BlkNode *n, const char *name, const char *format)
{
    g_free(n->backing_name);
    g_free(n->backing_format);
    n->backing_name = g_strdup(name);
    n->backing_format = g_strdup(name ? format : NULL);
}

/* ---- for a driver's open ---- */
/* Open the child that options[name] describes (a name of a node, an object, or dotted), or `filename` when they say nothing. */
BlkChild *blk_open_child(BlkNode *n, Json *options, const char *name, const char *filename, BlkRole role, unsigned flags, Error **errp);
BlkChild *blk_attach_child(BlkNode *n, BlkNode *child, const char *name, BlkRole role, Error **errp);
void blk_detach_child(BlkNode *n, BlkChild *c);
/* Is what lies below, behind filters, what n was made over (driver's backing_is)? */
bool blk_backing_is(BlkNode *n, BlkNode *below, Error **errp);
/* A name relative to the folder of `base`, unless absolute or with a protocol; caller frees. */
char *blk_path_combine(const char *base, const char *name);
bool blk_path_has_protocol(const char *path);
/* Ask again for permissions after node->read_only or the like changed. */
bool blk_refresh_perms(BlkNode *n, Error **errp);
void blk_node_resized(BlkNode *n, uint64_t size);       /* sets n->size and tells the users */

/* In the order of opening. */
void blk_nodes_foreach(Session *s, void (*fn)(BlkNode *n, void *opaque), void *opaque);

/* ---- I/O between nodes (fiber only) ---- */
int node_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags);
int node_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags);
int node_flush(BlkNode *n);
int node_discard(BlkNode *n, uint64_t off, uint64_t len);
int node_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags);
int node_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out);
/* Of the chain from n down to (not including) base; NULL: to its end. */
int node_status_chain(BlkNode *n, BlkNode *base, uint64_t off, uint64_t len, BlkExtent *out);
/* Where a format points at a hole of its file, the file's answer counts. */
int node_status_refine(BlkExtent *e);
/* Let the host copy, or share the blocks, when it can: -ENOTSUP is for all, -EINVAL for this range.  Nobody writes to it meanwhile. */
int node_copy(BlkNode *from, uint64_t from_off, BlkNode *to, uint64_t to_off, uint64_t len, unsigned flags);
bool node_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp);
bool node_fixed(const BlkNode *n);       /* no request can make it longer; what it is long is there to be used */
static inline int node_pread(BlkNode *n, uint64_t off, void *buf, uint64_t len)
{
    return node_read(n, off, len, BLK_VEC1(buf, len), 0);
}
static inline int node_pwrite(BlkNode *n, uint64_t off, const void *buf, uint64_t len)
{
    return node_write(n, off, len, BLK_VEC1(buf, len), 0);
}
/* Read what may reach beyond the end: zeroes there. */
int node_pread_padded(BlkNode *n, uint64_t off, void *buf, uint64_t len);
/* Memory fit for direct I/O; free with free(). */
void *blk_buffer(size_t len);
/* Read through a chain of any length: from the node itself, on a fresh stack when this one is nearly used up. */
int node_read_below(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags);
/* Run fn in a fiber and wait, wherever this is called from: the bridge of all straight-line calls. */
void blk_run(Loop *loop, FiberFn *fn, void *opaque);
static inline uint64_t node_size(const BlkNode *n)
{
    return __atomic_load_n(&n->size, __ATOMIC_RELAXED);
}

#endif
