/* SPDX-License-Identifier: MIT */
#include "tests/tcg/gen.h"

#include <glib.h>

enum { POOL = 64 };

typedef struct Gen {
    Rng *r;
    IrBlock *b;
    unsigned groups;
    IrVal pool[IR_NTYPES][POOL];
    unsigned n[IR_NTYPES];
    IrVal base;                 /* of recent accesses: groups form */
} Gen;

static unsigned below(Gen *g, unsigned n)
{
    return (unsigned)(rnd(g->r) >> 33) % n;
}

uint64_t rnd_value(Rng *r)
{
    static const uint64_t edge[] = {
        0, 1, 2, 3, 7, 31, 32, 63, 64, 127, 128, 255, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000ull,
        INT64_MAX, 0x8000000000000000ull, ~0ull, ~1ull,
        /* floating point: ones, infinities, NaNs, denormals */
        0x3ff0000000000000ull, 0xbff8000000000000ull, 0x7ff0000000000000ull, 0xfff0000000000000ull, 0x7ff8000000000001ull,
        0x7ff0000000000001ull, 0xfff4000000000123ull, 0x000fffffffffffffull, 0x3f800000, 0xbfc00000, 0x7f800000, 0x7fc00001, 0x7f800001,
        0x41dfffffffc00000ull, 0x43e0000000000000ull, 0xc3e0000000000000ull, 0x40091eb851eb851full, 0x3f8000003f800000ull,
    };
    uint64_t k = rnd(r);

    switch (k >> 60) {
    case 0: case 1: case 2: case 3: case 4: return edge[(k >> 20) % G_N_ELEMENTS(edge)];
    case 5: return rnd(r) & 0xff;
    case 6: return rnd(r) & 0xffffffff;
    case 7: return (rnd(r) & 0x800fffffffffffffull) | (0x3f0ull + (k >> 20) % 32) << 52;       /* doubles near one */
    default: return rnd(r);
    }
}

static void keep(Gen *g, IrVal v)
{
    IrType t = ir_type(g->b, v);

    g->pool[t][g->n[t] < POOL ? g->n[t]++ : below(g, POOL)] = v;
}

static unsigned slot_of(Gen *g, IrType t)
{
    switch (t) {
    case IR_I32: return FAKE_N + below(g, 6);
    case IR_F64: return FAKE_D0 + below(g, 2);
    case IR_F32: return FAKE_S0 + below(g, 2);
    case IR_V128: return FAKE_Q0 + below(g, 4);
    default: return FAKE_X0 + below(g, 12);
    }
}

static IrVal pick(Gen *g, IrType t)
{
    unsigned k = below(g, 16);

    if (k == 0 && (t == IR_I32 || t == IR_I64)) {
        return ir_const(g->b, t, (int64_t)rnd_value(g->r));
    }
    if (g->n[t] && k < 12) {
        return g->pool[t][below(g, g->n[t])];
    }
    keep(g, ir_get(g->b, slot_of(g, t)));
    return g->pool[t][g->n[t] - 1];
}

static IrType int_type(Gen *g) { return below(g, 2) ? IR_I64 : IR_I32; }
static IrType fp_type(Gen *g) { return below(g, 2) ? IR_F64 : IR_F32; }

/* With the result or without; the result in front of the flags, as front ends have it. */
static IrFlags gen_flags(Gen *g, IrType t)
{
    IrVal x = pick(g, t), y = pick(g, t), r;
    IrBlock *b = g->b;
    IrFlags f;

    switch (below(g, 4)) {
    case 0:
        r = ir_add(b, x, y);
        f = ir_flags_add(b, x, y);
        break;
    case 1: {
        IrVal carry = ir_get(b, FAKE_C);
        IrVal wide = t == IR_I64 ? ir_zext(b, carry) : carry;

        r = ir_add(b, ir_add(b, x, y), wide);
        f = ir_flags_adc(b, x, y, carry);
        break;
    }
    case 2:
        r = ir_and(b, x, y);
        f = ir_flags_and(b, x, y);
        break;
    default:
        r = ir_sub(b, x, y);
        f = ir_flags_sub(b, x, y);
        break;
    }
    if (below(g, 2)) {
        keep(g, r);
    }
    return f;
}

