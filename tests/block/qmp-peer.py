#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What programs see of disks, member by member with another emulator where one is fetched (scripts/peer fetch system).

usage: qmp-peer.py RHEA RHEA-IMG PEER-SCRIPT
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

RHEA, IMG, SCRIPT = (os.path.abspath(a) for a in sys.argv[1:4])
PATIENCE = 300


def skip(why):
    print(f'1..0 # SKIP {why}')
    sys.exit(0)


class Emulator:
    def __init__(self, program, args, folder):
        shutil.copytree('images', folder)
        self.p = subprocess.Popen([program, '-M', 'virt', '-nodefaults', '-S', '-display', 'none', '-qmp', 'stdio', *args],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder)
        json.loads(self.p.stdout.readline())
        self.ask('qmp_capabilities')

    def ask(self, command, **args):
        self.p.stdin.write(json.dumps({'execute': command, 'arguments': {k.replace('__', '-'): v for k, v in args.items()}}) + '\n')
        self.p.stdin.flush()
        while True:
            answer = json.loads(self.p.stdout.readline())
            if 'event' not in answer:
                return answer

    def end(self):
        self.ask('quit')
        self.p.wait(PATIENCE)


# members of one program only, and why
THEIRS = {'.return[].image.limits.max-write-zeroes'}        # a bound of its qed driver


def members(j, path=''):
    """Every path of an answer: lists by their first record, names made up as one."""
    out = set()
    if isinstance(j, dict):
        for k, v in j.items():
            out |= {f'{path}.{k}'} | members(v, f'{path}.{k}')
    elif isinstance(j, list):
        for v in j:
            out |= members(v, path + '[]')
    return out


def plain(text):
    """What differs from run to run, and on purpose, aside."""
    text = re.sub(r'#block\d+', '#block', text)
    text = re.sub(r'^(\w+(?: \(#block\))?:) .*\((null-co)', r'\1 \2', text.strip(), flags=re.M)      # a name of its own: options of null-co are not in ours
    if '(vmdk)' in text:
        text = re.sub(r' *discard alignment: 65536\r\n', '', text)                     # theirs does not discard
    return re.sub(r' *Removable device: .*\r\n', '', text)                             # a disk that no device has: ours is none that could be changed


def make_images():
    """A chain with all that a record can have, and other formats; both programs get the same bytes."""
    os.mkdir('images')
    for line in ['create -qf raw d.raw 1M', 'create -qf raw base.raw 1M', 'create -qf qcow2 -b base.raw -F raw mid.qcow2', 'snapshot -c s1 mid.qcow2', 'bitmap --add mid.qcow2 b0',
                 'create -qf qcow2 -b mid.qcow2 -F qcow2 top.qcow2', 'create -qf vmdk x.vmdk 1M', 'create -qf qcow2 -o data_file=ext.raw,data_file_raw=on ext.qcow2 1M',
                 'create -qf vdi x.vdi 1M', 'create -qf qed x.qed 1M', 'create -qf qcow x.qcow 1M', 'create -qf vpc x.vpc 1M', 'create -qf vhdx x.vhdx 1M', 'create -qf parallels x.parallels 1M']:
        subprocess.run([IMG, *line.split()], cwd='images', check=True)


def by_name(answer):
    """Records of nodes in one order; nodes that nobody named are told by their files, children by their role."""
    if isinstance(answer, list) and answer and 'node-name' in answer[0] and 'drv' in answer[0]:
        return sorted(answer, key=lambda j: (j['drv'], j['file'] if j['node-name'].startswith('#') else j['node-name']))
    return answer


def sizes(j, path=''):
    """What a record says in numbers and words, but what is each program's own: sizes of files after an open, units of requests, what a disk without a device is."""
    out = {}
    aside = {'limits', 'node-name', 'children', 'bps', 'filename', 'file', 'io-status', 'removable'}
    if isinstance(j, dict) and j.get('format') == 'file':
        aside |= {'virtual-size', 'actual-size'}
    for k, v in (j.items() if isinstance(j, dict) else enumerate(j) if isinstance(j, list) else []):
        if k not in aside:
            out.update(sizes(v, f'{path}.{k}') if isinstance(v, (dict, list)) else {f'{path}.{k}': v})
    return out


