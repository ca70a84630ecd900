#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""rhea-img and qemu-img on each other's images of every format that both can make.

usage: formats.py RHEA-IMG [FORMAT...]        exit status 77 where qemu-img is not installed
"""
import glob
import json
import os
import shutil
import struct
import sys
import tempfile

import nbdlib
import peer as p
from peer import IO, equal, fail, ours, peer, run

NBD = os.path.join(os.path.dirname(p.OURS), 'rhea-nbd')

# What can be made, each with one line per shape of it.
MATRIX = {
    'vdi': [[], ['static=on']],
    'parallels': [[], ['cluster_size=64k'], ['cluster_size=12k']],
    'vpc': [[], ['subformat=fixed'], ['force_size=on'], ['force_size=on', 'subformat=fixed']],
    'qed': [[], ['cluster_size=4k'], ['cluster_size=4k', 'table_size=2'], ['cluster_size=1M', 'table_size=16']],
    'qcow': [[]],
    'vhdx': [[], ['subformat=fixed'], ['block_size=1M', 'log_size=2M'], ['block_state_zero=off', 'block_size=32M']],
    'vmdk': [[], ['adapter_type=lsilogic', 'compat6=on', 'toolsversion=123', 'zeroed_grain=on'], ['subformat=monolithicFlat'], ['subformat=twoGbMaxExtentSparse'], ['subformat=twoGbMaxExtentFlat'],
             ['subformat=streamOptimized']],
}
CHECKED = ['vdi', 'parallels', 'qed', 'vhdx', 'vmdk']       # the peer has a check for these
GROWS = ['qed']                          # the peer can resize these
MAPPED = ['vdi', 'parallels', 'vpc', 'qed', 'qcow', 'vmdk']             # the peer knows what is where in these
HERE = os.path.dirname(os.path.abspath(__file__))
OURS_ALONE = {'vpc': ['backing_file', 'backing_fmt'], 'vhdx': ['backing_file', 'backing_fmt'], 'luks': ['detached-header']}       # the peer has no differencing disks; newer ones have the last
RANDOM = ['uuid', 'cid', 'parent-cid', 'iters', 'master-key-iters', 'date']         # differ from image to image


def options(shape):
    return ['-o', ','.join(shape)] if shape else []


def scrub(j):
    """Without what differs by chance, by place or by version."""
    if isinstance(j, dict):
        return {k: scrub(v) for k, v in j.items() if k not in RANDOM + ['actual-size', 'filename', 'children']}
    return [scrub(v) for v in j] if isinstance(j, list) else j


def info(tool, fmt, name):
    j = json.loads(tool('info', '-f', fmt, '--output=json', name).stdout)
    return {k: v for k, v in j.items() if k not in ('children', 'actual-size')}


def same_info(what, fmt, name):
    """Key by key, in the same order."""
    a, b = info(ours, fmt, name), info(peer, fmt, name)
    equal(f'info {what}', json.dumps(a), json.dumps(b))
    return a


def check_both(fmt, name, what):
    for tool in (ours, peer):
        r = tool('check', '-f', fmt, name, status=None)
        if r.returncode != (0 if fmt in CHECKED else 63):
            fail(f'check {what}: {r.args[0]} says {r.returncode} {r.stdout}{r.stderr}')
    if fmt in CHECKED:
        a, b = (json.loads(t('check', '-f', fmt, '--output=json', name).stdout) for t in (ours, peer))
        equal(f'check {what}', a, b)


def data_map(tool, fmt, name):
    """(start, end, offset in the file) of what is data and not zeroes, joined."""
    out = []
    for e in json.loads(tool('map', '--output=json', '-f', fmt, name).stdout):
        if e['data'] and not e['zero']:
            row = [e['start'], e['start'] + e['length'], e.get('offset')]
            if out and out[-1][1] == row[0] and (row[2] is None) == (out[-1][2] is None) and (row[2] is None or out[-1][2] + out[-1][1] - out[-1][0] == row[2]):
                out[-1][1] = row[1]
            else:
                out.append(row)
    return out


def same_map(what, fmt, name, raw):
    """What we call data lies where the peer says; what only the peer calls data are holes of the file, and reads as zeroes."""
    theirs, at = data_map(peer, fmt, name), 0
    content = open(raw, 'rb').read()
    for start, end, offset in data_map(ours, fmt, name):
        home = [t for t in theirs if t[0] <= start and end <= t[1]]
        if not home or (offset is None) != (home[0][2] is None) or (offset is not None and offset - start != home[0][2] - home[0][0]):
            fail(f'map {what}: our {start}-{end} at {offset} is not in {home or theirs[:20]}')
        if content[at:start].strip(b'\0'):
            fail(f'map {what}: data between {at} and {start} is missing')
        at = end
    if content[at:].strip(b'\0'):
        fail(f'map {what}: data behind {at} is missing')


def clean(*names):
    for n in names:
        for f in glob.glob(n + '*'):
            os.unlink(f)


def test_create(fmt, shape, size):
    what = f'{fmt} {shape} {size}'
    clean('a.', 'b.')
    a = ours('create', '-f', fmt, *options(shape), 'a.img', size, status=None)
    b = peer('create', '-f', fmt, *options(shape), 'b.img', size, status=None)
    if a.returncode != b.returncode or a.returncode:
        equal(f'create {what}: status', (a.returncode, a.stderr.split(': ')[2:]), (b.returncode, b.stderr.split(': ')[2:]))
        return
    equal(f'create {what}', a.stdout.replace('a.img', 'b.img'), b.stdout)
    if peer('info', '-f', fmt, 'b.img', status=None).returncode:
        return                          # it makes what it cannot open
    x, y = same_info(what + ' ours', fmt, 'a.img'), same_info(what + ' theirs', fmt, 'b.img')
    equal(f'info of both {what}', scrub(x), scrub(y))
    check_both(fmt, 'a.img', what + ' made by us')
    check_both(fmt, 'b.img', what + ' made by them')


def test_convert(fmt, shape, raw):
    what = f'{fmt} {shape}'
    for tool, other in ((ours, peer), (peer, ours)):
        clean('t.', 'back.')
        tool('convert', '-f', 'raw', '-O', fmt, *options(shape), raw, 't.img')
        for reader in (ours, peer):
            r = reader('compare', '-f', 'raw', '-F', fmt, raw, 't.img', status=None)
            if r.returncode:
                fail(f'{what}: written by {tool.__name__}, compared by {reader.__name__}: {r.stdout}{r.stderr}')
        check_both(fmt, 't.img', f'{what} converted by {tool.__name__}')
        other('convert', '-f', fmt, '-O', 'raw', 't.img', 'back.raw')
        p.run('cmp', '-n', str(os.path.getsize(raw)), raw, 'back.raw')
        if fmt in MAPPED:
            same_map(f'{what} by {tool.__name__}', fmt, 't.img', raw)


def test_write(fmt, shape, size):
    """Each writes into the other's image, in turns."""
    what = f'{fmt} {shape}'
    if not IO or 'streamOptimized' in str(shape):
        return
    for tool in (ours, peer):
        clean('w.')
        tool('create', '-q', '-f', fmt, *options(shape), 'w.img', size)
        with open('w.raw', 'wb') as f:
            f.truncate(json.loads(peer('info', '-f', fmt, '--output=json', 'w.img').stdout)['virtual-size'])
        for i, cmd in enumerate(('write -P 5 100k 300k', 'write -P 6 5M 70k', 'write -z 150k 20k', 'write -P 7 1m 3m', 'write -P 8 200k 1k')):
            if i % 2 == 0:
                for f, n in (('raw', 'w.raw'), (fmt, 'w.img')):
                    run(IO, '-f', f, '-c', cmd, n)
            else:
                run(IO, '-f', 'raw', '-c', cmd, 'w.raw')
                ours('convert', '-n', '-f', 'raw', '-O', fmt, 'w.raw', 'w.img')
            for reader in (ours, peer):
                r = reader('compare', '-f', 'raw', '-F', fmt, 'w.raw', 'w.img', status=None)
                if r.returncode:
                    fail(f'{what}: step {i} compared by {reader.__name__}: {r.stdout}{r.stderr}')
            check_both(fmt, 'w.img', f'{what} step {i}')


