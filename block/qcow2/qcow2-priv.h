/* SPDX-License-Identifier: MIT */
/*
 * Inside of the qcow2 driver.  Facts: the format's specification ("The QCOW2
 * image format", docs/interop/qcow2 of its project's manual).
 *
 * One FiberMutex guards all metadata; data moves outside of it.  Tables are
 * cached in slices of at most 4 KiB (16 KiB where an image is gone through
 * once) and written back in the order that docs/block-crash.md gives:
 *
 *     refcounts grow -> (flush) -> L2 -> (flush) -> L1 -> flush -> refcounts shrink
 *
 * so that what the disk holds at any moment has no cluster referenced more
 * often than counted, and no flushed byte out of reach.
 */
#ifndef BLOCK_QCOW2_QCOW2_PRIV_H
#define BLOCK_QCOW2_QCOW2_PRIV_H

#include "block/driver.h"
#include "block/image.h"
#include "block/luks/luks.h"
#include "util/bswap.h"

#define QCOW2_MAGIC 0x514649fb          /* "QFI" 0xfb */

/* Header fields, big endian, by offset. */
enum {
    H_MAGIC = 0, H_VERSION = 4, H_BACKING_OFFSET = 8, H_BACKING_SIZE = 16, H_CLUSTER_BITS = 20, H_SIZE = 24, H_CRYPT = 32, H_L1_SIZE = 36,
    H_L1_OFFSET = 40, H_REFTABLE_OFFSET = 48, H_REFTABLE_CLUSTERS = 56, H_SNAPSHOTS = 60, H_SNAPSHOTS_OFFSET = 64,
    H_INCOMPATIBLE = 72, H_COMPATIBLE = 80, H_AUTOCLEAR = 88, H_REFCOUNT_ORDER = 96, H_LENGTH = 100, H_COMPRESSION = 104,
    H_V2_LENGTH = 72, H_V3_LENGTH = 104, H_OUR_LENGTH = 112,
};
enum { INCOMPAT_DIRTY = 1, INCOMPAT_CORRUPT = 2, INCOMPAT_DATA_FILE = 4, INCOMPAT_COMPRESSION = 8, INCOMPAT_EXTL2 = 16, INCOMPAT_KNOWN = 31 };
enum { COMPAT_LAZY = 1 };
enum { AUTOCLEAR_BITMAPS = 1, AUTOCLEAR_RAW = 2 };
enum { EXT_END = 0, EXT_BACKING_FORMAT = 0xe2792aca, EXT_FEATURES = 0x6803f857, EXT_BITMAPS = 0x23852875, EXT_CRYPT = 0x0537be77, EXT_DATA_FILE = 0x44415441 };

/* Entries of L1 and L2. */
#define E_COPIED (1ull << 63)           /* refcount is exactly one: may be written in place */
#define E_COMPRESSED (1ull << 62)
#define E_ZERO 1ull
#define E_OFFSET 0x00fffffffffffe00ull
#define L1_RESERVED (~(E_COPIED | E_OFFSET))
#define L2_RESERVED (~(E_COPIED | E_COMPRESSED | E_OFFSET | E_ZERO))     /* of entries that are not compressed */

enum { MAX_L1_BYTES = 32 << 20, MAX_REFTABLE_BYTES = 8 << 20, SLICE = 4096, SLICE_ONCE = 16384, MAX_SNAPSHOTS = 65536 };

/* ---- cache of table slices (cache.c) ---- */
typedef struct QEntry {
    uint64_t offset;                    /* in the file; 0: unused */
    uint8_t *data;
    unsigned next;                      /* in its bucket, 1-based */
    bool dirty, used;
} QEntry;

typedef struct QCache {
    QEntry *entries;
    unsigned count, max;                /* made; allowed */
    unsigned *buckets;
    unsigned mask;
    unsigned hand;                      /* of the clock */
    unsigned dirty;
    unsigned slice;                     /* bytes */
    uint64_t low, high;                 /* what is in it lies between; for the many clusters of data that are given back */
} QCache;

/* ---- a request that changes what others may rely on ---- */
typedef struct QOp {
    uint64_t start, end;                /* guest offsets, whole clusters */
    enum { OP_WRITE, OP_ALLOC, OP_EXCLUSIVE } kind;
    struct QOp *next;
} QOp;

typedef struct QRun {
    uint64_t offset, clusters;
} QRun;

typedef struct QBitmap {
    char *name;
    unsigned flags;                     /* 1: in use (inconsistent), 2: auto */
    unsigned granularity_bits;
    uint64_t table_offset;
    uint32_t table_size;
} QBitmap;

typedef struct QSnapshot {
    BlkSnapshot info;
    uint64_t l1_offset;
    uint32_t l1_size;
    uint8_t *unknown;                   /* extra data that we do not know, kept */
    uint32_t unknown_size;
} QSnapshot;

