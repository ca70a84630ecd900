/* SPDX-License-Identifier: MIT */
/* The x86-64 back end: compiling a block, its side table, links, the record. */
#include <assert.h>
#include <cpuid.h>

#include "tcg/target.h"
#include "tcg/x86_64/emit.h"
#include "util/bits.h"

const int8_t x86_pin_reg[NPINS] = { RBX, RSI, RDI, R8, R9, R10, R11, R12 };

/* ---- helpers of the emitters ---- */

static void switch_cursor(Emit *e)
{
    uint8_t *p = e->a.p;

    e->a.p = e->other;
    e->other = p;
    e->in_cold = !e->in_cold;
}

void go_cold(Emit *e) { assert(!e->in_cold); switch_cursor(e); }
void go_hot(Emit *e) { assert(e->in_cold); switch_cursor(e); }

void sse3(Emit *e, uint32_t op, int d, int x, int y)
{
    if (e->has.avx) {
        vex_rr(&e->a, op, false, d, x, y);
        return;
    }
    if (d == y && d != x) {
        op_rr(&e->a, M0F | 0x28, false, SCRATCH_Y, y);
        y = SCRATCH_Y;
    }
    if (d != x) {
        op_rr(&e->a, M0F | 0x28, false, d, x);
    }
    op_rr(&e->a, op, false, d, y);
}

void sse2(Emit *e, uint32_t op, int d, int x)
{
    if (e->has.avx) {
        vex_rr(&e->a, op, false, d, 0, x);
    } else {
        op_rr(&e->a, op, false, d, x);
    }
}

static void sse_mem(Emit *e, uint32_t op, int r, Mem m)
{
    if (e->has.avx) {
        vex_rm(&e->a, op, false, r, 0, m);
    } else {
        op_rm(&e->a, op, false, r, m);
    }
}

void load_reg(Emit *e, int r, Mem m, unsigned type)
{
    if (r < 16) {
        mov_rm(&e->a, type != IR_I32, r, m);
    } else if (type == IR_F32) {
        sse_mem(e, M0F | P66 | 0x6e, r, m);         /* movd */
    } else if (type == IR_V128) {
        sse_mem(e, M0F | 0x10, r, m);               /* movups */
    } else {
        sse_mem(e, M0F | PF3 | 0x7e, r, m);         /* movq */
    }
}

void store_reg(Emit *e, Mem m, int r, unsigned type)
{
    if (r < 16) {
        mov_mr(&e->a, type != IR_I32, m, r);
    } else if (type == IR_F32) {
        sse_mem(e, M0F | P66 | 0x7e, r, m);
    } else if (type == IR_V128) {
        sse_mem(e, M0F | 0x11, r, m);
    } else {
        sse_mem(e, M0F | P66 | 0xd6, r, m);
    }
}

/* A slot that is only ever touched as a byte. */
static bool is_bool_slot(const Emit *e, Mem m)
{
    for (unsigned s = 0; s < e->b->target->nslots; s++) {
        if (e->b->target->slots[s].is_bool && slot_mem(e, s).disp == m.disp && m.base == RBP) {
            return true;
        }
    }
    return false;
}

void store_val(Emit *e, Mem m, uint16_t v, unsigned type)
{
    bool byte = type == IR_I32 && is_bool_slot(e, m);
    int64_t c;
    Mem from;
    int r;

    if (e->waits[v]) {
        x86_flags_again(e, x86_def(e, v));
        setcc_m(&e->a, x86_flag_cc(x86_def(e, v), v), m);
        return;
    }
    if (ra_const(e, v, &c)) {
        if (byte) {
            mov_mi8(&e->a, m, (unsigned)c & 1);
        } else if (ir_bits(type) == 32 || c == (int32_t)c) {
            mov_mi(&e->a, ir_bits(type) == 64, m, (int32_t)c);
        } else {
            mov_mi(&e->a, false, m, (int32_t)c);
            m.disp += 4;
            mov_mi(&e->a, false, m, (int32_t)(c >> 32));
        }
        return;
    }
    r = e->loc[v].reg;
    if (r == NOREG) {
        bool have = ra_in_memory(e, v, &from);

        assert(have);
        r = SCRATCH_X;
        load_reg(e, r, from, type == IR_I32 || (type == IR_I64 && !ra_w(e, v)) ? IR_F32 : type == IR_I64 ? IR_F64 : type);
        type = type == IR_I32 ? IR_F32 : type == IR_I64 ? IR_F64 : type;
    }
    if (byte && r < 16) {
        op_rm8(&e->a, 0x88, r, m);
    } else {
        store_reg(e, m, r, type);
    }
}

