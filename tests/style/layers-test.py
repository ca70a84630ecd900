#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""layers.py finds what is planted: one tiny tree per rule."""
import os
import subprocess
import sys
import tempfile

HEAD = '/* SPDX-License-Identifier: MIT */\n'
CASES = [
    ('util/a.c', HEAD + '#include "util/a.h"\n#include <string.h>\n', None),
    ('util/a.c', HEAD + '#include "io/loop.h"\n', 'util must not include io'),
    ('hw/char/a.c', HEAD + '#include "target/arm/cpu.h"\n', 'hw/char must not include target/arm'),
    ('hw/char/a.c', HEAD + '#include "chardev/chardev.h"\n', None),
    ('hw/char/a.c', HEAD + '#include "block/block.h"\n', 'hw/char must not include block'),
    ('tcg/x86/a.c', HEAD + '#include "hw/core/cpu.h"\n', 'tcg must not include hw/core'),
    ('system/a.c', HEAD + '#include "chardev/mux-priv.h"\n', 'private to chardev'),
    ('util/a.c', '#include "util/a.h"\n', 'SPDX'),
    ('hw/rtc/a.c', HEAD + 'int64_t f(void)\n{\n    return time(NULL);\n}\n', 'time() outside the one door'),
    ('hw/rtc/a.c', HEAD + '/* time() is not called */\n', None),
    ('io/clock.c', HEAD + 'int f(void)\n{\n    return clock_gettime(0, 0);\n}\n', None),
    ('block/a.c', HEAD + '#include <slirp/libslirp.h>\n', '<slirp/libslirp.h> is not for block'),
    ('elsewhere/a.c', HEAD, 'not in the table'),
]

script = sys.argv[1]
bad = 0
for path, text, want in CASES:
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(os.path.join(root, os.path.dirname(path)))
        with open(os.path.join(root, path), 'w') as f:
            f.write(text)
        run = subprocess.run([sys.executable, script, root], capture_output=True, text=True)
    ok = (run.returncode == 1 and want in run.stdout) if want else run.returncode == 0
    if not ok:
        bad += 1
        print(f'{path}: wanted {want!r}, got {run.returncode}: {run.stdout}')
sys.exit(1 if bad else 0)
