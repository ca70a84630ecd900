# SPDX-License-Identifier: MIT
"""A guest whose disks find no space on the host: the machine stops, says why, and goes on without loss when there is room again.

The images lie on a small file system of the host (as root), which is full again and again. The guest writes files, syncs, and knows the sum of each.
"""
import os
import select
import subprocess

from jobs import Qmp
from machine import BUILD, Failure, Machine, Skip, command, linux, main, same

IMG = os.environ.get('RHEA_IMG') or os.path.join(BUILD, 'tools', 'rhea-img')
MIB = 1 << 20
FILES = 24              # of a MiB, on each disk

SCRIPT = r'''
work() {
  mkdir -p /mnt/$1; mount -t ext4 /dev/$1 /mnt/$1 || echo NO-MOUNT; i=0
  while [ $i -lt FILES ]; do
    i=$((i+1)); dd if=/dev/urandom of=/mnt/$1/f$i bs=64k count=16 2>/dev/null || echo FAILED; md5sum /mnt/$1/f$i >> /mnt/$1/sums; [ $((i % 3)) = 0 ] && sync
  done
  sync
}
for d in DISKS; do work $d & done; wait
echo 3 > /proc/sys/vm/drop_caches
for d in DISKS; do md5sum -c /mnt/$d/sums | grep -c ': OK$'; umount /mnt/$d || echo BUSY; done
dmesg | grep -i -E 'i/o error|ext4.*error|aborted|remount'
echo ALL-WRITTEN
AFTER
'''


class Small:
    """A file system of the host that has little room."""

    def __init__(self, path, mib, on_disk):
        if os.geteuid():
            raise Skip('mounting a small file system needs root')
        self.path, self.mib, self.on_disk = path, mib, on_disk
        os.mkdir(path)
        if on_disk:
            with open(path + '.img', 'wb') as f:
                f.truncate(mib * MIB)
            subprocess.run(['mkfs.ext4', '-q', '-m', '0', path + '.img'], check=True)
            what = ['-o', 'loop', path + '.img']
        else:
            what = ['-t', 'tmpfs', '-o', f'size={mib}m', 'none']
        run = subprocess.run(['mount', *what, path], capture_output=True, text=True)
        if run.returncode:
            raise Skip(f'no small file system: {run.stderr.strip()}')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(['umount', self.path], check=True)

    def fill(self, leave):
        """Leaves so many MiB."""
        self.piece = 0
        while (room := os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_frsize - leave * MIB) > 0:
            self.piece += 1
            with open(f'{self.path}/fill{self.piece}', 'wb') as f:
                f.write(b'x' * min(room, 4 * MIB))

    def free(self):
        """The next 4 MiB."""
        if not self.piece:
            raise Failure('there is room, and still no space is found')
        os.unlink(f'{self.path}/fill{self.piece}')
        self.piece -= 1


def make_disk(tmp, path, kind):
    raw = tmp + '/fresh'
    with open(raw, 'wb') as f:
        f.truncate(64 * MIB)
    subprocess.run(['mkfs.ext4', '-q', '-F', raw], check=True)
    subprocess.run([IMG, 'convert', '-O', kind, raw, path], check=True)
    os.unlink(raw)


def check_disk(tmp, path, kind):
    if kind != 'raw':
        run = subprocess.run([IMG, 'check', path], capture_output=True, text=True)
        same('check of the image', (run.returncode, run.stdout if run.returncode else ''), (0, ''))
    raw = tmp + '/after'
    subprocess.run([IMG, 'convert', '-f', kind, '-O', 'raw', path, raw], check=True)
    run = subprocess.run(['e2fsck', '-fn', raw], capture_output=True, text=True)
    os.unlink(raw)
    same('e2fsck', (run.returncode, run.stdout if run.returncode else ''), (0, ''))


def stopped(q, names):
    """The machine says that it stands and why."""
    status = q.ask('query-status')
    same('status', (status['status'], status['running']), ('io-error', False))
    same('info status', q.ask('human-monitor-command', command_line='info status').strip(), 'VM status: paused (io-error)')
    failed = [d['qdev'] for d in q.ask('query-block') if d.get('io-status') == 'nospace']
    if not failed or not set(failed) <= set(names):
        raise Failure(f'stopped for {failed}')