/* ---- operations without code of their own ---- */

const X86Eval *make_eval(Emit *e)
{
    const IrOpInfo *info = &ir_op_info[e->op->opc];
    X86Eval *x = tcg_area_take(e->x, sizeof(*x));

    *x = (X86Eval){ .e = { e->op->opc, e->op->type, e->in_type[e->i], e->b->nan_mode, e->op->sub, e->op->imm }, .nin = info->nin, .nout = info->nout };
    for (unsigned k = 0; k < info->nout; k++) {
        x->used |= (e->op->out[k] && e->last_use[e->op->out[k]]) || info->nout == 1 ? 1u << k : 0;
    }
    return x;
}

static unsigned whole_type(const Emit *e, uint16_t v)
{
    unsigned t = e->b->values[v].type;

    return t == IR_I32 ? IR_I64 : t;
}

static void eval_inputs(Emit *e)
{
    for (unsigned k = 0; k < ir_op_info[e->op->opc].nin; k++) {
        uint16_t v = e->op->in[k];
        int64_t c;

        store_val(e, env_mem(offsetof(TcgEnv, op_in) + 32 * k), v, ra_const(e, v, &c) || e->loc[v].reg != NOREG ? whole_type(e, v) : e->b->values[v].type);
    }
}

void emit_eval(Emit *e)
{
    bool keep = e->pins->pin_mask & XMM_MASK;
    const IrOp *op = e->op;

    for (unsigned k = 0; k < ir_op_info[op->opc].nin; k++) {
        int64_t c;

        if (!ra_const(e, op->in[k], &c)) {
            ra_unlock(e, ra_use(e, op->in[k]));
            store_val(e, env_mem(offsetof(TcgEnv, op_in) + 32 * k), op->in[k], whole_type(e, op->in[k]));
        } else {
            store_val(e, env_mem(offsetof(TcgEnv, op_in) + 32 * k), op->in[k], whole_type(e, op->in[k]));
        }
    }
    if (!keep) {
        ra_evict_xmm(e);
    }
    ra_take(e, RAX);
    lea(&e->a, true, RAX, mem_rip((const uint8_t *)make_eval(e)));
    call_to(&e->a, keep ? e->xc->eval_all : e->xc->eval);
    ra_unlock(e, RAX);
    for (unsigned k = 0; k < ir_op_info[op->opc].nout; k++) {
        if (op->out[k] && e->last_use[op->out[k]]) {
            int d = ra_def(e, op->out[k], NOREG, 0);

            load_reg(e, d, env_mem(offsetof(TcgEnv, op_out) + 32 * k), e->b->values[op->out[k]].type);
        }
    }
}

void emit_eval_cold(Emit *e, int d, const uint8_t *back)
{
    eval_inputs(e);
    mov_mr(&e->a, true, ENV(arg[6]), RAX);
    lea(&e->a, true, RAX, mem_rip((const uint8_t *)make_eval(e)));
    call_to(&e->a, e->xc->eval_all);
    mov_rm(&e->a, true, RAX, ENV(arg[6]));
    load_reg(e, d, env_mem(offsetof(TcgEnv, op_out)), e->op->type);
    jmp_to(&e->a, back);
}

/* ---- side table ---- */

static void side_put(Emit *e, uint64_t v)
{
    if (e->side_len + 10 > e->side_room) {
        e->side_room = e->side_room * 2 + 4096;
        e->side = g_realloc(e->side, e->side_room);
    }
    for (; v >= 128; v >>= 7) {
        e->side[e->side_len++] = (uint8_t)(v | 128);
    }
    e->side[e->side_len++] = (uint8_t)v;
}

