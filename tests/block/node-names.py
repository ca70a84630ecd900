#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Disks that the name of a file cannot tell: what an image above them records must open the same bytes again.

  node-names.py RHEA-IMG RHEA-STORAGE-DAEMON

Rows: a node and its bytes.  Each gets overlays (blockdev-snapshot-sync) and is the base of a stream; the images are then opened by their names
alone and compared with the bytes.
"""
import json
import os
import subprocess
import sys
import tempfile

IMG, DAEMON = (os.path.abspath(a) for a in sys.argv[1:3])
MB = 1 << 20
PATIENCE = 300
A = b''.join(bytes([i + 1]) * MB for i in range(4))


def file(name):
    return {'driver': 'file', 'filename': name}


WINDOW = {'driver': 'raw', 'offset': MB, 'size': 2 * MB, 'file': file('a.raw')}
ROWS = {                                    # a node, its bytes, is its name one of json:
    'a file': ({'driver': 'raw', 'file': file('a.raw')}, A, False),
    'from an offset on': ({'driver': 'raw', 'offset': MB, 'file': file('a.raw')}, A[MB:], True),
    'no more than a size': ({'driver': 'raw', 'size': MB, 'file': file('a.raw')}, A[:MB], True),
    'a window': (WINDOW, A[MB:3 * MB], True),
    'a window of a window': ({'driver': 'raw', 'offset': MB, 'file': WINDOW}, A[2 * MB:3 * MB], True),
    'a filter on a window': ({'driver': 'copy-on-read', 'file': WINDOW}, A[MB:3 * MB], True),
    'an image in a window': ({'driver': 'qcow2', 'file': {'driver': 'raw', 'offset': MB, 'file': file('in.raw')}}, A, True),
    'its own data file': ({'driver': 'qcow2', 'file': file('own.qcow2')}, A, False),
    'another data file': ({'driver': 'qcow2', 'file': file('own.qcow2'), 'data-file': file('other.data')}, A[::-1], True),
    'quorum': ({'driver': 'quorum', 'vote-threshold': 2, 'children': [file('a.raw'), file('b.raw'), file('c.raw')]}, A, True),
    'zeroes of no file': ({'driver': 'null-co', 'size': MB, 'read-zeroes': True}, bytes(MB), True),
}


def img(*argv):
    return subprocess.run([IMG, *argv], capture_output=True, text=True, check=True).stdout


class Daemon:
    def __enter__(self):
        self.p = subprocess.Popen([DAEMON, '--chardev', 'stdio,id=c', '--monitor', 'chardev=c'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events = []
        self.next()
        self.ask('qmp_capabilities')
        return self

    def __exit__(self, *_):
        self.p.terminate()
        self.p.stdin.close()
        self.p.wait(PATIENCE)

    def next(self):
        line = self.p.stdout.readline()
        assert line, 'the daemon ended'
        return json.loads(line)

    def ask(self, command, **args):
        self.p.stdin.write(json.dumps({'execute': command, 'arguments': {k.replace('_', '-'): v for k, v in args.items()}}) + '\n')
        self.p.stdin.flush()
        while True:
            r = self.next()
            if 'event' not in r:
                assert 'return' in r, (command, args, r)
                return r['return']
            self.events.append(r)

    def use(self, node):
        """Somebody uses the node, and then what is put above it."""
        self.ask('nbd-server-start', addr={'type': 'unix', 'data': {'path': 'nbd'}})
        self.ask('block-export-add', type='nbd', id='e', node_name=node)

    def job(self, command, job_id, **args):
        """A job until it is gone; its last state had no error."""
        self.ask(command, job_id=job_id, **args)
        while True:
            r = self.events.pop(0) if self.events else self.next()
            if r.get('event') == 'JOB_STATUS_CHANGE' and r['data'] == {'status': 'null', 'id': job_id}:
                return
            assert 'error' not in r.get('data', {}), r


def setup():
    for name in ('a.raw', 'b.raw', 'c.raw'):
        with open(name, 'wb') as f:
            f.write(A)
    img('convert', '-f', 'raw', '-O', 'qcow2', 'a.raw', 'in.qcow2')
    img('convert', '-f', 'raw', '-O', 'qcow2', '-o', 'data_file=own.data', 'a.raw', 'own.qcow2')
    with open('own.data', 'rb') as f, open('other.data', 'wb') as o:
        o.write(f.read()[::-1])
    with open('in.qcow2', 'rb') as f, open('in.raw', 'wb') as o:
        o.write(b'\xa5' * MB + f.read())


def check(name, data, told, *more):
    """The image, opened by its name alone."""
    info = json.loads(img('info', '--output=json', *more, name))
    assert info['backing-filename'].startswith('json:') == told, info['backing-filename']
    img('convert', *more, '-f', 'qcow2', '-O', 'raw', name, 'out.raw')
    with open('out.raw', 'rb') as f:
        assert f.read() == data, f'{name} over {info["backing-filename"]}: other bytes'


def try_row(node, data, told):
    setup()
    with Daemon() as d:
        d.ask('blockdev-add', **{'node-name': 'n', 'read-only': node['driver'] != 'copy-on-read', **node})
        record = next(r for r in d.ask('query-named-block-nodes', flat=True) if r['node-name'] == 'n')
        assert record['file'] == record['image']['filename'] and record['file'].startswith('json:') == told, record['file']
        d.use('n')
        for below, over in (('n', 'x'), ('x', 'y'), ('y', 'z')):
            d.ask('blockdev-snapshot-sync', node_name=below, snapshot_file=over + '.qcow2', snapshot_node_name=over)
        d.job('block-stream', 's', device='z', base_node='n')
    for name in ('x.qcow2', 'z.qcow2'):
        check(name, data, told)


def try_folders():
    """Names that are relative to the daemon's folder, in images of other folders."""
    setup()
    os.makedirs('one/two')
    os.link('a.raw', 'one/base.raw')
    for first, layers in (('a.raw', ('one/x', 'one/y', 'one/two/z')), ('one/base.raw', ('one/x', 'y', 'one/z'))):
        with Daemon() as d:
            d.ask('blockdev-add', **{'node-name': 'n', 'driver': 'raw', 'file': file(first)})
            d.use('n')
            for below, over in zip(('n', 'n0', 'n1'), layers):
                d.ask('blockdev-snapshot-sync', node_name=below, snapshot_file=over + '.qcow2', snapshot_node_name=f'n{layers.index(over)}')
            for name in layers:
                check(name + '.qcow2', A, False, '-U')
            d.job('block-commit', 'c', device='n2', top_node='n1', base_node='n0')
            check(layers[2] + '.qcow2', A, False, '-U')
            d.job('block-stream', 's', device='n2', base_node='n')
        check(layers[2] + '.qcow2', A, False)
        for name in layers:
            os.unlink(name + '.qcow2')


def main():
    rows = {**{what: lambda row=row: try_row(*row) for what, row in ROWS.items()}, 'folders': try_folders}
    print(f'1..{len(rows)}')
    bad = 0
    for i, (what, test) in enumerate(rows.items(), 1):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                test()
                print(f'ok {i} - {what}', flush=True)
            except (AssertionError, subprocess.CalledProcessError) as e:
                bad += 1
                print('# ' + str(getattr(e, 'stderr', None) or e).replace('\n', '\n# '))
                print(f'not ok {i} - {what}', flush=True)
            os.chdir('/')
    return bad > 0


if __name__ == '__main__':
    sys.exit(main())
