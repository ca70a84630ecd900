/* SPDX-License-Identifier: MIT */
/* Register allocation while emitting: where values are, and making room. */
#include <assert.h>

#include "tcg/x86_64/emit.h"
#include "util/bits.h"

/* Order of preference: short encodings first, rax and rcx late (fixed uses). */
static const int8_t temp_order[] = { RDX, RCX, RAX, R14, R13 };

bool ra_const(const Emit *e, uint16_t v, int64_t *c)
{
    return ir_is_const(e->b, (IrVal){ v }, c);
}

bool ra_imm32(const Emit *e, uint16_t v, bool w, int32_t *imm)
{
    int64_t c;

    if (!ra_const(e, v, &c)) {
        return false;
    }
    *imm = (int32_t)c;
    return !w || c == (int32_t)c;
}

static bool live_after(const Emit *e, uint16_t v)
{
    return v && e->last_use[v] > e->i;
}

/* Still needed by this operation or later. */
static bool live_now(const Emit *e, uint16_t v)
{
    return v && e->last_use[v] >= e->i;
}

bool ra_dies(const Emit *e, uint16_t v)
{
    return e->last_use[v] <= e->i;
}

static bool is_pin(const Emit *e, int r)
{
    return e->pins->pin_mask >> r & 1;
}

void ra_begin(Emit *e)
{
    memset(e->reg_val, 0, sizeof(e->reg_val));
    memset(e->slot_home, 0, sizeof(e->slot_home));
    memset(e->dirty, 0, sizeof(e->dirty));
    memset(e->spill_used, 0, sizeof(e->spill_used));
    e->ndirty = 0;
    e->locked = 0;
}

static unsigned value_bytes(const Emit *e, uint16_t v)
{
    unsigned t = e->b->values[v].type;

    return t == IR_V128 ? 16 : t == IR_V256 ? 32 : 8;
}

/* ---- spill words ---- */

static unsigned spill_take(Emit *e, unsigned words)
{
    for (unsigned k = 0; k + words <= ENV_SPILLS; k += words) {
        uint64_t mask = (words == 4 ? 15ull : words == 2 ? 3ull : 1ull) << (k & 63);

        if (!(e->spill_used[k / 64] & mask)) {
            e->spill_used[k / 64] |= mask;
            return k;
        }
    }
    assert(!"spill words suffice");
    return 0;
}

static void spill_free(Emit *e, uint16_t v)
{
    int k = e->loc[v].spill;

    if (k >= 0) {
        unsigned words = value_bytes(e, v) / 8;

        e->spill_used[k / 64] &= ~((words == 4 ? 15ull : words == 2 ? 3ull : 1ull) << (k & 63));
        e->loc[v].spill = -1;
    }
}

/* ---- giving up registers ---- */

static void clear_dirty(Emit *e, unsigned s)
{
    e->dirty[s] = 0;
    for (unsigned k = 0; k < e->ndirty; k++) {
        if (e->dirty_list[k] == s) {
            e->dirty_list[k] = e->dirty_list[--e->ndirty];
            return;
        }
    }
}

static void set_home(Emit *e, unsigned s, uint16_t v)
{
    uint16_t old = e->slot_home[s];

    if (old && e->loc[old].slot == (int)s) {
        e->loc[old].slot = -1;
    }
    e->slot_home[s] = 0;
    if (v && !e->b->values[v].is_const && e->b->values[v].type == e->b->target->slots[s].type && e->loc[v].slot < 0) {
        e->slot_home[s] = v;
        e->loc[v].slot = s;
    }
}

/* Write out the dirty slots that wait for v; true when one of them is a home now. */
static void settle(Emit *e, uint16_t v)
{
    for (unsigned k = 0; k < e->ndirty;) {
        unsigned s = e->dirty_list[k];

        if (e->dirty[s] == v) {
            store_val(e, slot_mem(e, s), v, e->b->target->slots[s].type);
            clear_dirty(e, s);
            set_home(e, s, v);
        } else {
            k++;
        }
    }
}

/* Make sure that v, which is in a register, can be found in memory too. */
static void save(Emit *e, uint16_t v)
{
    VLoc *l = &e->loc[v];

    settle(e, v);
    if (l->slot < 0 && l->spill < 0) {
        l->spill = spill_take(e, value_bytes(e, v) / 8);
        store_reg(e, spill_mem(l->spill), l->reg, e->b->values[v].type == IR_I32 ? IR_I64 : e->b->values[v].type);
    }
}

