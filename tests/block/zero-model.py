#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Chains of images of all formats against a model of their bytes: writes, zeroes, discards, sizes, snapshots, every job and every verb in random order.

  zero-model.py RHEA-IMG RHEA-STORAGE-DAEMON [--seeds FIRST[-LAST]] [--steps N] [--peer QEMU-IMG] [--keep]

A seed is a world: a chain of images, each with the bytes that it must show.  A step changes the chain by the image tool, or by a daemon over whose disk
requests run before, during and after jobs.  After each step all of them are read again by their names, and checked; by the peer too where there is one.
A discard may leave what was there, or zeroes, but nothing else, and must not change its mind later.
"""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import traceback

from nbdlib import Client, FLUSH, NO_HOLE, READ, TRIM, WRITE, ZEROES

KB, MB = 1 << 10, 1 << 20
PATIENCE = 600
FOREIGN = ('vpc', 'vhdx')           # their children are not read by the peer
SHAPES = {                          # format, options, what may lie below, how far it may be resized
    'raw': ('raw', '', None, 'both'),
    'qcow2': ('qcow2', '', 'any', 'both'),
    'qcow2-old': ('qcow2', 'compat=0.10', 'any', 'both'),
    'qcow2-small': ('qcow2', 'cluster_size=512,refcount_bits=64', 'any', 'both'),
    'qcow2-4k': ('qcow2', 'cluster_size=4k,lazy_refcounts=on', 'any', 'both'),
    'qcow2-large': ('qcow2', 'cluster_size=2M', 'any', 'both'),
    'qcow2-parts': ('qcow2', 'extended_l2=on', 'any', 'both'),
    'qcow2-parts-16k': ('qcow2', 'extended_l2=on,cluster_size=16k', 'any', 'both'),
    'qcow2-data': ('qcow2', 'data_file={}.data', 'any', 'both'),
    'qcow2-plain-data': ('qcow2', 'data_file={}.data,data_file_raw=on', None, 'both'),
    'qcow2-prepared': ('qcow2', 'preallocation=metadata', None, 'both'),
    'qcow': ('qcow', '', 'any', None),
    'qed': ('qed', '', 'any', 'up'),
    'qed-4k': ('qed', 'cluster_size=4k,table_size=2', 'any', 'up'),
    'vdi': ('vdi', '', None, None),
    'vdi-static': ('vdi', 'static=on', None, None),
    'vmdk': ('vmdk', '', 'vmdk', None),
    'vmdk-zeroes': ('vmdk', 'zeroed_grain=on', 'vmdk', None),
    'vpc': ('vpc', 'force_size=on', 'vpc', None),
    'vpc-fixed': ('vpc', 'subformat=fixed,force_size=on', None, None),
    'vhdx': ('vhdx', 'block_size=1M', 'vhdx', None),
    'vhdx-fixed': ('vhdx', 'subformat=fixed', None, None),
    'parallels': ('parallels', 'cluster_size=64k', None, None),
}
CHAIN = object()
FIXED_BACKING = ('qcow', 'vmdk')      # record no other backing file than the one they were made with
FIXED_SIZE = ('vdi', 'vmdk', 'vpc', 'vhdx', 'parallels', 'qcow')
CHECKED = ('qcow2', 'qed', 'vdi', 'vmdk', 'vhdx', 'parallels')


class Bad(Exception):
    pass


class Image:
    def __init__(self, world, shape, size, below=None, name=None):
        world.count += 1
        self.shape, self.below = shape, below
        self.fmt, self.options, self.takes, self.grows = SHAPES[shape]
        self.name = name or f'i{world.count}.{self.fmt}'
        self.node = f'n{world.count}'
        self.data = bytearray(below.data[:size] + bytes(max(0, size - len(below.data)))) if below else bytearray(size)
        self.snapshots = {}
        self.version = '0.10' if 'compat=0.10' in self.options else '1.1'

    def size(self):
        return len(self.data)

    def over(self, below):
        """Its own bytes stay; those of its snapshots are read through what lies below now, as in the peer."""
        self.below = below
        self.snapshots = dict.fromkeys(self.snapshots)

    def describe(self):
        return f'{self.name} ({self.shape}, {self.size()})' + (f' over {self.below.describe()}' if self.below else '')

    def opened(self, discard, detect, backing=CHAIN):
        o = {'driver': self.fmt, 'node-name': self.node, 'discard': discard, 'detect-zeroes': detect, 'file': {'driver': 'file', 'filename': self.name, 'discard': discard}}
        if backing is not CHAIN:
            o['backing'] = backing
        elif self.below:
            o['backing'] = self.below.opened('unmap', 'off')
            o['backing'].pop('discard')
        return o


def differ(got, want):
    if got == want:
        return None
    if len(got) != len(want):
        return f'{len(got)} bytes, not {len(want)}'
    at = next(i for i in range(0, len(got), 512) if got[i:i + 512] != want[i:i + 512])
    end = next((i for i in range(at, len(got), 512) if got[i:i + 512] == want[i:i + 512]), len(got))
    return f'{at:#x}..{end:#x}: {got[at:at + 4].hex()}..{got[end - 4:end].hex()}, not {want[at:at + 4].hex()}..{bytes(want[end - 4:end]).hex()}'


class Daemon:
    """The storage daemon over a chain, with its top exported; what a client does is done to the model too."""

    def __init__(self, world, image):
        self.w, self.top, self.rnd = world, image, world.rnd
        self.discard, self.detect = self.rnd.choice(['unmap', 'unmap', 'ignore']), self.rnd.choice(['off', 'off', 'on', 'unmap'])
        self.detect = 'off' if self.discard == 'ignore' and self.detect == 'unmap' else self.detect
        self.events, self.jobs, self.client = [], 0, None
        world.log(f'daemon over {image.describe()}: discard={self.discard} detect-zeroes={self.detect}')
        self.p = subprocess.Popen([world.daemon, '--chardev', 'stdio,id=m', '--monitor', 'm', '--nbd-server', 'addr.type=unix,addr.path=sock'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.line()
        self.cmd('qmp_capabilities')
        self.cmd('blockdev-add', **image.opened(self.discard, self.detect))
        self.export()

    def line(self):
        text = self.p.stdout.readline()
        if not text:
            raise Bad(f'the daemon ended: {self.p.wait(PATIENCE)}')
        return json.loads(text)

    def ask(self, command, **args):
        args = {k.replace('_', '-'): v for k, v in args.items()}
        self.w.log(f'  {command} {json.dumps(args)}')
        self.p.stdin.write(json.dumps({'execute': command, 'arguments': args}) + '\n')
        self.p.stdin.flush()
        while True:
            r = self.line()
            if 'event' not in r:
                return r
            self.events.append(r)

    def cmd(self, command, **args):
        r = self.ask(command, **args)
        if 'error' in r:
            raise Bad(f'{command} {args}: {r["error"]["desc"]}')
        return r['return']

    def refused(self, text, command, **args):
        r = self.ask(command, **args)
        if text not in r.get('error', {}).get('desc', ''):
            raise Bad(f'{command} {args}: {r}, not refused with {text}')

    def until(self, event, **data):
        while True:
            for r in self.events:
                if r['event'] == event and all(r['data'].get(k) == v for k, v in data.items()):
                    self.events.remove(r)
                    return r['data']
            self.events.append(self.line())

    # ---- requests ----

    def connect(self, name='e'):
        if self.client:
            self.client.close()
        self.client = Client('sock')
        self.client.greet()
        self.client.modes()
        if self.client.go(name)[-1] != (1, b''):
            raise Bad('the export is not there')

    def do(self, *args, **named):
        error, data, _ = self.client.do(*args, **named)
        if error:
            raise Bad(f'request {args[:3]}: error {error}')
        return data

    def export(self):
        """Anew where the disk has another size: an export keeps the one that it began with."""
        if self.client:
            self.cmd('block-export-del', id='e', mode='hard')
            self.until('BLOCK_EXPORT_DELETED', id='e')
        self.cmd('block-export-add', type='nbd', id='e', node_name=self.top.node, name='e', writable=True)
        self.connect()

    def read(self, off=0, length=None):
        length = self.top.size() - off if length is None else length
        return b''.join(self.do(READ, at, min(MB, off + length - at)) for at in range(off, off + length, MB))

    def span(self):
        size, rnd = self.top.size(), self.rnd
        unit = rnd.choice([1, 512, 512, 4 * KB, 64 * KB, 64 * KB])
        off = rnd.randrange(size) // unit * unit
        length = max(1, rnd.choice([unit, unit * rnd.randrange(1, 20), rnd.randrange(1, size)]) // unit) * unit
        if rnd.random() < 0.1:
            length = size - off
        if rnd.random() < 0.03:
            off, length = 0, size
        return off, min(length, size - off)

    def request(self):
        off, length = self.span()
        kind = self.rnd.choice(['write', 'write', 'write', 'zeroes', 'zeroes', 'keep', 'discard', 'discard', 'nothing'])
        self.w.log(f'  {kind} {off:#x}+{length:#x}')
        data = self.top.data
        if kind in ('write', 'nothing'):
            self.w.letter = self.w.letter % 255 + 1
            what = bytes(length) if kind == 'nothing' else bytes([self.w.letter]) * length
            for at in range(0, length, MB):
                self.do(WRITE, off + at, payload=what[at:at + MB])
            data[off:off + length] = what
        elif kind == 'discard':
            self.do(TRIM, off, length)
            now, was = self.read(off, length), bytes(data[off:off + length])
            for at in range(0, length, 512):
                a, b = now[at:at + 512], was[at:at + 512]
                if a != b and any(a) and any(x not in (0, y) for x, y in zip(a, b)):
                    raise Bad(f'discarded at {off + at:#x}: {a[:4].hex()}, was {b[:4].hex()}')
            data[off:off + length] = now
        else:
            self.do(ZEROES, off, length, flags=NO_HOLE if kind == 'keep' else 0)
            data[off:off + length] = bytes(length)

    def requests(self, most=6):
        for _ in range(self.rnd.randrange(most + 1)):
            self.request()
        if self.rnd.random() < 0.5:
            self.do(FLUSH)

    def look(self, what):
        bad = differ(self.read(), self.top.data)
        if bad:
            raise Bad(f'{what}: the disk has {bad}')

    # ---- jobs ----

    def job(self, command, ready=False, cancel=False, **args):
        """From begin to end, with requests in between."""
        self.jobs += 1
        j = f'j{self.jobs}'
        slow = self.rnd.random() < 0.6
        self.cmd(command, job_id=j, **({'speed': 64 * KB} if slow else {}), **args)
        self.requests(4)
        yield j
        if slow:
            r = self.ask('block-job-set-speed', device=j, speed=0)
            if 'error' in r and r['error']['class'] != 'DeviceNotActive':
                raise Bad(r['error']['desc'])
        if ready:
            self.until('BLOCK_JOB_READY', device=j)
            self.requests(4)
            self.cmd('block-job-cancel' if cancel else 'block-job-complete', device=j)
        done = self.until('BLOCK_JOB_CANCELLED' if cancel and not ready else 'BLOCK_JOB_COMPLETED', device=j)
        if 'error' in done:
            raise Bad(f'{command}: {done["error"]}')
        self.until('JOB_STATUS_CHANGE', id=j, status='null')

    def whole(self, *args, **named):
        for _ in self.job(*args, **named):
            pass

    def run(self):
        for _ in range(self.rnd.randrange(1, 4)):
            self.requests()
            step = self.rnd.choice([self.stream, self.commit, self.active_commit, self.mirror, self.mirror, self.backup, self.snapshot, self.resize, self.fleece])
            step()
            self.look(step.__name__)
        self.requests()
        self.look('requests')
        self.end()

    def end(self):
        self.client.close()
        self.cmd('quit')
        if self.p.wait(PATIENCE):
            raise Bad(f'the daemon ends with {self.p.returncode}')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.wait(PATIENCE)

    def chain(self):
        out = [self.top]
        while out[-1].below:
            out.append(out[-1].below)
        return out

    def stream(self):
        layers = self.chain()
        if len(layers) < 2:
            return None
        at = self.rnd.randrange(len(layers) - 1)
        base = self.rnd.choice([None] + layers[at + 1:])
        more = {'base_node': base.node} if base else {}
        if layers[at].fmt in FIXED_BACKING and base is not layers[at].below:
            return self.refused('can not be given another backing file', 'block-stream', job_id='r', device=layers[at].node, **more)
        self.whole('block-stream', device=layers[at].node, **more)
        layers[at].over(base)
        return None

    def commit(self):
        layers = self.chain()
        if len(layers) < 3:
            return None
        at = self.rnd.randrange(1, len(layers) - 1)
        to = self.rnd.randrange(at + 1, len(layers))
        top, base = layers[at], layers[to]
        if base.fmt in FIXED_SIZE and base.size() < top.size():
            return None                                     # cannot grow
        if layers[at - 1].fmt in FIXED_BACKING:
            return self.refused('can not be given another backing file', 'block-commit', job_id='r', device=self.top.node, top_node=top.node, base_node=base.node)
        self.whole('block-commit', device=self.top.node, top_node=top.node, base_node=base.node)
        base.data = grown(top, base, layers[at - 1].size())
        self.w.settle(base)
        layers[at - 1].over(base)
        return None

    def active_commit(self):
        layers = self.chain()
        if len(layers) < 2:
            return
        base = self.rnd.choice(layers[1:])
        if base.fmt in FIXED_SIZE and base.size() < self.top.size():
            return
        self.whole('block-commit', ready=True, device=self.top.node, base_node=base.node)
        base.data = grown(self.top, base, 0)
        self.w.settle(base)
        self.top = base
        self.export()

    def target(self, below=None, used=True, opened=CHAIN):
        """An image of some shape for a job, full of old bytes where nothing lies below it."""
        shapes = [s for s, (_, _, takes, _) in SHAPES.items() if not below or takes == 'any' or takes == below.fmt != 'vmdk']
        t = self.w.make(self.rnd.choice(shapes), self.top.size(), below)
        if t.size() != self.top.size():
            return None
        if used and not below and self.rnd.random() < 0.7:
            self.w.fill(t)
        o = t.opened('unmap', self.rnd.choice(['off', 'off', 'unmap']), backing=opened if below else CHAIN)
        self.cmd('blockdev-add', **o)
        return t

    def mirror(self):
        sync = self.rnd.choice(['full', 'full', 'top'])
        below = self.top.below if sync == 'top' else None
        cancel = self.rnd.random() < 0.5
        opened = None if cancel and self.rnd.random() < 0.5 else below and below.node
        t = self.target(below, opened=opened)
        if not t:
            return
        mode = self.rnd.choice(['background', 'write-blocking']) if not below or opened else 'background'
        args = {'granularity': self.rnd.choice([512, 4096, 65536, MB])} if self.rnd.random() < 0.4 else {}
        self.whole('blockdev-mirror', ready=True, cancel=cancel, device=self.top.node, target=t.node, sync=sync, copy_mode=mode, **args)
        t.data = bytearray(self.top.data)
        if cancel:
            self.aside(t)
        else:
            self.top = t

    def aside(self, t):
        self.cmd('blockdev-del', node_name=t.node)
        self.w.aside.append(t)

    def backup(self):
        sync = self.rnd.choice(['full', 'full', 'top', 'incremental'])
        if sync == 'incremental':
            return self.incremental()
        below = self.top.below if sync == 'top' else None
        t = self.target(below, opened=below and below.node)
        if not t:
            return None
        t.data = bytearray(self.top.data)
        self.whole('blockdev-backup', device=self.top.node, target=t.node, sync=sync)
        self.aside(t)
        return None

    def incremental(self):
        t = self.target(None)
        if not t:
            return
        self.cmd('block-dirty-bitmap-add', node=self.top.node, name='b', granularity=self.rnd.choice([512, 4096, 65536]))
        first = bytearray(self.top.data)
        self.whole('blockdev-backup', device=self.top.node, target=t.node, sync='full')
        t.data = first
        # onto an overlay of the first, or onto the first itself
        u = self.target(t, opened=t.node) if self.rnd.random() < 0.6 else None
        self.requests()
        second = bytearray(self.top.data)
        self.whole('blockdev-backup', device=self.top.node, target=(u or t).node, sync='incremental', bitmap='b')
        (u or t).data = second
        self.cmd('block-dirty-bitmap-remove', node=self.top.node, name='b')
        if u:
            self.aside(u)
        self.aside(t)

    def fleece(self):
        """The disk as it was, by a target that keeps what is overwritten."""
        t = self.target(self.top, opened=self.top.node)
        if not t:
            return
        old, mine = bytearray(self.top.data), self.client
        for j in self.job('blockdev-backup', device=self.top.node, target=t.node, sync='none', cancel=True):
            self.cmd('block-export-add', type='nbd', id='old', node_name=t.node, name='old')
            self.client = None
            self.connect('old')
            now = b''.join(self.do(READ, at, min(MB, len(old) - at)) for at in range(0, len(old), MB))
            self.client.close()
            self.client = mine
            if differ(now, old):
                raise Bad(f'kept by a backup: {differ(now, old)}')
            self.cmd('block-export-del', id='old', mode='hard')
            self.until('BLOCK_EXPORT_DELETED', id='old')
            self.cmd('block-job-cancel', device=j)
        self.cmd('blockdev-del', node_name=t.node)
        self.w.drop(t)

    def snapshot(self):
        shapes = [s for s, (_, _, takes, _) in SHAPES.items() if takes == 'any' or takes == self.top.fmt != 'vmdk']      # a vmdk in use is no parent of a new one
        size = self.top.size() if self.rnd.random() < 0.5 else self.w.size()
        t = self.w.make(self.rnd.choice(shapes), size, self.top)
        if t.fmt in FOREIGN and t.size() != self.top.size():
            return
        self.cmd('blockdev-add', **{**t.opened(self.discard, self.detect), 'backing': None})
        self.cmd('blockdev-snapshot', node=self.top.node, overlay=t.node)
        self.top = t
        self.export()

    def resize(self):
        size = self.w.size()
        if self.top.snapshots and self.top.version == '0.10':
            return self.refused('v2 image', 'block_resize', node_name=self.top.node, size=size)
        if not self.top.grows or (size < self.top.size() and self.top.grows != 'both'):
            return None
        self.cmd('block_resize', node_name=self.top.node, size=size)
        resized(self.top, size)
        self.export()
        return None


def resized(image, size):
    image.data = image.data[:size] + bytes(max(0, size - image.size()))


def grown(top, base, seen):
    """What base has when top was committed to it; what lies behind top's end is zero as far as somebody saw it so."""
    out = bytearray(top.data) + base.data[top.size():]
    end = min(seen, len(out))
    if end > top.size():
        out[top.size():end] = bytes(end - top.size())
    return out


