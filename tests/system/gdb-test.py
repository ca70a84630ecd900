#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The debug server, packet by packet, and (with --gdb) by the real gdb.

usage: gdb-test.py FOLDER-OF-THE-PROGRAM [--gdb]
"""
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

# Nothing here waits for a time, only for facts; this turns a hang into a failure with words.
PATIENCE = 240
RHEA = os.path.join(os.path.abspath(sys.argv[1]), 'rhea-system-aarch64')
LOAD = 0x40080000
# x0 = 0; x1 = RAM; again: x0 += 1; str x0, [x1]; nop; b again
COUNT = [0xd2800000, 0xd2a80001, 0x91000400, 0xf9000020, 0xd503201f, 0x17fffffd]


def elf(words, path):
    code = struct.pack(f'<{len(words)}I', *words)
    ehdr = b'\x7fELF\x02\x01\x01' + bytes(9) + struct.pack('<HHIQQQIHHHHHH', 2, 183, 1, LOAD, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    phdr = struct.pack('<IIQQQQQQ', 1, 5, 120, LOAD, LOAD, len(code), len(code), 4)
    with open(path, 'wb') as f:
        f.write(ehdr + phdr + code)


class Gdb:
    """A client of the protocol in acknowledge mode."""

    def __init__(self, path):
        end = time.time() + PATIENCE
        while True:
            self.s = socket.socket(socket.AF_UNIX)
            try:
                self.s.connect(path)
                break
            except OSError:
                self.s.close()
                if time.time() > end:
                    raise
                time.sleep(0.01)
        self.s.settimeout(PATIENCE)
        self.buf = b''

    def byte(self):
        if not self.buf:
            self.buf = self.s.recv(4096)
            if not self.buf:
                raise EOFError
        b, self.buf = self.buf[:1], self.buf[1:]
        return b

    def reply(self):
        while self.byte() != b'$':
            pass
        out = b''
        while (b := self.byte()) != b'#':
            out += bytes([self.byte()[0] ^ 0x20]) if b == b'}' else b
        self.byte(), self.byte()
        try:
            self.s.sendall(b'+')
        except OSError:                                     # the last answer of a program that ends
            pass
        return out.decode('latin-1')

    def send(self, text):
        raw = text.encode('latin-1')
        self.s.sendall(b'$' + raw + b'#%02x' % (sum(raw) & 0xff))

    def ask(self, text):
        self.send(text)
        return self.reply()


def expect(g, packet, want):
    got = g.ask(packet)
    if not re.fullmatch(want, got, re.S):
        raise AssertionError(f'{packet}: {got!r} is not {want!r}')
    return got


def packets(g):
    expect(g, 'qSupported:multiprocess+;swbreak+', r'PacketSize=1000;qXfer:features:read\+;vContSupported\+;multiprocess\+')
    for packet, want in (('vMustReplyEmpty', ''), ('Hgp0.0', 'OK'), ('qTStatus', ''), ('?', r'T05thread:p01\.01;'), ('qfThreadInfo', r'mp01\.01'),
                         ('qsThreadInfo', r'mp01\.02'), ('qsThreadInfo', 'l'), ('qAttached:1', '1'), ('Hc-1', 'OK'), ('qC', r'QCp01\.01'),
                         ('qThreadExtraInfo,p1.2', '4350552331205b68616c746564205d'), ('vCont?', 'vCont;c;C;s;S'),
                         ('qqemu.sstepbits', 'ENABLE=1,NOIRQ=2,NOTIMER=4'), ('qqemu.sstep', '0x7'), ('qqemu.Supported', 'sstepbits;sstep;PhyMemMode'),
                         ('Qqemu.sstep=7', 'OK'), ('Qqemu.PhyMemMode:1', 'OK'), ('qqemu.PhyMemMode', '1'), ('Qqemu.PhyMemMode:0', 'OK'),
                         ('T1', 'OK'), ('T9', 'E22'), ('Hg9', 'E22'), ('qOffsets', ''), ('qSymbol::', ''), ('qXfer:memory-map:read::0,100', ''),
                         ('qXfer:features:read:nothere.xml:0,100', 'E00'), ('X40000000,0:', ''), ('z0,1234,4', 'E22'), ('Z5,1,1', ''),
                         ('m4000000000000,8', 'E14'), ('vFile:open:', ''), ('vAttach;1', r'T05thread:p01\.01;')):
        expect(g, packet, want)
    expect(g, 'qXfer:features:read:target.xml:0,ffb', r'l.*<architecture>aarch64</architecture>.*')
    if len(expect(g, 'g', '[0-9a-f]*')) != 268 * 2:
        raise AssertionError('g has not 268 bytes')
    expect(g, 'm40080000,8', '000080d20100a8d2')
    expect(g, 'M40001000,4:01020304', 'OK')
    expect(g, 'm40001000,4', '01020304')
    expect(g, 'p20', '0000084000000000')                    # pc
    expect(g, 'P7=646c000000000000', 'OK')
    expect(g, 'p7', '646c000000000000')


def running(g):
    expect(g, 'vCont;s:p1.1;c:p1.-1', r'T05thread:p01\.01;')
    expect(g, 'p20', '0400084000000000')
    expect(g, 'Z0,40080008,4', 'OK')
    expect(g, 'vCont;c:p1.-1', r'T05thread:p01\.01;')
    expect(g, 'p20', '0800084000000000')
    expect(g, 'z0,40080008,4', 'OK')                        # a client steps off a breakpoint before it goes on
    expect(g, 'vCont;s:p1.1;c:p1.-1', r'T05thread:p01\.01;')
    expect(g, 'Z0,40080008,4', 'OK')
    expect(g, 'vCont;c:p1.-1', r'T05thread:p01\.01;')
    expect(g, 'p0', '0100000000000000')
    expect(g, 'z0,40080008,4', 'OK')
    expect(g, 'Z2,40000000,8', 'OK')
    expect(g, 'vCont;c:p1.-1', r'T05thread:p01\.01;watch:0000000040000000;')
    expect(g, 'm40000000,8', '0200000000000000')
    expect(g, 'z2,40000000,8', 'OK')
    for _ in range(1000):
        expect(g, 's', r'T05thread:p01\.01;')
    expect(g, 'p0', 'fc00000000000000')                     # 252: the loop has four instructions
    g.send('vCont;c:p1.-1')
    g.s.sendall(b'\x03')
    if not re.fullmatch(r'T02thread:p01\.01;', g.reply()):
        raise AssertionError('no stop after an interrupt')
    g.send('qRcmd,' + b'info status'.hex())
    text = ''
    while (r := g.reply()) != 'OK':
        text += bytes.fromhex(r[1:]).decode()
    if text != 'VM status: paused\n':
        raise AssertionError(f'monitor said {text!r}')
    expect(g, 'D;1', 'OK')


def by_packets(p):
    g = Gdb('g.sock')
    packets(g)
    running(g)
    g.s.close()
    g = Gdb('g.sock')                                       # the next client finds it stopped
    expect(g, '?', r'T05thread:01;')
    expect(g, 'vKill;1', 'OK')
    if p.wait(timeout=PATIENCE):
        raise AssertionError(f'status {p.returncode}')
    err = p.stderr.read().decode()
    if 'Terminated via GDBstub' not in err:
        raise AssertionError(f'last words: {err!r}')


def listening(p, path):
    """Waits until the program listens at path. A client that came and went would be seen; the kernel's table is not."""
    end = time.time() + PATIENCE
    while True:
        with open('/proc/net/unix') as f:
            if any(x[3] == '00010000' and x[-1] == path for x in map(str.split, f)):
                return
        if p.poll() is not None or time.time() > end:
            raise AssertionError(f'nobody listens at {path}; status {p.returncode}')
        time.sleep(0.01)


