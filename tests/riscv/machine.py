#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs machine.S on the `virt` board: RHEA-SYSTEM-RISCV64 FILE.S ARGUMENT...   Exit status 77: no assembler."""
import os
import shutil
import subprocess
import sys
import tempfile

if not shutil.which('riscv64-linux-gnu-as'):
    print('skipped: riscv64-linux-gnu-as is not installed (binutils-riscv64-linux-gnu)')
    sys.exit(77)
with tempfile.TemporaryDirectory() as tmp:
    obj, elf = os.path.join(tmp, 'p.o'), os.path.join(tmp, 'p.elf')
    subprocess.run(['riscv64-linux-gnu-as', '-march=rv64gc_zicsr_zifencei', '-o', obj, sys.argv[2]], check=True)
    subprocess.run(['riscv64-linux-gnu-ld', '-Ttext=0x80000000', '--no-relax', '-o', elf, obj], check=True)
    run = subprocess.run([sys.argv[1], '-M', 'virt', '-m', '128', '-display', 'none', '-monitor', 'none', '-serial', 'null', '-bios', 'none', '-kernel', elf] + sys.argv[3:],
                         stdin=subprocess.DEVNULL, timeout=600)
print(f'check {run.returncode} failed' if run.returncode else 'all checks passed')
sys.exit(run.returncode != 0)
