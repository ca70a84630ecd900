#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Differencing disks: made and read by this file from the specifications, and by rhea-img; qemu-img reads what has no parent any more.

usage: differencing.py RHEA-IMG RHEA-STORAGE-DAEMON
"""
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import uuid

import nbdlib

MB = 1 << 20
SECTOR = 512
number = 0


def fail(text):
    print(f'not ok {number + 1} - {text}')
    sys.exit(1)


def ok(text):
    global number
    number += 1
    print(f'ok {number} - {text}', flush=True)


def img(*args, status=0):
    r = subprocess.run([IMG, *args], capture_output=True, text=True)
    if status is not None and r.returncode != status:
        fail(f'{" ".join(args)}: {r.returncode} {r.stdout}{r.stderr}')
    return r


def says(r, *words):
    for w in words:
        if w not in r.stderr:
            fail(f'no "{w}" in: {r.stderr}')


def content(fmt, name):
    img('convert', '-f', fmt, '-O', 'raw', name, 'out.raw')
    with open('out.raw', 'rb') as f:
        return f.read()


def peer_content(fmt, name):
    """What the other program reads, or None where it is not installed."""
    if not shutil.which('qemu-img'):
        return None
    r = subprocess.run(['qemu-img', 'convert', '-f', fmt, '-O', 'raw', name, 'peer.raw'], capture_output=True, text=True)
    if r.returncode:
        fail(f'qemu-img on {name}: {r.stderr}')
    with open('peer.raw', 'rb') as f:
        return f.read()


def same(what, a, b):
    if a != b:
        at = next((i for i in range(0, max(len(a), len(b)), SECTOR) if a[i:i + SECTOR] != b[i:i + SECTOR]), None)
        fail(f'{what}: differs, first in the sector at {at} ({len(a)} and {len(b)} bytes)')


def noise(rnd, size, share):
    """A disk with such a share of sectors that are not zeroes, in runs."""
    out = bytearray(size)
    while share and sum(1 for i in range(0, size, SECTOR) if out[i]) < share * size / SECTOR:
        first, n = rnd.randrange(size // SECTOR), rnd.choice([1, 3, 8, 100])
        for s in range(first, min(first + n, size // SECTOR)):
            out[s * SECTOR:(s + 1) * SECTOR] = bytes([1 + rnd.randrange(255)]) * SECTOR
    return bytes(out)


def over(below, layer):
    """layer: sector -> its bytes."""
    out = bytearray(below)
    for s, data in layer.items():
        out[s * SECTOR:(s + 1) * SECTOR] = data
    return bytes(out)


def random_layer(rnd, size, count):
    layer = {}
    for _ in range(count):
        first, n = rnd.randrange(size // SECTOR), rnd.choice([1, 2, 7, 64])
        for s in range(first, min(first + n, size // SECTOR)):
            layer[s] = bytes([rnd.randrange(256)]) * SECTOR
    return layer


# ---- VHD, from "Virtual Hard Disk Image Format Specification" 1.0 ----

def checksum(b, at):
    return ~sum(b[:at] + b[at + 4:]) & 0xffffffff


class Vhd:
    fmt, suffix = 'vpc', '.vhd'
    create = ['-o', 'force_size=on']

    def __init__(self, rnd):
        self.block = 2 * MB

    @staticmethod
    def make(name, size, layer, uuid, parent=None, block=2 * MB):
        """parent: (uuid, {code: text})"""
        entries, sectors = -(-size // block), block // SECTOR
        f = bytearray(512)
        struct.pack_into('>8sIIQI4sI4sQQHBBI', f, 0, b'conectix', 2, 0x10000, 512, 0, b'tap\0', 0x10003, b'Wi2k', size, size, 65535, 16, 255, 4 if parent else 3)
        f[68:84] = uuid
        struct.pack_into('>I', f, 64, checksum(f, 64))
        h = bytearray(1024)
        texts, at = bytearray(), 1536
        if parent:
            h[40:56] = parent[0]
            for i, (code, text) in enumerate(parent[1].items()):
                if code == 'name':
                    h[64:64 + 2 * len(text)] = text.encode('utf-16-be')
                    continue
                data = text.encode('utf-16-le') if code.startswith('W2') else text.encode()
                struct.pack_into('>4sIIIQ', h, 576 + 24 * i, code.encode(), 1024, len(data), 0, at + len(texts))
                texts += data.ljust(1024, b'\0')
        table = at + len(texts)
        struct.pack_into('>8sQQIII', h, 0, b'cxsparse', 2 ** 64 - 1, table, 0x10000, entries, block)
        struct.pack_into('>I', h, 36, checksum(h, 36))
        bat, data = [0xffffffff] * entries, bytearray()
        end = -(-(table + 4 * entries) // 512) * 512
        bitmap = -(-sectors // 8 // 512) * 512
        for b in sorted({s // sectors for s in layer}, reverse=True):       # in another order than ours
            bat[b] = (end + len(data)) // 512
            bits, body = bytearray(bitmap), bytearray((b'\xee' if parent else b'\0') * block)     # what counts for nothing is noise
            for s in range(sectors):
                if b * sectors + s in layer:
                    bits[s // 8] |= 0x80 >> s % 8
                    body[s * SECTOR:(s + 1) * SECTOR] = layer[b * sectors + s]
            data += bits + body
        with open(name, 'wb') as o:
            o.write(f + h + texts + struct.pack(f'>{entries}I', *bat).ljust(end - table, b'\xff') + data + f)

    @staticmethod
    def read(name):
        """(identity, identity of the parent or None, {code: text}, layer)"""
        d = open(name, 'rb').read()
        f = d[:512]
        if f != d[-512:] or checksum(f, 64) != struct.unpack_from('>I', f, 64)[0]:
            fail(f'{name}: footer')
        kind, at, size = struct.unpack_from('>I', f, 60)[0], struct.unpack_from('>Q', f, 16)[0], struct.unpack_from('>Q', f, 48)[0]
        h = d[at:at + 1024]
        if checksum(h, 36) != struct.unpack_from('>I', h, 36)[0]:
            fail(f'{name}: header')
        _, _, table, _, entries, block = struct.unpack_from('>8sQQIII', h)
        layer, texts = {}, {'name': h[64:576].decode('utf-16-be').rstrip('\0')}
        for i in range(8):
            code, _, n, _, off = struct.unpack_from('>4sIIIQ', h, 576 + 24 * i)
            if code != b'\0\0\0\0':
                texts[code.decode()] = d[off:off + n].decode('utf-16-le')
        sectors = block // SECTOR
        bitmap = -(-sectors // 8 // 512) * 512
        for b, e in enumerate(struct.unpack_from(f'>{entries}I', d, table)):
            for s in range(sectors if e != 0xffffffff else 0):
                at = e * 512
                if (b * sectors + s) * SECTOR < size and d[at + s // 8] & 0x80 >> s % 8:
                    layer[b * sectors + s] = d[at + bitmap + s * SECTOR:at + bitmap + (s + 1) * SECTOR]
        return f[68:84], h[40:56] if kind == 4 else None, texts if kind == 4 else {}, layer

    @staticmethod
    def locate(relative, absolute=None):
        return {'W2ru': relative, **({'W2ku': absolute} if absolute else {})}

    @staticmethod
    def identity(name):
        return open(name, 'rb').read(84)[68:84]


# ---- VHDX, from [MS-VHDX] ----

def crc_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82f63b78 if i & 1 else 0)
        table.append(i)
    return table


CRC = crc_table()


def crc32c(data):
    c = 0xffffffff
    for b in data:
        c = c >> 8 ^ CRC[(c ^ b) & 255]
    return c ^ 0xffffffff


def sealed(b):
    struct.pack_into('<I', b, 4, 0)
    struct.pack_into('<I', b, 4, crc32c(b))
    return b


def guid(text):
    return uuid.UUID(text).bytes_le


BAT, METADATA = guid('2dc27766-f623-4200-9d64-115e9bfd4a08'), guid('8b7ca206-4790-4b9a-b8fe-575f050f886e')
PARAMS, SIZE, PAGE83 = guid('caa16737-fa36-4d43-b3b6-33f0aa44e76b'), guid('2fa54224-cd1b-4876-b211-5dbed83bf4b8'), guid('beca12ab-b2e6-4523-93ef-c309e000c746')
LOGICAL, PHYSICAL = guid('8141bf1d-a96f-4709-ba47-f233a8faab5f'), guid('cda348c7-445d-4471-9cc9-e9885251c556')
LOCATOR, LOCATOR_TYPE = guid('a8d35f2d-b30b-454d-abf7-d3d84834ab0c'), guid('b04aefb7-d19e-4a81-b789-25b8e9445913')


class Vhdx:
    fmt, suffix, create = 'vhdx', '.vhdx', ['-o', 'block_size=1M']

    def __init__(self, rnd):
        pass

    @staticmethod
    def locator(parent):
        pairs = {'parent_linkage': '{%s}' % uuid.UUID(bytes_le=parent[0]), **{k: v for k, v in parent[1].items() if k != 'name'}}
        head, words = bytearray(LOCATOR_TYPE + struct.pack('<HH', 0, len(pairs))), bytearray()
        start = 20 + 12 * len(pairs)
        for key, value in pairs.items():
            k, v = key.encode('utf-16-le'), value.encode('utf-16-le')
            head += struct.pack('<IIHH', start + len(words), start + len(words) + len(k), len(k), len(v))
            words += k + v
        return head + words

    @staticmethod
    def make(name, size, layer, identity, parent=None, block=MB, sector=512):
        per, ratio, blocks = block // SECTOR, (sector << 23) // block, -(-size // block)
        header = bytearray(4096)
        struct.pack_into('<4sIQ16s16s16sHHIQ', header, 0, b'head', 0, 7, uuid.uuid4().bytes, identity, bytes(16), 0, 1, MB, MB)
        regions = bytearray(65536)
        struct.pack_into('<4sIII', regions, 0, b'regi', 0, 2, 0)
        struct.pack_into('<16sQII', regions, 16, METADATA, 2 * MB, MB, 1)
        struct.pack_into('<16sQII', regions, 48, BAT, 3 * MB, MB, 1)
        items = [(PARAMS, struct.pack('<II', block, 2 if parent else 0), 4), (SIZE, struct.pack('<Q', size), 6), (PAGE83, uuid.uuid4().bytes, 6), (LOGICAL, struct.pack('<I', sector), 6),
                 (PHYSICAL, struct.pack('<I', 4096), 6)] + ([(LOCATOR, Vhdx.locator(parent), 4)] if parent else [])
        meta, at = bytearray(MB), 65536
        struct.pack_into('<8sHH', meta, 0, b'metadata', 0, len(items))
        for i, (kind, data, flags) in enumerate(items):
            struct.pack_into('<16sIIII', meta, 32 + 32 * i, kind, at, len(data), flags, 0)
            meta[at:at + len(data)] = data
            at += len(data)
        bat, end, data = bytearray(MB), 4 * MB, bytearray()
        have = {b: [s for s in range(b * per, (b + 1) * per) if s in layer] for b in {s // per for s in layer}}
        bits = {b // ratio: bytearray(MB) for b in have if parent}
        for b in sorted(have, reverse=True):
            full = len(have[b]) == min(per, size // SECTOR - b * per)
            if parent and full and not any(layer[s].strip(b'\0') for s in have[b]):
                struct.pack_into('<Q', bat, (b + b // ratio) * 8, 2)
                continue
            body = bytearray((b'\xee' if parent else b'\0') * block)
            for s in have[b]:
                body[(s % per) * SECTOR:(s % per + 1) * SECTOR] = layer[s]
                if parent:
                    bits[b // ratio][s % (ratio * per) // 8] |= 1 << s % 8
            struct.pack_into('<Q', bat, (b + b // ratio) * 8, end + len(data) | (7 if parent and not full else 6))
            data += body
        for c, bitmap in bits.items():
            struct.pack_into('<Q', bat, ((c + 1) * (ratio + 1) - 1) * 8, end + len(data) | 6)
            data += bitmap
        with open(name, 'wb') as o:
            o.write(b'vhdxfile'.ljust(65536, b'\0') + bytes(sealed(header)).ljust(65536, b'\0'))
            struct.pack_into('<Q', header, 8, 8)
            o.write(bytes(sealed(header)).ljust(65536, b'\0') + bytes(sealed(regions)) * 2)
            for piece, place in ((b'', MB), (meta, 2 * MB), (bat, 3 * MB), (data, end)):
                o.seek(place)
                o.write(piece)

    @staticmethod
    def identity(name):
        with open(name, 'rb') as f:
            d = f.read(3 << 16)
        heads = [bytearray(d[at:at + 4096]) for at in (1 << 16, 2 << 16)]
        good = [h for h in heads if h[:4] == b'head' and sealed(bytearray(h)) == h]
        best = max(good, key=lambda h: struct.unpack_from('<Q', h, 8)[0])
        if any(best[48:64]):
            fail(f'{name}: a log is left')
        return bytes(best[32:48])

    @staticmethod
    def read(name):
        d = open(name, 'rb').read()
        regions = bytearray(d[3 << 16:4 << 16])
        if sealed(bytearray(regions)) != regions:
            fail(f'{name}: regions')
        place = {bytes(regions[16 + 32 * i:32 + 32 * i]): struct.unpack_from('<Q', regions, 32 + 32 * i)[0] for i in range(struct.unpack_from('<I', regions, 8)[0])}
        m, items = place[METADATA], {}
        for i in range(struct.unpack_from('<H', d, m + 10)[0]):
            kind, at, n = struct.unpack_from('<16sII', d, m + 32 + 32 * i)
            items[kind] = d[m + at:m + at + n]
        block, flags = struct.unpack('<II', items[PARAMS])
        size, = struct.unpack('<Q', items[SIZE])
        sector, = struct.unpack('<I', items[LOGICAL])
        if bool(flags & 2) != (LOCATOR in items):
            fail(f'{name}: a parent, or none?')
        pairs, item = {}, items.get(LOCATOR, bytes(20))
        for i in range(struct.unpack_from('<H', item, 18)[0]):
            k, v, nk, nv = struct.unpack_from('<IIHH', item, 20 + 12 * i)
            pairs[item[k:k + nk].decode('utf-16-le')] = item[v:v + nv].decode('utf-16-le')
        parent = uuid.UUID(pairs.pop('parent_linkage')).bytes_le if flags & 2 else None
        per, ratio, layer = block // SECTOR, (sector << 23) // block, {}
        for b in range(-(-size // block)):
            e, = struct.unpack_from('<Q', d, place[BAT] + (b + b // ratio) * 8)
            bitmap, = struct.unpack_from('<Q', d, place[BAT] + ((b // ratio + 1) * (ratio + 1) - 1) * 8)
            at, map_at = e >> 20 << 20, bitmap >> 20 << 20
            if e & 7 == 7 and bitmap & 7 != 6:
                fail(f'{name}: no bitmap for block {b}')
            for s in range(b * per, min((b + 1) * per, size // SECTOR)):
                if e & 7 in (1, 2, 3):
                    layer[s] = bytes(SECTOR)
                unit = s * SECTOR // sector
                if e & 7 == 6 or (e & 7 == 7 and d[map_at + unit % (1 << 23) // 8] & 1 << unit % 8):
                    layer[s] = d[at + (s % per) * SECTOR:at + (s % per + 1) * SECTOR]
        return Vhdx.identity(name), parent, pairs, layer

    @staticmethod
    def locate(relative, absolute=None):
        return {'relative_path': relative, **({'absolute_win32_path': absolute} if absolute else {})}


def test_large_sectors(k, rnd):
    size = 5 * MB
    data, more = noise(rnd, size, 0.2), noise(rnd, size, 0.2)
    k.make('big.vhdx', size, {s: data[s * SECTOR:(s + 1) * SECTOR] for s in range(size // SECTOR) if data[s * SECTOR]}, rnd.randbytes(16), sector=4096)
    same('sectors of 4096', content(k.fmt, 'big.vhdx'), data)
    with open('more.raw', 'wb') as f:
        f.write(more)
    img('convert', '-n', '-f', 'raw', '-O', k.fmt, 'more.raw', 'big.vhdx')
    same('sectors of 4096, written', content(k.fmt, 'big.vhdx'), more)
    same('sectors of 4096, read here', over(bytes(size), k.read('big.vhdx')[3]), more)
    k.make('top.vhdx', size, {s: data[s * SECTOR:(s + 1) * SECTOR] for s in range(80, 800)}, rnd.randbytes(16), (k.identity('big.vhdx'), k.locate('.\\big.vhdx')))
    same('a child of other sectors', content(k.fmt, 'top.vhdx'), more[:80 * SECTOR] + data[80 * SECTOR:800 * SECTOR] + more[800 * SECTOR:])
    ok('vhdx: sectors of 4096 bytes')


# ---- what both can do ----

def test_read(k, rnd):
    size = 6 * MB + 512 * 37
    os.makedirs('sub', exist_ok=True)
    for i in range(6):
        below, one, two = noise(rnd, size, 0.2), random_layer(rnd, size, 40), random_layer(rnd, size, 40)
        two.update({s: bytes(SECTOR) for s in range(2 * MB // SECTOR, 4 * MB // SECTOR)})       # zeroes are another thing than nothing
        names = [f'base{k.suffix}', f'sub/mid{k.suffix}', f'top{k.suffix}']
        ids = [rnd.randbytes(16) for _ in names]
        k.make(names[0], size, {s: below[s * SECTOR:(s + 1) * SECTOR] for s in range(size // SECTOR) if below[s * SECTOR]}, ids[0])
        k.make(names[1], size, one, ids[1], (ids[0], k.locate(f'..\\base{k.suffix}', 'C:\\nowhere\\base')))
        k.make(names[2], size, two, ids[2], (ids[1], k.locate(f'.\\sub\\mid{k.suffix}')))
        same(f'chain {i}', content(k.fmt, names[2]), over(over(below, one), two))
        chain = json.loads(img('info', '--backing-chain', '--output=json', names[2]).stdout)
        if [c.get('backing-filename') for c in chain] != [f'sub/mid{k.suffix}', f'../base{k.suffix}', None]:
            fail(f'chain {i}: {[c.get("backing-filename") for c in chain]}')
        here = set()
        for e in json.loads(img('map', '--output=json', names[2]).stdout):
            if e['depth'] == 0:
                here |= set(range(e['start'] // SECTOR, (e['start'] + e['length']) // SECTOR))
        if here != set(two):
            fail(f'chain {i}: map names {len(here)} sectors of the top, there are {len(two)}: {sorted(here ^ set(two))[:8]}')
    ok(f'{k.fmt}: chains of three made here')


def test_find(k, rnd):
    size, layer = 4 * MB, {5: b'x' * SECTOR}
    base, top, ids = f'base{k.suffix}', f'top{k.suffix}', [rnd.randbytes(16) for _ in range(3)]
    k.make(base, size, {5: b'b' * SECTOR, 6: b'c' * SECTOR}, ids[0])
    k.make(top, size, layer, ids[1], (ids[0], k.locate('.\\gone' + k.suffix, os.path.realpath(base))))
    if content(k.fmt, top)[6 * SECTOR:7 * SECTOR] != b'c' * SECTOR:
        fail('found by its path from the root')
    k.make(top, size, layer, ids[1], (ids[0], k.locate('.\\gone' + k.suffix)))
    says(img('info', '--backing-chain', top, status=1), 'gone' + k.suffix, 'No such file')
    k.make(top, size, layer, ids[1], (ids[0], k.locate('\\\\server\\share\\base', 'D:\\base')))
    says(img('convert', '-O', 'raw', top, 'out.raw', status=1), 'no parent that could lie on this host')
    r = img('convert', '-O', 'raw', f'json:{{"driver":"{k.fmt}","file":{{"driver":"file","filename":"{top}"}},"backing":{{"driver":"{k.fmt}","file":{{"driver":"file","filename":"{base}"}}}}}}', 'out.raw')
    if open('out.raw', 'rb').read()[6 * SECTOR:7 * SECTOR] != b'c' * SECTOR:
        fail(f'a parent named by the user {r.stderr}')
    k.make(top, size, layer, ids[1], (ids[2], k.locate('.\\' + base)))
    says(img('convert', '-O', 'raw', top, 'out.raw', status=1), f"'{base}' is not the parent of '{top}'", 'rebase -u')
    says(img('rebase', '-f', k.fmt, '-F', k.fmt, '-b', base, top, status=1), f"'{base}' is not the parent of '{top}'")
    img('rebase', '-u', '-f', k.fmt, '-F', k.fmt, '-b', base, top)
    same('after rebase -u', content(k.fmt, top)[5 * SECTOR:7 * SECTOR], b'x' * SECTOR + b'c' * SECTOR)
    identity, parent, texts, now = k.read(top)
    if parent != ids[0] or now != layer:
        fail(f'rebase -u: {parent} {texts} {len(now)}')
    ok(f'{k.fmt}: where the parent lies, and whether it is the one')


def test_create(k, rnd):
    size = 8 * MB + 1024
    below, wanted = noise(rnd, size, 0.3), random_layer(rnd, size, 60)
    base, top, far = f'base{k.suffix}', f'top{k.suffix}', f'sub/far{k.suffix}'
    with open('below.raw', 'wb') as f:
        f.write(below)
    with open('wanted.raw', 'wb') as f:
        f.write(over(below, wanted))
    img('convert', '-f', 'raw', '-O', k.fmt, *k.create, 'below.raw', base)
    img('create', '-q', '-f', k.fmt, '-b', base, '-F', k.fmt, top)
    identity, parent, texts, layer = k.read(top)
    if parent != k.identity(base) or layer or texts != {**texts, **k.locate('.\\' + base, os.path.realpath(base))}:
        fail(f'created: {parent} {texts} {len(layer)}')
    same('an empty child', content(k.fmt, top), below)
    os.makedirs('sub', exist_ok=True)
    img('create', '-q', '-f', k.fmt, '-b', os.path.realpath(top), '-F', k.fmt, far)
    if k.read(far)[2] != {**k.read(far)[2], **k.locate('..\\' + top, os.path.realpath(top))}:
        fail(f'created elsewhere: {k.read(far)[2]}')
    os.unlink(far)
    says(img('create', '-f', k.fmt, '-b', 'below.raw', '-F', 'raw', 'x', status=1), "Must be '" + k.fmt)
    # what differs is copied up, sector by sector
    img('convert', '-f', 'raw', '-O', k.fmt, '-B', base, '-F', k.fmt, 'wanted.raw', top)
    same('convert -B', content(k.fmt, top), over(below, wanted))
    img('compare', '-f', 'raw', '-F', k.fmt, 'wanted.raw', top)
    k.make(top, size, wanted, rnd.randbytes(16), (k.identity(base), k.locate('.\\' + base)))
    before = open(base, 'rb').read()
    # another parent, of other content: the difference moves up
    third = over(below, {s: bytes([s % 251]) * SECTOR for s in range(100, 1000, 7)})
    with open('third.raw', 'wb') as f:
        f.write(third)
    other = f'other{k.suffix}'
    img('convert', '-f', 'raw', '-O', k.fmt, *k.create, 'third.raw', other)
    img('rebase', '-f', k.fmt, '-F', k.fmt, '-b', other, top)
    same('rebase', content(k.fmt, top), over(below, wanted))
    identity, parent, texts, layer = k.read(top)
    same('rebase, read here', over(third, layer), over(below, wanted))
    if parent != k.identity(other) or open(base, 'rb').read() != before:
        fail('rebase: the parent')
    if len(layer) == len(below) // SECTOR:
        fail('every sector is there: no difference any more')
    # into the parent
    img('commit', '-f', k.fmt, top)
    same('commit', content(k.fmt, other), over(below, wanted))
    same('the child after it', content(k.fmt, top), over(below, wanted))
    theirs = peer_content(k.fmt, other)
    if theirs is not None:
        same('commit, read by the other program', theirs, over(below, wanted))
    # alone
    img('rebase', '-f', k.fmt, '-F', k.fmt, '-b', base, top)
    img('rebase', '-f', k.fmt, '-b', '', top)
    if 'backing-filename' in json.loads(img('info', '--output=json', top).stdout):
        fail('rebase to nothing: still a parent')
    same('rebase to nothing', content(k.fmt, top), over(below, wanted))
    theirs = peer_content(k.fmt, top)
    if theirs is not None:
        same('rebase to nothing, read by the other program', theirs, over(below, wanted))
    ok(f'{k.fmt}: made, converted, rebased, committed')


# ---- discards ----

def held(name):
    return os.stat(name).st_blocks * 512


def test_discard(k, rnd):
    """What a child discards reads as zeroes, not as the parent's, and leaves the host's disk; so do zeroes."""
    size, suffix, unit = 24 * MB, k.suffix, 2 * MB
    below = bytes([200]) * size
    with open('below.raw', 'wb') as f:
        f.write(below)
    img('convert', '-f', 'raw', '-O', k.fmt, *k.create, 'below.raw', 'dbase' + suffix)
    img('create', '-q', '-f', k.fmt, '-b', 'dbase' + suffix, '-F', k.fmt, *(['-o', 'block_size=2M'] if k.fmt == 'vhdx' else []), 'd' + suffix)
    with nbdlib.Server(os.path.join(os.path.dirname(IMG), 'rhea-nbd'), '-t', '-f', k.fmt, '--discard=unmap', 'd' + suffix) as s:
        c = nbdlib.Client(s.path)
        c.greet()
        c.modes(True, False)
        if c.go('')[-1] != (1, b''):
            fail('NBD')

        def do(*args, **named):
            r = c.do(*args, **named)
            if r[0]:
                fail(f'{k.fmt}: {args}: {r[0]}')
            return r[1]

        for at in range(6):
            do(nbdlib.WRITE, at * unit, payload=bytes([at + 1]) * unit)
        do(nbdlib.WRITE, 6 * unit + 512, payload=b'p' * 1024)
        do(nbdlib.FLUSH)
        full = held('d' + suffix)
        do(nbdlib.TRIM, unit, 3 * unit)                     # whole blocks
        do(nbdlib.TRIM, 4 * unit + 4096, MB)                # less
        do(nbdlib.TRIM, 6 * unit, unit)                     # one that is there in part
        do(nbdlib.TRIM, 8 * unit, unit)                     # the parent's
        do(nbdlib.ZEROES, 5 * unit + 4096, 8192)
        do(nbdlib.ZEROES, 9 * unit + 512, 512)
        do(nbdlib.ZEROES, 10 * unit, unit)
        do(nbdlib.FLUSH)
        freed = held('d' + suffix)
        got = b''.join(do(nbdlib.READ, at * unit, unit) for at in range(12))
        c.close()
    want = bytearray(below)
    want[:6 * unit] = b''.join(bytes([at + 1]) * unit for at in range(6))
    want[6 * unit + 512:6 * unit + 1536] = b'p' * 1024
    for at, n in ((unit, 3 * unit), (4 * unit + 4096, MB), (5 * unit + 4096, 8192), (9 * unit + 512, 512), (10 * unit, unit)):
        want[at:at + n] = bytes(n)
    for at in (6 * unit, 8 * unit):                         # may be either
        want[at:at + unit] = got[at:at + unit]
        for s in range(at, at + unit, SECTOR):
            if got[s:s + SECTOR] not in (bytes(SECTOR), below[s:s + SECTOR], b'p' * SECTOR):
                fail(f'{k.fmt}: a discarded sector at {s} holds something else')
    same('after discards', got, bytes(want))
    same('after discards, opened again', content(k.fmt, 'd' + suffix), bytes(want))
    same('after discards, read here', over(below, k.read('d' + suffix)[3]), bytes(want))
    if full - freed < 3 * MB:
        fail(f'{k.fmt}: {full} bytes on the disk before, {freed} after')
    ok(f'{k.fmt}: discards and zeroes in a child')


# ---- while they are used ----

class Daemon:
    def __init__(self, *args):
        self.p = subprocess.Popen([DAEMON, *args, '--chardev', 'stdio,id=m', '--monitor', 'm', '--nbd-server', 'addr.type=unix,addr.path=sock'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events = []
        self.line()
        self.cmd('qmp_capabilities')

    def line(self):
        text = self.p.stdout.readline()
        if not text:
            fail('the daemon is gone')
        return json.loads(text)

    def cmd(self, name, **args):
        self.p.stdin.write(json.dumps({'execute': name, 'arguments': args}) + '\n')
        self.p.stdin.flush()
        while True:
            r = self.line()
            if 'event' in r:
                self.events.append(r)
            elif 'error' in r:
                fail(f'{name} {args}: {r}')
            else:
                return r['return']

    def wait(self, event, key, value):
        while True:
            for e in self.events:
                if e['event'] == event and e['data'].get(key) == value:
                    self.events.remove(e)
                    return e['data']
            self.events.append(self.line())

    def job(self, name, **args):
        self.cmd(name, **{'job-id': 'j', **args})
        done = self.wait('BLOCK_JOB_COMPLETED', 'device', 'j')
        if 'error' in done:
            fail(f'{name}: {done}')

    def end(self):
        self.cmd('quit')
        if self.p.wait():
            fail(f'the daemon ends with {self.p.returncode}')


def test_live(k, rnd):
    """Children on top of a disk in use; a layer of the middle is committed, two are streamed, then all of them."""
    size, suffix = 8 * MB, k.suffix
    now = noise(rnd, size, 0.2)

    def change(node):
        nonlocal now
        now = over(now, random_layer(rnd, size, 30))
        with open('now.raw', 'wb') as f:
            f.write(now)
        d.cmd('block-export-add', **{'type': 'nbd', 'id': 'e', 'node-name': node, 'writable': True})
        img('convert', '-n', '-f', 'raw', '-O', 'raw', 'now.raw', f'nbd+unix:///{node}?socket=sock')
        d.cmd('block-export-del', id='e', mode='hard')      # the server may not have seen yet that its client is gone
        d.wait('BLOCK_EXPORT_DELETED', 'id', 'e')

    def on_top(i):
        img('create', '-q', '-u', '-f', k.fmt, '-b', f'live{i - 1}{suffix}', '-F', k.fmt, f'live{i}{suffix}', str(size))
        if i == 1:
            change('n0')                # so it has other data than when its child was made
        d.cmd('blockdev-add', **{'driver': k.fmt, 'node-name': f'n{i}', 'backing': None, 'file': {'driver': 'file', 'filename': f'live{i}{suffix}'}})
        d.cmd('blockdev-snapshot', node=f'n{i - 1}', overlay=f'n{i}')
        change(f'n{i}')

    with open('now.raw', 'wb') as f:
        f.write(now)
    img('convert', '-f', 'raw', '-O', k.fmt, *k.create, 'now.raw', 'live0' + suffix)
    d = Daemon('--blockdev', json.dumps({'driver': k.fmt, 'node-name': 'n0', 'file': {'driver': 'file', 'filename': 'live0' + suffix}}))
    for i in (1, 2, 3):
        on_top(i)
    d.job('block-commit', **{'device': 'n3', 'top-node': 'n2', 'base-node': 'n1'})
    change('n3')
    d.job('block-stream', **{'device': 'n3', 'base-node': 'n0'})
    change('n3')
    d.end()
    same('a layer streamed to the base', content(k.fmt, 'live3' + suffix), now)
    if k.read('live3' + suffix)[1] != k.identity('live0' + suffix) or k.read('live1' + suffix)[1] != k.identity('live0' + suffix):
        fail('whose child is it?')
    d = Daemon('--blockdev', json.dumps({'driver': k.fmt, 'node-name': 'n3', 'file': {'driver': 'file', 'filename': 'live3' + suffix}}))
    on_top(4)
    d.job('block-stream', device='n4')
    change('n4')
    d.end()
    if k.read('live4' + suffix)[1] is not None:
        fail('all is streamed, and there is a parent')
    same('all layers streamed', content(k.fmt, 'live4' + suffix), now)
    theirs = peer_content(k.fmt, 'live4' + suffix)
    if theirs is not None:
        same('all layers streamed, read by the other program', theirs, now)
    ok(f'{k.fmt}: snapshots, commit and stream while it is used')


def main():
    global IMG, DAEMON
    IMG, DAEMON = (os.path.realpath(a) for a in sys.argv[1:3])
    rnd = random.Random(7)
    with tempfile.TemporaryDirectory() as d:
        os.chdir(d)
        for k in KINDS:
            for test in (test_read, test_find, test_create, test_discard, test_live):
                test(k(rnd), rnd)
        test_large_sectors(Vhdx, rnd)
        os.chdir('/')
    print(f'1..{number}')


KINDS = [Vhd, Vhdx]
main()