class World:
    def __init__(self, args, seed):
        self.rnd = random.Random(seed)
        self.img, self.daemon, self.peer = args.img, args.daemon, args.peer
        self.count, self.letter, self.aside, self.lines = 0, 0, [], []
        self.history = []

    def log(self, line):
        self.history.append(line)

    def run(self, tool, *argv, status=(0,)):
        self.log(f'{os.path.basename(tool)} {" ".join(argv)}')
        r = subprocess.run([tool, *argv], capture_output=True, text=True, timeout=PATIENCE)
        if r.returncode not in status:
            raise Bad(f'{os.path.basename(tool)} {" ".join(argv)}: {r.returncode} {r.stderr.strip()}')
        return r

    def tool(self, *argv, **named):
        return self.run(self.img, *argv, **named)

    def size(self):
        return self.rnd.choice([MB, 3 * MB, 64 * KB * self.rnd.randrange(8, 50), 512 * self.rnd.randrange(1000, 6000)])

    # ---- images ----

    def make(self, shape, size, below=None, name=None):
        t = Image(self, shape, size, below, name)
        options = ['-o', t.options.format(t.name)] if t.options else []
        backing = ['-b', below.name, '-F', below.fmt] if below else []
        unsafe = ['-u'] if below else []                        # it may be in use
        self.tool('create', '-q', '-f', t.fmt, *unsafe, *backing, *options, t.name, str(size))
        now = json.loads(self.tool('info', '--output=json', '-U', '-f', t.fmt, t.name).stdout)['virtual-size'] if t.fmt in ('vpc', 'parallels', 'vhdx', 'vdi') else size
        if now != size:
            resized(t, now)
        return t

    def fill(self, t):
        with open('fill.raw', 'wb') as f:
            f.write(b'\xa5' * t.size())
        self.tool('convert', '-n', '-f', 'raw', '-O', t.fmt, 'fill.raw', t.name)
        t.data = bytearray(b'\xa5' * t.size())

    def drop(self, t):
        for name in (t.name, t.name + '.data'):
            if os.path.exists(name):
                os.unlink(name)

    def content(self, tool, t, *more):
        if os.path.exists('out.raw'):
            os.unlink('out.raw')
        self.run(tool, 'convert', *more, '-f', t.fmt, '-O', 'raw', t.name, 'out.raw')
        with open('out.raw', 'rb') as f:
            return f.read()

    def inspect(self, t):
        bad = differ(self.content(self.img, t), t.data)
        if bad:
            raise Bad(f'{t.describe()} has {bad}')
        for name, data in t.snapshots.items():
            bad = data and differ(self.content(self.img, t, '-l', name), data)
            if bad:
                raise Bad(f'snapshot {name} of {t.describe()} has {bad}')
        if t.fmt in CHECKED:
            self.tool('check', '-q', '-f', t.fmt, t.name)
        if self.peer and not (t.below and t.fmt in FOREIGN):
            below = t.below
            while below and not (below.below and below.fmt in FOREIGN):
                below = below.below
            if below is None:
                bad = differ(self.content(self.peer, t), t.data)
                if bad:
                    raise Bad(f'{t.describe()}, read by the peer: {bad}')
            if below is None and t.fmt in ('qcow2', 'qed', 'vdi', 'vhdx', 'parallels'):
                self.run(self.peer, 'check', '-q', '-f', t.fmt, t.name)

    def settle(self, base):
        """Copies over an image that was written to show something else now: there is nothing to compare them with."""
        def over(t):
            return t and (t is base or over(t.below))
        self.aside = [t for t in self.aside if not over(t.below)]

    def inspect_all(self):
        t = self.top
        while t:
            self.inspect(t)
            t = t.below
        for t in self.aside:
            self.inspect(t)
        self.aside = []

    # ---- steps by the image tool ----

    def overlay(self):
        shapes = [s for s, (_, o, takes, _) in SHAPES.items() if takes == 'any' or takes == self.top.fmt]
        size = self.top.size() if self.rnd.random() < 0.4 or self.top.fmt in FOREIGN else self.size()
        self.top = self.make(self.rnd.choice(shapes), size, self.top)

    def step_session(self):
        with Daemon(self, self.top) as d:
            d.run()
        self.top = d.top

    def step_overlay(self):
        if self.depth() < 5 and any(takes in ('any', self.top.fmt) for _, _, takes, _ in SHAPES.values()):
            self.overlay()

    def depth(self):
        t, n = self.top, 0
        while t:
            t, n = t.below, n + 1
        return n

    def step_resize(self):
        size = self.size()
        t = self.top
        if t.grows == 'both' or (t.grows == 'up' and size >= t.size()):
            if t.snapshots and t.version == '0.10':
                return                      # refused: old images do not keep the sizes of snapshots
            self.tool('resize', '-q', '--shrink', '-f', t.fmt, t.name, str(size))
            resized(t, size)

    def step_snapshot(self):
        t = self.top
        if t.fmt != 'qcow2' or 'data_file' in t.options:
            return
        what = self.rnd.choice(['-c', '-c', '-a', '-d']) if t.snapshots else '-c'
        if what == '-c':
            name = f's{self.count}'
            self.count += 1
            t.snapshots[name] = bytes(t.data)
        else:
            name = self.rnd.choice(sorted(t.snapshots))
        self.tool('snapshot', '-q', what, name, t.name)
        if what == '-a':
            t.data = bytearray(t.snapshots[name] or self.content(self.img, t))
        elif what == '-d':
            del t.snapshots[name]

    def step_rebase(self):
        """To another image of other bytes, of any size, to a lower layer, or to nothing."""
        t = self.top
        if not t.takes or t.fmt in FIXED_BACKING or not t.below and (t.fmt in FOREIGN or self.rnd.random() < 0.5):
            return
        layers = []
        while (layers[-1] if layers else t).below:
            layers.append((layers[-1] if layers else t).below)
        to = self.rnd.choice([None, 'new', 'new'] + layers[1:])
        if to == 'new':
            shapes = [s for s, (fmt, _, _, _) in SHAPES.items() if t.takes in ('any', fmt)]
            to = self.make(self.rnd.choice(shapes), t.size() if t.fmt in FOREIGN else self.size())
            if t.fmt in FOREIGN and to.size() != t.size():
                return self.drop(to)
            self.fill(to)
        more = ['-c'] if t.fmt == 'qcow2' and 'data_file' not in t.options and self.rnd.random() < 0.3 else []
        self.tool('rebase', '-q', *more, '-f', t.fmt, *(['-b', to.name, '-F', to.fmt] if to else ['-b', '']), t.name)
        t.over(to)
        return None

    def step_commit(self):
        t = self.top
        if not t.below or t.snapshots:
            return
        layers = [t.below]
        while layers[-1].below:
            layers.append(layers[-1].below)
        base = self.rnd.choice(layers) if self.rnd.random() < 0.4 else t.below
        if base.size() < t.size() and not base.grows:
            return
        more = ['-b', base.name] if base is not t.below or self.rnd.random() < 0.3 else self.rnd.choice([[], ['-d']])
        self.tool('commit', '-q', '-f', t.fmt, *more, t.name)
        base.data = grown(t, base, 0)
        if base is not t.below:
            self.top = base                 # what lies between shows a mixture
        elif t.fmt in FOREIGN and more:
            self.top = base
        elif base.size() < t.size():
            raise Bad('the base did not grow')

    def step_convert(self):
        """The top to a new image, alone or over what lies below it, or onto an old one."""
        how = self.rnd.choice(['new', 'over', 'onto', 'packed'])
        t = self.top
        below = t.below if how == 'over' else None
        if how == 'over' and not below:
            return
        shapes = [s for s, (fmt, o, takes, _) in SHAPES.items() if (not below or takes in ('any', below.fmt)) and
                  (how != 'packed' or fmt in ('qcow2', 'qcow', 'vmdk') and 'data_file' not in o and 'preallocation' not in o)]
        if how == 'onto':
            u = self.make(self.rnd.choice(shapes), t.size())
            self.fill(u)
        else:
            u = Image(self, self.rnd.choice(shapes), t.size(), below)
        options = ['-o', u.options.format(u.name)] if u.options and how != 'onto' else []
        if how == 'packed' and u.fmt == 'vmdk':
            options = ['-o', 'subformat=streamOptimized']
        more = self.rnd.choice([[], ['-m', '16', '-W'], ['-S', '0'], ['-S', '64k']])
        more = more + {'new': [], 'over': ['-B', below.name, '-F', below.fmt] if below else [], 'onto': ['-n'], 'packed': ['-c']}[how]
        self.tool('convert', '-f', t.fmt, '-O', u.fmt, *options, *more, t.name, u.name)
        got = self.content(self.img, u)
        u.data = bytearray(t.data) + bytes(max(0, len(got) - t.size())) if how != 'onto' else bytearray(t.data) + u.data[t.size():]
        self.inspect(u)
        if self.rnd.random() < 0.5 and not (how == 'packed' and u.fmt == 'vmdk'):
            self.top = u

    def step_amend(self):
        t = self.top
        if t.shape in ('qcow2', 'qcow2-old') and not t.snapshots:
            t.version = self.rnd.choice(['0.10', '1.1'])
            self.tool('amend', '-q', '-f', 'qcow2', '-o', 'compat=' + t.version, t.name)

    def live(self, steps):
        self.top = self.make(self.rnd.choice(list(SHAPES)), self.size())
        if self.rnd.random() < 0.5:
            self.fill(self.top)
        self.step_overlay()
        for _ in range(steps):
            # sessions are where bytes come from
            step = self.rnd.choice([self.step_session] * 5 + [self.step_overlay, self.step_resize, self.step_snapshot, self.step_rebase, self.step_commit, self.step_convert, self.step_amend])
            self.log(f'{step.__name__}: {self.top.describe()}')
            step()
            self.inspect_all()