/* Another register (a pin) that holds the same value? */
static int twin(const Emit *e, uint16_t v, int r)
{
    for (uint32_t m = e->pins->pin_mask; m; m &= m - 1) {
        int p = (int)ctz32(m);

        if (p != r && e->reg_val[p] == v) {
            return p;
        }
    }
    return NOREG;
}

void ra_evict(Emit *e, int r)
{
    uint16_t v = e->reg_val[r];
    int t;

    e->reg_val[r] = 0;
    if (!v || e->loc[v].reg != r) {
        return;
    }
    if (!live_now(e, v)) {
        e->loc[v].reg = NOREG;
        return;
    }
    if ((t = twin(e, v, r)) == NOREG && !e->b->values[v].is_const) {
        save(e, v);
    }
    e->loc[v].reg = t;
}

void ra_unlock(Emit *e, int r)
{
    e->locked &= ~(1u << r);
}

int ra_alloc(Emit *e, uint32_t mask)
{
    uint32_t can = mask & ~e->locked & ~e->pins->pin_mask;
    int best = NOREG;
    unsigned far = 0;

    assert(can);
    if (mask & TEMP_MASK) {
        for (unsigned k = 0; k < ARRAY_SIZE(temp_order); k++) {
            int r = temp_order[k];

            if ((can >> r & 1) && !live_now(e, e->reg_val[r])) {
                best = r;
                break;
            }
        }
    }
    for (uint32_t m = can; best == NOREG && m; m &= m - 1) {
        int r = (int)ctz32(m);

        if (!live_now(e, e->reg_val[r])) {
            best = r;
        }
    }
    if (best == NOREG) {
        for (uint32_t m = can; m; m &= m - 1) {
            int r = (int)ctz32(m);
            uint16_t v = e->reg_val[r];
            unsigned cost = e->last_use[v] + (e->loc[v].slot >= 0 || e->loc[v].spill >= 0 || e->b->values[v].is_const ? 40 : 0);

            if (best == NOREG || cost > far) {
                best = r;
                far = cost;
            }
        }
    }
    ra_evict(e, best);
    e->locked |= 1u << best;
    return best;
}

void ra_take(Emit *e, int r)
{
    uint16_t v = e->reg_val[r];

    assert(!(e->locked >> r & 1));
    e->locked |= 1u << r;
    if (r >= 16 && v && live_now(e, v) && e->loc[v].reg == r) {
        int t = ra_alloc(e, XMM_MASK);

        ra_load_to(e, t, v, true);
        e->reg_val[r] = 0;
        ra_bind(e, v, t);
        ra_unlock(e, t);
        return;
    }
    for (unsigned k = 0; r < 16 && k < ARRAY_SIZE(temp_order) && v && live_now(e, v) && e->loc[v].reg == r; k++) {
        int t = temp_order[k];

        if (!(e->locked >> t & 1) && !live_now(e, e->reg_val[t])) {
            mov_rr(&e->a, true, t, r);
            e->reg_val[r] = 0;
            e->reg_val[t] = v;
            e->loc[v].reg = (int8_t)t;
            return;
        }
    }
    ra_evict(e, r);
}

/* ---- reading ---- */

bool ra_is_bool_home(const Emit *e, uint16_t v)
{
    const VLoc *l = &e->loc[v];

    return !e->b->values[v].is_const && l->reg == NOREG && l->slot >= 0 && e->b->target->slots[l->slot].is_bool;
}

bool ra_in_memory(const Emit *e, uint16_t v, Mem *m)
{
    const VLoc *l = &e->loc[v];

    if (e->b->values[v].is_const || l->reg != NOREG) {
        return false;
    }
    if (l->slot >= 0) {
        *m = slot_mem(e, (unsigned)l->slot);
    } else if (l->spill >= 0) {
        *m = spill_mem((unsigned)l->spill);
    } else {
        return false;
    }
    return true;
}