/* As a front end has them: all four, or all but some, at the end of an instruction. */
static void gen_flag_sets(Gen *g)
{
    IrFlags f = gen_flags(g, int_type(g));
    const IrVal v[4] = { f.n, f.z, f.c, f.v };

    for (unsigned k = 0; k < 4; k++) {
        if (below(g, 8)) {
            ir_set(g->b, FAKE_N + k, v[k]);
        }
        if (!below(g, 16)) {
            keep(g, v[k]);
        }
    }
}

static void gen_int(Gen *g)
{
    static const uint8_t two[] = { OP_add, OP_sub, OP_mul, OP_mulhu, OP_mulhs, OP_divu, OP_divs, OP_remu, OP_rems, OP_and, OP_or, OP_xor,
                                   OP_andc, OP_orc, OP_eqv, OP_shl, OP_shr, OP_sar, OP_rotr };
    static const uint8_t one[] = { OP_not, OP_neg, OP_clz, OP_ctz, OP_cls, OP_popcnt, OP_bswap, OP_bswap16, OP_rbit };
    IrType t = int_type(g);
    unsigned w = t == IR_I64 ? 64 : 32, pos = below(g, w), len = 1 + below(g, w - pos);
    IrBlock *b = g->b;

    switch (below(g, 16)) {
    case 0: case 1: case 2: case 3: {
        unsigned o = two[below(g, G_N_ELEMENTS(two))];

        keep(g, ir_op2(b, o, t, o == OP_divu || o == OP_divs ? below(g, 2) : 0, 0, pick(g, t), pick(g, t)));
        break;
    }
    case 4: keep(g, ir_op1(b, one[below(g, G_N_ELEMENTS(one))], t, 0, 0, pick(g, t))); break;
    case 5: keep(g, ir_op1(b, below(g, 2) ? OP_extract : OP_sextract, t, 0, pos | (len == w ? w - 1 : len) << 8, pick(g, t))); break;
    case 6: keep(g, ir_op2(b, OP_deposit, t, 0, pos | (len == w ? w - 1 : len) << 8, pick(g, t), pick(g, t))); break;
    case 7: keep(g, ir_ext(b, t, below(g, 6), pick(g, int_type(g)))); break;
    case 8: keep(g, ir_trunc(b, pick(g, IR_I64))); break;
    case 9: keep(g, ir_zext(b, pick(g, IR_I32))); break;
    case 10: keep(g, ir_setcond(b, int_type(g), below(g, IR_NCOND), pick(g, t), pick(g, t))); break;
    case 11: {
        IrType t2 = below(g, 4) || !(g->groups & GEN_FP) ? int_type(g) : IR_F64;

        keep(g, ir_movcond(b, below(g, IR_NCOND), pick(g, t), pick(g, t), pick(g, t2), pick(g, t2)));
        break;
    }
    case 12: case 13: {
        IrFlags f = gen_flags(g, t);

        keep(g, f.n);
        keep(g, f.z);
        keep(g, f.c);
        keep(g, f.v);
        break;
    }
    case 14: keep(g, ir_op2(b, OP_crc32, IR_I32, below(g, 2) << 2 | (t == IR_I64 ? 3 : below(g, 3)), 0, pick(g, IR_I32), pick(g, t))); break;
    default:
        if (!below(g, 3)) {
            IrVal y = ir_shli(b, pick(g, t), 1 + below(g, 4)), x = pick(g, t);

            keep(g, below(g, 2) ? ir_add(b, x, y) : ir_add(b, y, x));
        } else if (below(g, 2)) {
            keep(g, ir_op2(b, OP_extr, t, 0, below(g, w), pick(g, t), pick(g, t)));
        } else {
            keep(g, below(g, 2) ? ir_pc(b, (int64_t)(int32_t)rnd(g->r)) : ir_addi(b, pick(g, t), (int64_t)rnd_value(g->r)));
        }
        break;
    }
}

