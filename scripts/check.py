# SPDX-License-Identifier: MIT
"""Runs the tests of one or more builds and adds up what they say.

Each stage is a build folder, meson options and suites.  Tests that print TAP
count by their lines, others as one.  What failed is shown once more at the end,
so that the last lines of a log tell the cause; the last line of all is
`N passed, N failed`; the exit status is 1 when anything failed.

Words choose among the stages.  --full adds the suites that take hours.  Each of their tests that passes is
written down for the tree it ran on (build/full.json), so that an interrupted
run goes on where it was; fuzz targets add up their processor time by
themselves, whatever the tree: scripts/fuzz.py, where there is clang with its
fuzzer, else tests/fuzz/driver.c (build/fuzz/NAME.tally).
"""
import concurrent.futures
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import time

import fuzz

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAN = ['-Db_lundef=false', '-Doptimization=1']
ASAN = SAN + ['-Db_sanitize=address,undefined']
TSAN = SAN + ['-Db_sanitize=thread']
# name, folder, meson options, suites, in --full only
STAGES = [
    ('gcc', 'build', [], ['quick', 'unit', 'guest'], False),
    ('address and undefined behaviour sanitizers', 'build-asan', ASAN, ['quick', 'unit'], False),
    ('thread sanitizer', 'build-tsan', TSAN, ['quick', 'unit'], True),
    ('fuzz targets under the sanitizers', 'build-asan', ASAN, ['long'], True),
    ('long suites', 'build', [], ['long'], True),
]
# What has threads of its own and no emitted code that the sanitizer cannot see into (accel: of emitted code it sees the routines).
THREADS = re.compile(r'(io-(aio|fiber|loop|session|socket|stream)|hw-(core|machine|virt)|virtio-\w+|block-(block|drive|errors|job-errors|job-states|jobs|throttle|stats|nbd-qmp|vhost-user-threads)|accel-.*|memory|chardev|migration|net)$')
# A test's own limit is for the machine it was written on; here it only ends what hangs.
PATIENCE = 10
CPUS = len(os.sched_getaffinity(0))


def environment(**more):
    env = dict(os.environ, PYTHONUNBUFFERED='1', ASAN_OPTIONS='abort_on_error=1:print_summary=1', TSAN_OPTIONS='halt_on_error=1:second_deadlock_stack=1',
               UBSAN_OPTIONS='halt_on_error=1:abort_on_error=1:print_summary=1:print_stacktrace=1', **more)
    for name in ('G_MESSAGES_DEBUG', 'MAKEFLAGS', 'RHEA_BIN', 'RHEA_BUILD', 'RHEA_LITMUS', 'RHEA_LONG', 'RHEA_ROUNDS'):
        env.pop(name, None)
    return env


class Totals:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.bad = []           # (name, output)
        self.times = []         # (what, seconds)

    def fail(self, name, text):
        self.failed += 1
        self.bad.append((name, text))

    def add(self, name, test):
        """One entry of meson's log; returns whether it was good."""
        text = test.get('stdout') or ''
        points = re.findall(r'^(not ok|ok) \d+(.*)$', text, re.M)
        good = test['result'] in ('OK', 'SKIP', 'EXPECTEDFAIL')
        if not points or (not good and not any(p[0] == 'not ok' for p in points)):
            points = points + [('ok' if good else 'not ok', ' # SKIP' if test['result'] == 'SKIP' else '')]
        for word, rest in points:
            if word == 'not ok':
                self.failed += 1
            elif '# SKIP' in rest.upper():
                self.skipped += 1
            else:
                self.passed += 1
        if not good:
            command = ' '.join(test.get('command') or [])
            self.bad.append((name, f"{test['result']} after {test['duration']:.1f} s: {command}\n{text}\n{test.get('stderr') or ''}"))
        return good


