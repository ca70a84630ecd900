#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The RV64 decode table against the disassembler of binutils.

Every row with random fields: both must agree whether the word is an instruction, and on its text.
usage: decode-cross.py RV-RANDOM [SEED [PER-ROW]]      Exit status 77: the disassembler is not installed.
"""
import re
import shutil
import struct
import subprocess
import sys
import tempfile

# What the other sees differently, and why: (our text, its text).
KNOWN = [
    # newer than binutils 2.40
    (r'(czero\.|wrs\.|cbo\.).*', r'.*'),
    # reserved: the manual says that rm 5 and 6 are illegal, a fence with reserved fields is a fence
    (r'fence .*|fence\.i', r'.*'),
    # CSRs that we do not have have names there, and immediates of compressed upper ones are printed signed or not
    (r'csr.*', r'csr.*'),
    (r'\.(half|word) .*', r'(c\.unimp|unimp|nop|c\.nop|c\.lui.*|c\.addi.*|c\.slli.*|c\.srli.*|c\.srai.*|c\.li.*|c\.mv.*|c\.add.*|fence.*|.*unknown.*|c\.lwsp.*|c\.ldsp.*|c\.jr.*)'),
    # hints
    (r'c\.(addi|li|lui|mv|add|slli|addi16sp|srli|srai|slli).*', r'c\.(addi|nop|li|lui|mv|add|slli|slli64|addi16sp|srli64|srai64).*|c\.nop'),
    # conversions that are exact: any mode will do, binutils knows one
    (r'fcvt\.d\.(s|wu?) .*, (rtz|rdn|rup|rmm|dyn)', r'\.4byte.*'),
]


def plain(t):
    """Operands separated by commas alone; addresses without names."""
    t = re.sub(r'\s*<[^>]*>', '', t.split('#')[0])
    t = re.sub(r'\s+', ' ', t.strip())
    t = re.sub(r', ', ',', t)
    return re.sub(r'\b0x([0-9a-f]+)', lambda m: str(int(m[1], 16)), t)


def objdump(words):
    """An object file says which extensions there are; without symbols nothing in it is data."""
    with tempfile.TemporaryDirectory() as tmp:
        with open(tmp + '/w.s', 'w', encoding='utf-8') as f:
            f.write('.option norelax\n')
            for w in words:     # 32 bytes apart, so that nothing runs into the next
                f.write(f'.balign 32\n.4byte {w}\n' if w & 3 == 3 else f'.balign 32\n.2byte {w}\n')
        subprocess.run(['riscv64-linux-gnu-as', '-march=rv64gc_zba_zbb_zbc_zbs_zicbom_zicboz_zawrs_svinval', '-o', 'w.o', 'w.s'], cwd=tmp, check=True)
        subprocess.run(['riscv64-linux-gnu-objcopy', '--strip-all', 'w.o'], cwd=tmp, check=True)
        out = subprocess.run(['riscv64-linux-gnu-objdump', '-D', '-z', '-j', '.text', '-M', 'no-aliases', 'w.o'], cwd=tmp, capture_output=True, text=True, check=True).stdout
    res = {}
    for m in re.finditer(r'^\s*([0-9a-f]+):\t[0-9a-f ]+\t(.*)$', out, re.M):
        at = int(m[1], 16)
        if at % 32 == 0:
            res[at // 32] = (at, m[2])
    return [res[i] for i in range(len(words))]


def branch(text, at):
    """Targets are absolute there, relative to 0 here."""
    m = re.match(r'((?:c\.)?(?:j|jal|beq|bne|blt|bge|bltu|bgeu|beqz|bnez)\b.*[ ,])(0x[0-9a-f]+|[0-9a-f]+)$', text)
    return f'{m[1]}{(int(m[2], 16) - at) & 0xffffffffffffffff}' if m else text


def main():
    if not shutil.which('riscv64-linux-gnu-objdump'):
        print('skipped: riscv64-linux-gnu-objdump is not installed (binutils-riscv64-linux-gnu)')
        sys.exit(77)
    rows = [ln.split(' ', 4) for ln in subprocess.run([sys.argv[1]] + (sys.argv[2:4] or ['1', '8']), capture_output=True, text=True, check=True).stdout.splitlines()]
    bad = 0
    for (word, _, _, valid, ours), (at, theirs) in zip(rows, objdump([int(r[0], 16) for r in rows])):
        a, b = plain(branch(ours, 0)), plain(branch(re.sub(r'\s*<.*', '', theirs).replace('\t', ' '), at))
        unknown = bool(re.match(r'\.(word|half|short|2byte|4byte|insn)|0x|unimp|c\.unimp', theirs)) or 'unknown' in theirs
        same = (unknown and valid == '0') or (valid == '1' and a == b)
        if not same and not any(re.fullmatch(x, ours) and re.fullmatch(y, theirs.replace('\t', ' ')) for x, y in KNOWN):
            print(f'{word}: ours "{ours}", binutils "{theirs}"')
            bad += 1
    print(f'{len(rows)} words, {bad} differences')
    sys.exit(bad > 0)


main()
