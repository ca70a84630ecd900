# SPDX-License-Identifier: MIT
"""Jobs over the disk of a Debian guest that is busy: mirror, stream, commit, backup and snapshot in random order.

The guest writes, syncs, reads back and removes files all the time.  At the end its file system is clean, each file has the
sum that it was written with, and every backup is a file system that a journal makes whole.
RHEA_JOB_MINUTES says how long (30), RHEA_JOB_SEED in which order.
"""
import json
import os
import random
import subprocess
import sys
import time

from debian import System, image
from machine import BUILD, PATIENCE, Failure, connect, main, same

MINUTES = float(os.environ.get('RHEA_JOB_MINUTES', '30'))
SEED = int(os.environ.get('RHEA_JOB_SEED', '1'))
IMG = os.environ.get('RHEA_IMG') or os.path.join(BUILD, 'tools', 'rhea-img')

LOAD = r'''while [ ! -e /stop ]; do
  n=$((n + 1)); f=/load/$1.$((n % 6))
  head -c $((RANDOM * 64)) /dev/urandom > $f; md5sum $f > $f.sum; [ $((n % 3)) = 0 ] && sync
  [ $((n % 4)) = 0 ] && echo 3 > /proc/sys/vm/drop_caches
  for s in /load/$1.*.sum; do md5sum --status -c $s || { echo $s >> /load/bad; break; }; done
done'''


class Qmp:
    def __init__(self, path):
        self.sock = connect(path)
        self.buf, self.events = b'', []
        self.line()
        self.ask('qmp_capabilities')

    def line(self):
        while b'\n' not in self.buf:
            piece = self.sock.recv(65536)
            if not piece:
                raise Failure('the emulator has hung up')
            self.buf += piece
        one, self.buf = self.buf.split(b'\n', 1)
        return json.loads(one)

    def ask(self, command, **args):
        self.sock.sendall(json.dumps({'execute': command, 'arguments': {k.replace('_', '-'): v for k, v in args.items()}}).encode())
        while 'event' in (got := self.line()):
            self.events.append(got)
        if 'error' in got:
            raise Failure(f'{command} {args}: {got["error"]["desc"]}')
        return got['return']

    def wait(self, status):
        """Until job j has this status; its end is an error unless that was asked for."""
        while True:
            for e in self.events:
                if e['event'] == 'JOB_STATUS_CHANGE' and e['data']['status'] in (status, 'concluded'):
                    if e['data']['status'] != status:
                        raise Failure(f'job ended early: {self.ask("query-jobs")}')
                    self.events = []
                    return
            self.events = [self.line()]


class Jobs:
    def __init__(self, qmp, folder, rnd):
        self.q, self.folder, self.rnd, self.files, self.backups = qmp, folder, rnd, 0, []

    def file(self):
        self.files += 1
        return os.path.join(self.folder, f'{self.files}.qcow2')

    def chain(self):
        node, names = self.q.ask('query-block')[0]['inserted']['image'], []
        while node:
            names.append(node['filename'])
            node = node.get('backing-image')
        return [n for n in names if n.endswith('.qcow2')]          # above the image of the cache

    def end(self):
        self.q.wait('concluded')
        job = self.q.ask('query-jobs')[0]
        if 'error' in job:
            raise Failure(f'{job}')
        self.q.ask('job-dismiss', id='j')
        self.q.events = []

    def snapshot(self):
        self.q.ask('blockdev-snapshot-sync', device='d0', snapshot_file=self.file())

    def stream(self):
        chain = self.chain()
        if len(chain) > 2:
            self.q.ask('block-stream', job_id='j', device='d0', base=chain[-1], auto_dismiss=False)
            self.end()

    def commit(self):
        chain = self.chain()
        if len(chain) > 2:
            self.q.ask('block-commit', job_id='j', device='d0', top=chain[1], base=chain[2], auto_dismiss=False)
            self.end()

    def active_commit(self):
        chain = self.chain()
        if len(chain) > 1:
            self.q.ask('block-commit', job_id='j', device='d0', base=chain[1], auto_dismiss=False)
            self.q.wait('ready')
            self.q.ask('job-complete', id='j')
            self.end()

    def mirror(self):
        mode, pivot = self.rnd.choice(['background', 'write-blocking']), self.rnd.random() < 0.7
        self.q.ask('drive-mirror', job_id='j', device='d0', target=self.file(), format='qcow2', sync='top', copy_mode=mode, auto_dismiss=False)
        self.q.wait('ready')
        if pivot:
            self.q.ask('job-complete', id='j')
        else:
            self.q.ask('block-job-cancel', device='j')
        self.end()

    def backup(self):
        name = self.file()
        self.q.ask('drive-backup', job_id='j', device='d0', target=name, format='qcow2', sync='full', auto_dismiss=False)
        self.end()
        self.backups.append(name)


def clean(folder, path, what, repair=False):
    """The file system on an image, looked at from outside."""
    raw = os.path.join(folder, 'raw')
    subprocess.run([IMG, 'check', '-q', path], check=True)
    subprocess.run([IMG, 'convert', '-O', 'raw', path, raw], check=True)
    if repair:                              # as after a power cut: the journal first
        subprocess.run(['/sbin/e2fsck', '-p', raw], stdout=subprocess.DEVNULL)
    run = subprocess.run(['/sbin/e2fsck', '-fn', raw], capture_output=True, text=True)
    os.unlink(raw)
    same(f'{what}: e2fsck', (run.returncode, run.stdout if run.returncode else ''), (0, ''))


def busy(tmp):
    folder = str(tmp)
    disk, sock = os.path.join(folder, '0.qcow2'), os.path.join(folder, 'q')
    subprocess.run([IMG, 'create', '-q', '-f', 'qcow2', '-b', image(), '-F', 'raw', disk], check=True)
    rnd = random.Random(SEED)
    with System(drive=f'if=none,id=d0,format=qcow2,file={disk}', more=['-qmp', f'unix:{sock},server=on,wait=off']) as s:
        j = Jobs(Qmp(sock), folder, rnd)
        s.login()
        s.must('mkdir /load; cat > load.sh <<"EOF"\n' + LOAD + '\nEOF\ntest -s load.sh')
        for i in range(2):
            s.must(f'(bash load.sh {i} > /dev/null 2>&1 &)')
        end, done = time.monotonic() + MINUTES * 60, {}
        while time.monotonic() < end:
            what = rnd.choice([j.snapshot, j.snapshot, j.stream, j.commit, j.active_commit, j.mirror, j.backup])
            what()
            done[what.__name__] = done.get(what.__name__, 0) + 1
            if len(j.backups) > 1:
                clean(folder, j.backups[-1], 'a backup', repair=True)
                os.unlink(j.backups.pop(0))
        print(f'# {done}', flush=True)
        s.must('touch /stop; while pgrep -f load.sh > /dev/null; do sleep 1; done; sync')
        s.must('test ! -e /load/bad && for f in /load/*.sum; do md5sum --status -c $f || exit 1; done')
        s.must('dmesg -l err,crit,alert,emerg | grep -i -E "ext4|i/o error" && false || true')
        last = j.chain()[0]
        s.m.send('poweroff\n')
        same('poweroff', s.m.end(), 0)
    clean(folder, last, 'the disk')


if __name__ == '__main__':
    main([busy])
