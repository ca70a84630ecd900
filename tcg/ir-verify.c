/* SPDX-License-Identifier: MIT */
/* The rules of ir.h, checked. */
#include "tcg/ir.h"

#include <stdio.h>
#include <stdlib.h>

#include "tcg/ir-raw.h"
#include "tcg/target.h"

static _Noreturn void broken(const IrBlock *b, unsigned i, const char *rule)
{
    ir_print(stderr, b);
    fprintf(stderr, "IR rule broken at op %u (%s): %s\n", i, i < b->nops ? ir_op_info[b->ops[i].opc].name : "end", rule);
    abort();
}

static bool type_is(const IrBlock *b, uint16_t v, IrType t)
{
    return b->values[v].type == t;
}

/* Operations whose inputs all have the type of the operation. */
static bool uniform(unsigned opc)
{
    switch (opc) {
    case OP_add: case OP_sub: case OP_mul: case OP_mulhu: case OP_mulhs: case OP_divu: case OP_divs: case OP_remu: case OP_rems:
    case OP_and: case OP_or: case OP_xor: case OP_andc: case OP_orc: case OP_eqv: case OP_not: case OP_neg:
    case OP_shl: case OP_shr: case OP_sar: case OP_rotr: case OP_extr: case OP_clz: case OP_ctz: case OP_cls: case OP_popcnt:
    case OP_bswap: case OP_bswap16: case OP_bswap32: case OP_rbit: case OP_extract: case OP_sextract: case OP_deposit:
    case OP_fadd: case OP_fsub: case OP_fmul: case OP_fdiv: case OP_fsqrt: case OP_fma: case OP_fabs: case OP_fneg:
    case OP_fmin: case OP_fmax: case OP_fminnm: case OP_fmaxnm: case OP_fround:
    case OP_vmov: case OP_vadd: case OP_vsub: case OP_vmul: case OP_vand: case OP_vor: case OP_vxor: case OP_vandc: case OP_vsel:
    case OP_vcmp: case OP_vfadd: case OP_vfsub: case OP_vfmul: case OP_vfdiv: case OP_vfma: case OP_vfcmp:
    case OP_vfmin: case OP_vfmax: case OP_vfminnm: case OP_vfmaxnm: case OP_vfround:
        return true;
    default:
        return false;
    }
}

static void check_types(const IrBlock *b, unsigned i, const IrOp *op)
{
    if (uniform(op->opc)) {
        for (unsigned k = 0; k < ir_op_info[op->opc].nin; k++) {
            if (!type_is(b, op->in[k], op->type)) {
                broken(b, i, "an input has another type than the operation");
            }
        }
    }
    switch (op->opc) {
    case OP_setcond: case OP_exit_if: case OP_raise_if: case OP_movcond: case OP_flags_sub: case OP_flags_add: case OP_flags_and: case OP_flags_adc:
        if (!ir_is_int(b->values[op->in[0]].type) || !type_is(b, op->in[1], b->values[op->in[0]].type)) {
            broken(b, i, "the two sides of a comparison differ in type");
        }
        break;
    case OP_get: case OP_set:
        if (op->imm < 0 || op->imm >= b->target->nslots || b->target->slots[op->imm].type != op->type) {
            broken(b, i, "slot and value differ in type");
        }
        break;
    case OP_ld: case OP_st: case OP_ld2: case OP_st2: case OP_cas: case OP_cas2: case OP_rmw: case OP_probe: case OP_jump: case OP_leave_to:
        if (!type_is(b, op->in[0], IR_I64)) {
            broken(b, i, "an address is an I64");
        }
        break;
    default:
        break;
    }
}

static void check_values(const IrBlock *b, unsigned i, const IrOp *op)
{
    const IrOpInfo *info = &ir_op_info[op->opc];
    unsigned nin = op->opc == OP_call ? b->target->rt[op->imm].nargs : info->nin;

    for (unsigned k = 0; k < nin; k++) {
        uint16_t v = op->in[k];

        if (op->opc == OP_call && (v & IR_IN_SLOT)) {
            continue;
        }
        if (!v || v >= b->nvalues || (!b->values[v].is_const && b->values[v].def >= i)) {
            broken(b, i, "a value is used before its definition");
        }
    }
    for (unsigned k = 0; k < info->nout; k++) {
        if (op->out[k] && b->values[op->out[k]].def != i) {
            broken(b, i, "a value is defined twice");
        }
    }
}

void ir_verify(const IrBlock *b)
{
    bool set_seen = false;

    if (!b->nops || b->ops[0].opc != OP_insn) {
        broken(b, 0, "a block begins with ir_insn()");
    }
    for (unsigned i = 0; i < b->nops; i++) {
        const IrOp *op = &b->ops[i];
        unsigned flags = ir_op_info[op->opc].flags;

        check_values(b, i, op);
        check_types(b, i, op);
        if (op->opc == OP_insn) {
            set_seen = false;
        }
        set_seen |= op->opc == OP_set;
        if ((flags & IR_FAULT) && set_seen && (op->opc != OP_call || (b->target->rt[op->imm].flags & RT_RAISE))) {
            broken(b, i, "an operation that may fault follows ir_set() of its instruction");
        }
        if (!!(flags & IR_END) != (i + 1 == b->nops)) {
            broken(b, i, "exactly the last operation ends the block");
        }
    }
}