static void side_put_loop(Emit *e)
{
    uint8_t regs[NREGS], slots[NREGS];
    unsigned n = x86_loop_pins(e, regs, slots);

    side_put(e, n);
    for (unsigned k = 0; k < n; k++) {
        side_put(e, regs[k]);
        side_put(e, slots[k]);
    }
}

static uint64_t side_get(const uint8_t **p)
{
    uint64_t v = 0;
    unsigned shift = 0;

    for (; **p & 128; shift += 7) {
        v |= (uint64_t)(*(*p)++ & 127) << shift;
    }
    return v | (uint64_t)*(*p)++ << shift;
}

/*
 * First the registers that hold other slots in the loop: their count, and register and slot of each.
 * A record: (offset of the return address << 1 | cold) + 1, offset of the instruction, its word, instructions
 * begun before it, (slots << 2 | in the loop << 1 | in memory), then per slot its number, and place: register, 32 + spill word, PLACE_SLOT +
 * another slot whose memory has the value (PLACE_SLOT32: zero-extended), or 31 and the constant; or PLACE_FLAG + a flag of an operation on
 * two more places.
 */
enum { PLACE_CONST = 31, PLACE_SPILL = 32, PLACE_SLOT = PLACE_SPILL + ENV_SPILLS, PLACE_SLOT32 = PLACE_SLOT + IR_MAX_SLOTS,
       PLACE_FLAG = PLACE_SLOT32 + IR_MAX_SLOTS };

/* Which flag: output, width, operation. */
static const uint8_t flag_opc[] = { OP_flags_sub, OP_flags_add, OP_flags_and };

static unsigned flag_place(const IrOp *op, uint16_t v)
{
    unsigned kind = 0, out = 0;

    while (flag_opc[kind] != op->opc) {
        kind++;
    }
    while (op->out[out] != v) {
        out++;
    }
    return PLACE_FLAG + (kind << 3 | (op->type == IR_I64) << 2 | out);
}

static void side_value(Emit *e, uint16_t v)
{
    const VLoc *l = &e->loc[v];
    int64_t c;

    if (ra_const(e, v, &c)) {
        side_put(e, PLACE_CONST);
        side_put(e, (uint64_t)c);
    } else if (l->reg != NOREG) {
        side_put(e, (unsigned)l->reg);
    } else if (l->spill >= 0) {
        side_put(e, PLACE_SPILL + (unsigned)l->spill);
    } else {
        assert(l->slot >= 0);
        side_put(e, (e->b->values[v].type == IR_I32 ? PLACE_SLOT32 : PLACE_SLOT) + (unsigned)l->slot);
    }
}

void side_record(Emit *e, bool in_memory)
{
    unsigned n = in_memory ? 0 : e->ndirty;

    side_put(e, ((uint64_t)(e->a.p - (e->in_cold ? e->cold_start : e->entry)) << 1 | e->in_cold) + 1);
    side_put(e, (uint64_t)e->insn_off);
    side_put(e, e->insn_word);
    side_put(e, e->insns_begun - 1);
    side_put(e, n << 2 | e->in_loop << 1 | in_memory);
    for (unsigned k = 0; k < n; k++) {
        uint16_t v = e->dirty[e->dirty_list[k]];

        side_put(e, e->dirty_list[k]);
        if (e->waits[v]) {
            side_put(e, flag_place(x86_def(e, v), v));
            side_value(e, x86_def(e, v)->in[0]);
            side_value(e, x86_def(e, v)->in[1]);
        } else {
            side_value(e, v);
        }
    }
}

static void restore_slot(TcgEnv *env, const TcgTarget *t, unsigned s, const void *from)
{
    static const uint8_t bytes[IR_NTYPES] = { 4, 8, 16, 4, 8, 8, 16, 32 };

    memcpy((char *)env + t->slots[s].offset, from, bytes[t->slots[s].type]);
}

