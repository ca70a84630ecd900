/* SPDX-License-Identifier: MIT */
/*
 * What the files of accel/tcg share.
 *
 *   accel.c     the AccelType row, properties, info jit
 *   loop.c      enter generated code, handle why it left
 *   mode.c      block key, contexts and dispatch caches of the current mode
 *   context.c   address contexts: first-level TLBs, what a flush means to one
 *   exec.c      the executable side of contexts: pages with code, link generations
 *   tlb.c       second-level TLB, walks, filling
 *   flush.c     flushes: own, posted to others, acknowledged
 *   pages.c     RAM pages with code: protection, granules, invalidation
 *   blocks.c    translated blocks: find, translate, link, kill
 *   evict.c     room in code memory
 *   mem.c, atomic.c, monitor.c   slow paths of guest memory
 *   debug.c     breakpoints, watchpoints
 *   counters.c, info.c   host time for counters, `info jit`
 *
 * Locks: a page's lock and a mailbox's lock are leaves; nobody waits for
 * another vCPU while holding one.
 */
#ifndef ACCEL_TCG_TCG_PRIV_H
#define ACCEL_TCG_TCG_PRIV_H

#include <glib.h>
#include <pthread.h>
#include <time.h>

#include "accel/tcg/cpu-ops.h"
#include "hw/core/machine.h"
#include "memory/memory.h"
#include "tcg/code.h"

typedef struct TcgState TcgState;
typedef struct TcgUnit TcgUnit;
typedef struct TcgVcpu TcgVcpu;
typedef struct Ctx Ctx;
typedef struct PageCode PageCode;
typedef struct Block Block;

enum {
    TCG_EXC_RETRY = TCG_EXC_FIRST,      /* run the instruction at env->pc again, as a block of its own */
};

/* ---- blocks and their pages ---- */

/* Variants of a block beside the front end's key.  Breakpoint sets have numbers from VAR_BREAK on. */
enum { VAR_NORMAL, VAR_ONE /* a single instruction, never linked */, VAR_BREAK };

/* A link that leads to a block, and the number of the chunk that it lies in. */
typedef struct LinkIn {
    TcgLink *link;
    uint64_t chunk;
    struct LinkIn *next;
} LinkIn;

/* Host addresses of a block that lie in one 4 KiB page. */
typedef struct HostRange {
    const uint8_t *from, *to;   /* return addresses: from < ra <= to */
    Block *block;
    struct HostRange *next;
} HostRange;

/* A block in the list of a chunk: its entry, its cold code, its data. */
enum { BLOCK_PARTS = 3 };
typedef struct InChunk {
    struct InChunk *next;
    uint32_t part;              /* which of Block.in_chunk this is */
} InChunk;

struct Block {
    TcgBlock tb;                /* first: a TcgBlock is a Block */
    Block *next;                /* in the page's bucket; read without a lock */
    PageCode *page;
    TcgUnit *unit;
    uint64_t key;
    uint32_t variant;
    bool counted;               /* IrBlock.icount */
    bool checked;               /* of a page that is rewritten all the time: bytes are compared at each entry, nothing links here */
    LinkIn *in;                 /* links that lead here; page lock */
    uint8_t *copy;              /* source bytes of a checked block */
    HostRange range[2];         /* of entry and cold, for the first host page of each */
    InChunk in_chunk[BLOCK_PARTS];
    uint8_t parts, parts_left;
};

enum { PAGE_BUCKET_BITS = 7, PAGE_BUCKETS = 4096 >> PAGE_BUCKET_BITS, GRANULE_BITS = 6 };
enum { PAGE_PLAIN, PAGE_PROTECTING, PAGE_PROTECTED };

struct PageCode {
    uint64_t ram_page;          /* ram_addr >> 12 */
    uint8_t *host;
    uint64_t granules;          /* 64-byte units that live blocks cover; atomic, changed under lock */
    uint64_t monitored;         /* 64-byte units with an exclusive monitor (monitor.c); atomic */
    uint32_t unmonitored;       /* stores since anybody had a monitor here; monitor lock */
    uint32_t version;           /* bytes under translation may have changed; atomic */
    uint32_t translating;       /* vCPUs that read the page right now; atomic */
    uint32_t state;             /* PAGE_*; atomic */
    uint32_t nblocks;
    uint32_t heat;              /* invalidations in the current window */
    uint64_t heat_epoch;
    bool hot;                   /* blocks are checked, the page stays plain */
    uint64_t no_groups;         /* 64-byte units whose blocks are made without shared TLB checks; atomic */
    pthread_mutex_t lock;
    Block *bucket[PAGE_BUCKETS];
    PageCode *all;              /* list of the machine's */
};

