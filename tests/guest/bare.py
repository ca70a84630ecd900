# SPDX-License-Identifier: MIT
"""Bare-metal programs: power off, memory order. With RHEA_LONG=1 millions of cells a shape.

RHEA_LITMUS='NAME NAME...' runs these shapes only, RHEA_ROUNDS=N so many times 32768 cells: a long run in pieces on a quiet machine.
"""
import os
import re
import shutil
import subprocess
import sys
import time

from machine import Failure, Machine, Skip, main

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = int(os.environ.get('RHEA_ROUNDS') or (320 if os.environ.get('RHEA_LONG') else 3))


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


def shapes(tmp, cpus, seconds, *flags):
    """Runs the litmus program; yields name, cells, forbidden, seen, rounds in which all threads met."""
    elf = build(tmp, 'litmus', 'start.S', 'litmus.c', flags=flags)
    with Machine('-M', 'virt', '-cpu', 'cortex-a57', '-smp', cpus, '-m', 128, '-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-kernel', elf) as m:
        m.expect('LITMUS DONE', seconds)
        for row in re.findall(r'(\S+) cells=(\d+) forbidden=(\d+) seen=(\d+) met=(\d+)', m.text):
            if int(row[1]):
                print('# {}: {} cells, {} forbidden, {} relaxed seen, threads met in {} rounds'.format(*row), flush=True)
            yield row[0], *map(int, row[1:])
        m.end()


def litmus(tmp):
    """Shapes of two threads have a machine of two processors: idle ones of four would be in their way."""
    seconds, chosen = 7200 if ROUNDS > 100 else 600, os.environ.get('RHEA_LITMUS', '')
    rows = list(shapes(tmp, 2, seconds, f'-DROUNDS={ROUNDS}', f'-DONLY="{chosen}"'))
    larger = ' '.join(name for name, cells, *_ in rows if not cells)
    rows = [r for r in rows if r[1]]
    if larger:
        rows += shapes(tmp, 4, seconds, f'-DROUNDS={ROUNDS}', f'-DONLY="{larger}"')
    bad = [name for name, cells, forbidden, *_ in rows if forbidden or not cells]
    if bad or not rows:
        raise Failure('forbidden outcomes: ' + ', '.join(bad))


def host_cpus(n):
    if len(os.sched_getaffinity(0)) < n:
        raise Skip(f'threads do not meet on fewer than {n} processors of the host')


MET = 300    # rounds in which threads ran side by side: so many without an outcome that comes in nearly each are a failure


def must_come(tmp, names, cpus, what):
    """Each shape shows its outcome, or its threads hardly ever ran at the same time (a loaded host): then nothing is known."""
    host_cpus(cpus)
    idle = []
    for name, _, forbidden, seen, met in shapes(tmp, cpus, 1800, '-DROUNDS=1', '-DUNTIL=400', f'-DONLY="{names}"'):
        if not forbidden + seen:
            if met >= MET:
                raise Failure(f'{name}: {what}')
            idle.append(f'{name} ({met} rounds)')
    if idle:
        raise Skip('threads did not run side by side: ' + ', '.join(idle))


def litmus_control(tmp):
    """Without a fence the relaxed outcomes of SB and R come, or the other runs say nothing."""
    must_come(tmp, 'SB R', 2, 'its relaxed outcome never came')


BROKEN = 'a broken translator does not show'


def mutant_fence(tmp):
    """Run with a program that leaves fences out."""
    must_come(tmp, 'SB+dmbs SB+rel+acq R+dmbs R+rels', 2, BROKEN)


def mutant_swap(tmp):
    """Run with a program that exchanges accesses."""
    must_come(tmp, 'MP+dmbs MP+rel+acq SB+dmbs LB+dmbs LB+acqs 2+2W+dmbs 2+2W+rels S+rel+acq R+dmbs', 2, BROKEN)


def mutant_swap_four(tmp):
    must_come(tmp, 'IRIW+dmbs IRIW+acqs WRC+dmbs WRC+rel+acq', 4, BROKEN)


def pairs(tmp):
    """What FEAT_LSE2 says is one access is never seen in parts."""
    elf = build(tmp, 'pairs', 'start.S', 'pairs.c', flags=[f'-DTURNS={ROUNDS * 100000}'])
    bad = []
    with Machine('-M', 'virt', '-cpu', 'max', '-smp', 2, '-m', 128, '-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-kernel', elf) as m:
        m.expect('PAIRS DONE', 3600 if ROUNDS > 1000 else 600)
        for name, reads, torn in re.findall(r'(\S+) reads=(\d+) torn=(\d+)', m.text):
            print(f'# {name}: {reads} reads, {torn} torn')
            if not int(reads) or (int(torn) and not name.startswith('free')):
                bad.append(name)
        m.end()
    if bad:
        raise Failure('seen in parts: ' + ', '.join(bad))


def disk_reset(tmp):
    """A reset of a disk waits for the host that still reads into the guest's memory, under either kind of time; in counts of instructions at one moment each time."""
    elf, ends = build(tmp, 'disk-reset', 'start.S', 'disk-reset.c'), []
    for more in ([], ['-icount', 'shift=0'], ['-icount', 'shift=0']):
        with Machine('-M', 'virt', '-cpu', 'cortex-a57', '-m', 128, '-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-kernel', elf, *more,
                     '-global', 'virtio-mmio.force-legacy=false', '-blockdev', 'null-co,node-name=d0,size=1M,read-zeroes=on,latency-ns=100000000',
                     '-device', 'virtio-blk-device,drive=d0') as m:
            found = m.expect(r'(CLEAN|DIRTY) (\d+)\n')
            if found.group(1) != 'CLEAN':
                raise Failure('the read came after the reset ' + ' '.join(more))
            if more:
                ends.append(found.group(2))
            m.end()
    if ends[0] != ends[1]:
        raise Failure(f'two runs ended at {ends}')


main([power_off, disk_reset, litmus, pairs, litmus_control, mutant_fence, mutant_swap, mutant_swap_four])
