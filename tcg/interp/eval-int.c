/* SPDX-License-Identifier: MIT */
/* Integer operations on values. */
#include "tcg/interp/eval.h"

#include "tcg/ir-raw.h"
#include "util/bits.h"

static uint64_t divide(const TcgEvalOp *op, uint64_t x, uint64_t y, unsigned w)
{
    int64_t sx = w == 32 ? (int32_t)x : (int64_t)x, sy = w == 32 ? (int32_t)y : (int64_t)y;
    bool rem = op->opc == OP_remu || op->opc == OP_rems;

    if (!y) {
        return rem ? x : op->sub == IR_DIV_ONES ? ~0ull : 0;
    }
    if (op->opc == OP_divu || op->opc == OP_remu) {
        return rem ? x % y : x / y;
    }
    if (sy == -1) {
        return rem ? 0 : (uint64_t)0 - x;
    }
    return (uint64_t)(rem ? sx % sy : sx / sy);
}

static uint64_t high_product(unsigned opc, uint64_t x, uint64_t y, unsigned w)
{
    if (w == 32) {
        return opc == OP_mulhu ? (x * y) >> 32 : (uint64_t)((int64_t)(int32_t)x * (int32_t)y) >> 32;
    }
    return opc == OP_mulhu ? (uint64_t)(((unsigned __int128)x * y) >> 64)
                           : (uint64_t)(((__int128)(int64_t)x * (int64_t)y) >> 64);
}

static uint64_t swap_units(uint64_t x, unsigned unit)
{
    uint64_t r = 0;

    for (unsigned i = 0; i < 8; i++) {
        r |= (x >> (8 * i) & 0xff) << (8 * (i ^ (unit - 1)));
    }
    return r;
}

static uint64_t crc32(uint32_t crc, uint64_t data, unsigned sub)
{
    uint32_t poly = sub & 4 ? 0x82f63b78 : 0xedb88320;

    for (unsigned i = 0; i < 8u << (sub & 3); i++) {
        uint32_t bit = (crc ^ (uint32_t)(data >> i)) & 1;

        crc = (crc >> 1) ^ (bit ? poly : 0);
    }
    return crc;
}

static uint64_t ext(unsigned e, uint64_t x)
{
    switch (e) {
    case IR_U8: return (uint8_t)x;
    case IR_S8: return (uint64_t)(int8_t)x;
    case IR_U16: return (uint16_t)x;
    case IR_S16: return (uint64_t)(int16_t)x;
    case IR_U32: return (uint32_t)x;
    default: return (uint64_t)(int32_t)x;
    }
}

static void flags(const TcgEvalOp *op, const TcgVal *const in[], TcgVal *const out[])
{
    unsigned w = ir_bits(op->in_type);
    uint64_t mask = w == 32 ? 0xffffffffull : ~0ull, x = in[0]->q[0] & mask, y = in[1]->q[0] & mask, carry = 0;
    unsigned __int128 wide;
    uint64_t r;

    if (op->opc == OP_flags_and) {
        r = x & y;
        wide = 0;
    } else {
        if (op->opc == OP_flags_sub) {
            y = ~y & mask;
            carry = 1;
        } else if (op->opc == OP_flags_adc) {
            carry = in[2]->q[0] & 1;
        }
        wide = (unsigned __int128)x + y + carry;
        r = (uint64_t)wide & mask;
    }
    const uint64_t bit[4] = { r >> (w - 1) & 1, r == 0, (uint64_t)(wide >> w) & 1, ((x ^ r) & (y ^ r)) >> (w - 1) & 1 };
    for (unsigned i = 0; i < ir_op_info[op->opc].nout; i++) {
        if (out[i]) {
            out[i]->q[0] = bit[i];
        }
    }
}

static uint64_t extr(const TcgEvalOp *op, uint64_t hi, uint64_t lo, unsigned w)
{
    unsigned n = op->imm & (w - 1);

    return n ? lo >> n | hi << (w - n) : lo;
}