LENGTHS = [(3, 1, 3), (3, 1, 2), (2, 1, 3), (1, 2, 3), (3, 2, 1)]       # of a chain, from the base up: zeroes are behind each end


def ends(w):
    """Jobs that take a layer out of the middle, of another length than what is around it."""
    for lengths in LENGTHS:
        for job in ('stream', 'commit', 'active'):
            w.log(f'{job} {lengths}')
            base = w.make('qcow2', lengths[0] * MB)
            w.fill(base)
            mid = w.make('qcow2', lengths[1] * MB, base)
            w.top = w.make('qcow2', lengths[2] * MB, mid)
            with Daemon(w, w.top) as d:
                if job == 'stream':
                    d.whole('block-stream', device=w.top.node, base_node=base.node)
                    w.top.over(base)
                elif job == 'commit':
                    d.whole('block-commit', device=w.top.node, top_node=mid.node, base_node=base.node)
                    base.data = grown(mid, base, w.top.size())
                    w.top.over(base)
                else:
                    d.whole('block-commit', ready=True, device=w.top.node, base_node=base.node)
                    base.data = grown(w.top, base, 0)
                    d.top = base
                    d.export()
                d.look(job)
                d.end()
            w.top = d.top
            w.inspect_all()


def bytes_over(w):
    """Single bytes, where what lies below is not zeroes."""
    for shape, (_, _, takes, _) in SHAPES.items():
        if takes:
            below = w.make(shape, 3 * MB)
            w.fill(below)
            w.top = w.make(shape, 3 * MB, below)
            with Daemon(w, w.top) as d:
                for at in (0x10f, 0x1000, 0x23759a, below.size() - 1):
                    d.do(WRITE, at, payload=b'Z')
                    w.top.data[at] = ord('Z')
                d.do(ZEROES, 0x2001, 1021)
                w.top.data[0x2001:0x2001 + 1021] = bytes(1021)
                d.look('bytes')
                d.end()
            w.inspect_all()


