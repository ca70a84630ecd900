#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The program as its users meet it: exit statuses, last words, terminals, monitors, what is left behind.

usage: program-test.py FOLDER-OF-THE-PROGRAM [CASE...]
Guests are a few instructions each, wrapped into an ELF file here.
"""
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

BIN = os.path.abspath(sys.argv[1])
RHEA = os.path.join(BIN, 'rhea-system-aarch64')
PEER = os.path.join(BIN, 'qemu-system-aarch64')
QUIET = ['-display', 'none', '-serial', 'none', '-monitor', 'none']
LOAD = 0x40080000

# movz/movk w0 of a PSCI function number, then hvc #0
OFF = [0x52800100, 0x72b08000, 0xd4000002]         # 0x84000008
RESET = [0x52800120, 0x72b08000, 0xd4000002]       # 0x84000009
SPIN = [0x14000000]                                # b .
# x2 = UART; wait for a character, add one, send it back
ECHO = [0xd2a12002, 0xb9401843, 0x3727ffe3, 0xb9400040, 0x11000400, 0xb9000040, 0x17fffffb]


def elf(words, path):
    """A static AArch64 ELF with one segment at LOAD."""
    code = struct.pack(f'<{len(words)}I', *words)
    ehdr = b'\x7fELF\x02\x01\x01' + bytes(9) + struct.pack('<HHIQQQIHHHHHH', 2, 183, 1, LOAD, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    phdr = struct.pack('<IIQQQQQQ', 1, 5, 120, LOAD, LOAD, len(code), len(code), 4)
    with open(path, 'wb') as f:
        f.write(ehdr + phdr + code)
    return path


def machine(words, *args, prog=RHEA):
    return [prog, '-M', 'virt', '-accel', 'tcg', '-cpu', 'max', '-kernel', elf(words, 'guest.elf'), *args]


# Nothing here waits for a time, only for facts; this turns a hang into a failure with words.
PATIENCE = 240


def run(argv, stdin=b'', timeout=PATIENCE):
    return subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout)


def start(argv, **kw):
    return subprocess.Popen(argv, stdin=kw.pop('stdin', subprocess.PIPE), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)


def until(fd, want, timeout=PATIENCE):
    """Read from a descriptor until the text is there."""
    got, end = b'', time.time() + timeout
    while want not in got:
        if not select.select([fd], [], [], max(0, end - time.time()))[0]:
            raise AssertionError(f'no {want!r} in {got!r}')
        piece = os.read(fd, 4096)
        if not piece:
            raise AssertionError(f'end of file before {want!r} in {got!r}')
        got += piece
    return got


def connect(path, timeout=PATIENCE):
    end = time.time() + timeout
    while True:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path)
            return s
        except OSError:
            s.close()
            if time.time() > end:
                raise
            time.sleep(0.01)


def eventually(what, fact):
    """Asks again until the answer is true, and returns it."""
    end = time.time() + PATIENCE
    while not (got := fact()):
        if time.time() > end:
            raise AssertionError(f'this never came: {what}')
        time.sleep(0.01)
    return got


def check(what, got, want):
    if isinstance(want, re.Pattern):
        ok = want.search(got)
        want = want.pattern
    else:
        ok = got == want
    if not ok:
        raise AssertionError(f'{what}: {got!r} is not {want!r}')


# ---- cases ----

def case_poweroff():
    r = run(machine(OFF, *QUIET))
    check('status', (r.returncode, r.stdout, r.stderr), (0, b'', b''))


def case_no_reboot():
    r = run(machine(RESET, '-no-reboot', *QUIET))
    check('status', (r.returncode, r.stderr), (0, b''))


def case_signal():
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        p = start(machine(SPIN, '-display', 'none', '-serial', 'none', '-monitor', 'stdio', prog=PEER))
        until(p.stdout.fileno(), b'(qemu) ')
        p.send_signal(sig)
        _, err = p.communicate(timeout=PATIENCE)
        check('status', p.returncode, 0)
        want = rf'^qemu-system-aarch64: terminating on signal {int(sig)} from pid {os.getpid()} \(\S*python\S*\)\n$'
        check('stderr', err.decode(), re.compile(want))


def case_serial_stdio():
    p = start(machine(ECHO, '-display', 'none', '-serial', 'stdio', '-monitor', 'none'))
    p.stdin.write(b'HAL')
    p.stdin.flush()
    until(p.stdout.fileno(), b'IBM')
    p.terminate()
    p.communicate(timeout=PATIENCE)
    check('status', p.returncode, 0)


def case_nographic():
    """The terminal is the guest's, Ctrl-A c the monitor's, Ctrl-A x ends."""
    p = start(machine(ECHO, '-nographic', prog=PEER))
    fd = p.stdout.fileno()
    p.stdin.write(b'HAL')
    p.stdin.flush()
    until(fd, b'IBM')
    p.stdin.write(b'\x01c')
    p.stdin.flush()
    got = until(fd, b'(qemu) ')
    check('greeting', got, b"QEMU 8.2.0 monitor - type 'help' for more information\r\n(qemu) ")
    p.stdin.write(b'info chardev\n')
    p.stdin.flush()
    got = until(fd, b'\r\n(qemu) ')
    check('chardevs', got, re.compile(rb'serial0-base: filename=stdio\r\n'))
    p.stdin.write(b'\x01c@')
    p.stdin.flush()
    until(fd, b'A')
    p.stdin.write(b'\x01h\x01x')
    p.stdin.flush()
    out, err = p.communicate(timeout=PATIENCE)
    check('last words', out, re.compile(rb'\n\rC-a h    print this help\n\r(.|\n)*QEMU: Terminated\n\r$'))
    check('status', (p.returncode, err), (0, b''))


def case_terminal():
    """On a terminal: raw while it runs, as before afterwards."""
    import termios
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    p = subprocess.Popen(machine(ECHO, '-nographic'), stdin=slave, stdout=slave, stderr=slave)
    os.write(master, b'HAL')
    until(master, b'IBM')
    assert not termios.tcgetattr(slave)[3] & (termios.ICANON | termios.ISIG), 'the terminal is not raw'
    os.write(master, b'\x01x')
    p.wait(timeout=PATIENCE)
    check('settings', termios.tcgetattr(slave), before)


def case_monitor_socket():
    p = start(machine(SPIN, '-S', '-display', 'none', '-serial', 'none', '-monitor', 'unix:m.sock,server,nowait'))
    s = connect('m.sock')
    until(s.fileno(), b'(qemu) ')
    for line, want in (('info status', b'VM status: paused (prelaunch)'), ('c', b''), ('info status', b'VM status: running'),
                       ('stop', b''), ('info status', b'VM status: paused'), ('xp /1wx 0x40080000', b'0000000040080000: 0x14000000'),
                       ('p 1+2*3', b'7'), ('info roms', b'guest.elf'), ('nosuch', b"unknown command: 'nosuch'"),
                       ('info registers', b'PC=0000000040080000')):
        s.sendall(line.encode() + b'\n')
        got = until(s.fileno(), b'(qemu) ')
        text = got.split(b'\x1b[K\r\n')[-1]
        if want not in text or (not want and text != b'(qemu) '):
            raise AssertionError(f'{line}: {text!r} lacks {want!r}')
    s.close()
    s = connect('m.sock')                   # the next client gets a greeting of its own
    until(s.fileno(), b'(qemu) ')
    s.sendall(b'quit\n')
    p.communicate(timeout=PATIENCE)
    check('status', p.returncode, 0)
    check('socket', os.path.exists('m.sock'), False)


def case_save_restore():
    count = [0xd2800000, 0xd2a80001, 0x91000400, 0xf9000020, 0x17fffffe]      # x0 counts, stored at RAM's start
    p = start(machine(count, '-display', 'none', '-serial', 'none', '-monitor', 'stdio'))
    until(p.stdout.fileno(), b'(qemu) ')
    p.stdin.write(b'migrate file:state\nxp /1gx 0x40000000\nquit\n')
    out, err = p.communicate(timeout=PATIENCE)
    saved = re.search(rb'0000000040000000: (0x\w+)\r\n', out).group(1)
    q = start(machine(count, '-S', '-incoming', 'file:state', '-display', 'none', '-serial', 'none', '-monitor', 'stdio'))
    q.stdin.write(b'xp /1gx 0x40000000\nquit\n')
    out, err = q.communicate(timeout=PATIENCE)
    check('memory', re.search(rb'0000000040000000: (0x\w+)\r\n', out).group(1), saved)
    check('status', (p.returncode, q.returncode, err), (0, 0, b''))
    d = start(machine(count, '-incoming', 'defer', '-display', 'none', '-serial', 'none', '-monitor', 'stdio'))
    d.stdin.write(b'info status\nmigrate_incoming file:gone\nmigrate_incoming file:state\ninfo status\nquit\n')
    out, err = d.communicate(timeout=PATIENCE)
    check('deferred', (d.returncode, err, re.findall(rb'(VM status: .*|Error: .*)\r\n', out)),
          (0, b'', [b'VM status: paused (inmigrate)', b"Error: Could not open 'gone': No such file or directory", b'VM status: running']))
    with open('state', 'r+b') as f:
        f.truncate(os.path.getsize('state') // 2)
    r = run(machine(count, '-incoming', 'file:state', *QUIET))
    check('truncated', r.returncode, 1)
    check('words', r.stderr.decode(), re.compile(r'^rhea-system-aarch64: -incoming file:state: .*\n'))


def case_pidfile_daemon():
    r = run(machine(SPIN, *QUIET, '-daemonize', '-pidfile', 'p.pid'))
    check('parent', (r.returncode, r.stdout, r.stderr), (0, b'', b''))
    with open('p.pid') as f:
        pid = int(f.read())
    try:
        check('mode', os.stat('p.pid').st_mode & 0o777, 0o600)
        check('folder', os.readlink(f'/proc/{pid}/cwd'), '/')
        again = run(machine(OFF, *QUIET, '-pidfile', 'p.pid'))
        check('second', (again.returncode, again.stderr.decode()),
              (1, 'rhea-system-aarch64: cannot create PID file: Cannot lock pid file: Resource temporarily unavailable\n'))
        os.kill(pid, signal.SIGTERM)
        eventually('the pidfile goes', lambda: not os.path.exists('p.pid'))
    except BaseException:
        os.kill(pid, signal.SIGKILL)                        # nobody else would
        raise


def case_refused():
    """One clear line, status 1, nothing left behind."""
    with open('small.img', 'wb') as f:
        f.truncate(1 << 20)
    here = os.listdir('.')
    rows = [
        (['-bogus'], '-bogus: invalid option\n'),
        (['-M', 'vrit'], 'unsupported machine type: "vrit"\n'),
        ([], 'No machine specified, and there is no default\nUse -machine help to list supported machines\n'),
        (['-M', 'virt', '-cpu', 'nosuch'], "unable to find CPU model 'nosuch'\n"),
        (['-M', 'virt', '-kernel', 'gone'], "could not load kernel 'gone'"),
        (['-M', 'virt', '-append', 'x'], '-append only allowed with -kernel option\n'),
        (['-M', 'virt', '-device', 'virtio-rgn-pci'], "-device virtio-rgn-pci: 'virtio-rgn-pci' is not a valid device model name\n"),
        (['-M', 'virt', '-device', 'virtio-rng-pci,nosuch=1'], "-device virtio-rng-pci,nosuch=1: Property 'virtio-rng-pci.nosuch' not found\n"),
        (['-M', 'virt', '-device', 'e1000'], "-device e1000: 'e1000' is not a valid device model name\nthis build has no such network card; use virtio-net-pci"),
        (['-M', 'virt', '-cpu', 'host'], "unable to find CPU model 'host'\n-cpu host needs hardware acceleration, which this build does not have; use -cpu max\n"),
        (['-M', 'raspi3b'], 'unsupported machine type: "raspi3b"\nthis build has one board for Arm: virt\n'),
        (['-M', 'virt', '-accel', 'kvm'], 'invalid accelerator kvm\nthis build has tcg, which runs on every host'),
        (['-M', 'virt', '-accel', 'tcg,tbsize=1'], "Property 'tcg-accel.tbsize' not found\ndid you mean 'tb-size'?\n"),
        (['-M', 'virt,nosuch=1'], "Property 'virt-8.2-machine.nosuch' not found\n"),
        (['-M', 'virt', '-drive', 'file=gone'], "-drive file=gone: Could not open 'gone': No such file or directory\n"),
        (['-M', 'virt', '-pflash', 'small.img'], 'device requires 67108864 bytes, block backend provides 1048576 bytes\n'),
        (['-M', 'virt', '-drive', 'file=small.img,format=raw,if=ide'],
         '-drive file=small.img,format=raw,if=ide: machine type does not support if=ide,bus=0,unit=0\n'),
        (['-M', 'virt', '-nic', 'usr'], "-nic usr: "),
        (['-M', 'virt', '-serial', 'nosuch'], "-serial nosuch: 'nosuch' is not a valid char driver\n"),
        (['-M', 'virt', '-monitor', 'unix:m.sock,server,nowait', '-kernel', 'gone'], "could not load kernel 'gone'"),
        (['-M', 'virt', '-accel', 'nosuch'], 'invalid accelerator nosuch\n'),
        (['-M', 'virt', '-m', '99999999G'], None),
        (['-M', 'virt', '-smp', '9999'], "Invalid SMP CPUs 9999. The max CPUs supported by machine 'virt-8.2' is 512\n"),
        (['-M', 'virt', '-icount', 'shift=77'], 'icount: Invalid shift value\n'),
        (['-M', 'virt', '-icount', 'sleep=off'], 'shift=auto and sleep=off are incompatible'),
        (['-M', 'virt', '-icount', 'auto,align=on'], 'shift=auto and align=on are incompatible'),
        (['-M', 'virt', '-icount', '3,align=on,sleep=off'], 'align=on and sleep=off are incompatible'),
        (['-M', 'virt', '-rtc', 'base=foo'], "invalid datetime format\nvalid formats: '2006-06-17T16:01:21' or '2006-06-17'\n"),
        (['-M', 'virt', '-uuid', 'foo'], '-uuid foo: failed to parse UUID string: wrong format\n'),
        (['-M', 'virt', '-qmp', 'foo:'], "-qmp foo:: "),
        (['-M', 'virt', '-chardev', 'null,id=c', '-mon', 'c,pretty=on'], "-mon c,pretty=on: 'pretty' is not compatible with HMP monitors\n"),
    ]
    for args, want in rows:
        extra = [] if '-serial' in args or '-monitor' in args else QUIET
        r = run([RHEA, *args, *extra, '-pidfile', 'p.pid'])
        check(f'{args} status', r.returncode, 1)
        err = re.sub(r'(WARNING: (.*\n)(         .*\n)*)|(rhea-system-aarch64: info: .*\n)', '', r.stderr.decode())
        if want and not err.startswith('rhea-system-aarch64: ' + want):
            raise AssertionError(f'{args}: {r.stderr.decode()!r} does not begin with {want!r}')
        check(f'{args} stdout', r.stdout, b'')
        check(f'{args} left behind', sorted(set(os.listdir('.')) - set(here)), [])


def case_disks_and_cards():
    """What -drive, -hda, -nic and the default bring along, as the device tree of the monitor shows it."""
    with open('d.img', 'wb') as f:
        f.truncate(1 << 20)
    for args, want, unwanted in ((['-hda', 'd.img'], ('virtio-blk-pci', 'virtio-net-pci'), ()),
                                 (['-drive', 'file=d.img,format=raw', '-nodefaults'], ('virtio-blk-pci',), ('virtio-net-pci',)),
                                 (['-drive', 'file=d.img,format=raw,if=none,id=x', '-nic', 'none'], (), ('virtio-blk-pci', 'virtio-net-pci')),
                                 (['-drive', 'file=d.img,format=raw,if=none,id=x', '-device', 'virtio-blk-device,drive=x'], ('virtio-blk-device',), ()),
                                 (['-nic', 'user,model=virtio'], ('virtio-net-pci',), ())):
        r = run(machine(SPIN, *args, '-display', 'none', '-monitor', 'stdio', '-S'), b'info qtree\nquit\n')
        check(f'{args} status', r.returncode, 0)
        for name in want:
            check(f'{args}', r.stdout, re.compile(rb'dev: ' + name.encode() + rb', id'))
        for name in unwanted:
            check(f'{args} has no {name}', b'dev: ' + name.encode() in r.stdout, False)


def case_drive_spellings():
    """Options of the file beside those of the disk, devices of characters, detect-zeroes without discard: as they are typed at the whole program."""
    with open('d.img', 'wb') as f:
        f.truncate(1 << 20)
    for text, want in (('file=d.img,format=raw,file.locking=off', 'd.img (raw)'), ('file.locking=off,file.filename=d.img,driver=raw', 'd.img (raw)'),
                       ('driver=raw,file.driver=file,file.filename=d.img,detect-zeroes=unmap', 'd.img (raw)'), ('file=/dev/null,format=raw', '/dev/null (raw)'),
                       ('file=file:d.img,format=raw', 'd.img (raw)')):
        r = run(machine(SPIN, '-nodefaults', '-drive', 'if=none,id=x,' + text, '-display', 'none', '-monitor', 'stdio', '-S'), b'info block\nquit\n')
        check(f'-drive {text} status', (r.returncode, r.stderr), (0, r.stderr))
        check(f'-drive {text}', r.stdout, re.compile(rb'\nx \([^)]*\): ' + re.escape(want.encode())))


def case_help():
    for args, want in ((['-M', 'help'], r'^Supported machines are:\n(.*\n)*virt +.*\(alias of virt-8\.2\)\nvirt-8\.2 '),
                       (['-cpu', '?'], r'^Available CPUs:\n(.*\n)*  max\n'),
                       (['-device', 'help'], r'(^|\n)name "virtio-rng-pci", bus PCI'),
                       (['--device', 'virtio-rng-pci,help'], r'^virtio-rng-pci options:\n'),
                       (['-accel', 'help'], r'^Accelerators supported in QEMU binary:\ntcg\n'),
                       (['-chardev', 'help'], r'^Available chardev backend types: \n  file\n'),
                       (['-drive', 'format=?'], r'^Supported formats:.* qcow2 .*raw'),
                       (['-version', '-nographic'], r'^QEMU emulator version 8\.2\.0 \([a-z0-9._-]+\)\n')):
        r = run([PEER, *args])
        check(f'{args}', r.stdout.decode(), re.compile(want))
        check(f'{args} status', (r.returncode, r.stderr), (0, b''))
    r = run([PEER, '-version', '-bogus'])
    check('version with a wrong option', (r.returncode, r.stdout), (1, b''))


def case_texts():
    """The completion and the manual page are made from the table: every option is in both, and names complete."""
    script = 'source rhea.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _rhea; printf "%s\\n" "${COMPREPLY[@]}"'

    def complete(*words):
        return run(['bash', '-c', script.replace('rhea.bash', BIN + '/rhea.bash'), 'bash', *words]).stdout.decode().split()
    check('models', complete(RHEA, '-cpu', 'cortex-a5'), ['cortex-a53', 'cortex-a55', 'cortex-a57'])
    check('machines', complete(RHEA, '-M', 'virt-8'), ['virt-8.2'])
    check('devices', 'virtio-net-pci' in complete(RHEA, '-device', 'virtio-n'), True)
    check('options', complete(RHEA, '-pid'), ['-pidfile'])
    options = complete(RHEA, '-')
    with open(BIN + '/rhea.1', encoding='utf-8') as f:
        page = f.read().replace('\\-', '-')
    check('options in the page', [o for o in options if not re.search(rf'^\.(B|br)?.*(?<![\w-]){re.escape(o)}\b', page, re.M)], [])
    text = run([RHEA, '-help']).stdout.decode()
    check('options in the help', [o for o in options if o != '-M' and not re.search(rf'(^|[\s|]){re.escape(o)}\b', text, re.M)], [])
    check('length of the list', len(options) > 60, True)


def case_waits_for_client():
    """A server without wait=off holds the start until somebody comes, and says so; a signal ends it without a word."""
    argv = machine(OFF, '-display', 'none', '-monitor', 'none', '-serial', 'unix:w.sock,server')
    said = b'rhea-system-aarch64: -serial unix:w.sock,server: info: QEMU waiting for connection on: disconnected:unix:w.sock,server=on\n'
    p = start(argv)
    until(p.stderr.fileno(), b'server=on\n')
    s = connect('w.sock')
    _, err = p.communicate(timeout=PATIENCE)
    check('status', (p.returncode, err), (0, b''))
    s.close()
    p = start(argv)
    check('words', until(p.stderr.fileno(), b'server=on\n'), said)
    p.terminate()
    _, err = p.communicate(timeout=PATIENCE)
    check('signal', (p.returncode, err), (-signal.SIGTERM, b''))


def case_add_fd():
    """Descriptors that we opened: a disk and a log; a wrong one is named."""
    with open('disk', 'wb') as f:
        f.truncate(1 << 20)
    disk, log = os.open('disk', os.O_RDWR), os.open('log', os.O_WRONLY | os.O_CREAT)
    argv = machine(OFF, '-display', 'none', '-serial', 'none', '-add-fd', f'set=0,fd={disk},opaque=disk', '-add-fd', f'fd={log},set=7',
                   '-drive', 'file=/dev/fdset/0,if=virtio,format=raw', '-chardev', 'stdio,id=m,logfile=/dev/fdset/7', '-mon', 'm', '-S')
    r = subprocess.run(argv, input=b'info block\nquit\n', capture_output=True, timeout=60, pass_fds=(disk, log))
    check('status', (r.returncode, r.stderr.count(b'\n'), b'virtio0' in r.stdout, b'/dev/fdset/0' in r.stdout), (0, 0, True, True))
    with open('log', 'rb') as f:
        check('log', b'virtio0' in f.read(), True)
    for text, why in (('fd=99,set=1', b'fd is not valid or already in use'), ('fd=1,set=1', b'fd cannot be a standard I/O stream'), ('set=1', b"Parameter 'fd' is missing")):
        r = run(machine(OFF, *QUIET, '-add-fd', text))
        check(text, (r.returncode, why in r.stderr), (1, True))
    os.close(disk)
    os.close(log)


def case_rtc():
    """The board's clock begins where -rtc says; under instruction time a stopped machine's stands there."""
    for args, base, late in ((['-rtc', 'base=2006-06-17T16:01:21', '-icount', '3', '-seed', '1'], 1150560081, 0),
                             (['-rtc', 'base=2006-06-17,clock=vm'], 1150502400, 0),
                             (['-rtc', 'base=2006-06-17'], 1150502400, 1),
                             ([], None, 1)):
        began = time.time()
        r = run(machine(SPIN, *args, '-S', '-display', 'none', '-serial', 'none', '-monitor', 'stdio'), b'xp /1wd 0x09010000\nquit\n')
        got = int(re.search(rb'0000000009010000: (\d+)\r\n', r.stdout).group(1))
        low = int(began) - 1 if base is None else base
        high = low + late * (3 + int(time.time() - began))
        if not low <= got <= high:
            raise AssertionError(f'{args}: {got} is not in {low}..{high}')


def listening_port(pid):
    """The TCP port that a process listens at, or None."""
    with open(f'/proc/{pid}/net/tcp') as f:
        inodes = {x[9]: int(x[1].split(':')[1], 16) for x in map(str.split, f.readlines()[1:]) if x[3] == '0A'}
    for fd in os.listdir(f'/proc/{pid}/fd'):
        try:
            m = re.match(r'socket:\[(\d+)\]', os.readlink(f'/proc/{pid}/fd/{fd}'))
        except FileNotFoundError:           # closed since
            continue
        if m and m.group(1) in inodes:
            return inodes[m.group(1)]
    return None


def case_telnet():
    p = start(machine(SPIN, '-display', 'none', '-serial', 'none', '-monitor', 'telnet:127.0.0.1:0,server,nowait'))
    port = eventually('a listening socket', lambda: listening_port(p.pid))      # the kernel chose the number
    s = socket.create_connection(('127.0.0.1', port), PATIENCE)
    got = until(s.fileno(), b'(qemu) ')
    check('negotiation', got[:12], b'\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00')
    s.sendall(b'\xff\xfd\x01\xff\xfd\x03quit\r\0')
    p.communicate(timeout=PATIENCE)
    check('status', p.returncode, 0)


class Qmp:
    """A client of the machine protocol over a unix socket."""

    def __init__(self, path, negotiate=True):
        self.sock, self.buf, self.events = connect(path), b'', []
        if negotiate:
            self.negotiate()

    def negotiate(self):
        check('greeting', 'QMP' in self.line(), True)
        self.ask('qmp_capabilities')

    def line(self):
        while b'\r\n' not in self.buf:
            if not select.select([self.sock], [], [], 60)[0]:
                raise AssertionError(f'nothing behind {self.buf!r}')
            piece = self.sock.recv(65536)
            if not piece:
                raise AssertionError(f'end of file behind {self.buf!r}')
            self.buf += piece
        one, self.buf = self.buf.split(b'\r\n', 1)
        return json.loads(one)

    def ask(self, command, **arguments):
        """The answer; events before it are kept."""
        self.sock.sendall(json.dumps({'execute': command, 'arguments': {k.replace('_', '-'): v for k, v in arguments.items()}}).encode())
        while 'event' in (got := self.line()):
            self.events.append(got)
        return got.get('return', got.get('error'))

    def event(self, name):
        while not any(e['event'] == name for e in self.events):
            self.events.append(self.line())
        return next(e for e in self.events if e['event'] == name).get('data')

    def names(self):
        got, self.events = [e['event'] for e in self.events], []
        return got


def case_qmp():
    p = start(machine(SPIN, '-display', 'none', '-serial', 'none', '-monitor', 'none', '-S', '-qmp', 'unix:a.sock,server=on,wait=off',
                      '-chardev', 'socket,id=c,path=b.sock,server=on,wait=off', '-mon', 'c,mode=control', '-qmp', 'stdio'))
    p.stdin.close()                         # a terminal that hangs up ends nothing
    a, b = Qmp('a.sock'), Qmp('b.sock')
    check('status', a.ask('query-status'), {'status': 'prelaunch', 'singlestep': False, 'running': False})
    check('cont', (a.ask('cont'), a.names()), ({}, ['RESUME']))
    check('again', (a.ask('cont'), a.names()), ({}, []))
    b.event('RESUME')
    check('stop', (b.ask('stop'), b.names()), ({}, ['RESUME', 'STOP']))
    check('reset', (b.ask('system_reset'), b.names()), ({}, ['RESET']))
    check('stays', b.ask('query-status'), {'status': 'paused', 'singlestep': False, 'running': False})
    check('human', b.ask('human-monitor-command', command_line='info status'), 'VM status: paused\r\n')
    check('waits', b.ask('human-monitor-command', command_line='flush'), '')
    late = Qmp('a.sock', negotiate=False)   # waits until the first has left
    check('one at a time', select.select([late.sock], [], [], 0)[0], [])
    a.sock.close()
    late.negotiate()
    check('quit', late.ask('quit'), {})
    check('why', late.event('SHUTDOWN'), {'guest': False, 'reason': 'host-qmp-quit'})
    check('nothing else', late.names(), ['SHUTDOWN'])
    p.wait(timeout=60)
    check('status', p.returncode, 0)


def case_qmp_disks():
    """Disks while a guest runs: added by hand, an overlay, a job over it, gone again."""
    with open('d.img', 'wb') as f:
        f.truncate(1 << 20)
    p = start(machine(SPIN, '-display', 'none', '-serial', 'none', '-monitor', 'none', '-qmp', 'unix:a.sock,server=on,wait=off',
                      '-drive', 'file=d.img,format=raw,id=d0,if=virtio'))
    a = Qmp('a.sock')
    human = lambda line: a.ask('human-monitor-command', command_line=line)
    check('attached', human('info block'), re.compile(r'^d0 \(#block\d+\): d.img \(raw\)\r\n    Attached to:      .*\r\n    Cache mode:       writeback\r\n$'))
    check('eject', a.ask('eject', device='d0')['desc'], "Device 'd0' is not removable")
    check('eject', a.ask('eject', device='nosuch'), {'class': 'DeviceNotFound', 'desc': "Device 'nosuch' not found"})
    check('overlay', human('snapshot_blkdev d0 o.qcow2'), '')
    check('chain', 'Backing file:     d.img (chain depth: 1)' in human('info block d0'), True)
    check('no jobs', human('info block-jobs'), 'No active jobs\r\n')
    check('copy', human('drive_mirror -f d0 m.qcow2'), '')
    a.event('BLOCK_JOB_READY')
    check('a job', human('info block-jobs'), re.compile('^Type mirror, device d0: Completed 1048576 of 1048576 bytes, speed limit 0 bytes/s\r\n$'))
    check('switch', human('block_job_complete d0'), '')
    a.event('BLOCK_JOB_COMPLETED')
    check('it is the copy', human('info block d0'), re.compile(r'm\.qcow2'))
    check('one more', human('drive_add 0 if=none,file=o.qcow2,format=qcow2,id=x'), 'OK\r\n')
    check('is there', [d['device'] for d in a.ask('query-block')], ['d0', 'x'])
    check('gone', human('drive_del x'), '')
    check('is gone', [d['device'] for d in a.ask('query-block')], ['d0'])
    a.ask('quit')
    p.wait(timeout=60)
    check('status', p.returncode, 0)


def case_commit_by_hand():
    """'commit': the overlay's data is in the backing file, of which the rest stays, and the overlay is empty; what can not be committed says so."""
    image = os.path.join(BIN, 'rhea-img')
    with open('b.img', 'wb') as f:
        f.write(b'b' * (1 << 20))
    for line in (['create', '-q', '-f', 'qcow2', '-b', 'b.img', '-F', 'raw', 'o.qcow2', '2M'],
                 ['bench', '-q', '-w', '-f', 'qcow2', '-c', '1', '-d', '1', '-s', '64k', '-o', '64k', '--pattern', '111', 'o.qcow2'],
                 ['bench', '-q', '-w', '-f', 'qcow2', '-c', '1', '-d', '1', '-s', '4k', '-o', '1536k', '--pattern', '112', 'o.qcow2']):
        check(f'{line}', subprocess.run([image, *line]).returncode, 0)
    r = run(machine(SPIN, '-nodefaults', '-drive', 'file=o.qcow2,format=qcow2,id=d0,if=virtio', '-drive', 'file=b.img,format=raw,id=r0,if=none,read-only=on,file.locking=off',
                    '-display', 'none', '-monitor', 'stdio', '-S'), b'commit nosuch\ncommit r0\ncommit d0\ncommit all\ninfo block d0\nquit\n')
    check('status', r.returncode, 0)
    check('no such', b"Device 'nosuch' not found" in r.stdout, True)
    check('no backing file', b"'commit' error for 'r0': it has no backing file" in r.stdout, True)
    check('all else went well', r.stdout.count(b'Error'), 2)
    with open('b.img', 'rb') as f:
        got = f.read()
    check('the disk', got == b'b' * 65536 + b'o' * 65536 + b'b' * (1048576 - 131072) + bytes(1 << 19) + b'p' * 4096 + bytes((1 << 19) - 4096), True)
    extents = json.loads(run([image, 'map', '--output=json', '-f', 'qcow2', 'o.qcow2']).stdout)
    check('the overlay is empty', [e for e in extents if e['depth'] == 0 and e['present']], [])


