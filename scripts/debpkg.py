# SPDX-License-Identifier: MIT
"""Packages of any Debian suite and architecture, unpacked privately.

The machine's own apt configuration is read (for the mirror and the keyring)
and never written.  Everything lands under one cache folder:
  apt/SUITE-ARCH/   package index
  deb/SUITE-ARCH/   downloaded packages
Offline (RHEA_OFFLINE=1) only what is in the cache can be had.
"""
import fcntl
import glob
import os
import re
import shutil
import subprocess
import sys
import time

CACHE = os.environ.get('RHEA_CACHE') or os.path.join(
    os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'rhea')
OFFLINE = os.environ.get('RHEA_OFFLINE', '0') not in ('', '0')
KEYRINGS = ('/usr/share/keyrings/debian-archive-keyring.gpg', '/usr/share/keyrings/debian-archive-keyring.pgp')


class Trouble(Exception):
    """What the user can do something about; printed as one line."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def mirror():
    """URI of the Debian archive that this machine's apt uses."""
    if os.environ.get('RHEA_MIRROR'):
        return os.environ['RHEA_MIRROR'].rstrip('/')
    if not shutil.which('apt-get'):
        raise Trouble('apt-get is needed to fetch guests and this machine has none')
    out = subprocess.run(['apt-get', 'indextargets', '--format', '$(ORIGIN)|$(LABEL)|$(REPO_URI)', 'Created-By: Packages'],
                         capture_output=True, text=True).stdout
    for line in out.splitlines():
        origin, label, uri = (line.split('|') + ['', ''])[:3]
        if origin == 'Debian' and label == 'Debian':
            return uri.rstrip('/')
    text = ''
    for name in glob.glob('/etc/apt/sources.list') + glob.glob('/etc/apt/sources.list.d/*'):
        with open(name, encoding='utf-8', errors='replace') as f:
            text += f.read() + '\n'
    found = re.search(r'^\s*(?:deb\s+(?:\[[^]]*\]\s*)?|URIs:\s*)(\S+/debian)/?(?=\s)', text, re.M)
    if not found:
        raise Trouble("no Debian mirror in this machine's apt sources; name one with RHEA_MIRROR=URI")
    return found.group(1)


class Suite:
    """One suite and architecture with an apt state of its own."""

    def __init__(self, suite, arch):
        self.suite, self.arch = suite, arch
        self.dir = os.path.join(CACHE, 'apt', f'{suite}-{arch}')
        self.pool = os.path.join(CACHE, 'deb', f'{suite}-{arch}')
        self.ready = False

    def apt(self, *command, cwd=None):
        d = self.dir
        opts = [f'Dir::Etc::sourcelist={d}/sources.list', f'Dir::Etc::sourceparts={d}/none', f'Dir::Etc::preferences={d}/none/p',
                f'Dir::Etc::preferencesparts={d}/none', f'Dir::State={d}/state', f'Dir::State::lists={d}/lists',
                f'Dir::State::status={d}/status', f'Dir::Cache={d}/cache', f'APT::Architecture={self.arch}',
                f'APT::Architectures={self.arch}', 'APT::Sandbox::User=root', 'Acquire::Languages=none', 'Acquire::Retries=3',
                'APT::Update::Error-Mode=any']
        args = [command[0]] + [x for o in opts for x in ('-o', o)] + list(command[1:])
        return subprocess.run(args, capture_output=True, text=True, cwd=cwd)

    def index(self, anew=False):
        stamp = os.path.join(self.dir, 'ok')
        have = os.path.exists(stamp)
        if self.ready and not anew:
            return
        if have and not anew and (OFFLINE or time.time() - os.path.getmtime(stamp) < 7 * 86400):
            self.ready = True
            return
        if OFFLINE:
            raise Trouble(f'offline, and no package index of {self.suite} {self.arch} in the cache')
        for sub in ('lists/partial', 'cache/archives/partial', 'none', 'state'):
            os.makedirs(os.path.join(self.dir, sub), exist_ok=True)
        open(os.path.join(self.dir, 'status'), 'w').close()
        key = next((f'[signed-by={k}] ' for k in KEYRINGS if os.path.exists(k)), '')
        with open(os.path.join(self.dir, 'sources.list'), 'w', encoding='utf-8') as f:
            f.write(f'deb {key}{mirror()} {self.suite} main\n')
        say(f'reading the package index of {self.suite} {self.arch}')
        for attempt in range(3):        # an archive in the middle of an update fails once
            run = self.apt('apt-get', '-qq', 'update')
            if run.returncode == 0:
                break
            time.sleep(3)
        else:
            raise Trouble(f'cannot read the package index of {self.suite} {self.arch}: {run.stderr.strip()}')
        open(stamp, 'w').close()
        self.ready = True

    def concrete(self, name):
        """A meta package such as linux-image-arm64 stands for the package with the files."""
        out = self.apt('apt-cache', 'depends', name).stdout
        found = re.search(r'^ *Depends: (linux-image-\d\S*)$', out, re.M)
        return found.group(1) if found else name

    def deb(self, name):
        """Path of the downloaded package."""
        self.index()
        name = self.concrete(name)
        here = os.path.join(self.pool, name)
        os.makedirs(here, exist_ok=True)
        have = glob.glob(os.path.join(here, '*.deb'))
        if have and OFFLINE:
            return have[0]
        version = re.search(r'^Version: (\S+)', self.apt('apt-cache', 'show', '--no-all-versions', name).stdout, re.M)
        if not version:
            raise Trouble(f'no package {name} in {self.suite} for {self.arch}')
        if have and subprocess.run(['dpkg-deb', '-f', have[0], 'Version'], capture_output=True, text=True).stdout.strip() == version.group(1):
            return have[0]
        if OFFLINE:
            raise Trouble(f'offline, and {name} of {self.suite} {self.arch} is not in the cache')
        for old in have:
            os.unlink(old)
        say(f'downloading {name} {version.group(1)} ({self.suite} {self.arch})')
        for anew in (False, True):      # the index may be older than the archive
            self.index(anew)
            run = self.apt('apt-get', '-qq', 'download', name, cwd=here)
            have = glob.glob(os.path.join(here, '*.deb'))
            if run.returncode == 0 and have:
                return have[0]
        raise Trouble(f'cannot download {name}: {run.stderr.strip()}')

    def unpack(self, name, dest):
        deb = self.deb(name)
        os.makedirs(dest, exist_ok=True)
        subprocess.run(['dpkg-deb', '-x', deb, dest], check=True)
        return os.path.basename(deb)


class Lock:
    """One fetch at a time per cache, so that parallel tests share the work."""

    def __enter__(self):
        os.makedirs(CACHE, exist_ok=True)
        self.f = open(os.path.join(CACHE, 'lock'), 'w')
        fcntl.flock(self.f, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self.f.close()
