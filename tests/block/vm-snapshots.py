#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Snapshots of a machine and its disks, by people's commands and programs' jobs, on a machine that stands still: bytes, lists, errors.

usage: vm-snapshots.py RHEA RHEA-IMG [TEST...]

The texts are those of the peer's version 11; its image tool, where it is installed, reads the images.
"""
import json
import os
import random
import re
import shutil
import subprocess
import sys

from nbdlib import *

RHEA, IMG = (os.path.abspath(a) for a in sys.argv[1:3])
PEER = shutil.which('qemu-img')
MiB = 1 << 20


class Machine:
    def __init__(self, *args):
        if not os.path.lexists('rhea-system-aarch64'):
            os.symlink(RHEA, 'rhea-system-aarch64')         # the name says which boards
        self.p = subprocess.Popen(['./rhea-system-aarch64', '-M', 'virt', '-m', '64', '-S', '-display', 'none', '-serial', 'none', '-qmp', 'stdio', *args], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert 'QMP' in json.loads(self.p.stdout.readline())
        self.do('qmp_capabilities')

    def ask(self, command, **args):
        args = {k.replace('_', '-'): v for k, v in args.items()}
        self.p.stdin.write(json.dumps({'execute': command, 'arguments': args}) + '\n')
        self.p.stdin.flush()
        while True:
            line = self.p.stdout.readline()
            assert line, 'the machine has ended: ' + self.p.stderr.read()
            answer = json.loads(line)
            if 'event' not in answer:
                return answer

    def do(self, command, **args):
        answer = self.ask(command, **args)
        assert 'return' in answer, answer
        return answer['return']

    def human(self, line):
        return self.do('human-monitor-command', command_line=line).replace('\r', '')

    def job(self, command, **args):
        """The error of the job, or None."""
        self.do(command, job_id='j', **args)
        while True:
            job, = self.do('query-jobs')
            if job['status'] == 'concluded':
                self.do('job-dismiss', id='j')
                equal('type', job['type'], command)
                return job.get('error')

    def write(self, node, at, data):
        """Through an export of the node."""
        path = os.path.abspath(node + '.sock')
        self.do('nbd-server-start', addr={'type': 'unix', 'data': {'path': path}}, handshake_max_seconds=0)
        self.do('block-export-add', type='nbd', id='e', node_name=node, writable=True)
        c = Client(path)
        c.greet()
        c.modes()
        c.go(node)
        equal('write', c.do(WRITE, at, payload=data)[0], 0)
        out = c.do(READ, 0, c.size)[1]
        c.send(DISC)
        assert c.at_end()
        self.do('nbd-server-stop')
        return out

    def __enter__(self):
        return self

    def __exit__(self, *what):
        if what[0] in (None, Skip):
            self.do('quit')
            equal('status', self.p.wait(WAIT), 0)
        else:
            self.p.kill()
        self.p.communicate()


def disk(name, size='8M', *options):
    run(IMG, 'create', '-q', '-f', 'qcow2', *options, name, size)
    return ['-blockdev', f'driver=qcow2,node-name={name},file.driver=file,file.filename={os.path.abspath(name)}', '-device', f'virtio-blk-pci,drive={name},share-rw=on']


def sound(*names):
    for name in names:
        run(IMG, 'check', '-q', name)
        if PEER:
            run(PEER, 'check', '-q', name)


def rows(text):
    return [(m[1], m[2]) for m in re.finditer(r'^(\S+) +(\S+) +[\d.]+ [KM]?i?B +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +\d{4}:\d\d:\d\d\.\d{3} +(?:--|\d+)$', text, re.M)]


def contents(name):
    run(IMG, 'convert', '-f', 'qcow2', '-O', 'raw', name, 'out')
    with open('out', 'rb') as f:
        return f.read()


SHAPES = [[], ['-o', 'compat=0.10'], ['-o', 'cluster_size=512'], ['-o', 'cluster_size=2M'], ['-o', 'extended_l2=on'], ['-o', 'refcount_bits=1'], ['-o', 'lazy_refcounts=on']]


def test_people():
    for shape in SHAPES:
        rnd = random.Random(1)
        a, b = disk('a', '8M', *shape), disk('b', '4M')
        if 'refcount_bits=1' in shape:
            with Machine(*a, *b) as m:
                assert 'Failed to create snapshot' in m.human('savevm one') or 'Could not create' in m.human('savevm one')
                equal('none', m.human('info snapshots'), 'There is no snapshot available.\n')
            sound('a', 'b')
            continue
        with Machine(*a, *b) as m:
            equal('none', m.human('info snapshots'), 'There is no snapshot available.\n')
            first = [m.write('a', 0, rnd.randbytes(MiB)), m.write('b', 5000, rnd.randbytes(MiB))]
            equal('save', m.human('savevm one'), '')
            text = m.human('info snapshots')
            assert text.startswith('List of snapshots present on all disks:\nID      TAG               VM_SIZE                DATE        VM_CLOCK     ICOUNT\n'), text
            equal('list', rows(text), [('--', 'one')])
            second = [m.write('a', 3000, rnd.randbytes(MiB)), m.write('b', 0, rnd.randbytes(MiB))]
            equal('save', m.human('savevm two'), '')
            m.write('a', 0, rnd.randbytes(2 * MiB))
            equal('list', rows(m.human('info snapshots')), [('--', 'one'), ('--', 'two')])
            equal('gone', m.human('loadvm gone'), "Error: Snapshot 'gone' does not exist in one or more devices\n")
            equal('load', m.human('loadvm one'), '')
            equal('first', [m.write('a', 0, first[0][:1]), m.write('b', 0, first[1][:1])], first)
            equal('load', m.human('loadvm two'), '')
            equal('second', [m.write('a', 0, second[0][:1]), m.write('b', 0, second[1][:1])], second)
            equal('again', m.human('savevm one'), '')
            equal('delete', m.human('delvm two'), '')
            equal('nothing to delete', m.human('delvm two'), '')
            equal('a name of its own', m.human('savevm'), '')
            names = [t for _, t in rows(m.human('info snapshots'))]
            assert len(names) == 2 and names[0] == 'one' and re.fullmatch(r'vm-\d{14}', names[1]), names
        sound('a', 'b')
        equal('disk', [contents('a'), contents('b')], second)
        with Machine(*a, *b, '-loadvm', 'one') as m:
            equal('first', [m.write('a', 0, second[0][:1]), m.write('b', 0, second[1][:1])], second)
        p = subprocess.run(['./rhea-system-aarch64', '-M', 'virt', '-m', '64', '-S', '-display', 'none', '-serial', 'none', '-monitor', 'none', *a, *b, '-loadvm', 'no'],
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT)
        equal('-loadvm', (p.returncode, p.stderr.splitlines()[-1]), (1, "rhea-system-aarch64: Snapshot 'no' does not exist in one or more devices"))
        for tool in [IMG] + ([PEER] if PEER else []):       # by itself, offline
            run(tool, 'snapshot', '-d', 'one', 'a')
            run(tool, 'snapshot', '-c', 'one', 'a')
        sound('a')
        with Machine(*a, *b) as m:
            equal('disk only', m.human('loadvm one'), 'Error: This is a disk-only snapshot. Revert to it  offline using qemu-img\n')


def test_grow():
    """What the tables have behind the disk's end does not come into it, and a state that was never taken along goes."""
    a = disk('a', '1M', '-o', 'cluster_size=4096')
    with Machine(*a) as m:
        data = m.write('a', 0, random.Random(2).randbytes(MiB))
        for i in range(3):
            equal('save', m.human(f'savevm s{i}'), '')
            m.do('block_resize', node_name='a', size=(2 + i) * MiB)
        equal('load', m.human('loadvm s1'), '')
        equal('size', len(m.write('a', 0, data[:1])), 2 * MiB)
        m.do('block_resize', node_name='a', size=16 * MiB)
        equal('grown', m.write('a', 0, data[:1]), data + bytes(15 * MiB))
    sound('a')
    for tool in [IMG] + ([PEER] if PEER else []):
        run(tool, 'snapshot', '-a', 's0', 'a')
        run(IMG, 'resize', '-q', '-f', 'qcow2', 'a', '24M')     # the peer's shows the state at the disk's end
        equal(tool, contents('a'), data + bytes(23 * MiB))
        sound('a')
        run(IMG, 'resize', '-q', '-f', 'qcow2', '--shrink', 'a', '1M')


