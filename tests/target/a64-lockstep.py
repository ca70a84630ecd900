#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random A64 instructions, ours against the newest packaged user-mode emulator.

usage: a64-lockstep.py A64-GEN A64-BARE RUNNER.S PEER [--host H,H] [--seed N] [--cases N] [--insns N] [--row PREFIX] [--rounds N] [--resume FILE]
PEER is scripts/peer.  Exit status 77: the cross compiler or the peer is missing.
"""
import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

CODE, STATE, SCRATCH, SIZE = 0x1000, 0x100000, 0x900000, 0x940000
NAMES = [f'x{i}' for i in range(31)] + ['nzcv', 'fpcr', 'fpsr'] + ['pad'] * 30 + [f'v{i // 2}.d[{i % 2}]' for i in range(64)]


def disas(words, tmp):
    path = os.path.join(tmp, 'w.bin')
    open(path, 'wb').write(struct.pack(f'<{len(words)}I', *words))
    out = subprocess.run(['aarch64-linux-gnu-objdump', '-D', '-b', 'binary', '-m', 'aarch64', path], capture_output=True, text=True).stdout
    return [ln.split('\t', 2)[2].replace('\t', ' ') for ln in out.splitlines() if ln.startswith(' ') and '\t' in ln]


def compare(blob, a, b, insns, tmp, limit):
    bad = 0
    n = struct.unpack_from('<I', blob)[0]
    for i in range(n):
        at = STATE + 1024 * i
        if a[at:at + 1024] == b[at:at + 1024]:
            continue
        sin, sa, sb = (struct.unpack_from('<128Q', x, at) for x in (blob, a, b))
        bad += 1
        if bad <= limit:
            words = struct.unpack_from(f'<{insns}I', blob, CODE + 64 * i)
            print(f'case {i} fpcr={sin[32]:x} nzcv={sin[31]:x}:')
            for w, t in zip(words, disas(words, tmp)):
                print(f'    {w:08x} {t}')
            for name, before, ours, theirs in zip(NAMES, sin, sa, sb):
                if ours != theirs:
                    print(f'  {name}: {before:016x} -> ours {ours:016x} peer {theirs:016x}')
            if insns == 1:
                w = words[0]
                for r in sorted({w & 31, w >> 5 & 31, w >> 16 & 31, w >> 10 & 31}):
                    print(f'  in x{r}={sin[min(r, 30)]:016x} v{r}={sin[64 + 2 * r + 1]:016x}:{sin[64 + 2 * r]:016x}')
    if not bad and a[SCRATCH:] != b[SCRATCH:]:
        bad = 1
        print('memory differs')
    return bad


def arguments():
    ap = argparse.ArgumentParser()
    ap.add_argument('gen'), ap.add_argument('bare'), ap.add_argument('runner'), ap.add_argument('peer')
    ap.add_argument('--host', default='interp', help='back ends, separated by commas: each against the same run of the peer')
    ap.add_argument('--seed', type=int, default=1), ap.add_argument('--cases', type=int, default=8000)
    ap.add_argument('--insns', type=int, default=1), ap.add_argument('--row', default=None), ap.add_argument('--rounds', type=int, default=1), ap.add_argument('--limit', type=int, default=10)
    ap.add_argument('--resume', help='file with seeds and counts so far: go on behind them')
    return ap.parse_args()


class Tally:
    """Counts over all runs, kept in a file when one is named."""

    def __init__(self, path, first):
        self.path, self.n = path, {'seed': first, 'cases': 0, 'bad': 0}
        if path and os.path.exists(path):
            self.n = json.load(open(path, encoding='utf-8'))

    def add(self, cases, bad):
        self.n = {'seed': self.n['seed'] + 1, 'cases': self.n['cases'] + cases, 'bad': self.n['bad'] + bad}
        if self.path:
            with open(self.path + '.new', 'w', encoding='utf-8') as f:
                json.dump(self.n, f)
            os.replace(self.path + '.new', self.path)


def one_round(o, tmp, peer, elf, flat, seed):
    gen = [o.gen, str(seed), str(o.cases), str(o.insns)] + ([o.row] if o.row else [])
    blob = subprocess.run(gen, capture_output=True, check=True).stdout
    path = os.path.join(tmp, 'blob')
    with open(path, 'wb') as f:
        f.write(blob)
    theirs = subprocess.run([peer, '-cpu', 'max,sve=off,sme=off,pauth-impdef=off', elf], input=blob, capture_output=True).stdout
    bad = 0
    for host in o.host.split(','):
        ours = subprocess.run([o.bare, f'host={host}', flat, path], capture_output=True)
        sys.stderr.write(ours.stderr.decode()[:4000])
        if len(theirs) != SIZE or len(ours.stdout) != SIZE:
            sys.exit(f'seed {seed}, {host}: output is short: ours {len(ours.stdout)} peer {len(theirs)}')
        n = compare(blob, ours.stdout, theirs, o.insns, tmp, o.limit)
        if n:
            print(f'seed {seed}, {host}: {n} differences', flush=True)
        bad += n
    return bad


def main():
    o = arguments()
    peer = subprocess.run([sys.executable, o.peer, 'path', 'qemu-aarch64'], capture_output=True, text=True)
    if peer.returncode or not shutil.which('aarch64-linux-gnu-gcc'):
        print('skipped: no cross compiler, or no peer (scripts/peer fetch user)')
        sys.exit(77)
    tally = Tally(o.resume, o.seed)
    bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        elf, flat = os.path.join(tmp, 'runner'), os.path.join(tmp, 'runner.bin')
        subprocess.run(['aarch64-linux-gnu-gcc', '-nostdlib', '-static', '-Wl,-Ttext=0x10000000,--build-id=none', '-o', elf, o.runner], check=True)
        subprocess.run(['aarch64-linux-gnu-objcopy', '-O', 'binary', '-j', '.text', elf, flat], check=True)
        for _ in range(o.rounds):
            n = one_round(o, tmp, peer.stdout.strip(), elf, flat, tally.n['seed'])
            bad += n
            tally.add(o.cases, n)
    print(f"{tally.n['cases']} cases of {o.insns}, {tally.n['bad']} differences ({o.host}; next seed {tally.n['seed']})")
    sys.exit(bad > 0)


main()