enum { RANGE_BITS = 14 };

/* Code memory of one kind of processor. */
struct TcgUnit {
    TcgState *st;
    const TcgCpuOps *ops;
    TcgCode *code;
    HostRange **ranges;         /* host address -> block, hashed by address >> 12 */
    InChunk **in_chunk;         /* blocks with a part in a chunk, by number of the chunk modulo their count */
    TcgUnit *next;
};

/* ---- one vCPU ---- */

typedef struct Counters {
    uint64_t l1_slow, l2_hit, walks, io, walk_faults;
    uint64_t slow_load, slow_store, code_store, code_hit;
    uint64_t blocks, insns, host_bytes, translate_ns, lost, stale, too_big, evicted, chunks_evicted;
    uint64_t exits[8], exc, irq, lookups, links, modes, contexts_made, generations, checks, ungrouped;
    uint64_t flush_all, flush_asid, flush_range, posted, waits, protects, retries, checked;
} Counters;

/* What happened to translations; kept for contexts that are not in use. */
typedef enum {
    REC_ALL, REC_ASID, REC_RANGE,
    REC_NEW,                    /* everything, and no dispatch or link may outlive it: breakpoints, state from outside */
    REC_CODE, REC_STORES,
} RecKind;
typedef struct FlushRec {
    RecKind kind;
    int asid;                   /* -1: any */
    vaddr va;
    uint64_t len;
    uint8_t *host;              /* CODE: host page that must not be stored to inline any more */
} FlushRec;

/* Beside a TlbEntry: what the slow path needs. */
typedef struct TlbSide {
    MemRegion *region;          /* NULL: memory */
    uint64_t at;                /* ram_addr of the page, or offset in the region */
    paddr pa;
} TlbSide;

typedef struct ExecPage {
    vaddr page;                 /* 1: empty */
    PageCode *code;
    bool guarded;
} ExecPage;

/* Entries of a dispatch cache, and which of them to clear. */
typedef struct JumpSet {
    uint32_t nfilled;
    uint16_t filled[128];
    JumpEntry entry[JUMP_SIZE];
} JumpSet;

typedef struct JumpTable {
    uint64_t key;
    Block *block[JUMP_SIZE];
    JumpSet plain;
    JumpSet *landing[2];        /* IR_LANDING of kinds 1 and 2, of kind 3; NULL, and `plain` serves them, until code is run from a guarded page */
} JumpTable;

enum { CTX_MAX = 16, CTX_JUMPS = 4, CTX_FILLED = 64, JOURNAL = 64, MAILBOX = 32 };

/*
 * The executable side of an address space: where code is, what was linked and dispatched under it.  Contexts of one regime
 * that have run global pages only (a kernel) share one; the first private page gives a context its own.
 */
typedef struct Exec {
    ExecPage *page;                     /* hash of the virtual pages that code was fetched from since the last generation */
    uint32_t npages, room;              /* room: a power of two */
    bool shared;
    bool guarded;                       /* code was run from a guarded page: jumps with IR_LANDING have their own caches */
    bool check;                         /* flushed: are the pages where they were? */
    uint16_t asid;                      /* of one that is not shared */
    uint64_t generation;
    uint64_t seq;                       /* journal records applied */
    JumpTable *jump[CTX_JUMPS];
    uint32_t jump_next;
    TcgFetch *fetch;                    /* pages that restless links led to, for generated code; NULL: none yet */
} Exec;

struct Ctx {
    TlbFast fast;
    TlbSide load_side[TLB_SIZE], store_side[TLB_SIZE];
    Exec *x;                            /* own, or the regime's */
    Exec *own;
    uint64_t key;
    uint16_t regime;            /* number of key >> 16 */
    uint16_t asid;
    uint64_t seq;               /* journal records applied to the first-level TLBs */
    uint64_t last_used;
    uint32_t nfilled;           /* > CTX_FILLED: unknown */
    uint16_t filled[CTX_FILLED];        /* index, store side: | 0x8000 */
};

/* Second-level TLB: memory only, 4 ways. */
enum { L2_SETS = 8192, L2_WAYS = 4, REGIMES = 64 };
enum { PROT_LOAD = 1, PROT_STORE = 2, PROT_FETCH = 4, L2_GLOBAL = 8, L2_READONLY = 16, L2_GUARDED = 32 };
typedef struct L2Entry {
    uint64_t tag;               /* page | PROT bits and flags */
    uint8_t *host;
    uint64_t ram_addr;
    uint32_t stamp;
    uint16_t asid, regime;
} L2Entry;

