#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From rows that say what instructions look like to a decoder in C.

    decode.py --prefix a64 --dir OUT FILE.decode ...

A file has one statement per line; a trailing backslash continues it, `#`
begins a comment.

    %name  pos:len pos:slen ... [=> expr]    a field: pieces joined, first one highest; `s`
                                             sign-extends; expr is C, the joined bits are `x`
    &name  field field ...                   an argument set: becomes struct prefix_arg_name
    @name  pattern [items]                   a format: what rows have in common
    name   pattern [items]                   a row: an instruction, calls trans_name

A pattern is 32 bits of 0, 1, `.` (somebody else's or a field's bit), and
inline fields `name:len` or `name:slen`; one of 16 bits stands for the low half.  Items are, in any order:

    @fmt             take the pattern, fields and text of a format
    &set             the argument set (without it: made from the fields, in order)
    arg=%field arg=3 an argument from a field or a constant;  %field alone: of that name
    {feat}           the feature that the row needs;  {feat: expr} only where expr holds
    if(expr)         C expression over arguments and %fields: false means not allocated
    "text"           the disassembly.  A text without a space is the mnemonic, the operands
                     come from the format.  {kind:expr,expr} calls prefix_dis_kind(o, expr, expr)

Rows between lines `[` and `]` may overlap, the first that fits wins, groups
nest.  Any other overlap is an error that names both lines.

