# SPDX-License-Identifier: MIT
"""A guest machine as a test drives it: start, wait for text, type, ask the monitor, look at the end.

RHEA_BIN names another emulator with the same command line, so that a test can
be tried against one that is known to be right.
"""
import base64
import hashlib
import http.server
import os
import random
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('RHEA_BUILD', os.path.join(ROOT, 'build'))
BIN = os.environ.get('RHEA_BIN') or os.path.join(BUILD, 'tools', 'rhea-system-aarch64')


# Tests wait for facts, never for times. This many seconds turn a hang into a failure that shows the console;
# a loaded machine with one slow processor must keep within it.
PATIENCE = 600


class Skip(Exception):
    """The machine lacks something; the text says what."""


class Failure(Exception):
    """What was expected did not come."""


def same(what, got, want):
    if got != want:
        raise Failure(f'{what}: got {got!r}, want {want!r}')


def guest(name):
    run = subprocess.run([os.path.join(ROOT, 'scripts/guest'), 'path', name], capture_output=True, text=True)
    if run.returncode:
        raise Skip(run.stderr.strip().removeprefix('guest: '))
    return run.stdout.strip()


def command(text):
    """Kernel words that make the initrd run this shell script."""
    return 'guestcmd=' + base64.b64encode(text.encode()).decode()


def plain(text):
    """Without escape sequences, as a person reads it."""
    text = re.sub(r'\x1b(\[[0-9;?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>78])', '', text).replace('\r', '')
    return re.sub(r'\x1b[^A-Za-z]*$', '', text)


class Machine:
    """One emulator process with its console on standard input and output."""

    def __init__(self, *args):
        self.args = [BIN] + [str(a) for a in args]
        self.text, self.seen = '', 0
        self.proc = subprocess.Popen(self.args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        self.sel = selectors.DefaultSelector()
        self.sel.register(self.proc.stdout, selectors.EVENT_READ)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait()
        for f in (self.proc.stdin, self.proc.stdout):
            f.close()

    def pump(self, seconds):
        """Reads what there is; False at the end of the output."""
        if not self.sel.select(seconds):
            return True
        data = os.read(self.proc.stdout.fileno(), 65536)
        self.text += data.decode('utf-8', 'replace')
        return bool(data)

    def look(self, pattern):
        """The next match in what has come and was not matched before."""
        found = re.compile(pattern, re.M).search(plain(self.text), self.seen)
        if found:
            self.seen = found.end()
        return found

    def expect(self, pattern, seconds=PATIENCE):
        """Waits for a regular expression; returns the match."""
        end = time.monotonic() + seconds
        while not (found := self.look(pattern)):
            left = end - time.monotonic()
            tail = plain(self.text)[-1500:]
            if left <= 0:
                raise Failure(f'no {pattern!r} within {seconds} s; the last of the console:\n{tail}')
            if not self.pump(left):
                self.proc.wait()
                if found := self.look(pattern):
                    break
                raise Failure(f'ended (status {self.proc.returncode}) before {pattern!r}:\n{tail}')
        return found

    def send(self, text):
        self.proc.stdin.write(text.encode())

    def end(self, seconds=PATIENCE):
        """Waits for the process to end by itself; returns its exit status."""
        stop = time.monotonic() + seconds
        while self.pump(max(0, stop - time.monotonic())):
            if time.monotonic() >= stop:
                raise Failure(f'still running after {seconds} s:\n{plain(self.text)[-800:]}')
        return self.proc.wait(PATIENCE)


def connect(path, seconds=PATIENCE):
    """A client of a unix socket that somebody will listen at."""
    end = time.monotonic() + seconds
    while True:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(path)
            sock.settimeout(seconds)
            return sock
        except OSError:
            sock.close()
            if time.monotonic() > end:
                raise Failure(f'nobody listens at {path}')
            time.sleep(0.05)


def listening(m, path, seconds=PATIENCE):
    """Waits until a machine listens at path. A client that came and went would be seen by it; the kernel's table is not."""
    end = time.monotonic() + seconds
    while True:
        with open('/proc/net/unix', encoding='utf-8') as f:
            if any(x[3] == '00010000' and x[-1] == path for x in map(str.split, f)):
                return
        if m.proc.poll() is not None or time.monotonic() > end:
            raise Failure(f'nobody listens at {path}: {m.text}')
        m.pump(0.05)


class Monitor:
    """The human monitor on a unix socket: Monitor(path).ask('info status')."""

    def __init__(self, path):
        self.sock = connect(path)
        self.until()

    def until(self):
        text = ''
        while not plain(text).endswith('(qemu) '):
            data = self.sock.recv(4096).decode('utf-8', 'replace')
            if not data:
                break
            text += data
        return plain(text)

    def ask(self, line):
        self.sock.sendall((line + '\n').encode())
        return self.until().removesuffix('(qemu) ')

    def close(self):
        self.sock.close()


class Host:
    """A web server on the host's loopback that has one random file: what a guest downloads through user networking."""

    def __init__(self, size):
        payload = os.urandom(size)

        class Serve(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *args):
                pass

        self.md5 = hashlib.md5(payload).hexdigest()
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Serve)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def quiet_port():
    """A TCP port that nobody listens at now, outside the range from which the kernel gives ports to others meanwhile."""
    while True:
        port = random.randrange(10000, 30000)
        with socket.socket() as s:
            try:
                s.bind(('127.0.0.1', port))
                return port
            except OSError:
                pass


def linux(name='linux-arm64-cloud', *, append='', machine='virt', cpu='cortex-a57', mem=512, smp=1):
    """Arguments that boot one of our Linux guests with its console on stdio."""
    g = guest(name)
    return ['-M', machine, '-cpu', cpu, '-m', mem, '-smp', smp, '-display', 'none', '-serial', 'stdio', '-no-reboot',
            '-kernel', g + '/kernel', '-initrd', g + '/initrd', '-append', 'console=ttyAMA0 quiet ' + append]


def main(tests):
    """Runs test functions by name as TAP; arguments choose among them."""
    names = [t.__name__ for t in tests]
    chosen = sys.argv[1:] or names
    for c in chosen:
        if c not in names:
            sys.exit(f'no test named {c}; there are {" ".join(names)}')
    print(f'1..{len(chosen)}', flush=True)
    bad = 0
    for i, c in enumerate(chosen, 1):
        test = tests[names.index(c)]
        start = time.monotonic()
        try:
            with tempfile.TemporaryDirectory() as tmp:
                test(tmp)
            print(f'ok {i} {c} ({time.monotonic() - start:.1f} s)', flush=True)
        except Skip as e:
            print(f'ok {i} {c} # SKIP {e}', flush=True)
        except (Failure, OSError, subprocess.SubprocessError) as e:
            bad += 1
            print(f'not ok {i} {c}', flush=True)
            print('\n'.join('# ' + line for line in str(e).splitlines()), flush=True)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(1 if bad else 0)
