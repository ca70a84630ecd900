# SPDX-License-Identifier: MIT
"""Runs the coverage-guided fuzz targets of a build with -Dfuzzer=true.

    fuzz.py build BUILD             configures with clang, once, and makes the targets
    fuzz.py run FOLDER [--minutes N] [--slice SECONDS] [--until HH:MM] [--tally FOLDER] [TARGET...]
    fuzz.py copy BUILD FOLDER       takes the targets out of a build, so that it can go on changing
    fuzz.py report FOLDER [--tally FOLDER] [TARGET...]
    fuzz.py merge FOLDER [--tally FOLDER] [TARGET...]     drops what a corpus does not need

FOLDER is a build or a copy.  Targets are the tests of the suite `long` whose
names have "fuzz" in them.  What they have done adds up, over runs and trees,
in the tally folder (RHEA_FUZZ_TALLY, ~/.cache/rhea/fuzz): NAME.tally has the
seconds of processor time and the inputs, NAME/ the corpus, NAME.found/ what
failed with its log, NAME.json the edges.  `run` always takes the target with
the least time and ends when each has the seconds that its test names (or
--minutes); several can run.
"""
import argparse
import fcntl
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OPTIONS = ['-Dfuzzer=true', '-Db_lundef=false', '-Doptimization=1', '-Db_sanitize=address,undefined']
FLAGS = ['-timeout=300', '-report_slow_units=300', '-rss_limit_mb=1024', '-malloc_limit_mb=512', '-max_len=4096', '-print_final_stats=1', '-reload=0', '-verbosity=1',
         '-entropic=0']         # its search of rare features took half of the time
ENV = {'ASAN_OPTIONS': 'abort_on_error=0:print_summary=1:detect_stack_use_after_return=0:quarantine_size_mb=16', 'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1:print_summary=1'}
TALLY = os.environ.get('RHEA_FUZZ_TALLY') or os.path.expanduser('~/.cache/rhea/fuzz')
WEAK = 6                        # failures in a row that set a target aside for this run


class Target:
    def __init__(self, row, tally):
        self.name, self.exe, self.args, self.env, self.tally = row['name'], row['exe'], row['args'], row['env'], tally
        self.goal, self.weak = row['seconds'], 0

    def path(self, suffix):
        return os.path.join(self.tally, self.name + suffix)

    def done(self):
        """Seconds and inputs so far."""
        try:
            with open(self.path('.tally'), encoding='ascii') as f:
                seconds, inputs = f.read().split()
                return float(seconds), int(inputs)
        except (OSError, ValueError):
            return 0.0, 0

    def facts(self):
        try:
            with open(self.path('.json'), encoding='ascii') as f:
                return json.load(f)
        except (OSError, ValueError):
            return {}

    def found(self):
        return sorted(x for x in glob.glob(self.path('.found/*')) if not x.endswith('.log'))

    def last_log(self):
        logs = sorted(glob.glob(self.path('.found/*.log')), key=os.path.getmtime)
        if not logs:
            return ''
        with open(logs[-1], encoding='utf-8', errors='replace') as f:
            return f.read()

    def environment(self):
        return {**os.environ, **ENV, **self.env, 'RHEA_FUZZ_TALLY': self.tally, 'RHEA_FUZZ_NAME': self.name}


def rows_of(folder):
    listed = os.path.join(folder, 'targets.json')
    if os.path.exists(listed):
        with open(listed, encoding='utf-8') as f:
            return json.load(f)
    tests = json.loads(subprocess.run(['meson', 'introspect', '--tests', folder], check=True, capture_output=True, text=True).stdout)
    rows = []
    for t in tests:
        name = t['name'].split(' / ')[-1]
        if 'long' in [s.split(':')[-1] for s in t['suite']] and 'fuzz' in name:
            goal = [float(a[10:]) for a in t['cmd'] if a.startswith('--seconds=')]
            rows.append({'name': re.sub('-long$', '', name), 'exe': t['cmd'][0], 'env': t['env'], 'seconds': goal[0] if goal else 1800,
                         'args': [a for a in t['cmd'][1:] if not re.match('--(seconds|seed|runs)=', a)]})
    return rows


