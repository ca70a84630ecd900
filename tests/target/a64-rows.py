#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every row of the decode tables is executed by some suite: a64-rows.py TEST-INSN A64-RANDOM CLASS:COUNT... -- FILE.s ...

The instructions that the comparisons with the other emulator make (same class, seed and count as in meson.build), and those of
the small programs with expectations."""
import os
import shutil
import subprocess
import sys
import tempfile

tool, rows_tool, *rest = sys.argv[1:]
split = rest.index('--')
classes, files = rest[:split], rest[split + 1:]


def numbers(*args):
    return {int(x) for x in subprocess.run(args, capture_output=True, text=True, check=True).stdout.split()}


print('1..1')
if not shutil.which('aarch64-linux-gnu-as'):
    print('ok 1 # SKIP no aarch64-linux-gnu-as')
    sys.exit(0)
names = dict(line.split() for line in subprocess.run([rows_tool, 'rows'], capture_output=True, text=True, check=True).stdout.splitlines())
seen = set()
for c in classes:
    name, count = c.split(':')
    seen |= numbers(tool, 'interp', '1', count, name, 'rows')
with tempfile.TemporaryDirectory() as tmp:
    obj, flat = os.path.join(tmp, 'o'), os.path.join(tmp, 'bin')
    for path in files:
        subprocess.run(['aarch64-linux-gnu-as', '-march=armv8.6-a+sb+crypto+memtag+rng+flagm+ssbs+sha3+sm4', '-o', obj, path], check=True)
        subprocess.run(['aarch64-linux-gnu-objcopy', '-O', 'binary', '-j', '.text', obj, flat], check=True)
        seen |= numbers(rows_tool, 'words', flat)
missing = [f'{n} (row {i})' for i, n in names.items() if int(i) not in seen]
print(f'# {len(names)} rows, {len(names) - len(missing)} executed')
print(f'{"not ok" if missing else "ok"} 1 every row' + ''.join(f'\n# never: {m}' for m in missing))
sys.exit(bool(missing))
