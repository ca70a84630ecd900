/* SPDX-License-Identifier: MIT */
/*
 * From an IrBlock to host code: code memory, compiled blocks, links between
 * them, precise state, entering and leaving generated code.  Host independent;
 * tcg/x86_64/ and tcg/interp/ stand behind it, chosen at run time.
 *
 * Threads: compiling needs a TcgCtx of one's own (one per vCPU); code memory
 * is shared, TcgCtx takes chunks of it.  Patching links and killing blocks may
 * happen while other vCPUs run the code: they are single aligned stores through
 * the writable alias.  Code memory is never writable and executable at one address.
 */
#ifndef TCG_CODE_H
#define TCG_CODE_H

#include "tcg/env.h"
#include "tcg/ir.h"
#include "tcg/target.h"

typedef struct TcgHost TcgHost;         /* a back end */
typedef struct TcgCode TcgCode;         /* code memory: one per machine */
typedef struct TcgCtx TcgCtx;           /* one compiling thread */

/* A direct link out of a block.  Same-page links are a jump that is patched; cross-page links
 * check data cells {generation, host} (two ways) against env->generation, then {token, host} against env->fetch, and never patch code. */
typedef struct TcgLink {
    struct TcgBlock *from;
    int64_t disp;               /* target's displacement from the page base of `from` */
    void *site;                 /* back end's: where to patch, or the cells */
    struct TcgBlock *to;        /* same-page link: what it is linked to */
    bool cross_page;
} TcgLink;

/* A compiled block.  accel embeds it at the head of its own record. */
typedef struct TcgBlock {
    const void *entry;          /* host code */
    const void *cold;           /* slow paths and exits */
    uint32_t code_size, cold_size;  /* a return address belongs to the block when entry < ra <= entry + code_size, or the same with cold */
    uint32_t page_off, guest_bytes, ninsns;
    const uint8_t *side_table;  /* precise state, decoded by tcg_restore */
    TcgLink *links;
    unsigned nlinks;
    bool dead;
    void *loop;                 /* back end's: its jump to its own head */
} TcgBlock;

/* `name`: "x86_64", "interp", or NULL for the best on this host.  NULL if there is no such back end. */
const TcgHost *tcg_host_find(const char *name);
const char *tcg_host_name(const TcgHost *h);
/* Switch off optional host features ("avx", "bmi", "fma", "shani" ...) to test fallbacks; before tcg_code_new. */
void tcg_host_disable(const char *feature);
/* Take hosts to have exactly these optional features ("avx,bmi"): to look at code, not to run it. */
void tcg_host_pretend(const char *features);

TcgCode *tcg_code_new(const TcgHost *h, const TcgTarget *t, size_t bytes);
void tcg_code_free(TcgCode *c);
size_t tcg_code_used(const TcgCode *c);
bool tcg_code_groups(const TcgCode *c);     /* the back end lets accesses share TLB checks (IrBlock.no_groups) */
/*
 * Code memory is a ring of chunks, numbered in the order in which they were taken: [oldest, next) are in use.  All parts of a block of
 * one kind (entry, cold, side_table and links) lie in one chunk.  Giving chunks back: only while no thread runs code or holds a block or link in them.
 */
unsigned tcg_code_chunks(const TcgCode *c);
uint64_t tcg_code_oldest(const TcgCode *c);
uint64_t tcg_code_next(const TcgCode *c);
uint64_t tcg_code_chunk_of(const TcgCode *c, const void *p);      /* of an address in use, either alias */
void tcg_code_evict(TcgCode *c);            /* the oldest; every TcgCtx must hear of it: tcg_ctx_evicted() */
void tcg_code_reset(TcgCode *c);            /* all of them */

TcgCtx *tcg_ctx_new(TcgCode *c);
void tcg_ctx_free(TcgCtx *x);
void tcg_ctx_reset(TcgCtx *x);              /* give up the current chunks */
void tcg_ctx_evicted(TcgCtx *x);            /* chunks were given back: forget those among them that were current */
IrBlock *tcg_ctx_ir(TcgCtx *x);             /* the reusable IrBlock of this thread */
/* Runs the passes and emits the IrBlock into `tb` (zeroed by the caller); uses the IrBlock up. */
typedef enum {
    TCG_COMPILED,
    TCG_FULL,               /* no chunk is left: evict some */
    TCG_AGAIN,              /* did not fit behind others, a new chunk is there now: translate again */
    TCG_TOO_BIG,            /* does not fit into a chunk at all: translate fewer instructions */
} TcgCompiled;
TcgCompiled tcg_compile(TcgCtx *x, TcgBlock *tb);