static void load_const(Emit *e, int r, uint16_t v)
{
    const IrValue *k = &e->b->values[v];

    if (r < 16) {
        mov_ri_keep(&e->a, r, k->type == IR_I32 ? (uint32_t)k->c : (uint64_t)k->c);
    } else if (k->c == 0) {
        sse3(e, M0F | 0x57, r, r, r);       /* xorps */
    } else {
        /* the constant passes through memory: no general register is needed */
        mov_mi(&e->a, false, ENV(arg[6]), (int32_t)k->c);
        mov_mi(&e->a, false, mem_bd(RBP, ENV(arg[6]).disp + 4), k->type == IR_F32 ? 0 : (int32_t)(k->c >> 32));
        load_reg(e, r, ENV(arg[6]), IR_F64);
    }
}

void ra_load_to(Emit *e, int r, uint16_t v, bool w)
{
    Mem m;

    if (e->b->values[v].is_const) {
        load_const(e, r, v);
    } else if (ra_is_bool_home(e, v)) {
        op_rm(&e->a, M0F | 0xb6, false, r, slot_mem(e, (unsigned)e->loc[v].slot));
    } else if (ra_in_memory(e, v, &m)) {
        load_reg(e, r, m, r < 16 && !w ? IR_I32 : e->b->values[v].type);
    } else if (r < 16) {
        if (e->loc[v].reg != r) {
            mov_rr(&e->a, w, r, e->loc[v].reg);
        }
    } else if (e->loc[v].reg != r) {
        sse2(e, M0F | 0x28, r, e->loc[v].reg);      /* movaps */
    }
}

int ra_use(Emit *e, uint16_t v)
{
    VLoc *l = &e->loc[v];
    int r;

    assert(v);
    if (l->reg == NOREG) {
        r = ra_alloc(e, is_xmm_type(e->b->values[v].type) ? XMM_MASK : TEMP_MASK);
        ra_load_to(e, r, v, true);
        l->reg = (int8_t)r;
        e->reg_val[r] = v;
    }
    e->locked |= 1u << l->reg;
    return l->reg;
}

/* ---- writing ---- */

void ra_bind(Emit *e, uint16_t v, int r)
{
    e->reg_val[r] = v;
    e->loc[v].reg = (int8_t)r;
    e->locked |= 1u << r;
}

int ra_def(Emit *e, uint16_t v, int prefer, uint32_t avoid)
{
    int h = e->hint[v];
    bool xmm = is_xmm_type(e->b->values[v].type);
    int r = NOREG;

    if (!v) {
        return ra_alloc(e, (xmm ? XMM_MASK : TEMP_MASK) & ~avoid);
    }
    /* what an input lies in is written over where the emitter says so: vector instructions come in sequences */
    if (h != NOREG && !(xmm && h != prefer ? live_now(e, e->reg_val[h]) : live_after(e, e->reg_val[h])) && !(avoid >> h & 1)) {
        uint16_t old = e->reg_val[h];

        /* the old value may still be an input of this operation: its register number is what the caller holds */
        if (old && e->loc[old].reg == h) {
            e->loc[old].reg = NOREG;
        }
        r = h;
    } else if (prefer != NOREG && !is_pin(e, prefer) && !(avoid >> prefer & 1) && (prefer >= 16) == xmm && !live_after(e, e->reg_val[prefer])) {
        uint16_t old = e->reg_val[prefer];

        if (old && e->loc[old].reg == prefer) {
            e->loc[old].reg = NOREG;
        }
        r = prefer;
    } else {
        r = ra_alloc(e, (xmm ? XMM_MASK : TEMP_MASK) & ~avoid);
    }
    ra_bind(e, v, r);
    return r;
}

/* ---- slots ---- */

void ra_get(Emit *e, uint16_t v, unsigned slot)
{
    int p = e->pins->slot_pin[slot];

    if (p != NOREG) {
        e->reg_val[p] = v;
        e->loc[v].reg = (int8_t)p;
        return;
    }
    if (e->dirty[slot]) {
        store_val(e, slot_mem(e, slot), e->dirty[slot], e->b->target->slots[slot].type);
        clear_dirty(e, slot);
    }
    set_home(e, slot, v);
}

