/* SPDX-License-Identifier: MIT */
/*
 * Grains: what formats share that keep a disk in pieces of one size and a
 * table of where each piece lies.  A format's state begins with a Grains; it
 * says how to find a grain, where a new one goes and how its entry is written
 * (GrainOps), and takes grains_read() and the rest as its driver functions.
 *
 * Tables are read through a cache of pages of the file (meta_read(),
 * meta_write()), so opening costs nothing however large a table claims to be,
 * and memory stays bounded.  Changed pages stay in memory until the next
 * flush; then they go out by level, with a flush of the file before each:
 *
 *     data -> flush -> level 0 -> flush -> level 1 -> flush -> level 2 -> flush
 *
 * What an entry names is on the medium before the entry is, and a place is
 * handed out again only when the entry that named it has left the medium, and
 * nobody reads or writes there: the whole argument of docs/block-crash.md for
 * these formats (block/grains-free.c).
 *
 * The lock is held by ops while they run, and by the layer here through the
 * making of a new grain; reads and writes of grains that exist go without it.
 */
#ifndef BLOCK_GRAINS_H
#define BLOCK_GRAINS_H

#include "block/driver.h"
#include "block/image.h"

/* GRAIN_PART: the grain has a place, but these bytes of it come from below; p->offset is where they would be. */
typedef enum { GRAIN_ABSENT, GRAIN_ZERO, GRAIN_DATA, GRAIN_PACKED, GRAIN_PART } GrainKind;

typedef struct GrainPlace {
    GrainKind kind;
    BlkNode *file;                  /* data, packed: where */
    uint64_t offset;                /* data: of the byte asked for; packed: of the packed bytes */
    uint64_t packed;                /* how many of those at most */
    uint64_t want;                  /* of those asking: bytes from that one that are of interest; a find may look so far, and need not */
    uint64_t run;                   /* bytes from the one asked for of which all this is true */
    uint64_t start, size;           /* the grain, in the disk; size 0: cannot be made (a hole in a fixed place) */
    void *part;                     /* the format's own: which extent */
    bool reused;                    /* a place that was given back before */
    uint32_t method;                /* the format's own: how it is packed */
    bool whole;                     /* place, link: all of the grain will be there */
} GrainPlace;

typedef struct GrainOps {
    /* Where is the grain of `off`?  run and start, size are filled in as one grain before the call. */
    int (*find)(BlkNode *n, uint64_t off, GrainPlace *out);
    /* A place for the grain at p->start, at the end of what is used: p->file and p->offset, of the grain's first byte. */
    int (*place)(BlkNode *n, GrainPlace *p);
    /* It was placed and will not be linked: what was to be there could not be written.  NULL: the place is lost. */
    void (*unplace)(BlkNode *n, const GrainPlace *p);
    /* The entry says so from now on (meta_write). */
    int (*link)(BlkNode *n, const GrainPlace *p);
    /* The entry says that the grain is zeroes; NULL: the format has no such entry. */
    int (*link_zero)(BlkNode *n, const GrainPlace *p);
    /* The entry says that nothing is there; NULL: the format has no such entry, or none to go back to. */
    int (*unlink)(BlkNode *n, const GrainPlace *p);
    /*
     * A file that cannot grow is used up to where?  g->next or the format's own says so from then on.  Before the first write, and after another
     * file took the place of one; NULL: the format knows it anyway.
     */
    int (*find_end)(BlkNode *n);
    /* A place that no entry names any more may be given to another grain of its size. */
    bool reuses;
    /* Unpack a grain into p->size bytes. */
    int (*unpack)(BlkNode *n, const GrainPlace *p, uint8_t *buf);
    /* Pack p->size bytes, write them and link them. */
    int (*pack)(BlkNode *n, GrainPlace *p, const uint8_t *buf);
    /*
     * These sectors of a grain that has its place are here now, their data is written.  A format that has this keeps grains in parts: a new one
     * gets what is written and no more.  NULL: grains are whole.
     */
    int (*mark)(BlkNode *n, const GrainPlace *p, uint64_t off, uint64_t len);
    /* Before a grain that is there is written. */
    int (*touch)(BlkNode *n, const GrainPlace *p);
    /* Before the first write since the image was opened. */
    int (*begin)(BlkNode *n);
    /* After data is on the medium: write what is dirty another way than above (a log). */
    int (*sync)(BlkNode *n, bool durable);
    /* After the tables, before the last flush of a durable sync. */
    int (*synced)(BlkNode *n);
    /* Encrypted data: whole sectors of 512 bytes at `off` of the disk. */
    int (*decode)(BlkNode *n, uint64_t off, uint8_t *buf, uint64_t len);
    int (*encode)(BlkNode *n, uint64_t off, uint8_t *buf, uint64_t len);
} GrainOps;

