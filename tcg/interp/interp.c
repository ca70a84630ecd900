/* SPDX-License-Identifier: MIT */
/*
 * The interpreter back end: runs the operations themselves, on any host.
 *
 * Slots live in their memory all the time: the IR's rule that faults come
 * before the first set of an instruction makes every fault precise.
 */
#include <assert.h>
#include <stddef.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tcg/host.h"
#include "tcg/interp/eval.h"
#include "tcg/ir-raw.h"

/* A block in code memory: TcgBlock.entry points at it. */
typedef struct IrpOp {
    TcgEvalOp e;
    uint16_t in[6], out[4];
    uint16_t nout, nin;
    TcgLink *link;
} IrpOp;

enum { IN_CONST = 0x4000 };     /* in[]: index into the constants */

typedef struct IrpCode {
    TcgBlock *tb;
    const TcgTarget *target;
    const TcgVal *consts;
    uint32_t nops;
    bool icount;
    IrpOp ops[];
} IrpCode;

/* ---- compiling: a compact copy ---- */

static TcgVal *copy_consts(TcgCtx *x, uint16_t *map)
{
    const IrBlock *b = x->ir;
    TcgVal *pool;
    unsigned n = 0;

    for (unsigned i = 1; i < b->nvalues; i++) {
        if (b->values[i].is_const) {
            map[i] = n++;
        }
    }
    x->area[TCG_DATA].p = (uint8_t *)(((uintptr_t)x->area[TCG_DATA].p + 31) & ~(uintptr_t)31);
    pool = tcg_area_take(x, n * sizeof(TcgVal));
    for (unsigned i = 1; i < b->nvalues; i++) {
        if (b->values[i].is_const) {
            int64_t k = b->values[i].c;

            pool[map[i]] = (TcgVal){ .q = { ir_bits(b->values[i].type) == 32 ? (uint32_t)k : (uint64_t)k } };
        }
    }
    return pool;
}

static bool is_link(unsigned opc)
{
    return opc == OP_goto || opc == OP_exit_if;
}

static void copy_op(const IrBlock *b, const IrOp *op, const uint16_t *map, IrpOp *o)
{
    const IrOpInfo *info = &ir_op_info[op->opc];

    *o = (IrpOp){ .e = { .opc = op->opc, .type = op->type, .nan_mode = b->nan_mode, .sub = op->sub, .imm = op->imm },
                  .nout = info->nout, .nin = op->opc == OP_call ? b->target->rt[op->imm].nargs : info->nin };
    for (unsigned i = 0; i < o->nin; i++) {
        uint16_t v = op->in[i];

        o->in[i] = v & IR_IN_SLOT || !b->values[v].is_const ? v : IN_CONST | map[v];
    }
    memcpy(o->out, op->out, sizeof(o->out));
    o->e.in_type = info->nin && !(op->in[0] & IR_IN_SLOT) ? b->values[op->in[0]].type : op->type;
}

static TcgCompiled irp_compile(TcgCtx *x, TcgBlock *tb)
{
    const IrBlock *b = x->ir;
    size_t size = sizeof(IrpCode) + b->nops * sizeof(IrpOp), want;
    uint16_t *map = x->priv;
    unsigned nlinks = 0;
    IrpCode *code;
    TcgLink *l;

    for (unsigned i = 0; i < b->nops; i++) {
        nlinks += is_link(b->ops[i].opc);
    }
    want = 64 + size + b->nvalues * sizeof(TcgVal) + nlinks * (sizeof(TcgLink) + sizeof(TcgCells));
    if (want > x->code->chunk) {
        return TCG_TOO_BIG;
    }
    if (!tcg_area_room(x, TCG_DATA, want)) {
        return TCG_FULL;
    }
    code = tcg_area_take(x, size);
    *code = (IrpCode){ .tb = tb, .target = b->target, .nops = b->nops, .icount = b->icount };
    code->consts = copy_consts(x, map);
    l = tb->links = tcg_area_take(x, nlinks * sizeof(TcgLink));
    tb->nlinks = nlinks;
    for (unsigned i = 0; i < b->nops; i++) {
        copy_op(b, &b->ops[i], map, &code->ops[i]);
        if (is_link(b->ops[i].opc)) {
            *l = (TcgLink){ .from = tb, .disp = b->ops[i].imm, .cross_page = !tcg_disp_same_page(b->ops[i].imm) };
            if (l->cross_page) {
                l->site = tcg_area_take(x, sizeof(TcgCells));
                memset(l->site, 0, sizeof(TcgCells));
            }
            code->ops[i].link = l++;
        }
    }
    tb->entry = tcg_rx(x->code, code);
    tb->cold = tb->entry;
    tb->code_size = (uint32_t)size;
    return TCG_COMPILED;
}

