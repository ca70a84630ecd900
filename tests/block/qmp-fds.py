#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Descriptors handed over through a monitor's socket: sets that disks open, and names.

usage: qmp-fds.py RHEA-STORAGE-DAEMON
"""
import array
import json
import os
import random
import socket
import subprocess
import sys
import tempfile

DAEMON = os.path.abspath(sys.argv[1])
WAIT = 120
FDS = '/dev/fdset/'
KiB = 1024
count = 0


def equal(what, got, want):
    global count
    count += 1
    assert got == want, f'{what}:\n  got  {got!r}\n  want {want!r}'


class Daemon:
    """It connects to a socket that we listen on: nobody waits for anybody to be ready."""
    def __init__(self, folder):
        path = folder + '/qmp.sock'
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            s.listen()
            s.settimeout(WAIT)
            self.p = subprocess.Popen([DAEMON, '--chardev', f'socket,id=q,path={path}', '--monitor', 'chardev=q,mode=control'])
            self.c = s.accept()[0]
        self.c.settimeout(WAIT)
        self.lines = self.c.makefile('r')
        assert 'QMP' in json.loads(self.lines.readline())
        self.do('qmp_capabilities')

    def ask(self, command, fds=(), **args):
        text = json.dumps({'execute': command, 'arguments': {k.replace('_', '-'): v for k, v in args.items()}}).encode()
        more = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
        self.c.sendmsg([text], more)
        while True:
            answer = json.loads(self.lines.readline())
            if 'event' not in answer:
                return answer

    def do(self, command, fds=(), **args):
        answer = self.ask(command, fds, **args)
        assert 'return' in answer, answer
        return answer['return']

    def refused(self, want, command, fds=(), **args):
        equal(command, self.ask(command, fds, **args).get('error'), {'class': 'GenericError', 'desc': want})

    def targets(self):
        return sorted(os.readlink(f'/proc/{self.p.pid}/fd/{n}') for n in os.listdir(f'/proc/{self.p.pid}/fd'))


def run(d, folder):
    image = folder + '/d.raw'
    with open(image, 'wb') as f:
        f.write(random.Random(1).randbytes(64 * KiB))
    d.refused('No file descriptor supplied via SCM_RIGHTS', 'add-fd')
    d.refused('No file descriptor supplied via SCM_RIGHTS', 'getfd', fdname='x')
    equal('none yet', d.do('query-fdsets'), [])
    rw, ro = os.open(image, os.O_RDWR), os.open(image, os.O_RDONLY)

    # sets
    first = d.do('add-fd', [rw], opaque='for writing')
    equal('the first set', first['fdset-id'], 0)
    second = d.do('add-fd', [ro], fdset_id=0)
    equal('same set', second['fdset-id'], 0)
    equal('another', d.do('add-fd', [ro], fdset_id=7)['fdset-id'], 7)
    d.refused("Parameter 'fdset-id' expects a non-negative value", 'add-fd', [ro], fdset_id=-1)
    equal('sets', d.do('query-fdsets'), [
        {'fds': [{'fd': first['fd'], 'opaque': 'for writing'}, {'fd': second['fd']}], 'fdset-id': 0}, {'fds': [{'fd': d.do('query-fdsets')[1]['fds'][0]['fd']}], 'fdset-id': 7}])
    equal('the same file, three times', d.targets().count(image), 3)
    d.do('blockdev-add', driver='raw', node_name='w', file={'driver': 'file', 'filename': FDS + '0'})
    node = next(n for n in d.do('query-named-block-nodes', flat=True) if n['node-name'] == 'w')
    equal('writable, as large as the file', (node['ro'], node['image']['virtual-size']), (False, 64 * KiB))
    d.do('blockdev-add', driver='raw', node_name='r', read_only=True, file={'driver': 'file', 'filename': FDS + '7', 'read-only': True})
    d.do('blockdev-del', node_name='r')
    answer = d.ask('blockdev-add', driver='raw', node_name='x', file={'driver': 'file', 'filename': FDS + '7'})
    assert 'error' in answer, 'a set without a writable descriptor was opened for writing'
    d.do('remove-fd', fdset_id=0, fd=second['fd'])
    d.refused(f"File descriptor named 'fdset-id:0, fd:{second['fd']}' not found", 'remove-fd', fdset_id=0, fd=second['fd'])
    d.do('remove-fd', fdset_id=0)
    d.do('remove-fd', fdset_id=7)
    d.refused("File descriptor named 'fdset-id:7' not found", 'remove-fd', fdset_id=7)
    equal('none left', d.do('query-fdsets'), [])
    d.do('block_resize', node_name='w', size=128 * KiB)         # the disk has its own
    equal('grown', os.path.getsize(image), 128 * KiB)
    d.do('blockdev-del', node_name='w')
    equal('all closed', image in d.targets(), False)

    # names
    d.do('getfd', [ro], fdname='a.b')
    d.do('getfd', [rw], fdname='other')
    equal('two', d.targets().count(image), 2)
    d.do('getfd', [rw], fdname='a.b')
    equal('a name has one descriptor', d.targets().count(image), 2)
    d.refused("Parameter 'fdname' expects a name not starting with a digit", 'getfd', [ro], fdname='0x')
    d.do('closefd', fdname='a.b')
    d.refused("File descriptor named 'a.b' not found", 'closefd', fdname='a.b')
    equal('one', d.targets().count(image), 1)

    # a name as a server's socket
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(folder + '/nbd.sock')
        listening.listen()
        d.refused("File descriptor named 'nobody' has not been found", 'nbd-server-start', addr={'type': 'fd', 'data': {'str': 'nobody'}})
        d.do('getfd', [listening.fileno()], fdname='srv')
        d.do('nbd-server-start', addr={'type': 'fd', 'data': {'str': 'srv'}})
        d.refused("File descriptor named 'srv' not found", 'closefd', fdname='srv')
    with socket.socket(socket.AF_UNIX) as c:
        c.settimeout(WAIT)
        c.connect(folder + '/nbd.sock')
        equal('a server speaks', c.recv(8, socket.MSG_WAITALL), b'NBDMAGIC')
    d.do('nbd-server-stop')
    d.do('quit')
    equal('status', d.p.wait(WAIT), 0)


with tempfile.TemporaryDirectory() as folder:
    d = Daemon(folder)
    try:
        run(d, folder)
    finally:
        if d.p.poll() is None:
            d.p.kill()
            d.p.wait()
print(f'1..1\nok 1 # {count} checks')