enum { META_PAGE = 4096, META_SECTOR = 512, META_LEVELS = 3 };

typedef struct MetaPage {
    BlkNode *file;
    uint64_t offset;
    uint8_t level[META_PAGE / META_SECTOR];     /* 0: clean; else its level + 1 */
    bool dirty, used;
    uint8_t data[META_PAGE];
} MetaPage;

typedef struct Grains {
    const GrainOps *ops;
    uint64_t grain;                 /* bytes, where all are of one size */
    bool absent_is_zero;            /* no backing file: an absent grain is this layer's zeroes */
    FiberMutex lock;
    bool begun;                     /* ops->begin() has run */
    bool end_known;                 /* ops->find_end() has run */
    uint64_t next;                  /* for ops->place: where the next grain goes, 0: not known yet */
    /* space given back */
    IoLock uses_lock;
    struct GrainUse *uses;          /* reads and writes of grains that run without the lock */
    GArray *dropped;                /* places (GrainRun) that the tables in memory do not name, those on the medium perhaps */
    GArray *spare;                  /* that nothing names: free to be used */
    /* cache of tables */
    GHashTable *index;
    GPtrArray *pages;
    unsigned hand, dirty;
    /* the grain unpacked last */
    uint8_t *unpacked;
    uint64_t unpacked_size, unpacked_start;
} Grains;

/* Places in a row, of grains of one size. */
typedef struct GrainRun {
    BlkNode *file;
    void *part;
    uint64_t offset, len, size;
} GrainRun;

/* Lives on the stack of who uses a grain's place. */
typedef struct GrainUse {
    uint64_t start, end;            /* in the disk */
    struct GrainUse *next, **link;
} GrainUse;

void grains_init(BlkNode *n, const GrainOps *ops, uint64_t grain);
/* Writes what is left and frees; on failure in open: without writing. */
void grains_close(BlkNode *n);
void grains_free(BlkNode *n);

/* Driver functions. */
int grains_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags);
int grains_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags);
int grains_write_compressed(BlkNode *n, uint64_t off, uint64_t len, BlkVec v);
int grains_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags);
int grains_discard(BlkNode *n, uint64_t off, uint64_t len);
int grains_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out);
int grains_flush(BlkNode *n);
/* New grains go behind the end of a file that grows; of one that does not, ops->find_end() has to know. */
static inline uint64_t format_end(const BlkNode *file)
{
    return node_fixed(file) ? 0 : node_size(file);
}
/* The file is made as long as that, if it is not. */
int format_reach(BlkNode *file, uint64_t end);
/* For ops->find_end: something lies at `at`; what is damaged and lies outside is none. */
static inline void format_in_use(uint64_t *end, const BlkNode *file, uint64_t at, uint64_t len)
{
    uint64_t size = node_size(file);

    if (at < size) {
        *end = MAX(*end, at + MIN(len, size - at));
    }
}
void grains_child_moved(BlkNode *n, const BlkChild *c, const BlkNode *before);
/* With the lock: all tables out; `durable` with the last flush. */
int grains_sync(BlkNode *n, bool durable);
/* With the lock: the steps before the first change. */
int grains_begin(BlkNode *n);