/* Where the value of a place lies; `word` is room for what lies nowhere. */
static const void *restored(TcgEnv *env, const TcgCode *c, unsigned place, const uint8_t **p, uint64_t *word)
{
    if (place == PLACE_CONST) {
        *word = side_get(p);
        return word;
    }
    if (place >= PLACE_SLOT32) {
        *word = *(uint32_t *)((char *)env + c->target->slots[place - PLACE_SLOT32].offset);
        return word;
    }
    if (place >= PLACE_SLOT) {
        return (char *)env + c->target->slots[place - PLACE_SLOT].offset;
    }
    return place >= PLACE_SPILL ? (const void *)&env->spill[place - PLACE_SPILL] : place < 16 ? (const void *)&env->save_gpr[place] : env->save_vec[place - 16];
}

static const void *restored_flag(TcgEnv *env, const TcgCode *c, unsigned flag, const uint8_t **p, uint64_t *word)
{
    TcgEvalOp op = { .opc = flag_opc[flag >> 3], .type = flag & 4 ? IR_I64 : IR_I32, .in_type = flag & 4 ? IR_I64 : IR_I32 };
    TcgVal x = {}, y = {}, bit = {}, *out[4] = {};
    const TcgVal *const in[2] = { &x, &y };
    uint64_t k;

    memcpy(&x, restored(env, c, (unsigned)side_get(p), p, &k), op.type == IR_I64 ? 8 : 4);
    memcpy(&y, restored(env, c, (unsigned)side_get(p), p, &k), op.type == IR_I64 ? 8 : 4);
    out[flag & 3] = &bit;
    tcg_eval_int(&op, in, out);
    *word = bit.q[0];
    return word;
}

/* What the registers hold; `loop` is the list of those that hold something else in the loop, or NULL. */
static void restore_pins(TcgEnv *env, const TcgCode *c, const uint8_t *loop)
{
    const X86Code *xc = c->priv;
    uint32_t m = xc->pins.pin_mask;

    for (unsigned n = loop ? (unsigned)side_get(&loop) : 0; n > 0; n--) {
        unsigned r = (unsigned)side_get(&loop);

        restore_slot(env, c->target, (unsigned)side_get(&loop), r < 16 ? (const void *)&env->save_gpr[r] : env->save_vec[r - 16]);
        m &= ~(1u << r);
    }
    for (; m; m &= m - 1) {
        restore_slot(env, c->target, (unsigned)xc->pins.pin_slot[ctz32(m)], &env->save_gpr[ctz32(m)]);
    }
}

static void restore_slots(TcgEnv *env, const TcgCode *c, const uint8_t *p, unsigned n)
{
    for (; n > 0; n--) {
        unsigned s = (unsigned)side_get(&p), place = (unsigned)side_get(&p);
        uint64_t word;

        restore_slot(env, c->target, s, place >= PLACE_FLAG ? restored_flag(env, c, place - PLACE_FLAG, &p, &word) : restored(env, c, place, &p, &word));
    }
}

static void side_skip(const uint8_t **p, unsigned n)
{
    for (; n > 0; n--) {
        side_get(p);
        for (unsigned places = 1; places; places--) {
            uint64_t place = side_get(p);

            places += place >= PLACE_FLAG ? 2 : 0;
            if (place == PLACE_CONST) {
                side_get(p);
            }
        }
    }
}

static uint16_t x86_restore(TcgEnv *env, const TcgCode *c, const TcgBlock *tb, unsigned *ninsns)
{
    const uint8_t *ra = env->fault_ra, *p = tb->side_table;
    bool cold = ra > (const uint8_t *)tb->cold && ra <= (const uint8_t *)tb->cold + tb->cold_size;
    const uint8_t *loop = p;
    uint64_t want = ((uint64_t)(ra - (const uint8_t *)(cold ? tb->cold : tb->entry)) << 1 | cold) + 1, key;

    for (uint64_t skip = 2 * side_get(&p); skip > 0; skip--) {
        side_get(&p);
    }
    while ((key = side_get(&p))) {
        int64_t off = (int64_t)side_get(&p);
        unsigned word = (unsigned)side_get(&p), begun = (unsigned)side_get(&p), n = (unsigned)side_get(&p);

        if (key != want) {
            side_skip(&p, n >> 2);
            continue;
        }
        if (!(n & 1)) {
            restore_pins(env, c, n & 2 ? loop : NULL);
            restore_slots(env, c, p, n >> 2);
        }
        env->pc = env->page_base + (uint64_t)off;
        if (ninsns) {
            *ninsns = begun;
        }
        return (uint16_t)word;
    }
    g_error("no precise state at host address %p of block %p", env->fault_ra, tb->entry);
}

