#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random RV64 instructions in machine mode, ours against the newest packaged system emulator.

usage: lockstep.py RHEA-SYSTEM-RISCV64 RV-RANDOM PEER [--host H,H] [--seed N] [--cases N] [--insns N] [--row PREFIX] [--rounds N] [--cpu MODEL] [--without ROW,ROW]
PEER is scripts/peer.  Both emulators run the same program on their `virt` board: it loads the registers of a case, runs
its instructions, and writes what registers, fcsr and trap (cause, value, offset) are then to the serial port.  An instruction that
traps ends its case.  Exit status 77: the assembler or the peer is missing.
"""
import argparse
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

XS, FS, IN, CODE, OUT = 32, 32, 520, 64, 584
NAMES = [f'x{i}' for i in range(32)] + [f'f{i}' for i in range(32)] + ['fcsr', 'sscratch', 'sepc', 'scause', 'stval', 'mcause', 'mtval', 'mepc-offset', 'scratch']
MEMORY = {'lb', 'lh', 'lw', 'ld', 'lbu', 'lhu', 'lwu', 'sb', 'sh', 'sw', 'sd', 'flw', 'fld', 'fsw', 'fsd', 'cbo_inval', 'cbo_clean', 'cbo_flush', 'cbo_zero'}
# control flow, waits, and reservations have programs of their own; auipc would show where the program lies, which is the same in both
SKIP = {'jal', 'jalr', 'beq', 'bne', 'blt', 'bge', 'bltu', 'bgeu', 'mret', 'sret', 'wfi', 'wrs', 'sfence_vma', 'sinval_vma', 'sfence_w_inval', 'sfence_inval_ir',
        'lr_w', 'lr_d', 'sc_w', 'sc_d'}
CSRS = [1, 2, 3, 0x140, 0x141, 0x142, 0x143]
BASES = (2, 9, 27)      # sp, s1, s11: point into scratch memory

def program(cases):
    load_f = '\n'.join(f'        fld     f{i}, {256 + 8 * i}(a0)' for i in range(32))
    # x30 and x31 last: one is the base, the other is needed for the jump
    load_x = '\n'.join(f'        ld      x{i}, {8 * i}(x31)' for i in range(1, 31))
    store_x = '\n'.join(f'        sd      x{i}, {8 * i}(x31)' for i in range(0, 31))
    store_f = '\n'.join(f'        fsd     f{i}, {256 + 8 * i}(x31)' for i in range(32))
    csrs = '\n'.join(f'        csrr    t0, {name}\n        sd      t0, {512 + 8 * i}(x31)'
                     for i, name in enumerate(['fcsr', 'sscratch', 'sepc', 'scause', 'stval', 'mcause', 'mtval']))
    return f'''
        .option norelax
        .globl _start
_start: la      t0, trap
        csrw    mtvec, t0
        li      t0, 0x6000
        csrs    mstatus, t0
        la      s0, states
        la      s1, code
        li      s2, {cases}
1:      la      t0, scratch             # the same memory for each case
        li      t1, 512
2:      sd      t1, (t0)
        addi    t0, t0, 8
        addi    t1, t1, -1
        bnez    t1, 2b
        csrw    sscratch, zero
        csrw    sepc, zero
        csrw    scause, zero
        csrw    stval, zero
        csrw    mcause, zero
        csrw    mtval, zero
        csrw    mepc, s1
        la      t0, save
        sd      s0, (t0)
        sd      s1, 8(t0)
        sd      s2, 16(t0)
        ld      t0, 512(s0)
        csrw    fcsr, t0
        mv      a0, s0
{load_f}
        csrw    mepc, s1
        li      t0, 0x1800
        csrs    mstatus, t0
        mv      x31, s0
{load_x}
        ld      x31, 248(x31)
        fence.i
        mret                            # to the case, in machine mode

        .balign 4
trap:   csrw    mscratch, x31
        la      x31, out
{store_x}
        csrr    t0, mscratch
        sd      t0, 248(x31)
{store_f}
{csrs}
        la      t0, save
        ld      s0, (t0)
        ld      s1, 8(t0)
        ld      s2, 16(t0)
        csrr    t1, mepc
        sub     t1, t1, s1
        sd      t1, 568(x31)
        la      t0, scratch             # a sum of the memory
        li      t1, 512
        li      t2, 0
3:      ld      t3, (t0)
        slli    t4, t2, 7
        srli    t2, t2, 57
        or      t2, t2, t4
        xor     t2, t2, t3
        addi    t0, t0, 8
        addi    t1, t1, -1
        bnez    t1, 3b
        sd      t2, 576(x31)
        li      t0, 0x10000000
        li      t1, {OUT}
4:      lbu     t3, 5(t0)
        andi    t3, t3, 0x20
        beqz    t3, 4b
        lbu     t3, (x31)
        sb      t3, (t0)
        addi    x31, x31, 1
        addi    t1, t1, -1
        bnez    t1, 4b
        li      t0, {IN}
        add     s0, s0, t0
        addi    s1, s1, {CODE}
        addi    s2, s2, -1
        bnez    s2, 1b
        li      t0, 0x100000
        li      t1, 0x5555
        sw      t1, (t0)
5:      j       5b

        .balign 4096
code:   .incbin "code.bin"
        .balign 16
states: .incbin "states.bin"
        .balign 16
save:   .skip 32
out:    .skip 640
        .balign 4096
scratch: .skip 4096
'''


def value(r):
    k = r.randrange(8)
    if k == 0:
        return r.choice([0, 1, 2, 2**63, 2**63 - 1, 2**64 - 1, 2**31, 2**32 - 1, 2**31 - 1, 2**64 - 2**31, 63, 64])
    if k < 3:
        return r.getrandbits(64) >> r.randrange(64)
    return r.getrandbits(64)


SPECIAL_D = [0, 1 << 63, 0x7ff << 52, 0xfff << 52, 0x7ff8 << 48, 0x7ff0000000000001, 0xfff8000000000001, 1, (1 << 52) - 1, 1 << 52, 0x3ff << 52, 0xbff << 52,
             0x7fefffffffffffff, 0x43e0000000000000, 0xc3e0000000000000, 0x41e0000000000000, 0x3fe0000000000000, 0x4340000000000001, 0x36a0000000000000]
SPECIAL_S = [0, 1 << 31, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffc00001, 1, 0x7fffff, 0x800000, 0x3f800000, 0xbf800000, 0x7f7fffff, 0x5f000000, 0xdf000000,
             0x4f000000, 0x3f000000, 0x4b000001]


def fvalue(r):
    k = r.randrange(8)
    if k < 2:
        return r.choice(SPECIAL_D)
    if k < 4:
        return 0xffffffff << 32 | r.choice(SPECIAL_S)
    if k < 5:
        return (0x3ff + r.randrange(-70, 70)) << 52 | r.getrandbits(52) | r.getrandbits(1) << 63
    if k < 7:
        return 0xffffffff << 32 | (127 + r.randrange(-30, 30)) << 23 | r.getrandbits(23) | r.getrandbits(1) << 31
    return r.getrandbits(64)


def usable(word, name):
    """The instruction with its address register made one of ours; None: it would destroy one, or is not for us."""
    if name in SKIP:
        return None
    if word & 3 == 3:
        if name in MEMORY or name.startswith('amo'):
            word = word & ~(31 << 15) | 27 << 15
        if name.startswith('csr'):
            word = word & 0xfffff | random.choice(CSRS) << 20
        rd_is_x = not name.startswith('f') or name in ('feq', 'flt', 'fle', 'fcvt_int', 'fmv_x', 'fclass', 'fence', 'fence_i')
        return None if rd_is_x and (word >> 7 & 31) in BASES else word
    quadrant, funct = word & 3, word >> 13
    if quadrant == 0:
        if funct and name in MEMORY:
            word = word & ~(7 << 7) | 1 << 7
        return None if (word >> 2 & 7) == 1 and name not in ('fld', 'fsd', 'sw', 'sd') else word
    if quadrant == 1 and funct >= 4:
        return None if (word >> 7 & 7) == 1 else word
    if quadrant == 2 and name in ('sw', 'sd', 'fsd', 'fld', 'ebreak'):
        return word
    return None if (word >> 7 & 31) in BASES else word


def make_cases(o, seed):
    n = max(2, o.cases // 60)
    lines = subprocess.run([o.random, str(seed), str(n)], capture_output=True, text=True, check=True).stdout.splitlines()
    random.seed(seed)
    pool = {}
    for ln in lines:
        word, row, name, valid, _ = ln.split(' ', 4)
        if valid == '1' and (not o.row or name.startswith(o.row)) and not (o.without and name.startswith(tuple(o.without.split(',')))):
            w = usable(int(word, 16), name)
            if w is not None:
                pool.setdefault(row, []).append(w)
    rows, words = list(pool), []
    for i in range(o.cases):
        case = []
        for k in range(o.insns):
            row = rows[(i + k * 7 + seed) % len(rows)] if k == 0 else random.choice(rows)
            case.append(random.choice(pool[row]))
        words.append(case)
    return words


def write_files(o, seed, tmp, base):
    code, states = bytearray(), bytearray()
    words = make_cases(o, seed)
    for case in words:
        b = b''.join(struct.pack('<I', w)[:4 if w & 3 == 3 else 2] for w in case)
        code += (b + b'\x02\x90' * ((CODE - len(b)) // 2))[:CODE]         # c.ebreak
        x = [value(random) for _ in range(32)]
        x[0] = 0
        for r in BASES:
            x[r] = base + 2048
        frm = random.choice([0, 0, 0, 1, 2, 3, 4, random.randrange(8)])
        states += struct.pack('<65Q', *x, *(fvalue(random) for _ in range(32)), frm << 5 | random.choice([0, 0, random.getrandbits(5)]))
    open(os.path.join(tmp, 'code.bin'), 'wb').write(code)
    open(os.path.join(tmp, 'states.bin'), 'wb').write(states)
    return words, states


def assemble(o, seed, tmp):
    """Twice: the states have the address of the scratch memory in them."""
    open(os.path.join(tmp, 'p.S'), 'w', encoding='utf-8').write(program(o.cases))
    base = 0
    for _ in range(2):
        words, states = write_files(o, seed, tmp, base)
        subprocess.run(['riscv64-linux-gnu-as', '-march=rv64gc_zicsr_zifencei', '-o', 'p.o', 'p.S'], cwd=tmp, check=True)
        subprocess.run(['riscv64-linux-gnu-ld', '-Ttext=0x80000000', '--no-relax', '-o', 'p.elf', 'p.o'], cwd=tmp, check=True)
        syms = subprocess.run(['riscv64-linux-gnu-nm', 'p.elf'], cwd=tmp, capture_output=True, text=True, check=True).stdout
        base = int(next(ln.split()[0] for ln in syms.splitlines() if ln.endswith(' scratch')), 16)
    return words, states


def run(argv, tmp, name):
    out, start = os.path.join(tmp, name), time.monotonic()
    p = subprocess.run(argv + ['-M', 'virt', '-m', '128', '-display', 'none', '-monitor', 'none', '-bios', 'none', '-kernel', os.path.join(tmp, 'p.elf'),
                               '-serial', 'file:' + out], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    if p.returncode:
        sys.stderr.write(p.stderr[:2000])
    if os.environ.get('SHOW_TIME'):
        print(name, time.monotonic() - start, flush=True)
    return open(out, 'rb').read()


def text_of(w, tmp):
    path = os.path.join(tmp, 'w.bin')
    open(path, 'wb').write(struct.pack('<I', w)[:4 if w & 3 == 3 else 2])
    out = subprocess.run(['riscv64-linux-gnu-objdump', '-D', '-b', 'binary', '-m', 'riscv:rv64', '-M', 'no-aliases', path], capture_output=True, text=True).stdout
    return out.splitlines()[-1].split('\t', 2)[-1].replace('\t', ' ')


def same_terms(out):
    """mtval of a breakpoint may be 0 or its address: volume II, 3.1.16.  Bit 0 of sepc is 0, but old peers keep it."""
    out = bytearray(out)
    for at in range(0, len(out) - OUT + 1, OUT):
        out[at + 8 * 66] &= 0xfe
        if struct.unpack_from('<Q', out, at + 8 * 69)[0] == 3:
            out[at + 8 * 70:at + 8 * 71] = bytes(8)
    return bytes(out)


def compare(words, states, ours, theirs, tmp, limit):
    bad = 0
    ours, theirs = same_terms(ours), same_terms(theirs)
    for i, case in enumerate(words):
        a, b = ours[OUT * i:OUT * (i + 1)], theirs[OUT * i:OUT * (i + 1)]
        if a == b and len(a) == OUT:
            continue
        bad += 1
        if bad > limit or len(a) != OUT or len(b) != OUT:
            continue
        before = struct.unpack_from('<65Q', states, IN * i)
        print(f'case {i}: fcsr={before[64]:x}')
        for w in case:
            print(f'    {w:08x} {text_of(w, tmp)}')
        va, vb = struct.unpack('<73Q', a), struct.unpack('<73Q', b)
        for k, name in enumerate(NAMES):
            if va[k] != vb[k]:
                print(f'  {name}: {before[k] if k < 65 else 0:016x} -> ours {va[k]:016x} peer {vb[k]:016x}')
        if len(case) == 1:
            w = case[0]
            for r in sorted({w >> 15 & 31, w >> 20 & 31, w >> 27 & 31}):
                print(f'  in x{r}={before[r]:016x} f{r}={before[32 + r]:016x}')
    return bad


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('rhea'), ap.add_argument('random'), ap.add_argument('peer')
    ap.add_argument('--host', default='x86_64'), ap.add_argument('--seed', type=int, default=1), ap.add_argument('--cases', type=int, default=2000)
    ap.add_argument('--insns', type=int, default=1), ap.add_argument('--row'), ap.add_argument('--rounds', type=int, default=1), ap.add_argument('--limit', type=int, default=10)
    ap.add_argument('--cpu', default='max', help='model, of both'), ap.add_argument('--without', default='', help='names of rows to leave out, by their beginnings, with commas')
    o = ap.parse_args()
    peer = subprocess.run([sys.executable, o.peer, 'path', 'qemu-system-riscv64'], capture_output=True, text=True)
    if peer.returncode or not shutil.which('riscv64-linux-gnu-as'):
        print('skipped: no assembler (binutils-riscv64-linux-gnu), or no peer (scripts/peer fetch riscv)')
        sys.exit(77)
    bad = 0
    for seed in range(o.seed, o.seed + o.rounds):
        with tempfile.TemporaryDirectory() as tmp:
            words, states = assemble(o, seed, tmp)
            theirs = run([peer.stdout.strip(), '-cpu', o.cpu], tmp, 'theirs')
            for host in o.host.split(','):
                ours = run([o.rhea, '-cpu', o.cpu, '-accel', f'tcg,host={host}'], tmp, host)
                if len(ours) != OUT * o.cases or len(theirs) != OUT * o.cases:
                    print(f'seed {seed}, {host}: {len(ours)} bytes, the peer {len(theirs)}, and {OUT * o.cases} are wanted')
                    bad += 1
                n = compare(words, states, ours, theirs, tmp, o.limit)
                if n:
                    print(f'seed {seed}, {host}: {n} differences', flush=True)
                bad += n
    print(f'{o.cases * o.rounds} cases of {o.insns}, {bad} differences ({o.host})')
    sys.exit(bad > 0)


main()