UNLINKED = ['parallels', 'qcow', 'vhdx', 'vmdk']         # a discarded grain is not there any more; elsewhere it is a hole in its place


def held(name):
    return sum(os.stat(f).st_blocks * 512 for f in glob.glob(name + '.*') + glob.glob(name + '-*'))


def test_discard(fmt, shape):
    """What is discarded leaves the host's disk, is used again, and both read zeroes there."""
    what = f'{fmt} {shape} with discards'
    if 'streamOptimized' in str(shape):
        return
    clean('d.')
    MiB = 1 << 20
    ours('create', '-q', '-f', fmt, *options(shape), 'd.img', '40M')
    with nbdlib.Server(NBD, '-t', '-f', fmt, '--discard=unmap', 'd.img') as s:
        c = nbdlib.Client(s.path)
        c.greet()
        c.modes(True, False)
        equal(what + ': go', c.go('')[-1], (1, b''))
        do = lambda *a, **k: equal(f'{what}: {a}', c.do(*a, **k)[0], 0)
        for at in range(15):
            do(nbdlib.WRITE, at * MiB, payload=bytes([at + 1]) * MiB)
        do(nbdlib.FLUSH)
        full = held('d')
        do(nbdlib.TRIM, 2 * MiB, 6 * MiB)
        do(nbdlib.TRIM, 12 * MiB, 3 * MiB)
        do(nbdlib.FLUSH)
        freed, size = held('d'), os.path.getsize('d.img')
        do(nbdlib.WRITE, 13 * MiB, payload=b'n' * MiB)
        do(nbdlib.FLUSH)
        if fmt in UNLINKED and 'Flat' not in str(shape):
            equal(what + ': places are used again', os.path.getsize('d.img'), size)
        c.do(nbdlib.TRIM, 9 * MiB + 100, 300000)        # less than most grains
        want = c.do(nbdlib.READ, 8 * MiB, 4 * MiB)[1]
        c.close()
    whole = fmt != 'vhdx' or 'block_size=1M' in str(shape)      # its blocks are larger than what is discarded
    if full - freed < (9 if whole else 2) * MiB - 200000:
        fail(f'{what}: {full} bytes on the disk before, {freed} after')
    with open('d.raw', 'wb') as f:
        for at in range(15):
            f.write(b'n' * MiB if at == 13 else bytes(MiB) if at in (*range(2, 8), 12, 14) else bytes([at + 1]) * MiB)
        f.seek(8 * MiB)
        f.write(want)
        f.truncate(json.loads(peer('info', '-f', fmt, '--output=json', 'd.img').stdout)['virtual-size'])
    for reader in (ours, peer):
        r = reader('compare', '-f', 'raw', '-F', fmt, 'd.raw', 'd.img', status=None)
        if r.returncode:
            fail(f'{what}: compared by {reader.__name__}: {r.stdout}{r.stderr}')
    check_both(fmt, 'd.img', what)
    if fmt in MAPPED:
        same_map(what, fmt, 'd.img', 'd.raw')


