# SPDX-License-Identifier: MIT
"""The emulator is killed (SIGKILL) while a guest writes to disks of every cache mode and format: what the guest has synced is there.

The guest writes numbered records all over each disk, each with fsync, and says so on its console; the last disk has a file system with a log. After
each kill every image is opened anew: it has no corruption, and each record whose number was said. RHEA_KILLS says how many times (3); the same images live through all.
"""
import os
import random
import re
import subprocess

from machine import BUILD, PATIENCE, Failure, Machine, command, linux, main, same

IMG = os.environ.get('RHEA_IMG') or os.path.join(BUILD, 'tools', 'rhea-img')
KILLS = int(os.environ.get('RHEA_KILLS', '3'))
SEED = int(os.environ.get('RHEA_KILL_SEED', '1'))
SIZE = 64 << 20
UNIT = 4096
SLOTS = SIZE // UNIT
STEP = 10007                    # no factor of SLOTS: each number has a place of its own

# name: format, options of its making, of -drive, of -device
DISKS = {
    'writeback': ('qcow2', '', 'cache=writeback', ''), 'none': ('qcow2', 'cluster_size=4096', 'cache=none', ',iothread=t0'), 'writethrough': ('qcow2', '', 'cache=writethrough', ''),
    'directsync': ('qcow2', 'refcount_bits=1', 'cache=directsync', ',iothread=t0'), 'unsafe': ('qcow2', 'extended_l2=on', 'cache=unsafe', ''),
    'lazy': ('qcow2', 'lazy_refcounts=on', 'cache=writeback', ',iothread=t0'), 'raw': ('raw', '', 'cache=none', ''),
    'vdi': ('vdi', '', 'cache=writeback', ''), 'vhdx': ('vhdx', '', 'cache=none', ''), 'vmdk': ('vmdk', '', 'cache=writeback', ''), 'qed': ('qed', '', 'cache=writeback', ''),
    'vpc': ('vpc', 'force_size=on', 'cache=writethrough', ''), 'parallels': ('parallels', '', 'cache=writeback', ''), 'qcow': ('qcow', '', 'cache=writeback', ''),
    'over': ('qcow2', '', 'cache=writeback,discard=unmap,detect-zeroes=unmap', ''), 'ext4': ('qcow2', '', 'cache=writeback', ',write-cache=on'),
}

SCRIPT = r'''
work() {
  i=FIRST
  while :; do
    i=$((i+1)); printf '%s %08d\n' $1 $i | dd of=/dev/disk/$1 bs=UNIT seek=$((i * STEP % SLOTS)) conv=fsync,notrunc,sync 2>/dev/null && echo "SAFE $1 $i"
  done
}
mkdir -p /dev/disk
for d in /sys/block/vd*; do ln -s /dev/${d##*/} /dev/disk/$(cat $d/serial); done
mkdir /mnt/log; mount -t ext4 /dev/disk/ext4 /mnt/log || echo NO-MOUNT
(i=FIRST; while :; do i=$((i+1)); echo $i >> /mnt/log/numbers; echo $i > /mnt/log/n$i; sync -d /mnt/log/numbers /mnt/log/n$i 2>/dev/null || sync; echo "SAFE ext4 $i"; done) &
for d in RAW; do work $d & done
wait
'''


def img(*words):
    run = subprocess.run([IMG, *words], capture_output=True, text=True)
    if run.returncode:
        raise Failure(f'rhea-img {" ".join(words)}: {run.returncode}: {run.stdout}{run.stderr}')


def make(tmp):
    fresh = tmp + '/fresh'
    with open(fresh, 'wb') as f:
        f.truncate(SIZE)
    for name, (kind, options, _, _) in DISKS.items():
        path = f'{tmp}/{name}'
        if name == 'ext4':
            subprocess.run(['mkfs.ext4', '-q', '-F', fresh], check=True)
            img('convert', '-O', kind, fresh, path)
        elif name == 'over':
            img('create', '-q', '-f', 'qcow2', tmp + '/below', str(SIZE))
            img('create', '-q', '-f', 'qcow2', '-b', tmp + '/below', '-F', 'qcow2', path)
        else:
            img('create', '-q', '-f', kind, *(['-o', options] if options else []), path, str(SIZE))
    os.unlink(fresh)


def look(tmp, name, safe):
    """safe: the numbers that were said."""
    kind, path, raw = DISKS[name][0], f'{tmp}/{name}', tmp + '/look'
    if kind in ('qcow2', 'vdi', 'parallels', 'qed', 'vhdx', 'vmdk'):
        run = subprocess.run([IMG, 'check', *(['-r', 'all'] if kind in ('vhdx', 'qed') else []), '-f', kind, path], capture_output=True, text=True)
        if run.returncode not in (0, 3):        # lost space is no loss
            raise Failure(f'{name}: check ends with {run.returncode}:\n{run.stdout}{run.stderr}')
    img('convert', '-f', kind, '-O', 'raw', path, raw)
    if name == 'ext4':
        subprocess.run(['e2fsck', '-p', raw], stdout=subprocess.DEVNULL)        # the journal, as after a power cut
        run = subprocess.run(['e2fsck', '-fn', raw], capture_output=True, text=True)
        same('e2fsck', (run.returncode, run.stdout if run.returncode else ''), (0, ''))
        run = subprocess.run(['debugfs', '-R', 'cat numbers', raw], capture_output=True, text=True)
        missing = sorted(set(map(str, safe)) - set(run.stdout.split()))
    else:
        missing = []
        with open(raw, 'rb') as f:
            for i in safe:
                f.seek(i * STEP % SLOTS * UNIT)
                if f.read(UNIT) != f'{name} {i:08d}\n'.encode().ljust(UNIT, b'\0'):
                    missing.append(i)
    os.unlink(raw)
    if missing:
        raise Failure(f'{name}: {len(missing)} of {len(safe)} records that were said to be safe are not there: {missing[:8]}')


def kills(tmp):
    make(tmp)
    rnd = random.Random(SEED)
    said = {n: [] for n in DISKS}
    first = 0
    for n in range(KILLS):
        args = ['-object', 'iothread,id=t0']
        for name, (kind, _, drive, dev) in DISKS.items():
            args += ['-drive', f'if=none,id=d-{name},format={kind},file={tmp}/{name},{drive}', '-device', f'virtio-blk-pci,drive=d-{name},serial={name}{dev}']
        script = SCRIPT
        for word, by in {'FIRST': first, 'UNIT': UNIT, 'STEP': STEP, 'SLOTS': SLOTS, 'RAW': ' '.join(x for x in DISKS if x != 'ext4')}.items():
            script = script.replace(word, str(by))
        with Machine(*linux(append=command(script), mem=256), *args) as m:
            left = set(DISKS)                   # each disk has said something ...
            while left:
                left.discard(m.expect(r'^SAFE (\w+) \d+$', PATIENCE).group(1))
            for _ in range(rnd.randrange(200)):     # ... and some more
                m.expect(r'^SAFE \w+ \d+$')
            m.proc.kill()
            while m.pump(PATIENCE):
                pass
            got = re.findall(r'^SAFE (\w+) (\d+)\r?$', m.text, re.M)
        for name, i in got:
            said[name].append(int(i))
        first = max(max(x) for x in said.values()) + 100
        if first >= SLOTS:
            raise Failure('more records than places')
        for name in DISKS:
            look(tmp, name, said[name])
        print(f'# kill {n + 1}: {len(got)} records, {sum(map(len, said.values()))} in all', flush=True)


if __name__ == '__main__':
    main([kills])