/* An address in the four pages; the last one faults. */
static IrVal address(Gen *g, unsigned align)
{
    IrBlock *b = g->b;
    IrVal off;

    if (g->base.id && below(g, 3)) {
        return ir_addi(b, g->base, (int64_t)below(g, 12) * 8 - 32);
    }
    off = ir_andi(b, pick(g, IR_I64), below(g, 12) ? 0x2fff & ~(align - 1) : 0x3fff);

    g->base = ir_add(b, off, ir_i64(b, 0x10000));
    return ir_addi(b, g->base, below(g, 2) ? (int64_t)(below(g, 8) * align) - 16 : 0);
}

static void gen_mem(Gen *g)
{
    unsigned size = below(g, 4);
    IrType t = size == 3 ? IR_I64 : int_type(g);
    IrMem m = size | (below(g, 2) && size < 3 ? IR_MEM_SIGN : 0) | (below(g, 12) ? 0 : IR_MEM_ALIGN(size)) | (below(g, 10) ? 0 : IR_MEM_IDX(1));
    IrBlock *b = g->b;
    IrVal lo, hi;

    switch (below(g, 14)) {
    case 0: case 1: case 2: keep(g, ir_ld(b, t, address(g, 1), m | (below(g, 12) ? 0 : IR_MEM_BE))); break;
    case 3: case 4: case 5: ir_st(b, address(g, 1), pick(g, t), (m & ~IR_MEM_SIGN) | (below(g, 12) ? 0 : IR_MEM_BE)); break;
    case 6:
        ir_ld2(b, t, address(g, 1), m | (below(g, 2) ? IR_MEM_ATOMIC : 0), &lo, &hi);
        keep(g, lo);
        keep(g, hi);
        break;
    case 7: ir_st2(b, address(g, 1), pick(g, t), pick(g, t), (m & ~IR_MEM_SIGN) | (below(g, 2) ? IR_MEM_ATOMIC : 0)); break;
    case 8: keep(g, ir_cas(b, address(g, 1), pick(g, t), pick(g, t), m & ~IR_MEM_SIGN)); break;
    case 9: keep(g, ir_rmw(b, below(g, 10), address(g, 1), pick(g, t), m & ~IR_MEM_SIGN)); break;
    case 10:
        ir_cas2(b, address(g, 1), pick(g, IR_I64), pick(g, IR_I64), pick(g, IR_I64), pick(g, IR_I64), 3, &lo, &hi);
        keep(g, lo);
        keep(g, hi);
        break;
    case 11: ir_probe(b, address(g, 1), 1 + below(g, 64), below(g, 2), 0); break;
    case 12: {
        IrType ft = below(g, 3) == 0 ? IR_V128 : fp_type(g);

        keep(g, ir_ld(b, ft, address(g, 1), ft == IR_V128 ? 4 : ft == IR_F64 ? 3 : 2));
        break;
    }
    default: {
        IrType ft = below(g, 3) == 0 ? IR_V128 : fp_type(g);

        if (ft == IR_V128 && below(g, 2)) {
            ir_st2(b, address(g, 1), pick(g, ft), pick(g, ft), 4);
        } else {
            ir_st(b, address(g, 1), pick(g, ft), ft == IR_V128 ? 4 : ft == IR_F64 ? 3 : 2);
        }
        break;
    }
    }
}

