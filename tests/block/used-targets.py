#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Targets that are not fresh: files full of old bytes, images full of old bytes, in every shape that is written.

usage: used-targets.py RHEA-IMG

A source with data between zeroes is copied in several ways; what the target shows is read by us and by the peer where it is installed.
What cannot be is refused before anything is written.
"""
import os
import random
import shutil
import subprocess
import sys
import tempfile

IMG, PEER = os.path.abspath(sys.argv[1]), shutil.which('qemu-img')
KB, MB = 1 << 10, 1 << 20
SIZE = 5 * MB
PATIENCE = 600
SECRET = ['--object', 'secret,id=s,data=abc']
KEYS = {'encrypt.format': 'luks', 'encrypt.key-secret': 's'}
SHAPES = [                              # format, options of creation, what opening wants too
    ('raw', '', {}), ('raw', 'preallocation=falloc', {}), ('raw', 'preallocation=full', {}),
    ('qcow2', '', {}), ('qcow2', 'compat=0.10', {}), ('qcow2', 'cluster_size=512', {}), ('qcow2', 'cluster_size=2M', {}), ('qcow2', 'extended_l2=on', {}),
    ('qcow2', 'preallocation=metadata', {}), ('qcow2', 'preallocation=falloc', {}), ('qcow2', 'preallocation=full', {}), ('qcow2', 'extended_l2=on,preallocation=metadata', {}),
    ('qcow2', 'data_file=ext', {}), ('qcow2', 'data_file=ext,data_file_raw=on', {}), ('qcow2', 'data_file=ext,preallocation=metadata', {}),
    ('qcow2', 'encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10', KEYS), ('qcow2', 'preallocation=metadata,encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10', KEYS),
    ('qcow', '', {}), ('qed', '', {}), ('vdi', '', {}), ('vdi', 'static=on', {}), ('vmdk', '', {}), ('vmdk', 'zeroed_grain=on', {}), ('vmdk', 'subformat=monolithicFlat', {}),
    ('vmdk', 'subformat=twoGbMaxExtentSparse', {}), ('vmdk', 'subformat=twoGbMaxExtentFlat', {}), ('vmdk', 'subformat=streamOptimized', {}), ('vpc', 'force_size=on', {}),
    ('vpc', 'subformat=fixed,force_size=on', {}), ('vhdx', '', {}), ('vhdx', 'subformat=fixed', {}), ('vhdx', 'block_state_zero=off', {}), ('parallels', '', {}),
    ('luks', 'key-secret=s,iter-time=10', {'key-secret': 's'}), ('luks', 'key-secret=s,iter-time=10,preallocation=full', {'key-secret': 's'}),
]
WAYS = [[], ['-m', '16', '-W'], ['-S', '0'], ['-S', '64k'], ['-c']]
CANNOT = ('Compression not supported for this file format', 'Compression and encryption not supported at the same time', 'Compression and preallocation not supported at the same time')


def run(tool, *argv):
    return subprocess.run([tool, *argv], capture_output=True, text=True, timeout=PATIENCE)


def old_bytes(name, size):
    with open(name, 'wb') as f:
        f.write(b'\xa5' * size)


def source():
    rnd = random.Random(5)
    with open('src.raw', 'w+b') as f:
        f.truncate(SIZE)
        for at, n in ((0, 512), (64 * KB, 70000), (MB + 512, 5 * 512), (2 * MB, MB), (SIZE - 1024, 512)):
            f.seek(at)
            f.write(rnd.randbytes(n))
        f.seek(0)
        return f.read()


def clean():
    for name in os.listdir('.'):
        if name not in ('src.raw', 'old.raw'):
            os.unlink(name)


def node(fmt, more):
    return ','.join(f'{k}={v}' for k, v in {'driver': fmt, 'file.filename': 't.img', **more}.items())


def compare(what, fmt, more, want):
    for tool in filter(None, (IMG, PEER)):
        r = run(tool, 'convert', *SECRET, '--image-opts', '-O', 'raw', node(fmt, more), 'out.raw')
        assert r.returncode == 0, f'{what}: {tool}: {r.stderr}'
        with open('out.raw', 'rb') as f:
            got = f.read()
        at = next((i for i in range(0, len(want), 512) if got[i:i + 512] != want[i:i + 512]), None)
        assert got == want, f'{what}: read by {tool}: {len(got)} bytes, other ones from {at} on'


def onto_files(fmt, options, more, want):
    """Every file that the image will have is there, longer than it, and full."""
    for way in WAYS:
        clean()
        for name in ('t.img', 'ext', 't-flat.img', 't-s001.img', 't-f001.img'):
            old_bytes(name, 12 * MB)
        r = run(IMG, 'convert', *SECRET, '-f', 'raw', '-O', fmt, *(['-o', options] if options else []), *way, 'src.raw', 't.img')
        if r.returncode and way == ['-c']:
            assert any(text in r.stderr for text in CANNOT) or 'Operation not supported' in r.stderr and fmt in ('vmdk', 'qcow2'), r.stderr
            continue
        assert r.returncode == 0, f'{way}: {r.stderr}'
        compare(f'a used file, {way}', fmt, more, want)


def onto_images(fmt, options, more, want):
    for way in WAYS[:4]:
        clean()
        r = run(IMG, 'convert', *SECRET, '-f', 'raw', '-O', fmt, *(['-o', options] if options else []), 'old.raw', 't.img')
        r = r if r.returncode else run(IMG, 'convert', *SECRET, '-n', '--target-image-opts', '-f', 'raw', *way, 'src.raw', node(fmt, more))
        assert r.returncode == 0, f'{way}: {r.stderr}'
        compare(f'a full image, {way}', fmt, more, want)


def main():
    print(f'1..{len(SHAPES)}')
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        want = source()
        old_bytes('old.raw', SIZE)
        for i, (fmt, options, more) in enumerate(SHAPES, 1):
            try:
                onto_files(fmt, options, more, want)
                onto_images(fmt, options, more, want)
                print(f'ok {i} - {fmt} {options}', flush=True)
            except AssertionError as e:
                bad += 1
                print('# ' + str(e).replace('\n', '\n# '))
                print(f'not ok {i} - {fmt} {options}', flush=True)
        os.chdir('/')
    return bad > 0


if __name__ == '__main__':
    sys.exit(main())
