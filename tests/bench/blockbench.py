# SPDX-License-Identifier: MIT
"""What the rows of tests/bench/block stand on: programs, images, measuring, printing.

A row is a function with @row(...) that takes the Bench, prepares its images and returns a function `work(side)`, which gives
either an argument list to be run and measured, or a Sample that it measured itself (`bench.run(argv)`, several added up).
Sides are Program records: ours first, then the peers; rows with bare=True have the bare loop too.
"""
import collections
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

Program = collections.namedtuple('Program', 'name img bare')
Sample = collections.namedtuple('Sample', 'wall cpu rss')           # seconds, seconds, KiB
Row = collections.namedtuple('Row', 'name what make wall cpu mem bare against')
ROWS = []


def row(name, what, wall=None, cpu=None, mem=None, bare=None, against=None):
    """Goals: `wall`, `cpu`, `mem` are what the first peer's figure divided by ours shall be at least; `bare` is what ours divided by
    the bare loop's seconds shall be at most.  `against`: only this side is compared with (a row that compares us with ourselves)."""
    def add(make):
        ROWS.append(Row(name, what, make, wall, cpu, mem, bare, against))
        return make
    return add


def choose(only):
    """Rows by names or their beginnings, in the order of their files."""
    if not only:
        return ROWS
    wanted = only.split(',')
    for w in wanted:
        if not any(r.name.startswith(w) for r in ROWS):
            sys.exit(f"block: no row named {w}; there are {' '.join(r.name for r in ROWS)}")
    return [r for r in ROWS if any(r.name.startswith(w) for w in wanted)]


def add(*samples):
    """Several programs one after the other: times add up, memory is the largest."""
    return Sample(sum(s.wall for s in samples), sum(s.cpu for s in samples), max(s.rss for s in samples))


def default_peers():
    for argv in ([ROOT + '/scripts/peer', 'path', 'qemu-img'], ['sh', '-c', 'command -v qemu-img']):
        r = subprocess.run(argv, capture_output=True, text=True, check=False)
        if r.returncode == 0:
            return [Program('peer', r.stdout.strip(), False)]
    return []


class Bench:
    def __init__(self, opt):
        self.opt = opt
        self.quick = opt.quick
        self.repeat = opt.repeat or (3 if opt.quick else 5)
        self.size = (opt.size or (256 if opt.quick else 8192)) << 20
        self.ours = Program('rhea', opt.ours or ROOT + '/build/tools/rhea-img', False)
        self.peers = [Program(*p.split('=', 1), False) for p in opt.peer] or default_peers()
        self.folders, self.row_folders, self.kept, self.row_ends = {}, [], {}, []

    def __enter__(self):
        for kind, where in (('tmpfs', self.opt.tmpfs), ('disk', self.opt.disk)):
            self.folders[kind] = tempfile.mkdtemp(prefix='rhea-bench-', dir=where)
        self.helper = self.folders['disk'] + '/blockhelp'
        subprocess.run(['cc', '-O2', '-o', self.helper, HERE + '/blockhelp.c'], check=True)
        return self

    def __exit__(self, *_):
        for d in self.folders.values():
            shutil.rmtree(d, ignore_errors=True)

    # ---- for rows ----

    def folder(self, kind='tmpfs'):
        """A new folder (tmpfs or disk) that goes with the row."""
        d = tempfile.mkdtemp(dir=self.folders[kind])
        self.row_folders.append(d)
        return d

    def at_end(self, undo):
        """undo() is called when the row has been measured, before its folders go."""
        self.row_ends.append(undo)

    def keep(self, name, make):
        """Something that several rows share: made once, make() is called at the first time."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]

    def helper_run(self, *args):
        subprocess.run([self.helper, *[str(a) for a in args]], check=True)

    def run(self, argv, stdout=subprocess.DEVNULL):
        """Runs one program to its end and measures it; a failure ends the bench."""
        argv = [str(a) for a in argv]
        out = self.folders['disk'] + '/sample'
        r = subprocess.run([self.helper, 'time', out, *argv], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
        if r.returncode != 0:
            sys.exit(f"block: failed ({r.returncode}): {' '.join(argv)}\n{r.stderr}")
        with open(out, encoding='ascii') as f:
            wall, cpu, rss = f.read().split()
        return Sample(float(wall), float(cpu), int(rss))

    # ---- measuring ----

    def sides(self, r):
        return [self.ours] + self.peers + ([Program('bare', self.helper, True)] if r.bare else [])

    def once(self, work, side):
        got = work(side)
        return got if got is None or isinstance(got, Sample) else self.run(got)

    def measure(self, r):
        work = r.make(self)
        if isinstance(work, str):
            print(f'{r.name:28} skipped: {work}', flush=True)
            return {}
        samples = {}
        try:
            for _ in range(self.repeat):
                for side in self.sides(r):
                    s = self.once(work, side)
                    if s is not None:
                        samples.setdefault(side.name, []).append(s)
        finally:
            self.end_row()
        meds = {n: Sample(*(statistics.median(x) for x in zip(*ss))) for n, ss in samples.items()}
        show(r, meds)
        return {n: s._asdict() for n, s in meds.items()}


    def end_row(self):
        while self.row_ends:
            self.row_ends.pop()()
        for d in self.row_folders:
            shutil.rmtree(d, ignore_errors=True)
        self.row_folders.clear()


def mark(ok):
    return ' ' if ok is None or ok else '!'


def show(r, meds):
    ours = meds['rhea']
    first = True
    for n, s in meds.items():
        line = f"{r.name if first else '':28} {n:8} {s.wall:8.3f} s {s.cpu:8.3f} s cpu {s.rss / 1024:7.1f} MiB"
        if n == 'bare':
            line += f'   ours takes {ours.wall / s.wall:5.2f}x{mark(ours.wall / s.wall <= r.bare)}'
        elif n != 'rhea' and ours.wall > 0:
            goals = r.against is None or r.against == n
            ratios = [(ours.wall and s.wall / ours.wall, r.wall), (ours.cpu and s.cpu / ours.cpu, r.cpu), (s.rss / ours.rss, r.mem)]
            line += '   ' + ' '.join(f'{name} {v:6.2f}x{mark(not goals or goal is None or v >= goal)}' for name, (v, goal) in zip(('speed', 'cpu', 'memory'), ratios))
        print(line, flush=True)
        first = False