bool tcg_eval_int(const TcgEvalOp *op, const TcgVal *const in[], TcgVal *const out[])
{
    unsigned w = ir_bits(op->type), pos = op->imm & 0xff, len = op->imm >> 8 & 0xff;
    uint64_t mask = w == 32 ? 0xffffffffull : ~0ull;
    unsigned nin = ir_op_info[op->opc].nin;
    uint64_t full = nin ? in[0]->q[0] : 0, x = full & mask, y = nin > 1 ? in[1]->q[0] & mask : 0, r;

    switch (op->opc) {
    case OP_mov: r = full; break;
    case OP_add: r = x + y; break;
    case OP_sub: r = x - y; break;
    case OP_mul: r = x * y; break;
    case OP_mulhu: case OP_mulhs: r = high_product(op->opc, x, y, w); break;
    case OP_divu: case OP_divs: case OP_remu: case OP_rems: r = divide(op, x, y, w); break;
    case OP_and: r = x & y; break;
    case OP_or: r = x | y; break;
    case OP_xor: r = x ^ y; break;
    case OP_andc: r = x & ~y; break;
    case OP_orc: r = x | ~y; break;
    case OP_eqv: r = ~(x ^ y); break;
    case OP_not: r = ~x; break;
    case OP_neg: r = 0 - x; break;
    case OP_shl: case OP_shr: case OP_sar: case OP_rotr: {
        int64_t s;

        ir_eval2(op->opc, op->type, 0, (int64_t)x, (int64_t)y, &s);
        r = (uint64_t)s;
        break;
    }
    case OP_extr: r = extr(op, x, y, w); break;
    case OP_clz: r = w == 32 ? clz32((uint32_t)x) : clz64(x); break;
    case OP_ctz: r = w == 32 ? ctz32((uint32_t)x) : ctz64(x); break;
    case OP_cls: {
        uint64_t s = x << (64 - w);

        s ^= (uint64_t)((int64_t)s >> 1);
        s |= w == 32 ? 1ull << 31 : 0;
        r = (s ? clz64(s) : 64) - 1;
        break;
    }
    case OP_popcnt: r = popcount64(x); break;
    case OP_bswap: r = w == 32 ? __builtin_bswap32((uint32_t)x) : __builtin_bswap64(x); break;
    case OP_bswap16: r = swap_units(x, 2); break;
    case OP_bswap32: r = swap_units(x, 4); break;
    case OP_rbit: r = w == 32 ? bitrev32((uint32_t)x) : bitrev64(x); break;
    case OP_ext: r = ext(op->sub, full); break;
    case OP_extract: r = extract64(x, pos, len); break;
    case OP_sextract: r = (uint64_t)sextract64(x, pos, len); break;
    case OP_deposit: r = deposit64(x, pos, len, y); break;
    case OP_setcond: r = ir_cond_eval(op->sub, op->in_type, (int64_t)full, (int64_t)in[1]->q[0]); break;
    case OP_crc32: r = crc32((uint32_t)full, in[1]->q[0], op->sub); break;
    case OP_flags_add: case OP_flags_sub: case OP_flags_adc: case OP_flags_and:
        flags(op, in, out);
        return true;
    case OP_movcond:
        *out[0] = *in[ir_cond_eval(op->sub, op->in_type, (int64_t)full, (int64_t)in[1]->q[0]) ? 2 : 3];
        if (w == 32) {
            out[0]->q[0] &= mask;
        }
        return true;
    default:
        return false;
    }
    out[0]->q[0] = r & mask;
    return true;
}

bool tcg_eval(const TcgEvalOp *op, const TcgVal *const in[], TcgVal *const out[])
{
    if (ir_is_vec(op->type) || op->opc == OP_vget || op->opc == OP_vlow) {
        if (tcg_eval_vec(op, in, out)) {
            return true;
        }
    }
    return tcg_eval_int(op, in, out) || tcg_eval_fp(op, in, out);
}
