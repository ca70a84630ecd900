# SPDX-License-Identifier: MIT
"""Virtio under a Debian kernel: every transport and ring, behind root ports, serial ports, and a machine that is saved and goes on."""
import hashlib
import os
import shutil
import subprocess

from machine import BUILD, Host, Machine, Monitor, command, connect, linux, main, same

DISK = 16 << 20


def rounds(port, n):
    """Disk and network again and again, each with its checksum."""
    return ('ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; i=0; '
            f'while [ $i -lt {n} ]; do i=$((i+1)); echo 3 > /proc/sys/vm/drop_caches; a=$(md5sum < /dev/vda); '
            f'b=$(wget -q -O - http://10.0.2.2:{port}/x | md5sum); echo "ROUND $i $a $b"; done; '
            'dd if=/dev/hwrng bs=16 count=1 2>/dev/null | wc -c; exit 5')


class World:
    def __init__(self, tmp):
        self.image = tmp + '/disk'
        data = os.urandom(DISK)
        with open(self.image, 'wb') as f:
            f.write(data)
        self.disk = hashlib.md5(data).hexdigest()
        self.host = Host(1 << 20)

    def args(self, n, devices, **kw):
        return linux(append=command(rounds(self.host.port, n)), mem=256, **kw) + [
            '-drive', f'if=none,id=d0,format=raw,file={self.image}', '-netdev', 'user,id=n0', *devices]

    def check(self, m, n):
        for _ in range(n):
            got = m.expect(r'ROUND \d+ (\w+)  - (\w+)  -')
            same('checksum of the disk', got.group(1), self.disk)
            same('checksum of the download', got.group(2), self.host.md5)


def devices(kind, extra=''):
    return ['-device', f'virtio-blk-{kind},drive=d0{extra}', '-device', f'virtio-net-{kind},netdev=n0{extra}', '-device', f'virtio-rng-{kind}']


def works(name, devs, **kw):
    def run(tmp):
        w = World(tmp)
        with Machine(*w.args(3, devs, **kw)) as m:
            w.check(m, 3)
            m.expect('GUEST-EXIT 5')
            m.end()
    run.__name__ = name
    return run


def saved(name, devs, **kw):
    """Saved in the middle of its work; both the one that was saved and the one that is restored go on."""
    def run(tmp):
        w = World(tmp)
        args = w.args(8, devs, **kw)
        with Machine(*args, '-monitor', f'unix:{tmp}/a,server=on,wait=off') as m:
            w.check(m, 2)
            mon = Monitor(tmp + '/a')
            mon.ask(f'migrate file:{tmp}/state')
            mon.ask('cont')
            w.check(m, 2)
        with Machine(*args, '-incoming', f'file:{tmp}/state', '-monitor', f'unix:{tmp}/b,server=on,wait=off') as m:
            Monitor(tmp + '/b').ask('cont')
            w.check(m, 4)
            m.expect('GUEST-EXIT 5')
            m.end()
    run.__name__ = name
    return run


def saved_copy(tmp):
    """A copy of the image that is made while the saved machine waits goes with the save, though the guest has not flushed what it wrote."""
    img = os.environ.get('RHEA_IMG') or os.path.join(BUILD, 'tools', 'rhea-img')
    subprocess.run([img, 'create', '-q', '-f', 'qcow2', f'{tmp}/disk', '64M'], check=True)
    script = ('dd if=/dev/urandom of=/dev/vda bs=1M count=24 2>/dev/null; echo "WROTE $(md5sum < /dev/vda)"; read line; '
              'echo 3 > /proc/sys/vm/drop_caches; echo "READ $(md5sum < /dev/vda)"; exit 5')

    def args(name):
        return linux(append=command(script), mem=256) + ['-drive', f'if=none,id=d0,format=qcow2,file={tmp}/{name}', '-device', 'virtio-blk-pci,drive=d0']

    with Machine(*args('disk'), '-monitor', f'unix:{tmp}/a,server=on,wait=off') as m:
        want = m.expect(r'WROTE (\w{32})').group(1)
        Monitor(tmp + '/a').ask(f'migrate file:{tmp}/state')
        shutil.copy(f'{tmp}/disk', f'{tmp}/copy')
    with Machine(*args('copy'), '-incoming', f'file:{tmp}/state', '-monitor', f'unix:{tmp}/b,server=on,wait=off') as m:
        Monitor(tmp + '/b').ask('cont')
        m.send('\n')
        same('checksum after the restore', m.expect(r'READ (\w{32})').group(1), want)
        m.expect('GUEST-EXIT 5')
        m.end()