static void gen_fp(Gen *g)
{
    static const uint8_t two[] = { OP_fadd, OP_fsub, OP_fmul, OP_fdiv, OP_fmin, OP_fmax, OP_fminnm, OP_fmaxnm };
    static const uint8_t one[] = { OP_fsqrt, OP_fabs, OP_fneg };
    IrType t = fp_type(g), it = int_type(g);
    IrBlock *b = g->b;

    switch (below(g, 12)) {
    case 0: case 1: case 2: keep(g, ir_fop2(b, two[below(g, 8)], pick(g, t), pick(g, t))); break;
    case 3: keep(g, ir_op1(b, one[below(g, 3)], t, 0, 0, pick(g, t))); break;
    case 4: keep(g, ir_op3(b, OP_fma, t, below(g, 4), 0, pick(g, t), pick(g, t), pick(g, t))); break;
    case 5: keep(g, ir_op1(b, OP_fcvt, t, 0, 0, pick(g, t == IR_F32 ? IR_F64 : IR_F32))); break;
    case 6: keep(g, ir_op1(b, OP_f2i, it, below(g, 6) | below(g, 2) * IR_CVT_UNSIGNED, below(g, 3) ? 0 : below(g, 32), pick(g, t))); break;
    case 7: keep(g, ir_op1(b, OP_i2f, t, below(g, 2) * IR_CVT_UNSIGNED, below(g, 3) ? 0 : below(g, 32), pick(g, it))); break;
    case 8: keep(g, ir_op1(b, OP_fround, t, below(g, 6) | below(g, 2) * IR_ROUND_EXACT, 0, pick(g, t))); break;
    case 9: keep(g, ir_setfcond(b, below(g, IR_NFCOND), below(g, 2), pick(g, t), pick(g, t))); break;
    case 10: {
        IrFlags f = ir_flags_fcmp(b, pick(g, t), pick(g, t), below(g, 2));

        keep(g, f.n);
        keep(g, f.z);
        keep(g, f.c);
        keep(g, f.v);
        break;
    }
    default:
        keep(g, ir_bitcast(b, t == IR_F32 ? IR_I32 : IR_I64, pick(g, t)));
        keep(g, ir_bitcast(b, t, pick(g, t == IR_F32 ? IR_I32 : IR_I64)));
        break;
    }
}

