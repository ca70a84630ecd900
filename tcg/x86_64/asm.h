/* SPDX-License-Identifier: MIT */
/*
 * A small assembler for x86-64: one encoder per instruction format.
 *
 * An opcode word (`op`) packs: bits 0-7 the opcode byte, 8-9 the map (0 one byte,
 * 1 0f, 2 0f38, 3 0f3a), 10-11 the mandatory prefix (0 none, 1 66, 2 f3, 3 f2).
 * Registers 0-15 are the general ones, 16-31 the vector ones.
 */
#ifndef TCG_X86_64_ASM_H
#define TCG_X86_64_ASM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, XMM0 = 16, XMM14 = 30, XMM15 = 31, NREGS = 32, NOREG = -1 };

#define M0F   (1u << 8)
#define M38   (2u << 8)
#define M3A   (3u << 8)
#define P66   (1u << 10)
#define PF3   (2u << 10)
#define PF2   (3u << 10)

enum { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };
enum { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
enum { SH_ROL, SH_ROR, SH_SHL = 4, SH_SHR, SH_SAR = 7 };

/* Address: [base + (index << scale) + disp], or rip-relative to `target` (an address in the same mapping as the code). */
typedef struct Mem {
    int8_t base, index;         /* NOREG: none */
    int32_t disp;
    const uint8_t *target;
    uint8_t scale;              /* log2, of the index */
} Mem;

typedef struct Asm { uint8_t *p; } Asm;

static inline Mem mem_bd(int base, int32_t disp) { return (Mem){ base, NOREG, disp, NULL, 0 }; }
static inline Mem mem_bid(int base, int index, int32_t disp) { return (Mem){ base, index, disp, NULL, 0 }; }
static inline Mem mem_rip(const void *target) { return (Mem){ NOREG, NOREG, 0, target, 0 }; }

static inline void put8(Asm *a, unsigned v) { *a->p++ = (uint8_t)v; }
static inline void put32(Asm *a, uint32_t v) { memcpy(a->p, &v, 4); a->p += 4; }
static inline void put64(Asm *a, uint64_t v) { memcpy(a->p, &v, 8); a->p += 8; }

/* Prefix, REX and opcode bytes. `need_rex`: byte registers beyond dl. */
static inline void asm_head(Asm *a, uint32_t op, bool w, int reg, int index, int base, bool need_rex)
{
    static const uint8_t prefix[4] = { 0, 0x66, 0xf3, 0xf2 };
    unsigned rex = 0x40 | w << 3 | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 | (base >> 3 & 1);
    unsigned map = op >> 8 & 3;

    if (op >> 10 & 3) {
        put8(a, prefix[op >> 10 & 3]);
    }
    if (rex != 0x40 || need_rex) {
        put8(a, rex);
    }
    if (map) {
        put8(a, 0x0f);
    }
    if (map > 1) {
        put8(a, map == 2 ? 0x38 : 0x3a);
    }
    put8(a, op);
}

/* ModRM, SIB and displacement; `imm_bytes` follow (rip-relative counts from the end). */
static inline void asm_mem(Asm *a, int reg, Mem m, unsigned imm_bytes)
{
    unsigned r = (reg & 7) << 3, b = m.base & 7, mod;

    if (m.target) {
        put8(a, r | 5);
        put32(a, (uint32_t)(m.target - (a->p + 4 + imm_bytes)));
        return;
    }
    mod = m.disp == 0 && b != 5 ? 0 : m.disp >= -128 && m.disp < 128 ? 0x40 : 0x80;
    if (m.index != NOREG || b == 4) {
        put8(a, mod | r | 4);
        put8(a, (m.index != NOREG ? m.scale << 6 | (m.index & 7) << 3 : 0x20) | b);
    } else {
        put8(a, mod | r | b);
    }
    if (mod == 0x40) {
        put8(a, (uint8_t)m.disp);
    } else if (mod) {
        put32(a, (uint32_t)m.disp);
    }
}

static inline int idx_of(Mem m) { return m.index == NOREG ? 0 : m.index; }
static inline int base_of(Mem m) { return m.base == NOREG ? 0 : m.base; }

static inline void op_rr(Asm *a, uint32_t op, bool w, int reg, int rm)
{
    asm_head(a, op, w, reg, 0, rm, false);
    put8(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline void op_rm(Asm *a, uint32_t op, bool w, int reg, Mem m)
{
    asm_head(a, op, w, reg, idx_of(m), base_of(m), false);
    asm_mem(a, reg, m, 0);
}

static inline void op_rm_imm8(Asm *a, uint32_t op, bool w, int reg, Mem m, unsigned imm)
{
    asm_head(a, op, w, reg, idx_of(m), base_of(m), false);
    asm_mem(a, reg, m, 1);
    put8(a, imm);
}

/* Byte registers: a REX prefix makes spl..dil reachable. */
static inline void op_rr8(Asm *a, uint32_t op, int reg, int rm)
{
    asm_head(a, op, false, reg, 0, rm, reg >= 4 || rm >= 4);
    put8(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline void op_rm8(Asm *a, uint32_t op, int reg, Mem m)
{
    asm_head(a, op, false, reg, idx_of(m), base_of(m), reg >= 4);
    asm_mem(a, reg, m, 0);
}

/* ---- VEX ---- */

static inline void vex_head(Asm *a, uint32_t op, bool w, bool l, int reg, int v, int index, int base)
{
    unsigned r = ~reg >> 3 & 1, x = ~index >> 3 & 1, b = ~base >> 3 & 1, map = op >> 8 & 3, pp = op >> 10 & 3;
    static const uint8_t pp_of[4] = { 0, 1, 2, 3 };

    if (x && b && map == 1 && !w) {
        put8(a, 0xc5);
        put8(a, r << 7 | (~v & 15) << 3 | l << 2 | pp_of[pp]);
    } else {
        put8(a, 0xc4);
        put8(a, r << 7 | x << 6 | b << 5 | map);
        put8(a, w << 7 | (~v & 15) << 3 | l << 2 | pp_of[pp]);
    }
    put8(a, op);
}

static inline void vex_rr(Asm *a, uint32_t op, bool w, int reg, int v, int rm)
{
    vex_head(a, op, w, false, reg, v, 0, rm);
    put8(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline void vex_rm(Asm *a, uint32_t op, bool w, int reg, int v, Mem m)
{
    vex_head(a, op, w, false, reg, v, idx_of(m), base_of(m));
    asm_mem(a, reg, m, 0);
}

/* ---- moves ---- */

static inline void mov_rr(Asm *a, bool w, int d, int s) { op_rr(a, 0x8b, w, d, s); }
static inline void mov_rm(Asm *a, bool w, int d, Mem m) { op_rm(a, 0x8b, w, d, m); }
static inline void mov_mr(Asm *a, bool w, Mem m, int s) { op_rm(a, 0x89, w, s, m); }
static inline void lea(Asm *a, bool w, int d, Mem m) { op_rm(a, 0x8d, w, d, m); }

static inline void mov_ri(Asm *a, int d, uint64_t v)
{
    if (v == 0) {
        op_rr(a, 0x33, false, d, d);                    /* destroys the flags */
    } else if (v <= 0xffffffffu) {
        asm_head(a, 0xb8 | (d & 7), false, 0, 0, d, false);
        put32(a, (uint32_t)v);
    } else if ((int64_t)v == (int32_t)v) {
        asm_head(a, 0xc7, true, 0, 0, d, false);
        put8(a, 0xc0 | (d & 7));
        put32(a, (uint32_t)v);
    } else {
        asm_head(a, 0xb8 | (d & 7), true, 0, 0, d, false);
        put64(a, v);
    }
}

/* The same, leaving the flags alone. */
static inline void mov_ri_keep(Asm *a, int d, uint64_t v)
{
    if (v == 0) {
        asm_head(a, 0xb8 | (d & 7), false, 0, 0, d, false);
        put32(a, 0);
    } else {
        mov_ri(a, d, v);
    }
}

static inline void mov_mi(Asm *a, bool w, Mem m, int32_t v)
{
    asm_head(a, 0xc7, w, 0, idx_of(m), base_of(m), false);
    asm_mem(a, 0, m, 4);
    put32(a, (uint32_t)v);
}

static inline void mov_mi8(Asm *a, Mem m, unsigned v)
{
    asm_head(a, 0xc6, false, 0, idx_of(m), base_of(m), false);
    asm_mem(a, 0, m, 1);
    put8(a, v);
}

/* ---- arithmetic ---- */

static inline void alu_rr(Asm *a, unsigned k, bool w, int d, int s) { op_rr(a, k << 3 | 3, w, d, s); }
static inline void alu_rm(Asm *a, unsigned k, bool w, int d, Mem m) { op_rm(a, k << 3 | 3, w, d, m); }

static inline void alu_ri(Asm *a, unsigned k, bool w, int d, int32_t v)
{
    bool small = v >= -128 && v < 128;

    asm_head(a, small ? 0x83 : 0x81, w, 0, 0, d, false);
    put8(a, 0xc0 | k << 3 | (d & 7));
    if (small) {
        put8(a, (uint8_t)v);
    } else {
        put32(a, (uint32_t)v);
    }
}

static inline void alu_mi(Asm *a, unsigned k, bool w, Mem m, int32_t v)
{
    bool small = v >= -128 && v < 128;

    asm_head(a, small ? 0x83 : 0x81, w, 0, idx_of(m), base_of(m), false);
    asm_mem(a, k, m, small ? 1 : 4);
    if (small) {
        put8(a, (uint8_t)v);
    } else {
        put32(a, (uint32_t)v);
    }
}

static inline void test_rr(Asm *a, bool w, int x, int y) { op_rr(a, 0x85, w, y, x); }

static inline void test_ri(Asm *a, bool w, int x, int32_t v)
{
    if (v >= 0 && v < 128 && x < 4) {
        op_rr8(a, 0xf6, 0, x);
        put8(a, (uint8_t)v);
        return;
    }
    asm_head(a, 0xf7, w && v < 0, 0, 0, x, false);
    put8(a, 0xc0 | (x & 7));
    put32(a, (uint32_t)v);
}

/* Group f7: 2 not, 3 neg, 4 mul, 5 imul, 6 div, 7 idiv. */
static inline void grp3(Asm *a, unsigned k, bool w, int r)
{
    asm_head(a, 0xf7, w, 0, 0, r, false);
    put8(a, 0xc0 | k << 3 | (r & 7));
}

static inline void shift_ri(Asm *a, unsigned k, bool w, int r, unsigned n)
{
    asm_head(a, n == 1 ? 0xd1 : 0xc1, w, 0, 0, r, false);
    put8(a, 0xc0 | k << 3 | (r & 7));
    if (n != 1) {
        put8(a, n);
    }
}

static inline void shift_cl(Asm *a, unsigned k, bool w, int r)
{
    asm_head(a, 0xd3, w, 0, 0, r, false);
    put8(a, 0xc0 | k << 3 | (r & 7));
}

static inline void setcc_r(Asm *a, unsigned cc, int r) { op_rr8(a, M0F | 0x90 | cc, 0, r); }
static inline void setcc_m(Asm *a, unsigned cc, Mem m) { op_rm8(a, M0F | 0x90 | cc, 0, m); }
static inline void cmov_rr(Asm *a, unsigned cc, bool w, int d, int s) { op_rr(a, M0F | 0x40 | cc, w, d, s); }
static inline void movzx8_rr(Asm *a, int d, int s) { op_rr8(a, M0F | 0xb6, d, s); }

/* ---- control ---- */

static inline void jmp_to(Asm *a, const uint8_t *t)
{
    put8(a, 0xe9);
    put32(a, (uint32_t)(t - (a->p + 4)));
}

static inline void call_to(Asm *a, const uint8_t *t)
{
    put8(a, 0xe8);
    put32(a, (uint32_t)(t - (a->p + 4)));
}

static inline void jcc_to(Asm *a, unsigned cc, const uint8_t *t)
{
    put8(a, 0x0f);
    put8(a, 0x80 | cc);
    put32(a, (uint32_t)(t - (a->p + 4)));
}

static inline void jmp_r(Asm *a, int r)
{
    asm_head(a, 0xff, false, 0, 0, r, false);
    put8(a, 0xe0 | (r & 7));
}

static inline void call_r(Asm *a, int r)
{
    asm_head(a, 0xff, false, 0, 0, r, false);
    put8(a, 0xd0 | (r & 7));
}

static inline void jmp_m(Asm *a, Mem m) { op_rm(a, 0xff, false, 4, m); }
static inline void push_r(Asm *a, int r) { asm_head(a, 0x50 | (r & 7), false, 0, 0, r, false); }
static inline void pop_r(Asm *a, int r) { asm_head(a, 0x58 | (r & 7), false, 0, 0, r, false); }
static inline void ret(Asm *a) { put8(a, 0xc3); }

/* Forward jumps over a few instructions. */
static inline uint8_t *jcc_short(Asm *a, unsigned cc)
{
    put8(a, 0x70 | cc);
    put8(a, 0);
    return a->p;
}

static inline uint8_t *jmp_short(Asm *a)
{
    put8(a, 0xeb);
    put8(a, 0);
    return a->p;
}

static inline void land_short(Asm *a, uint8_t *from)
{
    from[-1] = (uint8_t)(a->p - from);
}

/* A forward jcc rel32 whose target comes later. */
static inline void land_near(uint8_t *after_rel32, const uint8_t *target)
{
    int32_t d = (int32_t)(target - after_rel32);

    memcpy(after_rel32 - 4, &d, 4);
}

static inline void nops(Asm *a, unsigned n)
{
    static const uint8_t nop[5][5] = { {}, { 0x90 }, { 0x66, 0x90 }, { 0x0f, 0x1f, 0x00 }, { 0x0f, 0x1f, 0x40, 0x00 } };

    for (; n > 4; n -= 4) {
        memcpy(a->p, nop[4], 4);
        a->p += 4;
    }
    memcpy(a->p, nop[n], n);
    a->p += n;
}

#endif
