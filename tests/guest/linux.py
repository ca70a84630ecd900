# SPDX-License-Identifier: MIT
"""A Debian kernel boots, runs a command, uses disk and network, and ends as asked."""
import hashlib
import os
import shutil
import socket
import subprocess
import time

from machine import PATIENCE, Failure, Host, Machine, Monitor, Skip, command, linux, main, quiet_port, same


def boot(gic, cpu, smp, name='linux-arm64-cloud'):
    with Machine(*linux(name, machine=f'virt,gic-version={gic}', cpu=cpu, smp=smp, append=command('grep -c ^processor /proc/cpuinfo; exit 7'))) as m:
        m.expect(rf'GUEST-READY arm64 {smp}\b')
        m.expect(rf'^{smp}$')
        m.expect(r'GUEST-EXIT 7\b')
        same('status after poweroff', m.end(), 0)


def gicv2_cortex_a57_smp4(tmp):
    boot(2, 'cortex-a57', 4)


def gicv3_max_smp4(tmp):
    boot(3, 'max,pauth-impdef=on', 4)


def matrix(tmp):
    """Processors, interrupt controllers and models, each with each."""
    for smp in (1, 2, 4, 8):
        for gic in (2, 3):
            for cpu in ('cortex-a57', 'max,pauth-impdef=on'):
                start = time.monotonic()
                try:
                    boot(gic, cpu, smp)
                except Failure as e:
                    raise Failure(f'-smp {smp}, GICv{gic}, {cpu}: {e}')
                print(f'# -smp {smp}, GICv{gic}, {cpu}: {time.monotonic() - start:.1f} s', flush=True)


def reboot_once(tmp):
    """Without -no-reboot a reboot starts the machine again; with it, it ends."""
    args = linux(append='guestend=reboot ' + command('true'))
    with Machine(*args) as m:
        m.expect('GUEST-EXIT 0')
        same('status with -no-reboot', m.end(), 0)
    args.remove('-no-reboot')
    with Machine(*args) as m:
        m.expect('GUEST-EXIT 0')
        m.expect('GUEST-READY arm64 1')


def power_key(tmp):
    """system_powerdown presses the key that the guest waits for."""
    path = tmp + '/mon'
    args = linux('linux-arm64', append=command('echo WAITING; dd if=/dev/input/event0 bs=24 count=1 2>/dev/null | wc -c; exit 3'))
    with Machine(*args, '-monitor', f'unix:{path},server=on,wait=off') as m:
        m.expect('WAITING')
        mon = Monitor(path)
        end = time.monotonic() + PATIENCE
        while not m.look(r'^24$'):              # a key pressed before dd has opened the device is heard by nobody
            if time.monotonic() > end:
                raise Failure('the guest does not hear the key')
            mon.ask('system_powerdown')
            m.pump(1)
        m.expect('GUEST-EXIT 3')
        m.end()


def program(tmp, name, **how):
    """Compiles NAME.c beside this file and runs it in the guest, which finds it on a disk."""
    cc = shutil.which('aarch64-linux-gnu-gcc')
    if not cc:
        raise Skip('no aarch64-linux-gnu-gcc')
    path = f'{tmp}/{name}'
    subprocess.run([cc, '-static', '-O1', '-Wall', '-o', path, f'{os.path.dirname(os.path.abspath(__file__))}/{name}.c'], check=True)
    os.truncate(path, 2 << 20)
    script = 'modprobe virtio_blk 2>/dev/null; head -c 2097152 /dev/vda >/tmp/p; chmod +x /tmp/p; /tmp/p'
    return Machine(*linux(append=command(script), **how), '-drive', f'if=none,id=d0,format=raw,read-only=on,file={path}', '-device', 'virtio-blk-pci,drive=d0')


def debug_registers(tmp):
    """Hardware breakpoints, watchpoints and single steps of a debugger in the guest."""
    with program(tmp, 'debug-registers', cpu='max,pauth-impdef=on', smp=2) as m:
        m.expect(r'DEBUG breaks=3 watches=2 status=5\b')
        m.expect('GUEST-EXIT 0')
        m.end()


