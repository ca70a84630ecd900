# SPDX-License-Identifier: MIT
"""Run the wall test with the cached guest: walls.py PROGRAM [instructions] [saves] [processors]"""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
found = subprocess.run([os.path.join(ROOT, 'scripts/guest'), 'path', 'linux-arm64-cloud'], capture_output=True, text=True)
if found.returncode:
    print(found.stderr.strip())
    sys.exit(77)
folder = found.stdout.strip()
sys.exit(subprocess.run([sys.argv[1], folder + '/kernel', folder + '/initrd'] + sys.argv[2:]).returncode)
