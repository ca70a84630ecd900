# SPDX-License-Identifier: MIT
"""A guest's disk is exported while the guest writes to it: who may, two writers and a reader, one that dies, a new size, the server's end.

Every writer has a part of the disk and knows what it was told to be written; at the end the image is clean and has all of that.
"""
import os
import random
import re
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'block'))
from jobs import Qmp
from machine import BUILD, Failure, Machine, command, linux, main, same
from nbdlib import FUA, READ, WRITE, Client

IMG = os.environ.get('RHEA_IMG') or os.path.join(BUILD, 'tools', 'rhea-img')
MIB = 1 << 20
PIECE = 65536
PART = 16 * MIB

SCRIPT = r'''
(size=0; while :; do now=$(cat /sys/block/vda/size); [ $now = $size ] || echo "SIZE $now"; size=$now; sleep 1; done) &
i=0; while :; do
  i=$((i+1)); printf 'record %08d\n' $i | dd of=/dev/vda bs=4096 seek=$((i * 1009 % 4096)) oflag=direct conv=fsync,notrunc,sync 2>/dev/null && echo "SAFE $i"
done
'''


class Writer:
    """Writes pieces of its part as long as the server is there; `done` has what was answered."""

    def __init__(self, path, first, seed):
        self.c = attach(path, 'rw')
        self.first, self.rnd, self.done, self.doubt, self.error = first, random.Random(seed), {}, None, None
        self.some = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while True:
                off, data = self.first + self.rnd.randrange(PART // PIECE) * PIECE, self.rnd.randbytes(PIECE)
                self.doubt = off
                err, _, _ = self.c.do(WRITE, off, flags=self.rnd.choice([0, FUA]), payload=data)
                if err:
                    self.error = f'a write ended with {err}'
                    return
                self.done[off], self.doubt = data, None
                other = self.rnd.choice(list(self.done))
                err, got, _ = self.c.do(READ, other, PIECE)
                if err or got != self.done[other]:
                    self.error = f'read at {other}: {err}'
                    return
                if len(self.done) > 5:
                    self.some.set()
        except (EOFError, ConnectionError):
            pass
        finally:
            self.some.set()


def attach(path, name):
    c = Client(path)
    c.greet()
    c.modes()
    c.go(name)
    return c


def exports(tmp):
    for name in ('a', 'b'):
        subprocess.run([IMG, 'create', '-q', '-f', 'qcow2', f'{tmp}/{name}', '64M'], check=True)
    path = tmp + '/nbd'
    drives = []
    for name, more in (('a', ',share-rw=on'), ('b', '')):
        drives += ['-blockdev', f'driver=qcow2,node-name={name},file.driver=file,file.filename={tmp}/{name}', '-device', f'virtio-blk-pci,drive={name}{more}']
    with Machine(*linux(append=command(SCRIPT), mem=256), *drives, '-qmp', f'unix:{tmp}/q,server=on,wait=off') as m:
        q = Qmp(tmp + '/q')
        m.expect(r'^SIZE 131072$')
        q.ask('nbd-server-start', addr={'type': 'unix', 'data': {'path': path}})
        try:
            q.ask('block-export-add', type='nbd', id='no', node_name='b', writable=True)
            raise Failure('a disk that the guest does not share is exported for writing')
        except Failure as e:
            if 'write' not in str(e) or 'onflict' not in str(e):
                raise
        q.ask('block-export-add', type='nbd', id='b', node_name='b')
        q.ask('block-export-add', type='nbd', id='rw', node_name='a', name='rw', writable=True)
        q.ask('block-export-add', type='nbd', id='ro', node_name='a', name='ro')
        reader = attach(path, 'ro')
        if reader.do(WRITE, 0, payload=b'x' * 512)[0] == 0:
            raise Failure('an export that is not writable was written')
        writers = [Writer(path, PART * (i + 1), i) for i in range(2)]
        for w in writers:
            w.some.wait(600)
        dying = attach(path, 'rw')                      # in the middle of a request
        dying.s.sendall(struct.pack('>IHHQQI', 0x25609513, 0, WRITE, 1, PART * 3, PIECE) + b'y' * 1000)
        dying.close()
        q.ask('block_resize', node_name='a', size=96 * MIB)
        m.expect(r'^SIZE 196608$')
        grown = attach(path, 'rw')
        same('size of the export', grown.size, 96 * MIB)
        same('the new end', grown.do(WRITE, 96 * MIB - 512, payload=b'z' * 512)[0], 0)
        same('what a reader sees of it', reader.do(READ, PART, 512)[0], 0)
        for w in writers:
            w.some.clear()
            w.some.wait(600)
        q.ask('nbd-server-stop')
        for w in writers:
            w.thread.join(600)
            same('a writer', w.error, None)
        m.expect(r'^SAFE \d+$')
        for _ in range(10):
            m.expect(r'^SAFE \d+$')
        same('exports', q.ask('query-block-exports'), [])
        q.ask('quit')
        same('end', m.end(), 0)
        said = [int(x) for x in re.findall(r'^SAFE (\d+)\r?$', m.text, re.M)]
    subprocess.run([IMG, 'check', '-q', f'{tmp}/a'], check=True)
    subprocess.run([IMG, 'convert', '-O', 'raw', f'{tmp}/a', f'{tmp}/raw'], check=True)
    with open(f'{tmp}/raw', 'rb') as f:
        disk = f.read()
    for w in writers:
        for off, data in w.done.items():
            if off != w.doubt and disk[off:off + PIECE] != data:
                raise Failure(f'what a client wrote at {off} is not there')
    last = {i * 1009 % 4096: i for i in said}
    for at, i in last.items():
        if not disk[at * 4096:].startswith(b'record %08d\n' % i) and at * 4096 < PART:
            raise Failure(f'record {i} of the guest is not there')
    same('the write that was cut off', disk[PART * 3:PART * 3 + PIECE], bytes(PIECE))
    same('the new end', disk[96 * MIB - 512:], b'z' * 512)
    print(f'# {len(said)} records of the guest, {sum(len(w.done) for w in writers)} pieces of clients')


if __name__ == '__main__':
    main([exports])
