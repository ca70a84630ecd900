#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The host's system calls fail below rhea-img and below jobs: at each point once, from there on, or half way through a write; or all of them are short or interrupted.

A line that says that it has succeeded has done its work to the byte. One that
fails says why, and leaves images that open, have no corruption and hold what
they held before or what they were to hold. The same line works once the
host does again. Short and interrupted calls are never seen.

usage: host-faults.py SHIM RHEA-IMG RHEA-STORAGE-DAEMON [STEP [FIRST]]: every STEPth point
"""
import errno
import json
import mmap
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile

SHIM, IMG, DAEMON = (os.path.abspath(a) for a in sys.argv[1:4])
STEP = int(sys.argv[4]) if len(sys.argv) > 4 else 1
FIRST = int(sys.argv[5]) if len(sys.argv) > 5 else 0
PATIENCE = 300
READ, WRITE, FLUSH, RESIZE, PUNCH = 1, 2, 4, 8, 16
ALL = 31
ERROR, HALF, UNEVEN = range(3)
SIZE = 3 << 20
LAYOUT = '=iIIiIIII64s'
WAYS = [('EIO once', ERROR, 1, errno.EIO, ALL), ('ENOSPC from then on', ERROR, 0, errno.ENOSPC, WRITE | RESIZE), ('half of a write, then ENOSPC', HALF, 0, errno.ENOSPC, WRITE | RESIZE),
        ('ESTALE from then on', ERROR, 0, errno.ESTALE, ALL)]


class Control:
    def __init__(self, path, match):
        with open(path, 'wb') as f:
            f.truncate(4096)
        with open(path, 'r+b') as f:
            self.map = mmap.mmap(f.fileno(), 4096)
        self.match = match.encode()
        self.set()

    def set(self, at=-1, count=0, kinds=ALL, error=0, way=ERROR, threads=1):
        self.map[:struct.calcsize(LAYOUT)] = struct.pack(LAYOUT, at, count, kinds, error, way, threads, 0, 0, self.match)

    def read(self):
        return struct.unpack(LAYOUT, self.map[:struct.calcsize(LAYOUT)])

    counted = property(lambda self: self.read()[6])
    struck = property(lambda self: self.read()[7] != 0)


def img(*words, cwd, env=None):
    return subprocess.run([IMG, *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=PATIENCE)


def must(*words, cwd):
    r = img(*words, cwd=cwd)
    assert r.returncode == 0, (words, r.stderr)


class World:
    """A folder whose files come back as they were."""

    def __init__(self, root):
        self.dir, self.saved, self.root = root + '/hf-images', root + '/saved', root
        os.mkdir(self.dir)
        self.control = Control(root + '/control', 'hf-images')
        self.env = dict(os.environ, LD_PRELOAD=SHIM, HOST_FAULTS=root + '/control')

    def save(self):
        shutil.rmtree(self.saved, ignore_errors=True)
        shutil.copytree(self.dir, self.saved)

    def reset(self):
        for name in os.listdir(self.dir):
            os.unlink(f'{self.dir}/{name}')
        for name in os.listdir(self.saved):
            subprocess.run(['cp', '--sparse=always', f'{self.saved}/{name}', f'{self.dir}/{name}'], check=True)

    def content(self, name):
        r = img('convert', '-O', 'raw', name, self.root + '/out.raw', cwd=self.dir)
        if r.returncode:
            return r.stderr
        with open(self.root + '/out.raw', 'rb') as f:
            return f.read()


def pattern(seed):
    r = random.Random(seed)
    return b''.join(bytes([r.randrange(1, 256)]) * 4096 if r.random() < 0.6 else bytes(4096) for _ in range(SIZE // 4096))


A, B = pattern(1), pattern(2)
OVER = b''.join(B[i:i + 4096] if B[i] else A[i:i + 4096] for i in range(0, SIZE, 4096))


def make_images(w):
    """base.qcow2 with A, top.qcow2 over it with what of B is data; s.qcow2 with a snapshot (A) and a bitmap, now OVER."""
    for name, data in [('a.raw', A), ('over.raw', OVER)]:
        with open(f'{w.dir}/{name}', 'wb') as f:
            f.write(data)
    small = 'cluster_size=4096'
    must('convert', '-O', 'qcow2', '-o', small, 'a.raw', 'base.qcow2', cwd=w.dir)
    must('convert', '-O', 'qcow2', '-o', small, '-B', 'base.qcow2', '-F', 'qcow2', 'over.raw', 'top.qcow2', cwd=w.dir)
    must('convert', '-O', 'qcow2', '-o', small, 'a.raw', 's.qcow2', cwd=w.dir)
    must('snapshot', '-c', 's1', 's.qcow2', cwd=w.dir)
    must('bitmap', '--add', 's.qcow2', 'b0', cwd=w.dir)
    must('convert', '-n', '-O', 'qcow2', 'over.raw', 's.qcow2', cwd=w.dir)
    w.save()


# line, {image: the contents that it may have after a failure}, what it has after a success
BOTH = {'top.qcow2': [OVER], 'base.qcow2': [A, None]}
FORMATS = ['raw', 'qcow2', 'qcow', 'qed', 'vdi', 'vmdk', 'vpc', 'vhdx', 'parallels']
LINES = [(f'convert -O {f}{" -o force_size=on" if f == "vpc" else ""} over.raw new.{f}', {}, {f'new.{f}': OVER}) for f in FORMATS] + [
    ('convert -c -O qcow2 over.raw new.qcow2', {}, {'new.qcow2': OVER}),
    ('convert -O vmdk -o subformat=streamOptimized over.raw new.vmdk', {}, {'new.vmdk': OVER}),
    ('create -f qcow2 -o preallocation=falloc new.qcow2 1M', {}, {'new.qcow2': bytes(1 << 20)}),
    ('convert -n -O qcow2 a.raw s.qcow2', {'s.qcow2': [None]}, {'s.qcow2': A}),
    ('commit top.qcow2', {'top.qcow2': [OVER]}, {'base.qcow2': OVER, 'top.qcow2': OVER}),
    ('commit -d top.qcow2', {'top.qcow2': [OVER]}, {'base.qcow2': OVER, 'top.qcow2': OVER}),
    ('rebase -b  top.qcow2', {'top.qcow2': [OVER]}, {'top.qcow2': OVER}),
    ('resize s.qcow2 4M', {'s.qcow2': [OVER, OVER + bytes((4 << 20) - SIZE)]}, {'s.qcow2': OVER + bytes((4 << 20) - SIZE)}),
    ('snapshot -c s2 s.qcow2', {'s.qcow2': [OVER]}, {'s.qcow2': OVER}),
    ('snapshot -d s1 s.qcow2', {'s.qcow2': [OVER]}, {'s.qcow2': OVER}),
    ('snapshot -a s1 s.qcow2', {'s.qcow2': [OVER, A]}, {'s.qcow2': A}),
    ('bitmap --add s.qcow2 b1', {'s.qcow2': [OVER]}, {'s.qcow2': OVER}),
    ('bitmap --remove s.qcow2 b0', {'s.qcow2': [OVER]}, {'s.qcow2': OVER}),
    ('amend -o refcount_bits=64 s.qcow2', {'s.qcow2': [OVER]}, {'s.qcow2': OVER}),
    ('amend -o lazy_refcounts=on s.qcow2', {'s.qcow2': [OVER]}, {'s.qcow2': OVER}),
    ('amend -o compat=0.10 base.qcow2', {'base.qcow2': [A]}, {'base.qcow2': A}),
    ('check -r all s.qcow2', {'s.qcow2': [OVER]}, {'s.qcow2': OVER}),
]


def words(line):
    return ['' if w == "''" else w for w in line.replace('-b  ', "-b '' ").split()]


def look(w, contents, where):
    """An image that has no corruption and holds one of these."""
    wrong = []
    for name, may in contents.items():
        if name.endswith('.qcow2'):
            r = img('check', '-f', 'qcow2', name, cwd=w.dir)
            errors = re.search(r'^(\d+) errors were found', r.stdout, re.M)
            if r.returncode not in (0, 3) and not (r.returncode == 2 and errors and int(errors[1]) == (r.stdout + r.stderr).count('OFLAG_COPIED')):      # a flag that is behind: docs/block-crash.md
                wrong.append(f'{where}: check of {name}: {r.returncode} {r.stdout[:300]}{r.stderr[:300]}')
        if None in may:
            continue
        now = w.content(name)
        if now not in may:
            wrong.append(f'{where}: {name} holds something else' if isinstance(now, bytes) else f'{where}: {name}: {now}')
    return wrong


def points_of(total, name):
    """Every STEPth, but some of each."""
    step = min(STEP, max(1, total // 4))
    return range((FIRST + len(name)) % step, total, step)


def one_line(w, line, before, after):
    wrong, points = [], 0
    w.reset()
    w.control.set(kinds=ALL)
    r = img(*words(line), cwd=w.dir, env=w.env)
    if r.returncode:
        return [f'{line}: {r.stderr}'], 0
    wrong += look(w, {k: [v] for k, v in after.items()}, line)
    for threads in (0, 1):
        w.reset()
        w.control.set(way=UNEVEN, threads=threads)
        r = img(*words(line), cwd=w.dir, env=w.env)
        if r.returncode or not w.control.counted:
            wrong.append(f'{line}, short and interrupted calls, threads={threads}: {r.returncode} {r.stderr} ({w.control.counted})')
        wrong += look(w, {k: [v] for k, v in after.items()}, f'{line}, short and interrupted, threads={threads}')
    for name, way, count, error, kinds in WAYS:
        w.reset()
        w.control.set(kinds=kinds)
        img(*words(line), cwd=w.dir, env=w.env)
        total = w.control.counted
        for at in points_of(total, name):
            where = f'{line}, {name}, point {at} of {total}'
            w.reset()
            w.control.set(at, count, kinds, error, way)
            r = img(*words(line), cwd=w.dir, env=w.env)
            points += 1
            if r.returncode == 0:
                wrong += look(w, {k: [v] for k, v in after.items()}, where)
                continue
            if r.returncode < 0 or not r.stderr.strip() and not line.startswith('check') or not w.control.struck:
                wrong.append(f'{where}: status {r.returncode}, said {r.stderr!r}')
            wrong += look(w, before, where)
        if len(wrong) > 5:
            break
    return wrong, points


# ---- jobs that make and change images ----

class Daemon:
    def __init__(self, w):
        self.p = subprocess.Popen([DAEMON, '--chardev', 'stdio,id=c', '--monitor', 'c'], cwd=w.dir, env=w.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        json.loads(self.p.stdout.readline())
        self.ask('qmp_capabilities')

    def ask(self, command, **args):
        self.p.stdin.write(json.dumps({'execute': command, 'arguments': args}) + '\n')
        self.p.stdin.flush()
        while True:
            answer = json.loads(self.p.stdout.readline())
            if 'event' not in answer:
                return answer

    def job(self, command, **args):
        """None, or the error of the job."""
        answer = self.ask(command, **{'job-id': 'j', **args})
        if 'error' in answer:
            return answer['error']['desc']
        while True:
            j = self.ask('query-jobs')['return'][0]
            if j['status'] == 'concluded':
                self.ask('job-dismiss', id='j')
                return j.get('error')

    def end(self):
        self.ask('quit')
        self.p.stdin.close()
        self.p.wait(PATIENCE)


def create_job(d, fmt):
    error = d.job('blockdev-create', options={'driver': 'file', 'filename': 'j.img', 'size': 0})
    if error is None:
        error = d.ask('blockdev-add', **{'driver': 'file', 'node-name': 'f', 'filename': 'j.img'}).get('error', {}).get('desc')
    if error is None:
        error = d.job('blockdev-create', options={'driver': fmt, 'file': 'f', 'size': 1 << 20})
        d.ask('blockdev-del', **{'node-name': 'f'})
    return error


def amend_job(d, fmt):
    error = d.ask('blockdev-add', **{'driver': 'qcow2', 'node-name': 'q', 'file': {'driver': 'file', 'filename': 's.qcow2'}}).get('error', {}).get('desc')
    if error is None:
        error = d.job('x-blockdev-amend', **{'node-name': 'q', 'options': {'driver': 'qcow2', 'version': 'v3', 'lazy-refcounts': True, 'refcount-bits': 64}})
        if error and 'unexpected' in error:
            return 'unexpected'
        d.ask('blockdev-del', **{'node-name': 'q'})
    return error


def one_job(w, run, fmt, before, after):
    wrong, points = [], 0
    what = f'{run.__name__} {fmt}'
    for name, way, count, error, kinds in WAYS:
        w.reset()
        w.control.set(kinds=kinds)
        d = Daemon(w)
        said = run(d, fmt)
        if said:
            return [f'{what}: {said}'], 0
        total = w.control.counted
        for at in points_of(total, name):
            w.reset()
            w.control.set(at, count, kinds, error, way)
            said = run(d, fmt)
            struck = w.control.struck
            w.control.set()
            where = f'{what}, {name}, point {at} of {total}'
            points += 1
            if said and not struck:
                wrong.append(f'{where}: {said!r}, and nothing had failed')
            wrong += look(w, before if said else after, where)
            if said:                            # the host works again: so does the same daemon
                if not before:
                    w.reset()
                again = run(d, fmt)
                if again:
                    wrong.append(f'{where}: and again: {again}')
                wrong += look(w, after, where + ', again')
        d.end()
        if len(wrong) > 5:
            break
    return wrong, points


# ---- files that change under an open disk ----

def vanish(w):
    """Removed: writes and flushes go on. Cut: what is gone reads as an error or as zeroes, never as something else, and the image's tables stay sound."""
    wrong = []
    for kind in ('removed', 'cut', 'replaced'):
        w.reset()
        w.control.set()
        d = Daemon(w)
        d.ask('blockdev-add', **{'driver': 'raw', 'node-name': 'r', 'file': {'driver': 'file', 'filename': 'a.raw'}})
        d.ask('blockdev-add', **{'driver': 'qcow2', 'node-name': 't', 'file': {'driver': 'file', 'filename': 'base.qcow2'}})
        path = w.dir + '/a.raw'
        if kind == 'removed':
            os.unlink(path)
        elif kind == 'cut':
            os.truncate(path, SIZE // 2)
        else:
            with open(path + '.new', 'wb') as f:
                f.write(OVER)
            os.rename(path + '.new', path)
        error = d.job('blockdev-backup', device='r', target='t', sync='full', **{'auto-dismiss': False})
        d.end()
        wrong += look(w, {'base.qcow2': [None]}, kind)
        now = w.content('base.qcow2')
        want = A if kind != 'cut' else A[:SIZE // 2] + bytes(SIZE // 2)
        if kind != 'cut' and error or error is None and now != want:
            wrong.append(f'a file that is {kind}: {error}, right={now == want}')
    return wrong, 3


def main():
    failed = False
    with tempfile.TemporaryDirectory() as root:
        w = World(root)
        make_images(w)
        tests = [(line, one_line, (line, before, after)) for line, before, after in LINES]
        for fmt in ['qcow2', 'qed', 'vdi', 'vpc', 'vhdx', 'parallels']:
            tests.append((f'create job, {fmt}', one_job, (create_job, fmt, {}, {'j.img': [bytes(1 << 20), None]} if fmt == 'vpc' else {'j.img': [bytes(1 << 20)]})))
        tests.append(('amend job', one_job, (amend_job, 'qcow2', {'s.qcow2': [OVER]}, {'s.qcow2': [OVER]})))
        tests.append(('files that go', vanish, ()))
        print(f'1..{len(tests)}')
        for i, (name, run, args) in enumerate(tests):
            wrong, points = run(w, *args)
            for text in wrong[:8]:
                print('# ' + text.replace('\n', ' | '))
            print(f'{"not ok" if wrong else "ok"} {i + 1} - {name} # {points} points', flush=True)
            failed |= bool(wrong)
    sys.exit(failed)


main()
