/* SPDX-License-Identifier: MIT */
/* Operand printers that the texts of rv-*.decode name: {kind:args} calls rv_dis_kind(o, args). */
#ifndef TARGET_RISCV_DISAS_PRIV_H
#define TARGET_RISCV_DISAS_PRIV_H

#include "target/riscv/disas.h"

struct RvText {
    char *buf;
    size_t room, len;
    uint64_t pc;
};

void rv_dis_text(RvText *o, const char *s);
void rv_dis_x(RvText *o, int r);
void rv_dis_f(RvText *o, int r);
void rv_dis_imm(RvText *o, int v);
void rv_dis_hex(RvText *o, int v);
void rv_dis_upper(RvText *o, int v);        /* of LUI: bits 31-12 */
void rv_dis_pc(RvText *o, int disp);
void rv_dis_csr(RvText *o, int number);
void rv_dis_set(RvText *o, int bits);       /* of FENCE */
void rv_dis_aqrl(RvText *o, int aq, int rl);
/* formats: s or d, w or d; types w wu l lu; rounding modes where they are not those that are left out */
void rv_dis_sd(RvText *o, int fmt);
void rv_dis_wd(RvText *o, int fmt);
void rv_dis_wl(RvText *o, int type);
void rv_dis_rm(RvText *o, int rm);
void rv_dis_rmd(RvText *o, int rm);
void rv_dis_rmi(RvText *o, int rm, int fmt, int type);

#endif
