# SPDX-License-Identifier: MIT
"""Images for tests/bench/block that no tool makes quickly.

scattered(): a qcow2 (version 3, after the specification in the public document "qcow2 image format") of which many clusters at random
places are allocated; their host clusters are in the guest's order or shuffled, and holes of the host file, so that only the tables
take room.
"""
import array
import random
import struct
import sys

CLUSTER = 65536
COPIED = 1 << 63


def big_endian(values):
    if sys.byteorder == 'little':
        values.byteswap()
    return values.tobytes()


def clusters_of(size):
    return -(-size // CLUSTER)


def scattered(path, size=100 << 30, count=1000000, shuffled=False, seed=1):
    """Layout: header, L1, refcount table, refcount blocks, L2 tables, data."""
    rng = random.Random(seed)
    guest = clusters_of(size)
    chosen = sorted(rng.sample(range(guest), min(count, guest)))
    per_l2 = CLUSTER // 8
    l1_entries = -(-guest // per_l2)
    l1_at = CLUSTER
    reft_at = l1_at + clusters_of(l1_entries * 8) * CLUSTER
    tables = sorted({c // per_l2 for c in chosen})
    before = reft_at // CLUSTER + len(tables) + len(chosen)
    blocks = 1
    while blocks * (CLUSTER // 2) < before + blocks + clusters_of(blocks * 8):
        blocks += 1
    block_at = reft_at + clusters_of(blocks * 8) * CLUSTER
    l2_at = block_at + blocks * CLUSTER
    data_at = l2_at + len(tables) * CLUSTER
    total = data_at // CLUSTER + len(chosen)
    hosts = list(range(data_at // CLUSTER, total))
    if shuffled:
        rng.shuffle(hosts)
    l1 = array.array('Q', bytes(8 * l1_entries))
    l2 = array.array('Q', bytes(CLUSTER * len(tables)))
    slot = {t: i for i, t in enumerate(tables)}
    for t, i in slot.items():
        l1[t] = (l2_at + i * CLUSTER) | COPIED
    for c, h in zip(chosen, hosts):
        l2[slot[c // per_l2] * per_l2 + c % per_l2] = (h * CLUSTER) | COPIED
    counts = array.array('H', [1]) * total
    table = array.array('Q', range(block_at, l2_at, CLUSTER))
    header = struct.pack('>4sIQIIQIIQQIIQQQQII', b'QFI\xfb', 3, 0, 0, 16, size, 0, l1_entries, l1_at, reft_at, clusters_of(blocks * 8), 0, 0, 0, 0, 0, 4, 104)
    with open(path, 'wb') as f:
        for at, what in ((0, header), (l1_at, big_endian(l1)), (reft_at, big_endian(table)), (block_at, big_endian(counts)), (l2_at, big_endian(l2))):
            f.seek(at)
            f.write(what)
        f.truncate(total * CLUSTER)


def layer(path, backing, cluster, size):
    """An image with one cluster of data, over another one ('' for none)."""
    name = backing.encode()
    ext = struct.pack('>II', 0xe2792aca, 5) + b'qcow2\0\0\0' + bytes(8)
    assert clusters_of(size) <= CLUSTER // 8            # one L2 table
    header = struct.pack('>4sIQIIQIIQQIIQQQQII', b'QFI\xfb', 3, 104 + len(ext) if name else 0, len(name), 16, size, 0, 1, CLUSTER, 2 * CLUSTER, 1, 0, 0, 0, 0, 0, 4, 104)
    with open(path, 'wb') as f:
        for at, what in ((0, header + ext + name), (CLUSTER, big_endian(array.array('Q', [4 * CLUSTER | COPIED]))), (2 * CLUSTER, big_endian(array.array('Q', [3 * CLUSTER]))),
                         (3 * CLUSTER, big_endian(array.array('H', [1] * 6))), (4 * CLUSTER + 8 * cluster, big_endian(array.array('Q', [5 * CLUSTER | COPIED]))), (5 * CLUSTER, b'layer')):
            f.seek(at)
            f.write(what)
        f.truncate(6 * CLUSTER)


def layered(folder, length, size=128 << 20):
    """A chain: layer i has cluster i.  Returns the top."""
    for i in range(length):
        layer(f'{folder}/l{i}', f'l{i - 1}' if i else '', i, size)
    return f'{folder}/l{length - 1}'
