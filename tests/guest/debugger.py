# SPDX-License-Identifier: MIT
"""gdb with symbols: a program of ours whose return addresses are signed, and a Debian kernel on four processors.

kernel: breakpoint, backtrace, watchpoint, a thousand steps, and the guest lives on. Its symbols are a guest of
their own (scripts/guest fetch linux-arm64-cloud-dbg, a large package). kernel_signed: the same with -cpu max, where the kernel
signs its return addresses; that takes a gdb from 14 on (scripts/peer fetch gdb), since older ones know no codes in upper addresses.
"""
import os
import re
import shutil
import subprocess
import sys
import time

from machine import PATIENCE, ROOT, Failure, Machine, Skip, guest, linux, listening, main, same

# what gdb is told, and what its answer must show
SCRIPT = [
    ('break start_kernel', r'Breakpoint 1 at 0xffff'),
    ('continue', r'Breakpoint 1(\.\d)?, (\S+ in )?start_kernel'),
    ('backtrace 3', r'#0 .*start_kernel'),
    ('info threads', r'Thread 1\.4 \(CPU#3 \[(halted|off)'),
    ('delete', None),
    ('watch system_state', r'[Ww]atchpoint 2: system_state'),
    ('continue', r'Old value = SYSTEM_BOOTING\nNew value = SYSTEM_SCHEDULING'),
    ('backtrace', r'rest_init'),
    ('continue', r'Old value = SYSTEM_SCHEDULING\nNew value = SYSTEM_FREEING_INITMEM'),
    ('continue', r'Old value = SYSTEM_FREEING_INITMEM\nNew value = SYSTEM_RUNNING'),
    ('delete', None),
    ('break do_execveat_common', r'Breakpoint 3 at'),
    ('continue', r'hit Breakpoint 3, (\S+ in )?do_execveat_common'),
    ('backtrace', r'#\d+ .*(ret_from_fork|el0t_64_sync)'),
    ('print nr_cpu_ids', r'= 4'),
    ('print linux_banner', r'Linux version 6\.'),
    ('info threads', r'Thread 1\.4 \(CPU#3 '),
    ('delete', None),
    ('printf "BEFORE %#lx\\n", $pc', r'BEFORE 0xffff'),
    ('stepi 1000', r'0x|\d+\t'),
    ('printf "AFTER %#lx\\n", $pc', r'AFTER 0x'),
    ('info symbol $pc', r'in section \.text'),
    ('monitor info status', r'VM status: paused \(debug\)'),
    ('detach', r'Inferior 1.* detached'),
]


# a program of four frames; main's caller is not known
PROGRAM = [
    ('break innermost', r'Breakpoint 1 at 0x'),
    ('continue', r'Breakpoint 1, innermost \('),
    ('backtrace', r'#0  innermost .*\n#1  \S+ in middle .*\n#2  \S+ \[PAC\] in outer .*\n#3  \S+ \[PAC\] in main '),
    ('printf "MASK %#lx\\n", $pauth_cmask', r'MASK 0xff7fff8000000000'),   # 39 bits of address, no tags
    ('finish', r'Value returned is \S+ = 42'),
    ('watch depth', r'[Ww]atchpoint 2: depth'),
    ('continue', r'Old value = 2\s+New value = 1'),
    ('up', r'#1 .* in outer '),
    ('print n', r'= (40|<optimized out>)'),
    ('delete', None),
    ('stepi 3', None),
    ('continue', r'Inferior 1 \(process 1\) exited normally'),
]


def program(tmp):
    """The calls of a program with signed return addresses are found, and its end is told."""
    gdb, elf = debugger(), f'{tmp}/frames.elf'
    bare = os.path.join(ROOT, 'tests/guest/bare')
    cc = shutil.which('aarch64-linux-gnu-gcc')
    if not cc:
        raise Skip('no aarch64-linux-gnu-gcc')
    subprocess.run([cc, '-g', '-O1', '-fno-omit-frame-pointer', '-mbranch-protection=pac-ret', '-fasynchronous-unwind-tables', '-ffreestanding', '-nostdlib', '-static',
                    '-mgeneral-regs-only', '-march=armv8.3-a', '-I', ROOT, f'-Wl,-T,{bare}/bare.ld', '-Wl,--build-id=none', '-Wl,--no-warn-rwx-segments',
                    '-o', elf, bare + '/start.S', bare + '/frames.c'], check=True)
    with Machine('-M', 'virt', '-cpu', 'max', '-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-kernel', elf, '-S', '-gdb', f'unix:{tmp}/gdb.sock,server=on,wait=off') as m:
        talk(tmp, m, gdb, elf, PROGRAM)
        m.expect(r'^44$')
        same('status', m.end(), 0)


def debugger():
    gdb = shutil.which('gdb-multiarch')
    if not gdb:
        raise Skip('no gdb-multiarch')
    return gdb


def talk(tmp, m, gdb, symbols, script):
    """Says the lines of a script to gdb and looks at what it answered to each."""
    path = tmp + '/gdb.sock'
    end = time.monotonic() + PATIENCE
    listening(m, path)
    argv = [gdb, '-q', '-nx', '-batch', '-iex', 'set auto-load off', '-ex', 'set confirm off', '-ex', 'set pagination off', '-ex', f'set remotetimeout {PATIENCE}',
            '-ex', f'target remote {path}']
    for i, (line, _) in enumerate(script):
        argv += ['-ex', f'echo \\n<{i}>\\n', '-ex', line]
    with open(tmp + '/gdb.out', 'wb') as out:
        run = subprocess.Popen(argv + [symbols], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        while run.poll() is None:
            m.pump(0.1)
            if time.monotonic() > end + PATIENCE:
                run.kill()
    with open(tmp + '/gdb.out', encoding='utf-8', errors='replace') as f:
        text = f.read()
    said = re.split(r'\n<\d+>\n', text)[1:]
    for i, (line, want) in enumerate(script):
        if want and not (i < len(said) and re.search(want, said[i])):
            raise Failure(f'after {line!r} no {want!r} in gdb\'s words:\n{text[-6000:]}')
    same('status of gdb', run.returncode, 0)


def kernel(tmp, gdb=None, cpu='cortex-a57'):
    gdb, symbols = gdb or debugger(), guest('linux-arm64-cloud-dbg') + '/vmlinux'
    release = {}
    for name in ('linux-arm64-cloud', 'linux-arm64-cloud-dbg'):
        with open(guest(name) + '/VERSION', encoding='utf-8') as f:
            release[name] = re.search(r'linux-image-(\S+?)(-dbg)?_(\S+?)_', f.read()).group(1, 3)
    if len(set(release.values())) > 1:
        raise Skip(f'kernel and symbols are not of one version: {release}')
    with Machine(*linux(append='nokaslr', smp=4, cpu=cpu), '-S', '-gdb', f'unix:{tmp}/gdb.sock,server=on,wait=off') as m:
        talk(tmp, m, gdb, symbols, SCRIPT)
        m.expect('GUEST-READY arm64 4')


def kernel_signed(tmp):
    run = subprocess.run([sys.executable, os.path.join(ROOT, 'scripts/peer'), 'path', 'gdb-multiarch'], capture_output=True, text=True)
    if run.returncode:
        raise Skip(run.stderr.strip().removeprefix('peer: '))
    kernel(tmp, run.stdout.strip(), 'max,pauth-impdef=on')


main([program, kernel, kernel_signed])
