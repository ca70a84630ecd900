# SPDX-License-Identifier: MIT
"""Jobs over the disk of a Debian guest that is busy: mirror, stream, commit, backup and snapshot in random order.

The guest writes, syncs, reads back and removes files all the time.  Its disk is a quorum of the chain that the jobs work on and of a shadow
copy that they leave alone: all that the guest reads is compared, and at the end every block.  Then its file system is clean, each file has the
sum that it was written with, and every backup is a file system that a journal makes whole.
RHEA_JOB_MINUTES says how long (30), RHEA_JOB_SEED in which order; each kind occurs.
"""
import json
import os
import random
import select
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

    def waiting(self):
        """Events that have come."""
        got = []
        while b'\n' in self.buf or select.select([self.sock], [], [], 0)[0]:
            got.append(self.line())
        return got

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
    """Jobs over a chain of layers (node, file), the active one first; the last is the image of the cache, which stays as it is."""

    def __init__(self, qmp, folder, rnd, chain):
        self.q, self.folder, self.rnd, self.files, self.backups, self.chain = qmp, folder, rnd, 0, [], chain

    def file(self):
        """A new layer: (node, file)."""
        self.files += 1
        return f'n{self.files}', os.path.join(self.folder, f'{self.files}.qcow2')

    def drop(self, *layers):
        for _, path in layers:
            os.unlink(path)

    def end(self):
        self.q.wait('concluded')
        job = self.q.ask('query-jobs')[0]
        if 'error' in job:
            raise Failure(f'{job}')
        self.q.ask('job-dismiss', id='j')
        self.q.events = []

    def snapshot(self):
        node, path = self.file()
        self.q.ask('blockdev-snapshot-sync', node_name=self.chain[0][0], snapshot_file=path, snapshot_node_name=node)
        self.chain.insert(0, (node, path))
        return True

    def stream(self):
        if len(self.chain) < 3:
            return False
        self.q.ask('block-stream', job_id='j', device=self.chain[0][0], base_node=self.chain[-1][0], auto_dismiss=False)
        self.end()
        self.drop(*self.chain[1:-1])
        del self.chain[1:-1]
        return True

    def commit(self):
        if len(self.chain) < 4:
            return False
        top = self.rnd.randrange(1, len(self.chain) - 2)
        self.q.ask('block-commit', job_id='j', device=self.chain[0][0], top_node=self.chain[top][0], base_node=self.chain[top + 1][0], auto_dismiss=False)
        self.end()
        self.drop(self.chain.pop(top))
        return True

    def active_commit(self):
        if len(self.chain) < 3:
            return False
        self.q.ask('block-commit', job_id='j', device=self.chain[0][0], base_node=self.chain[1][0], auto_dismiss=False)
        self.q.wait('ready')
        self.q.ask('job-complete', id='j')
        self.end()
        self.drop(self.chain.pop(0))
        return True

    def mirror(self, mode):
        node, path = self.file()
        pivot = self.rnd.random() < 0.7
        self.q.ask('drive-mirror', job_id='j', device=self.chain[0][0], target=path, format='qcow2', node_name=node, sync='top', copy_mode=mode, auto_dismiss=False)
        self.q.wait('ready')
        if pivot:
            self.q.ask('job-complete', id='j')
        else:
            self.q.ask('block-job-cancel', device='j')
        self.end()
        old = self.chain[0] if pivot else (node, path)
        if pivot:
            self.chain[0] = (node, path)
        self.drop(old)
        return True

    def mirror_background(self):
        return self.mirror('background')

    def mirror_write_blocking(self):
        return self.mirror('write-blocking')

    def backup(self):
        _, path = self.file()
        self.q.ask('drive-backup', job_id='j', device=self.chain[0][0], target=path, format='qcow2', sync='full', auto_dismiss=False)
        self.end()
        self.backups.append(path)
        return True


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


def sparse_copy(path, to):
    subprocess.run(['cp', '--sparse=always', '--reflink=auto', path, to], check=True)


def next_job(rnd, kinds, done):
    """By chance; what has not occurred for a while goes first."""
    late = [k for k in kinds if done.get(k.__name__, 0) * 4 < max(done.values(), default=0)]
    return rnd.choice(late or kinds)


def busy(tmp):
    folder = str(tmp)
    disk, shadow, sock = os.path.join(folder, '0.qcow2'), os.path.join(folder, 'shadow'), os.path.join(folder, 'q')
    subprocess.run([IMG, 'create', '-q', '-f', 'qcow2', '-b', image(), '-F', 'raw', disk], check=True)
    sparse_copy(image(), shadow)
    rnd = random.Random(SEED)
    drive = (f'if=none,id=d0,driver=quorum,vote-threshold=2,blkverify=on,children.0.driver=qcow2,children.0.node-name=n0,children.0.file.driver=file,'
             f'children.0.file.filename={disk},children.0.backing.driver=raw,children.0.backing.node-name=bottom,children.0.backing.file.driver=file,'
             f'children.0.backing.file.filename={image()},children.1.driver=raw,children.1.file.driver=file,children.1.file.filename={shadow}')
    with System(smp=1, drive=drive, more=['-qmp', f'unix:{sock},server=on,wait=off']) as s:
        s.login()
        j = Jobs(Qmp(sock), folder, rnd, [('n0', disk), ('bottom', image())])
        s.must('mkdir /load; cat > load.sh <<"EOF"\n' + LOAD + '\nEOF\ntest -s load.sh')
        for i in range(2):
            s.must(f'(bash load.sh {i} > /dev/null 2>&1 &)')
        kinds = [j.snapshot, j.stream, j.commit, j.active_commit, j.mirror_background, j.mirror_write_blocking, j.backup]
        end, done, begun = time.monotonic() + MINUTES * 60, {k.__name__: 0 for k in kinds}, time.monotonic()
        while time.monotonic() < end or not all(done.values()):
            what = next_job(rnd, kinds, done)
            if not what():
                j.snapshot()
                done['snapshot'] += 1
                continue
            done[what.__name__] += 1
            print(f'# {time.monotonic() - begun:.0f} s: {what.__name__}, {len(j.chain)} layers', flush=True)
            if len(j.backups) > 1:
                clean(folder, j.backups[-1], 'a backup', repair=True)
                os.unlink(j.backups.pop(0))
        print(f'# {sum(done.values())} jobs in {time.monotonic() - begun:.0f} s: {done}', flush=True)
        s.must('touch /stop; while pgrep -f load.sh > /dev/null; do sleep 1; done; sync')
        s.must('test ! -e /load/bad && for f in /load/*.sum; do md5sum --status -c $f || exit 1; done')
        s.must('dmesg -l err,crit,alert,emerg | grep -i -E "ext4|i/o error" && false || true')
        s.m.send('poweroff\n')
        same('poweroff', s.m.end(), 0)
    last = j.chain[0][1]
    run = subprocess.run([IMG, 'compare', '-f', 'qcow2', '-F', 'raw', last, shadow], capture_output=True, text=True)
    same('the disk and its shadow', (run.returncode, run.stdout), (0, 'Images are identical.\n'))
    clean(folder, last, 'the disk')


if __name__ == '__main__':
    main([busy])
