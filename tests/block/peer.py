#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""rhea-img and qemu-img on each other's images: creation, conversion, checks, maps, messages.

usage: peer.py RHEA-IMG [TEST | !TEST]...     exit status 77 where qemu-img is not installed
"""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

OURS = os.path.abspath(sys.argv[1])
PEER = shutil.which('qemu-img')
IO = shutil.which('qemu-io')
failed = 0


def run(*argv, status=0):
    for _ in range(200):
        p = subprocess.run(argv, capture_output=True, text=True)
        # the peer measures how fast this machine derives keys, and gives up where it hardly gets the processor
        if 'Unable to get accurate CPU usage' not in p.stderr:
            break
    if status is not None and p.returncode != status:
        fail(f'{" ".join(argv)}: status {p.returncode}, not {status}\n{p.stdout}{p.stderr}')
    return p


def fail(text):
    global failed
    failed += 1
    print('FAIL', text)


def ours(*a, status=0):
    return run('./rhea-img', *a, status=status)


def peer(*a, status=0):
    return run(PEER, *a, status=status)


def equal(what, a, b):
    if a != b:
        fail(f'{what}:\n  ours {a!r}\n  peer {b!r}')


def sparse_file(name, size, seed, unit=4096):
    rnd = random.Random(seed)
    with open(name, 'wb') as f:
        f.truncate(size)
        for _ in range(40):
            f.seek(rnd.randrange(size // unit) * unit)
            f.write(rnd.randbytes(rnd.randrange(1, 40) * unit)[:size - f.tell()])
            f.seek(rnd.randrange(size // unit) * unit)
            f.write(bytes([rnd.randrange(256)]) * min(unit * 20, size - f.tell()))


SHAPES = [
    [], ['compat=0.10'], ['cluster_size=512'], ['cluster_size=4k'], ['cluster_size=2M'], ['refcount_bits=1'], ['refcount_bits=64', 'cluster_size=1k'],
    ['extended_l2=on'], ['extended_l2=on', 'cluster_size=16k'], ['lazy_refcounts=on'], ['compression_type=zstd'], ['preallocation=metadata'], ['preallocation=full'],
]


def option_list(shape):
    return ['-o', ','.join(shape)] if shape else []


def map_of(tool, name):
    """The map as (start, end, zero, depth, offset), neighbours joined."""
    out = []
    for e in json.loads(tool('map', '--output=json', name).stdout):
        end = e['start'] + e['length']
        row = [e['start'], end, e['zero'], e['depth'], e.get('offset')]
        last = out[-1] if out else None
        if last and last[2:4] == row[2:4] and (last[4] is None) == (row[4] is None) and (row[4] is None or last[4] + last[1] - last[0] == row[4]):
            last[1] = end
        else:
            out.append(row)
    return out


def comparable(info):
    info = dict(info)
    for key in ('children', 'actual-size', 'filename'):
        info.pop(key, None)
    return info


def test_create():
    for shape in SHAPES:
        ours('create', '-q', '-f', 'qcow2', *option_list(shape), 'a.q', '20M')
        peer('create', '-q', '-f', 'qcow2', *option_list(shape), 'b.q', '20M')
        a, b = (json.loads(peer('info', '--output=json', n).stdout) for n in ('a.q', 'b.q'))
        equal(f'peer info of created {shape}', comparable(a), comparable(b))
        c, d = (json.loads(ours('info', '--output=json', n).stdout) for n in ('a.q', 'b.q'))
        equal(f'our info of created {shape}', comparable(c), comparable(d))
        equal(f'info of both {shape}', comparable(c), comparable(b))
        peer('check', '-q', 'a.q')
        ours('check', '-q', 'b.q')
        equal(f'measure {shape}', ours('measure', '-O', 'qcow2', '--output=json', '--size', '3G', *option_list(shape)).stdout,
              peer('measure', '-O', 'qcow2', '--output=json', '--size', '3G', *option_list(shape)).stdout)


def test_convert():
    sparse_file('s.raw', 20 << 20, 1)
    for shape in SHAPES:
        for tool, other in ((ours, peer), (peer, ours)):
            for flags in ([], ['-W', '-m', '16'], ['-c'], ['-S', '0']):
                if '-c' in flags and any('prealloc' in s for s in shape):
                    continue
                tool('convert', *flags, '-f', 'raw', '-O', 'qcow2', *option_list(shape), 's.raw', 't.q')
                other('check', '-q', 't.q')
                tool('check', '-q', 't.q')
                other('compare', '-q', '-f', 'raw', '-F', 'qcow2', 's.raw', 't.q')
            other('convert', '-O', 'raw', 't.q', 't.raw')
            ours('compare', '-q', '-f', 'raw', '-F', 'raw', 's.raw', 't.raw')
        equal(f'map {shape}', map_of(ours, 't.q'), map_of(peer, 't.q'))
        a, b = (json.loads(t('check', '--output=json', 't.q').stdout) for t in (ours, peer))
        equal(f'check {shape}', a, b)


PACKED = [('qcow2', o) for o in ([], ['compression_type=zstd'], ['compat=0.10', 'cluster_size=4k'], ['cluster_size=512'], ['cluster_size=2M', 'compression_type=zstd'], ['extended_l2=on'],
                                 ['refcount_bits=1'])] + [('qcow', []), ('vmdk', ['subformat=streamOptimized'])]


def mixed_file(name, size, seed):
    """What packs well, what does not, and nothing, in pieces of all sizes; it ends within a cluster."""
    rnd = random.Random(seed)
    with open(name, 'wb') as f:
        f.truncate(size)
        at = 0
        while at < size:
            n = min(rnd.choice((512, 4096, 65536, 300000, 1 << 20)), size - at)
            kind = rnd.randrange(4)
            f.seek(at)
            if kind:
                f.write(rnd.randbytes(n) if kind == 1 else (f'{rnd.random()} of {at} ' * (n // 20 + 1)).encode()[:n] if kind == 2 else bytes([rnd.randrange(256)]) * n)
            at += n


def test_convert_packed():
    """convert -c: nine formats and options of theirs, five ways to run it, both ways."""
    size = 5 << 20
    mixed_file('whole.raw', size, 5)
    for fmt, shape in PACKED:
        shutil.copy('whole.raw', 's.raw')
        size = (5 << 20) + (0 if fmt == 'qcow' else 3 * 512)         # the peer's qcow wants whole clusters
        os.truncate('s.raw', size)
        for flags in ([], ['-m', '1'], ['-W'], ['-W', '-m', '16'], ['-m', '16', '-n']):
            sizes = []
            for tool, other in ((ours, peer), (peer, ours)):
                if tool is peer and fmt == 'qcow':
                    continue                # it ends with an error, and without a word
                if '-n' in flags:
                    if fmt != 'qcow2':
                        continue            # they are written in order and once
                    tool('create', '-q', '-f', fmt, *option_list(shape), 't.img', str(size))
                tool('convert', '-c', *flags, '-f', 'raw', '-O', fmt, *(option_list(shape) if '-n' not in flags else []), 's.raw', 't.img')
                for t in (tool, other):
                    if fmt != 'qcow':
                        t('check', '-q', '-f', fmt, 't.img')
                    t('compare', '-q', '-f', 'raw', '-F', fmt, 's.raw', 't.img')
                sizes.append(os.stat('t.img').st_size)
            if len(sizes) == 2 and not 0.97 * sizes[1] - 65536 < sizes[0] < 1.03 * sizes[1] + 65536:
                fail(f'convert -c {flags} {fmt} {shape}: {sizes[0]} bytes, the peer {sizes[1]}')


def test_convert_below():
    """convert -B: what reads as zeroes in the source does so over a backing file that has data there, in part of a cluster, in whole ones and everywhere."""
    size = 3 << 20
    mixed_file('mixed.raw', size, 7)
    for name, data in (('full.raw', b'x' * size), ('zero.raw', bytes(size)), ('some.raw', bytes(1 << 20) + b'y' * 5000 + bytes(size - (1 << 20) - 5000))):
        with open(name, 'wb') as f:
            f.write(data)
    ours('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k', '-b', 'full.raw', '-F', 'raw', 'top.q')
    run(IO, '-c', 'write -P 7 1028k 4k', '-c', 'write -z 2M 12k', 'top.q')
    for fmt, shape in [('qcow2', o) for o in ([], ['compat=0.10'], ['extended_l2=on'], ['cluster_size=512'], ['cluster_size=2M'])] + [('qed', []), ('qcow', [])]:
        for source, source_format in (('zero.raw', 'raw'), ('some.raw', 'raw'), ('mixed.raw', 'raw'), ('top.q', 'qcow2')):
            for flags in [[], ['-W', '-m', '16'], ['-S', '0']] + ([['-c'], ['-c', '-W']] if fmt != 'qed' else []):
                ours('convert', *flags, '-f', source_format, '-O', fmt, *option_list(shape), '-B', 'full.raw', '-F', 'raw', source, 't.img')
                for t in (ours, peer):
                    t('compare', '-q', '-f', source_format, '-F', fmt, source, 't.img')


def test_rebase_clusters():
    """A safe rebase, where the old and the new backing file differ in parts of clusters of all sizes."""
    data = bytearray(b'x' * (6 << 20))
    with open('old.raw', 'wb') as f:
        f.write(data)
    data[1 << 20:(1 << 20) + 65536] = b'q' * 65536
    data[100000:100512] = b'w' * 512
    with open('new.raw', 'wb') as f:
        f.write(data)
    for fmt, shape in [('qcow2', o) for o in (['cluster_size=2M'], ['cluster_size=128k'], [], ['cluster_size=512'], ['extended_l2=on', 'cluster_size=512k'], ['compat=0.10', 'cluster_size=1M'])] + [
            ('qed', []), ('qed', ['cluster_size=1M'])]:
        for flags in ([], ['-c']) if fmt == 'qcow2' else ([],):
            ours('create', '-q', '-f', fmt, *option_list(shape), '-b', 'old.raw', '-F', 'raw', 't.img')
            for backing in (['-b', 'new.raw', '-F', 'raw'], ['-b', '']):
                ours('rebase', *flags, '-f', fmt, *backing, 't.img')
                for t in (ours, peer):
                    t('check', '-q', '-f', fmt, 't.img')
                    t('compare', '-q', '-f', 'raw', '-F', fmt, 'old.raw', 't.img')


def test_chain():
    sparse_file('base.raw', 8 << 20, 2)
    ours('convert', '-f', 'raw', '-O', 'qcow2', 'base.raw', 'base.q')
    ours('create', '-q', '-f', 'qcow2', '-b', 'base.q', '-F', 'qcow2', '-o', 'cluster_size=4k', 'mid.q')
    peer('create', '-q', '-f', 'qcow2', '-b', 'mid.q', '-F', 'qcow2', 'top.q', '12M')
    if IO:
        run(IO, '-c', 'write -P 5 100k 300k', '-c', 'write -z 1M 64k', 'mid.q')
        run(IO, '-c', 'write -P 6 150k 10k', '-c', 'write -P 7 9M 1M', 'top.q')
    equal('map of a chain', map_of(ours, 'top.q'), map_of(peer, 'top.q'))
    peer('convert', '-O', 'raw', 'top.q', 'want.raw')
    ours('convert', '-O', 'raw', 'top.q', 'got.raw')
    peer('compare', '-q', '-f', 'raw', '-F', 'raw', 'want.raw', 'got.raw')
    ours('rebase', '-b', 'base.q', '-F', 'qcow2', 'top.q')
    peer('compare', '-q', '-f', 'raw', '-F', 'qcow2', 'want.raw', 'top.q')
    peer('check', '-q', 'top.q')
    ours('create', '-q', '-f', 'qcow2', 'empty.q', '12M')
    ours('create', '-q', '-f', 'qcow2', '-b', 'top.q', '-F', 'qcow2', 'packed.q')
    ours('rebase', '-c', '-b', 'empty.q', '-F', 'qcow2', 'packed.q')
    peer('compare', '-q', '-f', 'raw', '-F', 'qcow2', 'want.raw', 'packed.q')
    equal('compressed', ' 0.00% compressed' in peer('check', 'packed.q').stdout, False)
    ours('commit', '-q', '-r', '1G', 'top.q')
    peer('compare', '-q', '-f', 'raw', '-F', 'qcow2', 'want.raw', 'base.q')
    peer('check', '-q', 'base.q')
    peer('check', '-q', 'top.q')


def test_snapshots():
    sparse_file('s.raw', 8 << 20, 3)
    for shape in ([], ['cluster_size=1k'], ['extended_l2=on'], ['compat=0.10']):
        ours('convert', '-f', 'raw', '-O', 'qcow2', *option_list(shape), 's.raw', 's.q')
        for tool in (ours, peer):
            tool('snapshot', '-c', 'one', 's.q')
            if IO:
                run(IO, '-c', 'write -P 3 1M 2M', '-c', 'discard 4M 1M', 's.q')
            tool('snapshot', '-c', 'two', 's.q')
            for check in (ours, peer):
                check('check', '-q', 's.q')
            equal('snapshot -l', [ln.split()[:4] for ln in ours('snapshot', '-l', 's.q').stdout.split('\n')[2:]], [ln.split()[:4] for ln in peer('snapshot', '-l', 's.q').stdout.split('\n')[2:]])
            tool('convert', '-l', 'snapshot.name=one', '-O', 'raw', 's.q', 'one.raw')
            peer('compare', '-q', '-f', 'raw', '-F', 'raw', 's.raw', 'one.raw')
            for fmt in 'raw', 'qcow2':
                equal('measure -l', ours('measure', '-l', 'one', '-O', fmt, 's.q').stdout, peer('measure', '-l', 'one', '-O', fmt, 's.q').stdout)
            tool('snapshot', '-a', 'one', 's.q')
            peer('compare', '-q', '-f', 'raw', '-F', 'qcow2', 's.raw', 's.q')
            for name in ('one', 'two'):
                for check in (ours, peer):
                    check('check', '-q', 's.q')
                tool('snapshot', '-d', name, 's.q')
            for check in (ours, peer):
                check('check', '-q', 's.q')


def test_resize():
    sparse_file('s.raw', 8 << 20, 4)
    for shape in ([], ['cluster_size=512'], ['extended_l2=on']):
        ours('convert', '-f', 'raw', '-O', 'qcow2', *option_list(shape), 's.raw', 's.q')
        for args in (['s.q', '+90M'], ['--preallocation=metadata', 's.q', '+1M'], ['--preallocation=full', 's.q', '+1M'], ['--shrink', 's.q', '8M']):
            ours('resize', '-q', *args)
            peer('check', '-q', 's.q')
        peer('compare', '-q', '-f', 'raw', '-F', 'qcow2', 's.raw', 's.q')


def same_disk(name, fmt='qcow2'):
    peer('compare', '-q', '-f', 'raw', '-F', fmt, 's.raw', name)
    for tool in (ours, peer):
        tool('check', '-q', name)


AMENDS = [
    'compat=0.10', 'refcount_bits=8', 'lazy_refcounts=on', 'compat=1.1,lazy_refcounts=on,refcount_bits=1', 'compat=0.10', 'lazy_refcounts=off', 'refcount_bits=2', 'refcount_bits=64',
    'compat=0.10', 'compat=0.10,refcount_bits=16', 'compat=1.1', 'refcount_bits=7', 'compat=3', 'data_file=b', 'data_file_raw=on', 'backing_file=x', 'backing_fmt=raw', 'preallocation=full', 'size=40M',
    'compat=0.10,lazy_refcounts=on', 'refcount_bits=32,size=48M', 'size=8M',
]


def test_amend():
    """One line after the other, on two images made alike: same words, same state, and the disk stays what it is."""
    sparse_file('s.raw', 8 << 20, 6)
    ours('create', '-q', '-f', 'qcow2', 'below.q', '8M')
    for shape in (['cluster_size=512'], ['cluster_size=4k', 'refcount_bits=32'], ['backing_file=below.q', 'backing_fmt=qcow2']):
        for name in 'a.q', 'b.q':
            peer('convert', '-f', 'raw', '-O', 'qcow2', *option_list(shape), 's.raw', name)
            if IO:
                run(IO, '-c', 'write -z 2M 1M', '-c', 'write -z 5M 64k', name)
        peer('convert', '-O', 'raw', 'a.q', 's.raw')
        for line in AMENDS:
            a, b = (run(tool, 'amend', '-o', line, name, status=None) for tool, name in (('./qemu-img', 'a.q'), (PEER, 'b.q')))
            equal(f'amend {line} of {shape}', (a.returncode, a.stdout, a.stderr), (b.returncode, b.stdout, b.stderr))
            a, b = (comparable(json.loads(peer('info', '--output=json', name).stdout)) for name in ('a.q', 'b.q'))
            equal(f'info after amend {line} of {shape}', a, b)
            same_disk('a.q')


def test_amend_counts():
    """Counts that do not fit, snapshots that version 2 can not say, many blocks of counts."""
    sparse_file('s.raw', 8 << 20, 7)
    ours('convert', '-f', 'raw', '-O', 'qcow2', '-o', 'cluster_size=512', 's.raw', 'a.q')
    ours('snapshot', '-c', 'one', 'a.q')
    p = run('./qemu-img', 'amend', '-o', 'refcount_bits=1', 'a.q', status=1)
    equal('one bit for two', p.stderr.startswith('qemu-img: Cannot decrease refcount entry width to 1 bits: Cluster at offset 0x'), True)
    for bits in 64, 2, 4, 8, 32, 16:
        ours('amend', '-o', f'refcount_bits={bits}', 'a.q')
        same_disk('a.q')
    ours('amend', '-o', 'compat=0.10', 'a.q')
    same_disk('a.q')
    ours('amend', '-o', 'compat=1.1', 'a.q')
    ours('resize', '-q', 'a.q', '+1M')
    p = run('./qemu-img', 'amend', '-o', 'compat=0.10', 'a.q', status=1)
    equal('another size', p.stderr.split('\n')[0], 'qemu-img: Internal snapshots prevent downgrade of image')
    ours('snapshot', '-a', 'one', 'a.q')
    ours('snapshot', '-d', 'one', 'a.q')
    ours('amend', '-o', 'compat=0.10,refcount_bits=16', 'a.q')
    same_disk('a.q')


def test_amend_progress():
    for tool, name in (('./qemu-img', 'a.q'), (PEER, 'b.q')):
        run(tool, 'create', '-q', '-f', 'qcow2', name, '1M')
    a, b = (run(tool, 'amend', '-p', '-o', 'size=2M', name).stdout for tool, name in (('./qemu-img', 'a.q'), (PEER, 'b.q')))
    equal('first and last of amend -p', (a.split('\r')[0], a.split('\r')[-1]), (b.split('\r')[0], b.split('\r')[-1]))


def bitmap_state(name):
    return json.loads(peer('info', '--output=json', name).stdout)['format-specific']['data'].get('bitmaps')


def test_resize_bitmaps():
    """A bitmap is as long as its disk, however that came about."""
    for tool, name in ((ours, 'a.q'), (peer, 'b.q')):
        tool('create', '-q', '-f', 'qcow2', name, '4M')
        for what in (['-g', '512', '--add', name, 'fine'], ['--add', '--disable', name, 'idle']):
            tool('bitmap', *what)
        if IO:
            run(IO, '-c', 'write 1M 512', '-c', 'write 3M 1M', name)
        for size in ('+300M', '5M'):
            tool('resize', '-q', '--shrink', name, size)
            for t in (ours, peer):
                t('check', '-q', name)
            if IO:
                run(IO, '-c', 'write 4M 4k', name)
    equal('bitmaps after resize', bitmap_state('a.q'), bitmap_state('b.q'))
    for size, grains in (('5M', None), ('2M', None)):
        for name in 'a.q', 'b.q':
            ours('resize', '-q', '--shrink', name, size)
        for t in (ours, peer):
            t('check', '-q', 'a.q')
        equal(f'bitmaps at {size}', bitmap_state('a.q'), bitmap_state('b.q'))
    ours('bitmap', '--remove-all', 'a.q')
    equal('no bitmap is left', bitmap_state('a.q'), None)
    peer('check', '-q', 'a.q')


def test_messages():
    """Words and exit status as the peer's."""
    ours('create', '-q', '-f', 'qcow2', 'x.q', '1M')
    open('junk', 'wb').write(b'nothing' * 100)
    rows = [
        ['info', 'gone'], ['info', '-f', 'qcow2', 'junk'], ['info', '-f', 'nosuch', 'junk'], ['info', '.'], ['info', 'nosuch://x'], ['info', 'junk', 'junk'],
        ['create'], ['create', '-f', 'nosuch', 'z', '1M'], ['create', '-f', 'qcow2', 'z'], ['create', '-f', 'qcow2', 'z', 'foo'], ['create', '-f', 'qcow2', 'z', '1M', '2M'],
        ['create', '-f', 'qcow2', '-o', 'foo=1', 'z', '1M'], ['create', '-f', 'qcow2', '-o', 'cluster_size=3', 'z', '1M'], ['create', '-f', 'qcow2', '/gone/z', '1M'],
        ['create', '-f', 'qcow2', '-b', 'x.q', 'z'], ['create', '-f', 'qcow2', '-b', 'gone', '-F', 'qcow2', 'z'], ['create', '-f', 'raw', '-b', 'x.q', '-F', 'raw', 'z', '1M'],
        ['convert', 'x.q'], ['convert', '-O', 'nosuch', 'x.q', 'o'], ['convert', 'gone', 'o'], ['convert', '-O', 'raw', 'x.q', '/gone/o'], ['convert', '-c', '-O', 'raw', 'x.q', 'o'],
        ['convert', '-l', 'nosuch', '-O', 'raw', 'x.q', 'o'], ['convert', '-t', 'bad', 'x.q', 'o'], ['convert', '-m', '99', 'x.q', 'o'], ['check', 'junk'], ['check', 'gone'],
        ['check', '-r', 'foo', 'x.q'], ['compare', 'x.q', 'gone'], ['compare', 'x.q'], ['measure'], ['measure', '--size', '1G', 'x.q'], ['resize', 'x.q', '512k'], ['resize', 'x.q', '-20M'],
        ['resize', 'x.q'], ['snapshot', '-a', 'nosuch', 'x.q'], ['snapshot', '-d', 'nosuch', 'x.q'], ['snapshot', '-c', 's', '-l', 'x.q'], ['commit', 'x.q'], ['rebase', 'x.q'],
        ['rebase', '-u', '-b', 'y', 'x.q'], ['rebase', '-b', 'gone', '-F', 'qcow2', 'x.q'], ['dd', 'if=x.q'], ['dd', 'foo=1'], ['dd', 'if=x.q', 'of=o', 'bs=0'], ['nosuch'],
        ['bench', '--flush-interval=5', 'x.q'], ['bench', '-w', '-d', '8', '--flush-interval=5', 'x.q'], ['measure', '-l', 'x', '--size', '1M'], ['measure', '-l', 'nosuch', 'x.q'],
        ['convert', '-r', '10Q', 'x.q', 'o'],
    ]
    for row in rows:
        a, b = run('./qemu-img', *row, status=None), run(PEER, *row, status=None)
        if row[0] == 'create' and len(row) > 1:
            equal(f'{row} stdout', a.stdout, b.stdout)
        ours_lines, peer_lines = a.stderr.split('\n'), b.stderr.split('\n')
        if a.returncode != b.returncode or not ours_lines[0].startswith(peer_lines[0]):
            fail(f'{row}: {a.returncode} {a.stderr!r}\n  peer {b.returncode} {b.stderr!r}')


def main():
    if not PEER:
        print('not installed: qemu-img')
        return 77
    top = tempfile.mkdtemp(prefix='rhea-peer-')
    os.chdir(top)
    for name in ('rhea-img', 'qemu-img'):
        os.symlink(OURS, name)
    tests = [v for k, v in globals().items() if k.startswith('test_')]
    if len(sys.argv) > 2:
        names, not_these = [n for n in sys.argv[2:] if n[0] != '!'], [n[1:] for n in sys.argv[2:] if n[0] == '!']
        tests = [t for t in tests if (not names or t.__name__[5:] in names) and t.__name__[5:] not in not_these]
    for t in tests:
        before = failed
        t()
        print(t.__name__, 'ok' if failed == before else 'FAILED')
    shutil.rmtree(top)
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