def test_resize(fmt, shape, raw):
    for tool, other in ((ours, peer), (peer, ours)):
        clean('r.')
        tool('convert', '-f', 'raw', '-O', fmt, *options(shape), raw, 'r.img')
        before = info(peer, fmt, 'r.img')['virtual-size']
        for way in (ours, peer):
            a = way('resize', '-f', fmt, 'r.img', '+30M', status=None)
            if (a.returncode == 0) != (fmt in GROWS):
                fail(f'resize {fmt} {shape}: {a.returncode} {a.stderr}')
        if fmt in GROWS:
            equal(f'resized {fmt}', info(other, fmt, 'r.img')['virtual-size'], before + (60 << 20))
            check_both(fmt, 'r.img', f'{fmt} {shape} resized')
        other('compare', '-q', '-f', 'raw', '-F', fmt, raw, 'r.img')


def test_backing(fmt):
    """A base made by one, a layer by the other, written by both; then committed."""
    for tool, other in ((ours, peer), (peer, ours)):
        clean('base.', 'top.', 'want.')
        tool('convert', '-f', 'raw', '-O', fmt, 's.raw', 'base.img')
        other('create', '-q', '-f', fmt, '-b', 'base.img', '-F', fmt, 'top.img')
        same_info(f'{fmt} with a backing file', fmt, 'top.img')
        for t in (ours, peer):
            t('compare', '-q', '-f', 'raw', '-F', fmt, 's.raw', 'top.img')
        shutil.copy('s.raw', 'want.raw')
        if IO:
            run(IO, '-f', fmt, '-c', 'write -P 3 1000k 30k', '-c', 'write -P 9 8M 200k', 'top.img')
            run(IO, '-f', 'raw', '-c', 'write -P 3 1000k 30k', '-c', 'write -P 9 8M 200k', 'want.raw')
        tool('convert', '-O', fmt, '-B', 'base.img', '-F', fmt, 'top.img', 'top2.img')
        for name in ('top.img', 'top2.img'):
            for t in (ours, peer):
                r = t('compare', '-f', 'raw', '-F', fmt, 'want.raw', name, status=None)
                if r.returncode:
                    fail(f'{fmt} layer {name} made by {other.__name__}, read by {t.__name__}: {r.stdout}{r.stderr}')
        check_both(fmt, 'top.img', f'{fmt} layer')
        ours('commit', '-q', '-f', fmt, 'top.img')
        peer('compare', '-q', '-f', 'raw', '-F', fmt, 'want.raw', 'base.img')
        check_both(fmt, 'base.img', f'{fmt} committed')


