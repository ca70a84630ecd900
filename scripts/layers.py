#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prove the arrows of the house: who may include whom.

Reads every #include of every .c and .h file and fails on
  * a folder that includes one above it or beside it (ALLOWED below),
  * a -priv.h included from another folder,
  * a system library that is not on the folder's list (LIBRARIES),
  * a file without its SPDX line,
  * a call of the host's clock or random source outside the places that may
    (architecture: one door for the outside world).

usage: layers.py [ROOT]      prints FILE:LINE: what, exit status 1 when any
"""
import os
import re
import sys

BASE = {'util', 'fpu'}
DEVICE_BASE = BASE | {'memory', 'migration', 'hw/core'}
BUSES = {'hw/pci', 'hw/virtio', 'hw/usb', 'hw/scsi'}
BACK_ENDS = {'block', 'net', 'chardev', 'ui'}

# Devices of these classes use the back ends of their kind.
CLASSES = {
    'hw/char': {'chardev'}, 'hw/block': {'block'}, 'hw/net': {'net'}, 'hw/display': {'ui'}, 'hw/input': {'ui'},
    'hw/audio': {'ui'}, 'hw/nvram': {'block'}, 'hw/intc': set(), 'hw/timer': set(), 'hw/rtc': set(),
    'hw/gpio': set(), 'hw/misc': set(), 'hw/sd': {'block'}, 'hw/ide': {'block'}, 'hw/watchdog': set(),
}
BOARDS = {'hw/arm': {'target/arm'}, 'hw/riscv': {'target/riscv'}, 'hw/i386': {'target/x86'}}
TARGETS = {'target/arm', 'target/riscv', 'target/x86'}

# folder: what it may include beside itself.  EVERYTHING: no arrow is wrong.
EVERYTHING = None
ALLOWED = {
    'util': set(),
    'fpu': {'util'},
    'io': BASE,
    'memory': BASE,
    'tcg': BASE,
    'chardev': BASE | {'io'},
    'migration': BASE | {'io', 'memory'},
    'block': BASE | {'io'},
    'net': BASE | {'io', 'chardev'},
    'ui': BASE | {'io', 'chardev'},
    'hw/core': BASE | {'io', 'memory', 'migration'},
    'accel': BASE | {'tcg', 'memory', 'migration', 'hw/core'},
    'monitor': EVERYTHING,
    'system': EVERYTHING,
    'tools': EVERYTHING,
    'tests': EVERYTHING,
}
for bus in BUSES:
    ALLOWED[bus] = BASE | {'io', 'memory', 'migration', 'hw/core'}
ALLOWED['hw/virtio'] |= {'hw/pci'}     # PCI is one of its transports
for target in TARGETS:
    ALLOWED[target] = BASE | {'tcg', 'memory', 'migration', 'hw/core', 'accel'}
for folder, back_ends in CLASSES.items():
    ALLOWED[folder] = DEVICE_BASE | BUSES | back_ends
for folder, targets in BOARDS.items():
    ALLOWED[folder] = DEVICE_BASE | BUSES | set(CLASSES) | targets

# Bus cores that front a back end by nature (virtio-blk, scsi-hd ...) keep their devices in hw/<class>.

# System headers beyond the C library, POSIX and GLib's core.
LIBRARIES = {
    r'gio/|glib-unix\.h': {'io', 'tests', 'tools'},
    r'libfdt\.h|fdt\.h': {'hw/core', 'hw/arm', 'hw/riscv', 'hw/misc', 'tests'},
    r'urcu': {'memory', 'accel', 'tcg', 'io', 'tests'},
    r'slirp/': {'net'},
    r'zlib\.h|zstd\.h|bzlib\.h|lzma\.h': {'block', 'util', 'migration', 'hw/core', 'ui', 'tests'},
    r'liburing\.h': {'io', 'block'},
    r'gnutls/|nettle/': {'io', 'block', 'util', 'migration', 'tests'},
    r'SDL': {'ui'},
    r'pixman': {'ui', 'hw/display'},
    r'png\.h|jpeglib\.h': {'ui'},
    r'seccomp\.h': {'system'},
    r'curl/|libssh/|iscsi/|fuse': {'block', 'tools'},
    r'linux/kvm\.h': {'accel', 'target/arm', 'target/x86', 'target/riscv'},
}

# Host time and randomness: only io, the log's rate limit, the one door and the counters of the accelerator.
CLOCKS = re.compile(r'\b(clock_gettime|gettimeofday|time|g_get_monotonic_time|g_get_real_time|g_date_time_new_now\w*|'
                    r'getrandom|getentropy|rand|random|rand_r|drand48|g_random_\w+|g_rand_\w+|arc4random\w*)\s*\(')
CLOCK_PLACES = re.compile(r'^(io/|util/log\.c|hw/core/(inputs|clock)[\w-]*\.c|accel/([\w]+/)?[\w-]*(counters|clock)[\w-]*\.c|tests/|tools/)')
ENTROPY = re.compile(r'/dev/u?random')

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
SPDX = re.compile(r'SPDX-License-Identifier: MIT')
SPDX_FILES = ('.c', '.h', '.S', '.s', '.py', '.sh', '.def', '.build', '.decode')


def folder_of(path):
    """The unit that a path belongs to: the longest known folder name in front of it."""
    parts = path.split('/')
    for n in (2, 1):
        name = '/'.join(parts[:n])
        if name in ALLOWED and len(parts) > n:
            return name
    return None


def strip_comments(text):
    """Blank out comments and strings, keeping line numbers."""
    def blank(m):
        return re.sub(r'[^\n]', ' ', m.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def check_include(path, folder, kind, name):
    """What is wrong with one include, or None."""
    if kind == '<':
        for pattern, folders in LIBRARIES.items():
            if re.match(pattern, name) and folder not in folders:
                return f'<{name}> is not for {folder}'
        return None
    other = folder_of(name)
    if other is None:
        return f'"{name}" does not begin with a folder of the house'
    if other == folder:
        return None
    if re.search(r'-priv\.', name) and folder != 'tests':
        return f'"{name}" is private to {other}'
    if ALLOWED[folder] is not EVERYTHING and other not in ALLOWED[folder]:
        return f'{folder} must not include {other} ("{name}")'
    return None


def check_source(path, text):
    """All complaints about one C file as (line, text)."""
    folder = folder_of(path)
    if folder is None:
        yield 1, 'the folder is not in the table of scripts/layers.py'
        return
    for n, line in enumerate(text.split('\n'), 1):
        m = INCLUDE.match(line)
        wrong = m and check_include(path, folder, m.group(1), m.group(2))
        if wrong:
            yield n, wrong
    if not CLOCK_PLACES.match(path):
        for n, line in enumerate(strip_comments(text).split('\n'), 1):
            m = CLOCKS.search(line)
            if m:
                yield n, f'{m.group(1)}() outside the one door (hw/core/inputs.h)'
        for n, line in enumerate(text.split('\n'), 1):
            if ENTROPY.search(line) and re.search(r'open|file_map', line):
                yield n, 'a random source outside the one door (hw/core/inputs.h)'


def check_file(root, path):
    with open(os.path.join(root, path), encoding='utf-8', errors='replace') as f:
        text = f.read()
    if path.endswith(SPDX_FILES) and not SPDX.search(text[:400]):
        yield 1, 'no "SPDX-License-Identifier: MIT"'
    if path.endswith(('.c', '.h')):
        yield from check_source(path, text)


def files(root):
    for top, dirs, names in os.walk(root):
        dirs[:] = sorted(d for d in dirs if not d.startswith(('.', 'build')) and d != '__pycache__')
        for name in sorted(names):
            if not name.startswith('.'):
                yield os.path.relpath(os.path.join(top, name), root)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
    bad = seen = 0
    for path in files(root):
        seen += 1
        for line, what in check_file(root, path):
            print(f'{path}:{line}: {what}')
            bad += 1
    print(f'layers: {seen} files, {bad} complaints')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
