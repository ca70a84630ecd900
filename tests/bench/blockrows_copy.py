# SPDX-License-Identifier: MIT
"""Rows about copying: convert on tmpfs and on disk, compressing, and small requests in process."""
import glob
import os
import shutil
import subprocess

from blockbench import row

BEST = ['-W', '-m', '16']


def source(bench, kind, fmt):
    """The image to copy, 40 % data: raw, or qcow2 made of it."""
    def make():
        name = f'{bench.folders[kind]}/source.{fmt}'
        if fmt == 'raw':
            bench.helper_run('fill', name, bench.size >> 20, 40)
        else:
            subprocess.run([bench.ours.img, 'convert', '-q', '-O', fmt, source(bench, kind, 'raw'), name], check=True)
        return name
    return bench.keep(f'source-{kind}-{fmt}', make)


def copy_row(kind, a, b, flags):
    """Onto an existing target of each side's own: a first run that is not measured, then -n --target-is-zero."""
    def make(bench):
        src, d = source(bench, kind, a), bench.folder(kind)

        def work(side):
            out = f'{d}/{side.name}.{b}'
            if side.bare:
                if not os.path.exists(out):
                    bench.helper_run('fill', out, bench.size >> 20, 0)
                    bench.helper_run('copy', source(bench, kind, 'raw'), out)
                argv = [side.img, 'copy', source(bench, kind, 'raw'), out]
            else:
                if not os.path.exists(out):
                    bench.run([side.img, 'convert', *flags, '-f', a, '-O', b, src, out])
                argv = [side.img, 'convert', *flags, '-n', '--target-is-zero', '-f', a, '-O', b, src, out]
            if kind == 'disk':
                bench.helper_run('drop', src, *glob.glob(f'{d}/*'))            # nobody finds the disk busy with what another one left
                bench.helper_run('warm', bench.size >> 20)
            return argv
        return work
    return make


for A, B in (('raw', 'qcow2'), ('qcow2', 'raw'), ('qcow2', 'qcow2')):
    row(f'copy-tmpfs-{A}-{B}', f'convert {A} to {B}, 40 % data, tmpfs, onto resident pages, -W -m 16', wall=1.0, cpu=1.0, mem=1 / 0.7, bare=1.1)(
        copy_row('tmpfs', A, B, BEST))
for A, B in (('raw', 'qcow2'), ('qcow2', 'raw'), ('qcow2', 'qcow2')):
    row(f'copy-disk-{A}-{B}', f'convert {A} to {B}, disk, cold caches, buffered, -W -m 16', wall=1.0, cpu=1.0, mem=1 / 0.7)(copy_row('disk', A, B, BEST))
    row(f'copy-direct-{A}-{B}', f'convert {A} to {B}, disk, direct, -W -m 16', wall=1.0, cpu=1.0, mem=1 / 0.7)(
        copy_row('disk', A, B, BEST + ['-t', 'none', '-T', 'none']))


def share_row(fs, a, b):
    """Blocks that both files have: on a loop-mounted file system that can, onto a new file each time."""
    def make(bench):
        if os.geteuid() != 0 or not shutil.which('mkfs.' + fs):
            return f'needs mkfs.{fs}, and root for mounting'
        d = bench.folder('disk')
        disk, at = d + '/fs', d + '/at'
        os.mkdir(at)
        with open(disk, 'wb') as f:
            f.truncate(bench.size + (2 << 30))
        subprocess.run(['mkfs.' + fs, '-q', disk], stdout=subprocess.DEVNULL, check=True)
        if subprocess.run(['mount', '-o', 'loop', disk, at], stderr=subprocess.DEVNULL, check=False).returncode:
            return 'no loop mounts here'
        bench.at_end(lambda: subprocess.run(['umount', at], check=True))
        src = f'{at}/source.{a}'
        subprocess.run([bench.ours.img, 'convert', '-q', '-W', '-O', a, source(bench, 'tmpfs', 'raw'), src], check=True)

        def work(side):
            out = f'{at}/{side.name}.{b}'
            if os.path.exists(out):
                os.unlink(out)
            os.sync()
            return [side.img, 'convert', *BEST, '-C', '-f', a, '-O', b, src, out]
        return work
    return make


