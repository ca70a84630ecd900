#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A Debian kernel for RISC-V boots on OpenSBI, runs a command, uses disk and network, and ends as asked."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../guest'))
sys.dont_write_bytecode = True
from machine import Machine, Monitor, command, guest, main, same


def linux(*, append='', smp=1, cpu='rv64'):
    g = guest('linux-riscv64')
    return ['-M', 'virt', '-cpu', cpu, '-m', 512, '-smp', smp, '-display', 'none', '-serial', 'stdio', '-no-reboot', '-bios', guest('opensbi-riscv64') + '/firmware.bin',
            '-kernel', g + '/kernel', '-initrd', g + '/initrd', '-append', 'console=ttyS0 quiet guestquick ' + append]


def boot(smp, cpu, *more):
    with Machine(*linux(smp=smp, cpu=cpu, append=command('grep -c ^processor /proc/cpuinfo; awk "BEGIN { print 1.5 * 1.25 / 7 }"; exit 7')), *more) as m:
        m.expect(rf'GUEST-READY riscv64 {smp}\b')
        m.expect(rf'^{smp}$')
        m.expect(r'^0\.267857$')
        m.expect(r'GUEST-EXIT 7\b')
        same('status after poweroff', m.end(), 0)


def smp1(tmp):
    boot(1, 'rv64')


def smp4_max(tmp):
    boot(4, 'max')


def sv39_interp(tmp):
    boot(1, 'rv64,sv48=off,sv57=off', '-accel', 'tcg,host=interp')


def icount(tmp):
    boot(1, 'rv64', '-icount', 'shift=0')


def saved(tmp):
    """Saved in the middle of its work; both the one that was saved and the one that is restored go on."""
    script = 'i=0; while [ $i -lt 8 ]; do i=$((i+1)); echo "ROUND $i $(dd if=/dev/zero bs=64k count=64 2>/dev/null | md5sum) $(awk "BEGIN { print $i / 7 }")"; done; exit 5'
    args = linux(smp=2, append=command(script))

    def rounds(m, first, last):
        for i in range(first, last + 1):
            m.expect(rf'ROUND {i} b5cfa9d6c8febd618f91ac2843d50a1c .* {i / 7:.6g}$')
    with Machine(*args, '-monitor', f'unix:{tmp}/a,server=on,wait=off') as m:
        rounds(m, 1, 2)
        mon = Monitor(tmp + '/a')
        mon.ask(f'migrate file:{tmp}/state')
        mon.ask('cont')
        rounds(m, 3, 4)
    with Machine(*args, '-incoming', f'file:{tmp}/state', '-monitor', f'unix:{tmp}/b,server=on,wait=off') as m:
        Monitor(tmp + '/b').ask('cont')
        m.expect(r'ROUND 8 b5cfa9d6c8febd618f91ac2843d50a1c .* 1.14286$')
        m.expect('GUEST-EXIT 5')
        m.end()


def disk_and_network(tmp):
    """A window of virtio-mmio and a PCI function: PLIC and pins."""
    disk = tmp + '/disk'
    with open(disk, 'wb') as f:
        f.write(bytes(range(256)) * 4096)
    script = 'dd if=/dev/vda bs=64k 2>/dev/null | sha256sum; ip link set eth0 up; udhcpc -i eth0 -n -q -s /bin/true 2>&1 | tail -1; exit 3'
    args = linux(append='guestmods=virtio_mmio,virtio_blk,virtio_pci,virtio_net ' + command(script))
    with Machine(*args, '-drive', f'if=none,id=d0,format=raw,file={disk}', '-device', 'virtio-blk-device,drive=d0',
                 '-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0') as m:
        import hashlib
        m.expect(hashlib.sha256(bytes(range(256)) * 4096).hexdigest())
        m.expect('lease of 10.0.2.15')
        m.expect('GUEST-EXIT 3')
        same('status', m.end(), 0)


main([smp1, smp4_max, sv39_interp, icount, saved, disk_and_network])