Written: PREFIX-decode.h (argument structs, trans_ prototypes), PREFIX-rows.c
(the decision tree, the table of rows, the disassembler) and PREFIX-trans.c
(a thunk per row that fills the arguments and calls trans_).
"""
import argparse
import os
import re
import sys

WIDTH = 32


class Bad(Exception):
    pass


class Field:
    def __init__(self, pieces, expr=None):
        self.pieces, self.expr = pieces, expr

    def c(self):
        out = None
        for pos, length, signed in self.pieces:
            f = 'sextract32' if signed and out is None else 'extract32'
            one = f'{f}(insn, {pos}, {length})'
            out = one if out is None else f'deposit_low({one}, {out}, {length})'
        return f'{self.expr[0]}({out})' if self.expr else out


class Row:
    def __init__(self):
        self.mask = self.value = 0
        self.seen = 0                       # bits that the pattern accounts for
        self.args = {}                      # name -> C text
        self.fields = {}
        self.set = None
        self.feats, self.conds = [], []
        self.text = None
        self.group = None


class Decoder:
    def __init__(self, prefix, trans='trans_'):
        self.prefix, self.trans = prefix, trans
        self.fields, self.sets, self.formats, self.rows = {}, {}, {}, []
        self.exprs = []                     # (function name, expression)
        self.groups = [()]                  # stack of group ids
        self.ngroups = 0
        self.where = ''

    # ---- reading ----
    def read(self, path):
        for line in open(path, encoding='utf-8'):       # argument sets may stand behind their users
            if line[0] == '&':
                name, *names = self.strip_comment(line)[1:].split()
                self.sets[name] = names
        pending, start = '', 0
        for n, line in enumerate(open(path, encoding='utf-8'), 1):
            line = re.sub(r'(^|\s)#.*$', '', line.rstrip('\n')) if '"' not in line else self.strip_comment(line.rstrip('\n'))
            start = start if pending else n
            if line.endswith('\\'):
                pending += line[:-1] + ' '
                continue
            line, pending = (pending + line).strip(), ''
            if line:
                self.where = f'{os.path.basename(path)}:{start}'
                try:
                    self.statement(line)
                except Bad as e:
                    raise Bad(f'{path}:{start}: {e}') from None

    @staticmethod
    def strip_comment(line):
        quoted = False
        for i, ch in enumerate(line):
            if ch == '"':
                quoted = not quoted
            if ch == '#' and not quoted and (i == 0 or line[i - 1].isspace()):
                return line[:i]
        return line

    def statement(self, line):
        if line == '[':
            self.ngroups += 1
            self.groups.append(self.groups[-1] + (self.ngroups,))
        elif line == ']':
            if len(self.groups) == 1:
                raise Bad('] without [')
            self.groups.pop()
        elif line[0] == '%':
            self.field(line)
        elif line[0] == '&':
            pass
        else:
            self.pattern(line)

    def field(self, line):
        body, _, expr = line.partition('=>')
        name, *pieces = body[1:].split()
        if name in self.fields:
            raise Bad(f'%{name} is there already')
        self.fields[name] = self.make_field(name, pieces, expr.strip())

    def make_field(self, name, pieces, expr=''):
        out = []
        for p in pieces:
            m = re.fullmatch(r'(\d+):(s?)(\d+)', p)
            if not m:
                raise Bad(f'field piece "{p}"')
            out.append((int(m[1]), int(m[3]), bool(m[2])))
        if expr:
            fn = f'field_{name}'
            self.exprs.append((fn, expr))
            return Field(out, (fn,))
        return Field(out)

    def pattern(self, line):
        head, rest = line.split(None, 1)
        row = Row()
        row.name, row.where, row.group = head.lstrip('@'), self.where, self.groups[-1]
        row.order = len(self.rows)
        items = re.findall(r'"[^"]*"|\{[^}]*\}|if\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)|\S+', rest)
        bits = sum(len(it) if re.fullmatch(r'[01.\-]+', it) else int(re.fullmatch(r'\w+:s?(\d+)', it)[1])
                   for it in items if re.fullmatch(r'[01.\-]+|\w+:s?\d+', it))
        at, mask, value = 16 if bits == 16 else WIDTH, 0, 0
        for it in items:
            if re.fullmatch(r'[01.\-]+', it):
                for ch in it:
                    at -= 1
                    if ch in '01':
                        mask |= 1 << at
                        value |= int(ch) << at
            elif re.fullmatch(r'\w+:s?\d+', it):
                name, length = it.split(':')
                n = int(length.lstrip('s'))
                at -= n
                f = Field([(at, n, 's' in length)])
                row.args[name] = f.c()
                row.fields[name] = f
            elif it[0] == '@':
                self.take_format(row, it[1:])
            elif it[0] == '&':
                row.set = it[1:]
            elif it[0] == '{':
                feat, _, cond = it[1:-1].partition(':')
                row.feats.append((feat.strip(), cond.strip()))
            elif it.startswith('if('):
                row.conds.append(it[3:-1])
            elif it[0] == '"':
                self.set_text(row, it[1:-1])
            elif it[0] == '%':
                row.args[it[1:]] = self.get_field(it[1:])
            elif '=' in it:
                name, val = it.split('=', 1)
                row.args[name] = self.get_field(val[1:]) if val[0] == '%' else str(int(val, 0))
            else:
                raise Bad(f'what is "{it}"?')
        if at != 0:
            raise Bad(f'{head}: the pattern has {bits} bits, not {WIDTH} or 16')
        if row.mask & mask & (row.value ^ value):
            raise Bad(f'{head}: contradicts its format')
        row.mask |= mask
        row.value |= value
        if head[0] == '@':
            self.formats[row.name] = row
        else:
            self.finish(row)

    def get_field(self, name):
        if name not in self.fields:
            raise Bad(f'no field %{name}')
        return self.fields[name].c()

    def take_format(self, row, name):
        f = self.formats.get(name)
        if not f:
            raise Bad(f'no format @{name}')
        if row.mask & f.mask & (row.value ^ f.value):
            raise Bad(f'{row.name} contradicts @{name}')
        row.mask |= f.mask
        row.value |= f.value
        row.args = {**f.args, **row.args}
        row.fields = {**f.fields, **row.fields}
        row.set = row.set or f.set
        row.feats = f.feats + row.feats
        row.conds = f.conds + row.conds
        row.operands = f.text

    @staticmethod
    def set_text(row, text):
        row.text = text

    def finish(self, row):
        if row.set is None:
            key = [n for n in row.args]
            row.set = next((s for s, names in self.sets.items() if names == key), None)
            if row.set is None:
                row.set = '_'.join(key) or 'none'
                self.sets[row.set] = key
        if row.set not in self.sets:
            raise Bad(f'no argument set &{row.set}')
        for a in self.sets[row.set]:
            if a not in row.args:
                raise Bad(f'{row.name}: argument {a} of &{row.set} is missing')
        if row.text is None:
            raise Bad(f'{row.name}: no text')
        operands = getattr(row, 'operands', None)
        if ' ' not in row.text and operands:
            row.text += ' ' + operands
        other = next((r for r in self.rows if r.name == row.name and r.set != row.set), None)
        if other:
            raise Bad(f'{row.name} has &{row.set} here and &{other.set} at {other.where}')
        row.order = len(self.rows)
        self.rows.append(row)

    # ---- checking ----
    def check(self):
        bad = []
        for i, a in enumerate(self.rows):
            for b in self.rows[i + 1:]:
                if (a.value ^ b.value) & a.mask & b.mask:
                    continue
                if not (a.group and b.group and a.group[0] == b.group[0]):
                    bad.append(f'{a.where}: {a.name} overlaps {b.where}: {b.name}')
                elif not b.mask & ~a.mask == 0 and a.mask & ~b.mask == 0:
                    bad.append(f'{b.where}: {b.name} is never reached, {a.where}: {a.name} comes first')
        if bad:
            raise Bad('\n'.join(bad))

    # ---- the tree ----
    def tree(self, rows, known, out, ind):
        pad = '    ' * ind
        if not rows:
            out.append(f'{pad}return -1;')
            return
        first = rows[0]
        left = first.mask & ~known
        if not left:
            out.append(f'{pad}return {first.order}; /* {first.name} */')
            return
        if len(rows) == 1:
            out.append(f'{pad}return (insn & {left:#010x}) == {first.value & left:#010x} ? {first.order} : -1; /* {first.name} */')
            return
        lo, n = self.choose(rows, known)
        bits = ((1 << n) - 1) << lo
        cases = {}
        for v in range(1 << n):
            sub = [r for r in rows if not ((r.value >> lo) ^ v) & (r.mask >> lo) & ((1 << n) - 1)]
            if sub:
                cases.setdefault(tuple(r.order for r in sub), (sub, []))[1].append(v)
        out.append(f'{pad}switch (extract32(insn, {lo}, {n})) {{')
        for sub, vals in sorted(cases.values(), key=lambda c: c[1][0]):
            for v in vals[:-1]:
                out.append(f'{pad}case {v:#x}:')
            out.append(f'{pad}case {vals[-1]:#x}:')
            self.tree(sub, known | bits, out, ind + 1)
        out.append(f'{pad}}}')
        out.append(f'{pad}return -1;')

    @staticmethod
    def choose(rows, known):
        """The run of bits that most rows test: all of them if possible, at most 8."""
        count = [0 if known >> b & 1 else sum(1 for r in rows if r.mask >> b & 1) for b in range(WIDTH)]
        # a bit that splits nothing is worth little
        for b in range(WIDTH):
            vals = {r.value >> b & 1 for r in rows if r.mask >> b & 1}
            if count[b] and len(vals) < 2:
                count[b] -= 0.5
        best = max(count)
        runs, b = [], 0
        full = len(rows)
        lim = best if best < full else full - 0.5
        while b < WIDTH:
            n = 0
            while b + n < WIDTH and n < (8 if lim >= full - 0.5 else 4) and count[b + n] >= lim and count[b + n] > 0:
                n += 1
            if n:
                split = sum(1 for i in range(b, b + n) if count[i] == int(count[i]))
                if split:
                    runs.append((split, n, b))
            b += max(n, 1)
        if not runs:
            b = count.index(best)
            return b, 1
        _, n, b = max(runs)
        return b, n

    # ---- writing ----
    def expr(self, row, text):
        """C for an expression over arguments (names) and %fields."""
        text = re.sub(r'%(\w+)', lambda m: '(' + self.get_field(m[1]) + ')', text)
        names = set(self.sets[row.set])
        extra = {n: c for n, c in row.args.items() if n not in names}

        def one(m):
            w = m[0]
            if w in names:
                return f'a->{w}'
            return f'({extra[w]})' if w in extra else w
        return re.sub(r'(?<![\w>.])[A-Za-z_]\w*', one, text)

    def feature(self, f):
        return f'{self.prefix.upper()}_FEAT_{f}'

    def header(self):
        p = self.prefix
        o = [f'/* Made by scripts/decode.py; do not edit. */', f'#ifndef {p.upper()}_DECODE_H', f'#define {p.upper()}_DECODE_H', '',
             '#include <stdbool.h>', '#include <stdint.h>', '']
        used = {r.set for r in self.rows}
        for s, names in self.sets.items():
            if s not in used:
                continue
            body = ' '.join(f'int {n};' for n in names)
            o.append(f'typedef struct arg_{s} {{ {body or "int unused;"} }} arg_{s};')
        o += ['', f'enum {{ {p.upper()}_NROWS = {len(self.rows)} }};', '', f'struct {p.capitalize()}Dis;', f'#ifndef {p.upper()}_TRANS_ATTR', f'#define {p.upper()}_TRANS_ATTR', '#endif']
        for name in dict.fromkeys(r.name for r in self.rows):
            s = next(r.set for r in self.rows if r.name == name)
            o.append(f'bool {self.trans}{name}(struct {p.capitalize()}Dis *d, arg_{s} *a) {p.upper()}_TRANS_ATTR;')
        o += ['', '#endif', '']
        return '\n'.join(o)

    def arg_fn(self, used):
        o = []
        for fn, e in self.exprs:
            if fn not in used:
                continue
            o.append(f'static inline int {fn}(int x)\n{{\n    return {e};\n}}\n')
        return o

    def fill(self, row, unused='a'):
        return [f'    a->{n} = {row.args[n]};' for n in self.sets[row.set]] or ['    a->unused = 0;']

    def fill_functions(self):
        """Static functions that fill the arguments of a row; rows that agree share one."""
        seen, out, name_of = {}, [], {}
        for r in self.rows:
            body = '\n'.join(self.fill(r))
            key = (r.set, body)
            if key not in seen:
                seen[key] = f'fill_{len(seen)}'
                out.append(f'static void {seen[key]}(arg_{r.set} *a, uint32_t insn)\n{{\n{body}\n}}\n')
            name_of[r.order] = seen[key]
        return out, name_of

    def used_exprs(self, text):
        return {fn for fn, _ in self.exprs if fn + '(' in text}

    def prelude(self, header):
        p = self.prefix
        return [f'/* Made by scripts/decode.py; do not edit. */', f'#include "{p}-decode.h"', f'#include "{header}"', '',
                'static inline int extract32(uint32_t x, int pos, int len)\n{\n    return (int)((x >> pos) & (~0u >> (32 - len)));\n}\n',
                'static inline int sextract32(uint32_t x, int pos, int len)\n{\n    return (int32_t)(x << (32 - len - pos)) >> (32 - len);\n}\n',
                'static inline int deposit_low(int low, int high, int len)\n{\n    return (int)((unsigned)high << len | (unsigned)low);\n}\n']

    def cond_code(self, r):
        o = []
        for c in r.conds:
            o.append(f'    if (!({self.expr(r, c)})) {{\n        return false;\n    }}')
        return o

    def rows_c(self, header):
        p, P = self.prefix, self.prefix.capitalize()
        tree = []
        self.tree(self.ordered(), 0, tree, 1)
        fills, fill_of = self.fill_functions()
        dis = []
        for r in self.rows:
            o = [f'/* {r.where} */', f'static bool dis_{r.order}({P}Text *o, uint32_t insn)', '{', f'    arg_{r.set} args, *a = &args;', '',
                 f'    {fill_of[r.order]}(a, insn);'] + self.cond_code(r)
            o += ['    if (o) {'] + ['        ' + x for x in self.text_code(r)] + ['    }']
            o += ['    return true;', '}', '']
            dis.append('\n'.join(o))
        rest = '\n'.join(fills) + '\n' + '\n'.join(dis)
        o = self.prelude(header) + self.arg_fn(self.used_exprs(rest)) + [rest]
        o += [f'int {p}_row_of(uint32_t insn)', '{'] + tree + ['}', '', f'const {P}Row {p}_rows[] = {{']
        for r in self.rows:
            mn = re.match(r'[^ {]*', r.text)[0]
            feat = next((self.feature(f) for f, c in r.feats if not c), self.feature('none'))
            cond = next((self.feature(f) for f, c in r.feats if c), self.feature('none'))
            o.append(f'    {{ "{r.name}", "{mn}", "{r.where}", {r.mask:#010x}, {r.value:#010x}, {feat}, {cond}, dis_{r.order} }},')
        o += ['};', f'const unsigned {p}_nrows = {len(self.rows)};', '']
        return '\n'.join(o)

    def text_code(self, r):
        out = []
        for lit, kind, args in re.findall(r'([^{]+)|\{([^}:]+):?([^}]*)\}', r.text):
            if lit:
                out.append(f'{self.prefix}_dis_text(o, "{lit}");')
            else:
                a = self.expr(r, args)
                out.append(f'{self.prefix}_dis_{kind}(o{", " + a if a else ""});')
        return out

    def ordered(self):
        return self.rows

    def trans_c(self, header):
        p, P = self.prefix, self.prefix.capitalize()
        fills, fill_of = self.fill_functions()
        body = []
        for r in self.rows:
            o = [f'/* {r.where} */', f'static bool do_{r.order}({P}Dis *d, uint32_t insn)', '{', f'    arg_{r.set} args, *a = &args;', '',
                 f'    {fill_of[r.order]}(a, insn);'] + self.cond_code(r)
            for f, c in r.feats:
                pre = f'({self.expr(r, c)}) && ' if c else ''
                o.append(f'    if ({pre}!{p}_feature(d, {self.feature(f)})) {{\n        return false;\n    }}')
            o += [f'    return {self.trans}{r.name}(d, a);', '}', '']
            body.append('\n'.join(o))
        rest = '\n'.join(fills) + '\n' + '\n'.join(body)
        o = self.prelude(header) + self.arg_fn(self.used_exprs(rest)) + [rest]
        o += [f'bool (*const {p}_trans[])({P}Dis *d, uint32_t insn) = {{']
        o += [f'    do_{r.order},' for r in self.rows]
        o += ['};', '']
        return '\n'.join(o)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--prefix', required=True)
    ap.add_argument('--trans', default='trans_', help='what the names of translators begin with')
    ap.add_argument('--dir', required=True)
    ap.add_argument('--rows-header', required=True, help='header with the row and text types, for PREFIX-rows.c')
    ap.add_argument('--trans-header', required=True, help='header of the translator, for PREFIX-trans.c')
    ap.add_argument('files', nargs='+')
    a = ap.parse_args()
    d = Decoder(a.prefix, a.trans)
    try:
        for f in a.files:
            d.read(f)
        if len(d.groups) != 1:
            raise Bad('[ without ]')
        d.check()
    except Bad as e:
        sys.exit(str(e))
    for name, text in ((f'{a.prefix}-decode.h', d.header()), (f'{a.prefix}-rows.c', d.rows_c(a.rows_header)), (f'{a.prefix}-trans.c', d.trans_c(a.trans_header))):
        with open(os.path.join(a.dir, name), 'w', encoding='utf-8') as out:
            out.write(text)


if __name__ == '__main__':
    main()