def perf_events(tmp):
    """The kernel's driver of the performance monitors counts a loop exactly and gets an interrupt for each overflow."""
    with program(tmp, 'perf-events', cpu='max,pauth-impdef=on', smp=2) as m:
        m.expect(r'PERF insns=exact overflows=all cycles=run')
        m.expect('GUEST-EXIT 0')
        m.end()


def disk(device):
    def run(tmp):
        image = tmp + '/disk'
        block = os.urandom(1 << 20)
        with open(image, 'wb') as f:
            for i in range(200):
                f.write(bytes([i]) + block[1:])
            f.truncate(400 << 20)
        want = hashlib.md5()
        with open(image, 'rb') as f:
            for chunk in iter(lambda: f.read(1 << 20), b''):
                want.update(chunk)
                if f.tell() >= 200 << 20:
                    break
        script = ('dd if=/dev/vda bs=1M count=200 2>/dev/null | md5sum; dd if=/dev/vda of=/dev/vda bs=1M count=200 seek=200 2>/dev/null; sync; '
                  'echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/vda bs=1M skip=200 count=200 2>/dev/null | md5sum')
        args = linux(append=command(script), smp=2)
        with Machine(*args, '-drive', f'if=none,id=d0,format=raw,file={image}', '-device', f'{device},drive=d0') as m:
            for _ in range(2):
                same('checksum in the guest', m.expect(r'([0-9a-f]{32})  -').group(1), want.hexdigest())
            m.expect('GUEST-EXIT 0')
            m.end()
        got = hashlib.md5()
        with open(image, 'rb') as f:
            f.seek(200 << 20)
            for chunk in iter(lambda: f.read(1 << 20), b''):
                got.update(chunk)
        same('checksum of what the guest wrote', got.hexdigest(), want.hexdigest())
    run.__name__ = 'disk_' + device.replace('-', '_')
    return run


def fetch_from(m, port):
    """What the guest's listener sends through a forwarded port. The host's side accepts before the guest listens:
    such a connection ends empty and another is tried."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        got = b''
        with socket.create_connection(('127.0.0.1', port), PATIENCE) as s:
            try:
                while chunk := s.recv(65536):
                    got += chunk
            except ConnectionResetError:
                pass
        if got:
            return got
        m.pump(0.1)
    raise Failure('nothing came back through the forwarded port')


def network(device):
    def run(tmp):
        host, port = Host(4 << 20), quiet_port()
        script = ('ip link set eth0 up; udhcpc -i eth0 -n -t 100 -q -s /bin/true 2>&1 | grep -o "lease of [0-9.]*"; '
                  'ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2; '
                  f'wget -q -O - http://10.0.2.2:{host.port}/x | md5sum; md5sum < /bin/busybox; '
                  'echo LISTENING; nc -l -p 80 < /bin/busybox; exit 4')
        args = linux(append=command(script))
        with Machine(*args, '-netdev', f'user,id=n0,hostfwd=tcp:127.0.0.1:{port}-:80', '-device', f'{device},netdev=n0') as m:
            m.expect(r'lease of 10\.0\.2\.15')
            same('download', m.expect(r'([0-9a-f]{32})  -').group(1), host.md5)
            want = m.expect(r'([0-9a-f]{32})  -').group(1)
            m.expect('LISTENING')
            same('file through the forwarded port', hashlib.md5(fetch_from(m, port)).hexdigest(), want)
            m.expect('GUEST-EXIT 4')
            m.end()
        host.close()
    run.__name__ = 'network_' + device.replace('-', '_')
    return run


main([gicv2_cortex_a57_smp4, gicv3_max_smp4, matrix, reboot_once, power_key, debug_registers, perf_events, disk('virtio-blk-device'), disk('virtio-blk-pci'),
      network('virtio-net-device'), network('virtio-net-pci')])