/* ---- running ---- */

typedef struct Run {
    TcgEnv *env;
    TcgCode *c;
    const IrpCode *code;
    TcgVal *frame;
    TcgBlock *next;             /* where control goes when the block ends */
} Run;

enum { GO_ON = -1, GO_NEXT = -2 };      /* else: a TcgExit */

static const TcgVal *value(const Run *r, uint16_t in)
{
    return in & IN_CONST ? &r->code->consts[in & (IN_CONST - 1)] : &r->frame[in];
}

static uint8_t *slot_at(const Run *r, unsigned s)
{
    return (uint8_t *)r->env + r->code->target->slots[s].offset;
}

static unsigned type_bytes(unsigned t)
{
    static const uint8_t bytes[IR_NTYPES] = { 4, 8, 16, 4, 8, 8, 16, 32 };

    return bytes[t];
}

static bool is_pending(const Run *r)
{
    return __atomic_load_n((uint32_t *)((char *)r->env + r->code->target->pending_off), __ATOMIC_RELAXED) != 0;
}

/* Instructions of the block that began up to and including op o. */
static unsigned begun(const IrpCode *code, const IrpOp *o)
{
    unsigned n = 0;

    for (const IrpOp *p = code->ops; p <= o; p++) {
        n += p->e.opc == OP_insn;
    }
    return n;
}

static bool holds(const Run *r, const IrpOp *o)
{
    return ir_cond_eval(o->e.sub, o->e.in_type, (int64_t)value(r, o->in[0])->q[0], (int64_t)value(r, o->in[1])->q[0]);
}

static void give_back(Run *r, const IrpOp *o)
{
    if (r->code->icount) {
        r->env->budget += r->code->tb->ninsns - begun(r->code, o);
    }
}

static int go_host(Run *r, const void *host)
{
    r->next = ((const IrpCode *)host)->tb;
    return GO_NEXT;
}

static int go_virtual(Run *r, uint64_t pc, unsigned landing)
{
    TcgEnv *env = r->env;
    const JumpEntry *j = &(landing ? env->landing_jump[landing == 3] : env->jump)[jump_index(pc)];

    env->pc = pc;
    env->page_base = pc & ~0xfffull;
    if (is_pending(r)) {
        env->landing = landing;
        return TCG_EXIT_PENDING;
    }
    if (j->pc != pc) {
        env->landing = landing;
        return TCG_EXIT_LOOKUP;
    }
    env->exit_arg = (uintptr_t)j;
    return go_host(r, j->host);
}

/* A cross-page link that no generation holds for: is the page what it was? */
static int go_confirmed(Run *r, const TcgLink *l)
{
    const TcgCells *cells = l->site;
    const void *host = __atomic_load_n(&cells->confirmed, __ATOMIC_ACQUIRE), *token = __atomic_load_n(&cells->token, __ATOMIC_ACQUIRE);
    const TcgFetch *f = token ? &r->env->fetch[(r->env->page_base >> 12) & (FETCH_SIZE - 1)] : NULL;

    return f && f->page == r->env->page_base && f->token == token ? go_host(r, host) : TCG_EXIT_LINK;
}

