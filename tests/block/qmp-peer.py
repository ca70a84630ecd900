#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What programs see of disks, member by member with another emulator where one is fetched (scripts/peer fetch system).

usage: qmp-peer.py RHEA PEER-SCRIPT
"""
import json
import os
import re
import subprocess
import sys
import tempfile

RHEA, SCRIPT = (os.path.abspath(a) for a in sys.argv[1:3])
PATIENCE = 300


def skip(why):
    print(f'1..0 # SKIP {why}')
    sys.exit(0)


class Emulator:
    def __init__(self, program, args, folder):
        os.mkdir(folder)
        with open(folder + '/d.raw', 'wb') as f:
            f.truncate(1 << 20)
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
OURS = set()
THEIRS = {'format-specific.file'}       # an empty record


def members(j, path=''):
    """Every path of an answer: lists by their first record, names made up as one."""
    out = set()
    if isinstance(j, dict):
        for k, v in j.items():
            if k == 'format-specific' and isinstance(v, dict) and v.get('type') == 'file':
                out.add('format-specific.file')
                continue
            out |= {f'{path}.{k}'} | members(v, f'{path}.{k}')
    elif isinstance(j, list):
        for v in j:
            out |= members(v, path + '[]')
    return out


def plain(text):
    """What differs from run to run, and on purpose, aside."""
    text = re.sub(r'#block\d+', '#block', text)
    text = re.sub(r'^(\w+(?: \(#block\))?:) .*\((null-co)', r'\1 \2', text.strip(), flags=re.M)      # a name of its own: options of null-co are not in ours
    return re.sub(r' *Removable device: .*\r\n', '', text)                             # a disk that no device has: ours is none that could be changed


def main():
    peer = subprocess.run([sys.executable, SCRIPT, 'path', 'qemu-system-aarch64'], capture_output=True, text=True)
    if peer.returncode:
        skip('no emulator to compare with: scripts/peer fetch system')
    failed, count = [], 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.symlink(RHEA, 'rhea-system-aarch64')
        args = ['-drive', 'file=d.raw,format=raw,id=d0,if=none,stats-intervals.0=60,bps=1000,bps_max=2000', '-device', 'virtio-blk-device,drive=d0,id=v0',
                '-blockdev', 'driver=null-co,node-name=n0,read-zeroes=on', '-drive', 'driver=null-co,id=d1,if=none,detect-zeroes=on,read-zeroes=on,cache=none']
        both = [Emulator(folder + '/rhea-system-aarch64', args, 'ours'), Emulator(peer.stdout.strip(), args, 'theirs')]
        limits = {'device': 'd0', 'bps': 0, 'bps_rd': 0, 'bps_wr': 0, 'iops': 0, 'iops_rd': 0, 'iops_wr': 0}
        steps = [
            ('query-block', {}), ('query-blockstats', {}), ('query-blockstats', {'query__nodes': True}), ('query-named-block-nodes', {'flat': True}), ('query-fdsets', {}),
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
        for line in ['info block d0', 'info block d1', 'info block -n n0', 'info blockstats']:
            steps.append(('human-monitor-command', {'command__line': line}))
        for command, a in steps:
            ours, theirs = (e.ask(command, **a) for e in both)
            count += 1
            if command == 'human-monitor-command':
                x, y = plain(ours['return']), plain(theirs['return'])
            elif 'error' in theirs or not theirs['return']:
                x, y = ours, theirs
            else:
                x, y = sorted(members(ours) - OURS - THEIRS), sorted(members(theirs) - OURS - THEIRS)
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
