/* SPDX-License-Identifier: MIT */
/*
 * Guest physical memory: regions, address spaces, RAM, dirty pages, DMA.
 *
 * Memory is the one object per machine: it owns RAM blocks, dirty bitmaps and
 * the list of listeners.  A MemRegion is a piece of an address map (RAM, ROM,
 * flash, I/O, an alias of a part of another region, or a container).  An
 * AddressSpace is a root region as somebody sees it (the processors, a PCI
 * device behind an IOMMU); what is visible where is computed into a flat view
 * that readers use without a lock.
 *
 * Threads.  Topology (add, remove, enable) changes under the topology lock
 * inside mem_topology_begin/commit (they nest) or as one step of its own.
 * Readers (mem_translate, mem_io_*, dma_*) may be on any thread, take no lock
 * and need no registration: they run in an RCU read section of their own (the
 * `bulletproof` flavour of liburcu: two moves and a compiler barrier where the
 * kernel has membarrier; a TLB refill cannot tell it from QSBR, and a thread
 * that forgot to register or to announce a quiescent state cannot exist).
 * What mem_translate hands out stays valid until the topology listeners have
 * returned and a grace period has passed: caches (TLBs) are dropped by the
 * listener, everyone else uses a MemHit within mem_read_begin/end.
 *
 * MMIO takes the lock of the region (its device's lock) and no other.  DMA
 * reaches RAM, ROM (reads) and regions marked `dma_target` (message-interrupt
 * doorbells); DMA to other devices' registers is refused, so no guest can make
 * two devices wait for each other.
 *
 * RAM addresses.  Every page of guest RAM has a number that is unique in the
 * machine: ram_addr = block->ram_addr + offset.  It indexes the dirty bitmaps
 * and is the physical key of translated code, whatever address or alias the
 * page is reached by.
 */
#ifndef MEMORY_MEMORY_H
#define MEMORY_MEMORY_H

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "util/error.h"

typedef uint64_t vaddr;         /* guest virtual address; 32-bit guests keep it zero-extended */
typedef uint64_t paddr;         /* guest physical address */

enum { MEM_PAGE_BITS = 12, MEM_PAGE_SIZE = 1 << MEM_PAGE_BITS };
#define MEM_RAM_MAX (4ull << 40)    /* bytes of RAM in one machine: the reach of ram_addr */

typedef struct Memory Memory;
typedef struct MemRegion MemRegion;
typedef struct AddressSpace AddressSpace;
typedef struct RamBlock RamBlock;

/* ---- access attributes and results ---- */

typedef struct MemAttrs {
    int16_t cpu;                /* index of the processor, -1: not a processor */
    uint16_t requester;         /* PCI requester id, for message interrupts */
    uint8_t secure : 1;
    uint8_t user : 1;           /* unprivileged */
    uint8_t debug : 1;          /* gdb, monitor: no side effects in devices that can tell */
    uint8_t dma : 1;            /* set by dma_* */
} MemAttrs;

#define MEM_ATTRS_NONE ((MemAttrs){ .cpu = -1 })
#define MEM_ATTRS_CPU(i) ((MemAttrs){ .cpu = (int16_t)(i) })

typedef enum {
    MEM_OK,
    MEM_DECODE_ERROR,           /* nothing there; reads give 0 */
    MEM_DEVICE_ERROR,           /* the device refused (size, alignment, state) */
} MemResult;

/* ---- regions ---- */

typedef enum { MEM_LITTLE, MEM_BIG } MemEndian;

/*
 * An I/O region's behaviour.  Called with the region's lock held (none when it
 * has none).  `offset` counts from the region's start.  Accesses wider than
 * `max` come as several, lowest address first; narrower than `min` come as one
 * of `min` bytes: a read is cut out, a write is put into its byte lanes, the
 * others 0.  Unaligned accesses come byte by byte unless `unaligned`.
 */
typedef struct MemOps {
    MemResult (*read)(void *opaque, uint64_t offset, unsigned size, uint64_t *val, MemAttrs attrs);
    MemResult (*write)(void *opaque, uint64_t offset, unsigned size, uint64_t val, MemAttrs attrs);
    uint8_t min, max;           /* 0: 1 and 8 */
    MemEndian endian;
    bool unaligned;
} MemOps;

