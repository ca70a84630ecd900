/* SPDX-License-Identifier: MIT */
#include "target/arm/disas-priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void __attribute__((format(printf, 2, 3))) put(A64Text *o, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(o->buf + o->len, o->room - o->len, fmt, ap);
    va_end(ap);
    o->len += n;
    if (o->len >= o->room) {
        o->len = o->room - 1;
    }
}

void a64_dis_text(A64Text *o, const char *s)
{
    put(o, "%s", s);
}

static void reg(A64Text *o, int r, bool sf, const char *r31)
{
    if (r == 31) {
        put(o, "%s", r31);
    } else {
        put(o, "%c%d", sf ? 'x' : 'w', r);
    }
}

void a64_dis_R(A64Text *o, int r, int sf)
{
    reg(o, r, sf, sf ? "xzr" : "wzr");
}

void a64_dis_Rsp(A64Text *o, int r, int sf)
{
    reg(o, r, sf, sf ? "sp" : "wsp");
}

void a64_dis_X(A64Text *o, int r)
{
    a64_dis_R(o, r, 1);
}

void a64_dis_Xsp(A64Text *o, int r)
{
    a64_dis_Rsp(o, r, 1);
}

void a64_dis_Rx(A64Text *o, int r, int option)
{
    a64_dis_R(o, r, (option & 3) == 3);
}

void a64_dis_F(A64Text *o, int size, int r)
{
    put(o, "%c%d", "bhsdq"[size], r);
}

void a64_dis_V(A64Text *o, int r, int q, int size)
{
    put(o, "v%d.%d%c", r, (q ? 16 : 8) >> size, "bhsdq"[size]);
}

void a64_dis_Vp(A64Text *o, int r, int q, int size)
{
    a64_dis_V(o, r, q, size);
}

void a64_dis_Ve(A64Text *o, int r, int size, int idx)
{
    put(o, "v%d.%c[%d]", r, "bhsd"[size], idx);
}

void a64_dis_Vhalf(A64Text *o, int r, int q)
{
    put(o, "v%d.%dh", r, q ? 4 : 2);
}

void a64_dis_V4b(A64Text *o, int r, int idx)
{
    put(o, "v%d.4b[%d]", r, idx);
}

void a64_dis_V2h(A64Text *o, int r, int idx)
{
    put(o, "v%d.2h[%d]", r, idx);
}

void a64_dis_Vp2h(A64Text *o, int r)
{
    put(o, "v%d.2h", r);
}

void a64_dis_vlist(A64Text *o, int r, int n, int q, int size)
{
    for (int i = 0; i < n; i++) {
        put(o, i ? ", " : "{");
        a64_dis_V(o, (r + i) & 31, q, size);
    }
    put(o, "}");
}

void a64_dis_velist(A64Text *o, int r, int n, int size, int idx)
{
    for (int i = 0; i < n; i++) {
        put(o, "%sv%d.%c", i ? ", " : "{", (r + i) & 31, "bhsd"[size]);
    }
    put(o, "}[%d]", idx);
}

void a64_dis_imm(A64Text *o, int v)
{
    put(o, "#%d", v);
}

void a64_dis_num(A64Text *o, int v)
{
    put(o, "%d", v);
}

void a64_dis_hex(A64Text *o, int v)
{
    put(o, "#0x%x", v);
}

void a64_dis_commaimm(A64Text *o, int v)
{
    if (v) {
        put(o, ", #%d", v);
    }
}

void a64_dis_pc(A64Text *o, int disp)
{
    put(o, "0x%llx", (unsigned long long)(o->pc + disp));
}

void a64_dis_page(A64Text *o, int pages)
{
    put(o, "0x%llx", (unsigned long long)((o->pc & ~0xfffull) + (int64_t)pages * 4096));
}

void a64_dis_dbm(A64Text *o, int sf, int dbm)
{
    put(o, "#0x%llx", (unsigned long long)logic_imm(sf, dbm));
}

void a64_dis_fpimm(A64Text *o, int imm8)
{
    double v = 16 + (imm8 & 15);
    int e = (imm8 >> 4 & 7) ^ 4;

    put(o, "#%s%.18e", imm8 & 0x80 ? "-" : "", v / 128 * (1 << e));
}

/* Advanced SIMD modified immediate: MOVI, MVNI, ORR, BIC, FMOV by cmode and op (C4.1.96) */
void a64_dis_modimm(A64Text *o, int op, int cmode)
{
    bool logic = cmode < 12 && (cmode & 1);

    put(o, "%s", cmode == 15 ? "fmov" : logic ? (op ? "bic" : "orr") : op && cmode != 14 ? "mvni" : "movi");
}

void a64_dis_modargs(A64Text *o, int op, int cmode, int q, int imm8, int rd)
{
    if (cmode == 15) {
        a64_dis_V(o, rd, q, op ? 3 : 2);
        put(o, ", ");
        a64_dis_fpimm(o, imm8);
    } else if (cmode == 14 && op) {
        uint64_t v = 0;

        for (int i = 0; i < 8; i++) {
            v |= imm8 >> i & 1 ? 0xffull << (8 * i) : 0;
        }
        if (q) {
            put(o, "v%d.2d, #0x%llx", rd, (unsigned long long)v);
        } else {
            put(o, "d%d, #0x%llx", rd, (unsigned long long)v);
        }
    } else if (cmode == 14) {
        a64_dis_V(o, rd, q, 0);
        put(o, ", #0x%x", imm8);
    } else if (cmode >= 12) {
        a64_dis_V(o, rd, q, 2);
        put(o, ", #0x%x, msl #%d", imm8, cmode & 1 ? 16 : 8);
    } else {
        a64_dis_V(o, rd, q, cmode & 8 ? 1 : 2);
        put(o, ", #0x%x", imm8);
        a64_dis_lsl(o, (cmode >> 1 & (cmode & 8 ? 1 : 3)) * 8);
    }
}

