/* SPDX-License-Identifier: MIT */
#include "target/riscv/disas-priv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "target/riscv/cpu.h"

static void put(RvText *o, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

static void put(RvText *o, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(o->buf + o->len, o->room - o->len, fmt, ap);
    va_end(ap);
    o->len = MIN(o->len + (size_t)MAX(n, 0), o->room - 1);
}

void rv_dis_text(RvText *o, const char *s)
{
    put(o, "%s", s);
}

void rv_dis_x(RvText *o, int r)
{
    static const char *const names[32] = {
        "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
        "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
    };

    put(o, "%s", names[r]);
}

void rv_dis_f(RvText *o, int r)
{
    static const char *const names[32] = {
        "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5",
        "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
    };

    put(o, "%s", names[r]);
}

void rv_dis_imm(RvText *o, int v)
{
    put(o, "%d", v);
}

void rv_dis_hex(RvText *o, int v)
{
    put(o, "0x%x", (unsigned)v);
}

void rv_dis_upper(RvText *o, int v)
{
    put(o, "0x%x", (unsigned)v >> 12);
}

void rv_dis_pc(RvText *o, int disp)
{
    put(o, "0x%" PRIx64, o->pc + (uint64_t)(int64_t)disp);
}

void rv_dis_csr(RvText *o, int number)
{
    int id = rv_csr_by_number((unsigned)number);

    if (id >= 0) {
        put(o, "%s", rv_csrs[id].name);
    } else {
        put(o, "0x%x", (unsigned)number);
    }
}

void rv_dis_set(RvText *o, int bits)
{
    put(o, "%s%s%s%s%s", bits ? "" : "unknown", bits & 8 ? "i" : "", bits & 4 ? "o" : "", bits & 2 ? "r" : "", bits & 1 ? "w" : "");
}

void rv_dis_aqrl(RvText *o, int aq, int rl)
{
    put(o, "%s", aq && rl ? ".aqrl" : aq ? ".aq" : rl ? ".rl" : "");
}

void rv_dis_sd(RvText *o, int fmt)
{
    put(o, "%c", fmt ? 'd' : 's');
}

void rv_dis_wd(RvText *o, int fmt)
{
    put(o, "%c", fmt ? 'd' : 'w');
}

void rv_dis_wl(RvText *o, int type)
{
    put(o, "%c%s", type & 2 ? 'l' : 'w', type & 1 ? "u" : "");
}

static void mode(RvText *o, int rm)
{
    static const char *const names[8] = { "rne", "rtz", "rdn", "rup", "rmm", "unknown", "unknown", "dyn" };

    put(o, ", %s", names[rm]);
}

void rv_dis_rm(RvText *o, int rm)
{
    if (rm != 7) {
        mode(o, rm);
    }
}

/* Of conversions that are exact, whose mode is left out when it is 0. */
void rv_dis_rmd(RvText *o, int rm)
{
    if (rm) {
        mode(o, rm);
    }
}

void rv_dis_rmi(RvText *o, int rm, int fmt, int type)
{
    if (fmt && !(type & 2)) {
        rv_dis_rmd(o, rm);
    } else {
        rv_dis_rm(o, rm);
    }
}

bool rv_disas(uint32_t insn, uint64_t pc, char *buf, size_t room)
{
    RvText o = { .buf = buf, .room = room, .pc = pc };
    int row = rv_row_of(insn);

    if (row >= 0 && rv_rows[row].dis(&o, insn)) {
        return true;
    }
    o.len = 0;
    put(&o, (insn & 3) == 3 ? ".word 0x%08x" : ".half 0x%04x", insn);
    return false;
}

int rv_disas_bytes(const uint8_t *code, size_t len, uint64_t pc, char *buf, size_t room)
{
    uint32_t insn;
    int n;

    if (len < 2) {
        return 0;
    }
    insn = (uint32_t)(code[0] | code[1] << 8);
    n = (insn & 3) == 3 ? 4 : 2;
    if (n == 4) {
        if (len < 4) {
            return 0;
        }
        insn |= (uint32_t)code[2] << 16 | (uint32_t)code[3] << 24;
    }
    rv_disas(insn, pc, buf, room);
    return n;
}
