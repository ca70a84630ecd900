/* SPDX-License-Identifier: MIT */
/* Operand printers that the texts of a64-*.decode name: {kind:args} calls a64_dis_kind(o, args). */
#ifndef TARGET_ARM_DISAS_PRIV_H
#define TARGET_ARM_DISAS_PRIV_H

#include "target/arm/decode-fields.h"
#include "target/arm/disas.h"

struct A64Text {
    char *buf;
    size_t room, len;
    uint64_t pc;
};

void a64_dis_text(A64Text *o, const char *s);
/* general registers: by sf, the same with SP, 64 bits, by extend option */
void a64_dis_R(A64Text *o, int r, int sf);
void a64_dis_Rsp(A64Text *o, int r, int sf);
void a64_dis_X(A64Text *o, int r);
void a64_dis_Xsp(A64Text *o, int r);
void a64_dis_Rx(A64Text *o, int r, int option);
/* SIMD registers: scalar of a size, vector, pair arrangements, element, halves for FHM, groups of 4 bytes and 2 halves, lists */
void a64_dis_F(A64Text *o, int size, int r);
void a64_dis_V(A64Text *o, int r, int q, int size);
void a64_dis_Vp(A64Text *o, int r, int q, int size);
void a64_dis_Ve(A64Text *o, int r, int size, int idx);
void a64_dis_Vhalf(A64Text *o, int r, int q);
void a64_dis_V4b(A64Text *o, int r, int idx);
void a64_dis_V2h(A64Text *o, int r, int idx);
void a64_dis_Vp2h(A64Text *o, int r);
void a64_dis_vlist(A64Text *o, int r, int n, int q, int size);
void a64_dis_velist(A64Text *o, int r, int n, int size, int idx);
/* immediates */
void a64_dis_imm(A64Text *o, int v);
void a64_dis_num(A64Text *o, int v);
void a64_dis_hex(A64Text *o, int v);
void a64_dis_commaimm(A64Text *o, int v);
void a64_dis_pc(A64Text *o, int disp);
void a64_dis_page(A64Text *o, int pages);
void a64_dis_dbm(A64Text *o, int sf, int dbm);
void a64_dis_fpimm(A64Text *o, int imm8);
void a64_dis_modimm(A64Text *o, int op, int cmode);
void a64_dis_modargs(A64Text *o, int op, int cmode, int q, int imm8, int rd);
/* shifts and extensions behind a register */
void a64_dis_lsl(A64Text *o, int n);
void a64_dis_shift(A64Text *o, int type, int n);
void a64_dis_extend(A64Text *o, int option, int n);
void a64_dis_offext(A64Text *o, int option, int s, int size);
void a64_dis_post(A64Text *o, int rm, int regs, int q);
void a64_dis_post1(A64Text *o, int rm, int n, int size);
/* letters of mnemonics */
void a64_dis_two(A64Text *o, int q);
void a64_dis_bt(A64Text *o, int t);
void a64_dis_ab(A64Text *o, int b);
void a64_dis_key(A64Text *o, int key);
void a64_dis_keyz(A64Text *o, int key);
void a64_dis_id(A64Text *o, int d);
void a64_dis_c(A64Text *o, int c);
void a64_dis_a(A64Text *o, int a);
void a64_dis_l(A64Text *o, int l);
void a64_dis_bh(A64Text *o, int sz);
void a64_dis_bhw(A64Text *o, int sz);
void a64_dis_bhwx(A64Text *o, int sz);
void a64_dis_eight(A64Text *o, int sz);
/* named operands */
void a64_dis_cond(A64Text *o, int c);
void a64_dis_prfop(A64Text *o, int rt);
void a64_dis_barrier(A64Text *o, int crm);
void a64_dis_bti(A64Text *o, int targets);
void a64_dis_sysreg(A64Text *o, int op0, int op1, int crn, int crm, int op2);
void a64_dis_comma_x(A64Text *o, int rt);

#endif
