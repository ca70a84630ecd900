#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Disks behind ssh: a server of the test's own on loopback; bytes both ways, who the server is, what fails.

usage: ssh-test.py RHEA-IMG
"""
import getpass
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

IMG = os.path.abspath(sys.argv[1])
SSHD = shutil.which('sshd') or shutil.which('sshd', path='/usr/sbin:/usr/local/sbin')


def img(*args, home=None):
    r = subprocess.run([IMG, *args], capture_output=True, text=True, timeout=120, env=dict(os.environ, HOME=home or os.getcwd()))
    return r.returncode, r.stdout, r.stderr


def check(what, got, want):
    if got != want:
        raise AssertionError(f'{what}: {got!r} is not {want!r}')


def missing():
    if not SSHD or not shutil.which('ssh-keygen'):
        return 'no sshd: apt-get install openssh-server'
    if 'Unknown protocol' in img('info', 'ssh://127.0.0.1:1/x')[2]:
        return 'built without libssh'
    if os.getuid() == 0:
        try:
            pwd.getpwnam('sshd')
        except KeyError:
            return 'sshd has no user of its own here'
        os.makedirs('/run/sshd', exist_ok=True)
    return None


def serve(folder):
    """Starts the server on a free port; its process and the port."""
    for name, kind in (('host', 'ed25519'), ('user', 'ed25519')):
        subprocess.run(['ssh-keygen', '-q', '-t', kind, '-N', '', '-f', name], check=True)
    shutil.copy('user.pub', 'authorized')
    os.makedirs('.ssh', mode=0o700)
    with open('.ssh/config', 'w') as f:
        f.write(f'IdentityFile {folder}/user\nUserKnownHostsFile {folder}/known\nGlobalKnownHostsFile /dev/null\n')
    with open('log', 'w') as log:
        for _ in range(20):                                  # another program may take the port before the server does
            with socket.socket() as s:
                s.bind(('127.0.0.1', 0))
                port = s.getsockname()[1]
            p = subprocess.Popen([SSHD, '-D', '-e', '-f', '/dev/null', '-p', str(port), '-h', f'{folder}/host', '-o', 'ListenAddress=127.0.0.1', '-o', 'StrictModes=no',
                                  '-o', f'AuthorizedKeysFile={folder}/authorized', '-o', 'Subsystem=sftp internal-sftp', '-o', 'PidFile=none', '-o', 'UsePAM=no',
                                  '-o', 'PermitRootLogin=yes'], stdout=log, stderr=log)
            while p.poll() is None:
                try:
                    socket.create_connection(('127.0.0.1', port)).close()
                    return p, port
                except OSError:
                    time.sleep(0.01)
    raise AssertionError(open('log').read())


def run(folder, port):
    user = getpass.getuser()
    base = f'ssh://{user}@127.0.0.1:{port}{folder}'
    raw = random.Random(1).randbytes(3 << 20)
    with open('a.raw', 'wb') as f:
        f.write(raw)
    status, _, err = img('info', f'{base}/a.raw')
    check('unknown server', (status, 'known_hosts' in err), (1, True))
    with open('host.pub') as f, open('known', 'w') as g:
        g.write(f'[127.0.0.1]:{port} {" ".join(f.read().split()[:2])}\n')
    check('read', img('convert', '-f', 'raw', '-O', 'raw', f'{base}/a.raw', 'out.raw'), (0, '', ''))
    check('bytes', open('out.raw', 'rb').read() == raw, True)
    check('make', img('create', '-q', '-f', 'qcow2', 'b.qcow2', '3M')[0], 0)
    check('write', img('convert', '-n', '-f', 'raw', '-O', 'qcow2', 'a.raw', f'{base}/b.qcow2'), (0, '', ''))
    check('compare', img('compare', 'a.raw', 'b.qcow2'), (0, 'Images are identical.\n', ''))
    check('sound', img('check', '-q', 'b.qcow2')[0], 0)
    check('grow', img('resize', '-q', '-f', 'raw', f'{base}/a.raw', '5M'), (0, '', ''))
    check('grown', os.path.getsize('a.raw'), 5 << 20)
    # made there: of no size of its own, of one, and a copy; an old file is emptied
    os.truncate('a.raw', 3 << 20)
    with open('c.img', 'wb') as f:
        f.write(raw)
    check('create', img('create', '-q', '-f', 'qcow2', f'{base}/c.img', '3M'), (0, '', ''))
    check('created', (img('check', '-q', 'c.img')[0], os.path.getsize('c.img') < 3 << 20), (0, True))
    check('create raw', (img('create', '-q', '-f', 'raw', f'{base}/d.img', '7M'), os.path.getsize('d.img')), ((0, '', ''), 7 << 20))
    for kind in ('qcow2', 'raw', 'vmdk', 'qed', 'vdi', 'parallels'):
        check(f'copy as {kind}', img('convert', '-f', 'raw', '-O', kind, 'a.raw', f'{base}/e.{kind}'), (0, '', ''))
        check(f'copied as {kind}', img('compare', '-f', 'raw', '-F', kind, 'a.raw', f'e.{kind}'), (0, 'Images are identical.\n', ''))
    finger = subprocess.run(['ssh-keygen', '-l', '-E', 'md5', '-f', 'host.pub'], capture_output=True, text=True, check=True).stdout.split()[1][4:]
    check('fingerprint', img('info', f'{base}/a.raw?host_key_check=md5:{finger}', home='/nonexistent')[2].find('fingerprint'), -1)
    wrong = finger.replace(finger[:2], '00' if finger[:2] != '00' else '11', 1)
    status, _, err = img('info', f'{base}/a.raw?host_key_check=md5:{wrong}')
    check('wrong fingerprint', (status, f"remote host key fingerprint does not match host_key_check '{wrong}'" in err), (1, True))
    status, _, err = img('info', f'{base}/none')
    check('no file', (status, f"failed to open remote file '{folder}/none'" in err), (1, True))
    with open('authorized', 'w'):
        pass
    status, _, err = img('info', f'{base}/a.raw')
    check('not let in', (status, 'failed to authenticate using publickey authentication' in err), (1, True))


def main():
    why = missing()
    if why:
        print(why)
        return 77
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        os.chdir(folder)
        p, port = serve(folder)
        try:
            run(folder, port)
        finally:
            p.terminate()
            p.wait()
            os.chdir('/')
    return 0


sys.exit(main())
