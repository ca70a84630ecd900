#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A folder as a FAT disk: other programs find it sound and the same; what they change in it arrives in the folder.

usage: vvfat-test.py RHEA-IMG
"""
import os
import random
import shutil
import subprocess
import sys
import tempfile

IMG = os.path.abspath(sys.argv[1])
PART = 63 * 512


def run(*argv, ok=(0,)):
    r = subprocess.run(argv, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
                       env=dict(os.environ, MTOOLS_SKIP_CHECK='1', MTOOLSRC='/dev/null', LC_ALL='C.UTF-8'))
    if r.returncode not in ok:
        raise AssertionError(f'{argv}: {r.returncode}\n{r.stdout}{r.stderr}')
    return r


def check(what, got, want):
    if got != want:
        raise AssertionError(f'{what}: {got!r} is not {want!r}')


def tree(folder):
    out = {}
    for base, dirs, files in os.walk(folder):
        for d in dirs:
            out[os.path.relpath(os.path.join(base, d), folder)] = None
        for name in files:
            with open(os.path.join(base, name), 'rb') as f:
                out[os.path.relpath(os.path.join(base, name), folder)] = f.read()
    return out


def fill(folder, seed):
    r = random.Random(seed)
    os.makedirs(f'{folder}/EFI/boot')
    os.makedirs(f'{folder}/empty folder')
    names = ['startup.nsh', 'UPPER.TXT', 'Mixed Case name.and.dots', 'ümläut.txt', 'x' * 200, 'EFI/boot/bootaa64.efi', 'noext', '.hidden', 'a+b=c.txt', 'zero']
    names += [f'many files with long names {i:03}.bin' for i in range(60)]
    for name in names:
        with open(f'{folder}/{name}', 'wb') as f:
            f.write(r.randbytes(0 if name == 'zero' else r.choice((1, 511, 512, 8192, 8193, 30000, 200000))))


def reads(kind, floppy):
    name = f'fat:{"floppy:" if floppy else ""}{kind}:src'
    part = 0 if floppy else PART
    run(IMG, 'convert', '-O', 'raw', name, 'disk.raw')
    with open('disk.raw', 'rb') as f, open('part.raw', 'wb') as g:
        f.seek(part)
        shutil.copyfileobj(f, g)
    run('fsck.vfat', '-n', 'part.raw')
    shutil.rmtree('out', ignore_errors=True)
    os.mkdir('out')
    run('mcopy', '-s', '-n', '-i', 'part.raw', '::*', 'out')
    check(f'{name}: names', sorted(tree('out')), sorted(tree('src')))
    check(name, tree('out') == tree('src'), True)


def back(folder, kind):
    """The changed disk goes through the driver, into the folder."""
    run(IMG, 'convert', '-n', '-f', 'raw', '-O', 'vvfat', 'disk.raw', f'fat:{kind}:rw:{folder}')


def writes(kind):
    shutil.rmtree('work', ignore_errors=True)
    shutil.copytree('src', 'work')
    with open('work/kept', 'w') as f:
        f.write('seen and untouched')
    want = tree('work')
    run(IMG, 'convert', '-O', 'raw', f'fat:{kind}:work', 'disk.raw')
    with open('work/later', 'w') as f:                      # the guest never saw it
        f.write('not the guest\'s')
    at = f'disk.raw@@{PART}'
    with open('new', 'wb') as f:
        f.write(random.Random(7).randbytes(123456))
    run('mcopy', '-i', at, 'new', '::EFI/A new file.bin')
    run('mcopy', '-o', '-i', at, 'new', '::startup.nsh')
    run('mmd', '-i', at, '::made')
    run('mcopy', '-i', at, 'new', '::made/inside')
    run('mdel', '-i', at, '::noext')
    run('mren', '-i', at, '::UPPER.TXT', '::renamed file.txt')
    run('mdeltree', '-i', at, '::EFI/boot')
    run('mmove', '-i', at, '::a+b=c.txt', '::made')
    with open('new', 'rb') as f:
        new = f.read()
    want.update({'EFI/A new file.bin': new, 'startup.nsh': new, 'made': None, 'made/inside': new, 'renamed file.txt': want.pop('UPPER.TXT'),
                 'made/a+b=c.txt': want.pop('a+b=c.txt'), 'later': b'not the guest\'s'})
    for gone in 'noext', 'EFI/boot', 'EFI/boot/bootaa64.efi':
        del want[gone]
    # the guest's view was made before `later` came; so is the driver's
    os.rename('work/later', 'later')
    back('work', kind)
    os.rename('later', 'work/later')
    got = tree('work')
    check('names', sorted(got), sorted(want))
    check('content', [k for k in want if got[k] != want[k]], [])


def refuses():
    for name, why in (('fat:gone', "Could not open 'gone': No such file or directory"), ('fat:new', "'new' is not a folder"),
                      ('fat:floppy:16:src', 'vvfat floppies are FAT12'), ('fat:floppy:big', 'Directory does not fit in FAT12 (capacity 2.79 MB)')):
        r = run(IMG, 'info', name, ok=(1,))
        check(name, r.stderr, f"rhea-img: Could not open '{name}': {why}\n")
    # half a file system: the folder stays as it is
    before = tree('work')
    run(IMG, 'convert', '-O', 'raw', 'fat:work', 'disk.raw')
    with open('disk.raw', 'r+b') as f:
        f.seek(PART + 512)
        f.write(b'\xf8\xff\xff\xff' + b'\x02\x00' * 4000)    # chains that loop
    back('work', 16)
    check('untouched', tree('work') == before, True)


def main():
    if not shutil.which('mcopy') or not shutil.which('fsck.vfat'):
        print('no mtools and dosfstools: apt-get install mtools dosfstools')
        return 77
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        fill('src', 1)
        for kind in 12, 16, 32:
            reads(kind, False)
            writes(kind)
        shutil.rmtree('src')
        os.makedirs('src/sub')
        with open('src/sub/readme.txt', 'w') as f:
            f.write('on a floppy')
        reads(12, True)
        os.mkdir('big')
        with open('big/file', 'wb') as f:
            f.truncate(4 << 20)
        refuses()
        os.chdir('/')
    return 0


sys.exit(main())