/* ---- a block ---- */

static unsigned count_links(const IrBlock *b)
{
    unsigned n = 0;

    for (unsigned i = 0; i < b->nops; i++) {
        unsigned opc = b->ops[i].opc;

        n += opc == OP_goto || opc == OP_exit_if || opc == OP_push_ret;
    }
    return 2 * n + 1;           /* a loop has them once more, and one behind its end */
}

/* No operation, with all that it sends to cold code, takes more than this. */
static const size_t op_most[TCG_AREAS] = { [TCG_HOT] = 4096, [TCG_COLD] = 8192, [TCG_DATA] = 1024 };

static bool make_room(TcgCtx *x, unsigned nlinks)
{
    size_t n = x->ir->nops, most = x->code->chunk / 2;
    size_t want[TCG_AREAS] = { [TCG_HOT] = n * 64, [TCG_COLD] = n * 128, [TCG_DATA] = n * 48 + nlinks * (sizeof(TcgLink) + 64) };

    for (unsigned k = 0; k < TCG_AREAS; k++) {
        if (!tcg_area_room(x, k, want[k] + 2 * op_most[k] < most ? want[k] + 2 * op_most[k] : most)) {
            return false;
        }
    }
    return true;
}

/* At the border of operations. */
static bool has_room(const Emit *e, size_t data)
{
    const TcgArea *a = e->x->area;

    return (size_t)(a[TCG_HOT].end - e->a.p) >= op_most[TCG_HOT] && (size_t)(a[TCG_COLD].end - e->other) >= op_most[TCG_COLD] &&
           (size_t)(a[TCG_DATA].end - a[TCG_DATA].p) >= data;
}

/* The block is given up: what it began behind others begins in a chunk of its own next time. */
static TcgCompiled overflow(Emit *e, uint8_t *data_begin)
{
    TcgArea *a = e->x->area;
    const uint8_t *begin[TCG_AREAS] = { a[TCG_HOT].p, a[TCG_COLD].p, data_begin };
    bool again = false;

    for (unsigned k = 0; k < TCG_AREAS; k++) {
        again |= begin[k] != a[k].start;
    }
    if (!again) {
        return TCG_TOO_BIG;
    }
    memset(a, 0, sizeof(e->x->area));
    return TCG_AGAIN;
}

static void emit_op(Emit *e, const IrOp *op)
{
    EmitTable *const groups[] = { &x86_int_ops, &x86_mem_ops, &x86_flow_ops, &x86_fp_ops, &x86_vec_ops };

    for (unsigned g = 0; g < ARRAY_SIZE(groups); g++) {
        if ((*groups[g])[op->opc]) {
            (*groups[g])[op->opc](e, op);
            return;
        }
    }
    emit_eval(e);
}

static void begin_block(Emit *e)
{
    uint8_t *p = (uint8_t *)(((uintptr_t)e->x->area[TCG_HOT].p + 9 + 15) & ~(uintptr_t)15);

    memset(e->x->area[TCG_HOT].p, 0xcc, (size_t)(p - e->x->area[TCG_HOT].p));
    e->a.p = p - 9;
    put32(&e->a, e->b->page_off);
    call_to(&e->a, e->xc->stale);
    e->entry = e->a.p;
    e->cold_start = e->other = e->x->area[TCG_COLD].p;
    e->in_cold = false;
    e->side_len = 0;
    side_put_loop(e);
    e->insns_begun = 0;
    e->fenced = NULL;
    e->insn_off = e->b->page_off;
    e->set_in_insn = false;
    if (e->b->icount) {
        uint8_t *out;

        alu_mi(&e->a, ALU_SUB, true, ENV(budget), (int32_t)e->b->ninsns);
        jcc_to(&e->a, CC_S, e->a.p);
        out = e->a.p;
        go_cold(e);
        land_near(out, e->a.p);
        alu_mi(&e->a, ALU_ADD, true, ENV(budget), (int32_t)e->b->ninsns);
        mov_rm(&e->a, true, RAX, ENV(page_base));
        alu_ri(&e->a, ALU_ADD, true, RAX, (int32_t)e->b->page_off);
        mov_mr(&e->a, true, ENV(pc), RAX);
        mov_ri(&e->a, RAX, TCG_EXIT_BUDGET);
        jmp_to(&e->a, e->xc->leave);
        go_hot(e);
    }
}