def test_refused():
    with open('r', 'wb') as f:
        f.truncate(MiB)
    raw = ['-drive', 'if=none,id=r,format=raw,file=r', '-device', 'virtio-blk-pci,drive=r']
    a = disk('a')
    nowhere = 'Error: no block device can store vmstate for snapshot\n'
    with Machine() as m:
        equal('no disk', [m.human(c) for c in ('info snapshots', 'savevm x', 'loadvm x', 'delvm x')], [nowhere, nowhere, nowhere, ''])
    with Machine(*a) as m:
        equal('save', m.human('savevm x'), '')
    with Machine(*a, *raw) as m:
        text = m.human('info snapshots')
        assert text.startswith("List of snapshots present on all disks:\nNone\n\nList of partial (non-loadable) snapshots on 'a':\nID "), text
        equal('partial', rows(text), [('1', 'x')])
        for c in ('savevm x', 'loadvm x', 'delvm x'):
            equal(c, m.human(c), "Error: Device 'r' is writable but does not support snapshots\n")
    with Machine(*a, '-device', 'virtio-rng-pci') as m:     # another machine than the one that was saved
        before = m.write('a', 0, b'changed')
        assert m.human('loadvm x').startswith('Error: '), 'a state of another machine is loaded'
        equal('nothing changed', m.write('a', 0, b'changed'), before)
        m.do('block-dirty-bitmap-add', node='a', name='b')
        equal('bitmap', m.human('loadvm x'), "Error: Device 'a' has active dirty bitmaps\n")
    sound('a')