static void gen_vec(Gen *g)
{
    static const uint8_t two[] = {
        OP_vadd, OP_vsub, OP_vmul, OP_vand, OP_vor, OP_vxor, OP_vandc, OP_vorc, OP_vmins, OP_vmaxs, OP_vminu, OP_vmaxu, OP_vsadds, OP_vsaddu,
        OP_vssubs, OP_vssubu, OP_vavgu, OP_vushlr, OP_vsshlr, OP_vpaddl, OP_vzip1, OP_vzip2, OP_vuzp1, OP_vuzp2, OP_vtrn1, OP_vtrn2,
    };
    static const uint8_t one[] = { OP_vneg, OP_vabs, OP_vnot };
    static const uint8_t fp2[] = { OP_vfadd, OP_vfsub, OP_vfmul, OP_vfdiv, OP_vfmin, OP_vfmax, OP_vfminnm, OP_vfmaxnm, OP_vpaddf };
    unsigned e = below(g, 4), fe = IR_E32 + below(g, 2);
    IrType it = e == 3 ? IR_I64 : int_type(g), V = IR_V128;
    IrBlock *b = g->b;

    switch (below(g, 22)) {
    case 0: case 1: case 2: case 3: keep(g, ir_v2(b, two[below(g, G_N_ELEMENTS(two))], e, 0, pick(g, V), pick(g, V))); break;
    case 4: keep(g, ir_v1(b, one[below(g, 3)], e, 0, pick(g, V))); break;
    case 5: keep(g, ir_v3(b, OP_vsel, 0, 0, pick(g, V), pick(g, V), pick(g, V))); break;
    case 6: keep(g, ir_v2(b, OP_vcmp, e, below(g, IR_NCOND), pick(g, V), pick(g, V))); break;
    case 7: keep(g, ir_v1(b, OP_vshli + below(g, 3), e, below(g, 8u << e), pick(g, V))); break;
    case 8: keep(g, ir_vdup(b, V, e, pick(g, it))); break;
    case 9: keep(g, ir_v1(b, OP_vduplane, e, below(g, 16u >> e), pick(g, V))); break;
    case 10: keep(g, ir_vget(b, it, e, pick(g, V), below(g, 16u >> e), below(g, 2))); break;
    case 11: keep(g, ir_vset(b, e, pick(g, V), below(g, 16u >> e), pick(g, it))); break;
    case 12: keep(g, ir_v2(b, OP_vsetlane, e, below(g, 16u >> e) | below(g, 16u >> e) << 8, pick(g, V), pick(g, V))); break;
    case 13: keep(g, ir_vzext(b, V, pick(g, below(g, 2) ? fp_type(g) : below(g, 2) ? int_type(g) : V))); break;
    case 14: keep(g, ir_vlow(b, fp_type(g), pick(g, V))); break;
    case 15: keep(g, ir_v2(b, OP_vext, 0, below(g, 16), pick(g, V), pick(g, V))); break;
    case 16: keep(g, ir_v1(b, OP_vrev, below(g, 2), 2 << (1 + below(g, 2)), pick(g, V))); break;
    case 17: keep(g, ir_v2(b, OP_vtbl, 0, 0, pick(g, V), pick(g, V))); break;
    case 18: {
        unsigned o = OP_vwidenu + below(g, 5);

        e = below(g, 3);
        if (o == OP_vmulls || o == OP_vmullu) {
            keep(g, ir_v2(b, o, e, below(g, 2), pick(g, V), pick(g, V)));
        } else {
            keep(g, ir_v1(b, o, e, o == OP_vnarrow ? 0 : below(g, 2), pick(g, V)));
        }
        break;
    }
    case 19:
        if (!below(g, 3)) {
            IrVal x = pick(g, V), y = pick(g, V), w = pick(g, V), nx, ny;

            ir_vsha256r(b, x, y, w, &nx, &ny);
            keep(g, below(g, 2) ? nx : ny);
            if (below(g, 2)) {
                ir_vsha256r(b, x, y, w, &nx, &ny);
                keep(g, ny);
            }
            keep(g, ir_op3(b, OP_vsha256m, V, below(g, 2), 0, pick(g, V), pick(g, V), pick(g, V)));
            break;
        }
        keep(g, below(g, 2) ? ir_v2(b, OP_vaes, below(g, 4), 0, pick(g, V), pick(g, V))
                                 : ir_v2(b, OP_vclmul, 0, below(g, 2) | below(g, 2) << 4, pick(g, V), pick(g, V))); break;
    case 20: keep(g, below(g, 4) ? ir_v2(b, fp2[below(g, G_N_ELEMENTS(fp2))], fe, 0, pick(g, V), pick(g, V))
                                 : ir_v3(b, OP_vfma, fe, below(g, 4), pick(g, V), pick(g, V), pick(g, V))); break;
    default:
        switch (below(g, 7)) {
        case 0: keep(g, ir_v1(b, OP_vcnt, 0, 0, pick(g, V))); break;
        case 1: keep(g, ir_v1(b, OP_vfsqrt + 0, fe, 0, pick(g, V))); break;
        case 2: keep(g, ir_v1(b, below(g, 2) ? OP_vfabs : OP_vfneg, fe, 0, pick(g, V))); break;
        case 3: keep(g, ir_v2(b, OP_vfcmp, fe, below(g, IR_NFCOND), pick(g, V), pick(g, V))); break;
        case 4: keep(g, ir_v1(b, OP_vf2i, fe, (below(g, 2) ? IR_RZ : below(g, 6)) | below(g, 2) * IR_CVT_UNSIGNED | (below(g, 2) ? below(g, 33) << 8 : 0), pick(g, V))); break;
        case 5: keep(g, ir_v1(b, OP_vfround, fe, below(g, 6) | below(g, 2) * IR_ROUND_EXACT, pick(g, V))); break;
        default: keep(g, ir_v1(b, OP_vi2f, fe, below(g, 2) * IR_CVT_UNSIGNED | (below(g, 2) ? below(g, 33) << 8 : 0), pick(g, V))); break;
        }
        break;
    }
}

static void gen_call(Gen *g)
{
    IrBlock *b = g->b;
    IrType q = IR_I64;

    switch (below(g, 5)) {
    case 0: ir_call(b, FAKE_RT_MIX, IR_V(pick(g, q)), IR_SIO(FAKE_X0 + below(g, 12))); break;
    case 1: keep(g, ir_call(b, FAKE_RT_SUM, IR_V(pick(g, q)), IR_V(pick(g, IR_I32)), IR_V(pick(g, q)), IR_V(pick(g, q)), IR_V(pick(g, q)), IR_V(pick(g, IR_I32)))); break;
    case 2: ir_calln(b, FAKE_RT_POKE, 0, NULL); break;
    case 3: ir_call(b, FAKE_RT_RAISE, IR_V(ir_andi(b, pick(g, q), below(g, 8) ? 0 : 1))); break;
    default: keep(g, ir_calln(b, FAKE_RT_PEEK, 0, NULL)); break;
    }
}