/* ---- between the files of the layer; lock held but for the end of a use ---- */
/* The grain of `off`, and as many behind it that have no place either, of the `want` bytes that are of interest, as the format's tables tell at once. */
int grains_find(BlkNode *n, uint64_t off, uint64_t want, GrainPlace *p);
void grains_forget_unpacked(Grains *g);
void grains_use_begin(Grains *g, GrainUse *u, uint64_t off, uint64_t len);
void grains_use_end(Grains *g, GrainUse *u);
/* May the grain lose its place for a request of [off, off + len)? */
bool grains_can_drop(BlkNode *n, const GrainPlace *p, uint64_t off, uint64_t len);
/* It reads as zeroes from now on, and its place is free one durable sync later. */
int grains_drop(BlkNode *n, const GrainPlace *p);
/* A place that was given back; false: there is none that fits. */
bool grains_take_spare(Grains *g, GrainPlace *p);
void grains_return_spare(Grains *g, const GrainPlace *p);
/* After a durable sync: what was dropped is free. */
void grains_release(BlkNode *n);
/* At the close: files end where their last place ends. */
void grains_trim(BlkNode *n);

/* ---- tables; lock held, or nobody else there yet ---- */
int meta_read(BlkNode *n, BlkNode *file, uint64_t off, void *buf, uint64_t len);
int meta_write(BlkNode *n, BlkNode *file, uint64_t off, const void *buf, uint64_t len, unsigned level);
/* A table that is new: zeroes, whatever the file holds there. */
int meta_zero(BlkNode *n, BlkNode *file, uint64_t off, uint64_t len, unsigned level);
int meta_get32le(BlkNode *n, BlkNode *file, uint64_t off, uint32_t *v);
int meta_get32be(BlkNode *n, BlkNode *file, uint64_t off, uint32_t *v);
int meta_get64le(BlkNode *n, BlkNode *file, uint64_t off, uint64_t *v);
int meta_get64be(BlkNode *n, BlkNode *file, uint64_t off, uint64_t *v);
int meta_set32le(BlkNode *n, BlkNode *file, uint64_t off, uint32_t v, unsigned level);
int meta_set32be(BlkNode *n, BlkNode *file, uint64_t off, uint32_t v, unsigned level);
int meta_set64le(BlkNode *n, BlkNode *file, uint64_t off, uint64_t v, unsigned level);
int meta_set64be(BlkNode *n, BlkNode *file, uint64_t off, uint64_t v, unsigned level);
/* Bitmaps of sectors, of which the first is bit 0 of the byte at `map`, or bit 7 (`msb`). */
typedef struct MetaBits {
    BlkNode *file;
    uint64_t map;
    bool msb;
} MetaBits;
/* How many of `count` (at least one) bits from `first` on are as the first of them, and how that is. */
int meta_bits_run(BlkNode *n, const MetaBits *b, uint64_t first, uint64_t count, uint64_t *run, bool *set);
int meta_bits_set(BlkNode *n, const MetaBits *b, uint64_t first, uint64_t count, unsigned level);
int meta_write_level(Grains *g, unsigned level);        /* all sectors of one level; no flush */
int meta_write_page(Grains *g, MetaPage *p);            /* all of one page */
int meta_flush_files(BlkNode *n);
static inline bool meta_dirty(const Grains *g)
{
    return g->dirty != 0;
}

/* Entries of a table from the one asked for on: where it is, how long each, for how many bytes of disk. */
typedef struct MetaEntries {
    BlkNode *file;
    uint64_t at;
    unsigned width;
    uint64_t unit;
    uint64_t in, left;          /* bytes of disk of that entry before the one asked for; from that one to the table's end */
} MetaEntries;
/* For ops->find, which has met an entry that names no place: p->run ends with the last one that is the same, or behind what is wanted.  What cannot be read ends it too. */
void meta_entries_run(BlkNode *n, const MetaEntries *t, GrainPlace *p);

/* ---- small things that formats share ---- */
/* The file child, read-only passed up; false: error set. */
bool format_open_file(BlkNode *n, Json *o, Error **errp);
/* The same, and its first bytes; what lies behind its end is zeroes. */
bool format_open_header(BlkNode *n, Json *o, void *buf, uint64_t len, Error **errp);
/* The option "backing": null says none, whatever the image says. */
void format_backing_option(BlkNode *n, Json *backing);
/* Up to a multiple of unit. */
static inline uint64_t format_round(uint64_t v, uint64_t unit)
{
    return (v + unit - 1) / unit * unit;
}
/* A fresh file opened for writing under a format's create; the caller frees it. */
Blk *format_create_file(Session *s, const char *filename, uint64_t size, const char *prealloc, Error **errp);
void format_report(BlkCheck *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

#endif