def help_keys(text):
    return [ln.split('=')[0].strip() for ln in text.split('\n') if ln.startswith('  ')]


def test_help(fmt):
    a, b = (help_keys(t('create', '-f', fmt, '-o', 'help').stdout) for t in (ours, peer))
    a = [k for k in a if k in b or k not in OURS_ALONE.get(fmt, [])]
    equal(f'-o help of {fmt}', sorted(a), sorted(b))


SECRETS = ['--object', 'secret,id=one,data=abc', '--object', 'secret,id=two,data=other']
LUKS = [
    '', 'cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256,hash-alg=sha1', 'cipher-alg=serpent-256', 'cipher-alg=twofish-128,hash-alg=ripemd160',
    'cipher-alg=cast5-128,cipher-mode=cbc,ivgen-alg=plain', 'cipher-mode=ctr', 'cipher-alg=aes-192,hash-alg=sha512', 'cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=plain64',
]


def luks_node(name, key, fmt='luks'):
    return f'driver=luks,key-secret={key},file.filename={name}' if fmt == 'luks' else f'driver={fmt},encrypt.key-secret={key},file.filename={name}'


def same_content(what, reader, node, raw='s.raw'):
    r = reader('compare', *SECRETS, '--image-opts', f'driver=raw,file.filename={raw}', node, status=None)
    if r.returncode:
        fail(f'{what} read by {reader.__name__}: {r.stdout}{r.stderr}')