def full(name, disks, machine=(), on_disk=False, device='virtio-blk-pci'):
    """disks: (format, options of -drive, options of -device)."""
    def run(tmp):
        names = [f'disk{i}' for i in range(len(disks))]
        with Small(tmp + '/small', 4 + 72 * len(disks), on_disk) as small:
            args = []
            for n, (kind, drive, dev) in zip(names, disks):
                make_disk(tmp, f'{small.path}/{n}', kind)
                args += ['-drive', f'if=none,id=d-{n},format={kind},file={small.path}/{n}{drive}', '-device', f'{device},id={n},drive=d-{n}{dev}']
            small.fill(4)
            script = SCRIPT.replace('FILES', str(FILES)).replace('DISKS', ' '.join(f'vd{"ab"[i]}' for i in range(len(disks)))).replace('AFTER', '')
            with Machine(*linux(append=command(script)), *machine, *args, '-qmp', f'unix:{tmp}/q,server=on,wait=off') as m:
                q, stops = Qmp(tmp + '/q'), 0
                while True:
                    while not q.events:
                        q.events.append(q.line())
                    events = [e['event'] for e in q.events]
                    if 'SHUTDOWN' in events:
                        break
                    if 'STOP' not in events:
                        q.events.append(q.line())
                        continue
                    errors = [e['data'] for e in q.events if e['event'] == 'BLOCK_IO_ERROR']
                    for e in errors:
                        same('event', (e['device'][2:] in names, e['operation'], e['action'], e['nospace'], e['reason']), (True, 'write', 'stop', True, 'No space left on device'))
                    if not stops and not errors:
                        raise Failure('the machine stopped without a word')
                    stopped(q, names)
                    q.events = []
                    if stops % 3 != 1:          # else it stops again at once
                        small.free()
                    stops += 1
                    q.ask('cont')
                for _ in disks:
                    m.expect(rf'^{FILES}\n')
                same('complaints of the guest', m.expect(r'(?s:(.*?))ALL-WRITTEN').group(1), '')
                m.expect('GUEST-EXIT 0')
                same('end', m.end(), 0)
            print(f'# {stops} stops', flush=True)
            if stops < 3:
                raise Failure('the disk was never full')
            for n, (kind, _, _) in zip(names, disks):
                check_disk(tmp, f'{small.path}/{n}', kind)
    run.__name__ = name
    return run


AGAIN = 'read line; mount -t ext4 /dev/vda /mnt/vda; md5sum -c /mnt/vda/sums | grep -c ": OK$"; umount /mnt/vda; echo AND-AGAIN'


def mirrored(name, mode, kind, machine=(), device=''):
    """The target of a mirror is full again and again: the job waits for room, the guest does not; after the pivot the guest reads the copy."""
    def run(tmp):
        with Small(tmp + '/small', 64, kind == 'raw') as small:
            make_disk(tmp, tmp + '/source', 'qcow2')
            target = small.path + '/target'
            subprocess.run([IMG, 'create', '-q', '-f', kind, target, '64M'], check=True)
            small.fill(1)
            script = SCRIPT.replace('FILES', str(FILES)).replace('DISKS', 'vda').replace('AFTER', AGAIN)
            with Machine(*linux(append=command(script)), *machine, '-drive', f'if=none,id=d0,node-name=n0,format=qcow2,file={tmp}/source',
                         '-device', f'virtio-blk-pci,drive=d0{device}', '-qmp', f'unix:{tmp}/q,server=on,wait=off') as m:
                q, stops, ready, written = Qmp(tmp + '/q'), 0, False, False
                q.ask('drive-mirror', job_id='j', device='n0', target=target, format=kind, mode='existing', sync='full', copy_mode=mode, on_target_error='enospc')
                while not (ready and written):
                    select.select([q.sock, m.proc.stdout], [], [])
                    m.pump(0)
                    if m.proc.poll() is not None:
                        raise Failure(f'ended: {m.text}')
                    q.events += q.waiting()
                    events, q.events = q.events, []
                    written = written or m.look('ALL-WRITTEN')
                    ready = ready or 'BLOCK_JOB_READY' in [e['event'] for e in events]
                    if 'BLOCK_JOB_ERROR' in [e['event'] for e in events]:
                        job = q.ask('query-block-jobs')[0]
                        same('job', (job['io-status'], job['paused']), ('nospace', True))
                        same('machine', q.ask('query-status')['status'], 'running')
                        small.free()
                        q.ask('block-job-resume', device='j')
                        stops += 1
                q.ask('job-complete', id='j')
                while 'BLOCK_JOB_COMPLETED' not in [e['event'] for e in q.events]:
                    q.events.append(q.line())
                same('job', [e['data'].get('error') for e in q.events if e['event'] == 'BLOCK_JOB_COMPLETED'], [None])
                m.send('\n')
                m.expect(rf'^{FILES}\n(?s:.*?)AND-AGAIN')
                m.expect('GUEST-EXIT 0')
                same('end', m.end(), 0)
            print(f'# {stops} waits', flush=True)
            if stops < 3:
                raise Failure('the target was never full')
            check_disk(tmp, target, kind)
            check_disk(tmp, tmp + '/source', 'qcow2')
    run.__name__ = name
    return run


THREAD = ['-object', 'iothread,id=t0']
main([full('qcow2', [('qcow2', ',werror=stop,rerror=stop', '')]),
      full('raw_on_disk', [('raw', '', '')], on_disk=True),
      full('two_disks_iothread', [('qcow2', ',werror=enospc', ',iothread=t0'), ('raw', ',werror=stop,cache=writethrough', ',iothread=t0,num-queues=2')], machine=THREAD),
      full('qcow2_on_disk_direct', [('qcow2', ',cache=none', '')], on_disk=True, device='virtio-blk-device'),
      mirrored('mirror', 'background', 'qcow2'), mirrored('mirror_write_blocking', 'write-blocking', 'raw', machine=THREAD, device=',iothread=t0')])
