#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""insn.py TEST-INSN INSN-RUN BACKEND SEED PER-ROW CLASS: find the packaged emulator, then run the comparison (test-insn.c says what).

Skipped, with the reason, where the emulator was not fetched (scripts/peer fetch user) or there was no compiler for the guest program."""
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', '..')


def main(test, guest, *args):
    peer = subprocess.run([sys.executable, os.path.join(ROOT, 'scripts', 'peer'), 'path', 'qemu-aarch64'], capture_output=True, text=True, check=False)
    if peer.returncode:
        print(f'1..0 # SKIP {(peer.stderr or peer.stdout).strip()}')
        return 0
    # all features, the architected pointer authentication, no vector lengths beyond 128 bits
    return subprocess.run([test, *args, peer.stdout.strip(), '-cpu', 'max,sve=off,sme=off,pauth-impdef=off', guest], check=False).returncode


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
