#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Parallels images with something wrong, and with bitmaps in their extension: check, repair, reading; beside qemu-img where it knows of it.

usage: parallels-test.py RHEA-IMG RHEA-NBD [TEST...]
"""
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys

from nbdlib import *

IMG, NBD = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
C, USED, CLUSTERS = 65536, 8, 16                        # bytes of a cluster, how many hold data, and of the disk
ENTRY, IN_USE, DATA_OFF, EXT = 64, 44, 48, 56           # places in the header
UUID = '30313233-3435-3637-3839-616263646566'


def img(*args, status=0, program=IMG):
    p = subprocess.run([program, *args], capture_output=True, text=True, timeout=WAIT)
    if status is not None:
        equal(f'status of {args} ({p.stdout}{p.stderr})', p.returncode, status)
    return p


def image(name='a.hds'):
    with open('a.raw', 'wb') as f:
        for i in range(USED):
            f.write(bytes([i + 1]) * C)
        f.truncate(CLUSTERS * C)
    img('convert', '-f', 'raw', '-O', 'parallels', '-o', f'cluster_size={C}', 'a.raw', name)


def poke(at, fmt, v):
    def change(name):
        with open(name, 'r+b') as f:
            f.seek(at)
            f.write(struct.pack(fmt, v))
    return change


def entry(i, v):
    return poke(ENTRY + 4 * i, '<I', v)


def long(name):
    os.truncate(name, 20 * C)


# What is wrong; what a check without and with repair reports; corruptions and leaks.
CASES = {
    'clean': ([], [], 0, 0),
    'open': ([poke(IN_USE, '<I', 0x746f6e59)], ['image was not closed correctly'], 1, 0),
    'start': ([poke(DATA_OFF, '<I', 0)], ['data_off field has incorrect value'], 1, 0),
    'outside': ([entry(3, 99)], ['cluster 3 is outside image'], 1, 0),
    'header': ([entry(3, 1), poke(DATA_OFF, '<I', 256)], ['cluster 0 is outside image', 'cluster 3 is outside image'], 2, 0),
    'last': ([entry(7, 99)], ['cluster 7 is outside image', 'space leaked at the end of the image 65536'], 1, 1),
    'tail': ([long], ['space leaked at the end of the image 720896'], 0, 11),
    'hole': ([entry(2, 0)], [], 0, 0),
    'twice': ([entry(5, 2)], ['duplicate offset in BAT entry 5'], 1, 0),
    'often': ([entry(5, 2), entry(6, 2), entry(1, 2)], ['duplicate offset in BAT entry 5', 'duplicate offset in BAT entry 6'], 2, 0),
    'all': ([poke(IN_USE, '<I', 0x746f6e59), entry(5, 2), entry(6, 99), long],
            ['image was not closed correctly', 'cluster 6 is outside image', 'space leaked at the end of the image 720896', 'duplicate offset in BAT entry 5'], 3, 11),
}


def lines(p):
    return [re.sub('^[a-z-]*-img: ', '', ln) for ln in p.stderr.splitlines()]


def check_case(name, program=IMG):
    """What the program says of each form, as one list."""
    out = []
    changes = CASES[name][0]
    image('c.hds')
    for c in changes:
        c('c.hds')
    for form in ([], ['-r', 'leaks'], ['-r', 'all']):
        for js in ([], ['--output=json']):
            shutil.copy('c.hds', 'x.hds')
            p = img('check', '-f', 'parallels', *form, *js, 'x.hds', status=None, program=program)
            out.append((form, p.returncode, json.loads(p.stdout or '{}') if js else p.stdout, lines(p), os.path.getsize('x.hds')))
    return out


def test_repair():
    for name, (_, wrong, corruptions, leaks) in CASES.items():
        for form, status, text, said, size in check_case(name):
            fixed = {'ERROR': wrong, 'leaks': [w for w in wrong if 'leaked' in w], 'all': wrong}[form[1] if form else 'ERROR'] if form else []
            first = [f'{"Repairing" if w in fixed else "ERROR"} {w}' for w in wrong]
            equal(f'{name} {form}: reports', said[:len(first)], first)
            bad = corruptions if form != ['-r', 'all'] else 0
            left = leaks if not form else 0
            equal(f'{name} {form}: status', status, 2 if bad else 3 if left else 0)
            if isinstance(text, dict):
                equal(f'{name} {form}: counts', [text.get(k, 0) for k in ('corruptions', 'leaks', 'corruptions-fixed', 'leaks-fixed', 'check-errors')],
                      [bad, left, corruptions - bad, leaks - left, 0])
        shutil.copy('c.hds', 'x.hds')
        img('check', '-q', '-r', 'all', '-f', 'parallels', 'x.hds')
        img('convert', '-f', 'parallels', '-O', 'raw', 'x.hds', 'x.raw')
        data = open('x.raw', 'rb').read()
        for i in range(USED):
            entries = original(name)
            equal(f'{name}: cluster {i}', data[i * C], entries[i])
        # each has its own place: what is written to one is not seen in another
        with Server(NBD, '-f', 'parallels', 'x.hds') as s:
            c = ready(s)
            for i in range(CLUSTERS):
                equal('write', c.do(WRITE, i * C + 100, payload=bytes([100 + i]))[0], 0)
            for i in range(CLUSTERS):
                equal(f'{name}: byte of {i}', c.do(READ, i * C + 100, 1)[1], bytes([100 + i]))
            c.close()
        img('check', '-q', '-f', 'parallels', 'x.hds')


def original(name):
    """First byte of each cluster that a repaired image of a case has: by its table, when what leads outside is dropped."""
    with open('c.hds', 'rb') as f:
        head = f.read(ENTRY + 4 * CLUSTERS)
        size = f.seek(0, 2)
        table = struct.unpack_from(f'<{CLUSTERS}I', head, ENTRY)
        start = struct.unpack_from('<I', head, DATA_OFF)[0] * 512 or C
        out = []
        for e in table:
            f.seek(e * C)
            out.append(f.read(1)[0] if e and start <= e * C < size else 0)
        return out


def ready(server, contexts=()):
    c = Client(server.path)
    c.greet()
    c.modes(True, False)
    c.ids = {}
    if contexts:
        for kind, data in c.set_meta('', *contexts)[:-1]:
            c.ids[data[4:].decode()] = struct.unpack('>I', data[:4])[0]
    equal('go', c.go('')[-1], (1, b''))
    return c


def peer_version():
    need('qemu-img')
    return int(re.search(r'version (\d+)', img('--version', program='qemu-img').stdout)[1])


def test_same_as_peer():
    """Word for word; where it stops at an assertion of its own it is not asked."""
    if peer_version() < 9:
        raise Skip('qemu-img before 9 does not know of all of it')
    for name in CASES:
        for a, b in zip(check_case(name), check_case(name, 'qemu-img')):
            if b[1] >= 0 and (name, a[0]) != ('all', ['-r', 'all']):            # it takes a place behind the end though one is free
                equal(f'{name} {a[0]}', a, b)


def extend(name, granularity=8, l1=None, bits=bytes([0b10100001, 0, 0xff]), total=CLUSTERS * C // 512, spoil=False, extra=b''):
    """Puts a bitmap into the extension of an image."""
    end = os.path.getsize(name)
    l1 = [(end + C) // 512] if l1 is None else l1
    data = struct.pack('<Q16sII', total, b'0123456789abcdef', granularity, len(l1)) + struct.pack(f'<{len(l1)}Q', *l1)
    body = (extra + struct.pack('<QQII', 0x20385FAE252CB34A, 0, len(data), 0) + data).ljust(C - 24, b'\0')
    with open(name, 'r+b') as f:
        f.seek(end)
        f.write(struct.pack('<Q', 0xAB234CEF23DCEA87) + (bytes(16) if spoil else hashlib.md5(body).digest()) + body)
        f.write(bits.ljust(C, b'\0'))
        f.seek(EXT)
        f.write(struct.pack('<Q', end // 512))


def dirty(program):
    context = 'qemu:dirty-bitmap:' + UUID
    with Server(program, '-r', '-f', 'parallels', '-B', UUID, 'a.hds') as s:
        c = ready(s, (context,))
        out = c.do(STATUS, 0, CLUSTERS * C)[2][0][1]
        c.close()
    joined = []
    for n, flags in out:
        if joined and joined[-1][1] == flags:
            joined[-1][0] += n
        else:
            joined.append([n, flags])
    return joined


def test_bitmaps():
    page = 4096
    for what, options, want in (('bits', {}, [[page, 1], [4 * page, 0], [page, 1], [page, 0], [page, 1], [8 * page, 0], [8 * page, 1], [CLUSTERS * C - 24 * page, 0]]),
                                ('ones', {'l1': [1]}, [[CLUSTERS * C, 1]]), ('zeroes', {'l1': [0]}, [[CLUSTERS * C, 0]]),
                                ('behind another feature', {'extra': struct.pack('<QQII', 7, 0, 3, 0) + b'abc' + bytes(5), 'l1': [1]}, [[CLUSTERS * C, 1]])):
        image()
        extend('a.hds', **options)
        equal(what, dirty(NBD), want)
        if shutil.which('qemu-nbd') and 'extra' not in options:
            equal(what + ' as the peer has it', dirty('qemu-nbd'), want)
    # an incremental backup through it: what is not dirty is not copied
    image()
    extend('a.hds')
    img('compare', '-f', 'parallels', '-F', 'raw', 'a.hds', 'a.raw')
    # a write ends them, and nothing else
    with Server(NBD, '-f', 'parallels', 'a.hds') as s:
        c = ready(s)
        equal('write', c.do(WRITE, 0, payload=b'x')[0], 0)
        c.close()
    with open('a.hds', 'rb') as f:
        f.seek(EXT)
        equal('extension after a write', f.read(8), bytes(8))
    # so does a repair that changes something
    image()
    extend('a.hds')
    img('check', '-q', '-f', 'parallels', '-r', 'all', 'a.hds')
    img('info', '-f', 'parallels', 'a.hds')


def test_bad_extensions():
    for options, words in (({'spoil': True}, 'Wrong checksum in Format Extension header'), ({'granularity': 7}, 'is no power of two'), ({'granularity': 0}, 'is no power of two'),
                           ({'l1': [0, 0]}, 'Bitmap table size 2 does not correspond to bitmap size and cluster size. Expected 1'), ({'total': 5}, 'Bitmap has 5 sectors'),
                           ({'l1': [1 << 60]}, 'Failed to read bitmap data cluster'), ({'extra': struct.pack('<QQII', 7, 0, 1 << 31, 0)}, 'larger than the Format Extension')):
        image()
        extend('a.hds', **options)
        p = img('info', '-f', 'parallels', 'a.hds', status=1)
        equal(f'{options}: {p.stderr}', words in p.stderr, True)
        img('convert', '-n', '-f', 'raw', '-O', 'parallels', 'a.raw', 'a.hds')          # who writes has no use for it


main(sys.argv[3:], globals())
