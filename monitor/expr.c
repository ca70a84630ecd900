/* SPDX-License-Identifier: MIT */
/* Integer expressions of the monitor: + - | ^ & * / % ~ ( ) numbers 'c' $register. */
#include "monitor/command.h"

#include <errno.h>
#include <string.h>

enum { EXPR_DEPTH = 100 };

typedef struct Expr {
    Cpu *cpu;
    const char *p;
    unsigned depth;
    Error **errp;
} Expr;

static bool sum(Expr *e, int64_t *out);

static void blanks(Expr *e)
{
    e->p += strspn(e->p, " \t");
}

static bool number(Expr *e, int64_t *out)
{
    char *end;

    errno = 0;
    *out = (int64_t)g_ascii_strtoull(e->p, &end, 0);
    if (errno) {
        return error_set(e->errp, "number too large");
    }
    if (end == e->p) {
        return error_set(e->errp, *e->p ? "invalid char '%c' in expression" : "unexpected end of expression", *e->p);
    }
    e->p = end;
    return true;
}

static bool reg(Expr *e, int64_t *out)
{
    size_t len = strspn(e->p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    g_autofree char *name = g_strndup(e->p, len);
    uint64_t v;

    if (!e->cpu || !e->cpu->ops->reg_by_name || !e->cpu->ops->reg_by_name(e->cpu, name, &v)) {
        return error_set(e->errp, "unknown register");
    }
    e->p += len;
    *out = (int64_t)v;
    return true;
}

static bool unary(Expr *e, int64_t *out)
{
    bool ok;

    blanks(e);
    if (++e->depth > EXPR_DEPTH) {
        return error_set(e->errp, "expression too deep");
    }
    switch (*e->p) {
    case '+':
        e->p++;
        ok = unary(e, out);
        break;
    case '-':
        e->p++;
        ok = unary(e, out);
        *out = (int64_t)-(uint64_t)*out;
        break;
    case '~':
        e->p++;
        ok = unary(e, out);
        *out = ~*out;
        break;
    case '(':
        e->p++;
        ok = sum(e, out);
        blanks(e);
        if (ok && *e->p != ')') {
            return error_set(e->errp, "')' expected");
        }
        e->p += ok;
        break;
    case '\'':
        ok = e->p[1] && e->p[2] == '\'';
        if (!ok) {
            return error_set(e->errp, "character constant expected");
        }
        *out = (uint8_t)e->p[1];
        e->p += 3;
        break;
    case '$':
        e->p++;
        ok = reg(e, out);
        break;
    default:
        ok = number(e, out);
    }
    e->depth--;
    return ok;
}

static bool product(Expr *e, int64_t *out)
{
    int64_t v;

    *out = 0;
    if (!unary(e, out)) {
        return false;
    }
    for (;;) {
        char op;

        blanks(e);
        op = *e->p;
        if (op != '*' && op != '/' && op != '%') {
            return true;
        }
        e->p++;
        v = 0;
        if (!unary(e, &v)) {
            return false;
        }
        if (op == '*') {
            *out = (int64_t)((uint64_t)*out * (uint64_t)v);
        } else if (!v) {
            return error_set(e->errp, "division by zero");
        } else if (v == -1) {
            *out = op == '/' ? (int64_t)-(uint64_t)*out : 0;
        } else {
            *out = op == '/' ? *out / v : *out % v;
        }
    }
}

static bool bits(Expr *e, int64_t *out)
{
    int64_t v;

    if (!product(e, out)) {
        return false;
    }
    for (;;) {
        char op;

        blanks(e);
        op = *e->p;
        if (op != '&' && op != '|' && op != '^') {
            return true;
        }
        e->p++;
        if (!product(e, &v)) {
            return false;
        }
        *out = op == '&' ? *out & v : op == '|' ? *out | v : *out ^ v;
    }
}

static bool sum(Expr *e, int64_t *out)
{
    int64_t v;

    if (!bits(e, out)) {
        return false;
    }
    for (;;) {
        char op;

        blanks(e);
        op = *e->p;
        if (op != '+' && op != '-') {
            return true;
        }
        e->p++;
        if (!bits(e, &v)) {
            return false;
        }
        *out = (int64_t)((uint64_t)*out + (op == '+' ? (uint64_t)v : -(uint64_t)v));
    }
}

bool mon_expr(Cpu *cpu, const char **text, int64_t *out, Error **errp)
{
    Expr e = { .cpu = cpu, .p = *text, .errp = errp };
    bool ok = sum(&e, out);

    *text = e.p;
    return ok;
}
