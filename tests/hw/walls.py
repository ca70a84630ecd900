# SPDX-License-Identifier: MIT
"""Run the wall test with the cached guest: walls.py PROGRAM [instructions] [saves] [processors] [seed] [load]

`load`: with a disk (an overlay on a raw image) that the guest reads and writes all the time, and a network card that is up."""
import base64
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
found = subprocess.run([os.path.join(ROOT, 'scripts/guest'), 'path', 'linux-arm64-cloud'], capture_output=True, text=True)
if found.returncode:
    print(found.stderr.strip())
    sys.exit(77)
LOAD = """ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; i=0
while [ $i -lt 4000 ]; do
    i=$((i+1)); echo 3 > /proc/sys/vm/drop_caches; md5sum < /dev/vda
    dd if=/dev/urandom of=/dev/vda bs=4k count=256 seek=$((i%3000)) conv=notrunc 2>/dev/null; sync
done; exit 3"""
SIZE = 16 << 20


def overlay(tmp):
    with open(tmp + '/base.raw', 'wb') as f:
        f.write(bytes((i * 2654435761 >> 24) & 255 for i in range(65536)) * (SIZE >> 16))
    img = os.path.join(os.environ.get('RHEA_BUILD', os.path.join(ROOT, 'build')), 'tools', 'rhea-img')
    subprocess.run([img, 'create', '-q', '-f', 'qcow2', '-b', tmp + '/base.raw', '-F', 'raw', tmp + '/overlay.qcow2'], check=True)
    return tmp + '/overlay.qcow2'


args, folder = sys.argv[2:], found.stdout.strip()
with tempfile.TemporaryDirectory() as tmp:
    if args[-1:] == ['load']:
        args[-1:] = [base64.b64encode(LOAD.encode()).decode(), overlay(tmp)]
    status = subprocess.run([sys.argv[1], folder + '/kernel', folder + '/initrd'] + args).returncode
sys.exit(status)
