#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The mechanical part of docs/style.md: how C files of this project look.

usage: style.py [ROOT]      prints FILE:LINE: what, exit status 1 when any

What a person judges better (names, lengths, tables) is not here.  Comments and
strings are blanked before the lines are looked at.
"""
import os
import re
import sys

WIDTH = 200       # without the words of strings, which are searched for as one piece
KEYWORDS = r'(?:if|for|while|switch)'

# (what is wrong, pattern on a line without comments and strings)
LINES = [
    ('a tab', r'\t'),
    ('white space at the end', r'[ \t]+$'),
    ('a // comment', r'(^|[^:])//'),
    ('no space after a keyword', rf'\b{KEYWORDS}\('),
    ('a space inside parentheses', rf'\b{KEYWORDS} \( '),
    ('an opening brace that stands alone after a keyword', rf'^\s+{KEYWORDS} \(.*[^;,{{&|?:=+<>(\\-]\s*$\n\s*{{'),
    ('else not beside its brace', r'}\s*\n\s*else\b'),
    ('a body without braces', rf'^\s*(?:}} )?(?:else )?{KEYWORDS} \((?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*\)[ ]*\n[ ]+[^{{\s]'),
    ('the star at the type', r'^\s*(?:static |const |extern )*(?:char|int|void|bool|struct \w+|u?int\d+_t|size_t|[A-Z]\w+)\*+ \w+'),
    ('a space before a semicolon', r'[^;\s({] ;'),
    ('no space after a comma', r",[^\s\n'\"\\)}]"),
    ('#pragma once', r'#\s*pragma\s+once'),
]


def blank(text):
    """Comments and strings keep their length and their lines, not their words."""
    def hide(m):
        s = m.group(0)
        if s.startswith('//'):
            return s
        fill = ' ' if s.startswith('/*') else 'x'
        return s[0] + re.sub(r'[^\n]', fill, s[1:-1]) + s[-1] if not s.startswith('/*') else re.sub(r'[^\n]', '*', s)
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|//[^\n]*', hide, text, flags=re.S)


def guard(path):
    return re.sub(r'[^A-Z0-9]', '_', path.upper())


def check(path, text):
    """Yields (line number, what)."""
    bare = blank(text)
    for what, pattern in LINES:
        for m in re.finditer(pattern, bare, re.M):
            if '\\\n' in m.group(0):        # a macro in several lines
                continue
            yield bare.count('\n', 0, m.start()) + 1, what
    for n, line in enumerate(bare.split('\n'), 1):
        columns = len(re.sub(r'"x*"', '""', line))
        if columns > WIDTH:
            yield n, f'{columns} columns, {WIDTH} at most'
    if not text.endswith('\n') or text.endswith('\n\n'):
        yield text.count('\n'), 'the end: one newline, no empty line'
    if '\n\n\n' in text:
        yield text[:text.index('\n\n\n')].count('\n') + 2, 'two empty lines'
    if path.endswith('.h') and '#ifndef' in text and f'#ifndef {guard(path)}\n#define {guard(path)}\n' not in text:
        yield 1, f'the guard is not {guard(path)}'
    own = path[:-2] + '.h'
    first = re.search(r'^#include [<"]([^>"]+)[>"]', text, re.M)
    if path.endswith('.c') and os.path.exists(os.path.join(ROOT, own)) and first and first.group(1) not in (own, own[:-2] + '-priv.h'):
        yield text.count('\n', 0, first.start()) + 1, 'the own header does not come first'
    for block in re.finditer(r'(?:^#include "[^"]+"[^\n]*\n)+', text, re.M):
        names = re.findall(r'^#include "([^"]+)"', block.group(0), re.M)
        if first and block.start() == first.start():
            names = names[1:]           # the own header, or the family's
        if names != sorted(names) and names != sorted(names, key=lambda x: re.sub(r'\.\w+$', '', x)):
            yield text.count('\n', 0, block.start()) + 1, 'includes out of order'


ROOT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
bad = 0
for folder, subs, names in os.walk(ROOT):
    subs[:] = sorted(d for d in subs if not d.startswith(('.', 'build')))
    for name in sorted(names):
        if name.endswith(('.c', '.h')):
            path = os.path.relpath(os.path.join(folder, name), ROOT)
            with open(os.path.join(folder, name), encoding='utf-8') as f:
                for line, what in check(path, f.read()):
                    print(f'{path}:{line}: {what}')
                    bad += 1
sys.exit(1 if bad else 0)
