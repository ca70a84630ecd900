#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bad input from the user or the host: one clear line each, exit status 1, nothing left behind.

usage: bad-input-test.py FOLDER-OF-THE-PROGRAM [CASE...]

Each row is what is wrong, the arguments, and how the line must begin or what it
must contain.  Behind the line there may be one that names the nearest words and
one that says where the list is.  Left behind would be a file, a socket, a
process or a terminal in raw mode; the first three are looked for here.
"""
import gzip
import os
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile

BIN = os.path.abspath(sys.argv[1])
RHEA = os.path.join(BIN, 'rhea-system-aarch64')
IMG = os.path.join(BIN, 'rhea-img')
PATIENCE = 240
LOAD = 0x40080000
QUIET = ['-display', 'none', '-serial', 'none', '-monitor', 'none']
HINT = re.compile(r"Path must be less than 108 bytes|Is another process using the image \[.*\]\?|did you mean .*\?|the list: .*|-cpu help lists them|(this build|-cpu host needs) .*|Use -\w+ help to list .*")
# of a build with a sanitizer, whose shadow needs more address space than a limit leaves
SHADOW = b'__asan_init' in open(RHEA, 'rb').read() or b'__tsan_init' in open(RHEA, 'rb').read()


def elf(path, machine=183, cut=None):
    code = struct.pack('<I', 0x14000000) * 1000                         # b .
    ehdr = b'\x7fELF\x02\x01\x01' + bytes(9) + struct.pack('<HHIQQQIHHHHHH', 2, machine, 1, LOAD, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    phdr = struct.pack('<IIQQQQQQ', 1, 5, 120, LOAD, LOAD, len(code), len(code), 4)
    put(path, (ehdr + phdr + code)[:cut])


def put(path, data, size=None):
    with open(path, 'wb') as f:
        f.write(data)
        if size:
            f.truncate(size)


def prepare():
    noise = random.Random(1).randbytes(300000)
    zipped = gzip.compress(noise)
    put('empty', b'')
    put('text', b'hello\n')
    put('noise', noise)
    put('cut.gz', zipped[:2000])
    put('damaged.gz', zipped[:5000] + bytes([zipped[5000] ^ 255]) + zipped[5001:])
    put('huge', b'', 3 << 30)
    put('small.fd', b'', 1 << 20)
    put('d.raw', b'', 1 << 20)
    os.mkdir('folder')
    elf('good.elf')
    elf('cut.elf', cut=1000)
    elf('header.elf', cut=64)
    elf('other.elf', machine=62)
    put('short.dtb', b'\xd0\x0d\xfe\xed\0\0')
    put('cut.dtb', struct.pack('>10I', 0xd00dfeed, 100000, 56, 80, 40, 17, 16, 0, 10, 10) + bytes(100))
    put('short.qcow2', b'QFI\xfb\0\0\0\3')
    put('cluster.qcow2', b'QFI\xfb' + struct.pack('>I', 3) + bytes(520))
    put('broken.cfg', b'[machine]\n type = "virt\n')
    subprocess.run([IMG, 'create', '-q', '-u', '-f', 'qcow2', '-b', 'gone', '-F', 'raw', 'orphan.qcow2', '1M'], check=True)
    subprocess.run([IMG, 'create', '-q', '-f', 'qcow2', 'locked.qcow2', '1M'], check=True)


KERNEL = ['-kernel', 'good.elf']
MISSING, FOLDER = "Could not open 'gone': No such file or directory", "Could not open 'folder': Is a directory"
DISK = '-drive file=%s: '
# name, arguments, beginning of the line
ROWS = [
    ('kernel missing', ['-kernel', 'gone'], f"could not load kernel 'gone': {MISSING}"),
    ('kernel a folder', ['-kernel', 'folder'], f"could not load kernel 'folder': {FOLDER}"),
    ('kernel empty', ['-kernel', 'empty'], "could not load kernel 'empty': the file is empty"),
    ('kernel cut short', ['-kernel', 'cut.elf'], "could not load kernel 'cut.elf': the segment for address 0x40080000 does not fit the file"),
    ('kernel only a header', ['-kernel', 'header.elf'], "could not load kernel 'header.elf': the program headers of the ELF file are not in it"),
    ('kernel of another processor', ['-kernel', 'other.elf'], "could not load kernel 'other.elf': it is an ELF file for another processor"),
    ('kernel compressed and cut', ['-kernel', 'cut.gz'], "could not load kernel 'cut.gz': the compressed data is damaged"),
    ('kernel compressed and damaged', ['-kernel', 'damaged.gz'], "could not load kernel 'damaged.gz': the compressed data is damaged"),
    ('kernel larger than RAM', ['-kernel', 'huge'], "kernel 'huge' is too large to fit in RAM"),
    ('initrd missing', KERNEL + ['-initrd', 'gone'], f"could not load initrd 'gone': {MISSING}"),
    ('initrd larger than RAM', KERNEL + ['-initrd', 'huge'], "initrd 'huge' is too large to fit in RAM"),
    ('initrd without kernel', ['-initrd', 'text'], '-initrd only allowed with -kernel option'),
    ('device tree missing', KERNEL + ['-dtb', 'gone'], f'could not load device tree: {MISSING}'),
    ('device tree empty', KERNEL + ['-dtb', 'empty'], "device tree 'empty': not a device tree"),
    ('device tree short', KERNEL + ['-dtb', 'short.dtb'], "device tree 'short.dtb': not a device tree"),
    ('device tree cut', KERNEL + ['-dtb', 'cut.dtb'], "device tree 'cut.dtb': not a device tree"),
    ('device tree noise', KERNEL + ['-dtb', 'noise'], "device tree 'noise': not a device tree"),
    ('disk missing', ['-drive', 'file=gone'], DISK % 'gone' + MISSING),
    ('disk a folder', ['-drive', 'file=folder'], DISK % 'folder' + FOLDER),
    ('disk short', ['-drive', 'file=short.qcow2,format=qcow2'], DISK % 'short.qcow2,format=qcow2' + 'qcow2 header too short'),
    ('disk corrupt', ['-drive', 'file=cluster.qcow2,format=qcow2'], DISK % 'cluster.qcow2,format=qcow2' + 'Unsupported cluster size: 2^0'),
    ('disk of another format', ['-drive', 'file=noise,format=qcow2'], DISK % 'noise,format=qcow2' + 'Image is not in qcow2 format'),
    ('disk without its base', ['-drive', 'file=orphan.qcow2'], DISK % 'orphan.qcow2' + f'Could not open backing file: {MISSING}'),
    ('disk of an unknown format', ['-drive', 'file=d.raw,format=rwa'], re.compile(r"-drive file=d.raw,format=rwa: .*'rwa'")),
    ('disk nobody defined', ['-device', 'virtio-blk-pci,drive=nosuch'], re.compile(r"can't find value 'nosuch'")),
    ('flash of the wrong size', ['-drive', 'if=pflash,format=raw,file=small.fd'], 'device requires 67108864 bytes, block backend provides 1048576 bytes'),
    ('flash too large', ['-drive', 'if=pflash,format=raw,file=huge'], 'device requires 67108864 bytes, block backend provides 3221225472 bytes'),
    ('flash missing', ['-drive', 'if=pflash,format=raw,file=gone'], re.compile(re.escape(MISSING))),
    ('firmware missing', ['-bios', 'gone'], f'could not load ROM image: {MISSING}'),
    ('firmware too large', ['-bios', 'huge'], "firmware 'huge' has 3221225472 bytes, the flash 67108864"),
    ('save missing', ['-incoming', 'file:gone'], f'-incoming file:gone: {MISSING}'),
    ('save empty', ['-incoming', 'file:empty'], "-incoming file:empty: save file 'empty': not a save of this program"),
    ('save foreign', ['-incoming', 'file:noise'], "-incoming file:noise: save file 'noise': not a save of this program"),
    ('option unknown', ['-kernell', 'x'], '-kernell: invalid option'),
    ('device unknown', ['-device', 'virtio-rgn-pci'], "-device virtio-rgn-pci: 'virtio-rgn-pci' is not a valid device model name"),
    ('property unknown', ['-device', 'virtio-net-pci,macc=1'], "-device virtio-net-pci,macc=1: Property 'virtio-net-pci.macc' not found"),
    ('property of the wrong kind', ['-device', 'virtio-net-pci,mac=zz'], re.compile(r"Property 'virtio-net-device.mac' doesn't take value 'zz'")),
    ('machine unknown', ['-M', 'vrit'], 'unsupported machine type: "vrit"'),
    ('property of the machine unknown', ['-M', 'virt,gic-vresion=3'], "Property 'virt-8.2-machine.gic-vresion' not found"),
    ('device that is not here', ['-device', 'nvme,drive=d'], "-device nvme,drive=d: 'nvme' is not a valid device model name"),
    ('processor that is not here', ['-cpu', 'cortex-a9'], "unable to find CPU model 'cortex-a9'"),
    ('board that is not here', ['-M', 'raspi3b'], 'unsupported machine type: "raspi3b"'),
    ('accelerator that is not here', ['-accel', 'kvm'], 'invalid accelerator kvm'),
    ('processor unknown', ['-cpu', 'cortex-a5'], "unable to find CPU model 'cortex-a5'"),
    ('property of the processor unknown', ['-cpu', 'max,pauht=on'], "Property 'max.pauht' not found"),
    ('accelerator unknown', ['-accel', 'nosuch'], 'invalid accelerator nosuch'),
    ('object unknown', ['-object', 'rng-randm,id=x'], re.compile("'rng-randm'")),
    ('network unknown', ['-netdev', 'usr,id=n'], re.compile("'usr'")),
    ('character device unknown', ['-chardev', 'sockt,id=x'], re.compile("'sockt'")),
    ('no processors', ['-smp', '0'], 'Invalid CPU topology: CPU topology parameters must be greater than zero'),
    ('processors that do not add up', ['-smp', '2,cores=3'], 'Invalid CPU topology: product of the hierarchy must match maxcpus'),
    ('too many processors', ['-smp', '9999'], 'Invalid SMP CPUs 9999.'),
    ('size with a wrong unit', ['-m', '12q'], re.compile(r"-m 12q: Parameter 'size' expects a .*")),
    ('port of the debugger in use', ['-gdb', 'tcp:127.0.0.1:PORT'], re.compile('Address already in use')),
    ('port of a serial line in use', ['-chardev', 'socket,id=c,host=127.0.0.1,port=PORT,server=on,wait=off'], re.compile('Address already in use')),
    ('port of a monitor in use', ['-monitor', 'telnet:127.0.0.1:PORT,server,nowait'], re.compile('Address already in use')),
    ('port to forward in use', ['-nic', 'user,hostfwd=tcp:127.0.0.1:PORT-:22'],
     re.compile(r"Could not set up host forwarding rule 'tcp:127\.0\.0\.1:\d+-:22'")),
    ('socket nowhere', ['-monitor', 'unix:nowhere/m,server,nowait'], re.compile('Failed to bind socket to nowhere/m: No such file or directory')),
    ('socket with a name too long', ['-monitor', f'unix:{"x" * 200},server,nowait'], re.compile('too long')),
    ('file nowhere', ['-chardev', 'file,id=c,path=nowhere/f'], re.compile("Could not open 'nowhere/f': No such file or directory")),
    ('log nowhere', ['-D', 'nowhere/l'], 'Error opening logfile nowhere/l: No such file or directory'),
    ('pidfile nowhere', ['-pidfile', 'nowhere/p'], 'cannot create PID file: Cannot open pid file: No such file or directory'),
    ('configuration missing', ['-readconfig', 'gone'], f'-readconfig gone: {MISSING}'),
    ('configuration broken', ['-readconfig', 'broken.cfg'], '-readconfig broken.cfg: broken.cfg:2: parse error'),
    ('configuration noise', ['-readconfig', 'noise'], '-readconfig noise: noise:1: parse error'),
    ('more memory than addresses', ['-m', '99999999G'], re.compile('99999999G')),
    ('no memory', ['-m', '1000G', '-object', 'memory-backend-ram,id=m,size=1000G,prealloc=on', '-machine', 'memory-backend=m'], re.compile('memory')),
    ('memory in a file nowhere', ['-object', 'memory-backend-file,id=m,size=128M,mem-path=nowhere/r', '-machine', 'memory-backend=m'],
     re.compile("cannot open backing store 'nowhere/r'")),
    ('in the background', ['-daemonize', '-kernel', 'gone'], f"could not load kernel 'gone': {MISSING}"),
]


class Bad(Exception):
    pass


def limit(nbytes):
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (nbytes, nbytes))


def refused(name, args, want, **kw):
    """Runs the program in a session of its own, so that whoever stays is found."""
    before = set(os.listdir('.'))
    base = ['-M', 'virt'] + QUIET + ['-pidfile', 'run.pid', '-chardev', 'socket,id=left,path=left.sock,server=on,wait=off']
    if '-pidfile' in args:
        base = ['-M', 'virt'] + QUIET
    if '-M' in args:
        base = base[2:]
    if '-monitor' in args:
        base = [x for i, x in enumerate(base) if x != '-monitor' and base[i - 1] != '-monitor']
    p = subprocess.Popen([RHEA, *base, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **kw)
    try:
        out, err = (x.decode('utf-8', 'replace') for x in p.communicate(timeout=PATIENCE))
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        raise Bad(f'it still runs after {PATIENCE} s')
    lines = [x for x in err.splitlines() if not re.match(r'rhea-system-aarch64: info: |WARNING: Image format|         (Automatically|Specify)', x)]
    if p.returncode != 1:
        raise Bad(f'exit status {p.returncode}, not 1: {err!r}')
    if out:
        raise Bad(f'standard output has {out!r}')
    if not lines or not lines[0].startswith('rhea-system-aarch64: '):
        raise Bad(f'the first line does not say who speaks: {err!r}')
    text = lines[0].removeprefix('rhea-system-aarch64: ')
    if not (want.search(text) if isinstance(want, re.Pattern) else text.startswith(want)):
        raise Bad(f'{text!r} is not {want!r}')
    if len(text) > 600 or not text.isprintable():
        raise Bad(f'not a line for people: {text!r}')
    unknown = [x for x in lines[1:] if not HINT.fullmatch(x) and not x.startswith(('Optional suffix', 'and exabytes'))]
    if unknown or len(lines) > 3:
        raise Bad(f'more than a line and a hint: {lines!r}')
    left = set(os.listdir('.')) - before
    if left:
        raise Bad(f'left behind: {sorted(left)}')
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as f:
                state, _, _, session = f.read().rpartition(')')[2].split()[:4]
        except OSError:
            continue
        if session == str(p.pid) and state != 'Z':
            raise Bad(f'process {pid} is left')
    if '-daemonize' in args and any('gone' in x for x in map(cmdline, filter(str.isdigit, os.listdir('/proc'))) if RHEA in x):
        raise Bad('the child of -daemonize is left')


def cmdline(pid):
    try:
        with open(f'/proc/{pid}/cmdline', 'rb') as f:
            return [x.decode('utf-8', 'replace') for x in f.read().split(b'\0')]
    except OSError:
        return []


def locked():
    """A disk that another process uses."""
    p = subprocess.Popen([RHEA, '-M', 'virt', *QUIET[:4], '-monitor', 'stdio', '-S', '-drive', 'file=locked.qcow2,format=qcow2'],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        got = b''
        while b'(qemu) ' not in got:
            piece = os.read(p.stdout.fileno(), 4096)
            if not piece:
                raise Bad('the first machine ended')
            got += piece
        refused('', ['-drive', 'file=locked.qcow2,format=qcow2'], re.compile('Failed to get "write" lock'))
    finally:
        p.kill()
        p.communicate()


def cut_save():
    """A save that lost its end, and one with a flipped bit."""
    base = [RHEA, '-M', 'virt', *QUIET[:4], '-monitor', 'stdio', '-S']
    subprocess.run(base, input=b'migrate file:save\nquit\n', stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=PATIENCE)
    with open('save', 'rb') as f:
        data = f.read()
    for n, bad in enumerate((data[:len(data) // 2], data[:-1], data[:len(data) // 3] + bytes([data[len(data) // 3] ^ 4]) + data[len(data) // 3 + 1:])):
        put('save', bad)
        refused('', ['-incoming', 'file:save'], re.compile(r"^-incoming file:save: .*"))
    os.unlink('save')


def little_memory():
    """Whatever the limit on the address space is: it works, or says why not."""
    if SHADOW:
        return 'a sanitizer needs the address space itself'
    for mib in (100, 200, 400, 450, 500, 550, 600, 650, 700, 800, 900):
        try:
            refused('', ['-S', '-no-shutdown', '-incoming', 'file:empty'], re.compile('memory|address space|not a save'), preexec_fn=limit(mib << 20))
        except Bad as e:
            raise Bad(f'with {mib} MiB: {e}')
    refused('', ['-m', '8G'], re.compile("cannot set up guest memory 'mach-virt.ram'"), preexec_fn=limit(4 << 30))
    return None


def main():
    os.environ['LC_ALL'] = 'C'
    rows = ROWS + [('disk in use by another', None, locked), ('save cut or flipped', None, cut_save), ('little address space', None, little_memory)]
    chosen = [r for r in rows if not sys.argv[2:] or r[0] in sys.argv[2:]]
    print(f'1..{len(chosen)}')
    bad = 0
    with tempfile.TemporaryDirectory() as folder, socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        os.chdir(folder)
        prepare()
        for i, (name, args, want) in enumerate(chosen, 1):
            skip = None
            try:
                if args is None:
                    skip = want()
                elif name == 'no memory' and SHADOW:
                    skip = 'the sanitizer takes the blame for memory that is not there'
                else:
                    limits = {'preexec_fn': limit(64 << 30)} if name == 'no memory' else {}
                    refused(name, [a.replace('PORT', str(taken.getsockname()[1])) for a in args], want, **limits)
                print(f'ok {i} {name}' + (f' # SKIP {skip}' if skip else ''), flush=True)
            except Bad as e:
                bad += 1
                print(f'not ok {i} {name}\n# {e}', flush=True)
        os.chdir('/')
    return 1 if bad else 0


sys.exit(main())