typedef struct Huge { vaddr va; uint64_t size; } Huge;
enum { HUGES = 64, LARGE_SETS = 512, LARGE_WAYS = 8 };

struct TcgVcpu {
    Cpu *cpu;
    TcgEnv *env;
    const TcgCpuOps *ops;
    TcgState *st;
    TcgUnit *unit;
    TcgCtx *compiler;
    int index;
    /* current mode */
    uint64_t key;
    Ctx *ctx[ENV_MMU_IDX];
    JumpTable *jump;
    bool in_code;               /* inside tcg_enter; atomic */
    bool one;                   /* the next block is a single instruction */
    bool watch_off;             /* the instruction whose watchpoint hit is run again */
    uint16_t word;              /* of the last restored instruction */
    uint32_t begun;             /* instructions of the left block that count */
    uint32_t left_ninsns;
    bool fault_device;          /* the last walk that failed found device memory */
    /* contexts */
    Ctx *all[CTX_MAX];
    uint64_t keys[CTX_MAX];
    unsigned nctx;
    uint64_t tick;
    FlushRec journal[JOURNAL];
    uint64_t seq, seq_new;      /* behind the last REC_NEW */
    /* second level */
    L2Entry (*l2)[L2_WAYS];
    uint8_t l2_next[L2_SETS];
    uint32_t stamp, floor;
    uint32_t *asid_stamp;       /* 65536 */
    uint64_t regimes[REGIMES];
    Exec *shared[REGIMES];
    bool has_private[REGIMES];  /* contexts of this regime run code of their own */
    unsigned nregimes;
    uint64_t large[LARGE_SETS][LARGE_WAYS];     /* 2 MiB regions that one mapping covers: number + 1, 0: free */
    uint32_t large_next;
    bool any_large;
    uint64_t mid_size;          /* largest mapping below 2 MiB, 0: all were pages */
    Huge huge[HUGES];
    unsigned nhuge;
    /* mailbox: what others posted */
    pthread_mutex_t mail_lock;
    FlushRec mail[MAILBOX];
    unsigned nmail;
    bool mail_all, mail_new;
    uint64_t posted, acked;     /* atomic */
    uint64_t *ticket;           /* by vCPU index: what this one waits for */
    bool tickets;
    /* monitor */
    uint64_t mon_addr;          /* ram address of the granule, ~0: none; atomic */
    vaddr mon_va;
    uint32_t mon_size;
    /* debugger */
    vaddr watch_addr;
    int watch_kind;
    bool watch_stop;
    /* slow accesses that a check of their own would have spared (mem.c) */
    uint32_t needless;
    uint64_t needless_since;
    unsigned own;               /* TcgCpuOps.debug_armed */
    /* variants of pages with breakpoints of its own, as long as the debugger's set is own_for */
    struct { vaddr page; uint32_t variant; } own_page[8];
    unsigned nown;              /* chosen so far; beyond 8 the oldest is chosen anew */
    uint32_t own_for;
    /* instruction counts */
    int64_t slice;              /* budget that was given; under host time the limit of counted instructions */
    uint64_t insns;             /* counted before it was given; host time only */
    Counters count;
};

/* ---- one machine ---- */

typedef struct DebugPoint { int kind; vaddr va; uint64_t len; } DebugPoint;

/* So many in so short a time: at 30 to 60 ns each more than a tenth of it. */
enum { NEEDLESS = 4096, NEEDLESS_NS = 2000000 };

enum { TCG_THREAD_MULTI, TCG_THREAD_SINGLE };

struct TcgState {
    /* properties */
    uint32_t thread;            /* TCG_THREAD_* */
    uint64_t tb_size_mib;
    char *host_name;
    bool one_insn;
    /* */
    uint64_t tb_size;           /* bytes */
    Machine *m;
    TcgUnit *units;
    GPtrArray *vcpus;           /* TcgVcpu, by Cpu.index */
    PageCode ***pages;          /* two levels by RAM page number */
    PageCode *all_pages;        /* atomic list */
    uint64_t *dirty_code;       /* mem_dirty_map */
    uint64_t generation;        /* last number given; atomic */
    uint64_t evictions;         /* times that code memory was full; atomic */
    uint64_t heat_epoch;
    uint64_t needless_ns;       /* NEEDLESS_NS; tests have other hosts */
    bool icount;
    MemListener listener;
    pthread_mutex_t debug_lock;
    GArray *breaks, *watches;   /* DebugPoint; changed with all vCPUs parked */
    uint32_t break_set;         /* number of the debugger's current set */
    uint32_t break_next;        /* last number that was given to one; atomic */
    pthread_mutex_t mon_lock[64];
    pthread_mutex_t turn;       /* thread=single: who holds it runs */
    TcgVcpu *turn_of;           /* atomic */
};

