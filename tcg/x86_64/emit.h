/* SPDX-License-Identifier: MIT */
/*
 * The state of one compilation for x86-64, and the register allocator.
 *
 * Registers: rbp = TcgEnv + 128, r15 = TlbFast of mmu index 0, rsp = host stack.
 * PINS hold guest slots across blocks, TEMPS are for values inside a block;
 * xmm0-xmm13 hold vector and FP values inside a block, xmm14 and xmm15 are scratch.
 *
 * Every value is in at most one register, and may have a home in memory: the
 * slot it was read from or stored to, or a spill word.  A pinned register always
 * holds the current value of its slot.
 */
#ifndef TCG_X86_64_EMIT_H
#define TCG_X86_64_EMIT_H

#include "tcg/host.h"
#include "tcg/interp/eval.h"
#include "tcg/ir-raw.h"
#include "tcg/x86_64/asm.h"

enum { NPINS = 8, ENV_BIAS = 128 };
extern const int8_t x86_pin_reg[NPINS];
#define TEMP_MASK (1u << RAX | 1u << RCX | 1u << RDX | 1u << R13 | 1u << R14)
#define XMM_MASK  (0x3fffu << 16)
#define SCRATCH_X XMM15
#define SCRATCH_Y XMM14

/* Host features. */
typedef struct X86Features { bool bmi, lzcnt, avx, avx2, fma, aes, clmul, movbe, f16c, sha; } X86Features;

/* Which slots live in registers. */
typedef struct X86Pins {
    int8_t slot_pin[IR_MAX_SLOTS];      /* register of a pinned slot, or NOREG */
    int16_t pin_slot[NREGS];            /* slot of a pinned register, or -1 */
    uint32_t pin_mask;
} X86Pins;

/* Thunks and constants in the fixed part of code memory. */
typedef struct X86Code {
    X86Features has;
    X86Pins pins;                       /* between blocks */
    const uint8_t *enter;
    const uint8_t *leave;               /* eax = TcgExit; stores the pins */
    const uint8_t *leave_exc;           /* state is precise or explained by the side table: stores nothing */
    const uint8_t *exit_link, *exit_pending;    /* rax = TcgLink (rx address) */
    const uint8_t *cross_miss;          /* the same, of a cross-page link: env->fetch first */
    const uint8_t *dispatch;            /* rax = virtual pc */
    const uint8_t *pending_at, *lookup_at;      /* rax = virtual pc */
    const uint8_t *stale;               /* called from the head of a killed block */
    const uint8_t *mem[2][8];           /* [vectors live][X86Mem] */
    const uint8_t *call[16];            /* by X86_CALL_* bits */
    const uint8_t *eval, *eval_all;     /* rax = X86Eval; the second one keeps vector registers too */
    const uint8_t *consts;
} X86Code;
enum { X86_LOAD1, X86_LOAD2, X86_STORE1, X86_STORE2, X86_CAS1, X86_CAS2, X86_RMW, X86_PROBE };
enum { X86_CALL_READ = 1, X86_CALL_WRITE = 2, X86_CALL_RAISE = 4, X86_CALL_FP = 8 };
enum { C_NEG32 = 0, C_ABS32 = 16, C_NEG64 = 32, C_ABS64 = 48, C_ONES = 64, C_TBL = 80, C_REV = 96 /* 3 x 16: 16, 32, 64 */,
       C_REV16 = 144 /* 2 x 16: halfwords in 32, 64 */, C_NIB = 176, C_CNT = 192, C_MIN32 = 208, C_MIN64 = 224 /* the smallest normal numbers */,
       C_LOW32 = 240, C_LOW64 = 256 /* 2^-62, 2^-510 */, C_SIZE = 272 };

/* An operation that runs out of line. */
typedef struct X86Eval {
    TcgEvalOp e;
    uint8_t nin, nout, used;        /* used: mask of outputs */
} X86Eval;

/* What a same-page link patches. */
typedef struct X86Site {
    uint8_t *rel;                   /* rw address of the rel32; NULL: the cell */
    const void *cell;               /* host address of a return link */
    const uint8_t *stub;            /* rw address of what it says while unlinked */
} X86Site;

typedef struct VLoc {
    int8_t reg;
    int16_t spill;                  /* index into env->spill, or -1 */
    int16_t slot;                   /* slot memory that holds it, or -1 */
} VLoc;

