/* SPDX-License-Identifier: MIT */
/*
 * TcgEnv: what generated code and the run loop share, one per vCPU.
 *
 * It is embedded in the target's CPU state behind the Cpu base; generated code
 * holds its address in a host register, slots are offsets from it.  Only the
 * vCPU's own thread touches it, but for what a safepoint allows.
 */
#ifndef TCG_ENV_H
#define TCG_ENV_H

#include <stdbool.h>
#include <stdint.h>

/* One entry of a soft TLB; the layout is known to host code.  A load or store of n bytes at a hits when
 * ((a + n - 1) & ~0xfff) == tag (and, with alignment required, the low bits of a are 0): any flag in the low 12 bits of tag defeats the match. */
typedef struct TlbEntry {
    uint64_t tag;           /* guest virtual page as accessed (tag byte included) | TLB_* flags */
    uint64_t addend;        /* host address minus guest address */
} TlbEntry;

enum {
    TLB_INVALID = 1 << 0,
    TLB_MMIO    = 1 << 1,
    TLB_WATCH   = 1 << 2,
    TLB_CODE    = 1 << 3,   /* store side: translated code on the page */
    TLB_CLEAN   = 1 << 4,   /* store side: dirty log wants to hear of the first store */
    TLB_SLOW    = 1 << 5,   /* anything else that needs the slow path (alignment by attribute ...) */
};

enum { TLB_BITS = 10, TLB_SIZE = 1 << TLB_BITS };    /* entries per direction */

/* First-level TLBs of one address context; the context register (r15 on x86_64) points here. */
typedef struct TlbFast {
    TlbEntry load[TLB_SIZE];
    TlbEntry store[TLB_SIZE];
} TlbFast;

/* Dispatch cache entry: virtual pc -> host code, valid under the current context and mode. */
typedef struct JumpEntry {
    uint64_t pc;            /* of an empty entry: one that does not belong there, see jump_clear() */
    const void *host;
} JumpEntry;
enum { JUMP_BITS = 12, JUMP_SIZE = 1 << JUMP_BITS };

/* Where a virtual pc lives in the dispatch cache; generated code computes the same. */
static inline unsigned jump_index(uint64_t pc)
{
    return ((pc >> 2) ^ (pc >> 12)) & (JUMP_SIZE - 1);
}

/* Empty one entry: any pc is a valid one for a guest, so the mark is a pc of another index. */
static inline void jump_clear_entry(JumpEntry *table, unsigned i)
{
    table[i].pc = i ? UINT64_MAX : 4;
}

static inline void jump_clear(JumpEntry *table)
{
    for (unsigned i = 0; i < JUMP_SIZE; i++) {
        jump_clear_entry(table, i);
    }
}

/* Where the page of a virtual address is: `token` names what it holds.  Direct mapped by (page >> 12); see tcg_link_confirm(). */
typedef struct TcgFetch {
    uint64_t page;          /* 1: empty */
    const void *token;
} TcgFetch;
enum { FETCH_BITS = 10, FETCH_SIZE = 1 << FETCH_BITS };

enum { RING_SIZE = 16, ENV_MMU_IDX = 4, ENV_ARGS = 8, ENV_SPILLS = 64 };

/* Why generated code returned to the run loop. */
typedef enum {
    TCG_EXIT_LOOKUP,        /* no code known for env->pc: look up or translate */
    TCG_EXIT_LINK,          /* the same, and exit_link names the direct link to be patched */
    TCG_EXIT_PENDING,       /* the pending word was seen */
    TCG_EXIT_EXC,           /* env->exc is set, state is precise */
    TCG_EXIT_LEAVE,         /* IrLeave in exit_arg */
    TCG_EXIT_BUDGET,        /* instruction budget used up */
    TCG_EXIT_STALE,         /* entered a block that was invalidated; env->pc is right, exit_arg the dispatch entry when that is how */
} TcgExit;

enum { TCG_EXC_RAISE = 0xffffffffu };       /* env->exc after ir_raise(); targets use other values */

typedef struct TcgEnv {
    /* hot: within a signed byte of the biased base register */
    uint64_t page_base;         /* virtual page of the running block */
    uint64_t pc;                /* valid outside generated code */
    TlbFast *tlb[ENV_MMU_IDX];  /* by mmu index; [0] is also in the context register */
    JumpEntry *jump;            /* dispatch cache of the current context and mode */
    JumpEntry *landing_jump[2]; /* the same for jumps with IR_LANDING: kinds 1 and 2, kind 3 */
    uint64_t generation;        /* of the current address space's executable mappings (cross-page links) */
    int64_t budget;             /* instructions left (icount) */
    uint32_t exc;               /* non-zero: a routine raised; the thunk leaves by the exit path */
    uint32_t exit_reason;       /* TcgExit */
    uint32_t landing;           /* left by an IR_LANDING jump whose target was not reached yet; else 0 */
    uint64_t exit_arg;
    void *exit_link;            /* TcgLink (tcg/code.h) of TCG_EXIT_LINK */
    uint64_t arg[ENV_ARGS];     /* arguments of thunks */
    uint64_t ret[4];            /* their results (a V128 pair fits) */
    struct { uint64_t key; const void *host; } ring[RING_SIZE];
    uint32_t ring_top;          /* byte offset of the top entry */
    uint32_t guest_mxcsr, host_mxcsr;   /* rounding and flush modes of the guest; sticky bits gather in guest_mxcsr while outside */
    /* thunks of the host back end, filled by tcg_env_init */
    const void *thunk[16];
    /* state saved by thunks: read by the side-table decoder */
    const void *fault_ra;       /* return address into generated code of the slow path or routine that runs now; NULL once tcg_restore has made state precise */
    uint64_t entry_sp;
    uint64_t save_gpr[16];
    uint8_t save_vec[16][32] __attribute__((aligned(32)));
    uint64_t spill[ENV_SPILLS] __attribute__((aligned(16)));
    uint64_t op_in[6][4] __attribute__((aligned(32)));      /* operands of operations that run out of line */
    uint64_t op_out[4][4] __attribute__((aligned(32)));
    const TcgFetch *fetch;      /* of the current address space; may be NULL while no link is confirmed by it */
    void *priv;                 /* accel's */
} TcgEnv;

#endif