def amend_messages():
    """The same refusals in the same words; one key is in the image, and it is `two`."""
    for o in ('state=inactive,keyslot=1', 'state=inactive,old-secret=two', 'state=inactive,keyslot=3', 'state=inactive,keyslot=9', 'state=active', 'state=inactive', 'state=foo',
              'new-secret=two', 'state=inactive,old-secret=one'):
        a, b = (t('amend', *SECRETS, '--image-opts', luks_node('l.img', 'two'), '-o', o, status=None) for t in (ours, peer))
        equal(f'amend {o}', (a.returncode, a.stderr.split(': ', 1)[1].strip()), (b.returncode, b.stderr.split(': ', 1)[1].strip()))


def test_luks():
    test_help('luks')
    for shape in LUKS:
        opts = 'key-secret=one,iter-time=10' + (',' + shape if shape else '')
        for tool, other in ((ours, peer), (peer, ours)):
            clean('l.')
            tool('convert', *SECRETS, '-f', 'raw', '-O', 'luks', '-o', opts, 's.raw', 'l.img')
            same_info(f'luks {shape}', 'luks', 'l.img')
            for reader in (ours, peer):
                same_content(f'luks {shape} by {tool.__name__}', reader, luks_node('l.img', 'one'))
        equal(f'measure luks {shape}', *(t('measure', *SECRETS, '-O', 'luks', '-o', opts, '--size', '3M').stdout for t in (ours, peer)))
    for tool, other in ((ours, peer), (peer, ours)):
        clean('l.')
        tool('convert', *SECRETS, '-f', 'raw', '-O', 'luks', '-o', 'key-secret=one,iter-time=10', 's.raw', 'l.img')
        other('amend', *SECRETS, '--image-opts', luks_node('l.img', 'one'), '-o', 'state=active,new-secret=two,iter-time=10')
        for key in ('one', 'two'):
            same_content('luks with two keys', tool, luks_node('l.img', key))
        tool('amend', *SECRETS, '--image-opts', luks_node('l.img', 'two'), '-o', 'state=inactive,old-secret=one')
        same_content('luks with the second key', other, luks_node('l.img', 'two'))
        r = other('compare', *SECRETS, '--image-opts', 'driver=raw,file.filename=s.raw', luks_node('l.img', 'one'), status=2)
        equal('a key that was erased', 'Invalid password, cannot unlock any keyslot' in r.stderr, True)
    amend_messages()
    ours('resize', *SECRETS, '--image-opts', luks_node('l.img', 'two'), '+5M')
    equal('size of a longer luks image', info(ours, 'luks', 'l.img')['virtual-size'], info(peer, 'luks', 'l.img')['virtual-size'])
    a, b = (t('convert', '-f', 'luks', '-O', 'raw', 'l.img', 'x.raw', status=None) for t in (ours, peer))
    first = lambda r: (r.returncode, r.stderr.splitlines()[0].split(': ', 1)[1])    # ours says the way out on a second line
    equal('luks without a key', first(a), first(b))


def detached_node(key):
    return f'driver=luks,key-secret={key},file.filename=payload,header.driver=file,header.filename=header'


