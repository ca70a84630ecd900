# SPDX-License-Identifier: MIT
"""An initrd of busybox, kernel modules and an init, for the guests of our tests.

The init loads what fits the hardware it finds, prints
    GUEST-READY ARCH CPUS
then runs the script of guestcmd=BASE64 and prints `GUEST-EXIT STATUS`, or gives
a shell, and ends as guestend=poweroff|reboot|halt says (poweroff).
guestroot=/dev/vda starts the system on that disk instead.
"""
import glob
import gzip
import lzma
import os
import re
import subprocess

MODULES = '''
virtio_pci virtio_mmio virtio_blk virtio_net virtio_rng virtio_console virtio_balloon virtio_scsi virtio_input virtio-gpu
ext4 ext2 vfat fat isofs squashfs overlay loop nls_ascii nls_cp437 nls_iso8859-1 nls_utf8
nvme sd_mod sr_mod evdev gpio-pl061 gpio_keys rtc-pl031 qemu_fw_cfg crc32c_generic xhci-pci usbhid hid-generic e1000 e1000e
'''

INIT = r'''#!/bin/sh
export PATH=/sbin:/bin HOME=/root TERM=${TERM:-vt100}
/bin/busybox --install -s
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts; mount -t tmpfs tmp /tmp; mount -t tmpfs run /run
[ -c /dev/console ] && exec </dev/console >/dev/console 2>&1
echo 3 > /proc/sys/kernel/printk
word() { for w in $(cat /proc/cmdline); do case $w in $1=*) echo "${w#*=}"; return;; esac; done; }

modprobe -aq virtio_mmio qemu_fw_cfg crc32c_generic 2>/dev/null
for pass in 1 2 3 4; do         # drivers of buses bring new devices
    now=$(find /sys/devices -name modalias -exec cat {} + 2>/dev/null | sort -u)
    [ "$now" = "$seen" ] && break
    echo "$now" | xargs modprobe -abq 2>/dev/null; seen=$now
done
mods=$(word guestmods); [ -n "$mods" ] && modprobe -a $(echo "$mods" | tr , ' ')
ip link set lo up 2>/dev/null
mkdir -p /etc/udhcpc
cat > /etc/udhcpc/default.script <<'END'
#!/bin/sh
case $1 in
deconfig) ip addr flush dev $interface; ip link set $interface up;;
bound|renew)
    ip addr replace $ip/${mask:-24} dev $interface
    [ -z "$router" ] || ip route replace default via ${router%% *}
    : > /etc/resolv.conf
    for d in $dns; do echo "nameserver $d" >> /etc/resolv.conf; done;;
esac
END
chmod +x /etc/udhcpc/default.script

root=$(word guestroot)
if [ -n "$root" ]; then
    modprobe -q ext4
    mkdir -p /newroot
    for t in 1 2 3 4 5; do mount "$root" /newroot && break; sleep 1; done
    for d in dev proc sys run; do mount --move /$d /newroot/$d; done
    exec switch_root /newroot /sbin/init
fi

echo
echo "GUEST-READY $(cat /etc/guest-arch) $(nproc)"
cmd=$(word guestcmd)
if [ -n "$cmd" ]; then
    echo "$cmd" | base64 -d > /tmp/guestcmd
    sh /tmp/guestcmd; st=$?
    sync; echo "GUEST-EXIT $st"
else
    echo "a root shell on $(uname -sr); leave it (exit) to end the machine"
    setsid cttyhack sh -l
fi
sync
case $(word guestend) in reboot) reboot -f;; halt) halt -f;; *) poweroff -f;; esac
while :; do sleep 1; done
'''


