/* SPDX-License-Identifier: MIT */
/* The text form of a block (docs/ir.md): printing and parsing. */
#include "tcg/ir.h"

#include <glib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tcg/ir-raw.h"
#include "tcg/target.h"

const char *const ir_type_name[IR_NTYPES] = { "i32", "i64", "i128", "f32", "f64", "v64", "v128", "v256" };
const char *const ir_cond_name[IR_NCOND] = {
    "eq", "ne", "lt", "ge", "le", "gt", "ltu", "geu", "leu", "gtu", "tsteq", "tstne",
};
static const char *const arg_kind[] = { "", "in", "out", "io" };

static bool has_cond(unsigned opc)
{
    return opc == OP_setcond || opc == OP_movcond || opc == OP_exit_if || opc == OP_raise_if;
}

static bool has_slot(unsigned opc)
{
    return opc == OP_get || opc == OP_set;
}

/* ---- printing ---- */

static void print_in(FILE *f, const IrBlock *b, uint16_t in)
{
    if (in & IR_IN_SLOT) {
        fprintf(f, "&%s:%s", arg_kind[in >> 12 & 3], b->target->slots[in & 0xfff].name);
    } else if (b->values[in].is_const) {
        fprintf(f, "#%" PRId64 ":%s", b->values[in].c, ir_type_name[b->values[in].type]);
    } else {
        fprintf(f, "v%u", in);
    }
}

static void print_op(FILE *f, const IrBlock *b, const IrOp *op)
{
    const IrOpInfo *info = &ir_op_info[op->opc];
    const char *sep = " ";

    fprintf(f, "    ");
    for (unsigned i = 0; i < info->nout; i++) {
        if (op->out[i]) {
            fprintf(f, "v%u:%s ", op->out[i], ir_type_name[b->values[op->out[i]].type]);
        } else if (info->nout > 1) {
            fprintf(f, "_ ");
        }
    }
    if (info->nout && (op->out[0] || info->nout > 1)) {
        fprintf(f, "= ");
    }
    fprintf(f, "%s.%s", info->name, ir_type_name[op->type]);
    if (has_cond(op->opc)) {
        fprintf(f, ".%s", ir_cond_name[op->sub]);
    }
    for (unsigned i = 0; i < info->nin && op->in[i]; i++, sep = ", ") {
        fprintf(f, "%s", sep);
        print_in(f, b, op->in[i]);
    }
    if (has_slot(op->opc)) {
        fprintf(f, " @%s", b->target->slots[op->imm].name);
    } else if (op->opc == OP_call) {
        fprintf(f, " @%s", b->target->rt[op->imm].name);
    } else if (op->imm) {
        fprintf(f, " imm=0x%" PRIx64, op->imm);
    }
    if (op->sub && !has_cond(op->opc)) {
        fprintf(f, " sub=%u", op->sub);
    }
    fprintf(f, "\n");
}

void ir_print(FILE *f, const IrBlock *b)
{
    fprintf(f, "block 0x%x nan=%u%s%s\n", b->page_off, b->nan_mode, b->flush_exact ? " flush" : "", b->icount ? " icount" : "");
    for (unsigned i = 0; i < b->nops; i++) {
        const IrOp *op = &b->ops[i];

        if (op->opc == OP_insn) {
            fprintf(f, "  insn 0x%" PRIx64 " %u\n", op->imm, op->sub);
        } else {
            print_op(f, b, op);
        }
    }
}

/* ---- parsing ---- */

typedef struct Parser {
    IrBlock *b;
    const char *p;              /* rest of the line */
    unsigned line;
    char *err;
    uint16_t map[IR_MAX_VALUES];    /* number in the text -> value */
} Parser;

static bool fail(Parser *ps, const char *what)
{
    if (!ps->err) {
        ps->err = g_strdup_printf("line %u: %s, at \"%.40s\"", ps->line, what, ps->p);
    }
    return false;
}

static bool eat(Parser *ps, const char *word)
{
    size_t n = strlen(word);

    ps->p += strspn(ps->p, " ");
    if (strncmp(ps->p, word, n)) {
        return false;
    }
    ps->p += n;
    return true;
}

static int64_t number(Parser *ps)
{
    char *end;
    int64_t v = *ps->p == '-' ? strtoll(ps->p, &end, 0) : (int64_t)strtoull(ps->p, &end, 0);

    if (end == ps->p) {
        fail(ps, "a number is expected");
    }
    ps->p = end;
    return v;
}