static void gen_sets(Gen *g)
{
    static const uint8_t types[] = { IR_I64, IR_I64, IR_I64, IR_I32, IR_F64, IR_F32, IR_V128 };

    for (unsigned n = below(g, 4); n > 0; n--) {
        IrType t = types[below(g, G_N_ELEMENTS(types))];
        unsigned s = slot_of(g, t);
        IrVal v = pick(g, t);

        if (t == IR_I32 && s <= FAKE_V) {
            v = ir_andi(g->b, v, 1);
        }
        ir_set(g->b, s, v);
    }
}

static void gen_end(Gen *g)
{
    IrBlock *b = g->b;
    IrType t = int_type(g);

    switch (below(g, 6)) {
    case 0: ir_jump(b, pick(g, IR_I64), below(g, 2)); break;
    case 1: ir_leave(b, below(g, 4), (int64_t)(int32_t)rnd(g->r)); break;
    case 2: ir_leave_to(b, below(g, 4), pick(g, IR_I64)); break;
    case 3: ir_raise(b, (int64_t)rnd_value(g->r)); break;
    case 4: ir_raise_if(b, below(g, IR_NCOND), pick(g, t), pick(g, t), 77); ir_exit_if(b, below(g, IR_NCOND), pick(g, t), pick(g, t), 0x300); /* fall through */
    default: ir_goto(b, below(g, 2) ? 0x200 : (int64_t)(int32_t)rnd(g->r)); break;
    }
}

static void gen_ops(Gen *g, unsigned n)
{
    unsigned groups = g->groups;

    for (; n > 0; n--) {
        unsigned k = below(g, 10);

        if (k < 2 && (groups & GEN_MEM)) {
            gen_mem(g);
        } else if (k == 2 && (groups & GEN_FP)) {
            gen_fp(g);
        } else if ((k == 3 || k == 4) && (groups & GEN_VEC)) {
            gen_vec(g);
        } else if (k == 5 && (groups & GEN_CALL) && !below(g, 2)) {
            gen_call(g);
        } else if (groups & GEN_INT) {
            gen_int(g);
        }
    }
}

static void gen_exit(Gen *g)
{
    IrType t = int_type(g);

    ir_exit_if(g->b, below(g, IR_NCOND), pick(g, t), pick(g, t), below(g, 3) ? (int64_t)below(g, 0x40) * 4 + 0x200 : (int64_t)(int32_t)rnd(g->r));
}

void gen_block(Rng *r, IrBlock *b, unsigned groups)
{
    Gen g = { .r = r, .b = b, .groups = groups };
    unsigned ninsns;

    ir_begin(b, &fake_target, 0x100);
    b->nan_mode = below(&g, 3);
    ninsns = 1 + below(&g, 10);
    for (unsigned i = 0; i < ninsns; i++) {
        ir_insn(b, 0x100 + 4 * i, (uint16_t)(i * 7 + 1));
        gen_ops(&g, 1 + below(&g, 6));
        if (i + 1 < ninsns) {
            gen_sets(&g);
            if ((groups & GEN_INT) && below(&g, 2)) {
                gen_flag_sets(&g);
            }
            if ((groups & GEN_EXIT) && !below(&g, 3)) {
                gen_exit(&g);
            }
        }
    }
    if (!below(&g, 4)) {
        ir_push_ret(b, below(&g, 4) ? 0x204 : 0x1004);
    }
    gen_end(&g);
    b->code_bytes = 4 * ninsns;
}

/* What loops do with slots: steps of pointers, sums. */
static void gen_step(Gen *g)
{
    unsigned s = slot_of(g, IR_I64);
    IrVal v = ir_get(g->b, s);

    if (below(g, 2)) {
        ir_set(g->b, s, ir_addi(g->b, v, (int64_t)below(g, 64) - 16));
    } else {
        ir_set(g->b, s, ir_zext(g->b, ir_add(g->b, ir_trunc(g->b, v), pick(g, IR_I32))));
    }
}

