#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Exports used as people use them: fio over rhea-nbd, a file system on a loop device over a FUSE export, an image on a block device.

usage: exports.py RHEA-NBD RHEA-IMG RHEA-STORAGE-DAEMON [TEST]...
"""
import json
import os
import subprocess
import sys

import nbdlib
from nbdlib import Server, Skip, equal, main, need, run

NBD, IMG, DAEMON = (os.path.abspath(p) for p in sys.argv[1:4])
MiB = 1 << 20
os.environ['PATH'] += ':/usr/sbin:/sbin'


def fio(uri, *args):
    p = run('fio', '--name=t', '--ioengine=nbd', '--uri=' + uri, '--output-format=json', *args)
    job = json.loads(p.stdout[p.stdout.index('{'):])['jobs'][0]
    equal('errors of fio', (job['error'], job.get('total_err', 0)), (0, 0))
    return job


def test_fio():
    """What fio wrote at depth 16 through one export it finds again, and so does the image tool."""
    need('fio')
    if '\tnbd' not in run('fio', '--enghelp').stdout.replace(' ', '\t'):
        raise Skip('this fio has no nbd engine')
    run(IMG, 'create', '-q', '-f', 'qcow2', 'd.qcow2', '16M')
    with Server(NBD, '-f', 'qcow2', '-t', '-e', '4', 'd.qcow2') as s:
        job = fio(s.uri(), '--rw=randwrite', '--bs=4k', '--size=8M', '--iodepth=16', '--verify=crc32c', '--do_verify=1', '--randrepeat=1')
        equal('requests written', job['write']['total_ios'], 8 * MiB // 4096)
        equal('requests verified', job['read']['total_ios'], 8 * MiB // 4096)
        job = fio(s.uri(), '--rw=read', '--bs=256k', '--size=16M', '--iodepth=4')
        equal('bytes read', job['read']['io_bytes'], 16 * MiB)
        fio(s.uri(), '--rw=randtrim', '--bs=64k', '--size=1M', '--offset=12M')
    run(IMG, 'check', '-q', 'd.qcow2')


def loop_device(path):
    p = run('losetup', '--find', '--show', path, status=None)
    if p.returncode:
        raise Skip('no loop device here: ' + p.stderr.strip())
    return p.stdout.strip()


def only_root():
    if os.geteuid():
        raise Skip('only root may have loop devices')


def fill(folder):
    """Files with what is in them."""
    files = {f'f{i}': bytes([65 + i]) * (i * 50000 + 1) for i in range(20)}
    os.mkdir(folder + '/sub')
    for name, data in files.items():
        with open(f'{folder}/sub/{name}', 'wb') as f:
            f.write(data)
            os.fsync(f.fileno())
    return files


def use_file_system(device):
    run('mkfs.ext4', '-q', '-F', device)
    os.mkdir('mnt')
    p = run('mount', device, 'mnt', status=None)
    if p.returncode:
        raise Skip('no mount here: ' + p.stderr.strip())
    try:
        files = fill('mnt')
        os.unlink('mnt/sub/f3')
        del files['f3']
    finally:
        run('umount', 'mnt')
    run('e2fsck', '-fn', device)
    return files


def test_fuse_loop():
    """mkfs, mount, files and fsck on a loop device over a FUSE export; then the image is read without any of that."""
    only_root()
    need('losetup', 'mount', 'mkfs.ext4', 'e2fsck', 'debugfs')
    if not os.path.exists('/dev/fuse'):
        raise Skip('no /dev/fuse here')
    run(IMG, 'create', '-q', '-f', 'qcow2', 'd.qcow2', '64M')
    open('disk', 'w').close()
    p = run(DAEMON, '--blockdev', 'driver=qcow2,node-name=n,discard=unmap,file.driver=file,file.filename=d.qcow2', '--export', 'type=fuse,id=e,node-name=n,mountpoint=disk,writable=on',
            '--daemonize', '--pidfile', 'pid', status=None)
    if p.returncode and ('libfuse' in p.stderr or 'fusermount' in p.stderr):
        raise Skip(p.stderr.strip())
    equal('daemon', (p.returncode, p.stderr), (0, ''))
    daemon = Running(int(open('pid').read()))
    try:
        equal('size of the export', os.stat('disk').st_size, 64 * MiB)
        device = loop_device('disk')
        try:
            files = use_file_system(device)
        finally:
            run('losetup', '-d', device)
    finally:
        daemon.stop()
    run(IMG, 'check', '-q', 'd.qcow2')
    run(IMG, 'convert', '-O', 'raw', 'd.qcow2', 'd.raw')
    run('e2fsck', '-fn', 'd.raw')
    for name, data in files.items():
        run('debugfs', '-R', f'dump /sub/{name} out', 'd.raw')
        with open('out', 'rb') as f:
            equal(name, f.read() == data, True)


class Running(Server):
    """A process that somebody else started."""

    def __init__(self, pid):
        self.pid = pid


def test_host_device():
    """A block device by its path and as host_device: filled, compared, its holes given back."""
    only_root()
    need('losetup')
    data = os.urandom(MiB)
    with open('backing', 'wb') as f:
        f.write(b'\xff' * 8 * MiB)
    with open('a.raw', 'wb') as f:
        f.write(data)
        f.truncate(8 * MiB)
    device = loop_device('backing')
    try:
        info = json.loads(run(IMG, 'info', '--output=json', device).stdout)
        equal('info', (info['virtual-size'], info['format'], info['children'][0]['info']['format']), (8 * MiB, 'raw', 'host_device'))
        run(IMG, 'convert', '-n', '-f', 'raw', '-O', 'raw', 'a.raw', 'host_device:' + device)
        run(IMG, 'compare', '-q', '-f', 'raw', '-F', 'raw', 'a.raw', device)
        run(IMG, 'create', '-q', '-f', 'qcow2', device, '4M')
        run(IMG, 'check', '-q', device)
    finally:
        run('losetup', '-d', device)
    equal('the image on the device', json.loads(run(IMG, 'info', '--output=json', 'backing').stdout)['format'], 'qcow2')


if __name__ == '__main__':
    nbdlib.WAIT = 300
    main(sys.argv[4:], globals())