static int go_link(Run *r, const IrpOp *o)
{
    TcgEnv *env = r->env;
    TcgLink *l = o->link;

    env->pc = env->page_base + (uint64_t)l->disp;
    env->exit_link = l;
    env->exit_arg = 0;
    if (l->disp <= r->code->tb->page_off && is_pending(r)) {
        return TCG_EXIT_PENDING;
    }
    if (!l->cross_page) {
        r->next = __atomic_load_n(&l->to, __ATOMIC_ACQUIRE);
        return r->next ? GO_NEXT : TCG_EXIT_LINK;
    }
    env->page_base = env->pc & ~0xfffull;
    for (unsigned i = 0; i < 2; i++) {
        const TcgCells *cells = l->site;
        const void *host = __atomic_load_n(&cells->host[i], __ATOMIC_ACQUIRE);     /* before the generation: a writer empties that first */

        if (__atomic_load_n(&cells->gen[i], __ATOMIC_ACQUIRE) == env->generation && env->generation) {
            return go_host(r, host);
        }
    }
    return go_confirmed(r, l);
}

/* Store inputs from `first` on to env->arg[1...]. */
static void put_args(Run *r, const IrpOp *o)
{
    bool wide = type_bytes(o->e.type) > 8 && o->e.opc != OP_probe;
    unsigned at = 1;

    r->env->arg[0] = value(r, o->in[0])->q[0];
    for (unsigned i = 1; i < o->nin; i++) {
        const TcgVal *v = value(r, o->in[i]);

        memcpy(&r->env->arg[at], v, wide ? type_bytes(o->e.type) : 8);
        at += wide ? type_bytes(o->e.type) / 8 : 1;
    }
}

static void get_rets(Run *r, const IrpOp *o)
{
    unsigned words = type_bytes(o->e.type) > 8 ? type_bytes(o->e.type) / 8 : 1;

    for (unsigned i = 0; i < o->nout; i++) {
        if (o->out[i]) {
            TcgVal *v = &r->frame[o->out[i]];

            *v = (TcgVal){};
            memcpy(v, &r->env->ret[i * words], words * 8);
            if (type_bytes(o->e.type) == 4) {
                v->q[0] = v->w[0];
            }
        }
    }
}

static int memory(Run *r, const IrpOp *o)
{
    const TcgMemOps *ops = r->c->mem;
    TcgEnv *env = r->env;
    IrMem m = (IrMem)o->e.imm;
    bool ok;

    put_args(r, o);
    env->fault_ra = (const char *)o + 1;
    switch (o->e.opc) {
    case OP_ld: case OP_ld2: ok = ops->load(env, m, o->nout); break;
    case OP_st: case OP_st2: ok = ops->store(env, m, o->nin - 1); break;
    case OP_cas: ok = ops->cas(env, m, 1); break;
    case OP_cas2: ok = ops->cas(env, m, 2); break;
    case OP_rmw: ok = ops->rmw(env, m, o->e.sub); break;
    default: ok = ops->probe(env, m, (uint64_t)o->e.imm >> 32, o->e.sub); break;
    }
    if (!ok) {
        return TCG_EXIT_EXC;
    }
    env->fault_ra = NULL;
    get_rets(r, o);
    return GO_ON;
}