PIECES = r'''
work() {
  k=0; while [ $k -lt 24 ]; do
    at=$(($1 * 24 + k)); k=$((k+1)); head -c 65536 /dev/urandom > /tmp/p$1; md5sum < /tmp/p$1 > /tmp/sum$at
    dd if=/tmp/p$1 of=/dev/vda bs=64k seek=$((at * 37 % 1024)) conv=fsync,notrunc 2>/dev/null; echo "PIECE $at"
  done
}
for j in 0 1 2 3; do work $j & done; wait
echo 3 > /proc/sys/vm/drop_caches; bad=0; at=0
while [ $at -lt 96 ]; do dd if=/dev/vda bs=64k skip=$((at * 37 % 1024)) count=1 2>/dev/null | md5sum | cmp -s - /tmp/sum$at || bad=$((bad+1)); at=$((at+1)); done
echo "BAD $bad"; exit 5
'''


def saved_busy(tmp):
    """The same while four writers are at work: what was under way at that moment is in the image, or is asked for again."""
    img = os.environ.get('RHEA_IMG') or os.path.join(BUILD, 'tools', 'rhea-img')
    subprocess.run([img, 'create', '-q', '-f', 'qcow2', f'{tmp}/0', '64M'], check=True)

    def args(i):
        return linux(append=command(PIECES), mem=256) + ['-object', 'iothread,id=t0', '-monitor', f'unix:{tmp}/m{i},server=on,wait=off', '-drive',
                                                          f'if=none,id=d0,format=qcow2,file={tmp}/{i}', '-device', 'virtio-blk-pci,drive=d0,iothread=t0']

    saves = 3
    for i in range(saves + 1):
        with Machine(*args(i), *(['-incoming', f'file:{tmp}/state{i}'] if i else [])) as m:
            mon = Monitor(f'{tmp}/m{i}')
            if i:
                mon.ask('cont')
            if i < saves:
                for _ in range(12):
                    m.expect(r'PIECE \d+')
                same('an answer of migrate', mon.ask(f'migrate file:{tmp}/state{i + 1}').splitlines()[1:], [])
                shutil.copy(f'{tmp}/{i}', f'{tmp}/{i + 1}')
            else:
                same('pieces that are not what was written', m.expect(r'BAD (\d+)').group(1), '0')
                m.expect('GUEST-EXIT 5')
                m.end()
            mon.close()