typedef struct QPacker QPacker;

typedef struct Qcow2 {
    /* geometry */
    unsigned version, cluster_bits, l2_bits, l2_entry_size, sc_per_cluster, sc_bits;
    uint64_t cluster_size, sc_size;
    unsigned refcount_order;            /* log2 of the bits of a refcount */
    uint64_t refcount_max;
    unsigned refblock_bits;             /* log2 of the refcounts in a block */
    /* header */
    uint64_t incompatible, compatible, autoclear;
    uint32_t header_length, crypt, compression;
    uint64_t crypt_offset, crypt_length;        /* LUKS: where its header is */
    Luks luks;
    SectorCipher *aes;                  /* of old images */
    uint8_t *unknown_header;            /* fields behind those we know, kept */
    GPtrArray *unknown_ext;             /* extensions kept as they are: GBytes with their headers */
    bool raw_data_file;
    char *data_file_name;
    BlkNode *data;                      /* where clusters of data are: the file, or the data file */
    bool external;                      /* the latter */
    /* tables in memory, host endian */
    uint64_t *l1;
    uint32_t l1_size;
    uint64_t l1_offset;
    bool l1_dirty;
    uint64_t *reftable;
    uint32_t reftable_size;             /* entries */
    uint64_t reftable_offset;
    bool reftable_dirty;
    uint64_t snapshots_offset, snapshots_bytes;
    GPtrArray *snapshots;               /* QSnapshot */
    uint64_t bitmaps_offset, bitmaps_bytes;
    uint32_t bitmaps_count;
    QCache l2, ref;
    uint64_t gap_start, gap_end;        /* status found nothing here: chains ask again and again; emptied when an entry changes */
    /* work */
    FiberMutex lock;
    QOp *ops;
    FiberQueue ops_wait;                /* under `ops_lock`: whoever waits for an op to end */
    IoLock ops_lock;
    uint64_t free_hint;                 /* cluster index below which none is free */
    uint64_t fresh_from;                /* host offsets from here on have never been written: they read as zeroes */
    uint64_t free_byte;                 /* where the next compressed cluster may begin, on a cluster's boundary: in none; 0: none */
    uint64_t tails[8];                  /* the same, left behind: for one that fits in whole */
    GArray *frees[2];                   /* QRun: to be given back when the tables are on disk and their readers gone */
    unsigned frees_now;
    unsigned readers[2];                /* atomic */
    QPacker *packers;                   /* idle; with all of these under `packers_lock` */
    unsigned packers_made, packers_max;
    uint64_t turns, turn;               /* of storing what was packed: given, and the one that it is */
    FiberQueue packers_wait, turn_wait;
    IoLock packers_lock;
    bool metadata_written;              /* since the last flush of the file */
    bool broken;                        /* a failed write left memory and disk apart: no more writes */
} Qcow2;

static inline Qcow2 *q2(BlkNode *n)
{
    return n->state;
}

static inline uint64_t q_clusters(const Qcow2 *s, uint64_t bytes)
{
    return (bytes >> s->cluster_bits) + ((bytes & (s->cluster_size - 1)) != 0);
}

static inline unsigned q_l1_shift(const Qcow2 *s)
{
    return s->cluster_bits + s->l2_bits;
}

/* Whether a piece of the file was never written; from now on it has been. */
static inline bool q_take_fresh(Qcow2 *s, uint64_t offset, uint64_t bytes)
{
    bool fresh = offset >= s->fresh_from;

    s->fresh_from = MAX(s->fresh_from, offset + bytes);
    return fresh;
}

/* ---- header.c ---- */
bool qcow2_read_header(BlkNode *n, Error **errp);
int qcow2_write_header(BlkNode *n);             /* whole first cluster from the fields above and the node's backing name */
int qcow2_set_incompatible(BlkNode *n, uint64_t bits, bool on);
bool qcow2_extensions_ok(BlkNode *n, Error **errp);
GPtrArray *qcow2_bitmaps(BlkNode *n);           /* of QBitmap */

void qcow2_bitmap_free(void *q);

/* ---- bitmap.c ---- */
bool qcow2_bitmaps_load(BlkNode *n, Error **errp);
int qcow2_bitmaps_store(BlkNode *n);
int qcow2_bitmaps_mark_in_use(BlkNode *n);
bool qcow2_bitmap_can_store(BlkNode *n, const char *name, Error **errp);
bool qcow2_bitmap_remove(BlkNode *n, const char *name, Error **errp);

