#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bitmaps in qcow2 images, both ways with another program, where it is installed.

usage: bitmaps.py RHEA-IMG
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

RHEA = os.path.abspath(sys.argv[1])


def run(*argv, status=0):
    r = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    if r.returncode != status:
        raise AssertionError(f'{argv}: {r.returncode}, {r.stdout}{r.stderr}')
    return r.stdout + r.stderr


def same(got, want):
    if got != want:
        raise AssertionError(f'{got!r} is not {want!r}')


def listed(tool, image):
    info = json.loads(run(tool, 'info', '--output=json', image))
    return {b['name']: (b['granularity'], b['flags']) for b in info['format-specific']['data'].get('bitmaps', [])}


def make(image):
    run(RHEA, 'create', '-q', '-f', 'qcow2', image, '64M')


def case_own():
    """Add, merge, switch, remove; the image stays in order."""
    make('a')
    run(RHEA, 'bitmap', '--add', '-g', '4096', 'a', 'x')
    run(RHEA, 'bitmap', '--add', '--disable', '--merge', 'x', 'a', 'y')
    same(listed(RHEA, 'a'), {'x': (4096, ['auto']), 'y': (65536, [])})
    same(run(RHEA, 'bitmap', '--add', 'a', 'x', status=1), 'rhea-img: Operation add on bitmap x failed: Bitmap already exists: x\n')
    same(run(RHEA, 'bitmap', '--enable', 'a', 'z', status=1), "rhea-img: Operation enable on bitmap z failed: Dirty bitmap 'z' not found\n")
    same(run(RHEA, 'bitmap', 'a', 'x', status=1), 'rhea-img: Need at least one of --add, --remove, --remove-all, --clear, --enable, --disable, or --merge\n')
    run(RHEA, 'bitmap', '--remove', 'a', 'x')
    same(listed(RHEA, 'a'), {'y': (65536, [])})
    run(RHEA, 'check', 'a')


def case_convert():
    make('a')
    run(RHEA, 'bitmap', '--add', '-g', '32768', 'a', 'x')
    run(RHEA, 'bitmap', '--add', '--disable', 'a', 'y')
    run(RHEA, 'convert', '--bitmaps', '-O', 'qcow2', 'a', 'b')
    same(listed(RHEA, 'b'), listed(RHEA, 'a'))
    run(RHEA, 'check', 'b')
    same(run(RHEA, 'convert', '--bitmaps', '-O', 'raw', 'a', 'c', status=1), "rhea-img: Format driver 'raw' does not support bitmaps\n")
    same(run(RHEA, 'convert', '--skip-broken-bitmaps', '-O', 'qcow2', 'a', 'c', status=1), 'rhea-img: Use of --skip-broken-bitmaps requires --bitmaps\n')


def case_peer():
    """The other program marks ours, and reads what we merged."""
    make('a')
    run(RHEA, 'bitmap', '--add', 'a', 'x')
    run('qemu-io', '-f', 'qcow2', '-c', 'write 1M 3M', '-c', 'write 60M 64k', 'a')
    run(RHEA, 'bitmap', '--add', '-g', '4096', '--merge', 'x', '--disable', 'a', 'y')
    run('qemu-img', 'check', 'a')
    same(listed('qemu-img', 'a'), listed(RHEA, 'a'))
    run('qemu-img', 'bitmap', '--add', '--merge', 'y', 'a', 'z')
    run(RHEA, 'convert', '--bitmaps', '-O', 'qcow2', 'a', 'b')
    run('qemu-img', 'check', 'b')
    for image, name in (('a', 'x'), ('a', 'y'), ('a', 'z'), ('b', 'x'), ('b', 'y'), ('b', 'z')):
        same(dirty(image, name), [(1 << 20, 3 << 20), (60 << 20, 65536)])


def dirty(image, name):
    """The marked parts, as the other program's server tells them."""
    path = os.path.abspath(f's.{image}.{name}')
    server = subprocess.Popen(['qemu-nbd', '-r', '-t', '-f', 'qcow2', '-B', name, '-k', path, '--fork', f'--pid-file={path}.pid', image])
    same(server.wait(timeout=120), 0)           # it listens when the first process ends
    try:
        runs = json.loads(run('qemu-img', 'map', '--output=json', '--image-opts',
                              f'driver=nbd,server.type=unix,server.path={path},x-dirty-bitmap=qemu:dirty-bitmap:{name}'))
    finally:
        with open(path + '.pid', encoding='ascii') as f:
            os.kill(int(f.read()), 15)
    return [(r['start'], r['length']) for r in runs if not r['data']]


def main():
    cases = [case_own, case_convert, case_peer]
    bad = 0
    print(f'1..{len(cases)}')
    for i, case in enumerate(cases, 1):
        if case is case_peer and not all(shutil.which(p) for p in ('qemu-img', 'qemu-io', 'qemu-nbd')):
            print(f'ok {i} {case.__name__} # SKIP qemu-utils is not installed')
            continue
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                case()
                print(f'ok {i} {case.__name__}')
            except (AssertionError, subprocess.TimeoutExpired, OSError) as e:
                bad += 1
                print(f'not ok {i} {case.__name__}')
                print('\n'.join('# ' + line for line in str(e).splitlines()))
            os.chdir('/')
    return 1 if bad else 0


sys.exit(main())
