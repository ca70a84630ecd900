# SPDX-License-Identifier: MIT
"""What the NBD tests share: a client written from the protocol's specification, servers that are ready when they return, checks."""
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback

WAIT = 120                  # seconds; only a hang meets it

OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, OPT_STARTTLS, OPT_INFO, OPT_GO, OPT_STRUCTURED = 1, 2, 3, 5, 6, 7, 8
OPT_LIST_META, OPT_SET_META, OPT_EXTENDED = 9, 10, 11
ERR = 1 << 31
READ, WRITE, DISC, FLUSH, TRIM, CACHE, ZEROES, STATUS = range(8)
FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO, PAYLOAD_LEN = (1 << i for i in range(6))


class Client:
    """One connection; nothing is sent that the caller did not ask for."""

    def __init__(self, address):
        self.s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.s.settimeout(WAIT)
        self.s.connect(address)
        self.structured = self.extended = False
        self.cookie = 0

    def get(self, n):
        b = b''
        while len(b) < n:
            part = self.s.recv(n - len(b))
            if not part:
                raise EOFError(f'{len(b)} of {n} bytes')
            b += part
        return b

    def take(self, form):
        return struct.unpack('>' + form, self.get(struct.calcsize('>' + form)))

    def greet(self, flags=3):
        magic, opt, server = self.take('QQH')
        assert magic == 0x4e42444d41474943 and opt == 0x49484156454F5054, hex(magic)
        self.s.sendall(struct.pack('>I', flags))
        return server

    def option(self, opt, data=b''):
        """All replies up to the last one, as (type, data)."""
        self.s.sendall(struct.pack('>QII', 0x49484156454F5054, opt, len(data)) + data)
        out = []
        while True:
            magic, o, kind, n = self.take('QIII')
            assert magic == 0x3e889045565a9 and o == opt, (hex(magic), o)
            out.append((kind, self.get(n)))
            if kind == 1 or kind & ERR:
                return out

    def modes(self, structured=True, extended=False):
        if extended:
            assert self.option(OPT_EXTENDED) == [(1, b'')]
        elif structured:
            assert self.option(OPT_STRUCTURED) == [(1, b'')]
        self.structured, self.extended = structured or extended, extended

    def go(self, name='', opt=OPT_GO, infos=()):
        n = name.encode()
        replies = self.option(opt, struct.pack('>I', len(n)) + n + struct.pack('>H', len(infos)) + b''.join(struct.pack('>H', i) for i in infos))
        for kind, data in replies:
            if kind == 3 and data[:2] == b'\0\0':
                self.size, self.flags = struct.unpack('>QH', data[2:])
        return replies

    def set_meta(self, name, *queries, opt=OPT_SET_META):
        n = name.encode()
        data = struct.pack('>I', len(n)) + n + struct.pack('>I', len(queries))
        for q in queries:
            data += struct.pack('>I', len(q)) + q.encode()
        return self.option(opt, data)

    def send(self, cmd, off=0, length=0, flags=0, payload=b'', cookie=None):
        self.cookie += 1
        c = self.cookie if cookie is None else cookie
        if self.extended:
            head = struct.pack('>IHHQQQ', 0x21e41c71, flags, cmd, c, off, length)
        else:
            head = struct.pack('>IHHQQI', 0x25609513, flags, cmd, c, off, length)
        self.s.sendall(head + payload)
        return c

    def chunk(self):
        """One reply or chunk: (cookie, done, type, data, error)."""
        magic, = self.take('I')
        if magic == 0x67446698:
            assert not self.extended
            err, cookie = self.take('IQ')
            return cookie, True, None, b'', err
        if self.extended:
            assert magic == 0x6e8a278c, hex(magic)
            flags, kind, cookie, _, n = self.take('HHQQQ')
        else:
            assert magic == 0x668e33ef and self.structured, hex(magic)
            flags, kind, cookie, n = self.take('HHQI')
        data = self.get(n)
        err = struct.unpack('>I', data[:4])[0] if kind & 0x8000 else 0
        return cookie, bool(flags & 1), kind, data, err

    def answer(self, cookie, length=0, off=0):
        """The whole answer to one request, when no other is open: (error, data, status chunks)."""
        data, chunks, error = bytearray(length), [], 0
        while True:
            c, done, kind, d, err = self.chunk()
            assert c == cookie, (c, cookie)
            error = error or err
            if kind is None and not err:
                data[:] = self.get(length)
            elif kind == 1:
                at = struct.unpack('>Q', d[:8])[0] - off
                data[at:at + len(d) - 8] = d[8:]
            elif kind == 2:
                at, n = struct.unpack('>QI', d)
                data[at - off:at - off + n] = bytes(n)
            elif kind in (5, 6):
                chunks.append(self.extents(kind, d))
            if done:
                return error, bytes(data), chunks

    @staticmethod
    def extents(kind, d):
        if kind == 5:
            ctx, = struct.unpack('>I', d[:4])
            body, form = d[4:], '>II'
        else:
            ctx, count = struct.unpack('>II', d[:8])
            body, form = d[8:], '>QQ'
            assert count == len(body) // 16
        return ctx, list(struct.iter_unpack(form, body))

    def do(self, cmd, off=0, length=0, flags=0, payload=b''):
        if cmd == WRITE:
            length = len(payload)
            flags |= PAYLOAD_LEN if self.extended else 0
        c = self.send(cmd, off, length, flags, payload)
        return self.answer(c, length if cmd == READ else 0, off)

    def at_end(self):
        try:
            return self.s.recv(1) == b''
        except ConnectionResetError:
            return True

    def close(self):
        self.s.close()


