#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What people lose data by: a target that is its own source, a device that is not empty, an image in use.

  img-safety.py RHEA-IMG

Each test is a function; those that need a loop device skip without one.
"""
import fcntl
import glob
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time

IMG = os.path.abspath(sys.argv[1])
MB = 1 << 20
PATIENCE = 120
OFD_SETLK = 37
SECRET = ['--object', 'secret,id=s,data=abc']


def img(*argv, status=0):
    r = subprocess.run([IMG, *argv], capture_output=True, text=True, check=False)
    if r.returncode != status:
        raise AssertionError(f"{' '.join(argv)}: status {r.returncode}, wanted {status}\n{r.stdout}{r.stderr}")
    return r.stdout + r.stderr


def read(path, size=-1):
    with open(path, 'rb') as f:
        return f.read(size)


def source(name='src.raw'):
    """16 MiB of zeroes with a word in the middle."""
    with open(name, 'wb') as f:
        f.truncate(16 * MB)
        f.seek(3 * MB)
        f.write(b'hello')
    return name


def test_target_is_source():
    src = source()
    os.link(src, 'link.raw')
    os.symlink(src, 'sym.raw')
    before = read(src)
    for how in ([], ['-f', 'raw'], ['-n'], ['-c', '-f', 'raw']):
        for fmt in ('raw', 'qcow2') if how != ['-c', '-f', 'raw'] else ('qcow2',):
            for to in (src, 'link.raw', 'sym.raw'):
                text = img('convert', *how, '-O', fmt, src, to, status=1)
                assert 'Failed to get "write" lock' in text, text
                assert read(src) == before
    assert 'lock' in img('dd', '-f', 'raw', '-O', 'raw', f'if={src}', 'of=link.raw', status=1)
    assert read(src) == before
    img('convert', src, src, 'twice.raw')               # a source may be there twice
    assert read('twice.raw') == before + before


def test_preallocated_stays():
    src = source()
    for fmt in ('raw', 'qcow2'):
        for mode in ('falloc', 'full'):
            img('convert', '-O', fmt, '-o', 'preallocation=' + mode, src, 'out')
            assert os.stat('out').st_blocks * 512 >= 16 * MB, (fmt, mode)
            img('compare', '-f', 'raw', '-F', fmt, src, 'out')


def test_encrypted_preallocated():
    src = source()
    img('convert', *SECRET, '-O', 'qcow2', '-o', 'preallocation=metadata,encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10', src, 'e.qcow2')
    img('compare', *SECRET, '--image-opts', 'driver=raw,file.filename=src.raw', 'driver=qcow2,file.filename=e.qcow2,encrypt.key-secret=s')


def test_device_is_not_empty():
    src = source()
    with open('disk', 'wb') as f:
        f.truncate(20 * MB)
    r = subprocess.run(['losetup', '-f', '--show', 'disk'], capture_output=True, text=True, check=False) if os.geteuid() == 0 else None
    if not r or r.returncode:
        return 'needs root and loop devices'
    dev = r.stdout.strip()
    try:
        for fmt, o in (('raw', 'size=16M'), ('qcow2', 'preallocation=off'), ('qcow2', 'preallocation=metadata'), ('qcow2', 'preallocation=full')):
            with open(dev, 'r+b') as f:
                f.write(b'x' * 20 * MB)
            img('convert', '-O', fmt, '-o', o, src, dev)
            img('compare', '--image-opts', 'driver=raw,file.filename=' + src, f'driver={fmt},file.filename={dev}' + (',size=16M' if fmt == 'raw' else ''))
        for raw in ('on', 'off'):
            with open(dev, 'r+b') as f:
                f.write(b'x' * 20 * MB)
            img('convert', '-O', 'qcow2', '-o', f'data_file={dev},data_file_raw={raw}', src, 'd.qcow2')
            img('compare', '-f', 'raw', '-F', 'qcow2', src, 'd.qcow2')
        assert read(dev, 16 * MB)[3 * MB:3 * MB + 5] == b'hello'
    finally:
        subprocess.run(['losetup', '-d', dev], check=False)
    return None


def test_names():
    """json: with dotted keys, as other programs write them into images."""
    src = source()
    img('create', '-q', '-f', 'qcow2', '-b', 'json:{"driver":"raw","file.driver":"file","file.filename":"src.raw"}', '-F', 'raw', 'o.qcow2')
    img('compare', '-f', 'raw', '-F', 'qcow2', src, 'o.qcow2')
    for name in ('json:{"file.filename":"o.qcow2"}', 'json:{"driver":"qcow2","file":{"filename":"o.qcow2"},"file.driver":"file"}'):
        assert 'file format: qcow2' in img('info', name)
    for name, why in (('json:{"file.a.b":1,"file.a":2}', 'used inconsistently'), ('json:{"file.":1}', 'Invalid parameter'), ('json:{}', 'Must specify either driver or file'),
                      ('json:{"' + 'a.' * 100 + 'a":1}', 'more than 64 levels')):
        assert why in img('info', name, status=1)


def test_failed_creation_leaves_nothing():
    img('create', '-f', 'qcow2', '-o', 'encrypt.format=luks,encrypt.key-secret=nosuch', 'no.qcow2', '1M', status=1)
    img('create', '-f', 'qcow2', 'no.qcow2', '7E', status=1)
    assert not os.path.exists('no.qcow2')
    src = source()
    before = read(src)
    with open(src, 'r+b') as f:                 # in use, as a machine holds it
        for byte in (100, 101, 103, 203):
            fcntl.fcntl(f, OFD_SETLK, struct.pack('hhqqi4x', fcntl.F_RDLCK, os.SEEK_SET, byte, 1, 0))
        img('create', '-f', 'qcow2', src, '1M', status=1)
    assert read(src) == before


def test_failed_creation_of_several_files():
    """The last file can not be made: those before it go, but not what was there."""
    for sub, letter in (('twoGbMaxExtentSparse', 's'), ('twoGbMaxExtentFlat', 'f')):
        there = source(f'v-{letter}001.vmdk')
        os.mkdir(f'v-{letter}003.vmdk')
        img('create', '-f', 'vmdk', '-o', 'subformat=' + sub, 'v.vmdk', '5G', status=1)
        assert sorted(glob.glob('v*')) == [there, f'v-{letter}003.vmdk']
        os.rmdir(f'v-{letter}003.vmdk')
        os.unlink(there)
    os.mkdir('w-flat.vmdk')
    img('create', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', 'w.vmdk', '1M', status=1)
    assert glob.glob('w*') == ['w-flat.vmdk']
    img('create', '-f', 'qcow2', '-o', 'data_file=q.data,preallocation=falloc', 'q.qcow2', '2E', status=1)
    assert glob.glob('q*') == []
    img('create', '-f', 'qcow2', 'file:p.qcow2', '7E', status=1)
    assert glob.glob('p*') == []


def test_sigusr1():
    """How far a verb without -p is: one line, and it goes on."""
    with open('big.raw', 'wb') as f:
        f.write(b'x' * 64 * MB)
    with subprocess.Popen([IMG, 'convert', '-f', 'raw', '-O', 'raw', '-r', '2M', 'big.raw', 'out'], stderr=subprocess.PIPE, text=True) as p:
        end = time.monotonic() + PATIENCE
        while not os.path.exists('out') and time.monotonic() < end:
            time.sleep(0.01)
        p.send_signal(signal.SIGUSR1)
        assert re.fullmatch(r' {4}\([0-9.]+/100%\)\n', p.stderr.readline())
        assert p.poll() is None
        p.kill()


def main():
    tests = [(n, f) for n, f in globals().items() if n.startswith('test_')]
    print(f'1..{len(tests)}')
    bad = 0
    for i, (name, fn) in enumerate(tests, 1):
        with tempfile.TemporaryDirectory() as d:
            os.chdir(d)
            try:
                skip = fn()
                print(f'ok {i} {name}' + (f' # SKIP {skip}' if skip else ''))
            except AssertionError as e:
                bad += 1
                print(f'not ok {i} {name}\n# ' + str(e).replace('\n', '\n# '))
            os.chdir('/')
    sys.exit(bad != 0)


main()
