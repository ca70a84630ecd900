#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The NBD server, asked by a client of our own (rules of the protocol) and by the packaged ones.

usage: nbd-server.py RHEA-NBD RHEA-IMG [TEST...]
"""
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading

from nbdlib import *

NBD, IMG = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
MiB = 1 << 20


def image(name='r.img', size=4 * MiB, seed=1):
    data = random.Random(seed).randbytes(size)
    with open(name, 'wb') as f:
        f.write(data)
    return data


def ready(server, name='', structured=True, extended=False, contexts=()):
    c = Client(server.path)
    equal('server flags', c.greet(), 3)
    c.modes(structured, extended)
    c.ids = {}
    if contexts:
        for kind, data in c.set_meta(name, *contexts)[:-1]:
            c.ids[data[4:].decode()] = struct.unpack('>I', data[:4])[0]
    replies = c.go(name)
    equal('go', replies[-1], (1, b''))
    return c


def test_create_on():
    """Images made on an export, whatever lay there before: its size stays."""
    source = random.Random(3).randbytes(300000) + bytes(2 * MiB - 300000)
    with open('s.raw', 'wb') as f:
        f.write(source)
    image('e.img', 8 * MiB, 9)
    with Server(NBD, '-t', '-f', 'raw', 'e.img') as s:
        u = s.uri()
        for fmt in ('qcow2', 'vdi', 'vpc'):
            run(IMG, 'create', '-q', '-f', fmt, u, '2M')
            equal(fmt, json.loads(run(IMG, 'info', '--output=json', u).stdout)['format'], fmt)
            run(IMG, 'convert', '-n', '-f', 'raw', '-O', fmt, 's.raw', u)
            run(IMG, 'convert', '-f', fmt, '-O', 'raw', u, 'back.raw')
            equal(fmt + ': content', open('back.raw', 'rb').read()[:2 * MiB] == source, True)
            if shutil.which('qemu-img'):
                run('qemu-img', 'compare', '-q', '-f', 'raw', '-F', fmt, 's.raw', u)
        run(IMG, 'create', '-q', '-f', 'raw', u, '8M')
        equal('raw', json.loads(run(IMG, 'info', '--output=json', u).stdout)['format'], 'raw')
        p = run(IMG, 'create', '-q', '-f', 'raw', u, '20M', status=1)
        equal('too large', f'Cannot grow nbd nodes: it has {8 * MiB} bytes, {20 * MiB} are needed' in p.stderr, True)
    for name, driver in (('http://localhost:1/x', 'http'), ('null-co://', 'null-co'), ('fat:/tmp', 'vvfat')):
        p = run(IMG, 'create', '-f', 'qcow2', name, '1M', status=1)
        equal(name, (p.stdout, p.stderr), ('', f"rhea-img: {name}: Protocol driver '{driver}' does not support image creation\n"))


def test_manual():
    """The pages name every option of the help, and man takes them."""
    import re
    for program in (NBD, os.path.join(os.path.dirname(NBD), 'rhea-storage-daemon')):
        page, text = run(program, '--manual').stdout, run(program, '--help').stdout
        plain = page.replace('\\-', '-')
        options = re.findall(r'^ +(?:-\w, )?(--[a-z-]+)', text, re.M)
        assert len(options) > 8, text
        equal(program, [o for o in options if o not in plain], [])
        if shutil.which('man'):
            with open('page.1', 'w') as f:
                f.write(page)
            equal('warnings of man', run('man', '--warnings', '-l', 'page.1', env={**os.environ, 'MANPAGER': 'cat', 'LC_ALL': 'C'}).stderr, '')


# ---- haggling ----

def test_handshake_limit():
    """Who says nothing is sent away, and does not keep others out for ever."""
    with open('d.img', 'wb') as f:
        f.truncate(MiB)
    with Server(NBD, '-f', 'raw', '-t', '--handshake-limit=1', 'd.img') as s:
        silent = Client(s.path)
        silent.greet()
        equal('what a silent client hears', silent.s.recv(1), b'')
        silent.close()
    p = run(NBD, '--handshake-limit=x', 'd.img', status=1)
    equal('message', p.stderr.strip().endswith("Invalid handshake limit 'x'"), True)


def test_handshake():
    image()
    with Server(NBD, '-t', '-e', '0', '-f', 'raw', '-x', 'ex', '-D', 'some text', 'r.img') as s:
        c = Client(s.path)
        c.greet()
        equal('list', c.option(OPT_LIST), [(2, b'\0\0\0\2exsome text'), (1, b'')])
        equal('unknown option', c.option(99)[0][0], ERR | 1)
        equal('list with data', c.option(OPT_LIST, b'x')[0][0], ERR | 3)
        equal('no such export', c.go('nix'), [(ERR | 6, b"export 'nix' not present")])
        equal('meta before structured', c.set_meta('ex', 'base:allocation')[0][0], ERR | 3)
        info = c.go('ex', OPT_INFO, [1, 2, 3])
        equal('info', info, [(3, b'\0\1ex'), (3, b'\0\2some text'), (3, struct.pack('>HIII', 3, 1, 4096, 32 * MiB)), (3, struct.pack('>HQH', 0, 4 * MiB, 0xd6d)), (1, b'')])
        c.modes()
        equal('structured twice', c.option(OPT_STRUCTURED)[0][0], ERR | 3)
        equal('list contexts', c.set_meta('ex', opt=OPT_LIST_META), [(4, b'\0\0\0\0base:allocation'), (1, b'')])
        equal('list name space', c.set_meta('ex', 'base:', opt=OPT_LIST_META), [(4, b'\0\0\0\0base:allocation'), (1, b'')])
        equal('set name space', c.set_meta('ex', 'base:'), [(1, b'')])
        equal('context of no export', c.set_meta('nix', 'base:allocation')[0][0], ERR | 6)
        equal('set', c.set_meta('ex', 'x:y', 'base:allocation'), [(4, b'\0\0\0\0base:allocation'), (1, b'')])
        equal('name too long', c.go('n' * 5000)[0][0], ERR | 3)
        equal('malformed go', c.option(OPT_GO, b'\0\0\0\7ex')[0][0], ERR | 3)
        equal('too long', c.option(OPT_LIST, bytes(100000))[0][0], ERR | 9)
        equal('no TLS here', c.option(OPT_STARTTLS)[0][0], ERR | 2)
        equal('go', c.go('ex')[-1], (1, b''))
        equal('flags', c.flags, 0xded)
        equal('read', c.do(READ, 0, 1)[0], 0)
        c.close()
        c = Client(s.path)
        c.greet()
        equal('abort', c.option(OPT_ABORT), [(1, b'')])
        assert c.at_end()


def test_old_options():
    """EXPORT_NAME with and without the 124 zeroes; a client without fixed newstyle."""
    data = image()
    with Server(NBD, '-t', '-e', '0', '-f', 'raw', 'r.img') as s:
        for flags, zeroes in ((3, 0), (1, 124), (0, 124), (2, 0)):
            c = Client(s.path)
            c.greet(flags)
            c.s.sendall(struct.pack('>QII', 0x49484156454F5054, OPT_EXPORT_NAME, 0))
            size, f = c.take('QH')
            equal('size', size, len(data))
            equal('zeroes', c.get(zeroes), bytes(zeroes))
            equal('data', c.do(READ, 1000, 3000), (0, data[1000:4000], []))
            c.close()
        c = Client(s.path)
        c.greet()
        c.s.sendall(struct.pack('>QII', 0x49484156454F5054, OPT_EXPORT_NAME, 3) + b'nix')
        assert c.at_end()
        for junk in (b'\0' * 16, struct.pack('>QII', 0x49484156454F5054, OPT_LIST, 1 << 31)):
            c = Client(s.path)
            c.greet()
            c.s.sendall(junk)
            assert c.at_end()
        c = Client(s.path)
        c.greet(0x80)
        assert c.at_end()


# ---- requests ----

def random_work(s, structured, extended, data, seed):
    rnd = random.Random(seed)
    c = ready(s, '', structured, extended)
    mirror = bytearray(data)
    for i in range(150):
        off = rnd.randrange(len(mirror))
        n = rnd.randrange(1, min(len(mirror) - off, 100000) + 1)
        if i % 5 == 0:
            off, n = off & ~4095, min(n & ~4095 or 4096, len(mirror) - (off & ~4095))
        what = rnd.choice((READ, READ, WRITE, ZEROES, TRIM, FLUSH, CACHE))
        if what == READ:
            equal(f'read {off} {n}', c.do(READ, off, n), (0, bytes(mirror[off:off + n]), []))
        elif what == WRITE:
            part = rnd.randbytes(n)
            equal('write', c.do(WRITE, off, flags=rnd.choice((0, FUA)), payload=part)[0], 0)
            mirror[off:off + n] = part
        elif what == ZEROES:
            equal('zeroes', c.do(ZEROES, off, n, rnd.choice((0, FUA, NO_HOLE)))[0], 0)
            mirror[off:off + n] = bytes(n)
        else:
            equal('other', c.do(what, *((0, 0) if what == FLUSH else (off, n)))[0], 0)
            if what == TRIM:            # may read as anything: put it back
                part = bytes(mirror[off:off + n])
                equal('write', c.do(WRITE, off, payload=part)[0], 0)
    equal('all', c.do(READ, 0, len(mirror))[1], bytes(mirror))
    c.send(DISC)
    assert c.at_end()
    return bytes(mirror)


def test_requests():
    data = image()
    for fmt in ('raw', 'qcow2'):
        name = 'r.img' if fmt == 'raw' else 'q.qcow2'
        if fmt == 'qcow2':
            run(IMG, 'convert', '-f', 'raw', '-O', 'qcow2', 'r.img', name)
        with Server(NBD, '-t', '-e', '0', '--discard=unmap', '-f', fmt, name) as s:
            for i, (structured, extended) in enumerate(((False, False), (True, False), (True, True))):
                data = random_work(s, structured, extended, data, i)
        run(IMG, 'convert', '-f', fmt, '-O', 'raw', name, 'back.img')
        with open('back.img', 'rb') as f:
            equal('image afterwards', f.read(), data)
        if fmt == 'qcow2':
            run(IMG, 'check', name)


def test_bad_requests():
    image()
    with Server(NBD, '-t', '-e', '0', '-f', 'raw', 'r.img') as s:
        size = 4 * MiB
        for structured, extended in ((False, False), (True, False), (True, True)):
            c = ready(s, '', structured, extended)
            equal('read beyond', c.do(READ, size - 1, 2)[0], 22)
            equal('read far', c.do(READ, (1 << 64) - 1, 2)[0], 22)
            equal('write beyond', c.do(WRITE, size - 1, payload=b'xx')[0], 28)
            equal('zeroes beyond', c.do(ZEROES, size, 1)[0], 28)
            equal('trim beyond', c.do(TRIM, size, 1)[0], 22)
            equal('unknown command', c.do(77)[0], 22)
            equal('unknown flag', c.do(READ, 0, 1, 1 << 9)[0], 22)
            equal('status without contexts', c.do(STATUS, 0, 1)[0], 22)
            equal('too much', c.do(READ, 0, (32 << 20) + 1)[0], 22)
            equal('nothing', c.do(READ, 0, 0)[0], 0)
            equal('end', c.do(READ, size, 0)[0], 0)
            equal('DF', c.do(READ, 0, 1, DF)[0], 0 if structured else 22)
            equal('still there', c.do(READ, size - 1, 1)[0], 0)
            if extended:
                equal('write without its flag', c.answer(c.send(WRITE, 0, 4, 0, b'wxyz'))[0], 0)
                equal('what it wrote', c.do(READ, 0, 4)[1], b'wxyz')
                equal('payload of a read', c.answer(c.send(READ, 0, 4, PAYLOAD_LEN, b'abcd'))[0], 22)
                equal('huge zeroes', c.do(ZEROES, 0, 1 << 40)[0], 28)
            c.close()
        c = ready(s)
        c.s.sendall(b'\x25\x60\x95\x14' + bytes(24))
        assert c.at_end()
        c = ready(s)
        c.s.sendall(struct.pack('>IHHQQI', 0x25609513, 0, WRITE, 1, 0, 0xffffffff))
        assert c.at_end()
    with Server(NBD, '-t', '-r', '-e', '0', '-f', 'raw', 'r.img') as s:
        c = ready(s)
        equal('flags', c.flags, 0x58f)
        for cmd in (WRITE, ZEROES, TRIM):
            equal('read-only', c.do(cmd, 0, 512, payload=b'x' * 512 if cmd == WRITE else b'')[0], 1)
        c.close()


def test_many_at_once():
    """A thousand requests are under way; answers come in any order, each once."""
    data = image()
    with Server(NBD, '-t', '-e', '0', '-f', 'raw', 'r.img') as s:
        for extended in (False, True):
            c = ready(s, '', True, extended)
            rnd = random.Random(3)
            asked = {}
            for i in range(1, 1001):
                asked[i] = rnd.randrange(len(data) - 5000), rnd.randrange(1, 5000)
            todo = dict(asked)
            sender = threading.Thread(target=lambda: [c.send(READ, off, n, cookie=i) for i, (off, n) in todo.items()])
            sender.start()
            while asked:
                cookie, done, kind, d, err = c.chunk()
                off, n = asked.pop(cookie)
                assert done and kind == 1 and not err and d[8:] == data[off:off + n]
            sender.join()
            c.close()


def test_slow_reader():
    """A client that asks for more than it reads is not given unbounded memory, and the others go on."""
    data = image()
    with Server(NBD, '-t', '-e', '0', '-f', 'raw', 'r.img') as s:
        slow, sent = ready(s), 0
        slow.s.setblocking(False)
        try:
            while sent < 100000:
                slow.send(READ, 0, MiB)
                sent += 1
        except BlockingIOError:
            pass
        assert sent < 100000
        for _ in range(20):
            other = ready(s)
            equal('another client', other.do(READ, 5, 100), (0, data[5:105], []))
            other.close()
        with open(f'/proc/{s.pid}/status') as f:
            rss = [int(line.split()[1]) for line in f if line.startswith('VmRSS')][0]
        assert rss < (600 if 'san' in os.environ.get('MESON_BUILD_ROOT', NBD) else 150) * 1024, f'{rss} KiB'
        slow.close()


# ---- status ----

def spread(extents, start=0):
    """Lists of (length, flags) as one flag a 512-byte unit."""
    return [f for n, f in extents for _ in range(n // 512)]


def test_status():
    with open('r.img', 'wb') as f:
        f.truncate(4 * MiB)
        for at in (0, 64, 65, 1000):
            f.seek(at * 4096)
            f.write(b'x' * 4096)
    run(IMG, 'create', '-q', '-f', 'qcow2', '-b', 'r.img', '-F', 'raw', 'top.qcow2')
    with Server(NBD, '-f', 'qcow2', 'top.qcow2') as s:
        c = ready(s)
        c.do(WRITE, MiB, payload=b'y' * 65536)
        c.do(ZEROES, 2 * MiB, 65536)
        c.send(DISC)
        assert c.at_end()
        assert s.wait_end()
    want = [3] * 8192
    for at in (0, 64, 65, 1000):
        want[at * 8:at * 8 + 8] = [0] * 8
    want[2048:2048 + 128] = [0] * 128
    with Server(NBD, '-t', '-e', '0', '-A', '-f', 'qcow2', 'top.qcow2') as s:
        for extended in (False, True):
            c = ready(s, '', True, extended, ('base:allocation', 'qemu:allocation-depth'))
            equal('contexts', sorted(c.ids), ['base:allocation', 'qemu:allocation-depth'])
            got, at = [], 0
            while at < 4 * MiB:
                error, _, chunks = c.do(STATUS, at, 4 * MiB - at)
                equal('error', error, 0)
                equal('chunks', sorted(x for x, _ in chunks), sorted(c.ids.values()))
                ext = dict(chunks)[c.ids['base:allocation']]
                assert all(n > 0 for n, _ in ext)
                got += spread(ext)
                at += sum(n for n, _ in ext)
            equal('map', got, want)
            one = c.do(STATUS, 0, 4 * MiB, REQ_ONE)[2]
            assert all(len(e) == 1 for _, e in one), one
            depth = dict(c.do(STATUS, MiB, 65536)[2])[c.ids['qemu:allocation-depth']]
            equal('depth at the top', depth, [(65536, 1)])
            depth = dict(c.do(STATUS, 0, 4096)[2])[c.ids['qemu:allocation-depth']]
            equal('depth below', depth, [(4096, 2)])
            if extended:
                ids = struct.pack('>QI', 65536, c.ids['qemu:allocation-depth'])
                ask = lambda p: c.answer(c.send(STATUS, MiB, len(p), PAYLOAD_LEN, p))
                equal('chosen context', ask(ids), (0, b'', [(c.ids['qemu:allocation-depth'], [(65536, 1)])]))
                equal('no such context', ask(struct.pack('>QI', 65536, 30))[0], 22)
                equal('odd payload', ask(ids + b'x')[0], 22)
            c.close()


def test_bitmaps():
    """-B: what was written since the bitmap was made, by another program and by clients; the image keeps it."""
    need('qemu-img', 'qemu-io')
    run('qemu-img', 'create', '-q', '-f', 'qcow2', 'b.qcow2', '8M')
    run('qemu-img', 'bitmap', '--add', '-g', '65536', 'b.qcow2', 'b0')
    run('qemu-io', '-f', 'qcow2', '-c', 'write 1M 64k', '-c', 'write 4M 100k', 'b.qcow2')
    with Server(NBD, '-t', '-e', '0', '-B', 'b0', '-f', 'qcow2', 'b.qcow2') as s:
        c = ready(s, '', True, False, ('qemu:dirty-bitmap:b0',))
        want = [(1 << 20, 0), (65536, 1), (3 * MiB - 65536, 0), (131072, 1), (4 * MiB - 131072, 0)]
        equal('map', c.do(STATUS, 0, 8 * MiB), (0, b'', [(c.ids['qemu:dirty-bitmap:b0'], want)]))
        c.do(WRITE, 0, payload=b'x')
        equal('after a write', c.do(STATUS, 0, MiB)[2][0][1], [(65536, 1), (MiB - 65536, 0)])
        c.close()
    with Server(NBD, '-r', '-t', '-e', '0', '-A', '-B', 'b0', '-f', 'qcow2', 'b.qcow2') as s:
        assert run(NBD, '-L', '-k', s.path).stdout.endswith('contexts: 3\n   base:allocation\n   qemu:allocation-depth\n   qemu:dirty-bitmap:b0\n')
        c = ready(s, '', True, True, ('qemu:dirty-bitmap:b0',))
        equal('kept', c.do(STATUS, 0, 2 * MiB)[2][0][1], [(65536, 1), (MiB - 65536, 0), (65536, 1), (MiB - 65536, 0)])
        c.close()
    run('qemu-img', 'check', 'b.qcow2')


# ---- the program ----

def test_life():
    """Without -t it ends with its last client; with -e N more clients wait; signals end it with 0 and remove the socket."""
    image()
    with Server(NBD, '-f', 'raw', 'r.img') as s:
        a = Client(s.path)              # one that only looks does not count
        a.greet()
        a.option(OPT_LIST)
        a.close()
        a = ready(s)
        a.close()
        assert s.wait_end()
        assert not os.path.exists(s.path) and os.path.exists(s.pid_file)
    with Server(NBD, '-t', '-f', 'raw', 'r.img') as s:
        a = ready(s)
        b = Client(s.path)              # in the queue: no greeting yet
        b.s.setblocking(False)
        for _ in range(50):
            equal('the first one is served', a.do(READ, 0, 1)[0], 0)
            try:
                raise AssertionError(f'one client at a time: {b.s.recv(1)!r}')
            except BlockingIOError:
                pass
        a.close()
        b.s.settimeout(WAIT)
        b.greet()
        b.close()
    for sig in (signal.SIGTERM, signal.SIGINT):
        p = subprocess.Popen([NBD, '-t', '-f', 'raw', '-k', os.path.abspath('x.sock'), '--pid-file=x.pid', 'r.img'], stderr=subprocess.PIPE)
        while not (os.path.exists('x.pid') and os.path.getsize('x.pid')):
            assert p.poll() is None
        c = Client(os.path.abspath('x.sock'))
        c.greet()
        c.modes()
        c.go()
        p.send_signal(sig)
        equal('status', p.wait(WAIT), 0)
        equal('stderr', p.stderr.read(), b'')
        assert c.at_end() and not os.path.exists('x.sock')
        os.unlink('x.pid')


def test_messages():
    image()
    run(IMG, 'create', '-q', '-f', 'qcow2', 'a.qcow2', '1M')
    here = os.getcwd()
    os.symlink(NBD, 'qemu-nbd')
    busy = socket.socket()
    busy.bind(('0.0.0.0', 0))
    busy.listen()
    port = str(busy.getsockname()[1])
    for args, want in [
        ([], "qemu-nbd: Invalid number of arguments\nTry `./qemu-nbd --help' for more information.\n"),
        (['a', 'b'], "qemu-nbd: Invalid number of arguments\nTry `./qemu-nbd --help' for more information.\n"),
        (['--bogus'], "./qemu-nbd: unrecognized option '--bogus'\nqemu-nbd: Try `./qemu-nbd --help' for more information.\n"),
        (['gone'], "qemu-nbd: Failed to blk_new_open 'gone': Could not open 'gone': No such file or directory\n"),
        (['--fork', 'gone'], "qemu-nbd: Failed to blk_new_open 'gone': Could not open 'gone': No such file or directory\n"),
        (['-f', 'qcow2', 'r.img'], "qemu-nbd: Failed to blk_new_open 'r.img': Image is not in qcow2 format\n"),
        (['-f', 'nosuch', 'a.qcow2'], "qemu-nbd: Failed to blk_new_open 'a.qcow2': Unknown driver 'nosuch'\n"),
        (['-k', 'rel.sock', 'a.qcow2'], 'qemu-nbd: socket path must be absolute\n'),
        (['-k', '/gone/n.sock', 'a.qcow2'], 'qemu-nbd: Failed to bind socket to /gone/n.sock: No such file or directory\n'),
        (['-k', '/gone/n.sock', '--fork', 'a.qcow2'], 'qemu-nbd: Failed to bind socket to /gone/n.sock: No such file or directory\n'),
        (['-p', port, 'a.qcow2'], 'qemu-nbd: Failed to find an available port: Address already in use\n'),
        (['-p', 'abc', 'a.qcow2'], 'qemu-nbd: address resolution failed for 0.0.0.0:abc: Servname not supported for ai_socktype\n'),
        (['-e', 'x', 'a.qcow2'], "qemu-nbd: Invalid shared device number 'x'\n"),
        (['-o', 'x', 'a.qcow2'], "qemu-nbd: Invalid offset 'x'\n"),
        (['--cache=foo', 'f'], "qemu-nbd: Invalid cache mode `foo'\n"),
        (['-n', '--cache=none', 'f'], 'qemu-nbd: -n and --cache can only be specified once\n'),
        (['--aio=foo', 'f'], "qemu-nbd: Invalid aio mode 'foo'\n"),
        (['--discard=foo', 'f'], "qemu-nbd: Invalid discard mode `foo'\n"),
        (['--detect-zeroes=foo', 'f'], 'qemu-nbd: Failed to parse detect_zeroes mode: invalid parameter value: foo\n'),
        (['--tls-authz=x', 'f'], 'qemu-nbd: --tls-authz is not permitted without --tls-creds\n'),
        (['--tls-creds=x', '-f', 'raw', 'r.img'], "qemu-nbd: Failed to get TLS creds: No TLS credentials with id 'x'\n"),
        (['--image-opts', '-f', 'raw', 'driver=raw'], 'qemu-nbd: --image-opts and -f are mutually exclusive\n'),
        (['-L', 'f'], 'qemu-nbd: List mode is incompatible with a file name\n'),
        (['-B', 'b', '-L'], 'qemu-nbd: List mode is incompatible with per-device settings\n'),
        (['-B', 'b', '-k', here + '/b.sock', 'a.qcow2'], "qemu-nbd: Bitmap 'b' is not found\n"),
        (['-d', '/gone/nbd0'], 'qemu-nbd: Cannot open /gone/nbd0: No such file or directory\n'),
        (['-o', '10000000', '-f', 'raw', 'r.img'], 'qemu-nbd: Offset (10000000) cannot be greater than size of the containing file (4194304)\n'),
        (['-l', 'a', '-f', 'raw', 'r.img'], "qemu-nbd: Failed to load snapshot: Block format 'raw' used by device '' does not support temporarily loading internal snapshots\n"),
    ]:
        p = run('./qemu-nbd', *args, status=1)
        equal(' '.join(args), p.stderr, want)
        equal('stdout', p.stdout, '')
    assert run('./qemu-nbd', '--version').stdout.startswith('./qemu-nbd 8.')
    assert run('./qemu-nbd', '--help').stdout.startswith('Usage: ./qemu-nbd [OPTIONS] FILE\n  or:  ./qemu-nbd -L [OPTIONS]\n')
    busy.close()


def test_parts_and_layers():
    """-o, -s, -l, --image-opts, -r; what clients read is what was meant."""
    data = image(size=MiB)
    with Server(NBD, '-o', '65536', '-r', '-f', 'raw', 'r.img') as s:
        c = ready(s)
        equal('size', c.size, MiB - 65536)
        equal('offset', c.do(READ, 10, 100), (0, data[65546:65646], []))
        c.close()
    with Server(NBD, '-s', '-f', 'raw', 'r.img') as s:
        c = ready(s)
        equal('write', c.do(WRITE, 0, payload=b'z' * 1000)[0], 0)
        equal('read', c.do(READ, 0, 2000)[1], b'z' * 1000 + data[1000:2000])
        c.close()
    with open('r.img', 'rb') as f:
        equal('below a snapshot', f.read(), data)
    run(IMG, 'convert', '-f', 'raw', '-O', 'qcow2', 'r.img', 'q.qcow2')
    run(IMG, 'snapshot', '-c', 'one', 'q.qcow2')
    for opts in ([], ['-l', 'one'], ['-l', 'snapshot.name=one'], ['--image-opts']):
        name = 'driver=qcow2,file.filename=q.qcow2' if opts == ['--image-opts'] else 'q.qcow2'
        with Server(NBD, *opts, name) as s:
            c = ready(s)
            equal(f'{opts}', c.do(READ, 0, 1000)[1], b'w' * 1000 if opts == ['--image-opts'] else data[:1000])
            if not opts:
                equal('write', c.do(WRITE, 0, payload=b'w' * 1000)[0], 0)
            c.close()


# ---- with others ----

def test_packaged_clients():
    need('qemu-img', 'qemu-nbd', 'nbdinfo', 'nbdcopy')
    data = image()
    with Server(NBD, '-t', '-e', '4', '-x', 'ex', '-D', 'descr', '-f', 'raw', 'r.img') as s:
        equal('qemu-nbd -L', run('qemu-nbd', '-L', '-k', s.path).stdout,
              "exports available: 1\n export: 'ex'\n  description: descr\n  size:  4194304\n  flags: 0xded ( flush fua trim zeroes df multi cache fast-zero )\n"
              '  min block: 1\n  opt block: 4096\n  max block: 33554432\n  available meta contexts: 1\n   base:allocation\n')
        info = json.loads(run('nbdinfo', '--json', '--list', s.uri()).stdout)
        e = info['exports'][0]
        equal('nbdinfo', (e['export-name'], e['description'], e['export-size'], e['can_multi_conn']), ('ex', 'descr', 4 * MiB, True))
        run('nbdcopy', s.uri('ex'), 'copy.img')
        with open('copy.img', 'rb') as f:
            equal('nbdcopy out', f.read(), data)
        other = image('other.img', seed=2)
        run('nbdcopy', 'other.img', s.uri('ex'))
        run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', s.uri('ex'), 'c.qcow2')
        equal('compare', run('qemu-img', 'compare', '-f', 'qcow2', 'c.qcow2', 'other.img').stdout, 'Images are identical.\n')
        run('qemu-img', 'convert', '-n', '-f', 'qcow2', '-O', 'raw', 'c.qcow2', s.uri('ex'))
    with open('r.img', 'rb') as f:
        equal('written', f.read(), other)


def test_same_map_as_peer():
    """The packaged server and ours say the same of one image."""
    need('qemu-nbd', 'nbdinfo', 'qemu-img')
    rnd = random.Random(5)
    with open('base.img', 'wb') as f:
        f.truncate(16 * MiB)
        for _ in range(30):
            f.seek(rnd.randrange(4096) * 4096)
            f.write(rnd.randbytes(rnd.randrange(1, 9) * 4096))
        f.truncate(16 * MiB)
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'base.img', '-F', 'raw', 'top.qcow2')
    for _ in range(20):
        run('qemu-io', '-f', 'qcow2', '-c', f'{rnd.choice(("write", "write -z", "write -z -u"))} {rnd.randrange(256) * 65536} {rnd.randrange(1, 4) * 65536}', 'top.qcow2', status=None)
    for args in (['-f', 'raw', 'base.img'], ['-A', '-f', 'qcow2', 'top.qcow2']):
        maps = []
        for program in (NBD, 'qemu-nbd'):
            with Server(program, '-r', '-t', '-e', '0', *args) as s:
                maps.append([run('nbdinfo', '--map=' + m, s.uri()).stdout for m in (['base:allocation'] + ['qemu:allocation-depth'] * ('-A' in args))])
        equal('maps', maps[0], maps[1])


main(sys.argv[3:], globals())
