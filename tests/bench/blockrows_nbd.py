# SPDX-License-Identifier: MIT
"""Rows about exporting: the NBD server of each side under the same clients.

Seconds are those of the client for a fixed amount of work; CPU and memory are the server's.  The bare side is `nbdkit null`, which
has no disk at all.  Of a peer qemu-img is named; its qemu-nbd is beside it.  nbdcopy: that of the machine, or $NBDCOPY.
"""
import json
import os
import shutil
import socket
import subprocess
import time

from blockbench import Sample, row

SIZE = 1 << 30
TICK = os.sysconf('SC_CLK_TCK')
NBDCOPY = os.environ.get('NBDCOPY') or shutil.which('nbdcopy')


def command(side, image, sock):
    if side.bare:
        return ['nbdkit', '-f', '-U', sock, 'null', str(SIZE)]
    folder, tool = os.path.split(side.img)
    return [os.path.join(folder, tool.replace('-img', '-nbd')), '-k', sock, '-e', '8', '-t', '-f', 'raw', image]


class Server:
    def __init__(self, side, image, sock):
        if os.path.exists(sock):
            os.unlink(sock)
        self.process = subprocess.Popen(command(side, image, sock), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not self.answers(sock):
            if self.process.poll() is not None:
                raise SystemExit(f'block: the server of {side.name} ended')
            time.sleep(0.01)

    @staticmethod
    def answers(sock):
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(sock) == 0

    def used(self):
        with open(f'/proc/{self.process.pid}/stat', encoding='ascii') as f:
            cpu = sum(int(t) for t in f.read().rsplit(')', 1)[1].split()[11:13]) / TICK
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as f:
            return cpu, next(int(line.split()[1]) for line in f if line.startswith('VmHWM'))

    def end(self):
        self.process.terminate()
        self.process.wait()


def fio(rw, bs, amount):
    def client(uri):
        r = subprocess.run(['fio', '--name=x', '--ioengine=nbd', f'--uri={uri}', f'--rw={rw}', f'--bs={bs}', '--iodepth=32', f'--size={SIZE}', f'--io_size={amount}', '--output-format=json'],
                           capture_output=True, text=True, check=True)
        job = json.loads(r.stdout[r.stdout.index('{'):])['jobs'][0]['read' if 'read' in rw else 'write']
        return job['total_ios'] / job['iops']
    return client


def copy(uri):
    start = time.monotonic()
    subprocess.run([NBDCOPY, uri, 'null:'], check=True)
    return time.monotonic() - start


def nbd_row(tool, client):
    def make(bench):
        if not shutil.which(tool) or (tool == 'nbdcopy' and not NBDCOPY):
            return f'{tool} is not installed'
        folder = bench.folder()
        image, sock = folder + '/disk', folder + '/sock'
        bench.helper_run('fill', image, SIZE >> 20, 100)

        def work(side):
            if side.bare and not shutil.which('nbdkit'):
                return None
            server = Server(side, image, sock)
            try:
                before, _ = server.used()
                wall = client(f'nbd+unix:///?socket={sock}')
                after, rss = server.used()
            finally:
                server.end()
            return Sample(wall, after - before, rss)
        return work
    return make


for NAME, RW, BS, AMOUNT, BARE in (('random-read', 'randread', '4k', 512 << 20, 1.1), ('random-write', 'randwrite', '4k', 512 << 20, 1.1),
                                   ('read', 'read', '1m', 4 << 30, None), ('write', 'write', '1m', 4 << 30, None)):
    row(f'nbd-{NAME}', f'NBD: fio, {RW} of {BS} at depth 32', wall=1.3, bare=BARE)(nbd_row('fio', fio(RW, BS, AMOUNT)))
row('nbd-copy', 'NBD: nbdcopy of 1 GiB to nowhere', wall=1.3)(nbd_row('nbdcopy', copy))
