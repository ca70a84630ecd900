# SPDX-License-Identifier: MIT
"""EL1 in lockstep: lockstep.py EL1-LOCKSTEP CPU HOST STEPS [SEED [RESUME-FILE]]

Finds the packaged system emulator and runs the program.  Skipped where it was not fetched (scripts/peer fetch system)."""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
# what ours has not: vectors beyond 128 bits, 52-bit addresses with small pages
PEER_CPU = {'max,pauth=off': 'max,sve=off,sme=off,lpa2=off,pauth=off'}

tool, cpu, host, steps = sys.argv[1:5]
peer = subprocess.run([sys.executable, os.path.join(ROOT, 'scripts', 'peer'), 'path', 'qemu-system-aarch64'], capture_output=True, text=True)
if peer.returncode:
    print(f'1..0 # SKIP {(peer.stderr or peer.stdout).strip()}')
    sys.exit(0)
sys.exit(subprocess.run([tool, peer.stdout.strip(), cpu, PEER_CPU.get(cpu, cpu), host, (sys.argv[5:6] or ['1'])[0], steps] + sys.argv[6:]).returncode)