/* Make a link jump to `to` (same page), or add {generation, to} to its cells (cross page). */
void tcg_link_set(TcgCode *c, TcgLink *l, TcgBlock *to, uint64_t generation);
/* A cross-page link that has been set often enough: address spaces or processors take turns at its cells. */
bool tcg_link_restless(const TcgLink *l);
/* Such a link leads to `to` wherever env->fetch has `token` (not NULL) for the target's page, whatever the generation. */
void tcg_link_confirm(TcgLink *l, const TcgBlock *to, const void *token);
void tcg_link_clear(TcgCode *c, TcgLink *l);        /* back to leaving with TCG_EXIT_LINK */
/* From now on whoever enters `tb` leaves with TCG_EXIT_STALE and env->pc right. */
void tcg_block_kill(TcgCode *c, TcgBlock *tb);

/*
 * What the accelerator provides to the slow paths.  Called from generated code through thunks with all
 * state preserved.  Each returns true when done; false when a guest exception is to be delivered: state has
 * been made precise by tcg_restore_here() and env->exc set.
 * Values travel in env->arg / env->ret: address in arg[0], data from arg[1] on (16-byte values take two), results in ret[].
 */
typedef struct TcgMemOps {
    bool (*load)(TcgEnv *env, IrMem m, unsigned n);         /* n = 1, or 2 for ld2 */
    bool (*store)(TcgEnv *env, IrMem m, unsigned n);
    bool (*cas)(TcgEnv *env, IrMem m, unsigned n);          /* arg: addr, expected (n words), new (n words) */
    bool (*rmw)(TcgEnv *env, IrMem m, IrRmw op);
    bool (*probe)(TcgEnv *env, IrMem m, unsigned bytes, bool write);
} TcgMemOps;
void tcg_code_set_mem_ops(TcgCode *c, const TcgMemOps *ops);
const TcgMemOps *tcg_code_mem_ops(const TcgCode *c);

/* Fill thunks and tables of an env; `pending` and slots are found through the target. */
void tcg_env_init(TcgEnv *env, TcgCode *c);
void tcg_env_flush_ring(TcgEnv *env);               /* forget return predictions: mapping or mode changed */
/*
 * Run from tb on until something leaves; the reason is in env->exit_reason.  The guest's MXCSR is in force inside.
 * The caller has set env->page_base (page of tb) and env->tlb[], jump, generation.  On return every slot is in memory and env->pc
 * is the next instruction, but for TCG_EXIT_EXC with env->fault_ra set: a routine raised without making state precise, call tcg_restore() first.
 *  LOOKUP   env->pc has no known code
 *  LINK     the same, and env->exit_link (TcgLink) led there: tcg_link_set() it
 *  PENDING  the pending word was not zero; clear it before entering again, or the next back-edge leaves at once
 *  EXC      env->exc is set.  ir_raise(code) comes as EXC too: env->exc = TCG_EXC_RAISE, the code is in env->exit_arg, env->pc is the raising instruction
 *  LEAVE    the IrLeave is in env->exit_arg
 *  BUDGET   the block at env->pc has more instructions than the budget; nothing of it was run or charged
 *  STALE    a killed block was entered
 * Budget (IrBlock.icount): a block charges all its instructions at its head, side exits and ends give back what was not begun; after EXC
 * the run loop gives back tb->ninsns minus the instructions begun (tcg_restore).
 */
TcgExit tcg_enter(TcgEnv *env, TcgCode *c, TcgBlock *tb);
/* In a slow path or routine (env->fault_ra is set): put all slots and env->pc into memory as at the start of the guest instruction that called.
 * `tb` is what tcg_block_of_ra() of the accelerator found.  Returns the front end's word of that instruction; *ninsns = instructions of the block begun before it. Clears env->fault_ra. */
uint16_t tcg_restore(TcgEnv *env, const TcgCode *c, const TcgBlock *tb, unsigned *ninsns);
bool tcg_code_contains(const TcgCode *c, const void *host);

/* -d in,ir,opt,out print through this; NULL: nothing. */
void tcg_dump_host(FILE *f, const TcgHost *h, const TcgBlock *tb);

#endif