def case_qmp_guest_off():
    p = start(machine(OFF, '-display', 'none', '-serial', 'none', '-monitor', 'none', '-S', '-qmp', 'unix:a.sock,server=on,wait=off'))
    a = Qmp('a.sock')
    a.ask('cont')
    check('why', a.event('SHUTDOWN'), {'guest': True, 'reason': 'guest-shutdown'})
    check('no STOP', a.names(), ['RESUME', 'SHUTDOWN'])
    p.wait(timeout=60)


def case_trace():
    r = run(machine(OFF, '-display', 'none', '-monitor', 'none', '-serial', 'null', '-trace', 'char_make', '-D', 'log.txt'))
    with open('log.txt') as f:
        check('trace', (r.returncode, r.stderr, f.read()), (0, b'', 'char_make id=serial0 kind=null\n'))


def case_dumpdtb():
    r = run([PEER, '-M', 'virt,dumpdtb=tree.dtb', *QUIET])
    with open('tree.dtb', 'rb') as f:
        check('tree', (r.returncode, f.read(4)), (0, b'\xd0\x0d\xfe\xed'))
    check('says so', b'dtb dumped to tree.dtb. Exiting.' in r.stderr, True)


def case_special_files():
    """What is written to a device or through a link is written there: no file takes its place."""
    os.mkfifo('pipe')
    os.symlink('target', 'link')
    with open('target', 'w', encoding='utf-8'):
        pass
    for name in ('pipe', 'link'):
        for argv, stdin in ((['-M', f'virt,dumpdtb={name}', *QUIET], b''),
                            (['-M', 'virt', '-S', '-display', 'none', '-serial', 'none', '-monitor', 'stdio'], f'migrate file:{name}\nquit\n'.encode())):
            fd = os.open('pipe', os.O_RDWR)             # somebody reads, so that opening it does not wait
            p = start([PEER, *argv])
            if stdin:
                p.stdin.write(stdin)
                p.stdin.flush()
            while p.poll() is None:                     # a pipe that nobody empties would hold it
                if select.select([fd], [], [], 0.05)[0]:
                    os.read(fd, 65536)
            p.communicate()
            os.close(fd)
            check(f'{name} is still what it was', (os.path.islink('link'), os.path.exists('pipe') and not os.path.isfile('pipe')), (True, True))
    check('written through the link', os.path.getsize('target') > 1000, True)


