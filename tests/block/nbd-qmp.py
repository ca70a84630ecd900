#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Exports of a running machine, made over QMP; clients come and go meanwhile.

usage: nbd-qmp.py RHEA RHEA-IMG RHEA-STORAGE-DAEMON [TEST...]
"""
import json
import os
import random
import signal
import socket
import subprocess
import sys

from nbdlib import *

RHEA, IMG, DAEMON = (os.path.abspath(a) for a in sys.argv[1:4])
NBD = os.path.join(os.path.dirname(IMG), 'rhea-nbd')
MiB = 1 << 20


class Machine:
    def __init__(self, *args):
        if not os.path.lexists('rhea-system-aarch64'):
            os.symlink(RHEA, 'rhea-system-aarch64')         # the name says which boards
        self.p = subprocess.Popen(['./rhea-system-aarch64', '-M', 'virt', '-S', '-display', 'none', '-qmp', 'stdio', *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.events = []
        assert 'QMP' in json.loads(self.p.stdout.readline())
        self.do('qmp_capabilities')

    def ask(self, command, **args):
        args = {k.replace('_', '-'): v for k, v in args.items()}
        self.p.stdin.write(json.dumps({'execute': command, 'arguments': args}) + '\n')
        self.p.stdin.flush()
        while True:
            line = self.p.stdout.readline()
            assert line, 'the machine has ended'
            answer = json.loads(line)
            if 'event' not in answer:
                return answer
            self.events.append((answer['event'], answer.get('data')))

    def do(self, command, **args):
        answer = self.ask(command, **args)
        assert 'return' in answer, answer
        return answer['return']

    def refused(self, want, command, **args):
        equal(command, self.ask(command, **args).get('error'), {'class': 'GenericError', 'desc': want})

    def __enter__(self):
        return self

    def __exit__(self, *what):
        if what[0] in (None, Skip):
            self.do('quit')
            equal('status', self.p.wait(WAIT), 0)
        else:
            self.p.kill()


def test_commands():
    data = random.Random(1).randbytes(MiB)
    with open('r.img', 'wb') as f:
        f.write(data)
    path = os.path.abspath('q.sock')
    unix = {'type': 'unix', 'data': {'path': path}}
    with Machine() as m:
        m.refused('NBD server not running', 'nbd-server-stop')
        m.refused('NBD server not running', 'nbd-server-add', device='n0')
        m.do('blockdev-add', driver='raw', node_name='n0', file={'driver': 'file', 'filename': os.path.abspath('r.img')})
        m.refused('NBD server not running', 'block-export-add', type='nbd', id='e', node_name='n0')
        m.do('nbd-server-start', addr=unix)
        m.refused('NBD server already running', 'nbd-server-start', addr=unix)
        m.do('block-export-add', type='nbd', id='e0', node_name='n0', name='ex', writable=True)
        m.refused("Block export id 'e0' is already in use", 'block-export-add', type='nbd', id='e0', node_name='n0', name='other')
        m.refused("NBD server already has export named 'ex'", 'block-export-add', type='nbd', id='e1', node_name='n0', name='ex')
        m.refused("Cannot find device='' nor node-name='nosuch'", 'block-export-add', type='nbd', id='e1', node_name='nosuch')
        m.refused("Export 'nosuch' is not found", 'block-export-del', id='nosuch')
        m.refused("Export 'nosuch' is not found", 'nbd-server-remove', name='nosuch')
        equal('query', m.do('query-block-exports'), [{'node-name': 'n0', 'shutting-down': False, 'type': 'nbd', 'id': 'e0'}])
        m.do('nbd-server-add', device='n0')
        c = Client(path)
        c.greet()
        equal('names', sorted(d[4:] for _, d in c.option(OPT_LIST)[:-1]), [b'ex', b'n0'])
        c.modes()
        c.go('ex')
        equal('read', c.do(READ, 100, 1000), (0, data[100:1100], []))
        # a client without an export of its own sees one that it knew go
        d = Client(path)
        d.greet()
        d.modes()
        d.set_meta('ex', 'base:allocation')
        refused = m.ask('block-export-del', id='e0')
        equal('in use', refused['error']['desc'], "export 'e0' still in use")
        equal('read', c.do(READ, 100, 1000)[0], 0)
        m.do('block-export-del', id='e0', mode='hard')
        equal('event', m.events, [('BLOCK_EXPORT_DELETED', {'id': 'e0'})])
        assert c.at_end()
        equal('gone', d.go('ex')[0][0], ERR | 6)
        equal('other', d.go('n0')[-1], (1, b''))
        equal('read', d.do(READ, 0, 10), (0, data[:10], []))
        m.events.clear()
        m.do('nbd-server-stop')
        equal('event', m.events, [('BLOCK_EXPORT_DELETED', {'id': 'n0'})])
        assert d.at_end() and not os.path.exists(path)
        m.do('nbd-server-start', addr=unix)
        m.do('human-monitor-command', command_line='nbd_server_add -w n0 people')
        equal('query', [e['id'] for e in m.do('query-block-exports')], ['people'])
        run(IMG, 'compare', '-f', 'raw', '-F', 'raw', f'nbd+unix:///people?socket={path}', 'r.img')
        c = Client(path)
        c.greet()
        c.modes()
        c.go('people')
        equal('write', c.do(WRITE, 0, payload=b'q' * 512)[0], 0)
        m.do('object-add', qom_type='secret', id='s0', data='x')
        m.refused("attempt to add duplicate property 's0' to object (type 'container')", 'object-add', qom_type='secret', id='s0', data='x')
        m.refused("Either 'file' or 'data' must be provided", 'object-add', qom_type='secret', id='s1')
        m.do('object-del', id='s0')
        m.refused("object 's0' not found", 'object-del', id='s0')
        # the machine ends with a client, and an export, still there
    assert c.at_end() and not os.path.exists(path)
    with open('r.img', 'rb') as f:
        equal('written', f.read(1024), b'q' * 512 + data[512:1024])


def io_threads(m, *names):
    for n in names:
        m.do('object-add', qom_type='iothread', id=n)


def switches(m):
    """How often each I/O thread has gone to sleep: one that serves does."""
    out = {}
    for t in m.do('query-iothreads'):
        with open(f'/proc/{m.p.pid}/task/{t["thread-id"]}/status') as f:
            out[t['id']] = sum(int(line.split()[1]) for line in f if 'ctxt_switches' in line)
    return out


def test_iothreads():
    """Connections are served by the threads that an export names, one after the other; these stay as long as it does."""
    data = bytearray(random.Random(3).randbytes(4 * MiB))
    with open('r.img', 'wb') as f:
        f.write(data)
    path = os.path.abspath('q.sock')
    with Machine() as m:
        io_threads(m, 'io0', 'io1', 'io2')
        m.do('blockdev-add', driver='raw', node_name='n0', file={'driver': 'file', 'filename': os.path.abspath('r.img')})
        m.do('nbd-server-start', addr={'type': 'unix', 'data': {'path': path}})
        export = dict(type='nbd', id='e', node_name='n0', name='ex', writable=True)
        m.refused('iothread "no" not found', 'block-export-add', **export, iothread='no')
        m.refused('iothread "no" not found', 'block-export-add', **export, iothread=['io0', 'no'])
        m.refused("Parameter 'iothread' is an empty list", 'block-export-add', **export, iothread=[])
        for names in ('io0', ['io1', 'io2']):
            m.do('block-export-add', **export, iothread=names, fixed_iothread=True)
            before = switches(m)
            clients = [Client(path) for _ in range(6)]
            for c in clients:
                c.greet()
                c.modes()
                c.set_meta('ex', 'base:allocation')
                c.go('ex')
            rnd = random.Random(4)
            for turn in range(40):
                open_requests = []
                for i, c in enumerate(clients):
                    at, n = (i + 6 * rnd.randrange(100)) * 4096 + rnd.randrange(1000), rnd.randrange(1, 3000)
                    part = rnd.randbytes(n)
                    data[at:at + n] = part
                    open_requests.append((c, at, n, c.send(WRITE, at, n, payload=part)))
                for c, at, n, cookie in open_requests:
                    equal('written', c.answer(cookie)[0], 0)
                for i, (c, at, n, _) in enumerate(open_requests):
                    other = clients[(i + 1) % len(clients)]         # of another thread
                    equal('read', other.do(READ, at, n)[:2], (0, bytes(data[at:at + n])))
                    equal('status', other.do(STATUS, at, n)[0], 0)
            equal('flush', clients[0].do(FLUSH)[0], 0)
            after = switches(m)
            served = {n for n in after if after[n] > before[n] + 5}
            equal('threads that served', served, {names} if names == 'io0' else set(names))
            for n in served:
                m.refused(f"object '{n}' is in use, can not be deleted", 'object-del', id=n)
            equal('in use', m.ask('block-export-del', id='e')['error']['desc'], "export 'e' still in use")
            for c in clients[1:]:
                c.s.shutdown(socket.SHUT_RDWR)
            m.do('block-export-del', id='e', mode='hard')
            assert clients[0].at_end()
            with open('r.img', 'rb') as f:
                equal('file', f.read() == bytes(data), True)
        for n in ('io0', 'io1', 'io2'):
            m.do('object-del', id=n)


def test_iothreads_under_jobs():
    """The graph changes under clients of two threads: overlays, a mirror with its switch, limits."""
    with open('r.img', 'wb') as f:
        f.write(bytes(range(256)) * 4096)
    for name in ('o1.qcow2', 'o2.qcow2'):
        run(IMG, 'create', '-q', '-f', 'qcow2', name, '1M')
    path = os.path.abspath('q.sock')
    with Machine('-object', 'iothread,id=io0', '-object', 'iothread,id=io1') as m:
        m.do('blockdev-add', driver='file', node_name='n0', filename=os.path.abspath('r.img'))
        m.do('nbd-server-start', addr={'type': 'unix', 'data': {'path': path}})
        m.do('block-export-add', type='nbd', id='e', node_name='n0', name='ex', writable=True, iothread=['io0', 'io1'])
        clients = [Client(path) for _ in range(4)]
        rnd, model = random.Random(5), bytearray(bytes(range(256)) * 4096)
        for c in clients:
            c.greet()
            c.modes()
            c.go('ex')

        def traffic():
            sent = []
            for i, c in enumerate(clients):
                for k in range(20):
                    at = (i + 4 * rnd.randrange(64)) * 4096 + rnd.randrange(4) * 1024
                    part = rnd.randbytes(1024)
                    model[at:at + 1024] = part
                    sent.append((c, c.send(WRITE, at, 1024, payload=part)))
            return sent
        for turn in range(10):
            under_way = [traffic()]
            m.do('blockdev-add', driver='qcow2', node_name='o1', file={'driver': 'file', 'filename': os.path.abspath('o1.qcow2')}, backing=None)
            m.do('blockdev-mirror', job_id='j', device='n0', target='o1', sync='full', auto_dismiss=False, copy_mode=('background', 'write-blocking')[turn % 2])
            for c, cookie in under_way[0]:
                c.pending = getattr(c, 'pending', []) + [cookie]
            while job_at(m, 'ready', 'concluded')['status'] not in ('ready', 'concluded'):
                pass
            for c, cookie in traffic():
                c.pending.append(cookie)
            m.do('job-complete', id='j')
            for c in clients:
                todo = set(c.pending)
                while todo:
                    cookie, done, kind, d, err = c.chunk()
                    equal('error', err, 0)
                    todo.discard(cookie)
                c.pending = []
            equal('job', job_at(m, 'concluded').get('error'), None)
            m.do('job-dismiss', id='j')
            equal('disk', clients[turn % 4].do(READ, 0, MiB)[:2], (0, bytes(model)))
            equal('where', m.do('query-block-exports')[0]['node-name'], 'n0')
            # and back to the file
            m.do('blockdev-mirror', job_id='k', device='o1', target='n0', sync='full', auto_dismiss=False)
            while job_at(m, 'ready', 'concluded')['status'] not in ('ready', 'concluded'):
                pass
            m.do('job-complete', id='k')
            equal('job', job_at(m, 'concluded').get('error'), None)
            m.do('job-dismiss', id='k')
            m.do('blockdev-del', node_name='o1')
            equal('disk', clients[turn % 4].do(READ, 0, MiB)[:2], (0, bytes(model)))
        m.do('block-export-del', id='e', mode='hard')
        with open('r.img', 'rb') as f:
            equal('file', f.read() == bytes(model), True)


def test_removed_under_load():
    """Exports come and go while clients read: each answer is right, or the connection ends."""
    removed_under_load()


def test_removed_under_load_iothreads():
    removed_under_load(iothread=['io0', 'io1'])


def removed_under_load(**more):
    data = random.Random(1).randbytes(MiB)
    with open('r.img', 'wb') as f:
        f.write(data)
    path = os.path.abspath('q.sock')
    with Machine() as m:
        m.do('blockdev-add', driver='raw', node_name='n0', file={'driver': 'file', 'filename': os.path.abspath('r.img')})
        m.do('nbd-server-start', addr={'type': 'unix', 'data': {'path': path}})
        io_threads(m, 'io0', 'io1')
        for turn in range(20):
            m.do('block-export-add', type='nbd', id='e', node_name='n0', name='ex', **more)
            clients = []
            for i in range(4):
                c = Client(path)
                c.greet()
                c.modes()
                c.go('ex')
                for k in range(30):
                    c.send(READ, k * 1000, 30000, cookie=k)
                clients.append(c)
            m.do('block-export-del', id='e', mode='hard')
            for c in clients:
                while True:
                    try:
                        cookie, done, kind, d, err = c.chunk()
                    except (EOFError, ConnectionResetError):
                        break
                    assert not err and d[8:] == data[cookie * 1000:cookie * 1000 + 30000]
                c.close()


def server_for(path, name):
    """A server of an image at an address that stays, whoever serves it."""
    where, pid = os.path.abspath(name), os.path.abspath(name + '.pid')
    subprocess.run([NBD, '-k', where, '-t', '-f', 'raw', '--fork', f'--pid-file={pid}', path], check=True, timeout=WAIT)
    with open(pid) as f:
        s = Server.__new__(Server)
        s.pid, s.path = int(f.read()), where
        return s


def killed(s):
    s.stop(signal.SIGKILL)
    os.unlink(s.path)


def job_at(m, *states):
    """Until the job is in one of these."""
    while True:
        jobs = m.do('query-jobs')
        if not jobs or jobs[0]['status'] in states:
            return jobs[0] if jobs else {'status': 'null'}


def test_server_dies_under_a_job():
    """A copy goes to a server that is killed in the middle, and comes back: waited for, stopped and resumed, or told."""
    data = random.Random(11).randbytes(8 * MiB)
    with open('src.img', 'wb') as f:
        f.write(data)
    for kind, delay, policy in (('blockdev-mirror', WAIT, 'report'), ('blockdev-backup', WAIT, 'report'), ('blockdev-mirror', 0, 'stop'), ('blockdev-backup', 0, 'stop'),
                                ('blockdev-mirror', 0, 'report'), ('blockdev-backup', 0, 'report')):
        with open('dst.img', 'wb') as f:
            f.truncate(len(data))
        s = server_for('dst.img', 'job.sock')
        what = f'{kind}, {delay} s, {policy}'
        with Machine() as m:
            m.do('blockdev-add', driver='file', node_name='a', filename=os.path.abspath('src.img'))
            m.do('blockdev-add', driver='nbd', node_name='b', server={'type': 'unix', 'path': s.path}, reconnect_delay=delay)
            m.do(kind, job_id='j', device='a', target='b', sync='full', speed=1024, on_target_error=policy, auto_dismiss=False)
            while not m.do('query-jobs')[0]['current-progress']:
                pass
            killed(s)
            if not delay:
                m.do('block-job-set-speed', device='j', speed=0)
                state = job_at(m, 'paused', 'concluded')
                equal(what, (state['status'], state.get('error')), ('paused', None) if policy == 'stop' else ('concluded', 'Input/output error'))
            if policy == 'stop' or delay:
                s = server_for('dst.img', 'job.sock')
            if delay:
                m.do('block-job-set-speed', device='j', speed=0)
            elif policy == 'stop':
                equal('io-status', m.do('query-block-jobs')[0]['io-status'], 'failed')
                m.do('job-resume', id='j')
            while job_at(m, 'paused', 'ready', 'concluded')['status'] == 'paused':
                m.do('job-resume', id='j')                  # what had begun before the server was back
            if job_at(m, 'ready', 'concluded')['status'] == 'ready':
                m.do('job-complete', id='j')
            end = job_at(m, 'concluded')
            if policy == 'stop' or delay:
                equal(what, end.get('error'), None)
            m.do('job-dismiss', id='j')
        if policy == 'stop' or delay:
            s.stop()
            with open('dst.img', 'rb') as f:
                equal(what, f.read(), data)


def test_bitmaps():
    """What was written since the bitmap was made; a bitmap is in use while it is exported."""
    run(IMG, 'create', '-q', '-f', 'raw', 'b.img', '8M')
    path = os.path.abspath('q.sock')
    with Machine() as m:
        m.do('blockdev-add', driver='raw', node_name='n0', file={'driver': 'file', 'filename': os.path.abspath('b.img')})
        m.do('nbd-server-start', addr={'type': 'unix', 'data': {'path': path}})
        m.do('block-dirty-bitmap-add', node='n0', name='b0', granularity=65536)
        m.refused("Bitmap 'b1' is not found", 'block-export-add', type='nbd', id='e', node_name='n0', name='ex', writable=True, bitmaps=['b0', 'b1'])
        m.refused("Enabled bitmap 'b0' incompatible with readonly export", 'block-export-add', type='nbd', id='e', node_name='n0', name='ex', bitmaps=['b0'])
        m.do('block-export-add', type='nbd', id='e', node_name='n0', name='ex', writable=True, bitmaps=['b0'])
        m.refused("Bitmap 'b0' is currently in use by another operation and cannot be used", 'block-export-add', type='nbd', id='f', node_name='n0', name='fx', writable=True, bitmaps=[{'node': 'n0', 'name': 'b0'}])
        c = Client(path)
        c.greet()
        c.modes()
        equal('contexts', [d[4:] for _, d in c.set_meta('ex', opt=OPT_LIST_META)[:-1]], [b'base:allocation', b'qemu:dirty-bitmap:b0'])
        equal('contexts', [d[4:] for _, d in c.set_meta('ex', 'qemu:dirty-bitmap:', opt=OPT_LIST_META)[:-1]], [b'qemu:dirty-bitmap:b0'])
        ident = c.set_meta('ex', 'qemu:dirty-bitmap:b0')[0][1][:4]
        c.go('ex')
        ask = lambda: c.do(STATUS, 0, 8 * MiB)
        equal('nothing', ask(), (0, b'', [(int.from_bytes(ident, 'big'), [(8 * MiB, 0)])]))
        c.do(WRITE, MiB, payload=b'x')
        c.do(WRITE, 4 * MiB, payload=b'x' * 100000)
        equal('written', ask()[2][0][1], [(MiB, 0), (65536, 1), (3 * MiB - 65536, 0), (131072, 1), (4 * MiB - 131072, 0)])
        c.do(ZEROES, 0, MiB)
        equal('zeroed', ask()[2][0][1][0], (MiB + 65536, 1))
        c.close()
        m.do('block-export-del', id='e', mode='hard')
        m.do('block-dirty-bitmap-remove', node='n0', name='b0')


def test_device_grows():
    """Somebody makes a block device longer: block_resize looks again."""
    if os.geteuid():
        raise Skip('only root may have loop devices')
    need('losetup')
    with open('backing', 'wb') as f:
        f.truncate(4 * MiB)
    p = run('losetup', '--find', '--show', 'backing', status=None)
    if p.returncode:
        raise Skip('no loop device here: ' + p.stderr.strip())
    device = p.stdout.strip()
    try:
        with Machine() as m:
            m.do('blockdev-add', driver='raw', node_name='n0', file={'driver': 'host_device', 'node-name': 'f0', 'filename': device})
            size = lambda: [n['image']['virtual-size'] for name in ('n0', 'f0') for n in m.do('query-named-block-nodes') if n['node-name'] == name]
            m.refused('Cannot grow device files', 'block_resize', node_name='n0', size=6 * MiB)
            equal('size', size(), [4 * MiB, 4 * MiB])
            with open('backing', 'r+b') as f:
                f.truncate(8 * MiB)
            run('losetup', '-c', device)
            m.do('block_resize', node_name='n0', size=8 * MiB)
            equal('size', size(), [8 * MiB, 8 * MiB])
            m.refused('Cannot grow device files', 'block_resize', node_name='n0', size=9 * MiB)
            m.refused('Cannot resize device files', 'block_resize', node_name='n0', size=2 * MiB)
            equal('size', size(), [8 * MiB, 8 * MiB])
    finally:
        run('losetup', '-d', device)


MODES = [
    ('full', None, 'always', 'Cannot specify bitmap sync mode without a bitmap'), ('none', None, 'never', 'Cannot specify bitmap sync mode without a bitmap'),
    ('full', 'b', None, 'Bitmap sync mode must be given when providing a bitmap'), ('top', 'b', None, 'Bitmap sync mode must be given when providing a bitmap'),
    ('none', 'b', None, 'Bitmap sync mode must be given when providing a bitmap'), ('bitmap', 'b', None, 'Bitmap sync mode must be given when providing a bitmap'),
    ('full', 'b', 'never', "Bitmap sync mode 'never' has no meaningful effect when combined with sync mode 'full'"),
    ('top', 'b', 'never', "Bitmap sync mode 'never' has no meaningful effect when combined with sync mode 'top'"),
    ('none', 'b', 'always', "sync mode 'none' does not produce meaningful bitmap outputs"), ('full', 'nope', 'always', "Bitmap 'nope' could not be found"),
    ('none', 'nope', 'never', "Bitmap 'nope' could not be found"), ('incremental', None, 'never', "must provide a valid bitmap name for 'incremental' sync mode"),
    ('bitmap', None, None, "must provide a valid bitmap name for 'bitmap' sync mode"),
    ('incremental', 'b', 'always', "Bitmap sync mode must be 'on-success' when using sync mode 'incremental'"),
]


def test_backup_bitmaps():
    """A bitmap beside a full backup says afterwards what is not in it: nothing, what was written meanwhile, or what an end in the middle left."""
    rnd = random.Random(21)
    data = bytearray(rnd.randbytes(16 * MiB))
    with open('src.img', 'wb') as f:
        f.write(data)
    path = os.path.abspath('q.sock')
    with Machine() as m:
        m.do('blockdev-add', driver='file', node_name='a', filename=os.path.abspath('src.img'))
        m.do('nbd-server-start', addr={'type': 'unix', 'data': {'path': path}})
        m.do('block-export-add', type='nbd', id='e', node_name='a', writable=True)
        c = Client(path)
        c.greet()
        c.modes()
        c.go('a')

        def write(at):
            part = rnd.randbytes(70000)
            equal('write', c.do(WRITE, at, payload=part)[0], 0)
            data[at:at + len(part)] = part

        def dirty():
            node, = [n for n in m.do('query-named-block-nodes') if n['node-name'] == 'a']
            return node['dirty-bitmaps'][0]['count']

        def target():
            with open('dst.img', 'wb') as f:
                f.truncate(len(data))
            m.do('blockdev-add', driver='file', node_name='t', filename=os.path.abspath('dst.img'))

        def backup(cut=False, during=None, **more):
            m.do('blockdev-backup', job_id='j', device='a', target='t', auto_dismiss=False, speed=MiB if cut or during is not None else 0, **more)
            if during is not None:
                write(during)
            if cut:
                while not m.do('query-jobs')[0]['current-progress']:
                    pass
                m.do('block-job-cancel', device='j', force=True)
            else:
                m.do('block-job-set-speed', device='j', speed=0)
            end = job_at(m, 'concluded')
            equal('end', 'error' in end, cut)
            m.do('job-dismiss', id='j')

        def same_bytes():
            m.do('blockdev-del', node_name='t')
            with open('dst.img', 'rb') as f:
                equal('backup', f.read() == bytes(data), True)

        m.do('block-dirty-bitmap-add', node='a', name='b', granularity=65536)
        target()
        for sync, bitmap, mode, want in MODES:
            args = {k: v for k, v in (('bitmap', bitmap), ('bitmap_mode', mode)) if v}
            m.refused(want, 'blockdev-backup', job_id='j', device='a', target='t', sync=sync, **args)
        for mode in ('on-success', 'always'):
            write(3 * MiB)
            assert dirty()
            backup(sync='full', bitmap='b', bitmap_mode=mode)
            equal('all is in the backup', dirty(), 0)
            same_bytes()
            target()
            backup(sync='full', bitmap='b', bitmap_mode=mode, during=65536 * 7)
            equal('but what came after', dirty(), 2 * 65536)
            backup(sync='incremental', bitmap='b')
            same_bytes()
            target()
        write(5 * MiB)
        before = dirty()
        backup(sync='full', bitmap='b', bitmap_mode='on-success', cut=True)
        equal('as it was', dirty(), before)
        backup(sync='top', bitmap='b', bitmap_mode='always', cut=True)
        left = dirty()
        assert 0 < left < len(data), left
        backup(sync='bitmap', bitmap='b', bitmap_mode='on-success')
        equal('the rest', dirty(), 0)
        m.do('blockdev-del', node_name='t')
        m.do('block-export-del', id='e', mode='hard')


def test_fuse():
    """A node as a file: read, written, truncated, holes."""
    fuse_file()


def test_fuse_iothreads():
    fuse_file(iothread=['io0', 'io1', 'io2'])


def fuse_file(**threads):
    data = random.Random(1).randbytes(MiB)
    with open('r.img', 'wb') as f:
        f.write(data)
        f.truncate(4 * MiB)
    for name in ('ro', 'rw'):
        with open(name, 'w'):
            pass
    os.mkdir('folder')
    here = os.getcwd()
    with Machine() as m:
        m.do('blockdev-add', driver='raw', node_name='n0', file={'driver': 'file', 'filename': here + '/r.img'})
        fuse = lambda place, **more: dict(type='fuse', id='f' + place, node_name='n0', mountpoint=f'{here}/{place}', **threads, **more)
        io_threads(m, 'io0', 'io1', 'io2')
        m.refused(f"Failed to stat '{here}/gone': No such file or directory", 'block-export-add', **fuse('gone'))
        m.refused(f"'{here}/folder' is not a regular file", 'block-export-add', **fuse('folder'))
        answer = m.ask('block-export-add', **fuse('ro'))
        if 'error' in answer:
            raise Skip(answer['error']['desc'])
        m.do('block-export-add', **fuse('rw', writable=True, growable=True))
        try:
            equal('size', os.stat('ro').st_size, 4 * MiB)
            with open('ro', 'rb') as f:
                equal('read', f.read(), data + bytes(3 * MiB))
                equal('data', os.lseek(f.fileno(), 0, os.SEEK_DATA), 0)
                equal('hole', os.lseek(f.fileno(), 0, os.SEEK_HOLE), MiB)
            try:
                open('ro', 'r+b')
                raise AssertionError('a read-only export is opened for writing')
            except OSError:
                pass
            with open('rw', 'r+b') as f:
                f.seek(5000)
                f.write(b'x' * 300000)
                f.flush()
                os.fsync(f.fileno())
                f.seek(0)
                equal('read back', f.read(400000), data[:5000] + b'x' * 300000 + data[305000:400000])
                f.seek(5 * MiB)
                f.write(b'end')
                f.flush()
                assert os.fstat(f.fileno()).st_size >= 5 * MiB + 3
                f.truncate(2 * MiB)
            equal('truncated', os.stat('r.img').st_size, 2 * MiB)
            f = open('rw', 'rb')
            equal('in use', m.ask('block-export-del', id='frw')['error']['desc'], "export 'frw' still in use")
            f.close()
            run('cp', 'ro', 'copy.img')
            run('cmp', 'copy.img', 'r.img')
        finally:
            m.do('block-export-del', id='fro', mode='hard')
            m.do('block-export-del', id='frw', mode='hard')
        equal('below', os.stat('rw').st_size, 0)


def test_storage_daemon():
    """Options in their order, a monitor, both kinds of exports, the end by signal and by quit; no machine is needed."""
    data = random.Random(1).randbytes(MiB)
    with open('r.img', 'wb') as f:
        f.write(data)
    with open('file', 'w'):
        pass
    here = os.getcwd()
    base = ['--blockdev', f'driver=file,node-name=f0,filename={here}/r.img', '--blockdev', '{"driver": "raw", "node-name": "n0", "file": "f0"}',
            '--nbd-server', f'addr.type=unix,addr.path={here}/d.sock,max-connections=3', '--export', 'nbd,id=e0,node-name=n0,name=ex,writable=on',
            '--chardev', f'socket,id=c0,path={here}/q.sock,server=on,wait=off', '--monitor', 'c0', '--daemonize', '--pidfile', here + '/pid']
    for way in ('signal', 'quit'):
        run(DAEMON, *base)
        with open('pid') as f:
            pid = int(f.read())
        s = Server.__new__(Server)
        s.pid = pid
        c = Client(here + '/d.sock')
        c.greet()
        c.modes()
        c.go('ex')
        equal('read', c.do(READ, 5, 100), (0, data[5:105], []))
        q = socket.socket(socket.AF_UNIX)
        q.settimeout(WAIT)
        q.connect(here + '/q.sock')
        lines = q.makefile('rw')

        def ask(command, **args):
            lines.write(json.dumps({'execute': command, 'arguments': {k.replace('_', '-'): v for k, v in args.items()}}) + '\n')
            lines.flush()
            while True:
                answer = json.loads(lines.readline())
                if 'event' not in answer:
                    return answer
        assert 'QMP' in json.loads(lines.readline())
        equal('hello', ask('qmp_capabilities'), {'return': {}})
        equal('exports', ask('query-block-exports')['return'], [{'node-name': 'n0', 'shutting-down': False, 'type': 'nbd', 'id': 'e0'}])
        equal('no machine', ask('query-status')['error']['class'], 'CommandNotFound')
        equal('object', ask('object-add', qom_type='secret', id='s0', data='x'), {'return': {}})
        equal('object', ask('object-del', id='s0'), {'return': {}})
        equal('object', ask('object-del', id='s0')['error']['desc'], "object 's0' not found")
        if way == 'quit':
            equal('quit', ask('quit'), {'return': {}})
            assert s.wait_end()
        else:
            s.stop()
        assert c.at_end() and not os.path.exists('d.sock')
    for args, want in [
        (['--export', 'nbd,id=x,node-name=q'], "Cannot find device='' nor node-name='q'"), (['--export', 'foo,id=x,node-name=q'], "Parameter 'type' does not accept value 'foo'"),
        (['--monitor', 'x'], 'chardev "x" not found'), (['foo'], 'Unexpected argument: foo'), (['--nbd-server', 'addr.type=inet'], "Parameter 'addr.host' is missing"),
        (['--blockdev', 'driver=bogus,node-name=x'], "Parameter 'driver' does not accept value 'bogus'"), (['--object', 'bogus,id=x'], "'bogus'"), (['--daemonize', '--monitor', 'x'], 'chardev "x" not found'),
        (['--blockdev', f'driver=file,node-name=f0,filename={here}/r.img', '--export', 'nbd,id=e,node-name=f0'], 'NBD server not running'),
    ]:
        p = run(DAEMON, *args, status=1)
        assert p.stderr.startswith('rhea-storage-daemon: ') and want in p.stderr, (args, p.stderr)


main(sys.argv[4:], globals())
