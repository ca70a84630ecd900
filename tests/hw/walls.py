# SPDX-License-Identifier: MIT
"""Run the wall test with the cached guest: walls.py PROGRAM [instructions] [saves] [processors] [seed] [load]

`load`: with a disk that the guest reads and writes all the time, and a network card that is up."""
import base64
import os
import subprocess
import sys

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
args = sys.argv[2:]
if args[-1:] == ['load']:
    args[-1] = base64.b64encode(LOAD.encode()).decode()
folder = found.stdout.strip()
sys.exit(subprocess.run([sys.argv[1], folder + '/kernel', folder + '/initrd'] + args).returncode)