static IrVal narrow_if(Gen *g, bool narrow, IrVal v)
{
    return narrow ? ir_trunc(g->b, v) : v;
}

/* Compare slots or a slot and a constant, now or after a step; the slot may be stepped behind it. */
static void gen_compare(Gen *g)
{
    IrBlock *b = g->b;
    unsigned s = below(g, 4) ? slot_of(g, IR_I64) : FAKE_COUNT, kind = below(g, 4);
    bool narrow = below(g, 2), constant = below(g, 2), step = s != FAKE_COUNT && below(g, 2);
    IrVal x = narrow_if(g, narrow, ir_get(b, s)), y, r;
    int64_t c = (int64_t)below(g, 5) - 1;
    IrFlags f;

    y = constant ? ir_const(b, narrow ? IR_I32 : IR_I64, c) : narrow_if(g, narrow, ir_get(b, slot_of(g, IR_I64)));
    r = kind == 0 ? ir_add(b, x, y) : kind == 1 ? ir_and(b, x, y) : ir_sub(b, x, y);
    f = kind == 0 ? ir_flags_add(b, x, y) : kind == 1 ? ir_flags_and(b, x, y) : ir_flags_sub(b, x, y);
    if (step) {
        ir_set(b, s, narrow ? ir_zext(b, r) : r);
    }
    ir_set(b, FAKE_N, f.n);
    ir_set(b, FAKE_Z, f.z);
    ir_set(b, FAKE_C, f.c);
    ir_set(b, FAKE_V, f.v);
}

static void gen_count(Gen *g)
{
    IrBlock *b = g->b;
    IrVal old = ir_get(b, FAKE_COUNT), now = ir_addi(b, old, -1);
    IrFlags f;

    if (below(g, 2)) {
        f = ir_flags_sub(b, old, ir_i64(b, 1));
        ir_set(b, FAKE_COUNT, now);
        ir_set(b, FAKE_N, f.n);
        ir_set(b, FAKE_Z, f.z);
        ir_set(b, FAKE_C, f.c);
        ir_set(b, FAKE_V, f.v);
    } else {
        ir_set(b, FAKE_COUNT, now);
    }
}

void gen_loop(Rng *r, IrBlock *b, unsigned groups)
{
    Gen g = { .r = r, .b = b, .groups = groups & ~(below(&(Gen){ .r = r }, 8) ? GEN_CALL : 0) };
    unsigned ninsns, i = 0;

    ir_begin(b, &fake_target, 0x100);
    b->nan_mode = below(&g, 3);
    for (ninsns = 1 + below(&g, 6); i < ninsns; i++) {
        ir_insn(b, 0x100 + 4 * i, (uint16_t)(i * 7 + 1));
        if (below(&g, 3)) {
            gen_ops(&g, 1 + below(&g, 3));
            gen_sets(&g);
        } else {
            gen_step(&g);
        }
        if (!below(&g, 4)) {
            gen_compare(&g);
        } else if (!below(&g, 6)) {
            gen_flag_sets(&g);
        }
        if ((groups & GEN_EXIT) && !below(&g, 6)) {
            gen_exit(&g);
        }
    }
    ir_insn(b, 0x100 + 4 * i++, 300);
    gen_count(&g);
    if (below(&g, 2)) {
        ir_insn(b, 0x100 + 4 * i++, 301);
        gen_compare(&g);
    }
    ir_insn(b, 0x100 + 4 * i++, 302);
    if (below(&g, 4)) {
        ir_exit_if(b, IR_NE, ir_get(b, FAKE_COUNT), ir_i64(b, 0), 0x100);
        /* where a loop ends another block may begin: the way out is the same from both */
        if (below(&g, 2)) {
            ir_insn(b, 0x100 + 4 * i, 303);
            gen_flags(&g, IR_I64);
        }
        ir_goto(b, 0x100 + 4 * i++);
    } else {
        ir_exit_if(b, IR_EQ, ir_get(b, FAKE_COUNT), ir_i64(b, 0), 0x200);
        ir_goto(b, 0x100);
    }
    b->code_bytes = 4 * i;
}
