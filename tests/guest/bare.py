# SPDX-License-Identifier: MIT
"""Bare-metal programs: power off, memory order. Argument `long` means millions of cells per shape."""
import os
import re
import shutil
import subprocess
import sys
import time

from machine import Failure, Machine, Skip, main

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = 2500 if os.environ.get('RHEA_LONG') else 20


def build(tmp, name, *sources, flags=()):
    cc = shutil.which('aarch64-linux-gnu-gcc')
    if not cc:
        raise Skip('no aarch64-linux-gnu-gcc')
    out = f'{tmp}/{name}.elf'
    subprocess.run([cc, '-O2', '-ffreestanding', '-nostdlib', '-static', '-mgeneral-regs-only', '-march=armv8-a', '-mno-outline-atomics', '-I', os.path.dirname(os.path.dirname(HERE)),
                    '-Wl,-T,' + HERE + '/bare/bare.ld', '-Wl,--build-id=none', '-Wl,--no-warn-rwx-segments', *flags, '-o', out,
                    *[f'{HERE}/bare/{s}' for s in sources]], check=True)
    return out


def power_off(tmp):
    """Two instructions, from start to exit."""
    elf = f'{tmp}/off.elf'
    cc = shutil.which('aarch64-linux-gnu-gcc')
    if not cc:
        raise Skip('no aarch64-linux-gnu-gcc')
    subprocess.run([cc, '-nostdlib', '-static', '-Wl,-Ttext=0x40200000', '-Wl,--build-id=none', '-x', 'assembler', '-o', elf, '-'],
                   input=b'.globl _start\n_start: ldr x0, =0x84000008\n hvc #0\n', check=True)
    with Machine('-M', 'virt', '-cpu', 'cortex-a57', '-display', 'none', '-serial', 'none', '-monitor', 'none', '-kernel', elf) as m:
        start = time.monotonic()
        status = m.end(20)
        if status:
            raise Failure(f'status {status}: {m.text}')
        print(f'# {1000 * (time.monotonic() - start):.0f} ms')


def litmus(tmp):
    elf = build(tmp, 'litmus', 'start.S', 'litmus.c', flags=[f'-DROUNDS={ROUNDS}'])
    bad = []
    with Machine('-M', 'virt', '-cpu', 'cortex-a57', '-smp', 4, '-m', 128, '-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-kernel', elf) as m:
        m.expect('LITMUS DONE', 3600 if ROUNDS > 1000 else 120)
        for name, cells, forbidden, seen in re.findall(r'(\S+) cells=(\d+) forbidden=(\d+) seen=(\d+)', m.text):
            print(f'# {name}: {cells} cells, {forbidden} forbidden, {seen} relaxed seen')
            if int(forbidden) or not int(cells):
                bad.append(name)
            if name == 'SB' and not int(seen) and ROUNDS > 1000:
                bad.append('SB (its relaxed outcome never came: the threads did not meet)')
        m.end()
    if bad:
        raise Failure('forbidden outcomes: ' + ', '.join(bad))


def pairs(tmp):
    """What FEAT_LSE2 says is one access is never seen in parts."""
    elf = build(tmp, 'pairs', 'start.S', 'pairs.c', flags=[f'-DTURNS={ROUNDS * 100000}'])
    bad = []
    with Machine('-M', 'virt', '-cpu', 'max', '-smp', 2, '-m', 128, '-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-kernel', elf) as m:
        m.expect('PAIRS DONE', 3600 if ROUNDS > 1000 else 120)
        for name, reads, torn in re.findall(r'(\S+) reads=(\d+) torn=(\d+)', m.text):
            print(f'# {name}: {reads} reads, {torn} torn')
            if not int(reads) or (int(torn) and not name.startswith('free')):
                bad.append(name)
        m.end()
    if bad:
        raise Failure('seen in parts: ' + ', '.join(bad))


main([power_off, litmus, pairs])
