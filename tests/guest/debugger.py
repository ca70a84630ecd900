# SPDX-License-Identifier: MIT
"""gdb with a Debian kernel and its symbols, four processors: breakpoint, backtrace, watchpoint, a thousand steps, and the guest lives on.

The symbols are a guest of their own (scripts/guest fetch linux-arm64-cloud-dbg, a large package).
"""
import re
import shutil
import subprocess
import time

from machine import PATIENCE, Failure, Machine, Skip, guest, linux, listening, main, same

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


def kernel(tmp):
    gdb, symbols = shutil.which('gdb-multiarch'), guest('linux-arm64-cloud-dbg') + '/vmlinux'
    if not gdb:
        raise Skip('no gdb-multiarch')
    release = {}
    for name in ('linux-arm64-cloud', 'linux-arm64-cloud-dbg'):
        with open(guest(name) + '/VERSION', encoding='utf-8') as f:
            release[name] = re.search(r'linux-image-(\S+?)(-dbg)?_(\S+?)_', f.read()).group(1, 3)
    if len(set(release.values())) > 1:
        raise Skip(f'kernel and symbols are not of one version: {release}')
    path = tmp + '/gdb.sock'
    with Machine(*linux(append='nokaslr', smp=4), '-S', '-gdb', f'unix:{path},server=on,wait=off') as m:
        end = time.monotonic() + PATIENCE
        listening(m, path)
        argv = [gdb, '-q', '-nx', '-batch', '-iex', 'set auto-load off', '-ex', 'set confirm off', '-ex', 'set pagination off',
                '-ex', f'target remote {path}']
        for i, (line, _) in enumerate(SCRIPT):
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
        for i, (line, want) in enumerate(SCRIPT):
            if want and not (i < len(said) and re.search(want, said[i])):
                raise Failure(f'after {line!r} no {want!r} in gdb\'s words:\n{text[-6000:]}')
        same('status of gdb', run.returncode, 0)
        m.expect('GUEST-READY arm64 4')


main([kernel])
