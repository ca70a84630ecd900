#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The vhost-user-blk export, driven by a front end of our own: memory, rings and messages as the specifications say.

usage: vhost-user-test.py RHEA-STORAGE-DAEMON threads=N [TEST...]

With N > 0 the export's queues are served by N I/O threads.
"""
import array
import mmap
import os
import random
import select
import socket
import struct
import subprocess
import sys

from nbdlib import *

DAEMON, THREADS = os.path.abspath(sys.argv[1]), int(sys.argv[2].removeprefix('threads='))
MiB = 1 << 20
GPA, UADDR, SIZE, NUM = 0x40000000, 0x7f1200000000, 4 * MiB, 64
DESC, AVAIL, USED, TABLE, DATA = 0, 0x1000, 0x2000, 0x3000, 0x10000
VERSION_1, PROTOCOL, EVENT_IDX, INDIRECT, PACKED = 1 << 32, 1 << 30, 1 << 29, 1 << 28, 1 << 34
F_NEXT, F_WRITE, F_INDIRECT, F_AVAIL, F_USED = 1, 2, 4, 1 << 7, 1 << 15
EVENTS_ON, EVENTS_OFF, EVENTS_AT = 0, 1, 2
T_IN, T_OUT, T_FLUSH, T_GET_ID, T_DISCARD, T_ZEROES = 0, 1, 4, 8, 11, 13


class Export:
    def __init__(self, *more, image='r.img', read_only=False):
        here = os.getcwd()
        self.path = here + '/v.sock'
        objects = [a for i in range(THREADS) for a in ('--object', f'iothread,id=io{i}')]
        run(DAEMON, *objects, '--blockdev', f'driver=file,node-name=f0,filename={here}/{image},discard=unmap', '--export',
            f'vhost-user-blk,id=v0,node-name=f0,addr.type=unix,addr.path={self.path}' + ('' if read_only else ',writable=on') + ''.join(f',iothread.{i}=io{i}' for i in range(THREADS)) + ''.join(',' + m for m in more),
            '--daemonize', '--pidfile', here + '/pid')
        self.server = Server.__new__(Server)
        with open('pid') as f:
            self.server.pid = self.pid = int(f.read())

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.server.__exit__(*what)
        assert what[0] or not os.path.exists(self.path)


class Front:
    def __init__(self, path, features=0):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(WAIT)
        self.s.connect(path)
        self.fd = os.memfd_create('guest')
        os.ftruncate(self.fd, SIZE)
        self.m = mmap.mmap(self.fd, SIZE)
        self.features = self.ask(1)
        self.send(3)
        self.protocol = self.ask(15)
        self.send(16, struct.pack('<Q', self.protocol & (1 << 0 | 1 << 3 | 1 << 9)))
        self.send(2, struct.pack('<Q', VERSION_1 | PROTOCOL | (self.features & features)))
        self.event_idx = features & EVENT_IDX
        self.memory()
        self.kick, self.call = os.eventfd(0), os.eventfd(0)
        self.avail = self.used = 0
        self.free = list(range(NUM))

    def send(self, request, data=b'', fds=(), flags=1):
        head = struct.pack('<III', request, flags, len(data))
        self.s.sendmsg([head + data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else [])

    def get(self, n):
        b = b''
        while len(b) < n:
            part = self.s.recv(n - len(b))
            if not part:
                raise EOFError
            b += part
        return b

    def reply(self, request):
        r, flags, n = struct.unpack('<III', self.get(12))
        equal('reply', (r, flags), (request, 5))
        return self.get(n)

    def ask(self, request, data=b''):
        self.send(request, data)
        out = self.reply(request)
        return struct.unpack('<Q', out)[0] if len(out) == 8 and request != 11 else out

    def sure(self, request, data=b'', fds=()):
        """With an acknowledgement: 0 is success."""
        self.send(request, data, fds, 9)
        return struct.unpack('<Q', self.reply(request))[0]

    def memory(self, size=SIZE):
        return self.sure(5, struct.pack('<IIQQQQ', 1, 0, GPA, size, UADDR, 0), [self.fd])

    def start(self, base=0, queue=0):
        equal('num', self.sure(8, struct.pack('<II', queue, NUM)), 0)
        equal('base', self.sure(10, struct.pack('<II', queue, base)), 0)
        equal('addr', self.sure(9, struct.pack('<IIQQQQ', queue, 0, UADDR + DESC, UADDR + USED, UADDR + AVAIL, 0)), 0)
        equal('call', self.sure(13, struct.pack('<Q', queue), [self.call]), 0)
        equal('kick', self.sure(12, struct.pack('<Q', queue), [self.kick]), 0)
        equal('enable', self.sure(18, struct.pack('<II', queue, 1)), 0)

    # ---- the ring ----

    def desc(self, at, addr, n, flags, nxt):
        struct.pack_into('<QIHH', self.m, at, addr, n, flags, nxt)

    def put(self, pieces):
        """pieces: (offset in memory, length, the device writes). The head's number."""
        ids = [self.free.pop() for _ in pieces]
        for k, (off, n, write) in enumerate(pieces):
            last = k == len(pieces) - 1
            self.desc(DESC + ids[k] * 16, GPA + off, n, (2 if write else 0) | (0 if last else 1), 0 if last else ids[k + 1])
        return ids

    def offer(self, heads):
        for h in heads:
            struct.pack_into('<H', self.m, AVAIL + 4 + self.avail % NUM * 2, h)
            self.avail = (self.avail + 1) & 0xffff
        struct.pack_into('<H', self.m, AVAIL + 2, self.avail)
        if self.event_idx:
            struct.pack_into('<H', self.m, AVAIL + 4 + NUM * 2, self.used)
        os.eventfd_write(self.kick, 1)

    def returned(self, n):
        out = []
        while len(out) < n:
            while self.used == struct.unpack_from('<H', self.m, USED + 2)[0]:
                if self.event_idx:
                    struct.pack_into('<H', self.m, AVAIL + 4 + NUM * 2, self.used)
                    if self.used != struct.unpack_from('<H', self.m, USED + 2)[0]:
                        break
                if not select.select([self.call], [], [], WAIT)[0]:
                    raise AssertionError('no interrupt')
                os.eventfd_read(self.call)
            out.append(struct.unpack_from('<II', self.m, USED + 4 + self.used % NUM * 8))
            self.used = (self.used + 1) & 0xffff
        return out

    def request(self, kind, sector, out=b'', n_in=0, at=DATA, pieces=1):
        """One request: its status and what it read."""
        struct.pack_into('<IIQ', self.m, at, kind, 0, sector)
        self.m[at + 16:at + 16 + len(out)] = out
        parts = [(at, 16, False)]
        body, n, write = at + 16, len(out) or n_in, not out
        for k in range(pieces if n else 0):
            a, b = n * k // pieces, n * (k + 1) // pieces
            parts.append((body + a, b - a, write))
        status = body + n
        self.m[status:status + 1] = b'\xee'
        ids = self.put(parts + [(status, 1, True)])
        self.offer([ids[0]])
        (head, length), = self.returned(1)
        equal('head', head, ids[0])
        self.free += ids
        return self.m[status], bytes(self.m[body:body + n_in]), length


