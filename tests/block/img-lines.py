#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The image tool's lines, one after the other as img-lines.txt has them: output, messages and exit status, to the letter.

usage: img-lines.py TOOL LINES     the tool is called as qemu-img; it may as well be the other program
"""
import fcntl
import os
import shlex
import struct
import subprocess
import sys
import tempfile

TRY = "Try 'qemu-img --help' for more information"
RAW = '''WARNING: Image format was not specified for '%s' and probing guessed raw.
         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.
         Specify the 'raw' format explicitly to remove the restrictions.'''
OFD_SETLK = 37


def parse(path):
    """Blocks of '$ line', '> stdout', '! stderr', '= status'; '@ name' is a word to the runner."""
    case, out = None, []
    for number, text in enumerate(open(path, encoding='utf-8'), 1):
        text = text.rstrip('\n')
        kind, rest = text[:1], text[2:]
        if kind == '$':
            case = {'line': rest, 'at': number, 'out': [], 'err': [], 'status': 0}
            out.append(case)
        elif kind == '@':
            out.append({'word': rest})
        elif kind == '>':
            case['out'].append(rest)
        elif kind == '!':
            case['err'].extend([TRY] if rest == 'TRY' else (RAW % rest[8:]).split('\n') if rest.startswith('WARNRAW ') else [rest])
        elif kind == '=':
            case['status'] = int(rest)
    return out


def lock(name):
    """The bytes that a program which writes to a qcow2 image holds."""
    f = open(name, 'r+b')
    for byte in (100, 101, 103, 201, 203):
        fcntl.fcntl(f, OFD_SETLK, struct.pack('hhqqi4x', fcntl.F_RDLCK, os.SEEK_SET, byte, 1, 0))
    return f


def same(want, got):
    """A line that ends in '...' stands for what begins like it, and '*' at the end for all that follows."""
    if want and want[-1] == '*':
        want, got = want[:-1], got[:len(want) - 1]
    return len(want) == len(got) and all(g.startswith(w[:-3]) if w.endswith('...') else g == w for w, g in zip(want, got))


def run(case):
    p = subprocess.run(['./qemu-img', *shlex.split(case['line'])], capture_output=True, text=True, env={**os.environ, 'TZ': 'UTC', 'LC_ALL': 'C'})
    out, err = ([ln for ln in t.split('\n')] for t in (p.stdout, p.stderr))
    out, err = (t[:-1] if t[-1] == '' else t for t in (out, err))
    if same(case['out'], out) and same(case['err'], err) and p.returncode == case['status']:
        return True
    print(f'FAIL line {case["at"]}: qemu-img {case["line"]}\n  status {p.returncode}, wanted {case["status"]}\n  stdout {out}\n  wanted {case["out"]}\n  stderr {err}\n  wanted {case["err"]}')
    return False


def fixtures():
    with open('x.raw', 'wb') as f:
        f.truncate(10 << 20)
    for name, size in (('r.raw', 4 << 20), ('r2.raw', 8 << 20)):
        with open(name, 'wb') as f:
            f.truncate(size)
    with open('s.raw', 'wb') as f:
        f.truncate(4 << 20)
        f.seek(4096)
        f.write(b'other')
    with open('junk', 'wb') as f:
        f.write(b'nothing' * 100)
    with open('a.raw', 'wb') as f:
        f.truncate(10 << 20)
        f.write(b'a' * (1 << 20))
        f.seek(2 << 20)
        f.write(b'a' * 65536)
    with open('d.raw', 'wb') as f:
        f.truncate(10 << 20)
        f.write(b'a' * (1 << 20))
        f.seek(2 << 20)
        f.write(b'd' * 65536)
    with open('password', 'w') as f:
        f.write('abc')


def main():
    tool = os.path.abspath(sys.argv[1])
    cases = parse(sys.argv[2])
    failed, held = 0, None
    with tempfile.TemporaryDirectory(prefix='rhea-lines-') as top:
        os.chdir(top)
        os.symlink(tool, 'qemu-img')
        fixtures()
        for case in cases:
            if 'word' in case:
                held = lock(case['word'].split()[1]) if case['word'].startswith('hold') else None
            else:
                failed += not run(case)
        os.chdir('/')
    print(f'{sum("line" in c for c in cases)} lines, {failed} of them otherwise')
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