/* ---- cache.c; under the lock ---- */
void qcache_init(QCache *c, unsigned slice, unsigned max);
void qcache_free(QCache *c);
/* The slice of a table at `offset` of the file; *data stays good until the next call on the cache. */
int qcache_get(BlkNode *n, QCache *c, uint64_t offset, QEntry **out);
/* The same for a slice that is known to be all zeroes and need not be read. */
int qcache_new(BlkNode *n, QCache *c, uint64_t offset, QEntry **out);
void qcache_dirty(QCache *c, QEntry *e);
int qcache_write(BlkNode *n, QCache *c);        /* all dirty slices; no flush */
void qcache_forget(QCache *c, uint64_t offset, uint64_t len);
void qcache_drop(QCache *c);                    /* everything; none is dirty */
/* Metadata to the disk in the right order; `durable`: with the last flush too. */
int qcow2_meta_flush(BlkNode *n, bool durable);
void qcow2_free_later(Qcow2 *s, uint64_t offset, uint64_t clusters);
int qcow2_apply_frees(BlkNode *n);
/* Everything on disk, with what is still to be given back: no request is at work, and the lock is held. */
int qcow2_settle(BlkNode *n);

/* ---- refcount.c; under the lock ---- */
int qcow2_refcount_open(BlkNode *n);            /* the table, where it is not there yet: with the lock, or nobody else */
int qcow2_refcount_get(BlkNode *n, uint64_t cluster, uint64_t *out);
/* Those of a run: *number comes back smaller where a slice ends. */
int qcow2_refcount_get_run(BlkNode *n, uint64_t cluster, uint64_t *out, unsigned *number);
/* Add `delta` to the counts of a run of clusters. */
int qcow2_refcount_add(BlkNode *n, uint64_t offset, uint64_t clusters, int delta);
/* A run of free clusters, counted once: *clusters may come back smaller unless `all`.  Returns its offset or a negative errno. */
int64_t qcow2_alloc(BlkNode *n, uint64_t *clusters, bool all);
int64_t qcow2_alloc_bytes(BlkNode *n, unsigned bytes);  /* for compressed data */
/* Bytes in clusters of their own (0: there are none), they and all tables on the disk: what names them may follow.  Their offset or a negative errno. */
int64_t qcow2_write_new(BlkNode *n, const GByteArray *bytes);
uint64_t qcow2_count_in(const Qcow2 *s, const uint8_t *block, uint64_t index);
void qcow2_count_out(const Qcow2 *s, uint8_t *block, uint64_t index, uint64_t value);

/* ---- rebuild.c; under the lock, with nothing dirty ---- */
typedef struct {
    uint64_t clusters;                  /* of the file */
    uint64_t (*get)(const void *opaque, uint64_t cluster);      /* how often it is referred to, not counting the counts' own table and blocks */
    const void *opaque;
} QRefs;
/* Has each cluster that is referred to a place for its count, and have table and blocks their places to themselves? */
bool qcow2_counts_sound(BlkNode *n, const QRefs *refs);
/* All counts anew, from the references, behind the end of the file.  *end: clusters of the file then.  -EINVAL: one is more than the image can say. */
int qcow2_rebuild_counts(BlkNode *n, const QRefs *refs, uint64_t *end);

/* ---- l2.c; under the lock ---- */
typedef enum { Q_UNALLOCATED, Q_ZERO, Q_ZERO_ALLOCATED, Q_NORMAL, Q_COMPRESSED, Q_INVALID } QType;
typedef struct QL2 {
    QEntry *slice;
    unsigned index;                     /* of the entry in the slice */
    unsigned left;                      /* entries from here to the slice's end */
} QL2;
/* The entry for a guest offset.  Without `make` and without a table: slice NULL, and *out->left entries are unallocated. */
int qcow2_l2_find(BlkNode *n, uint64_t off, bool make, QL2 *out);
static inline uint64_t qcow2_l2_entry(const Qcow2 *s, const QL2 *at, unsigned i)
{
    return at->slice ? ldq_be_p(at->slice->data + (at->index + i) * s->l2_entry_size) : 0;
}
static inline uint64_t qcow2_l2_bitmap(const Qcow2 *s, const QL2 *at, unsigned i)
{
    return at->slice && s->l2_entry_size == 16 ? ldq_be_p(at->slice->data + (at->index + i) * 16 + 8) : 0;
}
void qcow2_l2_set(Qcow2 *s, const QL2 *at, unsigned i, uint64_t entry, uint64_t bitmap);
QType qcow2_type(const Qcow2 *s, uint64_t entry, uint64_t bitmap, unsigned sc);
void qcow2_compressed_place(const Qcow2 *s, uint64_t entry, uint64_t *offset, uint64_t *bytes);
/* Give up what an entry refers to. */
void qcow2_l2_release(Qcow2 *s, uint64_t entry);
int qcow2_l1_grow(BlkNode *n, uint64_t entries);
int qcow2_l1_write(BlkNode *n);
/* Write a table of host-endian 64-bit words. */
int qcow2_write_words(BlkNode *n, uint64_t offset, const uint64_t *words, uint64_t count);
int qcow2_read_words(BlkNode *n, uint64_t offset, uint64_t *words, uint64_t count);

