#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Valid rings as fuzz-vring.c lays them out: kind byte, pad, descriptors at 2, driver area, device area."""
import struct
import sys


def split(kind, num, descs, heads, tail=b''):
    mem = bytes([kind, 0])
    mem += b''.join(struct.pack('<QIHH', *d) for d in descs).ljust(16 * num, b'\0')
    mem += struct.pack('<HH', 0, len(heads)) + b''.join(struct.pack('<H', h) for h in heads).ljust(2 * num, b'\0') + b'\0\0'
    mem += bytes(6 + 8 * num)
    return mem + tail + bytes(64)


def packed(kind, num, descs):
    mem = bytes([kind, 0])
    mem += b''.join(struct.pack('<QIHH', *d) for d in descs).ljust(16 * num, b'\0')
    return mem + bytes(4 + 4 + 2 * num + 64)


def main():
    end = 2 + 4 * 16 + 6 + 8 + 6 + 32
    indirect = struct.pack('<QIHH', end + 32, 8, 1, 1) + struct.pack('<QIHH', end + 40, 8, 2, 0)
    seeds = [split(2 | 8, 4, [(end, 8, 1, 1), (end + 8, 8, 2, 0)], [0]),
             packed(2 | 4 | 16, 4, [(80, 8, 5, 0x81), (88, 8, 5, 0x82), (80, 4, 6, 0x82)]),
             split(2 | 16, 4, [(end, 32, 4, 0), (end, 8, 2, 0)], [0, 1], indirect)]
    for path, seed in zip(sys.argv[1:], seeds):
        with open(path, 'wb') as f:
            f.write(seed)


main()