def by_gdb(p):
    listening(p, os.path.abspath('g.sock'))
    script = ['set confirm off', 'target remote g.sock', 'break *0x40080008', 'continue', 'continue', 'printf "x0=%d\\n", (int)$x0', 'delete',
              'watch *(long *)0x40000000', 'continue', 'printf "mem=%d\\n", (int)*(long *)0x40000000', 'delete', 'stepi 1000', 'info threads',
              'printf "pc=%lx\\n", $pc', 'monitor info status', 'kill']
    argv = ['gdb-multiarch', '-q', '-nx', '-batch', *(x for line in script for x in ('-ex', line)), 'guest.elf']
    out = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL).stdout
    for want in ('x0=1\n', 'mem=2\n', 'pc=4008', 'Thread 1.2 (CPU#1 [halted ])', 'VM status: paused (debug)'):
        if want not in out:
            raise AssertionError(f'{want!r} is not in:\n{out}')
    p.wait(timeout=PATIENCE)


def main():
    real = '--gdb' in sys.argv
    if real and not shutil.which('gdb-multiarch'):
        print('no gdb-multiarch: apt-get install gdb-multiarch')
        return 77
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        elf(COUNT, 'guest.elf')
        p = subprocess.Popen([RHEA, '-M', 'virt', '-cpu', 'max', '-smp', '2', '-kernel', 'guest.elf', '-S', '-display', 'none', '-serial', 'none',
                              '-monitor', 'none', '-gdb', f'unix:{folder}/g.sock,server=on,wait=off'], stderr=subprocess.PIPE)
        try:
            (by_gdb if real else by_packets)(p)
        finally:
            p.kill()
            p.wait()
            os.chdir('/')
    return 0


sys.exit(main())
