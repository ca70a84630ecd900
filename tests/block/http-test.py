#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Disks behind HTTP: what is read is the file, errors say why; the server counts.

usage: http-test.py RHEA-IMG
"""
import http.server
import os
import random
import re
import subprocess
import sys
import tempfile
import threading

IMG = os.path.abspath(sys.argv[1])


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    files, gets, cookies = {}, 0, set()

    def log_message(self, *args):
        pass

    def answer(self, body):
        name, _, how = self.path.lstrip('/').partition('?')
        data = self.files.get(name)
        if self.headers.get('Cookie'):
            self.cookies.add(self.headers['Cookie'])
        if data is None:
            self.send_error(404)
            return
        part, status = data, 200
        m = re.fullmatch(r'bytes=(\d+)-(\d+)', self.headers.get('Range', ''))
        if m and how != 'plain':
            part, status = data[int(m[1]):int(m[2]) + 1], 206
        if body and how == 'short':
            part = part[:len(part) // 2]
        self.send_response(status)
        self.send_header('Content-Length', str(len(part)))
        if how != 'plain':
            self.send_header('Accept-Ranges', 'bytes')
        self.end_headers()
        if body:
            Server.gets += 1
            self.wfile.write(part)

    def do_GET(self):
        self.answer(True)

    def do_HEAD(self):
        self.answer(False)


def img(*args):
    r = subprocess.run([IMG, *args], capture_output=True, text=True, timeout=120)
    return r.returncode, r.stdout, r.stderr


def check(what, got, want):
    if got != want:
        raise AssertionError(f'{what}: {got!r} is not {want!r}')


def main():
    if img('info', 'http://127.0.0.1:1/x')[2].find('Unknown protocol') >= 0:
        print('built without libcurl')
        return 77
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f'http://127.0.0.1:{server.server_port}'
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        raw = random.Random(1).randbytes(1 << 20) + bytes(2 << 20) + random.Random(2).randbytes(777 * 512)
        with open('a.raw', 'wb') as f:
            f.write(raw)
        check('make', img('convert', '-f', 'raw', '-O', 'qcow2', 'a.raw', 'a.qcow2')[0], 0)
        with open('a.qcow2', 'rb') as f:
            Server.files = {'a.raw': raw, 'a.qcow2': f.read()}
        for name in 'a.raw', 'a.qcow2':
            check(name, img('convert', '-O', 'raw', f'{base}/{name}', 'out.raw'), (0, '', ''))
            with open('out.raw', 'rb') as f:
                check('bytes of ' + name, f.read() == raw, True)
        Server.gets = 0
        check('compare', img('compare', f'json:{{"driver":"raw","file":{{"driver":"http","url":"{base}/a.raw","readahead":"1M","cookie":"k=v"}}}}', 'a.qcow2')[0], 0)
        check('read-ahead', Server.gets <= 16, True)
        check('cookie', Server.cookies, {'k=v'})
        status, out, _ = img('info', f'{base}/a.qcow2')
        check('info', (status, 'file format: qcow2\n' in out, 'disk size: unavailable\n' in out), (0, True, True))
        for url, why in (('none', 'The requested URL returned error: 404'), ('a.raw?plain', "Server does not support 'range' (byte ranges).")):
            check(url, img('info', f'{base}/{url}'), (1, '', f"rhea-img: Could not open '{base}/{url}': CURL: Error opening file: {why}\n"))
        status, _, err = img('convert', '-O', 'raw', f'{base}/a.raw?short', 'out.raw')
        check('short', (status, 'Input/output error' in err), (1, True))
        status, _, err = img('bench', '-w', '-f', 'raw', f'{base}/a.raw')
        check('write', (status, 'does not support writes' in err or 'read-only' in err), (1, True))
        os.chdir('/')
    server.shutdown()
    return 0


sys.exit(main())
