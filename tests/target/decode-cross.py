#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The A64 decode table against the disassemblers of binutils and LLVM.

Every row with random fields: both sides must agree whether the word is an
instruction and on its mnemonic.  usage: decode-cross.py A64-RANDOM [SEED [PER-ROW]]
Exit status 77: no disassembler is installed.
"""
import re
import shutil
import struct
import subprocess
import sys
import tempfile

# What the others see differently, and why: (tool, our text, their text).
KNOWN = [
    ('.*', r'p?ssbb', r'dsb #(0x0)?[04]'),
    # should-be-one fields of ordered accesses, and equal registers of a load pair: CONSTRAINED UNPREDICTABLE
    ('objdump', r'(ldl?ar|stl?lr)[bh]? .*|(ldpsw|ldn?p) .*', r'-'),
    # aliases that LLVM prints in spite of no-aliases
    ('llvm', r'(mov[nz]|orr) .*', r'mov .*'),
    ('llvm', r'dup [bhsd].*', r'mov [bhsd].*'),
    ('llvm', r'([su])bfm .*', r'[su](bfx|bfiz|xt[bhw]) .*|(lsl|lsr|asr) .*'),
    ('llvm', r'bfm .*', r'(bfi|bfxil|bfc) .*'),
    ('llvm', r'(lsl|lsr|asr|ror)v .*', r'(lsl|lsr|asr|ror) .*'),
    ('llvm', r'b\.(cs|cc) .*', r'b\.(hs|lo) .*'),
    # hints by number
    ('.*', r'(nop|yield|wf[ei]|sevl?|xpaclri|(pac|aut)i[ab](1716|z|sp)|esb|csdb|bti|hint)\b.*', r'(hint #\w+|psb csync|tsb csync|dgh|clearbhb)'),
    # UNPREDICTABLE register choices that binutils marks, or fields that should be ones, are still the instruction
    ('objdump', r'.*', r'.*; note: .*'),
    # System instruction aliases are printed by LLVM and binutils even when none are asked for
    ('.*', r'(sysl?|msr|mrs) .*', r'(at|ic|dc|tlbi|cfp|dvp|cpp|sysl?|msr|mrs|clearbhb|cosp|trcit|brb|gcs\w*)\b.*'),
]


def objdump(words):
    tool = shutil.which('aarch64-linux-gnu-objdump')
    if not tool:
        return None
    with tempfile.NamedTemporaryFile(suffix='.bin') as f:
        f.write(b''.join(struct.pack('<I', w) for w in words))
        f.flush()
        out = subprocess.run([tool, '-D', '-b', 'binary', '-m', 'aarch64', '-M', 'no-aliases', '-z', f.name], capture_output=True, text=True, check=True).stdout
    res = [m[1].replace('\t', ' ') for m in re.finditer(r'^\s*[0-9a-f]+:\t[0-9a-f]{8} \t(.*)$', out, re.M)]
    assert len(res) == len(words), (len(res), len(words))
    return [None if re.match(r'\.inst|\.word|undefined', t) else t for t in res]


def llvm(words):
    tool = next((t for t in map(shutil.which, ('llvm-mc-14', 'llvm-mc')) if t), None)
    if not tool:
        return None
    # `-M no-aliases` wants canonical forms; what LLVM 14 does not know it complains about by line number
    text = '\n'.join(' '.join(f'0x{b:02x}' for b in struct.pack('<I', w)) for w in words)
    p = subprocess.run([tool, '--disassemble', '--triple=aarch64', '--mattr=+v8.7a,+crypto,+sha3,+sm4,+fullfp16,+fp16fml,+rand,+bf16,+i8mm,+crc,+lse,+rdm,+aes,+sha2,+ssbs,+sb,+flagm,+lor,+rcpc-immo,+mte,+tme,+ls64,+sve,+sme', '-M', 'no-aliases'],
                       input=text, capture_output=True, text=True)
    bad = {int(m[1]) - 1 for m in re.finditer(r'^<stdin>:(\d+):\d+: warning: invalid instruction encoding', p.stderr, re.M)}
    lines = iter(x.strip().replace('\t', ' ') for x in p.stdout.splitlines() if x.startswith('\t') and not x.startswith('\t.'))
    res = [None if i in bad else next(lines) for i in range(len(words))]
    assert next(lines, None) is None, 'lines of llvm-mc do not match'
    return res


def known(tool, ours, theirs):
    return any(re.fullmatch(t, tool) and re.fullmatch(a, ours) and re.fullmatch(b, theirs or '-') for t, a, b in KNOWN)


def mnemonic(text):
    return text.split()[0] if text else None


def main():
    rnd, seed, per_row = sys.argv[1], (sys.argv[2:3] or ['1'])[0], (sys.argv[3:4] or ['8'])[0]
    rows = [ln.split(' ', 4) for ln in subprocess.run([rnd, seed, per_row], capture_output=True, text=True, check=True).stdout.splitlines()]
    words = [int(r[0], 16) for r in rows]
    ran = bad = 0
    shown = set()
    for name, fn in (('objdump', objdump), ('llvm', llvm)):
        theirs = fn(words)
        if theirs is None:
            print(f'{name}: not installed')
            continue
        ran += 1
        for (word, _, trans, ok, text), t in zip(rows, theirs):
            ours = text if ok == '1' else None
            if mnemonic(ours) == mnemonic(t) or known(name, ours or '-', t):
                continue
            bad += 1
            if (name, trans) not in shown:
                shown.add((name, trans))
                print(f'{word} {trans}: ours "{ours}" {name} "{t}"')
    if not ran:
        sys.exit(77)
    print(f'{len(words)} instructions, {ran} disassemblers, {bad} differences')
    sys.exit(bad > 0)


main()