/* Accesses that share one check (group.c). */
typedef struct Group {
    uint16_t val;                   /* made-up value: the addend, or 0 after a miss */
    uint16_t base, first, last;     /* operations */
    int32_t lo, hi;                 /* bytes [base + lo, base + hi) */
    bool store;                     /* checked against the store table */
    bool exit_seen;
    uint16_t members;
} Group;

enum { LOOP_OPS = 512, LOOP_VALUES = 1024 };

enum { OPF_DEAD = 1, OPF_LAZY = 2, OPF_BACK = 4 /* a side exit backward */ };    /* of an operation */

typedef struct Emit {
    Asm a;                          /* current cursor */
    uint8_t *other;                 /* the cursor not in use: cold while hot, hot while cold */
    bool in_cold;
    TcgCtx *x;
    const TcgCode *c;
    const X86Code *xc;
    const X86Pins *pins;            /* xc->pins, or those of a loop */
    X86Features has;
    IrBlock *b;
    TcgBlock *tb;
    uint8_t *entry, *cold_start;
    const uint8_t *fenced;      /* where the last full fence ended */
    unsigned i;                     /* operation being emitted */
    const IrOp *op;
    int64_t insn_off;
    uint16_t insn_word;
    unsigned insns_begun;
    bool set_in_insn;
    TcgLink *next_link;
    Group groups[IR_MAX_OPS / 2];
    unsigned ngroups;
    uint16_t group_of[IR_MAX_OPS];      /* index + 1, or 0 */
    /* allocator */
    uint32_t locked;
    uint16_t reg_val[NREGS];
    VLoc loc[IR_MAX_VALUES];
    uint16_t last_use[IR_MAX_VALUES];   /* operation index; 0: never used (operation 0 is insn) */
    int8_t hint[IR_MAX_VALUES];
    uint16_t root[IR_MAX_VALUES];
    bool zext[IR_MAX_VALUES];           /* upper half of the register is known to be zero */
    bool shared[IR_MAX_VALUES];         /* named as an input more than once */
    bool used[IR_MAX_VALUES];           /* named at all; both of the forward look */
    bool waits[IR_MAX_VALUES];          /* a flag that only its dirty slot needs: computed from the operands by whoever leaves */
    uint8_t opf[IR_MAX_OPS];
    uint8_t in_type[IR_MAX_OPS];        /* type of input 0 before copies were removed; of calls: mask of I32 arguments */
    int32_t disp[IR_MAX_OPS];           /* of memory operations: added to the address */
    uint16_t slot_home[IR_MAX_SLOTS];   /* value whose home is the slot */
    uint16_t dirty[IR_MAX_SLOTS];       /* value that the slot has and its memory has not */
    uint16_t dirty_list[IR_MAX_SLOTS];
    unsigned ndirty;
    uint64_t spill_used[ENV_SPILLS / 64 + 1];
    /* the second copy of a block that jumps to its own head (loop.c) */
    unsigned loop_edge, loop_nvalues;   /* that jump, in the operations as they were built; 0: no such block */
    uint8_t *loop_from, *loop_head;     /* behind its rel32 in the first copy; head of the second */
    bool in_loop;                       /* the second copy is being emitted */
    bool loop_flag[IR_MAX_SLOTS];       /* flags that nobody has to store at the back-edge */
    X86Pins loop_pins;
    uint32_t loop_clean;                /* registers whose slots the loop only reads */
    IrOp loop_ops[LOOP_OPS + 1];
    IrValue loop_values[LOOP_VALUES];
    /* side table under construction */
    uint8_t *side;
    unsigned side_len, side_room;
} Emit;

/* ---- backward pass (live.c) ---- */
void x86_liveness(Emit *e);
void x86_groups(Emit *e);           /* group.c; after names are resolved */

/* ---- loops (loop.c) ---- */
void x86_loop_find(Emit *e);
bool x86_loop_begin(Emit *e);       /* false: there is none */
void x86_loop_leave(Emit *e);       /* registers as they are between blocks; the allocator's state stays as it is */
unsigned x86_loop_pins(const Emit *e, uint8_t *regs, uint8_t *slots);