def every(folder, tally=TALLY):
    os.makedirs(tally, exist_ok=True)
    return [Target(r, tally) for r in rows_of(folder)]


def targets(args):
    return [t for t in every(args.folder, args.tally) if not args.target or t.name in args.target]


def possible():
    """Whether there is a clang with its fuzzer here."""
    clang = shutil.which('clang')
    where = subprocess.run([clang, '-print-runtime-dir'], capture_output=True, text=True, check=False).stdout.strip() if clang else ''
    return bool(where) and os.path.exists(os.path.join(where, 'libclang_rt.fuzzer_no_main-x86_64.a'))


def configure(folder):
    if not os.path.exists(os.path.join(folder, 'build.ninja')):
        cc = 'ccache clang' if shutil.which('ccache') else 'clang'
        subprocess.run(['meson', 'setup', folder, ROOT] + OPTIONS, env=dict(os.environ, CC=cc), stdout=subprocess.DEVNULL, check=True)


def build(folder):
    """Only the targets and their seeds."""
    configure(folder)
    quiet = ['ninja', '-C', folder, '--quiet']
    subprocess.run(quiet + ['build.ninja'], check=True, stdout=subprocess.DEVNULL)
    files = {x for r in rows_of(folder) for x in [r['exe']] + [a[1:] for a in r['args'] if a.startswith('@')]}
    return subprocess.run(quiet + sorted(os.path.relpath(x, folder) for x in files if x.startswith(os.path.abspath(folder))), check=True)


def copy(args):
    build(args.folder)
    rows, into = rows_of(args.folder), args.target[0]
    files = os.path.join(into, time.strftime('%Y%m%d-%H%M%S'))          # what runs still reads its own file when it names a line
    os.makedirs(files)
    for r in rows:
        r['exe'] = place(r['exe'], files)
        r['args'] = ['@' + place(a[1:], files) if a.startswith('@') else a for a in r['args']]
    with open(os.path.join(into, 'targets.json.new'), 'w', encoding='utf-8') as f:
        json.dump(rows, f, indent=1)
    os.rename(os.path.join(into, 'targets.json.new'), os.path.join(into, 'targets.json'))


def place(path, into):
    to = os.path.join(into, os.path.basename(path))
    if not os.path.exists(to):
        shutil.copy2(path, to)
    return to


# ---- one slice ----

def signature(log):
    """Which failure it is: its kind and the innermost functions of ours."""
    kind = re.search(r'(\w+ where there were none|slow input)|Assertion `(.*?)\'|runtime error: (.{0,60})|SUMMARY: \w+: ([\w-]+)|ERROR: libFuzzer: ([\w-]+)', log)
    ours = [f for f in re.findall(r'^ +#\d+ 0x[0-9a-f]+ in (\w+) ', log, re.M) if not re.match(r'_|g_|abort|raise|fuzzer|calloc|malloc|realloc|main', f)]
    return ' '.join([next(filter(None, kind.groups()), '?') if kind else '?'] + ours[:3])


def keep(t, log, before):
    """The first inputs of each failure stay, with their log."""
    sign, facts = signature(log), t.facts()
    counts = facts.setdefault('findings', {})
    counts[sign] = counts.get(sign, 0) + 1
    for path in set(t.found()) - before:
        if counts[sign] > 2:
            os.unlink(path)
        else:
            with open(path + '.log', 'w', encoding='utf-8') as f:
                f.write(sign + '\n' + log[-60000:])
    write_facts(t, facts)
    return sign


def write_facts(t, facts):
    with open(t.path('.json.new'), 'w', encoding='ascii') as f:
        json.dump(facts, f)
    os.rename(t.path('.json.new'), t.path('.json'))