def build(folder, options, total):
    start = time.time()
    run = subprocess.run([os.path.join(ROOT, 'scripts/build'), folder] + options, cwd=ROOT, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace')
    total.times.append((f'build in {folder}', time.time() - start))
    print(run.stdout + f'built in {time.time() - start:.0f} s', flush=True)
    if run.returncode:
        total.fail(f'the build in {folder}', run.stdout)
    return run.returncode == 0


def meson_test(folder, logbase, args, processes, echo, **env):
    """Runs meson; returns the entries of its log, None when nothing ran."""
    log = os.path.join(ROOT, folder, 'meson-logs', logbase + '.json')
    if os.path.exists(log):
        os.unlink(log)
    command = ['meson', 'test', '-C', folder, '--no-rebuild', '--logbase', logbase, '--num-processes', str(processes),
               '--timeout-multiplier', str(PATIENCE)] + args
    said = []
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors='replace', env=environment(**env)) as run:
        for line in run.stdout:
            said.append(line)
            if echo and re.match(r' *\d+/\d+ ', line):
                print(line, end='', flush=True)
    if not os.path.exists(log):
        return None, ''.join(said)
    with open(log, encoding='utf-8', errors='surrogateescape') as f:
        return [json.loads(line) for line in f], ''.join(said)


def short(test):
    return test['name'].split(' / ')[-1]


def stage(name, folder, options, suites, total):
    print(f'== {name}', flush=True)
    if not build(folder, options, total):
        return
    start = time.time()
    tests, said = meson_test(folder, 'check', [x for s in suites for x in ('--suite', s)], CPUS, True)
    total.times.append((f'tests in {folder}', time.time() - start))
    print(f'tested in {time.time() - start:.0f} s', flush=True)
    if not tests:
        total.fail(f'no test ran in {folder}', said)
        return
    for test in tests:
        total.add(f'{short(test)} ({folder})', test)
        for reason in sorted(set(re.findall(r'# SKIP (.*)', test.get('stdout') or '', re.I))):
            print(f'skipped: {short(test)}: {reason}')


# ---- what takes hours: one by one, and written down ----

def tree():
    """Names the sources as they are now; None outside git."""
    def git(*args):
        return subprocess.run(['git', '-C', ROOT, *args], capture_output=True)
    head, diff = git('rev-parse', 'HEAD^{tree}'), git('diff', 'HEAD')
    if head.returncode or diff.returncode:
        return None
    return head.stdout.decode().strip() + (hashlib.sha1(diff.stdout).hexdigest() if diff.stdout else '')


class Diary:
    """Which long tests have passed on this tree."""

    def __init__(self):
        self.path = os.path.join(ROOT, 'build', 'full.json')
        self.tree, self.done = tree(), {}
        try:
            with open(self.path, encoding='utf-8') as f:
                old = json.load(f)
            if self.tree and old['tree'] == self.tree:
                self.done = old['done']
        except (OSError, ValueError, KeyError):
            pass

    def add(self, key, test):
        self.done[key] = test
        with open(self.path + '.new', 'w', encoding='utf-8') as f:
            json.dump({'tree': self.tree, 'done': self.done}, f)
        os.rename(self.path + '.new', self.path)


def figures(text):
    """What a long test says about itself: TAP comments, else its last lines."""
    lines = [x for x in text.splitlines() if x.startswith('# ') and not re.match(r'# (random seed|Start of|End of|slow test)', x)]
    plain = [x for x in text.splitlines() if x.strip() and not re.match(r'(not )?ok |#|1\.\.|TAP version', x)]
    return lines[-20:] or plain[-6:]