static void end_block(Emit *e, TcgBlock *tb)
{
    uint8_t *side;

    e->x->area[TCG_HOT].p = e->a.p;
    e->x->area[TCG_COLD].p = e->other;
    assert(e->a.p <= e->x->area[TCG_HOT].end && e->other <= e->x->area[TCG_COLD].end);
    side = tcg_area_take(e->x, e->side_len);
    memcpy(side, e->side, e->side_len);
    tb->entry = tcg_rx(e->c, e->entry);
    tb->cold = tcg_rx(e->c, e->cold_start);
    tb->code_size = (uint32_t)(e->a.p - e->entry);
    tb->cold_size = (uint32_t)(e->other - e->cold_start);
    tb->side_table = side;
}

/* False: there is no room. */
static bool emit_ops(Emit *e)
{
    x86_liveness(e);
    ra_begin(e);
    for (e->i = 0; e->i < e->b->nops; e->i++) {
        if (!has_room(e, op_most[TCG_DATA])) {
            return false;
        }
        e->op = &e->b->ops[e->i];
        if (!(e->opf[e->i] & OPF_DEAD)) {
            emit_op(e, e->op);
            assert(!e->in_cold);
            ra_op_end(e);
        }
    }
    return true;
}

static TcgCompiled x86_compile(TcgCtx *x, TcgBlock *tb)
{
    Emit *e = x->priv;
    unsigned nlinks = count_links(x->ir);
    uint8_t *data_begin;

    if (nlinks * sizeof(TcgLink) > x->code->chunk / 4) {
        return TCG_TOO_BIG;
    }
    if (!make_room(x, nlinks)) {
        return TCG_FULL;
    }
    e->b = x->ir;
    e->tb = tb;
    data_begin = x->area[TCG_DATA].p;
    tb->links = e->next_link = tcg_area_take(x, nlinks * sizeof(TcgLink));
    e->pins = &e->xc->pins;
    x86_loop_find(e);
    begin_block(e);
    if (!emit_ops(e)) {
        return overflow(e, data_begin);
    }
    if (x86_loop_begin(e) && !emit_ops(e)) {
        return overflow(e, data_begin);
    }
    side_put(e, 0);
    if (!has_room(e, e->side_len + 8)) {
        return overflow(e, data_begin);
    }
    tb->nlinks = (unsigned)(e->next_link - tb->links);
    end_block(e, tb);
    return TCG_COMPILED;
}

/* ---- links and kills: single stores through the writable alias ---- */

static void point_at(TcgCode *c, TcgLink *l, const uint8_t *rw_target)
{
    X86Site *s = l->site;

    if (!s) {
        return;
    }
    if (s->rel) {
        __atomic_store_n((int32_t *)s->rel, (int32_t)(rw_target - (s->rel + 4)), __ATOMIC_RELEASE);
    } else {
        __atomic_store_n(&s->cell, tcg_rx(c, rw_target), __ATOMIC_RELEASE);
    }
}

static void x86_link_set(TcgCode *c, TcgLink *l, TcgBlock *to, uint64_t generation)
{
    point_at(c, l, tcg_rw(c, to->entry));
}

static void x86_link_clear(TcgCode *c, TcgLink *l)
{
    X86Site *s = l->site;

    if (s) {
        point_at(c, l, s->stub);
    }
}

static void x86_kill(TcgCode *c, TcgBlock *tb)
{
    const X86Site *loop = tb->loop;

    /* jmp to the call in front of the entry */
    __atomic_store_n((uint16_t *)tcg_rw(c, tb->entry), 0xf9eb, __ATOMIC_SEQ_CST);
    if (loop) {
        __atomic_store_n((int32_t *)loop->rel, (int32_t)(loop->stub - (loop->rel + 4)), __ATOMIC_SEQ_CST);
    }
}

/* ---- set-up ---- */