def test_jobs():
    a, b = disk('na'), disk('nb')
    with open('r', 'wb') as f:
        f.truncate(MiB)
    raw = ['-blockdev', f'driver=raw,node-name=nr,file.driver=file,file.filename={os.path.abspath("r")}']
    both = ['na', 'nb']
    with Machine(*a, *b, *raw) as m:
        data = m.write('na', 0, b'first' * 1000)
        save = lambda **more: m.job('snapshot-save', **{'tag': 't', 'vmstate': 'na', 'devices': both, **more})
        load = lambda **more: m.job('snapshot-load', **{'tag': 't', 'vmstate': 'na', 'devices': both, **more})
        equal('save', save(), None)
        equal('again', save(), "Snapshot 't' already exists in one or more devices")
        equal('vmstate', save(tag='u', vmstate='nb', devices=['na']), "vmstate block device 'nb' does not exist")
        equal('unknown', save(tag='u', vmstate='nope', devices=['na']), "vmstate block device 'nope' does not exist")
        equal('unknown', save(tag='u', devices=['na', 'nope']), "No block device node 'nope'")
        equal('none', save(tag='u', devices=[]), 'At least one device is required for snapshot')
        equal('raw', save(tag='u', vmstate='nr', devices=['nr']), "Device 'nr' is writable but does not support snapshots")
        m.write('na', 0, b'second' * 1000)
        equal('gone', load(tag='zz'), "Snapshot 'zz' does not exist in one or more devices")
        equal('disk only', load(vmstate='nb'), 'This is a disk-only snapshot. Revert to it  offline using qemu-img')
        equal('load', load(), None)
        equal('back', m.write('na', 0, b'f'), data)
        equal('delete', m.job('snapshot-delete', tag='zz', devices=['na']), None)
        equal('delete', m.job('snapshot-delete', tag='t', devices=['na']), None)
        equal('half', load(), "Snapshot 't' does not exist in one or more devices")
        m.do('block-dirty-bitmap-add', node='nb', name='b')
    sound('na', 'nb')


if __name__ == '__main__':
    main(sys.argv[3:], globals())