/* Index of the word at the cursor in a list of names, or -1. */
static int word_in(Parser *ps, const char *const *names, unsigned n)
{
    size_t len = strspn(ps->p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    for (unsigned i = 0; i < n; i++) {
        if (strlen(names[i]) == len && !strncmp(ps->p, names[i], len)) {
            ps->p += len;
            return (int)i;
        }
    }
    fail(ps, "unknown word");
    return -1;
}

static int slot_named(Parser *ps)
{
    const TcgTarget *t = ps->b->target;
    size_t len = strcspn(ps->p, " ,\n");

    for (unsigned i = 0; i < t->nslots; i++) {
        if (strlen(t->slots[i].name) == len && !strncmp(ps->p, t->slots[i].name, len)) {
            ps->p += len;
            return (int)i;
        }
    }
    fail(ps, "unknown slot");
    return -1;
}

static int routine_named(Parser *ps)
{
    const TcgTarget *t = ps->b->target;
    size_t len = strcspn(ps->p, " ,\n");

    for (unsigned i = 0; i < t->nrt; i++) {
        if (strlen(t->rt[i].name) == len && !strncmp(ps->p, t->rt[i].name, len)) {
            ps->p += len;
            return (int)i;
        }
    }
    fail(ps, "unknown routine");
    return -1;
}

static bool parse_in(Parser *ps, uint16_t *in)
{
    if (eat(ps, "v")) {
        int64_t n = number(ps);

        if (n <= 0 || n >= IR_MAX_VALUES || !ps->map[n]) {
            return fail(ps, "value is not defined");
        }
        *in = ps->map[n];
    } else if (eat(ps, "#")) {
        int64_t c = number(ps);
        int t;

        if (!eat(ps, ":") || (t = word_in(ps, ir_type_name, IR_NTYPES)) < 0) {
            return fail(ps, "a constant needs its type");
        }
        *in = ir_const(ps->b, t, c).id;
    } else if (eat(ps, "&")) {
        unsigned kind = eat(ps, "in:") ? 1 : eat(ps, "out:") ? 2 : eat(ps, "io:") ? 3 : 0;
        int s = kind ? slot_named(ps) : -1;

        if (s < 0) {
            return fail(ps, "a slot argument reads &in:NAME, &out:NAME or &io:NAME");
        }
        *in = IR_IN_SLOT | kind << 12 | s;
    } else {
        return fail(ps, "an input is expected");
    }
    return true;
}

/* "v1:i64 v2:i64 = " */
static bool parse_outs(Parser *ps, int64_t *num, int *type, unsigned *nout)
{
    for (*nout = 0; *nout < 4; ++*nout) {
        ps->p += strspn(ps->p, " ");
        num[*nout] = 0;
        if (eat(ps, "_ ")) {
            continue;
        }
        if (*ps->p != 'v' || !g_ascii_isdigit(ps->p[1])) {
            break;
        }
        ps->p++;
        num[*nout] = number(ps);
        if (!eat(ps, ":") || (type[*nout] = word_in(ps, ir_type_name, IR_NTYPES)) < 0) {
            return fail(ps, "an output needs its type");
        }
    }
    return !*nout || eat(ps, "=") || fail(ps, "= is expected");
}

static bool parse_attrs(Parser *ps, IrOp *op)
{
    for (;;) {
        if (eat(ps, "imm=")) {
            op->imm = number(ps);
        } else if (eat(ps, "sub=")) {
            op->sub = number(ps);
        } else if (eat(ps, "@")) {
            int s = op->opc == OP_call ? routine_named(ps) : slot_named(ps);

            if (s < 0) {
                return false;
            }
            op->imm = s;
        } else {
            ps->p += strspn(ps->p, " \r");
            return !*ps->p || *ps->p == '\n' || *ps->p == ';' || fail(ps, "end of line is expected");
        }
    }
}

static bool parse_op(Parser *ps)
{
    static const char *names[OP_COUNT];
    int64_t num[4];
    int type[4], opc, t, cond = 0;
    unsigned nout;
    uint16_t in[6] = {};
    IrOp *op;

    for (unsigned i = 0; i < OP_COUNT; i++) {
        names[i] = ir_op_info[i].name;
    }
    if (!parse_outs(ps, num, type, &nout)) {
        return false;
    }
    ps->p += strspn(ps->p, " ");
    if ((opc = word_in(ps, names, OP_COUNT)) < 0 || !eat(ps, ".") || (t = word_in(ps, ir_type_name, IR_NTYPES)) < 0) {
        return fail(ps, "OPERATION.TYPE is expected");
    }
    if (has_cond(opc) && (!eat(ps, ".") || (cond = word_in(ps, ir_cond_name, IR_NCOND)) < 0)) {
        return fail(ps, "a condition is expected");
    }
    for (unsigned i = 0; i < ir_op_info[opc].nin; i++) {
        ps->p += strspn(ps->p, " ");
        if (i == 0 ? !strchr("v#&", *ps->p) || !*ps->p : !eat(ps, ",")) {
            break;
        }
        if (!parse_in(ps, &in[i])) {
            return false;
        }
    }
    op = ir_emit(ps->b, opc, t);
    op->sub = cond;
    memcpy(op->in, in, sizeof(in));
    for (unsigned i = 0; i < nout; i++) {
        if (num[i] > 0 && num[i] < IR_MAX_VALUES) {
            ps->map[num[i]] = ir_out(ps->b, op, i, type[i]).id;
        }
    }
    return parse_attrs(ps, op);
}

static bool parse_line(Parser *ps)
{
    if (eat(ps, "block")) {
        ps->p++;
        ps->b->page_off = number(ps);
        ps->b->nan_mode = eat(ps, "nan=") ? number(ps) : 0;
        ps->b->flush_exact = eat(ps, "flush");
        ps->b->icount = eat(ps, "icount");
        return !ps->err;
    }
    if (eat(ps, "insn")) {
        int64_t off;

        ps->p++;
        off = number(ps);
        ps->p += strspn(ps->p, " ");
        ir_insn(ps->b, off, number(ps));
        return !ps->err;
    }
    ps->p += strspn(ps->p, " \r");
    return !*ps->p || *ps->p == '\n' || *ps->p == ';' || parse_op(ps);
}

bool ir_parse(IrBlock *b, const struct TcgTarget *t, const char *text, char **err)
{
    Parser *ps = g_new0(Parser, 1);
    bool ok = true;

    ir_begin(b, t, 0);
    ps->b = b;
    for (const char *p = text; ok && *p;) {
        const char *nl = strchr(p, '\n');
        g_autofree char *one = nl ? g_strndup(p, nl - p) : g_strdup(p);

        ps->p = one;
        ps->line++;
        ok = parse_line(ps) && !ps->err;
        p = nl ? nl + 1 : "";
    }
    if (err) {
        *err = g_strdup(ps->err);
    }
    g_free(ps->err);
    g_free(ps);
    return ok;
}