typedef enum {
    MEM_CONTAINER,              /* holds others; decodes nothing itself */
    MEM_RAM,
    MEM_ROM,                    /* guest writes are ignored and logged */
    MEM_ROMD,                   /* reads are memory, writes are I/O; mem_region_set_romd() turns reads into I/O too */
    MEM_IO,
    MEM_ALIAS,
} MemKind;

/* Embedded in its owner or allocated by it; must outlive its place in an address space by a grace period (mem_synchronize). */
struct MemRegion {
    const char *name;
    MemKind kind;
    uint64_t size;              /* bytes; UINT64_MAX stands for 2^64 */
    const MemOps *ops;
    void *opaque;
    pthread_mutex_t *lock;      /* taken around ops; NULL: the ops look after themselves */
    RamBlock *ram;              /* RAM, ROM, ROMD */
    MemRegion *target;          /* alias */
    uint64_t target_offset;
    Memory *mem;
    void *owner;                /* Device, for lists */
    bool enabled, readonly, romd, dma_target;
    /* place */
    MemRegion *parent;
    uint64_t offset;
    int priority;
    GList *children;            /* highest priority first; among equals the later added */
};

void mem_region_init(MemRegion *r, Memory *mem, const char *name, uint64_t size);      /* container */
void mem_region_init_io(MemRegion *r, Memory *mem, const char *name, uint64_t size,
                        const MemOps *ops, void *opaque, pthread_mutex_t *lock);
void mem_region_init_alias(MemRegion *r, Memory *mem, const char *name, MemRegion *target, uint64_t offset, uint64_t size);
/* The region of a block: RAM, ROM, or ROMD with ops for writes. The block keeps its owner. */
void mem_region_init_ram(MemRegion *r, Memory *mem, const char *name, RamBlock *ram);
void mem_region_init_rom(MemRegion *r, Memory *mem, const char *name, RamBlock *ram);
void mem_region_init_romd(MemRegion *r, Memory *mem, const char *name, RamBlock *ram,
                          const MemOps *ops, void *opaque, pthread_mutex_t *lock);

void mem_region_add(MemRegion *parent, uint64_t offset, MemRegion *child);              /* priority 0 */
void mem_region_add_overlap(MemRegion *parent, uint64_t offset, MemRegion *child, int priority);
void mem_region_del(MemRegion *child);
void mem_region_set_enabled(MemRegion *r, bool on);
void mem_region_set_readonly(MemRegion *r, bool on);
void mem_region_set_romd(MemRegion *r, bool reads_are_memory);
void mem_region_set_offset(MemRegion *r, uint64_t offset);
void mem_region_set_size(MemRegion *r, uint64_t size);

/* ---- machine-wide object ---- */

Memory *memory_new(void);
void memory_free(Memory *mem);
void mem_topology_begin(Memory *mem);
void mem_topology_commit(Memory *mem);      /* outermost: new flat views, listeners */
void mem_synchronize(void);                 /* waits for a grace period; no read section, no device lock held */

void mem_read_begin(void);                  /* RCU read section; nests; short */
void mem_read_end(void);

typedef struct MemListener MemListener;
struct MemListener {
    /* The view of `as` has changed; the new one is already visible.  Called on the thread that committed, which may be
     * a vCPU in an MMIO handler with a device lock held: post, never wait. */
    void (*topology)(MemListener *l, AddressSpace *as);
    /* Pages in [ram_addr, ram_addr + len) whose DIRTY_CODE bit was clear were written by DMA, a debugger or a loader. The
     * bits are still clear.  Any thread, device locks held: post, never wait. */
    void (*code_written)(MemListener *l, uint64_t ram_addr, uint64_t len);
    /* The set of clients that log (mem_dirty_logging) has changed. */
    void (*logging)(MemListener *l, uint32_t clients);
    MemListener *next;
};
void mem_listener_add(Memory *mem, MemListener *l);
void mem_listener_del(Memory *mem, MemListener *l);