class Cpio:
    """The newc archive that kernels unpack; all files belong to root."""

    def __init__(self):
        self.out, self.ino = bytearray(), 0

    def add(self, name, mode, data=b''):
        self.ino += 1
        raw = name.encode() + b'\0'
        fields = (self.ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        self.out += b'070701' + b''.join(b'%08X' % f for f in fields) + raw
        self.out += b'\0' * (-len(self.out) % 4) + data
        self.out += b'\0' * (-len(self.out) % 4)

    def dir(self, name):
        self.add(name, 0o40755)

    def file(self, name, data, mode=0o644):
        self.add(name, 0o100000 | mode, data)

    def link(self, name, to):
        self.add(name, 0o120777, to.encode())

    def finish(self):
        self.add('TRAILER!!!', 0)
        return bytes(self.out)


def read_module(path):
    if path.endswith('.xz'):
        with lzma.open(path) as f:
            return f.read()
    if path.endswith('.gz'):
        with gzip.open(path) as f:
            return f.read()
    if path.endswith('.zst'):
        return subprocess.run(['zstd', '-dqc', path], check=True, capture_output=True).stdout
    with open(path, 'rb') as f:
        return f.read()


def key(name):
    return name.replace('-', '_')


def modinfo(data, field):
    return [m.decode() for m in re.findall(rb'(?:^|\0)' + field + rb'=([^\0]*)', data)]


def collect(tree, wanted):
    """name -> (bytes, dependencies) for the wanted modules and all they need."""
    have = {}
    for p in glob.glob(tree + '/**/*.ko*', recursive=True):
        have[key(re.sub(r'\.ko.*', '', os.path.basename(p)))] = p
    out, todo = {}, [key(m) for m in wanted]
    while todo:
        m = todo.pop()
        if m in out or m not in have:
            continue
        data = read_module(have[m])
        deps = [key(d) for line in modinfo(data, b'depends') for d in line.split(',') if d]
        soft = [key(d) for line in modinfo(data, b'softdep') if line.startswith('pre:') for d in line[4:].split('post:')[0].split()]
        out[m] = (data, deps)
        todo += deps + soft
    return out


def all_deps(mods, m):
    """Everything m needs, what depends on something before it (modprobe loads from the end)."""
    seen = []

    def walk(name):
        for d in mods[name][1]:
            if d in mods and d not in seen:
                walk(d)
                seen.append(d)
    walk(m)
    return list(reversed(seen))


def build(kernel_tree, busybox, arch, extra=()):
    """Bytes of the initrd for an unpacked kernel package."""
    base = next(d for d in (kernel_tree + '/lib/modules', kernel_tree + '/usr/lib/modules') if os.path.isdir(d))
    release = next(n for n in sorted(os.listdir(base)) if n[0].isdigit())
    mods = collect(f'{base}/{release}', MODULES.split() + list(extra))
    c = Cpio()
    for d in ('bin', 'sbin', 'etc', 'proc', 'sys', 'dev', 'tmp', 'run', 'mnt', 'root', 'usr', 'usr/bin', 'usr/sbin', 'lib', 'lib/modules'):
        c.dir(d)
    with open(busybox, 'rb') as f:
        c.file('bin/busybox', f.read(), 0o755)
    for name in ('sh', 'mount', 'mkdir', 'modprobe'):
        c.link('bin/' + name, 'busybox')
    c.link('sbin/modprobe', '../bin/busybox')
    c.file('init', INIT.encode(), 0o755)
    c.file('etc/guest-arch', arch.encode() + b'\n')
    c.file('etc/passwd', b'root:x:0:0:root:/root:/bin/sh\n')
    c.file('etc/nsswitch.conf', b'passwd: files\ngroup: files\nhosts: files dns\n')
    d = 'lib/modules/' + release
    c.dir(d)
    for m, (data, _) in mods.items():
        c.file(f'{d}/{m}.ko', data)
    c.file(d + '/modules.dep', ''.join(f'{m}.ko:' + ''.join(f' {x}.ko' for x in all_deps(mods, m)) + '\n' for m in mods).encode())
    c.file(d + '/modules.alias', ''.join(f'alias {a} {m}\n' for m, (data, _) in mods.items() for a in modinfo(data, b'alias')).encode())
    c.file(d + '/modules.softdep', b'')
    for name in ('modules.builtin', 'modules.order'):
        try:
            with open(f'{base}/{release}/{name}', 'rb') as f:
                c.file(f'{d}/{name}', f.read())
        except FileNotFoundError:
            pass
    return c.finish()
