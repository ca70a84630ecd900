#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/img-table.md: every verb, option and format of the other program's help, and what is here.

usage: img-table.py write PAGE OURS PEER     makes the page; OURS and PEER are folders with the programs
       img-table.py check PAGE RHEA-IMG RHEA-NBD RHEA-STORAGE-DAEMON
                                             the page says what our tables say, and what "works" is at work in a test
"""
import glob
import os
import re
import shlex
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
VERBS = 'amend bench bitmap check commit compare convert create dd info map measure rebase resize snapshot'.split()
CREATED = 'raw qcow2 qcow qed vdi vmdk vpc vhdx parallels luks file'.split()
AMENDED = 'qcow2 luks'.split()
# What works by a library's doing, with nothing of ours to try.
NO_TEST = {'ftp': 'works as http does, by libcurl; no test of its own', 'ftps': 'works as http does, by libcurl; no test of its own', 'https': 'works as http does, by libcurl; no test of its own'}
# Why something is not here; what is not named in this list works, or the page can not be written.
NOT_HERE = {
    'qemu-img -T': 'refused: the tool has no trace points; the daemon and rhea-nbd have',
    'format blkverify': 'does not apply: `quorum` with `blkverify=on` compares two children',
    'format host_cdrom': 'refused: unknown driver; `host_device` reads a drive',
    'format io_uring': 'does not apply: a driver for NVMe devices by libblkio; `aio=io_uring` is here for files',
    'format iser': 'refused: unknown driver; needs RDMA hardware',
    'format nfs': 'refused: unknown driver; mount it, and name the file', 'format nvme': 'refused: unknown driver; user space NVMe needs VFIO',
    'format nvme-io_uring': 'refused: unknown driver; needs libblkio', 'format rbd': 'refused: unknown driver; needs Ceph',
    'format replication': 'refused: unknown driver; of COLO', 'format virtio-blk-vfio-pci': 'refused: unknown driver; needs libblkio',
    'format virtio-blk-vhost-user': 'refused: unknown driver; needs libblkio', 'format virtio-blk-vhost-vdpa': 'refused: unknown driver; needs libblkio',
    'nbd --connect': 'refused: use nbd-client(8), or mount through FUSE', 'nbd --disconnect': 'refused: as `--connect`', 'nbd --selinux-label': 'refused: there is no SELinux support',
    'daemon export vduse-blk': 'refused: unknown type of export; needs the kernel\'s VDUSE',
}


def out(*argv):
    p = subprocess.run(argv, capture_output=True, text=True)
    return p.stdout + p.stderr


# ---- reading help ----

def forms(text):
    """'-f, --format FMT' to {'-f', '--format'}."""
    return frozenset(re.match(r'(--?[\w-]+)', f.strip()).group(1) for f in text.split(', ') if f.strip().startswith('-'))


def verb_options(tool, verb):
    """Rows as printed; those with one form each for options that share a line ('--enable, --disable')."""
    rows = []
    for line in out(tool, verb, '--help').split('\n'):
        m = re.match(r'  (-\S.*?)(?: \(was .*\))?$', line)
        if m and not line.startswith('   '):
            text = re.sub(r'^(--enable), (--disable)$', r'\1|\2', m.group(1))
            text = re.sub(r'(--cache CACHE_MODE) image cache.*', r'\1', text)
            rows.extend(text.split('|') if re.match(r'--\w+\|--\w+$', text) else [text])
    return rows


def operands(tool, verb):
    return re.findall(r'^  (\w+=)\S+', out(tool, verb, '--help'), re.M)


def formats(tool):
    text = re.sub(r'\s+', ' ', out(tool, '--help'))
    m = re.search(r'Supported (?:image )?formats: ([\w -]+?)(?: See <|$)', text)
    return m.group(1).split()


def keys(tool, verb, fmt, name):
    return re.findall(r'^  ([\w.-]+)=<', out(tool, verb, '-f', fmt, '-o', 'help', *name), re.M)


def long_options(tool):
    """Of programs that print all options in one help: the long names, and whether the text says that it is refused."""
    text = out(tool, '--help')
    return {m.group(1): 'refused: ' in m.group(0) for m in re.finditer(r'^ {2,6}(?:-\w, *)?(--[\w-]+).*$', text, re.M)}


# ---- the page ----

def row(cells):
    return '| ' + ' | '.join(c.replace('|', '\\|') for c in cells) + ' |\n'


def state(key, here):
    if here:
        return 'works'
    if key not in NOT_HERE:
        sys.exit(f'{key}: not here, and no reason is given for it')
    return NOT_HERE[key]


def write_verbs(page, ours, peer):
    page.write('\n## Options of the verbs\n\n| verb | option | here |\n|---|---|---|\n')
    page.write(row(['', '`-T, --trace`', state('qemu-img -T', False)]))
    for verb in VERBS:
        mine = verb_options(ours, verb)
        have = frozenset().union(*map(forms, mine)) | frozenset(operands(ours, verb))
        seen = set()
        for text in verb_options(peer, verb):
            names = [f for f in forms(text)]
            missing = [f for f in names if f not in have and f != '--progres']
            page.write(row([verb, f'`{text}`', state(f'{verb} {missing}', not missing)]))
            seen |= forms(text)
        for text in mine:
            if not forms(text) & seen:
                page.write(row([verb, f'`{text}`', 'works; only here']))


def write_formats(page, ours, peer):
    mine, other = formats(ours), formats(peer)
    page.write('\n## Formats, protocols, filters\n\n| driver | here |\n|---|---|\n')
    for name in other:
        page.write(row([f'`{name}`', NO_TEST.get(name) or state('format ' + name, name in mine)]))
    for name in mine:
        if name not in other and name not in ('job-filter', 'snapshot-guard'):
            page.write(row([f'`{name}`', 'works; only here']))


def write_keys(page, ours, peer):
    page.write('\n## Options of creation and of amend\n\n| verb | format | key | here |\n|---|---|---|---|\n')
    for verb, fmt in [('create', f) for f in CREATED] + [('amend', f) for f in AMENDED]:
        mine, other = (keys(t, verb, fmt, ['x']) for t in (ours, peer))
        for key in other:
            page.write(row([verb, fmt, f'`{key}`', state(f'{fmt} {key}', key in mine)]))
        for key in mine:
            if key not in other:
                page.write(row([verb, fmt, f'`{key}`', 'works; only here']))


def write_long(page, title, kind, ours, peer):
    mine = long_options(ours)
    page.write(f'\n## Options of {title}\n\n| option | here |\n|---|---|\n')
    for name in long_options(peer):
        page.write(row([f'`{name}`', state(f'{kind} {name}', name in mine and not mine[name])]))
    for name in mine:
        if name not in long_options(peer):
            page.write(row([f'`{name}`', 'works; only here']))


def write(path, ours, peer):
    version = re.search(r'version (\S+)', out(peer + '/qemu-img', '--version')).group(1)
    with open(path, 'w', encoding='utf-8') as page:
        page.write(f'''# The image tool beside qemu-img {version}

Written by `tests/block/img-table.py` from the help texts of both programs; a test compares it with our tables. "Works": a line of `tests/block/img-options.txt`, `img-lines.txt` or another test of that folder uses it.
Verbs are the same ones: {', '.join(f'`{v}`' for v in VERBS)}. Where spellings changed over the years (`-F` and `-B`, `-B` and `-b`), all are taken; so are `create -6` and `dd skip=` of older programs.
''')
        write_verbs(page, ours + '/rhea-img', peer + '/qemu-img')
        write_formats(page, ours + '/rhea-img', peer + '/qemu-img')
        write_keys(page, ours + '/rhea-img', peer + '/qemu-img')
        write_long(page, 'rhea-nbd (qemu-nbd)', 'nbd', ours + '/rhea-nbd', peer + '/qemu-nbd')
        write_long(page, 'rhea-storage-daemon (qemu-storage-daemon)', 'daemon', ours + '/rhea-storage-daemon', peer + '/qemu-storage-daemon')


# ---- the check ----

def sections(path):
    """Cells of each table's rows, by the heading's second word."""
    rows, name = {}, None
    for line in open(path, encoding='utf-8'):
        if line.startswith('## '):
            name = line[3:].strip()
            rows[name] = []
        elif line.startswith('| ') and name:
            rows[name].append([c.strip().strip('`') for c in re.split(r'(?<!\\)\|', line.strip()[1:-1])])
    return {k: [[c.replace('\\|', '|') for c in r] for r in v[1:]] for k, v in rows.items()}


def used_options():
    """(verb, option) of all lines that end well."""
    used = set()
    for name in ('img-lines.txt', 'img-options.txt'):
        for block in open(f'{HERE}/{name}', encoding='utf-8').read().split('\n\n'):
            line = re.search(r'^\$ (.*)$', block, re.M)
            if not line or re.search(r'^!', block, re.M):
                continue
            words = shlex.split(line.group(1))
            for w in words[1:]:
                used.add((words[0], w.split('=')[0] if w.startswith('--') or re.match(r'\w+=', w) else w[:2]))
    return used


def check(path, img, nbd, daemon):
    bad = []
    page, used = sections(path), used_options()
    tests = '\n'.join(open(f, encoding='utf-8').read() for f in glob.glob(HERE + '/*.py') + glob.glob(HERE + '/*.txt') + glob.glob(HERE + '/*.c') + glob.glob(HERE + '/../bench/block/*') if 'img-table' not in f and os.path.isfile(f))

    def need(ok, text):
        if not ok:
            bad.append(text)

    verbs, drivers, create, nbds, daemons = page.values()
    for verb in VERBS:
        mine = frozenset().union(*map(forms, verb_options(img, verb)))
        told = frozenset()
        for _, text, here in (r for r in verbs if r[0] == verb):
            need(here.startswith('works'), f'{verb} {text}: {here}')
            told |= forms(text)
            for f in forms(text) - {'--progres'}:
                need(f in mine, f'{verb} {f}: the page says it works')
                need((verb, f) in used or f in ('-h', '--help'), f'{verb} {f}: no line uses it')
        need(mine - told <= {'-F', '-B', '--progress'}, f'{verb}: {sorted(mine - told)} are not in the page')
    have = formats(img)
    for name, here in drivers:
        need((name in have) == here.startswith('works'), f'driver {name}: {here}')
        need(name not in have or name in NO_TEST or re.search(rf'\b{re.escape(name)}\b', tests), f'driver {name}: no test names it')
    need({n for n in have if n not in ('job-filter', 'snapshot-guard')} == {n for n, here in drivers if here.startswith('works')}, 'drivers: not the ones of the page')
    for verb, fmt, key, here in create:
        need((key in keys(img, verb, fmt, ['x'])) == here.startswith('works'), f'{verb} {fmt} {key}: {here}')
        need(not here.startswith('works') or re.search(rf'\b{re.escape(key.split(".")[-1])}\b', tests), f'{verb} {fmt} {key}: no test names it')
    for rows, tool in ((nbds, nbd), (daemons, daemon)):
        mine = long_options(tool)
        for name, here in rows:
            need((name in mine and not mine[name]) == here.startswith('works'), f'{os.path.basename(tool)} {name}: {here}')
        need(set(mine) <= {r[0] for r in rows}, f'{os.path.basename(tool)}: {sorted(set(mine) - {r[0] for r in rows})} are not in the page')
    print('\n'.join(bad) or f'{sum(map(len, page.values()))} rows agree')
    return bool(bad)


if __name__ == '__main__':
    os.environ['PATH'] = os.environ.get('PATH', '')
    sys.exit(write(*sys.argv[2:]) if sys.argv[1] == 'write' else check(*sys.argv[2:]))