def main():
    peer = subprocess.run([sys.executable, SCRIPT, 'path', 'qemu-system-aarch64'], capture_output=True, text=True)
    if peer.returncode:
        skip('no emulator to compare with: scripts/peer fetch system')
    failed, count = [], 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.symlink(RHEA, 'rhea-system-aarch64')
        make_images()
        args = ['-drive', 'file=top.qcow2,id=c0,if=none', '-device', 'virtio-blk-device,drive=c0,id=v1', '-object', 'throttle-group,id=slow,x-iops-total=1000']
        for name in ['ext.qcow2', 'x.vmdk', 'x.vdi', 'x.qed', 'x.qcow', 'x.vpc', 'x.vhdx', 'x.parallels']:
            args += ['-blockdev', f'driver={name.split(".")[1]},node-name={name.replace(".", "-")},file.driver=file,file.filename={name}']
        args += ['-drive', 'file=d.raw,format=raw,id=d0,if=none,stats-intervals.0=60,bps=1000,bps_max=2000', '-device', 'virtio-blk-device,drive=d0,id=v0',
                '-blockdev', 'driver=null-co,node-name=n0,read-zeroes=on', '-drive', 'driver=null-co,id=d1,if=none,detect-zeroes=on,read-zeroes=on,cache=none']
        both = [Emulator(folder + '/rhea-system-aarch64', args, 'ours'), Emulator(peer.stdout.strip(), args, 'theirs')]
        limits = {'device': 'd0', 'bps': 0, 'bps_rd': 0, 'bps_wr': 0, 'iops': 0, 'iops_rd': 0, 'iops_wr': 0}
        steps = [
            ('query-block', {}), ('query-blockstats', {}), ('query-blockstats', {'query__nodes': True}), ('query-named-block-nodes', {'flat': True}), ('query-named-block-nodes', {}), ('query-fdsets', {}),
            ('block-latency-histogram-set', {'id': 'v0', 'boundaries': [10, 50]}), ('block-latency-histogram-set', {'id': 'v0', 'boundaries__read': [5, 5]}),
            ('block-latency-histogram-set', {'id': 'd0'}),
            ('block_set_io_throttle', {**limits, 'iops': 5, 'iops_max': 50, 'iops_max_length': 3, 'iops_size': 512}), ('query-block', {}),
            ('block_set_io_throttle', {**limits, 'bps': 5, 'bps_rd': 1}), ('block_set_io_throttle', {**limits, 'bps': 5, 'bps_max': 1}),
            ('block_set_io_throttle', {**limits, 'bps': -5}), ('block_set_io_throttle', {**limits, 'id': 'v0'}), ('block_set_io_throttle', {**limits, 'device': 'no'}),
            ('object-add', {'qom-type': 'throttle-group', 'id': 'tg', 'limits': {'iops-total': 10}}), ('object-add', {'qom-type': 'throttle-group', 'id': 'tg'}),
            ('blockdev-add', {'driver': 'throttle', 'node-name': 't0', 'throttle-group': 'no', 'file': 'n0'}),
            ('blockdev-add', {'driver': 'throttle', 'node-name': 't0', 'throttle-group': 'tg', 'file': 'n0'}), ('object-del', {'id': 'tg'}),
            ('blockdev-snapshot-internal-sync', {'device': 'd0', 'name': 's'}), ('blockdev-snapshot-delete-internal-sync', {'device': 'd0'}),
            ('add-fd', {}), ('getfd', {'fdname': 'x'}), ('closefd', {'fdname': 'x'}), ('remove-fd', {'fdset__id': 3}), ('remove-fd', {'fdset__id': 3, 'fd': 1}),
        ]
        for line in ['info block d0', 'info block d1', 'info block -n n0', 'info blockstats', 'info block -v c0', 'info block -n -v x-vmdk', 'info block v0']:
            steps.append(('human-monitor-command', {'command__line': line}))
        for command, a in steps:
            ours, theirs = (e.ask(command, **a) for e in both)
            count += 1
            if command == 'human-monitor-command':
                x, y = plain(ours['return']), plain(theirs['return'])
            elif 'error' in theirs or not theirs['return']:
                x, y = ours, theirs
            else:
                x, y = sorted(members(ours)), sorted(members(theirs) - THEIRS)
                for j, k in zip(by_name(ours['return']), by_name(theirs['return'])) if command in ('query-block', 'query-named-block-nodes') else []:
                    j, k = set(sizes(j).items()), set(sizes(k).items())
                    x += sorted(f'{key}={v!r}' for key, v in j - k)
                    y += sorted(f'{key}={v!r}' for key, v in k - j)
            if x != y:
                if isinstance(x, list):
                    x, y = sorted(set(x) - set(y)), sorted(set(y) - set(x))
                failed.append(f'{command} {a}\n#   ours   {x!r}\n#   theirs {y!r}')
        for e in both:
            e.end()
    print('1..1')
    for f in failed:
        print('# ' + f)
    print(f'{"not ok" if failed else "ok"} 1 # {count} answers')


main()
