#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""convert -C on file systems that can share blocks: raw and qcow2 in all pairs have the source's blocks, the same
bytes, and writing to the copy leaves the source alone.  Skips without root, loop mounts or the file systems' tools.

  share-test.py RHEA-IMG
"""
import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

SIZE = 8 << 20
FS_IOC_FIEMAP = 0xC020660B
FIEMAP_EXTENT_SHARED = 0x2000
SKIP = 77


def shared_bytes(path):
    """Bytes of a file in extents that another file has too (linux/fiemap.h)."""
    with open(path, 'rb') as f:
        os.fsync(f.fileno())
        buf = bytearray(struct.pack('=QQIIII', 0, 2**64 - 1, 1, 0, 256, 0) + bytes(56 * 256))
        fcntl.ioctl(f.fileno(), FS_IOC_FIEMAP, buf)
    total = 0
    for i in range(struct.unpack_from('=I', buf, 20)[0]):
        _, _, length, _, _, flags = struct.unpack_from('=QQQQQI', buf, 32 + 56 * i)
        total += length if flags & FIEMAP_EXTENT_SHARED else 0
    return total


def run(*argv):
    r = subprocess.run(argv, capture_output=True, text=True, check=False)
    if r.returncode:
        sys.exit(f"{' '.join(argv)}: {r.stdout}{r.stderr}")
    return r.stdout


def pairs(img, where):
    source = {'raw': where + '/s.raw', 'qcow2': where + '/s.qcow2'}
    with open(source['raw'], 'wb') as f:
        f.write(random.Random(1).randbytes(SIZE))
        f.truncate(2 * SIZE)
    run(img, 'convert', '-f', 'raw', '-O', 'qcow2', source['raw'], source['qcow2'])
    for a in source:
        for b in source:
            out = f'{where}/{a}-{b}'
            run(img, 'convert', '-C', '-W', '-f', a, '-O', b, source[a], out)
            run(img, 'compare', '-f', 'raw', '-F', b, source['raw'], out)
            if shared_bytes(out) < SIZE:
                sys.exit(f'{a} to {b}: {shared_bytes(out)} bytes are shared, not {SIZE}')
            if b == 'qcow2':
                run(img, 'check', out)
            run(img, 'bench', '-w', '-c', '16', '-S', '65536', '-f', b, '--pattern', '7', out)
    run(img, 'compare', '-f', 'raw', '-F', 'qcow2', source['raw'], source['qcow2'])
    run(img, 'convert', '-f', 'raw', '-O', 'raw', source['raw'], where + '/plain')
    if shared_bytes(where + '/plain') > 0:
        sys.exit('without -C nothing shall be shared')


def main():
    img, tried = sys.argv[1], 0
    for fs, options in (('xfs', ['-q']), ('btrfs', ['-q'])):
        with tempfile.TemporaryDirectory() as tmp:
            image, where = tmp + '/fs', tmp + '/mnt'
            os.mkdir(where)
            with open(image, 'wb') as f:
                f.truncate(400 << 20)
            if os.getuid() or not shutil.which('mkfs.' + fs):
                continue
            run('mkfs.' + fs, *options, image)
            if subprocess.run(['mount', '-o', 'loop', image, where], capture_output=True, check=False).returncode:
                continue
            try:
                pairs(img, where)
                tried += 1
            finally:
                run('umount', where)
    if not tried:
        print('skipped: needs root, loop mounts, and mkfs.xfs or mkfs.btrfs')
        return SKIP
    return 0


if __name__ == '__main__':
    sys.exit(main())