void ra_forget_pin(Emit *e, int r)
{
    uint16_t v = e->reg_val[r];
    int t;

    e->reg_val[r] = 0;
    if (!v || e->loc[v].reg != r) {
        return;
    }
    e->loc[v].reg = NOREG;
    if (!live_after(e, v)) {
        return;
    }
    if ((t = twin(e, v, r)) != NOREG) {
        e->loc[v].reg = (int8_t)t;
    } else if (e->loc[v].spill < 0 && e->loc[v].slot < 0) {
        e->loc[v].reg = (int8_t)r;
        t = ra_alloc(e, r < 16 ? TEMP_MASK : XMM_MASK);
        ra_load_to(e, t, v, true);
        ra_bind(e, v, t);
        ra_unlock(e, t);
    }
}

void ra_slot_clobbered(Emit *e, unsigned slot)
{
    uint16_t v = e->slot_home[slot];

    if (v && live_now(e, v) && e->loc[v].reg == NOREG && e->loc[v].spill < 0) {
        ra_unlock(e, ra_use(e, v));
    }
    set_home(e, slot, 0);
    if (e->dirty[slot]) {
        clear_dirty(e, slot);
    }
}

static void set_pin(Emit *e, int p, uint16_t v)
{
    int from = e->loc[v].reg;

    if (e->reg_val[p] == v) {
        return;
    }
    if (from != NOREG) {
        e->locked |= 1u << from;
    }
    ra_forget_pin(e, p);
    ra_load_to(e, p, v, true);
    e->reg_val[p] = v;
    if (e->b->values[v].is_const) {
        return;
    }
    if (from != NOREG && !is_pin(e, from)) {
        e->reg_val[from] = 0;
    }
    if (from == NOREG || !is_pin(e, from)) {
        e->loc[v].reg = (int8_t)p;
    }
}

void ra_set(Emit *e, unsigned slot, uint16_t v, bool lazy)
{
    int p = e->pins->slot_pin[slot];

    if (p != NOREG) {
        set_pin(e, p, v);
        return;
    }
    if (e->slot_home[slot] == v && !e->dirty[slot]) {
        return;
    }
    ra_slot_clobbered(e, slot);
    if (lazy) {
        e->dirty[slot] = v;
        e->dirty_list[e->ndirty++] = slot;
    } else {
        store_val(e, slot_mem(e, slot), v, e->b->target->slots[slot].type);
        set_home(e, slot, v);
    }
}

void ra_store_dirty(Emit *e, bool keep)
{
    const IrOp *flags = NULL;

    for (unsigned k = 0; k < e->ndirty; k++) {
        unsigned s = e->dirty_list[k];

        if (!e->waits[e->dirty[s]]) {
            store_val(e, slot_mem(e, s), e->dirty[s], e->b->target->slots[s].type);
        }
    }
    for (unsigned k = 0; k < e->ndirty; k++) {
        uint16_t v = e->dirty[e->dirty_list[k]];

        if (e->waits[v]) {
            if (flags != x86_def(e, v)) {
                x86_flags_again(e, flags = x86_def(e, v));
            }
            setcc_m(&e->a, x86_flag_cc(flags, v), slot_mem(e, e->dirty_list[k]));
        }
    }
    while (!keep && e->ndirty) {
        unsigned s = e->dirty_list[0];
        uint16_t v = e->dirty[s];

        clear_dirty(e, s);
        set_home(e, s, v);
    }
}

/* ---- many at once ---- */

bool ra_live_xmm(const Emit *e)
{
    if (e->pins->pin_mask & XMM_MASK) {
        return true;
    }
    for (int r = XMM0; r < XMM0 + 14; r++) {
        if (live_now(e, e->reg_val[r])) {
            return true;
        }
    }
    return false;
}

void ra_evict_xmm(Emit *e)
{
    for (int r = XMM0; r < XMM0 + 14; r++) {
        ra_evict(e, r);
    }
}

void ra_drop(Emit *e, uint16_t v)
{
    int r = e->loc[v].reg;

    if (r != NOREG && !is_pin(e, r)) {
        if (e->reg_val[r] == v) {
            e->reg_val[r] = 0;
        }
        e->loc[v].reg = NOREG;
    }
    spill_free(e, v);
}

void ra_op_end(Emit *e)
{
    e->locked = 0;
    for (unsigned k = 0; k < ir_op_info[e->op->opc].nin; k++) {
        uint16_t v = e->op->in[k];

        if (v && !(v & IR_IN_SLOT) && e->last_use[v] <= e->i) {
            ra_drop(e, v);
        }
    }
}