/* ---- io.c ---- */
int qcow2_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags);
int qcow2_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags);
int qcow2_copy(BlkNode *from, uint64_t from_off, BlkNode *n, uint64_t off, uint64_t len, unsigned flags);
int qcow2_flush(BlkNode *n);
int qcow2_discard(BlkNode *n, uint64_t off, uint64_t len);
int qcow2_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags);
int qcow2_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out);
void qcow2_op_begin(BlkNode *n, QOp *op);       /* with the lock; may release and take it again while it waits */
void qcow2_op_end(BlkNode *n, QOp *op);
/* Nobody else writes until the end; with the lock held on return. */
void qcow2_exclusive_begin(BlkNode *n, QOp *op);
void qcow2_exclusive_end(BlkNode *n, QOp *op);

/* ---- compress.c ---- */
int qcow2_read_compressed(BlkNode *n, uint64_t entry, uint64_t in_cluster, uint64_t len, BlkVec v);
int qcow2_write_compressed(BlkNode *n, uint64_t off, uint64_t len, BlkVec v);
bool qcow2_compression_known(unsigned type);
void qcow2_packers_free(Qcow2 *s);

/* ---- crypt.c ---- */
enum { QCOW2_CRYPT_NONE = 0, QCOW2_CRYPT_AES = 1, QCOW2_CRYPT_LUKS = 2 };
bool qcow2_crypt_open(BlkNode *n, Json *o, Error **errp);
void qcow2_crypt_free(Qcow2 *s);
/* Data of the guest, encrypted or not: its places in the file and in the disk. */
int qcow2_data_read(BlkNode *n, uint64_t host, uint64_t guest, uint64_t len, BlkVec v, unsigned flags);
int qcow2_data_write(BlkNode *n, uint64_t host, uint64_t guest, uint64_t len, BlkVec v, unsigned flags);
Json *qcow2_crypt_info(const Qcow2 *s);
bool qcow2_crypt_amend(BlkNode *n, Json *o, bool force, Error **errp);
bool qcow2_crypt_plan(Qcow2 *s, const Json *o, Error **errp);
bool qcow2_crypt_make(Qcow2 *s, BlkNode *file, Session *session, const Json *o, Error **errp);

/* ---- amend.c ---- */
extern const OptKey qcow2_amend_keys[];
bool qcow2_amend(BlkNode *n, Json *o, bool force, Error **errp);

/* ---- the rest ---- */
extern const OptKey qcow2_create_keys[];
bool qcow2_create(Session *s, const char *filename, Json *options, Error **errp);
bool qcow2_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp);
int qcow2_preallocate(BlkNode *n, uint64_t from, uint64_t to, BlkPrealloc prealloc);
extern const BlkImageOps qcow2_image_ops;
int qcow2_check(BlkNode *n, BlkCheck *c);
bool qcow2_size_fits(uint64_t size, unsigned cluster_bits, bool extended, Error **errp);        /* may a disk be so large? */
bool qcow2_measure(Json *options, Blk *source, BlkMeasure *out, Error **errp);
int qcow2_snapshots_read(BlkNode *n, Error **errp);
bool qcow2_snapshot_create(BlkNode *n, BlkSnapshot *sn, Error **errp);
bool qcow2_snapshot_apply(BlkNode *n, const char *id, Error **errp);
bool qcow2_snapshot_delete(BlkNode *n, const char *id, Error **errp);
bool qcow2_snapshot_load(BlkNode *n, const char *id, Error **errp);
GPtrArray *qcow2_snapshot_list(BlkNode *n);
void qcow2_snapshot_free(QSnapshot *sn);
QSnapshot *qcow2_snapshot_find(Qcow2 *s, const char *id_or_name);
/* Count a whole tree once more, or once less; errors going down are leaks and no more. */
int qcow2_count_tree(BlkNode *n, const uint64_t *l1, uint32_t size, int delta);

/* ---- vmstate.c ---- */
uint32_t qcow2_disk_entries(const Qcow2 *s, uint64_t size);     /* of L1, for a disk */
int qcow2_vmstate_write(BlkNode *n, uint64_t off, const void *buf, uint64_t len);
int qcow2_vmstate_read(BlkNode *n, const char *snapshot, uint64_t off, void *buf, uint64_t len);
int qcow2_vmstate_drop(BlkNode *n);
Json *qcow2_info(BlkNode *n);

#endif