def case_choices():
    """What is chosen for the user is said, in one line each; not under the peer's name."""
    guest = elf(OFF, 'guest.elf')
    r = run([RHEA, '-M', 'virt', '-kernel', guest, *QUIET])
    check('ours', r.stderr.decode(), re.compile(r'^rhea-system-aarch64: info: accelerator tcg .*\nrhea-system-aarch64: info: processor cortex-\w+ .*\n$'))
    r = run([PEER, '-M', 'virt', '-kernel', guest, *QUIET])
    check("peer's", (r.returncode, r.stderr), (0, b''))


def case_pty():
    p = start(machine(ECHO, '-display', 'none', '-monitor', 'none', '-serial', 'pty'))
    got = until(p.stdout.fileno(), b'\n')
    name = re.fullmatch(rb'char device redirected to (/dev/pts/\d+) \(label serial0\)\n', got).group(1)
    fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
    os.write(fd, b'HAL')
    until(fd, b'IBM')
    p.terminate()
    p.communicate(timeout=PATIENCE)


def main():
    names = sys.argv[2:] or [n[5:] for n in globals() if n.startswith('case_')]
    bad = 0
    print(f'1..{len(names)}')
    for i, name in enumerate(names, 1):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            began = time.time()
            try:
                globals()['case_' + name]()
                print(f'ok {i} {name} # {time.time() - began:.2f} s', flush=True)
            except (AssertionError, subprocess.TimeoutExpired, OSError, AttributeError) as e:
                bad += 1
                print(f'not ok {i} {name}\n# {e}', flush=True)
            os.chdir('/')
    return 1 if bad else 0


sys.exit(main())