def test_detached():
    """Header and disk in two files; with the newest peer, where it was fetched."""
    newest = run(sys.executable, os.path.join(HERE, '../../scripts/peer'), 'path', 'qemu-img', status=None)
    tools = [ours]
    if newest.returncode == 0:
        tools.append(lambda *a, status=0: run(newest.stdout.strip(), *a, status=status))
    for maker in tools:
        clean('header', 'payload')
        made = maker('create', *SECRETS, '-f', 'luks', '-o', 'key-secret=one,iter-time=10,detached-header=on', 'header').stdout
        equal('create of a detached header', made, "Formatting 'header', fmt=luks size=-1 key-secret=one iter-time=10 detached-header=on\n")
        equal('size of a detached header', os.path.getsize('header'), 4096 + 8 * 258048)
        with open('payload', 'wb') as f:
            f.truncate(os.path.getsize('s.raw'))
        header = open('header', 'rb').read()
        for writer in tools:
            writer('convert', *SECRETS, '--target-image-opts', '-n', '-f', 'raw', 's.raw', detached_node('one'))
            equal('the disk has no header', (open('header', 'rb').read() == header, os.path.getsize('payload')), (True, os.path.getsize('s.raw')))
            for reader in tools:
                same_content('luks with a detached header', reader, detached_node('one'))
        for t in tools:
            t('amend', *SECRETS, '--image-opts', detached_node('one'), '-o', 'state=active,new-secret=two,iter-time=10')
            for reader in tools:
                same_content('a detached header with two keys', reader, detached_node('two'))
            t('amend', *SECRETS, '--image-opts', detached_node('one'), '-o', 'state=inactive,old-secret=two')
            r = ours('compare', *SECRETS, '--image-opts', 'driver=raw,file.filename=s.raw', detached_node('two'), status=2)
            equal('a key that was erased', 'Invalid password, cannot unlock any keyslot' in r.stderr, True)
        ours('resize', *SECRETS, '--image-opts', detached_node('one'), '+1M')
        equal('a longer disk with a detached header', os.path.getsize('payload'), os.path.getsize('s.raw') + (1 << 20))
        says = [t('info', '-f', 'luks', 'header', status=None) for t in tools]
        for r in says:
            equal('info of a detached header', (r.returncode, 'LUKS payload is overlapping with the header' in r.stderr), (1, True))
        facts = [json.loads(t('info', '--output=json', '--image-opts', detached_node('one').replace('key-secret=one,', ''), status=0).stdout)['format-specific'] for t in tools]
        for f in facts:
            equal('facts of a detached header', json.dumps(f), json.dumps(facts[0]))


ENCRYPTED = [
    ('qcow2', 'encrypt.format=luks,encrypt.key-secret=one,encrypt.iter-time=10'),
    ('qcow2', 'encrypt.format=luks,encrypt.key-secret=one,encrypt.iter-time=10,cluster_size=512,encrypt.cipher-alg=aes-128,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv'),
    ('qcow2', 'encrypt.format=luks,encrypt.key-secret=one,encrypt.iter-time=10,extended_l2=on'), ('qcow2', 'encrypt.format=aes,encrypt.key-secret=one,compat=0.10'),
    ('qcow2', 'encryption=on,encrypt.key-secret=one'), ('qcow', 'encrypt.format=aes,encrypt.key-secret=one'),
]


def test_encrypted():
    """qcow and qcow2 with their data encrypted."""
    for fmt, opts in ENCRYPTED:
        for tool in (ours, peer):
            what = f'{fmt} {opts} by {tool.__name__}'
            clean('e.', 'e2.')
            tool('convert', *SECRETS, '-f', 'raw', '-O', fmt, '-o', opts, 's.raw', 'e.img')
            node = luks_node('e.img', 'one', fmt)
            same_info(what, fmt, 'e.img')
            for reader in (ours, peer):
                same_content(what, reader, node)
                if fmt == 'qcow2':
                    reader('check', *SECRETS, '--image-opts', node)
            if IO:                                      # parts of clusters, in an image that the other made
                run(IO, *SECRETS, '--image-opts', '-c', 'write -P 5 100k 300k', '-c', 'write -P 6 5M 1k', '-c', 'write -z 200k 90k', node)
                ours('convert', *SECRETS, '--image-opts', '-O', 'raw', node, 'e.raw')
                peer('convert', *SECRETS, '--image-opts', '-O', 'raw', node, 'e2.raw')
                run('cmp', 'e.raw', 'e2.raw')
                ours('convert', *SECRETS, '-n', '--target-image-opts', '-f', 'raw', 's.raw', node)
                same_content(what + ', written again', peer, node)
        if fmt == 'qcow2':
            equal(f'measure {opts}', *(t('measure', *SECRETS, '-O', fmt, '-o', opts, '--size', '3M').stdout for t in (ours, peer)))
    clean('e.')
    ours('convert', *SECRETS, '-f', 'raw', '-O', 'qcow2', '-o', ENCRYPTED[0][1], 's.raw', 'e.img')
    for tool, key, opts in ((ours, 'one', 'new-secret=two,encrypt.iter-time=10,encrypt.state=active'), (ours, 'two', 'old-secret=one,encrypt.state=inactive')):
        tool('amend', *SECRETS, '--image-opts', luks_node('e.img', key, 'qcow2'), '-o', 'encrypt.' + opts)
        same_content('qcow2 with another key', peer, luks_node('e.img', 'two', 'qcow2'))
    equal('a key that was erased', ours('compare', *SECRETS, '--image-opts', luks_node('e.img', 'one', 'qcow2'), 'driver=raw,file.filename=s.raw', status=None).returncode, 2)