def slice_of(t, seconds, number):
    before, more = set(t.found()), ['-use_value_profile=1'] if number % 3 == 2 else []
    command = [t.exe, f'--seconds={t.goal}', f'--slice={seconds}'] + t.args + FLAGS + more
    run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=t.environment(), check=False)
    log = run.stderr.decode(errors='replace')
    seen = re.findall(r'cov: (\d+) ft: (\d+) corp: (\d+)/', log)
    facts = t.facts()
    if seen and not more:
        facts['edges'] = int(seen[-1][0])
    write_facts(t, facts)
    if run.returncode == 0:
        t.weak = 0
        return f"edges {seen[-1][0] if seen else '?'}"
    t.weak += 1
    return f'FOUND {keep(t, log, before)}'


def run(args):
    everything = targets(args)
    number = 0
    while True:
        if args.until and time.strftime('%H:%M') >= args.until:
            break
        rows = {r['name']: r for r in rows_of(args.folder)}         # a copy may be renewed while we run
        known = {t.name for t in everything}
        everything += [Target(r, args.tally) for n, r in rows.items() if n not in known and not args.target]
        for t in everything:
            t.goal = args.minutes * 60 if args.minutes else t.goal
        left = sorted((t for t in everything if t.name in rows and t.done()[0] < t.goal and t.weak < WEAK), key=lambda t: t.done()[0])
        mine = None
        for t in left:
            lock = open(t.path('.lock'), 'w', encoding='ascii')
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mine = t
                break
            except OSError:
                lock.close()
        if not mine:
            if not left:
                break
            time.sleep(5)
            continue
        mine.exe, mine.args, mine.env = rows[mine.name]['exe'], rows[mine.name]['args'], rows[mine.name]['env']
        said = slice_of(mine, args.slice, number)
        number += 1
        print(f'{time.strftime("%H:%M:%S")} {mine.name}: {mine.done()[0] / 60:.1f} min, {said}', flush=True)
        lock.close()
    return 0 if args.quiet else report(args)


# ---- the whole ----

def report(args):
    bad = 0
    print(f"{'target':28} {'minutes':>8} {'inputs':>12} {'edges':>7} {'corpus':>7} {'found':>6}")
    for t in targets(args):
        seconds, inputs = t.done()
        corpus = len(os.listdir(t.path(''))) if os.path.isdir(t.path('')) else 0
        found = len(t.found())
        bad += found
        print(f"{t.name:28} {seconds / 60:8.1f} {inputs:12} {t.facts().get('edges', '?'):>7} {corpus:7} {found:6}")
        for sign, count in t.facts().get('findings', {}).items():
            print(f'    {count} x {sign}')
    return 1 if bad else 0


def merge(args):
    for t in targets(args):
        old, new = t.path(''), t.path('.merged')
        if not os.path.isdir(old):
            continue
        with open(t.path('.lock'), 'w', encoding='ascii') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(new, ignore_errors=True)
            os.makedirs(new)
            plain = {k: v for k, v in t.environment().items() if not k.startswith('RHEA_FUZZ')}
            ok = subprocess.run([t.exe, '-merge=1', '-timeout=300', '-report_slow_units=300', '-rss_limit_mb=1024', new, old], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, env=plain, check=False).returncode == 0
            print(f'{t.name}: {len(os.listdir(old))} inputs, {len(os.listdir(new))} needed', flush=True)
            if ok and os.listdir(new):
                shutil.rmtree(old)
                os.rename(new, old)
            else:
                shutil.rmtree(new, ignore_errors=True)
    return 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('verb', choices=['build', 'run', 'copy', 'report', 'merge'])
    p.add_argument('folder')
    p.add_argument('target', nargs='*')
    p.add_argument('--minutes', type=float)
    p.add_argument('--slice', type=float, default=60)
    p.add_argument('--until')
    p.add_argument('--quiet', action='store_true', help='no report at the end')
    p.add_argument('--tally', default=TALLY)
    args = p.parse_intermixed_args()
    return {'build': lambda a: build(a.folder).returncode, 'run': run, 'copy': copy, 'report': report, 'merge': merge}[args.verb](args) or 0


if __name__ == '__main__':
    sys.exit(main())