FIXED = {'ends': ends, 'bytes': bytes_over}


def main():
    p = argparse.ArgumentParser()
    p.add_argument('img', type=os.path.abspath)
    p.add_argument('daemon', type=os.path.abspath)
    p.add_argument('--seeds', default='1-5')
    p.add_argument('--steps', type=int, default=6)
    p.add_argument('--peer', type=os.path.abspath, default=shutil.which('qemu-img'))
    p.add_argument('--keep', action='store_true')
    args = p.parse_args()
    first, _, last = args.seeds.partition('-')
    todo, bad = [*FIXED, *range(int(first), int(last or first) + 1)], 0
    print(f'1..{len(todo)}')
    for number, seed in enumerate(todo, 1):
        folder = tempfile.mkdtemp(prefix=f'model-{seed}-')
        os.chdir(folder)
        w = World(args, seed)
        try:
            if seed in FIXED:
                FIXED[seed](w)
            else:
                w.live(args.steps)
            print(f'ok {number} - seed {seed}', flush=True)
        except Exception as e:                                  # whatever it is, the way to it is wanted
            bad += 1
            where = '' if isinstance(e, Bad) else traceback.format_exc()
            print(''.join(f'# {line}\n' for line in w.history[-60:] + where.splitlines() + [f'{e}']), end='')
            print(f'not ok {number} - seed {seed}: {e}'.replace('\n', ' '), flush=True)
        os.chdir('/')
        if not args.keep:
            shutil.rmtree(folder)
    return bad > 0


if __name__ == '__main__':
    sys.exit(main())
