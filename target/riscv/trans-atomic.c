/* SPDX-License-Identifier: MIT */
/*
 * A: volume I, chapter "A".  Misaligned ones are address-misaligned exceptions.
 *
 * LR and SC are like A64's exclusives (target/arm/trans-atomic.c has the argument): from LR to SC in one block, same address
 * register, nothing between that touches memory or leaves the block for good, is a compare and swap; everything else
 * goes through the accelerator's monitor.
 */
#include "target/riscv/translate.h"

enum { LOOK_AHEAD = 16 };       /* instructions: constrained loops have no more */

static IrMem desc(RvDis *d, unsigned size)
{
    return rv_mem_desc(d, size) | IR_MEM_ALIGN(size);
}

static bool rmw(RvDis *d, const arg_amo *a, unsigned size, IrRmw op)
{
    IrVal v = size == 3 ? rv_x_get(d, a->rs2) : rv_w_get(d, a->rs2);

    rv_x_set(d, a->rd, ir_rmw(d->ir, op, rv_x_get(d, a->rs1), v, desc(d, size)));
    return true;
}

#define AMO(name, op) \
TRANS(name##_w, amo) \
{ \
    return rmw(d, a, 2, op); \
} \
TRANS(name##_d, amo) \
{ \
    return rmw(d, a, 3, op); \
}
AMO(amoswap, IR_RMW_XCHG)
AMO(amoadd, IR_RMW_ADD)
AMO(amoxor, IR_RMW_XOR)
AMO(amoand, IR_RMW_AND)
AMO(amoor, IR_RMW_OR)
AMO(amomin, IR_RMW_SMIN)
AMO(amomax, IR_RMW_SMAX)
AMO(amominu, IR_RMW_UMIN)
AMO(amomaxu, IR_RMW_UMAX)

/* ---- LR and SC ---- */

static uint32_t insn_at(const RvDis *d, uint32_t off, unsigned *len)
{
    const uint8_t *p = d->tc->page + off;
    uint32_t w = (uint32_t)(p[0] | p[1] << 8);

    *len = (w & 3) == 3 ? 4 : 2;
    if (*len == 4 && off + 4 <= 4096) {
        w |= (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    }
    return w;
}

/* Full-size computation that does not change rs1, or a branch; compressed computation and branches likewise. */
static bool harmless(uint32_t w, unsigned len, unsigned rs1)
{
    unsigned op = w & 0x7f, rd = w >> 7 & 31, funct = w >> 13 & 7;

    if (len == 4) {
        return op == 0x63 || ((op == 0x13 || op == 0x1b || op == 0x33 || op == 0x3b || op == 0x37) && rd != rs1);
    }
    switch ((w & 3) << 3 | funct) {
    case 010: case 011: case 012: case 013:     /* c.addi, c.addiw, c.li, c.lui and c.addi16sp */
        return rd != rs1;
    case 014:                                   /* c.srli ... c.addw */
        return (w >> 7 & 7) + 8 != rs1;
    case 016: case 017:                         /* c.beqz, c.bnez */
        return true;
    case 020:                                   /* c.slli */
        return rd != rs1;
    case 024:                                   /* c.mv, c.add */
        return w >> 2 & 31 && rd && rd != rs1;
    default:
        return false;
    }
}

static bool closed_ahead(const RvDis *d, const arg_amo *a, unsigned size)
{
    uint32_t off = (uint32_t)d->off + d->len;

    if (d->key & (KEY_OPEN_RES | KEY_CROSS) || d->tc->breaks || (unsigned)a->rd == (unsigned)a->rs1) {
        return false;
    }
    for (unsigned i = 1; i <= LOOK_AHEAD && off < 4096 && !rv_ends_before(d, d->ninsns + i, off); i++) {
        unsigned len;
        uint32_t w = insn_at(d, off, &len);

        if (off + len > 4096) {
            return false;
        }
        if ((w & 0xf800707f) == (0x1800202fu | (size & 1) << 12)) {     /* SC of the same size */
            return (w >> 15 & 31) == (unsigned)a->rs1;
        }
        if (!harmless(w, len, (unsigned)a->rs1)) {
            return false;
        }
        off += len;
    }
    return false;
}

static bool lr(RvDis *d, const arg_amo *a, unsigned size)
{
    IrBlock *b = d->ir;
    IrVal addr = rv_x_get(d, a->rs1), v;

    if (closed_ahead(d, a, size)) {
        v = ir_ld(b, size == 3 ? IR_I64 : IR_I32, addr, desc(d, size));
        d->res = true;
        d->res_addr = addr;
        d->res_old = v;
        d->res_size = (uint8_t)size;
        d->res_rs1 = (uint8_t)a->rs1;
    } else {
        d->res = false;
        v = ir_call(b, RT_load_reserved, IR_V(addr), IR_V(ir_i64(b, desc(d, size))));
        v = size == 3 ? v : ir_trunc(b, v);
    }
    rv_x_set(d, a->rd, v);
    return true;
}

static bool sc(RvDis *d, const arg_amo *a, unsigned size)
{
    IrBlock *b = d->ir;
    IrVal addr = rv_x_get(d, a->rs1);

    if (d->res && d->res_size == size && d->res_rs1 == a->rs1) {
        IrVal old = ir_cas(b, d->res_addr, d->res_old, size == 3 ? rv_x_get(d, a->rs2) : rv_w_get(d, a->rs2), desc(d, size));

        rv_x_set(d, a->rd, ir_setcond(b, IR_I64, IR_NE, old, d->res_old));
    } else {
        rv_x_set(d, a->rd, ir_call(b, RT_store_conditional, IR_V(addr), IR_V(rv_x_get(d, a->rs2)), IR_V(ir_i64(b, desc(d, size)))));
    }
    d->res = false;
    return true;
}

TRANS(lr_w, amo)
{
    return lr(d, a, 2);
}

TRANS(lr_d, amo)
{
    return lr(d, a, 3);
}

TRANS(sc_w, amo)
{
    return sc(d, a, 2);
}

TRANS(sc_d, amo)
{
    return sc(d, a, 3);
}
