#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Images on what has a size of its own and is full of old bytes: another program's NBD export, a window of a file, a block device.

usage: fixed-targets.py RHEA-IMG RHEA-NBD [TEST...]

Each image is made there, filled in several runs of a server with a random workload, read by the image tool and by the peer's where that is
installed, and compared with bytes in memory.
"""
import json
import os
import random
import shutil
import subprocess
import sys

from nbdlib import *

IMG, NBD = (os.path.abspath(p) for p in sys.argv[1:3])
PEER = shutil.which('qemu-img')
MiB = 1 << 20
DISK, ROOM = 8 * MiB, 24 * MiB
SHAPES = [('parallels', ''), ('qed', ''), ('qed', 'cluster_size=4096,table_size=2'), ('qcow', ''), ('vhdx', 'subformat=dynamic,block_size=1M'), ('vmdk', 'subformat=monolithicSparse'), ('vmdk', 'zeroed_grain=on'),
          ('vmdk', 'adapter_type=lsilogic,hwversion=6'), ('qcow2', ''), ('vdi', ''), ('vpc', 'subformat=dynamic')]
FINE = ('parallels', 'qed', 'qcow', 'vhdx', 'vmdk')             # those that append to their file


class File:
    """The bytes below, as options of a node."""
    node = 'driver=raw,file.driver=raw,file.offset=0,file.size={room},file.file.driver=file,file.file.filename={path}'

    def __init__(self, room=ROOM):
        self.path, self.room = os.path.abspath('target'), room
        with open(self.path, 'wb') as f:
            f.write(b'\xa5' * room)

    def options(self, fmt):
        return f'driver={fmt},file.driver=raw,file.size={self.room},file.file.driver=file,file.file.filename={self.path}'

    def make(self, fmt, options):
        """As create would have it on such a target; a window is none that can be named."""
        run(IMG, 'create', '-q', '-f', fmt, *(['-o', options] if options else []), 'fresh', str(DISK))
        with open('fresh', 'rb') as f, open(self.path, 'r+b') as t:
            t.write(f.read())

    def close(self):
        os.unlink(self.path)


class Export(File):
    def __init__(self, room=ROOM):
        super().__init__(room)
        self.s = Server(NBD, '-t', '-e', '8', '-f', 'raw', self.path)

    def options(self, fmt):
        return f'driver={fmt},file.driver=nbd,file.server.type=unix,file.server.path={self.s.path}'

    def make(self, fmt, options):
        run(IMG, 'create', '-q', '-f', fmt, *(['-o', options] if options else []), self.s.uri(), str(DISK))

    def close(self):
        self.s.stop()
        super().close()


class Device(File):
    def __init__(self, room=ROOM):
        super().__init__(room)
        p = run('losetup', '--find', '--show', self.path, status=None)
        if p.returncode:
            raise Skip('no loop device here: ' + p.stderr.strip())
        self.device = p.stdout.strip()

    def options(self, fmt):
        return f'driver={fmt},file.driver=host_device,file.filename={self.device}'

    def make(self, fmt, options):
        run(IMG, 'create', '-q', '-f', fmt, *(['-o', options] if options else []), self.device, str(DISK))

    def close(self):
        run('losetup', '-d', self.device)
        super().close()


def workload(c, model, rnd, count):
    for _ in range(count):
        at, n = rnd.randrange(len(model)), rnd.choice((512, 5000, 70000, 300000))
        n = min(n, len(model) - at)
        kind = rnd.random()
        if kind < 0.7:
            data = rnd.randbytes(n)
            equal('write', c.do(WRITE, at, payload=data)[0], 0)
            model[at:at + n] = data
        elif kind < 0.85:
            equal('zeroes', c.do(ZEROES, at, n, flags=rnd.choice((0, NO_HOLE)))[0], 0)
            model[at:at + n] = bytes(n)
        elif kind < 0.95:
            equal('read', c.do(READ, at, n)[:2], (0, bytes(model[at:at + n])))
        else:
            equal('flush', c.do(FLUSH)[0], 0)


def check(target, fmt, model, what):
    opts = target.options(fmt)
    run(IMG, 'convert', '-q', '--image-opts', '-O', 'raw', opts, 'out')
    with open('out', 'rb') as f:
        got = f.read()
    if got != bytes(model):
        at = next(i for i in range(len(model)) if i >= len(got) or got[i] != model[i])
        raise AssertionError(f'{what}: bytes differ at {at:#x} of {len(got):#x}')
    p = run(IMG, 'check', '--image-opts', '--output=json', opts, status=None)
    if p.returncode != 63:
        said = json.loads(p.stdout)
        equal(what + ': check', (p.returncode, said.get('corruptions', 0), said.get('leaks', 0)), (0, 0, 0))
    if PEER:
        run(PEER, 'convert', '-U', '-f', fmt, '-O', 'raw', target.path, 'peer-out')
        equal(what + ', the peer reads', open('peer-out', 'rb').read() == bytes(model), True)


def one(kind, fmt, options, rnd):
    what = f'{kind.__name__} {fmt} {options}'
    target = kind()
    try:
        target.make(fmt, options)
        p = json.loads(run(IMG, 'info', '--image-opts', '--output=json', target.options(fmt)).stdout)
        model = bytearray(p['virtual-size'])
        check(target, fmt, model, what)
        for turn in range(3):           # the second and third have to find out where the image ends
            with Server(NBD, '--image-opts', '--discard=' + rnd.choice(('unmap', 'ignore')), target.options(fmt)) as s:
                c = Client(s.path)
                c.greet()
                c.modes()
                c.go()
                workload(c, model, rnd, 25)
                c.send(DISC)
                c.close()
            check(target, fmt, model, f'{what}, run {turn}')
    finally:
        target.close()


def all_shapes(kind):
    rnd = random.Random(7)
    for fmt, options in SHAPES:
        if kind is File and fmt in ('vdi', 'vpc', 'qcow2'):
            continue
        one(kind, fmt, options, rnd)


def test_window():
    all_shapes(File)


def test_export():
    all_shapes(Export)


def test_device():
    if os.geteuid():
        raise Skip('only root may have loop devices')
    need('losetup')
    all_shapes(Device)


def test_compressed():
    """convert -c of the formats that pack, onto an export and again over the old image."""
    rnd = random.Random(9)
    with open('src', 'wb') as f:
        f.truncate(DISK)
        for at in range(0, DISK, 3 * 65536):
            f.seek(at)
            f.write(rnd.randbytes(20000) + b'abc' * 20000)
    for fmt, options in (('qcow', ''), ('qcow2', ''), ('vmdk', 'subformat=streamOptimized')):
        target = Export()
        try:
            for turn in range(2):
                run(IMG, 'convert', '-q', '-c', '-f', 'raw', '-O', fmt, *(['-o', options] if options else []), 'src', target.s.uri())
                run(IMG, 'compare', '-q', '-f', 'raw', '-F', fmt, 'src', target.s.uri())
        finally:
            target.close()


def test_full():
    """No more room: an error that says so, and all that was flushed before is there."""
    for fmt in FINE:
        target = Export(room=5 * MiB)
        try:
            target.make(fmt, 'block_size=1M' if fmt == 'vhdx' else '')
            data, stored = random.Random(3).randbytes(MiB), 0
            with Server(NBD, '--image-opts', target.options(fmt)) as s:
                c = Client(s.path)
                c.greet()
                c.modes()
                c.go()
                for at in range(0, DISK, MiB):
                    error = c.do(WRITE, at, payload=data)[0]
                    if error:
                        equal(fmt + ': error', error, 28)
                        break
                    equal('flush', c.do(FLUSH)[0], 0)
                    stored += 1
                assert error and stored, (fmt, error, stored)
                equal('flush', c.do(FLUSH)[0], 0)
                equal('read', c.do(READ, 0, MiB)[:2], (0, data))
                equal('over', c.do(WRITE, 0, payload=data[::-1])[0], 0)
                c.close()
            run(IMG, 'convert', '-q', '--image-opts', '-O', 'raw', target.options(fmt), 'out')
            with open('out', 'rb') as f:
                equal(fmt, f.read(stored * MiB) == data[::-1] + data * (stored - 1), True)
        finally:
            target.close()


if __name__ == '__main__':
    main(sys.argv[3:], globals())