def snapshots(name, extra='', more=()):
    """savevm and loadvm under a guest that writes to two disks: disks and memory are those of the moment, in this process and in another."""
    def run(tmp):
        img = os.environ.get('RHEA_IMG') or os.path.join(BUILD, 'tools', 'rhea-img')
        files = [f'{tmp}/d{i}' for i in range(2)]
        for f in files:
            subprocess.run([img, 'create', '-q', '-f', 'qcow2', f, '32M'], check=True)
        script = ('n=0; echo READY; while read c; do n=$((n+1)); if [ $c = write ]; then for d in vda vdb; do dd if=/dev/urandom of=/dev/$d bs=64k count=40 seek=$((n*20)) 2>/dev/null; done; fi; '
                  '[ $c = write ] || echo 3 > /proc/sys/vm/drop_caches; [ $c = end ] && exit 5; echo "SUMS $n $(md5sum < /dev/vda) $(md5sum < /dev/vdb)"; done')

        def args(*more_args):
            a = linux(append=command(script), mem=256) + list(more)
            for i, f in enumerate(files):
                a += ['-drive', f'if=none,id=d{i},format=qcow2,discard=unmap,file={f}', '-device', f'virtio-blk-pci,drive=d{i}{extra}']
            return a + list(more_args)

        def tell(m, word):
            m.send(word + '\n')
            return m.expect(r'SUMS (\d+) (\w{32})  - (\w{32})  -').groups()

        with Machine(*args('-monitor', f'unix:{tmp}/a,server=on,wait=off')) as m:
            mon = Monitor(tmp + '/a')

            def do(line):
                same(line, mon.ask(line).split('\n', 1)[1], '')
            m.expect('READY')
            first = tell(m, 'write')
            do('savevm one')
            second = tell(m, 'write')
            do('savevm two')
            third = tell(m, 'write')
            same('three states', len({first, second, third}), 3)
            do('loadvm one')
            same('back at the first', tell(m, 'look'), ('2', *first[1:]))
            do('loadvm two')
            same('on at the second', tell(m, 'look'), ('3', *second[1:]))
            tell(m, 'write')
            do('savevm one')                            # in place of the one that was
            fourth = tell(m, 'look')
            do('delvm two')
            same('two is gone', 'does not exist in one or more devices' in mon.ask('loadvm two'), True)
            same('as before', tell(m, 'look')[1:], fourth[1:])
            mon.ask('quit')
            m.end()
        for f in files:
            subprocess.run([img, 'check', '-q', f], check=True)
        with Machine(*args('-loadvm', 'one')) as m:
            same('in another process', tell(m, 'look'), fourth)
            m.send('end\n')
            m.expect('GUEST-EXIT 5')
            m.end()
    run.__name__ = name
    return run


def serial_ports(tmp):
    """A named port both ways, and a second console."""
    # ports appear when their messages have come, which modprobe does not wait for
    script = ('modprobe virtio_console; until [ -e /sys/class/virtio-ports/vport*p1/name -a -c /dev/hvc0 ]; do sleep 1; done; p=$(echo /dev/vport*p1); cat /sys/class/virtio-ports/${p#/dev/}/name; echo from-the-guest > $p; '
              'echo on-the-console > /dev/hvc0; echo CLOSED; read line < $p; echo "GOT $line"; exit 6')
    args = linux(append=command(script)) + [
        '-device', 'virtio-serial-pci', '-chardev', f'socket,id=c1,path={tmp}/port,server=on,wait=off', '-device', 'virtserialport,chardev=c1,name=org.example.port',
        '-chardev', f'file,id=c0,path={tmp}/console', '-device', 'virtconsole,chardev=c0']
    with Machine(*args) as m:
        s = connect(tmp + '/port')
        m.expect('org.example.port')
        got = b''
        while not got.endswith(b'\n'):
            got += s.recv(100)
        same('text from the port', got, b'from-the-guest\n')
        m.expect('CLOSED')                      # what comes before that is thrown away with the close
        s.sendall(b'from the host\n')
        m.expect('GOT from the host')
        m.expect('GUEST-EXIT 6')
        m.end()
        s.close()
    with open(tmp + '/console', 'rb') as f:
        same('text on the second console', f.read().replace(b'\r', b''), b'on-the-console\n')


PORTS = ['-device', 'pcie-root-port,id=rp1,chassis=1,slot=1', '-device', 'pcie-root-port,id=rp2,chassis=2,slot=2',
         '-device', 'virtio-blk-pci,drive=d0,bus=rp1', '-device', 'virtio-net-pci,netdev=n0,bus=rp2', '-device', 'virtio-rng-pci']
MODERN = ['-global', 'virtio-mmio.force-legacy=false']

main([works('mmio_modern_packed', MODERN + devices('device', ',packed=on')), works('pci_msix_gicv2m', devices('pci'), smp=2),
      works('pci_packed_its', devices('pci', ',packed=on'), machine='virt,gic-version=3', smp=2), works('pci_legacy', devices('pci', ',disable-modern=on')),
      works('pci_intx', devices('pci', ',vectors=0')), works('root_ports', PORTS, machine='virt,gic-version=3'),
      saved('saved_mmio', devices('device')), saved('saved_pci', devices('pci'), machine='virt,gic-version=3'), saved_copy, saved_busy, serial_ports, snapshots('snapshots'), snapshots('snapshots_iothread', ',iothread=io0', ['-object', 'iothread,id=io0'])])