typedef uint64_t RtFn(TcgEnv *, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

static uint32_t get_mxcsr(void)
{
#if defined(__x86_64__)
    return _mm_getcsr();
#else
    return 0x1f80;
#endif
}

static void set_mxcsr(uint32_t v)
{
#if defined(__x86_64__)
    _mm_setcsr(v);
#endif
}

static int call(Run *r, const IrpOp *o)
{
    const RtRow *row = &r->code->target->rt[o->e.imm];
    TcgEnv *env = r->env;
    uint64_t a[6] = {}, ret;

    for (unsigned i = 0; i < o->nin; i++) {
        a[i] = o->in[i] & IR_IN_SLOT ? (uint64_t)(uintptr_t)slot_at(r, o->in[i] & 0xfff) : value(r, o->in[i])->q[0];
    }
    env->fault_ra = (const char *)o + 1;
    if (row->flags & RT_FP) {
        env->guest_mxcsr = get_mxcsr();
        set_mxcsr(env->host_mxcsr);
    }
    ret = ((RtFn *)row->fn)(env, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (row->flags & RT_FP) {
        set_mxcsr(env->guest_mxcsr);
    }
    if (env->exc) {
        return TCG_EXIT_EXC;
    }
    env->fault_ra = NULL;
    if (o->out[0]) {
        r->frame[o->out[0]] = (TcgVal){ .q = { type_bytes(o->e.type) == 4 ? (uint32_t)ret : ret } };
    }
    return GO_ON;
}

static int leave(Run *r, const IrpOp *o, uint64_t pc)
{
    r->env->pc = pc;
    r->env->exit_arg = o->e.sub;
    return TCG_EXIT_LEAVE;
}

static uint64_t insn_pc(Run *r, const IrpOp *o)
{
    while (o->e.opc != OP_insn) {
        o--;
    }
    return r->env->page_base + (uint64_t)o->e.imm;
}

static int raise_code(Run *r, const IrpOp *o)
{
    r->env->pc = insn_pc(r, o);
    r->env->exc = TCG_EXC_RAISE;
    r->env->exit_arg = (uint64_t)o->e.imm;
    r->env->fault_ra = NULL;
    return TCG_EXIT_EXC;
}

static int pure(Run *r, const IrpOp *o)
{
    const TcgVal *in[6];
    TcgVal *out[4];
    bool known;

    for (unsigned i = 0; i < o->nin; i++) {
        in[i] = value(r, o->in[i]);
    }
    for (unsigned i = 0; i < o->nout; i++) {
        out[i] = o->out[i] ? &r->frame[o->out[i]] : NULL;
    }
    known = tcg_eval(&o->e, in, out);
    assert(known);
    return GO_ON;
}

/* A size that the compiler knows: its copy of an unknown one takes half of all time. */
static void copy_value(void *to, const void *from, unsigned type)
{
    switch (type) {
    case IR_I32: case IR_F32:
        memcpy(to, from, 4);
        break;
    case IR_I64: case IR_F64: case IR_V64:
        memcpy(to, from, 8);
        break;
    default:
        memcpy(to, from, type_bytes(type));
    }
}

static int step(Run *r, const IrpOp *o)
{
    TcgEnv *env = r->env;

    switch (o->e.opc) {
    case OP_insn:
        return GO_ON;
    case OP_push_ret:
        return GO_ON;
    case OP_fence:
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return GO_ON;
    case OP_get:
        r->frame[o->out[0]].q[0] = 0;
        copy_value(&r->frame[o->out[0]], slot_at(r, (unsigned)o->e.imm), o->e.type);
        return GO_ON;
    case OP_set:
        copy_value(slot_at(r, (unsigned)o->e.imm), value(r, o->in[0]), o->e.type);
        return GO_ON;
    case OP_pc:
        r->frame[o->out[0]].q[0] = env->page_base + (uint64_t)o->e.imm;
        return GO_ON;
    case OP_ld: case OP_ld2: case OP_st: case OP_st2: case OP_cas: case OP_cas2: case OP_rmw: case OP_probe:
        return memory(r, o);
    case OP_call:
        return call(r, o);
    case OP_exit_if:
        if (!holds(r, o)) {
            return GO_ON;
        }
        give_back(r, o);
        return go_link(r, o);
    case OP_goto:
        return go_link(r, o);
    case OP_jump:
        return go_virtual(r, value(r, o->in[0])->q[0], IR_LANDING_OF(o->e.sub));
    case OP_leave:
        return leave(r, o, env->page_base + (uint64_t)o->e.imm);
    case OP_leave_to:
        return leave(r, o, value(r, o->in[0])->q[0]);
    case OP_raise_if:
        if (!holds(r, o)) {
            return GO_ON;
        }
        give_back(r, o);
        return raise_code(r, o);
    case OP_raise:
        return raise_code(r, o);
    default:
        return pure(r, o);
    }
}

static int run_block(Run *r, TcgBlock *tb)
{
    TcgEnv *env = r->env;
    const IrpCode *code = tb->entry;
    int what = GO_ON;

    r->code = code;
    env->pc = env->page_base + tb->page_off;
    if (__atomic_load_n(&tb->dead, __ATOMIC_ACQUIRE)) {
        return TCG_EXIT_STALE;
    }
    if (code->icount) {
        if (env->budget < (int64_t)tb->ninsns) {
            return TCG_EXIT_BUDGET;
        }
        env->budget -= tb->ninsns;
    }
    for (const IrpOp *o = code->ops; what == GO_ON; o++) {
        what = step(r, o);
    }
    return what;
}

static TcgExit irp_enter(TcgEnv *env, TcgCode *c, TcgBlock *tb)
{
    TcgVal frame[IR_MAX_VALUES];
    Run r = { .env = env, .c = c, .frame = frame, .next = tb };
    int what;

    env->host_mxcsr = get_mxcsr();
    set_mxcsr(env->guest_mxcsr);
    do {
        what = run_block(&r, r.next);
    } while (what == GO_NEXT);
    env->guest_mxcsr = get_mxcsr();
    set_mxcsr(env->host_mxcsr);
    env->exit_reason = (uint32_t)what;
    return what;
}

static uint16_t irp_restore(TcgEnv *env, const TcgCode *c, const TcgBlock *tb, unsigned *ninsns)
{
    const IrpCode *code = tb->entry;
    const IrpOp *o = (const IrpOp *)((const char *)env->fault_ra - 1), *insn = o;

    while (insn->e.opc != OP_insn) {
        insn--;
    }
    env->pc = env->page_base + (uint64_t)insn->e.imm;
    if (ninsns) {
        *ninsns = begun(code, o) - 1;
    }
    return insn->e.sub;
}

/* ---- the record ---- */

static bool irp_usable(void) { return true; }
static void irp_code_init(TcgCode *c) { c->fixed = 0; }
static void irp_code_done(TcgCode *c) {}
static void irp_ctx_init(TcgCtx *x) { x->priv = g_new0(uint16_t, IR_MAX_VALUES); }
static void irp_ctx_done(TcgCtx *x) { g_free(x->priv); }
static void irp_link_set(TcgCode *c, TcgLink *l, TcgBlock *to, uint64_t generation) {}
static void irp_link_clear(TcgCode *c, TcgLink *l) {}
static void irp_kill(TcgCode *c, TcgBlock *tb) {}
static void irp_env_init(TcgEnv *env, TcgCode *c) {}

static void irp_dump(FILE *f, const TcgBlock *tb)
{
    const IrpCode *code = tb->entry;

    for (unsigned i = 0; i < code->nops; i++) {
        fprintf(f, "%4u %s.%s\n", i, ir_op_info[code->ops[i].e.opc].name, ir_type_name[code->ops[i].e.type]);
    }
}

const TcgHost tcg_host_interp = {
    .name = "interp", .usable = irp_usable, .code_init = irp_code_init, .code_done = irp_code_done, .ctx_init = irp_ctx_init,
    .ctx_done = irp_ctx_done, .compile = irp_compile, .link_set = irp_link_set, .link_clear = irp_link_clear, .kill = irp_kill,
    .env_init = irp_env_init, .enter = irp_enter, .restore = irp_restore, .dump = irp_dump,
};