def long_stage(name, folder, options, suites, total):
    print(f'== {name}', flush=True)
    if not build(folder, options, total):
        return
    diary, start = Diary(), time.time()
    os.makedirs(os.path.join(ROOT, 'build', 'fuzz'), exist_ok=True)
    listed = subprocess.run(['meson', 'test', '-C', folder, '--no-rebuild', '--list'] + [x for s in suites for x in ('--suite', s)],
                            cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
    # what parses foreign bytes is fuzzed where the sanitizers watch; the rest runs as it is shipped
    names = [x.split(' / ')[-1].strip() for x in listed.splitlines() if ' / ' in x]
    if folder == 'build-tsan':
        names = [x for x in names if THREADS.match(x)]
    if suites == ['long']:
        names = [x for x in names if ('fuzz' in x) == (folder == 'build-asan')]
    if not names:
        total.fail(f'no test of {" ".join(suites)} in {folder}', listed)
        return

    def one(test_name):
        key = f'{folder}/{test_name}'
        if key in diary.done:
            return key, diary.done[key], True, ''
        tests, said = meson_test(folder, 'full-' + test_name, [test_name], 1, False, RHEA_FUZZ_TALLY=os.path.join(ROOT, 'build', 'fuzz'),
                                 RHEA_FUZZ_NAME=test_name)
        return key, tests[0] if tests else None, False, said

    # the machines of a long test have several processors of their own
    with concurrent.futures.ThreadPoolExecutor(max(1, CPUS // 2)) as pool:
        for key, test, earlier, said in pool.map(one, names):
            if not test:
                total.fail(key, said)
                continue
            good = total.add(key, test)
            word = ('passed earlier' if earlier else 'ok') if good and test['result'] != 'SKIP' else test['result']
            print(f"{word} {test['duration']:9.1f} s  {key}", flush=True)
            for line in figures(test.get('stdout') or ''):
                print('       ' + line, flush=True)
            if good and not earlier and test['result'] != 'SKIP':
                diary.add(key, test)
    total.times.append((f'{name}', time.time() - start))


# ---- fuzzing ----

def fuzz_stage(name, total):
    """Each target until it has the time that its test names, over all runs on this machine."""
    print(f'== {name}', flush=True)
    folder, start = os.path.join(ROOT, 'build-fuzz'), time.time()
    script = os.path.join(ROOT, 'scripts/fuzz.py')
    made = subprocess.run([sys.executable, script, 'build', folder], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace')
    if made.returncode:
        total.fail('the build of the fuzz targets', made.stdout)
        return
    runs = [subprocess.Popen([sys.executable, script, 'run', '--quiet', folder], cwd=ROOT, stdin=subprocess.DEVNULL, env=environment()) for _ in range(max(1, CPUS // 2))]
    for run in runs:
        run.wait()
    told = subprocess.run([sys.executable, script, 'report', folder], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors='replace').stdout
    print(told, flush=True)
    for target in fuzz.every(folder):
        if target.found():
            total.fail(f'{target.name} (found: {" ".join(target.found())})', target.last_log())
        elif target.done()[0] < target.goal:
            total.fail(f'{target.name} did not get its time', told)
        else:
            total.passed += 1
    total.times.append((name, time.time() - start))


# ---- the end of the log ----

TELLING = re.compile(r'^not ok|Bail out|ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:|assert|Assert|Error:|FAIL|error:|TIMEOUT|^ +#[0-3] 0x')


def digest(text, room):
    """The lines of a failed test that say why, at most so many: telling ones from its middle, then its end."""
    lines = [x[:300] for x in text.splitlines() if x.strip()]
    if len(lines) <= room:
        return lines
    last = lines[-(room * 2 // 3):]
    telling = [x for x in lines[:-len(last)] if TELLING.search(x)]
    return lines[:1] + telling[:room - len(last) - 2] + ['...'] + last


def report(total):
    if total.bad:
        print('\n== what failed, in full')
        for name, text in total.bad:
            print(f'-- {name}\n{text[-20000:]}', flush=True)
    print('\n== time')
    print(', '.join(f'{what} {seconds:.0f} s' for what, seconds in total.times), flush=True)
    if total.skipped:
        print(f'{total.skipped} skipped')
    for name, text in total.bad:
        print(f'== FAILED: {name}')
        print('\n'.join(digest(text, max(6, 30 // len(total.bad)))))
    print(f'{total.passed} passed, {total.failed} failed', flush=True)


def main(argv):
    full, words = '--full' in argv, [a for a in argv if a != '--full']
    if [w for w in words if not any(w in s[0] for s in STAGES)]:
        print('usage: ./check [--full] [STAGE...]\nstages, by a word of theirs: ' + ', '.join(s[0] for s in STAGES), file=sys.stderr)
        return 2
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    total = Totals()
    for name, folder, options, suites, only_full in STAGES:
        if words and not any(w in name for w in words):
            continue
        if not only_full:
            stage(name, folder, options, suites, total)
        elif full and 'fuzz' in name and fuzz.possible():
            fuzz_stage(name, total)
        elif full:
            if 'fuzz' in name:
                print('no clang with libFuzzer here (libclang-rt-dev): mutations without the guidance of coverage')
            long_stage(name, folder, options, suites, total)
    report(total)
    return 1 if total.failed or not total.passed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
