#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""qcow2 images whose tables are made here: map, measure, compare and check say what the tables say; long chains; holes of files.

usage: tables.py RHEA-IMG
"""
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'bench'))
from blockimage import CLUSTER, COPIED, layered, scattered

RHEA = os.path.abspath(sys.argv[1])
PEER = shutil.which('qemu-img')
GUEST = 256 << 20                       # of the scattered images: 4096 clusters, 2500 of them there
PATIENCE = 300


def run(*argv, status=0, **more):
    r = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False, **more)
    if status is not None and r.returncode != status:
        raise AssertionError(f'{argv}: {r.returncode}, {r.stdout}{r.stderr}')
    return r


def same(what, got, want):
    if got != want:
        raise AssertionError(f'{what}: {str(got)[:500]} is not {str(want)[:500]}')


def words(f, at, n):
    f.seek(at)
    return struct.unpack(f'>{n}Q', f.read(8 * n))


class Image:
    """The tables of a simple qcow2 image, read here."""
    def __init__(self, path):
        self.path = path
        with open(path, 'rb') as f:
            head = f.read(104)
            self.size, = struct.unpack_from('>Q', head, 24)
            l1_size, l1_at, self.reft = struct.unpack_from('>IQQ', head, 36)
            self.tables = [e & ~COPIED for e in words(f, l1_at, l1_size)]
            self.entries = [e for t in self.tables for e in words(f, t, CLUSTER // 8)][:self.size // CLUSTER]
            self.block = words(f, self.reft, 1)[0]

    def place(self, i):
        """Where in the file the entry of guest cluster i is."""
        return self.tables[i // (CLUSTER // 8)] + i % (CLUSTER // 8) * 8

    def put(self, at, fmt, value):
        with open(self.path, 'r+b') as f:
            f.seek(at)
            f.write(struct.pack(fmt, value))

    def put_count(self, host, value):
        self.put(self.block + host // CLUSTER * 2, '>H', value)

    def runs(self):
        """As map tells them: start, length, offset of the file or None."""
        out = []
        for i, e in enumerate(self.entries):
            at = e & ~COPIED or None
            if out and ((at is None and out[-1][2] is None) or (at and out[-1][2] and out[-1][2] + out[-1][1] == at)):
                out[-1][1] += CLUSTER
            else:
                out.append([i * CLUSTER, CLUSTER, at])
        return out


def images():
    for shuffled in (False, True):
        path = f"{'shuffled' if shuffled else 'ordered'}.qcow2"
        scattered(path, GUEST, 2500, shuffled)
        yield Image(path)


def case_map():
    for image in images():
        got = json.loads(run(RHEA, 'map', '--output=json', image.path).stdout)
        same('runs', [[r['start'], r['length'], r.get('offset')] for r in got], image.runs())
        same('zero', {r['zero'] for r in got}, {True})          # clusters are holes of the file
        same('present', [r['present'] for r in got], [r.get('offset') is not None for r in got])
        with open(image.path, 'r+b') as f:                      # one has data
            f.seek(max(e & ~COPIED for e in image.entries))
            f.write(b'data')
        zero = [r['start'] // CLUSTER for r in json.loads(run(RHEA, 'map', '--output=json', image.path).stdout) if not r['zero']]
        same('data', zero, [max(range(len(image.entries)), key=lambda i: image.entries[i] & ~COPIED)])
        if PEER:
            both = [json.loads(run(tool, 'map', '--output=json', image.path).stdout) for tool in (RHEA, PEER)]
            same('the peer', *[[{k: v for k, v in r.items() if k != 'compressed'} for r in runs] for runs in both])     # which older ones do not tell


def case_measure():
    for image in images():
        sizes = json.loads(run(RHEA, 'measure', '--output=json', '-O', 'qcow2', image.path).stdout)
        same('nothing but holes', sizes['fully-allocated'] - sizes['required'], GUEST)
        shutil.copyfile(image.path, 'copy.qcow2')
        run(RHEA, 'compare', image.path, 'copy.qcow2')
        with open('copy.qcow2', 'r+b') as f:
            f.seek(image.entries[-1] & ~COPIED or max(e & ~COPIED for e in image.entries))
            f.write(b'x')
        run(RHEA, 'compare', image.path, 'copy.qcow2', status=1)


def checked(path, status, *flags):
    r = json.loads(run(RHEA, 'check', '--output=json', *flags, path, status=status).stdout)
    return {k: v for k, v in r.items() if k not in ('filename', 'format', 'image-end-offset', 'total-clusters')}


def case_check():
    """Damage of each kind, alone: said, as the other program says it, and mended."""
    for image in images():
        used = [i for i, e in enumerate(image.entries) if e]
        pieces = [i for i, p in zip(used[1:], used) if (image.entries[i] ^ COPIED) != (image.entries[p] ^ COPIED) + CLUSTER]
        good = {'check-errors': 0, 'allocated-clusters': 2500}
        same('clean', checked(image.path, 0), {**good, **({'fragmented-clusters': len(pieces)} if pieces else {})})
        a, b = used[7], used[1000]
        host_a, host_b = (image.entries[i] & ~COPIED for i in (a, b))
        damages = [
            ('flag off', lambda: image.put(image.place(a), '>Q', host_a), 2, (1, 0), 'all'),
            ('count too high', lambda: image.put_count(host_a, 2), 2, (1, 1), 'leaks'),
            ('count too low', lambda: image.put_count(host_a, 0), 2, (2, 0), 'all'),
            ('two to one', lambda: image.put(image.place(a), '>Q', host_b | COPIED), 2, (1, 1), 'all'),
            ('outside', lambda: image.put(image.place(a), '>Q', 1 << 50 | COPIED), 2, (2, 1), None),
            ('leak', lambda: image.put(image.place(a), '>Q', 0), 3, (0, 1), 'leaks'),
        ]
        for what, damage, status, (corruptions, leaks), repair in damages:
            shutil.copyfile(image.path, 'safe')
            damage()
            got = checked(image.path, status)
            same(what, (got.get('corruptions', 0), got.get('leaks', 0)), (corruptions, leaks))
            if PEER:
                other = json.loads(run(PEER, 'check', '--output=json', image.path, status=None).stdout)
                same(f'{what}, the peer', (other.get('corruptions', 0), other.get('leaks', 0)), (corruptions, leaks))
            if repair:
                run(RHEA, 'check', '-r', repair, image.path)
                same(f'{what}, mended', {k: v for k, v in checked(image.path, 0).items() if k in ('corruptions', 'leaks', 'check-errors')}, {'check-errors': 0})
            shutil.move('safe', image.path)


def lose_counts(path, how):
    """Damages after which the counts can not be mended where they are."""
    with open(path, 'r+b') as f:
        l1, table = words(f, 40, 2)
        block, = words(f, table, 1)
        at, value = {'no block': (table, bytes(512)), 'block outside': (table, 1 << 40), 'block unaligned': (table, block + 512), 'block in the L1 table': (table, l1),
                     'block in the table': (table, table), 'table in the L1 table': (48, l1), 'table outside': (48, 1 << 40)}[how]
        f.seek(at)
        f.write(value if isinstance(value, bytes) else struct.pack('>Q', value))


def checked_by_both(path):
    checked(path, 0)
    if PEER:
        run(PEER, 'check', path)


def case_counts_anew():
    """check -r all writes new counts where the old ones have no place; data and snapshots stay, and writes go on."""
    with open('src', 'wb') as f:
        for i in range(0, 64, 3):
            f.seek(i << 16)
            f.write(bytes([i + 1]) * 70000)
        f.truncate(8 << 20)
    for options in ('cluster_size=64k', 'cluster_size=512', 'refcount_bits=64,cluster_size=4k', 'refcount_bits=2', 'compat=0.10', 'extended_l2=on'):
        run(RHEA, 'convert', '-O', 'qcow2', '-o', options, 'src', 'good')
        run(RHEA, 'snapshot', '-c', 'one', 'good')
        for how in ('no block', 'block outside', 'block unaligned', 'block in the L1 table', 'block in the table', 'table in the L1 table', 'table outside'):
            shutil.copyfile('good', 'bad')
            lose_counts('bad', how)
            if run(RHEA, 'check', 'bad', status=None).returncode == 0:
                raise AssertionError(f'{options}, {how}: not seen')
            run(RHEA, 'check', '-r', 'all', 'bad')
            checked_by_both('bad')
            run(RHEA, 'compare', 'bad', 'src')
            run(RHEA, 'bench', '-w', '-c', '100', '-s', '4096', '-S', '70000', 'bad')
            checked_by_both('bad')
            run(RHEA, 'snapshot', '-a', 'one', 'bad')
            checked_by_both('bad')
            run(RHEA, 'compare', 'bad', 'src')


def case_holes():
    """A file of pieces of data and holes: the host says which, whatever was asked before."""
    with open('raw', 'wb') as f:
        for at in range(0, 64 << 20, 3 << 20):
            f.seek(at)
            f.write(b'd' * (1 << 20))
        f.truncate(64 << 20)
    want, at = [], 0
    with open('raw', 'rb') as f:
        while at < 64 << 20:
            first = next_data(f, at)
            end = f.seek(at, os.SEEK_HOLE) if first == at else min(first, 64 << 20)
            want.append((at, end - at, first == at))
            at = end
    got = json.loads(run(RHEA, 'map', '--output=json', '-f', 'raw', 'raw').stdout)
    same('pieces', [(r['start'], r['length'], not r['zero']) for r in got], want)


def next_data(f, at):
    try:
        return f.seek(at, os.SEEK_DATA)
    except OSError:
        return 1 << 62


def case_chain():
    """A thousand layers, with fewer descriptors at first than they need: each answers for its own cluster."""
    layers = 1000
    top = layered('.', layers)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < 2 * layers + 100:
        return f'the hard limit of descriptors is {hard}'
    got = json.loads(run(RHEA, 'map', '--output=json', top, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))).stdout)
    same('depths', [(r['start'], r['depth']) for r in got if r['present'] and not r['zero']], [(i * CLUSTER, layers - 1 - i) for i in range(layers)])
    return None


def main():
    cases = [case_map, case_measure, case_check, case_counts_anew, case_holes, case_chain]
    bad = 0
    print(f'1..{len(cases)}')
    for i, case in enumerate(cases, 1):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                skipped = case()
                print(f'ok {i} {case.__name__}' + (f' # SKIP {skipped}' if skipped else ''))
            except (AssertionError, subprocess.TimeoutExpired, OSError) as e:
                bad += 1
                print(f'not ok {i} {case.__name__}')
                print('\n'.join('# ' + line for line in str(e).splitlines()))
            os.chdir('/')
    return 1 if bad else 0


sys.exit(main())