static inline TcgVcpu *vcpu_of(const Cpu *cpu)
{
    return cpu->accel;
}

static inline TcgVcpu *vcpu_of_env(TcgEnv *env)
{
    return env->priv;
}

/* ---- counters.c ---- */
uint64_t tcg_now_ns(void);
void tcg_deadline_in(struct timespec *ts, uint64_t ns);     /* for pthread's timed calls */

/* ---- context.c ---- */
Ctx *ctx_get(TcgVcpu *v, uint64_t key);
void ctx_catch_up(TcgVcpu *v, Ctx *c);          /* apply the journal */
void ctx_record(TcgVcpu *v, const FlushRec *r); /* something happened: now for those in use, later for the others */
void ctx_go_private(TcgVcpu *v, Ctx *c);        /* it runs code of its own from now on */
void ctx_free_all(TcgVcpu *v);
bool ctx_in_use(const TcgVcpu *v, const Ctx *c);
void ctx_forget_jumps(TcgVcpu *v);

/* ---- exec.c ---- */
Exec *exec_new(TcgVcpu *v, bool shared);
void exec_free(Exec *x);
void exec_changed(TcgVcpu *v, Exec *x);         /* a new generation; what was linked and dispatched is forgotten */
void exec_catch_up(TcgVcpu *v, Exec *x);        /* apply the journal */
void exec_check(TcgVcpu *v);                    /* when the current one was flushed: is every page where it was? */
const ExecPage *exec_find(const Exec *x, vaddr page);   /* until the next exec_add() */
void exec_add(Exec *x, const ExecPage *p);
const void *exec_confirm(Exec *x, vaddr page);  /* generated code may ask for this page: its token */
void jump_forget(JumpTable *j);

/* ---- mode.c ---- */
void mode_update(TcgVcpu *v);
JumpTable *mode_jump_table(Exec *x, uint64_t key);
void mode_guarded(TcgVcpu *v, Exec *x);                 /* the first guarded page of this one */

/* ---- tlb.c ---- */
/* What a page is, for one access. */
typedef struct Span {
    uint8_t *host;              /* memory: of the address itself */
    MemRegion *region;          /* else this, and at is the offset of the address */
    uint64_t at;                /* memory: ram_addr of the address */
    paddr pa;
    uint32_t flags;             /* TLB_* */
    bool guarded;               /* fetch only */
} Span;
/* False: the walk failed (state for raise_fault is prepared unless `probe`). */
bool tlb_span(TcgVcpu *v, vaddr va, AccType acc, unsigned idx, bool probe, Span *s);
PageCode *tlb_exec(TcgVcpu *v, vaddr pc, Span *s);      /* and s->guarded; NULL: walk failed, or s->region is no memory */
bool tlb_fetch(TcgVcpu *v, vaddr pc, Span *s, bool *global);    /* false: walk failed */
void l2_flush_all(TcgVcpu *v);
void l2_flush_asid(TcgVcpu *v, uint16_t asid);
/* Drops [va, va+len), widened to whole mappings; the widened range is returned in *va, *len.  False: everything has gone. */
bool l2_flush_range(TcgVcpu *v, vaddr *va, uint64_t *len);
uint16_t l2_regime(TcgVcpu *v, uint64_t word);

/* ---- flush.c ---- */
void flush_post(TcgVcpu *to, const FlushRec *r);
void flush_apply(TcgVcpu *v, FlushRec *r);              /* own thread */
void flush_drain(TcgVcpu *v);
/* Post to every other vCPU and remember to wait. */
void flush_broadcast(TcgVcpu *v, const FlushRec *r);
void flush_wait(TcgVcpu *v);
void flush_post_all(TcgState *st, const FlushRec *r);   /* any thread: to every vCPU, without waiting */

/* ---- pages.c ---- */
PageCode *page_find(TcgState *st, uint64_t ram_page);
PageCode *page_get(TcgState *st, uint64_t ram_page, uint8_t *host);
void page_protect(TcgVcpu *v, PageCode *p);             /* waits; own thread, no lock held */
/* Bytes at [ram_addr, +len), one page, have been written. */
void page_written(TcgState *st, PageCode *p, uint64_t ram_addr, uint64_t len);
bool page_hits(const PageCode *p, uint64_t off, uint64_t len);
void page_heat(TcgState *st, PageCode *p);
void page_maybe_plain(TcgState *st, PageCode *p);       /* page lock held */
bool pages_init(TcgState *st);                          /* false: no address space for the table */
void pages_fini(TcgState *st);