/* ---- address spaces ---- */

AddressSpace *address_space_new(Memory *mem, const char *name, MemRegion *root);
void address_space_free(AddressSpace *as);
const char *address_space_name(const AddressSpace *as);
Memory *address_space_memory(const AddressSpace *as);

/* What is at an address. */
typedef struct MemHit {
    MemRegion *region;          /* never NULL: for a hole a region that answers MEM_DECODE_ERROR */
    uint64_t offset;            /* in region */
    uint64_t len;               /* bytes from the address on that continue likewise, at most what was asked for */
    RamBlock *ram;              /* the access is plain memory: host, ram_addr hold */
    uint8_t *host;
    uint64_t ram_addr;
    bool readonly;              /* ram, but this range does not take stores (ROM, ROMD) */
} MemHit;

/*
 * Look up [addr, addr + want).  For a store to ROM or ROMD `ram` is NULL and
 * the access goes through mem_io_write (which ignores it for ROM).  Never
 * fails: a hole is a region too.  want must not be 0.
 */
void mem_translate(AddressSpace *as, paddr addr, uint64_t want, bool is_write, MemHit *hit);

/* Register access at an offset of a region: takes its lock, splits and widens as its ops say.  size 1, 2, 4, 8. Value in guest register order. */
MemResult mem_io_read(MemRegion *r, uint64_t offset, unsigned size, uint64_t *val, MemAttrs attrs);
MemResult mem_io_write(MemRegion *r, uint64_t offset, unsigned size, uint64_t val, MemAttrs attrs);

/* Any access of 1 to 8 bytes as a processor would make it, little endian; for tests, gdb, boot code. Marks pages dirty. */
MemResult mem_load(AddressSpace *as, paddr addr, unsigned size, uint64_t *val, MemAttrs attrs);
MemResult mem_store(AddressSpace *as, paddr addr, unsigned size, uint64_t val, MemAttrs attrs);

/* Flat view as `info mtree -f` prints it: one call per range, in order. */
typedef struct MemRange { paddr start; uint64_t size; const MemRegion *region; uint64_t offset; bool readonly, romd; } MemRange;
void mem_view_foreach(AddressSpace *as, void (*fn)(const MemRange *range, void *data), void *data);

/* ---- DMA: what devices do ---- */

MemResult dma_read(AddressSpace *as, paddr addr, void *buf, uint64_t len, MemAttrs attrs);
/* Marks pages dirty; a write to translated code is posted to the accelerator before the call returns. */
MemResult dma_write(AddressSpace *as, paddr addr, const void *buf, uint64_t len, MemAttrs attrs);
MemResult dma_set(AddressSpace *as, paddr addr, uint8_t byte, uint64_t len, MemAttrs attrs);
/*
 * Host pointer for [addr, addr + *len) of RAM, for I/O without a copy; *len may
 * shrink to the contiguous part.  NULL: not RAM (use dma_read/dma_write).  The
 * block cannot go away until dma_unmap(), which for a device's write marks the
 * first `done` bytes dirty.
 */
void *dma_map(AddressSpace *as, paddr addr, uint64_t *len, bool device_writes, MemAttrs attrs);
void dma_unmap(AddressSpace *as, void *host, uint64_t len, bool device_wrote, uint64_t done);
/* Single little-endian values: atomic when naturally aligned in RAM (rings). 2, 4, 8 bytes. */
MemResult dma_load_le(AddressSpace *as, paddr addr, unsigned size, uint64_t *val, MemAttrs attrs);
MemResult dma_store_le(AddressSpace *as, paddr addr, unsigned size, uint64_t val, MemAttrs attrs);

/* ---- RAM: the one owner ---- */

typedef enum {
    RAM_ANON,                   /* private anonymous, transparent huge pages: the default and the fastest */
    RAM_MEMFD,
    RAM_FILE,
} RamBacking;