def qcow_places(d):
    """Of all clusters that are there, where they are in the file."""
    size, cluster_bits, table_bits = struct.unpack('>Q2B', d[24:34])
    l1 = struct.unpack('>Q', d[40:48])[0]
    for i in range(((size - 1) >> (cluster_bits + table_bits)) + 1):
        table = struct.unpack_from('>Q', d, l1 + 8 * i)[0]
        for e in struct.unpack_from(f'>{1 << table_bits}Q', d, table) if table else []:
            if e:
                yield e & ((1 << (63 - cluster_bits)) - 1) if e >> 63 else e


def vmdk_places(d):
    entries, directory = struct.unpack_from('<I', d, 44)[0], struct.unpack_from('<Q', d, 56)[0] * 512
    tables = -(-struct.unpack_from('<Q', d, 12)[0] // (struct.unpack_from('<Q', d, 20)[0] * entries))
    for table in struct.unpack_from(f'<{tables}I', d, directory):
        yield from (e for e in struct.unpack_from(f'<{entries}I', d, table * 512) if e)


def test_packed_order(fmt, places, *how):
    """Pieces of a packed image follow each other as they do in the disk: it is read from begin to end."""
    ours('convert', '-f', 'raw', '-O', fmt, *how, 's.raw', 'o.img')
    with open('o.img', 'rb') as f:
        at = list(places(f.read()))
    if len(at) < 10 or at != sorted(at):
        fail(f'{fmt}: {len(at)} pieces, {sum(a > b for a, b in zip(at, at[1:]))} of them before the last one')


def run_format(fmt):
    test_help(fmt)
    if fmt in ('qed', 'qcow', 'vmdk'):
        test_backing(fmt)
    if fmt == 'qcow':
        test_packed_order(fmt, qcow_places, '-c')
    if fmt == 'vmdk':
        test_packed_order(fmt, vmdk_places, '-o', 'subformat=streamOptimized')
    for shape in MATRIX[fmt]:
        for size in ('10M', '0', '5000000', '33M'):
            if (fmt, size) == ('vhdx', '0'):
                continue                # the peer wants a table of 64 MiB for no blocks at all
            test_create(fmt, shape, size)
        test_convert(fmt, shape, 's.raw')
        test_write(fmt, shape, '9M')
        test_discard(fmt, shape)
        test_resize(fmt, shape, 's.raw')


SPECIAL = {'luks': test_luks, 'detached': test_detached, 'encrypted': test_encrypted}


def main():
    if not p.PEER:
        print('not installed: qemu-img')
        return 77
    top = tempfile.mkdtemp(prefix='rhea-formats-')
    os.chdir(top)
    for name in ('rhea-img', 'qemu-img'):
        os.symlink(p.OURS, name)
    p.sparse_file('s.raw', 20 << 20, 1)
    for fmt in sys.argv[2:] or [*MATRIX, *SPECIAL]:
        before = p.failed
        SPECIAL[fmt]() if fmt in SPECIAL else run_format(fmt)
        print(fmt, 'ok' if p.failed == before else 'FAILED', flush=True)
    shutil.rmtree(top)
    return p.failed != 0


if __name__ == '__main__':
    sys.exit(main())