static bool x86_usable(void)
{
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
}

static X86Features detect(void)
{
    X86Features f = {};
    unsigned a, b, c, d;

    f.avx = tcg_feature("avx", __builtin_cpu_supports("avx"));
    f.avx2 = f.avx && tcg_feature("avx2", __builtin_cpu_supports("avx2"));
    f.bmi = f.avx && tcg_feature("bmi", __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("bmi"));
    f.fma = f.avx && tcg_feature("fma", __builtin_cpu_supports("fma"));
    if (!__get_cpuid(1, &a, &b, &c, &d)) {
        c = 0;
    }
    f.aes = tcg_feature("aes", c >> 25 & 1);
    f.clmul = tcg_feature("clmul", c >> 1 & 1);
    f.movbe = tcg_feature("movbe", c >> 22 & 1);
    f.f16c = f.avx && tcg_feature("f16c", c >> 29 & 1);
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        b = 0;
    }
    f.sha = f.avx && tcg_feature("sha", b >> 29 & 1);
    if (!__get_cpuid(0x80000001, &a, &b, &c, &d)) {
        c = 0;
    }
    f.lzcnt = tcg_feature("lzcnt", c >> 5 & 1);
    return f;
}

static void assign_pins(const TcgTarget *t, X86Pins *pins)
{
    memset(pins->slot_pin, NOREG, sizeof(pins->slot_pin));
    memset(pins->pin_slot, 0xff, sizeof(pins->pin_slot));
    for (unsigned s = 0; s < t->nslots; s++) {
        unsigned pin = t->slots[s].pin;

        if (pin && pin <= NPINS && t->slots[s].type == IR_I64) {
            int r = x86_pin_reg[pin - 1];

            assert(!(pins->pin_mask >> r & 1));
            pins->slot_pin[s] = (int8_t)r;
            pins->pin_slot[r] = (int16_t)s;
            pins->pin_mask |= 1u << r;
        }
    }
}

static void x86_code_init(TcgCode *c)
{
    X86Code *xc = g_new0(X86Code, 1);

    c->priv = xc;
    xc->has = detect();
    assign_pins(c->target, &xc->pins);
    x86_make_thunks(c, xc);
}

static void x86_code_done(TcgCode *c) { g_free(c->priv); }

static void x86_ctx_init(TcgCtx *x)
{
    Emit *e = g_new0(Emit, 1);

    e->x = x;
    e->c = x->code;
    e->xc = x->code->priv;
    e->has = e->xc->has;
    x->priv = e;
}

static void x86_ctx_done(TcgCtx *x)
{
    Emit *e = x->priv;

    g_free(e->side);
    g_free(e);
}

static void x86_env_init(TcgEnv *env, TcgCode *c)
{
    const X86Code *xc = c->priv;

    env->thunk[0] = tcg_rx(c, xc->dispatch);
}

static TcgExit x86_enter(TcgEnv *env, TcgCode *c, TcgBlock *tb)
{
    const X86Code *xc = c->priv;

    return ((TcgExit (*)(TcgEnv *, const void *))(uintptr_t)xc->enter)(env, tb->entry);
}

static void dump_part(FILE *f, const char *what, const uint8_t *p, unsigned n)
{
    fprintf(f, "%s %p %u bytes\n", what, (const void *)p, n);
    for (unsigned i = 0; i < n; i++) {
        fprintf(f, "%02x%s", p[i], i % 32 == 31 || i + 1 == n ? "\n" : " ");
    }
}

static void x86_dump(FILE *f, const TcgBlock *tb)
{
    dump_part(f, "hot", tb->entry, tb->code_size);
    dump_part(f, "cold", tb->cold, tb->cold_size);
}

const TcgHost tcg_host_x86_64 = {
    .name = "x86_64", .executes = true, .groups = true, .usable = x86_usable, .code_init = x86_code_init, .code_done = x86_code_done,
    .ctx_init = x86_ctx_init, .ctx_done = x86_ctx_done, .compile = x86_compile, .link_set = x86_link_set, .link_clear = x86_link_clear,
    .kill = x86_kill, .env_init = x86_env_init, .enter = x86_enter, .restore = x86_restore, .dump = x86_dump,
};
