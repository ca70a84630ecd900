#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Small programs with their expectations: a64-isa.py A64-ISA HOST FILE.s ...

    # expect x0=0x2a x1=-1        registers when the program reaches HVC #0
    # cpu cortex-a57              model, default max
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

tool, host, *files = sys.argv[1:]
if not shutil.which('aarch64-linux-gnu-as'):
    print('1..0 # SKIP no aarch64-linux-gnu-as')
    sys.exit(0)
print(f'1..{len(files)}')
failed = 0
with tempfile.TemporaryDirectory() as tmp:
    for n, path in enumerate(sorted(files), 1):
        text = open(path, encoding='utf-8').read()
        obj, elf, flat = (os.path.join(tmp, x) for x in ('o', 'elf', 'bin'))
        subprocess.run(['aarch64-linux-gnu-as', '-march=armv8.6-a+sb+crypto+memtag', '-o', obj, path], check=True)
        subprocess.run(['aarch64-linux-gnu-ld', '-Ttext=0x80000', '-e', '0', '-o', elf, obj], check=True)
        subprocess.run(['aarch64-linux-gnu-objcopy', '-O', 'binary', elf, flat], check=True)
        cpu = (re.findall(r'^# cpu (\S+)', text, re.M) or ['max'])[0]
        p = subprocess.run([tool, host, cpu, flat], capture_output=True, text=True)
        got = dict(ln.split('=') for ln in p.stdout.splitlines() if '=' in ln)
        bad = [p.stderr.strip()] if p.returncode else []
        for line in re.findall(r'^# expect (.*)', text, re.M):
            for item in line.split():
                reg, want = item.split('=')
                if int(got.get(reg, '-12345'), 0) != int(want, 0) & (1 << 64) - 1:
                    bad.append(f'{reg}={got.get(reg)} wanted {want}')
        failed += bool(bad)
        print(f'{"not ok" if bad else "ok"} {n} {os.path.basename(path)}' + ''.join(f'\n# {b}' for b in bad))
sys.exit(failed > 0)