typedef struct RamSpec {
    const char *id;             /* unique in the machine: names the section in a save */
    uint64_t size;              /* rounded up to pages */
    RamBacking backing;
    const char *path;           /* RAM_FILE: a file, or a directory (hugetlbfs) for an unlinked one */
    bool share;                 /* others can map it: RAM_ANON becomes a memfd */
    bool prealloc;
    bool hugetlb;
    uint64_t hugetlb_size;      /* 0: default */
    bool readonly;              /* the file is mapped without write access */
    bool nomerge;               /* no MADV_MERGEABLE */
    bool dump;                  /* keep in core dumps */
} RamSpec;

struct RamBlock {
    char *id;
    uint8_t *host;              /* page aligned; 2 MiB aligned from that size on */
    uint64_t size;
    uint64_t ram_addr;          /* multiple of the page size; blocks never share a dirty-bitmap word */
    uint64_t page_size;         /* of the backing */
    RamBacking backing;
    bool share, readonly;
    int fd;                     /* -1: none */
    int pins;                   /* dma_map count */
    Memory *mem;
    RamBlock *next;
};

RamBlock *ram_block_new(Memory *mem, const RamSpec *spec, Error **errp);
void ram_block_free(RamBlock *b);
RamBlock *ram_block_find(Memory *mem, const char *id);
RamBlock *ram_block_first(Memory *mem);                 /* then ->next, by ram_addr */
/* By ram_addr or by host pointer; NULL when it is no RAM of this machine. */
RamBlock *ram_block_at(Memory *mem, uint64_t ram_addr);
RamBlock *ram_block_of_host(Memory *mem, const void *host, uint64_t *offset);
static inline uint8_t *ram_block_host(const RamBlock *b, uint64_t offset)
{
    return b->host + offset;
}

/* ---- dirty pages ---- */

/*
 * One bit per 4 KiB page and client.  A set bit means "written since the
 * client cleared it".  Stores of processors set bits through their slow path:
 * a store TLB entry may be fast only while every logging client's bit of the
 * page is set and DIRTY_CODE is.  DIRTY_CODE clear means: there is translated
 * code on the page, a store must be heard of.  Bits of new RAM are set.
 * All operations are atomic and may be called from any thread.
 */
typedef enum { DIRTY_CODE, DIRTY_MIGRATION, DIRTY_DISPLAY, DIRTY_CLIENTS } DirtyClient;
#define DIRTY_MASK(client) (1u << (client))
#define DIRTY_ALL ((1u << DIRTY_CLIENTS) - 1)

/* The bitmap itself, for inlined tests: bit (ram_addr >> 12). Fixed address for the life of the machine. */
uint64_t *mem_dirty_map(Memory *mem, DirtyClient client);

static inline bool mem_dirty_bit(const uint64_t *map, uint64_t ram_addr)
{
    uint64_t page = ram_addr >> MEM_PAGE_BITS;

    return (__atomic_load_n(&map[page / 64], __ATOMIC_RELAXED) >> (page % 64)) & 1;
}

/* Sets bits of the clients in `mask` for every page that [ram_addr, +len) touches. */
void mem_dirty_set(Memory *mem, uint32_t mask, uint64_t ram_addr, uint64_t len);
bool mem_dirty_any(Memory *mem, DirtyClient client, uint64_t ram_addr, uint64_t len);
bool mem_dirty_all(Memory *mem, DirtyClient client, uint64_t ram_addr, uint64_t len);
/* Clears, and reports whether a bit was set; `out` (may be NULL) gets the former bits, bit 0 the first page. The caller makes
 * the vCPUs drop fast store entries before it reads the pages (safepoint). */
bool mem_dirty_test_clear(Memory *mem, DirtyClient client, uint64_t ram_addr, uint64_t len, uint64_t *out);
/* A client begins or stops logging (counted); DIRTY_CODE always does. */
void mem_dirty_log(Memory *mem, DirtyClient client, bool on);
uint32_t mem_dirty_logging(Memory *mem);                /* mask of clients that log, DIRTY_CODE included */
/* After a write by anything but a translated store: sets the logging clients' bits and tells code listeners. */
void mem_written(Memory *mem, uint64_t ram_addr, uint64_t len);

#endif
