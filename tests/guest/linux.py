# SPDX-License-Identifier: MIT
"""A Debian kernel boots, runs a command, uses disk and network, and ends as asked."""
import hashlib
import http.server
import os
import socket
import threading
import time

from machine import Failure, Machine, Monitor, command, linux, main


def same(what, got, want):
    if got != want:
        raise Failure(f'{what}: got {got!r}, want {want!r}')


def boot(gic, cpu, smp, name='linux-arm64-cloud'):
    with Machine(*linux(name, machine=f'virt,gic-version={gic}', cpu=cpu, smp=smp, append=command('grep -c ^processor /proc/cpuinfo; exit 7'))) as m:
        m.expect(rf'GUEST-READY arm64 {smp}\b', 120)
        m.expect(rf'^{smp}$', 30)
        m.expect(r'GUEST-EXIT 7\b', 30)
        same('status after poweroff', m.end(), 0)


def gicv2_cortex_a57_smp4(tmp):
    boot(2, 'cortex-a57', 4)


def gicv3_max_smp4(tmp):
    boot(3, 'max,pauth-impdef=on', 4)


def reboot_once(tmp):
    """Without -no-reboot a reboot starts the machine again; with it, it ends."""
    args = linux(append='guestend=reboot ' + command('true'))
    with Machine(*args) as m:
        m.expect('GUEST-EXIT 0', 120)
        same('status with -no-reboot', m.end(), 0)
    args.remove('-no-reboot')
    with Machine(*args) as m:
        m.expect('GUEST-EXIT 0', 120)
        m.expect('GUEST-READY arm64 1', 120)


def power_key(tmp):
    """system_powerdown presses the key that the guest waits for."""
    path = tmp + '/mon'
    args = linux('linux-arm64', append=command('echo WAITING; dd if=/dev/input/event0 bs=24 count=1 2>/dev/null | wc -c; exit 3'))
    with Machine(*args, '-monitor', f'unix:{path},server=on,wait=off') as m:
        m.expect('WAITING', 120)
        mon = Monitor(path)
        time.sleep(1)
        mon.ask('system_powerdown')
        m.expect(r'^24$', 20)
        m.expect('GUEST-EXIT 3', 20)
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
                same('checksum in the guest', m.expect(r'([0-9a-f]{32})  -', 180).group(1), want.hexdigest())
            m.expect('GUEST-EXIT 0', 20)
            m.end()
        got = hashlib.md5()
        with open(image, 'rb') as f:
            f.seek(200 << 20)
            for chunk in iter(lambda: f.read(1 << 20), b''):
                got.update(chunk)
        same('checksum of what the guest wrote', got.hexdigest(), want.hexdigest())
    run.__name__ = 'disk_' + device.replace('-', '_')
    return run


class Serve(http.server.BaseHTTPRequestHandler):
    payload = os.urandom(4 << 20)

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.payload)

    def log_message(self, *args):
        pass


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def network(device):
    def run(tmp):
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Serve)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = free_port()
        script = ('ip link set eth0 up; udhcpc -i eth0 -n -q -s /bin/true 2>&1 | grep -o "lease of [0-9.]*"; '
                  'ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2; '
                  f'wget -q -O - http://10.0.2.2:{server.server_address[1]}/x | md5sum; '
                  'echo LISTENING; nc -l -p 80 < /bin/busybox; exit 4')
        args = linux(append=command(script))
        with Machine(*args, '-netdev', f'user,id=n0,hostfwd=tcp:127.0.0.1:{port}-:80', '-device', f'{device},netdev=n0') as m:
            m.expect(r'lease of 10\.0\.2\.15', 120)
            same('download', m.expect(r'([0-9a-f]{32})  -', 60).group(1), hashlib.md5(Serve.payload).hexdigest())
            m.expect('LISTENING', 10)
            time.sleep(1)
            with socket.create_connection(('127.0.0.1', port), 20) as s:
                s.settimeout(20)
                size = 0
                while chunk := s.recv(65536):
                    size += len(chunk)
            if size < 500000:
                raise Failure(f'only {size} bytes came back through the forwarded port')
            m.expect('GUEST-EXIT 4', 20)
            m.end()
        server.shutdown()
    run.__name__ = 'network_' + device.replace('-', '_')
    return run


main([gicv2_cortex_a57_smp4, gicv3_max_smp4, reboot_once, power_key, disk('virtio-blk-device'), disk('virtio-blk-pci'),
      network('virtio-net-device'), network('virtio-net-pci')])