void a64_dis_lsl(A64Text *o, int n)
{
    if (n) {
        put(o, ", lsl #%d", n);
    }
}

void a64_dis_shift(A64Text *o, int type, int n)
{
    static const char *const name[] = { "lsl", "lsr", "asr", "ror" };

    if (type || n) {
        put(o, ", %s #%d", name[type], n);
    }
}

static const char *const extend_name[] = { "uxtb", "uxth", "uxtw", "uxtx", "sxtb", "sxth", "sxtw", "sxtx" };

void a64_dis_extend(A64Text *o, int option, int n)
{
    put(o, ", %s", extend_name[option]);
    if (n) {
        put(o, " #%d", n);
    }
}

void a64_dis_offext(A64Text *o, int option, int s, int size)
{
    if (option == 3) {
        if (s) {
            put(o, ", lsl #%d", size);
        }
        return;
    }
    put(o, ", %s", extend_name[option]);
    if (s) {
        put(o, " #%d", size);
    }
}

void a64_dis_post(A64Text *o, int rm, int regs, int q)
{
    if (rm == 31) {
        put(o, ", #%d", regs * (q ? 16 : 8));
    } else {
        put(o, ", x%d", rm);
    }
}

void a64_dis_post1(A64Text *o, int rm, int n, int size)
{
    if (rm == 31) {
        put(o, ", #%d", n << size);
    } else {
        put(o, ", x%d", rm);
    }
}

void a64_dis_two(A64Text *o, int q)
{
    put(o, "%s", q ? "2" : "");
}

void a64_dis_bt(A64Text *o, int t)
{
    put(o, "%s", t ? "t" : "b");
}

void a64_dis_ab(A64Text *o, int b)
{
    put(o, "%s", b ? "b" : "a");
}

static const char key_name[4][3] = { "ia", "ib", "da", "db" };

void a64_dis_key(A64Text *o, int key)
{
    put(o, "%s", key_name[key]);
}

void a64_dis_keyz(A64Text *o, int key)
{
    put(o, "%cz%c", key_name[key][0], key_name[key][1]);
}

void a64_dis_id(A64Text *o, int d)
{
    put(o, "%s", d ? "d" : "i");
}

void a64_dis_c(A64Text *o, int c)
{
    put(o, "%s", c ? "c" : "");
}

void a64_dis_a(A64Text *o, int a)
{
    put(o, "%s", a ? "a" : "");
}

void a64_dis_l(A64Text *o, int l)
{
    put(o, "%s", l ? "l" : "");
}

void a64_dis_bh(A64Text *o, int sz)
{
    put(o, "%s", sz == 0 ? "b" : sz == 1 ? "h" : "");
}

void a64_dis_bhw(A64Text *o, int sz)
{
    put(o, "%c", "bhw"[sz]);
}

void a64_dis_bhwx(A64Text *o, int sz)
{
    put(o, "%c", "bhwx"[sz]);
}

void a64_dis_eight(A64Text *o, int sz)
{
    put(o, "%s", sz ? "16" : "8");
}

void a64_dis_cond(A64Text *o, int c)
{
    static const char name[16][3] = { "eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "al", "nv" };

    put(o, "%s", name[c]);
}

void a64_dis_prfop(A64Text *o, int rt)
{
    static const char kind[4][4] = { "pld", "pli", "pst", "" };

    if ((rt >> 3) == 3 || (rt >> 1 & 3) == 3) {
        put(o, "#0x%02x", rt);
    } else {
        put(o, "%sl%d%s", kind[rt >> 3], (rt >> 1 & 3) + 1, rt & 1 ? "strm" : "keep");
    }
}

void a64_dis_barrier(A64Text *o, int crm)
{
    static const char *const name[16] = {
        NULL, "oshld", "oshst", "osh", NULL, "nshld", "nshst", "nsh", NULL, "ishld", "ishst", "ish", NULL, "ld", "st", "sy"
    };

    if (name[crm]) {
        put(o, "%s", name[crm]);
    } else {
        put(o, "#0x%02x", crm);
    }
}

void a64_dis_bti(A64Text *o, int targets)
{
    static const char *const name[4] = { "", " c", " j", " jc" };

    put(o, "%s", name[targets]);
}

void a64_dis_sysreg(A64Text *o, int op0, int op1, int crn, int crm, int op2)
{
    put(o, "s%d_%d_c%d_c%d_%d", op0, op1, crn, crm, op2);
}

void a64_dis_comma_x(A64Text *o, int rt)
{
    if (rt != 31) {
        put(o, ", x%d", rt);
    }
}

bool a64_disas(uint32_t insn, uint64_t pc, char *buf, size_t room)
{
    A64Text o = { .buf = buf, .room = room, .pc = pc };
    int row = a64_row_of(insn);

    if (row < 0 || !a64_rows[row].dis(&o, insn)) {
        snprintf(buf, room, ".inst 0x%08x", insn);
        return false;
    }
    return true;
}
