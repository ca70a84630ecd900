#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A change of emitted code is reviewed like source: guest blocks and the host instructions they become.

usage: codegen.py [--bless] CODEGEN-DUMP FILE...

A file has cases:

    == what is shown
    features avx avx2 bmi fma        # of the host; the code is only looked at, so this host need not have them
    a64                              # or `ir`: a block in the text form of docs/ir.md
        f9400020 ldr x0, [x1]
    =>
        mov rcx,rsi
        ...
    cold                             # optional: what is out of line
        ...

Expected text is what objdump prints (Intel syntax), with the slots and fields of TcgEnv by name, jump targets as `hot+N`, `cold` (some
place in cold code) or `thunk`, and data behind the block as `data`.  --bless writes what is emitted now into the files.
Exit status 77: objdump is not installed, or it knows no x86-64.
"""
import re
import shutil
import subprocess
import sys
import tempfile


def cases(path):
    """[(lines before the expectation, expected hot, expected cold or None)], and the head of the file."""
    head, out, part = [], [], None
    with open(path, encoding='utf-8') as f:
        for line in f.read().splitlines():
            if line.startswith('== '):
                out.append({'name': line[3:], 'text': [line], 'hot': [], 'cold': None, 'input': []})
                part = 'input'
            elif not out:
                head.append(line)
            elif line == '=>':
                part = 'hot'
            elif line == 'cold' and part == 'hot':
                part, out[-1]['cold'] = 'cold', []
            elif part == 'input':
                out[-1]['text'].append(line)
                out[-1]['input'].append(line)
            elif line.strip():
                out[-1][part].append(line.strip())
    return head, out


def names(dump):
    rows = [line.split() for line in subprocess.run([dump, 'names'], check=True, capture_output=True, text=True).stdout.splitlines()]
    return [(int(at), int(size), name) for at, size, name in rows]


def named(disp, table):
    for at, size, name in table:
        if at <= disp < at + size:
            return name + (f'+{disp - at}' if disp != at else '')
    return None


def disassemble(data, at):
    if not data:
        return []
    with tempfile.NamedTemporaryFile() as f:
        f.write(data)
        f.flush()
        p = subprocess.run(['objdump', '-D', '-z', '-b', 'binary', '-m', 'i386:x86-64', '-M', 'intel', '--no-show-raw-insn', f'--adjust-vma={at:#x}', f.name],
                           capture_output=True, text=True)
    if p.returncode:
        print('skipped: objdump knows no x86-64')
        sys.exit(77)
    return [m.groups() for m in re.finditer(r'^\s*([0-9a-f]+):\s+(.*)$', p.stdout, re.M)]


def readable(text, hot, cold, table):
    """One instruction, with nothing in it that depends on addresses."""
    def place(value):
        if hot[0] <= value < hot[0] + hot[1]:
            return f'hot+{value - hot[0]}'
        return 'cold' if cold[0] <= value < cold[0] + cold[1] else None

    text = re.sub(r'\s+', ' ', re.sub(r'\s*#.*', '', text)).strip()
    text = re.sub(r'\b(BYTE|WORD|DWORD|QWORD|XMMWORD|YMMWORD) PTR ', lambda m: {'BYTE': 'b', 'WORD': 'w', 'DWORD': 'd', 'QWORD': 'q', 'XMMWORD': 'x', 'YMMWORD': 'y'}[m[1]], text)
    m = re.match(r'(j\w+|call) 0x([0-9a-f]+)$', text)
    if m:
        return f'{m[1]} {place(int(m[2], 16)) or "thunk"}'
    text = re.sub(r'\[rip\+0x[0-9a-f]+\]', '[data]', text)
    text = re.sub(r'0x[0-9a-f]{10,}', lambda m: 'address' if text.startswith('movabs') and 'call' not in text and int(m[0], 16) >> 40 in (0x55, 0x56, 0x7f) else m[0], text)

    def env(m):
        disp = int(m[1], 16)
        name = named(disp, table)
        return f'[{name}]' if name else m[0]
    return re.sub(r'\[rbp([+-]0x[0-9a-f]+)\]', env, text)


def emitted(dump, case, table):
    want = {'features': []}
    words, ir = [], None
    for line in case['input']:
        line = line.split('#')[0] if ir is None else line
        if line.startswith('features'):
            want['features'] = line.split()[1:]
        elif line.strip() == 'ir':
            ir = []
        elif ir is not None:
            ir.append(line)
        elif line.startswith(' '):
            words.append(line.split()[0])
    args = [dump, ','.join(want['features']) or 'none'] + (['ir'] if ir is not None else ['a64'] + words)
    text = subprocess.run(args, check=True, input='\n'.join(ir or []) + '\n', stdout=subprocess.PIPE, text=True).stdout
    at, code = {}, {}
    for m in re.finditer(r'^(hot|cold) 0x([0-9a-f]+) (\d+) bytes\n((?:[0-9a-f ]+\n)*)', text, re.M):
        at[m[1]] = (int(m[2], 16), int(m[3]))
        code[m[1]] = bytes.fromhex(m[4].replace('\n', ' '))
    return {k: [readable(t, at['hot'], at['cold'], table) for _, t in disassemble(code[k], at[k][0])] for k in ('hot', 'cold')}


def write(path, head, out):
    with open(path, 'w', encoding='utf-8') as f:
        f.write('\n'.join(head) + '\n')
        for c in out:
            f.write('\n'.join(c['text']) + '\n=>\n' + ''.join(f'    {t}\n' for t in c['hot']))
            if c['cold'] is not None:
                f.write('cold\n' + ''.join(f'    {t}\n' for t in c['cold']))
            f.write('\n')


def main():
    args = sys.argv[1:]
    bless = args[:1] == ['--bless']
    dump, files = args[bless], args[bless + 1:]
    if not shutil.which('objdump'):
        print('skipped: objdump is not installed')
        sys.exit(77)
    table, bad, n = names(dump), 0, 0
    for path in files:
        head, out = cases(path)
        for c in out:
            now = emitted(dump, c, table)
            n += 1
            for part in ('hot', 'cold'):
                if c[part] is not None and c[part] != now[part] and not bless:
                    bad += 1
                    print(f'{path}: {c["name"]}: {part} code is not what is expected; now:\n' + ''.join(f'    {t}\n' for t in now[part]))
                if c[part] is not None:
                    c[part] = now[part]
        if bless:
            write(path, head, out)
    print(f'{n} cases, {bad} differ')
    sys.exit(bad > 0)


main()