/* ---- allocator (ra.c) ---- */
void ra_begin(Emit *e);
void ra_op_end(Emit *e);                        /* frees what died, unlocks */
int ra_alloc(Emit *e, uint32_t mask);           /* a free register of the mask, evicting if need be; locked */
static inline int ra_temp(Emit *e) { return ra_alloc(e, TEMP_MASK); }
void ra_take(Emit *e, int r);                   /* free exactly this register and lock it */
int ra_use(Emit *e, uint16_t v);                /* value -> register, locked */
void ra_load_to(Emit *e, int r, uint16_t v, bool w);    /* copy of a value in a register that is free (or scratch) */
int ra_def(Emit *e, uint16_t v, int prefer, uint32_t avoid);    /* register for the result, which is then its place */
void ra_bind(Emit *e, uint16_t v, int r);       /* r (taken) is now the place of v */
void ra_unlock(Emit *e, int r);
void ra_drop(Emit *e, uint16_t v);              /* v is dead */
void ra_evict(Emit *e, int r);                  /* give the value in r another place */
void ra_evict_xmm(Emit *e);                     /* all vector registers, before C code */
void ra_store_dirty(Emit *e, bool keep);        /* dirty slots to memory; keep: in a stub, the state stays as it is */
bool ra_const(const Emit *e, uint16_t v, int64_t *c);
bool ra_imm32(const Emit *e, uint16_t v, bool w, int32_t *imm);     /* a constant that fits an immediate */
bool ra_in_memory(const Emit *e, uint16_t v, Mem *m);   /* not in a register, but in memory at its full width */
bool ra_dies(const Emit *e, uint16_t v);        /* last use is this operation */
bool ra_live_xmm(const Emit *e);
void ra_get(Emit *e, uint16_t v, unsigned slot);
void ra_set(Emit *e, unsigned slot, uint16_t v, bool lazy);
void ra_slot_clobbered(Emit *e, unsigned slot);     /* its memory is about to change under us: save values that live there */
void ra_forget_pin(Emit *e, int r);             /* the same for a pinned register */

static inline bool is_xmm_type(unsigned t) { return t >= IR_F32; }
bool ra_is_bool_home(const Emit *e, uint16_t v);      /* its home is a slot that only byte accesses touch */
static inline bool ra_w(const Emit *e, uint16_t v) { return e->b->values[v].type == IR_I64; }

/* ---- helpers (host.c) ---- */
static inline Mem env_mem(size_t off) { return mem_bd(RBP, (int32_t)off - ENV_BIAS); }
#define ENV(f) env_mem(offsetof(TcgEnv, f))
static inline Mem slot_mem(const Emit *e, unsigned s) { return mem_bd(RBP, e->b->target->slots[s].offset - ENV_BIAS); }
static inline Mem pending_mem(const TcgTarget *t) { return mem_bd(RBP, t->pending_off - ENV_BIAS); }
static inline Mem spill_mem(unsigned k) { return env_mem(offsetof(TcgEnv, spill) + 8 * k); }

void go_cold(Emit *e);              /* emission continues in cold code ... */
void go_hot(Emit *e);               /* ... and back */
void side_record(Emit *e, bool in_memory);      /* at a return address: the state of this operation (in_memory: slots are stored) */
void store_val(Emit *e, Mem m, uint16_t v, unsigned type);      /* value -> memory at the width of type */
void load_reg(Emit *e, int r, Mem m, unsigned type);
void store_reg(Emit *e, Mem m, int r, unsigned type);
void emit_eval(Emit *e);            /* this operation through the evaluator */
/* A cold path that computes this operation by the evaluator into d and returns to `back` (hot); inputs are still in their places. */
void emit_eval_cold(Emit *e, int d, const uint8_t *back);
const X86Eval *make_eval(Emit *e);

typedef void EmitFn(Emit *e, const IrOp *op);
typedef EmitFn *const EmitTable[OP_COUNT];
extern EmitTable x86_int_ops, x86_mem_ops, x86_flow_ops, x86_fp_ops, x86_vec_ops;    /* NULL: not of this group */

/* int.c, for flow.c: compare, and the condition code that answers. */
unsigned emit_compare(Emit *e, IrCond c, uint16_t x, uint16_t y);

/* int.c: where a flag is set right behind its computation, the slot that setcc may store to at once; or -1. */
int x86_flag_slot(const Emit *e, uint16_t v);
/* int.c: compare the operands of a flags operation once more, without taking registers; and the condition of its output v. */
void x86_flags_again(Emit *e, const IrOp *op);
unsigned x86_flag_cc(const IrOp *op, uint16_t v);
static inline const IrOp *x86_def(const Emit *e, uint16_t v) { return &e->b->ops[e->b->values[v].def]; }

/* thunk.c */
void x86_make_thunks(TcgCode *c, X86Code *xc);

/* vector instructions: d = a op b, in VEX or legacy form */
void sse3(Emit *e, uint32_t op, int d, int x, int y);
void sse2(Emit *e, uint32_t op, int d, int x);

#endif
