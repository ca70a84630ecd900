# SPDX-License-Identifier: MIT
"""A whole Debian system on a virtio disk: systemd to login, a compiler, apt through the user network, reboots.

The image is made once by scripts/rootfs (as root) and kept in the cache; each test works on an overlay of it.
RHEA_REBOOTS says how often to reboot (50).
"""
import os
import subprocess
import sys
import time

from machine import PATIENCE, ROOT, Failure, Machine, Skip, guest, main

sys.path.insert(0, os.path.join(ROOT, 'scripts'))
import debpkg

REBOOTS = int(os.environ.get('RHEA_REBOOTS', '50'))


# The console's device appears when udev has come to it. On a busy host that takes longer than the 90 s that systemd gives a device, and the prompt
# on it never comes; the prompt on /dev/console waits for no device.
PATIENT = 'systemd.default_timeout_start_sec=1800 systemd.mask=serial-getty@ttyAMA0.service systemd.wants=console-getty.service'


def image():
    path = os.path.join(debpkg.CACHE, 'guest', 'debian-arm64.img')
    if not os.path.exists(path):
        if os.geteuid():
            raise Skip('no image in the cache, and scripts/rootfs needs root to make one')
        run = subprocess.run([os.path.join(ROOT, 'scripts/rootfs'), path], stderr=subprocess.PIPE, text=True)
        if run.returncode:
            raise Skip('the image cannot be made: ' + run.stderr.strip().splitlines()[-1])
    return path


class System:
    """The machine, and a root shell in it."""

    def __init__(self, disk='virtio-blk-pci', smp=2, drive=None, more=()):
        g = guest('linux-arm64')
        self.m = Machine('-M', 'virt', '-cpu', 'max,pauth-impdef=on', '-smp', smp, '-m', 1024, '-display', 'none', '-serial', 'stdio',
                         '-kernel', g + '/kernel', '-initrd', g + '/initrd', '-append', 'console=ttyAMA0 quiet guestroot=/dev/vda '
                         + PATIENT,
                         '-drive', drive or f'if=none,id=d0,format=raw,snapshot=on,file={image()}', '-device', disk + ',drive=d0',
                         '-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0', '-device', 'virtio-rng-pci', *more)
        self.count = 0

    def __enter__(self):
        self.m.__enter__()
        return self

    def __exit__(self, *a):
        self.m.__exit__(*a)

    def login(self):
        prompt, shell = '^rhea-guest login: $', 'rhea-guest:~# '
        self.m.expect(prompt, 6 * PATIENCE)             # a whole system begins
        while True:                                     # login gives a person 60 s, which a starved host may need; then it begins anew
            self.m.send('root\n')
            if self.m.expect(f'assword:|{prompt}').group() != 'assword:':
                continue
            self.m.send('rhea\n')
            if self.m.expect(f'{shell}|{prompt}').group() == shell:
                return

    def run(self, line, seconds=PATIENCE):
        """Runs a line; returns (status, output)."""
        self.count += 1
        self.m.send(f'{line}; echo "<$?:{self.count}>"\n')
        found = self.m.expect(rf'^(?s:(.*?))<(\d+):{self.count}>$', seconds)
        return int(found.group(2)), found.group(1)

    def must(self, line, seconds=PATIENCE):
        status, text = self.run(line, seconds)
        if status:
            raise Failure(f'{line!r} ended with {status}:\n{text[-1500:]}')
        return text


def to_login(tmp):
    start = time.monotonic()
    with System() as s:
        s.login()
        print(f'# login after {time.monotonic() - start:.1f} s')
        s.must('systemctl is-system-running --wait')
        s.must("printf 'int puts(const char *); int main(void) { puts(\"compiled in the guest\"); return 0; }' > a.c && gcc -O2 a.c -o a && ./a | grep -q compiled")
        s.must('ip -4 addr show eth0 | grep -q 10.0.2.15')
        s.must('dd if=/dev/urandom of=big bs=1M count=64 status=none && sync && md5sum big > sum && echo 3 > /proc/sys/vm/drop_caches && md5sum -c sum')
        s.m.send('poweroff\n')
        if s.m.end():
            raise Failure('poweroff did not end with status 0')


def apt(tmp):
    with System() as s:
        s.login()
        s.must('apt-get update -qq')
        s.must('apt-get install -y -qq hello')
        s.must('hello | grep -q world')


def reboots(tmp):
    start = time.monotonic()
    with System() as s:
        for i in range(REBOOTS):
            s.login()
            s.must(f'echo {i} >> boots; test $(wc -l < boots) = {i + 1}')
            s.must('sync')
            print(f'# up for the {i + 1}. time, {time.monotonic() - start:.0f} s', flush=True)
            s.m.send('reboot\n')
        s.login()
        s.must('dmesg -l err,crit,alert,emerg | grep -i -E "ext4|i/o error|oops|bug" && false || true')


if __name__ == '__main__':
    main([to_login, apt, reboots])