class Server:
    """`--fork` returns when the server listens, so nothing here waits for time to pass."""
    count = 0

    def __init__(self, program, *args, port=False):
        Server.count += 1
        self.path = os.path.abspath(f's{Server.count}.sock')
        self.pid_file = os.path.abspath(f's{Server.count}.pid')
        where = [] if port else ['-k', self.path]
        if os.path.basename(program) == 'rhea-nbd' and not any(a.startswith('--handshake-limit') for a in args):
            where.append('--handshake-limit=0')             # the host may be busy
        self.start = subprocess.run([program, *where, '--fork', f'--pid-file={self.pid_file}', *args], capture_output=True, text=True, timeout=WAIT)
        if self.start.returncode:
            raise RuntimeError(f'{program} {args}: {self.start.stderr}')
        with open(self.pid_file) as f:
            self.pid = int(f.read())

    def uri(self, name='', scheme='nbd+unix'):
        return f'{scheme}:///{name}?socket={self.path}'

    def alive(self):
        try:
            with open(f'/proc/{self.pid}/stat') as f:
                return f.read().rsplit(')', 1)[1].split()[0] != 'Z'
        except FileNotFoundError:
            return False

    def wait_end(self):
        """The process is not our child: its pidfd tells when it ends."""
        import select
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        ok = bool(select.select([fd], [], [], WAIT)[0])
        os.close(fd)
        return ok

    def stop(self, sig=signal.SIGTERM):
        try:
            os.kill(self.pid, sig)
        except ProcessLookupError:
            pass
        assert self.wait_end(), 'the server does not end'

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.stop(signal.SIGTERM if what[0] is None else signal.SIGKILL)


def run(*argv, status=0, **more):
    p = subprocess.run(argv, capture_output=True, text=True, timeout=WAIT, **more)
    if status is not None and p.returncode != status:
        raise AssertionError(f'{" ".join(argv)}: status {p.returncode}, not {status}\n{p.stdout}{p.stderr}')
    return p


def equal(what, got, want):
    if got != want:
        raise AssertionError(f'{what}:\n  got  {repr(got)[:600]}\n  want {repr(want)[:600]}')


def need(*programs):
    missing = [p for p in programs if not shutil.which(p)]
    if missing:
        raise Skip(f'not installed: {" ".join(missing)}')


class Skip(Exception):
    pass


def main(names, tests):
    """TAP over the functions of a module called test_*; names pick some of them."""
    bad = 0
    todo = [(n, f) for n, f in tests.items() if n.startswith('test_') and (not names or n[5:] in names)]
    print(f'1..{len(todo)}')
    for i, (name, fn) in enumerate(todo, 1):
        with tempfile.TemporaryDirectory(prefix='nbd-') as d:
            here = os.getcwd()
            os.chdir(d)
            try:
                fn()
                print(f'ok {i} {name[5:]}')
            except Skip as why:
                print(f'ok {i} {name[5:]} # SKIP {why}')
            except Exception:
                bad += 1
                print(f'not ok {i} {name[5:]}')
                print(''.join('# ' + line + '\n' for line in traceback.format_exc().splitlines()), end='')
            finally:
                os.chdir(here)
        sys.stdout.flush()
    sys.exit(1 if bad else 0)