for FS in ('xfs', 'btrfs'):
    for A, B in (('raw', 'qcow2'), ('qcow2', 'raw')):
        row(f'share-{FS}-{A}-{B}', f'convert -C {A} to {B}, 40 % data, {FS}: blocks are shared, not copied', wall=1.0, cpu=1.0)(share_row(FS, A, B))


def pack_row(method, flags):
    """Ours with its own defaults or the same flags; the sizes must agree within 1 %, and the peer reads what we wrote."""
    def make(bench):
        mib = 64 if bench.quick else 512

        def source_to_pack():
            name = bench.folders['tmpfs'] + '/pack'
            bench.helper_run('pack', name, mib)
            return name
        src, d, seen = bench.keep('pack', source_to_pack), bench.folder(), set()

        def work(side):
            out = f'{d}/{side.name}'
            s = bench.run([side.img, 'convert', '-c', *flags, '-O', 'qcow2', '-o', f'compression_type={method}', src, out])
            if side.name not in seen:
                seen.add(side.name)
                check(bench, src, out, f'{d}/rhea', side)
            return s
        return work
    return make


def check(bench, src, out, ours, side):
    if side is bench.ours:
        for p in bench.peers:
            subprocess.run([p.img, 'compare', '-q', '-f', 'raw', '-F', 'qcow2', src, out], check=True)
    else:
        a, b = os.stat(ours).st_size, os.stat(out).st_size
        if a > b * 1.01:
            raise SystemExit(f'block: {a} bytes, {side.name} has {b}')


for METHOD, DEFAULT, PARALLEL in (('zlib', 1.8, 1.0), ('zstd', 1.8, 1.1)):
    row(f'pack-{METHOD}', f'convert -c, {METHOD}, 512 MiB, no flags', wall=DEFAULT)(pack_row(METHOD, []))
    row(f'pack-{METHOD}-parallel', f'convert -c, {METHOD}, 512 MiB, -W -m 16', wall=PARALLEL)(pack_row(METHOD, BEST))


def small_row(fmt):
    def make(bench):
        src, count = source(bench, 'tmpfs', fmt), 30000 if bench.quick else 300000
        return lambda side: [side.img, 'bench', '-c', count, '-d', 32, '-s', 4096, '-S', 1052672, '-t', 'none', '-i', 'io_uring', '-f', fmt, src]
    return make


for FMT in ('raw', 'qcow2'):
    row(f'small-{FMT}', f'bench: 4 KiB reads at depth 32, direct, io_uring, {FMT}', wall=1.1)(small_row(FMT))


def scattered_row(fmt):
    """Every place of an image without holes, in an order without neighbours: the step is a golden section of the size."""
    def make(bench):
        mib, count = (256, 30000) if bench.quick else (2048, 300000)
        step = int((mib << 8) * 0.6180339887) | 1

        def full(kind):
            name = f"{bench.folders['tmpfs']}/full.{kind}"
            if kind == 'raw':
                bench.helper_run('fill', name, mib, 100)
            else:
                subprocess.run([bench.ours.img, 'convert', '-q', '-O', kind, bench.keep('full-raw', lambda: full('raw')), name], check=True)
            return name
        src = bench.keep(f'full-{fmt}', lambda: full(fmt))
        return lambda side: [side.img, 'bench', '-c', count, '-d', 32, '-s', 4096, '-S', step * 4096, '-t', 'none', '-i', 'io_uring', '-f', fmt, src]
    return make


for FMT in ('raw', 'qcow2'):
    row(f'scattered-{FMT}', f'bench: 4 KiB reads all over 2 GiB of data at depth 32, direct, io_uring, {FMT}', wall=1.1)(scattered_row(FMT))