class Packed(Front):
    """The same with a packed ring (Virtual I/O Device 1.2, section 2.8): one ring of descriptors, and an event area of each side."""

    def __init__(self, path, features=0, num=NUM):
        self.num = num
        super().__init__(path, features | PACKED)
        assert self.features & PACKED
        self.avail_wrap = self.used_wrap = 1
        self.out = {}                   # buffer id: descriptors that it takes
        self.room = num
        self.ids = list(range(num))

    def base(self):
        return self.avail | self.avail_wrap << 15 | self.used << 16 | self.used_wrap << 31

    def start(self, queue=0):
        equal('num', self.sure(8, struct.pack('<II', queue, self.num)), 0)
        equal('base', self.sure(10, struct.pack('<II', queue, self.base())), 0)
        equal('addr', self.sure(9, struct.pack('<IIQQQQ', queue, 0, UADDR + DESC, UADDR + USED, UADDR + AVAIL, 0)), 0)
        equal('call', self.sure(13, struct.pack('<Q', queue), [self.call]), 0)
        equal('kick', self.sure(12, struct.pack('<Q', queue), [self.kick]), 0)
        equal('enable', self.sure(18, struct.pack('<II', queue, 1)), 0)

    def put(self, pieces):
        """Into the next slots of the ring; nothing is offered before the first one's flags are there: a function for that, and the id."""
        ident, head = self.ids.pop(), self.avail
        first = 0
        for k, (off, n, flags) in enumerate(pieces):
            flags |= (F_AVAIL if self.avail_wrap else F_USED) | (0 if k == len(pieces) - 1 else F_NEXT)
            at = DESC + self.avail * 16
            if k:
                self.desc(at, GPA + off, n, 0, 0)
                struct.pack_into('<HH', self.m, at + 12, ident, flags)
            else:
                first = flags
                struct.pack_into('<QIH', self.m, at, GPA + off, n, ident)
            self.avail += 1
            if self.avail == self.num:
                self.avail, self.avail_wrap = 0, self.avail_wrap ^ 1
        self.out[ident] = len(pieces)
        self.room -= len(pieces)
        return ident, lambda: struct.pack_into('<H', self.m, DESC + head * 16 + 14, first)

    def ask_for_calls(self, on):
        word = self.used | self.used_wrap << 15
        kind = EVENTS_AT if on and self.event_idx else EVENTS_ON if on else EVENTS_OFF
        struct.pack_into('<HH', self.m, AVAIL, word, kind)

    def ready(self):
        flags = struct.unpack_from('<H', self.m, DESC + self.used * 16 + 14)[0]
        return bool(flags & F_AVAIL) == bool(flags & F_USED) == bool(self.used_wrap)

    def returned(self, n):
        """(id, length) in the order of the ring."""
        got = []
        while len(got) < n:
            while not self.ready():
                self.ask_for_calls(True)
                if self.ready():
                    break
                if not select.select([self.call], [], [], WAIT)[0]:
                    raise AssertionError('no interrupt')
                os.eventfd_read(self.call)
            _, length, ident = struct.unpack_from('<QIH', self.m, DESC + self.used * 16)
            took = self.out.pop(ident)
            self.used += took
            if self.used >= self.num:
                self.used, self.used_wrap = self.used - self.num, self.used_wrap ^ 1
            self.room += took
            self.ids.append(ident)
            got.append((ident, length))
        return got

    def request(self, kind, sector, out=b'', n_in=0, at=DATA, pieces=1):
        ident, body = self.prepare(kind, sector, out, n_in, at, pieces)
        os.eventfd_write(self.kick, 1)
        (got, length), = self.returned(1)
        equal('id', got, ident)
        n = len(out) or n_in
        return self.m[body + n], bytes(self.m[body:body + n_in]), length

    def prepare(self, kind, sector, out, n_in, at, pieces, table=None):
        struct.pack_into('<IIQ', self.m, at, kind, 0, sector)
        self.m[at + 16:at + 16 + len(out)] = out
        body, n, write = at + 16, len(out) or n_in, 0 if out else F_WRITE
        parts = [(at, 16, 0)]
        parts += [(body + n * k // pieces, n * (k + 1) // pieces - n * k // pieces, write) for k in range(pieces if n else 0)]
        parts.append((body + n, 1, F_WRITE))
        self.m[body + n] = 0xee
        if table is not None:           # one slot of the ring, however many pieces: those of a table go by their order
            for k, (off, size, flags) in enumerate(parts):
                struct.pack_into('<QIHH', self.m, table + k * 16, GPA + off, size, 0, flags)
            parts = [(table, len(parts) * 16, F_INDIRECT)]
        ident, offer = self.put(parts)
        offer()
        return ident, body


def image(size=4 * MiB):
    data = random.Random(1).randbytes(size)
    with open('r.img', 'wb') as f:
        f.write(data)
    return data


def test_requests():
    data = bytearray(image())
    for features in (0, EVENT_IDX | INDIRECT):
        with Export('num-queues=2') as e:
            f = Front(e.path, features)
            equal('queues', f.ask(17), 2)
            config = f.ask(24, struct.pack('<III', 0, 60, 0) + bytes(60))[12:]
            equal('capacity', struct.unpack_from('<Q', config)[0], 8192)
            equal('queues', struct.unpack_from('<H', config, 34)[0], 2)
            f.start()
            rnd = random.Random(2)
            for _ in range(100):
                n, pieces = rnd.randrange(1, 128) * 512, rnd.randrange(1, 5)
                sector = rnd.randrange(8192 - n // 512)
                at = sector * 512
                if rnd.random() < 0.5:
                    equal('read', f.request(T_IN, sector, n_in=n, pieces=pieces), (0, bytes(data[at:at + n]), n + 1))
                else:
                    part = rnd.randbytes(n)
                    equal('write', f.request(T_OUT, sector, part, pieces=pieces)[0], 0)
                    data[at:at + n] = part
            equal('flush', f.request(T_FLUSH, 0)[0], 0)
            equal('id', f.request(T_GET_ID, 0, n_in=20)[:2], (0, b'v0' + bytes(18)))
            equal('zeroes', f.request(T_ZEROES, 0, struct.pack('<QII', 8, 16, 1))[0], 0)
            data[4096:4096 + 8192] = bytes(8192)
            equal('zeroed', f.request(T_IN, 0, n_in=32768)[1], bytes(data[:32768]))
            equal('discard', f.request(T_DISCARD, 0, struct.pack('<QII', 8, 16, 0))[0], 0)
            equal('beyond', f.request(T_IN, 8192, n_in=512)[0], 1)
            equal('far', f.request(T_IN, 1 << 63, n_in=512)[0], 1)
            equal('half a sector', f.request(T_IN, 0, n_in=100)[0], 1)
            equal('zeroes beyond', f.request(T_ZEROES, 0, struct.pack('<QII', 8190, 16, 0))[0], 1)
            equal('odd ranges', f.request(T_ZEROES, 0, b'x' * 15)[0], 2)
            equal('unknown', f.request(99, 0)[0], 2)
            base = struct.unpack('<II', f.ask(11, struct.pack('<II', 0, 0)))
            equal('base', base, (0, f.avail))
            f.start(base[1])            # goes on where it was
            equal('read', f.request(T_IN, 64, n_in=512)[:2], (0, bytes(data[32768:33280])))
            f.s.close()
            g = Front(e.path)           # the next one finds a fresh device
            g.start()
            equal('read', g.request(T_IN, 64, n_in=512)[:2], (0, bytes(data[32768:33280])))
        with open('r.img', 'rb') as r:
            equal('image', r.read(), bytes(data))


def test_many_and_indirect():
    data = image()
    with Export() as e:
        f = Front(e.path, INDIRECT | EVENT_IDX)
        f.start()
        heads = {}
        for k in range(32):
            table, body = TABLE + k * 48, DATA + k * 8192
            struct.pack_into('<IIQ', f.m, body, T_IN, 0, k * 8)
            f.desc(table, GPA + body, 16, 1, 1)
            f.desc(table + 16, GPA + body + 512, 4096, 3, 2)
            f.desc(table + 32, GPA + body + 16, 1, 2, 0)
            f.m[body + 16] = 0xee
            h = f.free.pop()
            f.desc(DESC + h * 16, GPA + table, 48, 4, 0)
            heads[h] = k
        f.offer(list(heads))
        for head, n in f.returned(32):
            k = heads.pop(head)
            body = DATA + k * 8192
            equal('status', f.m[body + 16], 0)
            equal('data', bytes(f.m[body + 512:body + 512 + 4096]), data[k * 4096:k * 4096 + 4096])


def test_packed():
    """A ring that is not a power of two, so that requests lie across its end in every way."""
    data = bytearray(image())
    rnd = random.Random(4)
    for features, num in ((0, 7), (EVENT_IDX, 7), (EVENT_IDX | INDIRECT, 64), (0, 256)):
        with Export() as e:
            f = Packed(e.path, features, num)
            f.start()
            for _ in range(150):
                n, pieces = rnd.randrange(1, 128) * 512, rnd.randrange(1, 5)
                sector = rnd.randrange(8192 - n // 512)
                at = sector * 512
                if rnd.random() < 0.5:
                    equal('read', f.request(T_IN, sector, n_in=n, pieces=pieces), (0, bytes(data[at:at + n]), n + 1))
                else:
                    part = rnd.randbytes(n)
                    equal('write', f.request(T_OUT, sector, part, pieces=pieces)[0], 0)
                    data[at:at + n] = part
            equal('flush', f.request(T_FLUSH, 0)[0], 0)
            equal('beyond', f.request(T_IN, 8192, n_in=512)[0], 1)
            base = struct.unpack('<II', f.ask(11, struct.pack('<II', 0, 0)))
            equal('base', base, (0, f.base()))
            f.start()                   # goes on where it was, in the middle of the ring
            equal('read', f.request(T_IN, 64, n_in=512)[:2], (0, bytes(data[32768:33280])))
        with open('r.img', 'rb') as r:
            equal('image', r.read(), bytes(data))


def test_packed_many():
    """The ring full of requests, which come back in any order."""
    data = image()
    rnd = random.Random(5)
    for features in (EVENT_IDX, EVENT_IDX | INDIRECT, 0):
        with Export() as e:
            f = Packed(e.path, features, 96)
            f.start()
            waiting, free, done = {}, list(range(32)), 0
            while done < 600:
                f.ask_for_calls(False)
                while free and f.room >= 5 and rnd.random() < 0.9:
                    place, sector, pieces = free.pop(), rnd.randrange(8192 - 8), rnd.randrange(1, 4)
                    at = DATA + place * 8192
                    table = TABLE + place * 128 if features & INDIRECT and rnd.random() < 0.7 else None
                    ident, body = f.prepare(T_IN, sector, b'', 4096, at, pieces, table)
                    waiting[ident] = (place, sector, body)
                os.eventfd_write(f.kick, 1)
                for ident, length in f.returned(rnd.randrange(1, len(waiting) + 1) if waiting else 0):
                    place, sector, body = waiting.pop(ident)
                    equal('status', (f.m[body + 4096], length), (0, 4097))
                    equal('data', bytes(f.m[body:body + 4096]), data[sector * 512:sector * 512 + 4096])
                    free.append(place)
                    done += 1
            f.returned(len(waiting))


def test_packed_hostile():
    data = image()
    with Export() as e:
        rnd = random.Random(6)
        for turn in range(40):
            f = Packed(e.path, EVENT_IDX | INDIRECT, 16)
            f.start()
            try:
                for _ in range(20):
                    at = DESC + rnd.randrange(16) * 16
                    struct.pack_into('<QIHH', f.m, at, GPA + rnd.choice((0, DATA, SIZE - 8, 1 << 40)), rnd.choice((0, 16, 512, 1 << 20, 0xffffffff)), rnd.randrange(65536),
                                     rnd.choice((F_AVAIL, F_AVAIL | F_NEXT, F_AVAIL | F_INDIRECT, F_AVAIL | F_WRITE, F_USED, rnd.randrange(65536))))
                    f.m[AVAIL:AVAIL + 4] = rnd.randbytes(4)
                    os.eventfd_write(f.kick, 1)
                f.sure(8, struct.pack('<II', 0, rnd.choice((0, 1, 3, 1 << 15, 1 << 20))))
                f.sure(10, struct.pack('<II', 0, rnd.randrange(1 << 32)))
            except (EOFError, BrokenPipeError, ConnectionResetError):
                pass
            f.s.close()
        f = Packed(e.path)
        f.start()
        equal('read', f.request(T_IN, 0, n_in=512)[:2], (0, data[:512]))


def test_read_only():
    data = image()
    with Export(read_only=True) as e:
        f = Front(e.path)
        assert f.features & 1 << 5
        f.start()
        equal('write', f.request(T_OUT, 0, b'x' * 512)[0], 1)
        equal('zeroes', f.request(T_ZEROES, 0, struct.pack('<QII', 0, 8, 0))[0], 1)
        equal('read', f.request(T_IN, 0, n_in=512)[:2], (0, data[:512]))


def test_hostile_front_end():
    """Nonsense in messages and rings: refused or left, and the next front end is served."""
    data = image()
    with Export() as e:
        rnd = random.Random(3)
        for turn in range(60):
            f = Front(e.path, EVENT_IDX | INDIRECT)
            try:
                if turn % 3 == 0:
                    for _ in range(20):
                        f.send(rnd.randrange(45), rnd.randbytes(rnd.choice((0, 4, 8, 12, 40, 300))), [f.fd] if rnd.random() < 0.3 else [])
                elif turn % 3 == 1:
                    f.start()
                    for _ in range(20):
                        at = rnd.choice((DESC, AVAIL, TABLE)) + rnd.randrange(1000)
                        f.m[at:at + 8] = rnd.randbytes(8)
                        f.offer([rnd.randrange(65536) if rnd.random() < 0.1 else rnd.randrange(NUM)])
                else:
                    assert f.sure(5, struct.pack('<IIQQQQ', 1, 0, GPA, SIZE * 2, UADDR, 0), [f.fd])       # more than the file has
                    assert f.sure(5, struct.pack('<IIQQQQ', 1, 0, GPA, (1 << 64) - 1, UADDR, 4096), [f.fd])
                    assert f.sure(5, struct.pack('<II', 8, 0), [f.fd])
                    assert f.sure(8, struct.pack('<II', 0, 1 << 20))
                    assert f.sure(8, struct.pack('<II', 200, 8))
                    assert f.sure(12, struct.pack('<Q', 0), [f.kick])
            except (EOFError, BrokenPipeError, ConnectionResetError):
                pass
            f.s.close()
        f = Front(e.path)
        f.start()
        equal('read', f.request(T_IN, 0, n_in=512)[:2], (0, data[:512]))


def test_messages():
    image()
    here = os.getcwd()
    for more, want in [('', "Parameter 'addr.type' is missing"), (f',addr.type=unix,addr.path={here}/v,num-queues=0', 'num-queues must be between 1 and 64'),
                       (f',addr.type=unix,addr.path={here}/v,logical-block-size=1000', "Property .logical-block-size doesn't take value 1000"),
                       (',addr.type=inet,addr.host=h,addr.port=1', 'vhost-user needs a unix socket')]:
        p = run(DAEMON, '--blockdev', f'driver=file,node-name=f0,filename={here}/r.img', '--export', 'vhost-user-blk,id=v0,node-name=f0' + more, status=1)
        assert want in p.stderr, (more, p.stderr)


main(sys.argv[3:], globals())
