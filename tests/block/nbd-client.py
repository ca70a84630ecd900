#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The NBD driver against servers: ours, the packaged ones, and one that is scripted to lie or to die.

usage: nbd-client.py RHEA-NBD RHEA-IMG [TEST...]
"""
import os
import random
import socket
import struct
import subprocess
import sys
import threading

from nbdlib import *

NBD, IMG = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
MiB = 1 << 20


def image(name='r.img', size=4 * MiB, seed=1):
    rnd = random.Random(seed)
    with open(name, 'wb') as f:
        f.truncate(size)
        for _ in range(20):
            f.seek(rnd.randrange(size // 4096) * 4096)
            f.write(rnd.randbytes(rnd.randrange(1, 30) * 4096))
        f.truncate(size)
    with open(name, 'rb') as f:
        return f.read()


def read(name):
    with open(name, 'rb') as f:
        return f.read()


def check_both_ways(uri, data):
    """Read all of it, overwrite it, and look at the map."""
    run(IMG, 'convert', '-f', 'raw', '-O', 'raw', uri, 'out.img')
    equal('read', read('out.img'), data)
    run(IMG, 'convert', '-n', '-f', 'raw', '-O', 'raw', 'new.img', uri)
    run(IMG, 'compare', '-f', 'raw', '-F', 'raw', 'new.img', uri)


def test_with_ours():
    data, new = image(), image('new.img', seed=2)
    for args in ([], ['-A', '-e', '0']):
        with Server(NBD, '-t', '-x', 'a name', '-f', 'raw', *args, 'r.img') as s:
            check_both_ways(s.uri('a%20name'), data)
            equal('map', run(IMG, 'map', '--output=json', '-f', 'raw', s.uri('a%20name')).stdout, run(IMG, 'map', '--output=json', '-f', 'raw', 'r.img').stdout)
        equal('written', read('r.img'), new)
        with open('r.img', 'wb') as f:
            f.write(data)


def test_with_qemu_nbd():
    need('qemu-nbd')
    data, new = image(), image('new.img', seed=2)
    with Server('qemu-nbd', '-t', '-x', 'ex', '-f', 'raw', 'r.img') as s:
        check_both_ways(s.uri('ex'), data)
        ours = run(NBD, '-L', '-k', s.path).stdout
        equal('-L', ours, run('qemu-nbd', '-L', '-k', s.path).stdout)
        info = run(IMG, 'info', s.uri('ex')).stdout
        equal('info', info.splitlines()[:4], [f'image: nbd+unix:///ex?socket={s.path}', 'file format: raw', 'virtual size: 4 MiB (4194304 bytes)', 'disk size: unavailable'])
        run(IMG, 'info', f'nbd:unix:{s.path}:exportname=ex')
        run(IMG, 'info', '--image-opts', f'driver=nbd,server.type=unix,server.path={s.path},export=ex')
        run(IMG, 'info', 'json:{"driver": "raw", "file": {"driver": "nbd", "path": "%s", "export": "ex"}}' % s.path)
    equal('written', read('r.img'), new)


def nbdkit(*args):
    """nbdkit serves its own -U socket and runs a command; the command here is told the URI."""
    need('nbdkit')
    return ['nbdkit', '--exit-with-parent', *args]


def test_with_nbdkit():
    need('nbdkit')
    data, new = image(), image('new.img', seed=2)
    for more in ([], ['--no-sr'], ['--filter=noextents'], ['--filter=fua', '--filter=nozero']):
        with open('r.img', 'wb') as f:
            f.write(data)
        extra = ['fuamode=emulate', 'zeromode=none'] if '--filter=fua' in more else []
        script = f'{IMG} convert -f raw -O raw "$uri" out.img && {IMG} convert -n -f raw -O raw new.img "$uri" && {IMG} compare -f raw -F raw new.img "$uri"'
        run('nbdkit', '-U', '-', *more, 'file', 'r.img', *extra, '--run', script)
        equal(f'read {more}', read('out.img'), data)
        equal(f'written {more}', read('r.img'), new)
    run('nbdkit', '-r', '-U', '-', '--filter=blocksize-policy', 'file', 'r.img', 'blocksize-minimum=4096', 'blocksize-preferred=65536', 'blocksize-maximum=1M', 'blocksize-error-policy=error',
        '--run', f'{IMG} compare -f raw -F raw new.img "$uri" && {IMG} bench -q -c 50 -f raw -s 1000 -o 512 "$uri"')
    run('nbdkit', '-U', '-', '--oldstyle', 'file', 'r.img', '--run', f'{IMG} compare -f raw -F raw new.img "$uri"')
    run('nbdkit', '-U', '-', '--mask-handshake=0', 'file', 'r.img', '--run', f'{IMG} compare -f raw -F raw new.img "$uri"')
    p = run('nbdkit', '-U', '-', '--filter=error', 'memory', '1M', 'error=ENOSPC', 'error-rate=100%', '--run', f'{IMG} convert -f raw -O raw "$uri" out.img', status=None)
    assert p.returncode and 'No space left on device' in p.stderr, p.stderr


def test_tcp():
    """The kernel chooses the port; the listening socket is handed over as systemd does."""
    data = image()
    listener = socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen()
    port = listener.getsockname()[1]
    code = 'import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])'
    p = subprocess.Popen([sys.executable, '-c', code, str(listener.fileno()), NBD, '-t', '-f', 'raw', '-x', 'ex', 'r.img'], pass_fds=[listener.fileno()])
    for name in (f'nbd://127.0.0.1:{port}/ex', f'nbd:127.0.0.1:{port}:exportname=ex', f'nbd+tcp://localhost:{port}/ex'):
        run(IMG, 'convert', '-f', 'raw', '-O', 'raw', name, 'out.img')
        equal(name, read('out.img'), data)
    equal('info', run(IMG, 'info', f'nbd:127.0.0.1:{port}:exportname=ex').stdout.splitlines()[0], f'image: nbd://127.0.0.1:{port}/ex')
    p.terminate()
    equal('status', p.wait(WAIT), 0)


def test_messages():
    image()
    os.symlink(IMG, 'qemu-img')
    with Server(NBD, '-t', '-x', 'ex', '-r', '-f', 'raw', 'r.img') as s:
        for name, want in [
            (s.uri('none'), "Requested export not available\nserver reported: export 'none' not present\n"),
            ('nbd+unix:///x?socket=/gone/s', "Failed to connect to '/gone/s': No such file or directory\n"),
            ('nbd+unix:///x', 'a unix NBD URI needs ?socket=PATH\n'),
            ('nbd://h/x?socket=/y', '?socket= is for nbd+unix:// only\n'),
            ('nbds+unix:///ex?socket=' + s.path, 'nbds:// needs tls-creds=ID of an object with TLS credentials\n'),
            ('nbd:localhost', "error parsing address 'localhost'\nan address is HOST:PORT, [IPV6]:PORT or :PORT\n"),
        ]:
            equal(name, run('./qemu-img', 'info', name, status=1).stderr, f"qemu-img: Could not open '{name}': {want}")
        p = run('./qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', 'r.img', s.uri('ex'), status=1)
        assert 'for reading only' in p.stderr, p.stderr
        for opts, want in [
            ('driver=nbd', 'NBD server address missing'), ('driver=nbd,path=/x,host=h', 'path and host may not be used at the same time'),
            ('driver=nbd,server.type=unix', "Parameter 'server.path' is missing"), ('driver=nbd,path=/x,bogus=1', "Block protocol 'nbd' does not support the option 'bogus'"),
            ('driver=nbd,path=/x,tls-creds=t', "No TLS credentials with id 't'"), ('driver=nbd,path=/x,tls-hostname=t', 'tls-hostname is of no use without tls-creds'),
        ]:
            p = run('./qemu-img', 'info', '--image-opts', opts, status=1)
            assert want in p.stderr, (opts, p.stderr)
    equal('secret', run('./qemu-img', 'info', '--object', 'secret,id=x', 'r.img', status=1).stderr, "qemu-img: Either 'file' or 'data' must be provided\n")
    os.symlink(NBD, 'qemu-nbd')
    here = os.getcwd()
    equal('-L', run('./qemu-nbd', '-L', '-k', here + '/none.sock', status=1).stderr, f"qemu-nbd: Failed to connect to '{here}/none.sock': No such file or directory\n")


# ---- a server of our own making ----

class Script(threading.Thread):
    """Serves `data`, but cuts the connection after `cut` bytes of its own have gone out, or changes them with `lie`."""

    count = 0

    def __init__(self, data, cut=None, lie=None, connections=1, mode='structured'):
        super().__init__(daemon=True)
        self.data, self.cut, self.lie, self.mode = bytearray(data), cut, lie, mode
        Script.count += 1
        self.path = os.path.abspath(f'script{Script.count}.sock')
        self.s = socket.socket(socket.AF_UNIX)
        self.s.bind(self.path)
        self.s.listen(16)
        self.left = connections
        self.lied = False
        self.out = 0
        self.start()

    def uri(self):
        return f'nbd+unix://?socket={self.path}'

    def run(self):
        while self.left:
            self.left -= 1
            self.c, _ = self.s.accept()
            self.out = 0
            try:
                self.serve()
            except (EOFError, OSError):
                pass
            self.c.close()
            if self.left:
                self.cut = self.lie = None
        self.s.close()

    def send(self, b):
        if self.lie:
            told, b = b, self.lie(self.out, b)
            self.lied = self.lied or told != b
        if self.cut is not None and self.out + len(b) > self.cut:
            self.c.sendall(b[:self.cut - self.out])
            self.out = self.cut
            raise EOFError
        self.out += len(b)
        self.c.sendall(b)

    def get(self, form):
        n, b = struct.calcsize('>' + form), b''
        if self.lied:                   # whoever waits for what the lie promised learns that nothing comes
            self.c.shutdown(socket.SHUT_WR)
        while len(b) < n:
            part = self.c.recv(n - len(b))
            if not part:
                raise EOFError
            b += part
        return struct.unpack('>' + form, b)

    def reply(self, opt, kind, data=b''):
        self.send(struct.pack('>QIII', 0x3e889045565a9, opt, kind, len(data)) + data)

    def options(self):
        while True:
            _, opt, n = self.get('QII')
            data, = self.get(f'{n}s')
            if opt in (8, 11) and (self.mode == 'extended' or (opt == 8 and self.mode == 'structured')):
                self.reply(opt, 1)
            elif opt == 10:
                self.reply(opt, 4, struct.pack('>I', 7) + b'base:allocation')
                self.reply(opt, 1)
            elif opt in (6, 7):
                self.reply(opt, 3, struct.pack('>HQH', 0, len(self.data), 0xded))
                self.reply(opt, 3, struct.pack('>HIII', 3, 1, 4096, 1 << 20))
                self.reply(opt, 1)
                if opt == 7:
                    return
            else:
                self.reply(opt, ERR | 1)

    def chunk(self, cookie, off, flags, kind, data):
        if self.mode == 'extended':
            self.send(struct.pack('>IHHQQQ', 0x6e8a278c, flags, kind, cookie, off, len(data)) + data)
        else:
            self.send(struct.pack('>IHHQI', 0x668e33ef, flags, kind, cookie, len(data)) + data)

    def answer(self, cmd, cookie, off, n):
        ok = struct.pack('>IIQ', 0x67446698, 0, cookie)
        if cmd == READ and self.mode == 'simple':
            self.send(ok + self.data[off:off + n])
        elif cmd == READ:
            half = n // 2
            if half:
                self.chunk(cookie, off, 0, 1, struct.pack('>Q', off + half) + self.data[off + half:off + n])
            self.chunk(cookie, off, 1, 1, struct.pack('>Q', off) + self.data[off:off + (half or n)])
        elif cmd == STATUS:
            ext = self.mode == 'extended'
            self.chunk(cookie, off, 1, 6 if ext else 5, struct.pack('>IIQQ', 7, 1, n, 0) if ext else struct.pack('>III', 7, n, 0))
        elif self.mode == 'extended':
            self.chunk(cookie, off, 1, 0, b'')
        else:
            self.send(ok)

    def serve(self):
        self.send(struct.pack('>QQH', 0x4e42444d41474943, 0x49484156454F5054, 3))
        self.get('I')
        self.options()
        while True:
            if self.mode == 'extended':
                _, flags, cmd, cookie, off, n = self.get('IHHQQQ')
            else:
                _, flags, cmd, cookie, off, n = self.get('IHHQQI')
            if cmd == DISC:
                return
            if cmd == WRITE:
                self.data[off:off + n] = self.get(f'{n}s')[0]
            self.answer(cmd, cookie, off, n)


def test_modes():
    data = random.Random(9).randbytes(300032)
    for mode in ('simple', 'structured', 'extended'):
        s = Script(data, mode=mode)
        run(IMG, 'convert', '-f', 'raw', '-O', 'raw', s.uri(), 'out.img')
        equal(mode, read('out.img'), data)


def test_dying_server():
    """The connection is cut after every so many bytes of the server's: an error in words, never a hang, never wrong data."""
    data = random.Random(9).randbytes(20480)
    for mode in ('simple', 'structured', 'extended'):
        s = Script(data, mode=mode)
        run(IMG, 'convert', '-f', 'raw', '-O', 'raw', s.uri(), 'out.img')
        s.join(WAIT)
        points = sorted(set(list(range(0, min(s.out, 420), 7)) + [s.out * i // 25 for i in range(25)]))
        for cut in points:
            t = Script(data, cut=cut, mode=mode)
            p = run(IMG, 'convert', '-f', 'raw', '-O', 'raw', t.uri(), 'out.img', status=None)
            assert p.returncode == 1 and p.stderr, (mode, cut, p)


def test_reconnect():
    """With reconnect-delay a server that comes back is used again, and everything arrives once."""
    data = random.Random(9).randbytes(300032)
    for mode in ('simple', 'structured', 'extended'):
        for cut in (2000, 100000, 299000):
            s = Script(data, cut=cut, mode=mode, connections=2)
            opts = f'driver=raw,file.driver=nbd,file.path={s.path},file.reconnect-delay={WAIT}'
            run(IMG, 'convert', '--image-opts', '-O', 'raw', opts, 'out.img')
            equal(f'{mode} {cut}', read('out.img'), data)
    s = Script(data, cut=100000, connections=1)
    p = run(IMG, 'convert', '--image-opts', '-O', 'raw', f'driver=raw,file.driver=nbd,file.path={s.path},file.reconnect-delay=1', 'out.img', status=1)
    assert 'Input/output error' in p.stderr, p.stderr


def test_open_timeout():
    """The server comes only after the client has tried."""
    image()
    path = os.path.abspath('late.sock')
    p = subprocess.Popen([IMG, 'convert', '--image-opts', '-O', 'raw', f'driver=raw,file.driver=nbd,file.path={path},file.open-timeout={WAIT}', 'out.img'])
    q = subprocess.Popen([NBD, '-f', 'raw', '-k', path, 'r.img'])
    equal('client', p.wait(WAIT), 0)
    equal('server', q.wait(WAIT), 0)
    equal('data', read('out.img'), read('r.img'))


def test_lying_server():
    """Each kind of lie is an error."""
    data = random.Random(9).randbytes(20480)

    def flip(at, new):
        def lie(out, b):
            if out <= at < out + len(b):
                i = at - out
                return b[:i] + new + b[i + len(new):]
            return b
        return lie
    good = Script(data, mode='structured')
    run(IMG, 'convert', '-f', 'raw', '-O', 'raw', good.uri(), 'out.img')
    good.join(WAIT)
    for at in range(0, 330, 3):
        for new in (b'\xff', b'\0\0\0', b'\x7f\xff\xff\xff\xff\xff\xff\xff'):
            s = Script(data, lie=flip(at, new))
            p = run(IMG, 'convert', '-f', 'raw', '-O', 'raw', s.uri(), 'out.img', status=None)
            assert p.returncode in (0, 1), (at, new, p)
            s.s.close()


main(sys.argv[3:], globals())
