#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Disks of an iSCSI target: tgtd of the test's own on loopback; bytes both ways, holes, who we are, what fails, a target that dies.

usage: iscsi-test.py RHEA-IMG RHEA RHEA-STORAGE-DAEMON
"""
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

IMG, RHEA, DAEMON = (os.path.abspath(name) for name in sys.argv[1:4])
TGTD, TGTADM = (shutil.which(name, path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin') for name in ('tgtd', 'tgtadm'))
NAME = 'iqn.2026-01.test:disk.one'
PATIENCE = 120


def img(*args):
    r = subprocess.run([IMG, *args], capture_output=True, text=True, timeout=PATIENCE)
    return r.returncode, r.stdout, r.stderr


def check(what, got, want):
    if got != want:
        raise AssertionError(f'{what}: {got!r} is not {want!r}')


def missing():
    if 'Unknown protocol' in img('info', 'iscsi://127.0.0.1:1/x/1')[2]:
        return 'built without libiscsi'
    if not TGTD or not TGTADM:
        return 'no tgtd: apt-get install tgt'
    if os.getuid() != 0:
        return 'tgtd wants to be root'
    return None


class Target:
    """One tgtd; the kernel chooses its port, and the number of its control socket is tried until one is free."""

    def __init__(self):
        for number in random.sample(range(10000, 30000), 20):
            self.control = str(number)
            with open('tgtd.log', 'w') as log:
                self.process = subprocess.Popen([TGTD, '-f', '-t', '2', '-C', self.control, '--iscsi', 'portal=127.0.0.1:0'], stdout=log, stderr=log)
            end = time.monotonic() + PATIENCE
            while self.process.poll() is None and time.monotonic() < end:
                r = self.run('--mode', 'portal', '--op', 'show')
                m = re.search(r'Portal: (127\.0\.0\.1:(\d+))', r.stdout)
                if m and self.process.poll() is None:
                    self.portal = m[1]
                    return
                time.sleep(0.01)
            self.stop()
        raise LookupError(open('tgtd.log').read())

    def run(self, *args):
        return subprocess.run([TGTADM, '-C', self.control, '--lld', 'iscsi', *args], capture_output=True, text=True, timeout=PATIENCE)

    def do(self, *args):
        r = self.run(*args)
        if r.returncode:
            raise AssertionError(f'tgtadm {args}: {r.stderr}')

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        for name in (f'/var/run/tgtd/socket.{self.control}', f'/var/run/tgtd/socket.{self.control}.lock'):
            if os.path.exists(name):
                os.unlink(name)

    def url(self, lun, who='', name=NAME):
        return f'iscsi://{who}{self.portal}/{name.replace(":", "%3A")}/{lun}'


def prepare(t):
    t.do('--mode', 'target', '--op', 'new', '--tid', '1', '--targetname', NAME)
    for lun, size, options in ((1, 8, []), (2, 8, []), (3, 4, [])):
        with open(f'{lun}.raw', 'wb') as f:
            f.truncate(size << 20)
        t.do('--mode', 'logicalunit', '--op', 'new', '--tid', '1', '--lun', str(lun), '--backing-store', os.path.abspath(f'{lun}.raw'))
    t.do('--mode', 'logicalunit', '--op', 'update', '--tid', '1', '--lun', '2', '--params', 'thin_provisioning=1')
    t.do('--mode', 'logicalunit', '--op', 'update', '--tid', '1', '--lun', '3', '--params', 'readonly=1')
    t.do('--mode', 'target', '--op', 'bind', '--tid', '1', '--initiator-address', 'ALL')
    t.do('--mode', 'target', '--op', 'new', '--tid', '2', '--targetname', 'iqn.2026-01.test:locked')
    t.do('--mode', 'logicalunit', '--op', 'new', '--tid', '2', '--lun', '1', '--backing-store', os.path.abspath('1.raw'))
    t.do('--mode', 'target', '--op', 'bind', '--tid', '2', '--initiator-address', 'ALL')
    t.do('--mode', 'account', '--op', 'new', '--user', 'ann', '--password', 'secretsecret')
    t.do('--mode', 'account', '--op', 'bind', '--tid', '2', '--user', 'ann')


def data(t):
    raw = random.Random(1).randbytes(8 << 20)
    with open('a.raw', 'wb') as f:
        f.write(raw)
    check('size', json.loads(img('info', '-f', 'raw', '--output=json', t.url(1))[1])['virtual-size'], 8 << 20)
    check('write', img('convert', '-n', '-f', 'raw', '-O', 'raw', 'a.raw', t.url(1)), (0, '', ''))
    check('bytes there', open('1.raw', 'rb').read() == raw, True)
    check('read', img('convert', '-f', 'raw', '-O', 'raw', t.url(1), 'b.raw'), (0, '', ''))
    check('bytes here', open('b.raw', 'rb').read() == raw, True)
    for digest in 'none', 'crc32c', 'none-crc32c', 'crc32c-none':
        opts = f'driver=iscsi,transport=tcp,portal={t.portal},target={NAME},lun=1,header-digest={digest},initiator-name=iqn.2026-01.test:me'
        check(digest, img('compare', '--image-opts', opts, 'driver=raw,file.filename=a.raw'), (0, 'Images are identical.\n', ''))
    check('empty image', img('create', '-q', '-f', 'qcow2', 'e.qcow2', '4M'), (0, '', ''))
    check('carry it there', img('convert', '-n', '-f', 'raw', '-O', 'raw', 'e.qcow2', t.url(2)), (0, '', ''))
    with open('a4.raw', 'wb') as f:
        f.write(raw[:4 << 20])
    check('format over it', img('convert', '-n', '-f', 'raw', '-O', 'qcow2', 'a4.raw', t.url(2)), (0, '', ''))
    check('what it says', img('compare', 'a4.raw', t.url(2)), (0, 'Images are identical.\n', ''))
    check('sound', img('check', '-q', t.url(2))[0], 0)


def holes(t):
    with open('2.raw', 'r+b') as f:
        f.write(random.Random(2).randbytes(8 << 20))
    with open('z.raw', 'wb') as f:
        f.truncate(8 << 20)
    check('zeroes', img('convert', '-n', '-f', 'raw', '-O', 'raw', '-S', '64k', 'z.raw', t.url(2)), (0, '', ''))
    check('all zero', open('2.raw', 'rb').read() == bytes(8 << 20), True)
    check('given back', os.stat('2.raw').st_blocks < 2048, True)
    with open('2.raw', 'r+b') as f:
        f.seek(1 << 20)
        f.write(b'x' * (1 << 20))
    rows = json.loads(img('map', '-f', 'raw', '--output=json', t.url(2))[1])
    check('map', [(r['start'], r['length'], r['data']) for r in rows], [(0, 1 << 20, False), (1 << 20, 1 << 20, True), (2 << 20, 6 << 20, False)])


def refusals(t):
    status, _, err = img('convert', '-n', '-f', 'raw', '-O', 'raw', '3.raw', t.url(3))
    check('write protected', (status, 'write protected' in err), (1, True))
    check('read it', img('info', '-f', 'raw', t.url(3))[0], 0)
    status, _, err = img('info', t.url(9))
    check('no such unit', (status, err.count('\n'), 'iSCSI: ' in err), (1, 1, True))
    status, _, err = img('info', t.url(1, name='iqn.none'))
    check('no such target', (status, err.count('\n'), 'Failed to connect to LUN' in err), (1, 1, True))
    for bad in 'iscsi://', 'iscsi://host', 'iscsi://host/target', 'iscsi://host/target/x', 'iscsi:///t/1':
        check(bad, ('Failed to parse URL' in img('info', bad)[2]), True)
    status, _, err = img('resize', '-f', 'raw', t.url(1), '16M')
    check('resize', (status, 'Cannot grow iSCSI devices' in err), (1, True))


def chap(t):
    locked = 'iqn.2026-01.test:locked'
    check('password', img('info', '-f', 'raw', t.url(1, 'ann%secretsecret@', locked))[0], 0)
    secret = ['--object', 'secret,id=s,data=secretsecret', '--image-opts', f'driver=raw,file.driver=iscsi,file.portal={t.portal},file.target={locked},file.lun=1,file.user=ann,file.password-secret=s']
    check('secret', img('info', *secret)[0], 0)
    for who in 'ann%wrongwrongwrong@', 'bob%secretsecret@':
        status, _, err = img('info', t.url(1, who, locked))
        check(who, (status, err.count('\n'), f"the target refuses user '{who[:3]}'" in err), (1, 1, True))
    status, _, err = img('info', t.url(1, 'ann@', locked))
    check('no password', (status, 'no password was given' in err), (1, True))
    for word, want in ('secretsecret', "nosuchdevice"), ('wrongwrongwrong', "the target refuses user 'ann'"):        # the disk is opened before devices are made
        r = subprocess.run([RHEA, '-M', 'virt', '-display', 'none', '-monitor', 'none', '-serial', 'none', '-iscsi', f'user=ann,password={word},initiator-name=iqn.2026-01.test:vm',
                            '-drive', f'file={t.url(1, "", locked)},if=none,id=d,format=raw', '-device', 'nosuchdevice'], capture_output=True, text=True, timeout=PATIENCE)
        check(f'-iscsi {word}', (r.returncode, want in r.stderr), (1, True))


class Proxy(threading.Thread):
    """Between us and the target: passes `limit` bytes of the answers of its first connection, then it is silent, or hangs up; `again`: others pass whole."""

    def __init__(self, portal, limit, silent, again):
        super().__init__(daemon=True)
        self.there = (portal.split(':')[0], int(portal.split(':')[1]))
        self.limit, self.silent, self.again, self.connections = limit, silent, again, 0
        self.door = socket.create_server(('127.0.0.1', 0))
        self.portal = f'127.0.0.1:{self.door.getsockname()[1]}'
        self.kept = []
        self.start()

    def run(self):
        while True:
            try:
                ours, _ = self.door.accept()
            except OSError:
                return
            self.connections += 1
            self.kept.append(ours)
            if self.connections > 1 and not self.again:
                if not self.silent:
                    ours.close()
                continue
            threading.Thread(target=self.carry, args=(ours, self.limit if self.connections == 1 else 1 << 60), daemon=True).start()

    def carry(self, ours, left):
        theirs = socket.create_connection(self.there)
        while True:
            for s in select.select([ours, theirs], [], [])[0]:
                try:
                    data = s.recv(65536)
                except OSError:
                    data = b''
                if not data or (s is theirs and len(data) > left):
                    theirs.close()
                    if not self.silent or not data:
                        ours.shutdown(socket.SHUT_RDWR)
                        ours.close()
                    return
                if s is theirs:
                    left -= len(data)
                (ours if s is theirs else theirs).sendall(data)

    def stop(self):
        self.door.shutdown(socket.SHUT_RDWR)
        self.door.close()


def through(t, limit, silent, again, timeout, what):
    p = Proxy(t.portal, limit, silent, again)
    opts = f'driver=raw,file.driver=iscsi,file.portal={p.portal},file.target={NAME},file.lun=1,file.timeout={timeout}'
    try:
        return what(opts), p.connections
    finally:
        p.stop()


def death(t):
    """Connections that break, and those that go on."""
    with open('1.raw', 'wb') as f:
        f.write(open('a.raw', 'rb').read())

    def read(opts):
        return img('convert', '--image-opts', '-O', 'raw', opts, 'c.raw')

    def write(opts):
        return img('convert', '-n', '--image-opts', '--target-image-opts', 'driver=raw,file.filename=a.raw', opts)

    (status, _, err), _ = through(t, 3 << 20, True, False, 2, read)
    check('silent', (status, 'Input/output error' in err), (1, True))
    (status, _, err), _ = through(t, 3 << 20, False, False, 2, read)
    check('gone', (status, 'Input/output error' in err), (1, True))
    result, connections = through(t, 3 << 20, False, True, 0, read)
    check('again', result, (0, '', ''))
    check('connections', connections, 2)
    check('the same', open('c.raw', 'rb').read() == open('a.raw', 'rb').read(), True)
    with open('1.raw', 'wb') as f:
        f.truncate(8 << 20)
    result, connections = through(t, 1200, False, True, 0, write)
    check('write again', result, (0, '', ''))
    check('its connections', connections, 2)
    check('written', open('1.raw', 'rb').read() == open('a.raw', 'rb').read(), True)
    opts = f'driver=raw,file.driver=iscsi,file.portal={t.portal},file.target={NAME},file.lun=1,file.timeout='
    t.process.send_signal(signal.SIGSTOP)
    status, _, err = img('info', '--image-opts', opts + '1')
    check('does not answer', (status, 'does not answer' in err), (1, True))
    t.process.send_signal(signal.SIGCONT)
    check('speaks again', img('info', '--image-opts', opts + '0')[0], 0)
    t.stop()
    status, _, err = img('info', '--image-opts', opts + '0')
    check('nobody', (status, 'Connection refused' in err), (1, True))


def until(what, true):
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f'{what}: not in {PATIENCE} s')
        time.sleep(0.01)


def leaving(t):
    """A request that waits for a target for ever does not keep a program from ending."""
    p = Proxy(t.portal, 3 << 20, False, False)
    node = f'driver=iscsi,node-name=d,portal={p.portal},target={NAME},lun=1'
    daemon = subprocess.Popen([DAEMON, '--blockdev', node, '--nbd-server', 'addr.type=unix,addr.path=nbd.sock', '--export', 'type=nbd,id=e,node-name=d', '--pidfile', 'pid'])
    try:
        until('daemon', lambda: os.path.exists('pid') or daemon.poll() is not None)
        reader = subprocess.Popen([IMG, 'convert', '-f', 'raw', '-O', 'raw', 'nbd+unix:///d?socket=nbd.sock', 'd.raw'], stderr=subprocess.PIPE, text=True)
        until('it tries again', lambda: p.connections >= 3)
        check('waits', reader.poll(), None)
        daemon.terminate()
        check('daemon ends', daemon.wait(PATIENCE), 0)
        _, err = reader.communicate(timeout=PATIENCE)
        check('reader', (reader.returncode, 'error' in err), (1, True))
    finally:
        p.stop()
        daemon.kill()
        daemon.wait()


def main():
    why = missing()
    if why:
        print(why)
        return 77
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with open('lsan', 'w') as f:                         # libiscsi 1.19 forgets 24 bytes of each connection that breaks before its login ends
            f.write('leak:libiscsi.so\n')
        os.environ['LSAN_OPTIONS'] = f'suppressions={folder}/lsan:print_suppressions=0'
        os.makedirs('/var/run/tgtd', exist_ok=True)
        t = Target()
        try:
            prepare(t)
            for part in data, holes, refusals, chap, leaving, death:
                part(t)
        finally:
            t.stop()
            os.chdir('/')
    return 0


sys.exit(main())