static inline bool page_is_plain(const TcgState *st, uint64_t ram_addr)
{
    return mem_dirty_bit(st->dirty_code, ram_addr);
}

/* ---- blocks.c ---- */
Block *block_find(PageCode *p, const TcgUnit *u, uint32_t off, uint64_t key, uint32_t variant);
Block *block_translate(TcgVcpu *v, PageCode *p, vaddr pc, uint64_t key, uint32_t variant);
Block *block_of_ra(TcgVcpu *v, const void *ra);
void block_drop(PageCode *p, Block *b);                 /* take it off the page and kill it */
void block_kill(Block *b);                              /* page lock held, already off the page's lists */
void block_link(TcgVcpu *v, TcgLink *l, Block *to);
bool block_unchanged(const Block *b);
TcgUnit *unit_new(TcgState *st, const TcgCpuOps *ops, Error **errp);
void unit_free(TcgUnit *u);

static inline HostRange **range_head(const TcgUnit *u, uintptr_t page)
{
    return &u->ranges[page & ((1 << RANGE_BITS) - 1)];
}

/* ---- evict.c ---- */
void block_in_chunks(Block *b);                         /* a new one: which chunks it lies in */
void blocks_make_room(TcgVcpu *v);                      /* own thread, between blocks: the oldest code goes */
void blocks_free_all(TcgUnit *u);

/* ---- mem.c ---- */
extern const TcgMemOps tcg_mem_ops;
bool mem_retry(TcgVcpu *v);                             /* false, for `return`: run the instruction again on its own */
/* Before a store is made: true when it may be made here. */
bool mem_store_ok(TcgVcpu *v, const Span *s, vaddr va, unsigned len);
/* After it was made to memory. */
void mem_store_done(TcgVcpu *v, const Span *s, vaddr va, unsigned len);
bool mem_fault(TcgVcpu *v, vaddr va, AccType acc, unsigned idx);
bool mem_align_fault(TcgVcpu *v, vaddr va, AccType acc, unsigned idx);
bool mem_aligned(TcgVcpu *v, vaddr va, IrMem m, AccType acc);
bool mem_bus(TcgVcpu *v, vaddr va, paddr pa, AccType acc);
bool mem_read(TcgVcpu *v, vaddr va, unsigned len, unsigned idx, void *buf);
bool mem_write(TcgVcpu *v, vaddr va, unsigned len, unsigned idx, const void *buf);
void mem_put_raw(TcgVcpu *v, uint8_t *host, const uint64_t *val, unsigned size, IrMem m);
/* ---- atomic.c ---- */
bool atomic_cas(TcgEnv *env, IrMem m, unsigned n);
bool atomic_rmw(TcgEnv *env, IrMem m, IrRmw op);
uint64_t rmw_apply(IrRmw op, unsigned size, uint64_t old, uint64_t x);

/* ---- monitor.c ---- */
/* Monitor lock held. */
void monitor_break(TcgState *st, PageCode *p, uint64_t ram_addr, uint64_t len, const TcgVcpu *but);
pthread_mutex_t *monitor_lock(TcgState *st, uint64_t ram_addr);

/* ---- debug.c ---- */
void debug_init(TcgState *st);
void debug_fini(TcgState *st);
uint32_t debug_variant(TcgVcpu *v, vaddr pc);           /* VAR_NORMAL or VAR_ONE, or the set's number when the page has breakpoints */
uint32_t *debug_page_breaks(TcgState *st, vaddr pc);    /* offsets, ~0u last; g_free */
bool debug_page_watched(TcgVcpu *v, vaddr page);
/* An access hits a watchpoint: true when the caller must give up (retry is arranged). */
bool debug_watch(TcgVcpu *v, vaddr va, unsigned len, AccType acc, unsigned idx);
bool debug_break_insert(Machine *m, int kind, vaddr addr, uint64_t len, Error **errp);
bool debug_break_remove(Machine *m, int kind, vaddr addr, uint64_t len);
void debug_break_clear(Machine *m);
vaddr debug_watch_hit(Cpu *cpu, int *kind);

/* ---- loop.c ---- */
void tcg_run(Cpu *cpu);
uint64_t tcg_run_count(Cpu *cpu, uint64_t insns);
void tcg_state_changed(Cpu *cpu);
void tcg_wake(Cpu *cpu);

/* ---- info.c ---- */
void tcg_info_jit(Machine *m, GString *out);

#endif
