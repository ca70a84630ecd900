# SPDX-License-Identifier: MIT
"""Runs the tests of one or more builds and adds up what they say.

Each stage is a build folder, meson options and suites.  Tests that print TAP
count by their lines, others as one.  The last line is `N passed, N failed`
(with the skips, when there are any); the exit status is 1 when anything failed.
"""
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAN = ['-Db_lundef=false', '-Doptimization=1']
# name, folder, meson options, suites, in --full only
STAGES = [
    ('gcc', 'build', [], ['quick', 'unit', 'guest'], False),
    ('address and undefined behaviour sanitizers', 'build-asan', SAN + ['-Db_sanitize=address,undefined'], ['quick', 'unit'], False),
    ('long suites', 'build', [], ['long'], True),
]


def outcome(test, total):
    """Adds one entry of meson's log to the totals; returns what to show."""
    text = test.get('stdout') or ''
    points = re.findall(r'^(not ok|ok) \d+(.*)$', text, re.M)
    good = test['result'] in ('OK', 'SKIP', 'EXPECTEDFAIL')
    if not points or (not good and not any(p[0] == 'not ok' for p in points)):
        points = points + [('ok' if good else 'not ok', ' # SKIP' if test['result'] == 'SKIP' else '')]
    for word, rest in points:
        kind = 'failed' if word == 'not ok' else 'skipped' if '# SKIP' in rest.upper() else 'passed'
        total[kind] += 1
    return good


def stage(name, folder, options, suites, total):
    print(f'== {name}', flush=True)
    start = time.time()
    run = subprocess.run([os.path.join(ROOT, 'scripts/build'), folder] + options, cwd=ROOT)
    if run.returncode:
        print(f'FAILED: the build in {folder}')
        total['failed'] += 1
        return
    print(f'built in {time.time() - start:.0f} s', flush=True)
    log = os.path.join(ROOT, folder, 'meson-logs', 'check.json')
    if os.path.exists(log):
        os.unlink(log)
    args = ['meson', 'test', '-C', folder, '--no-rebuild', '--logbase', 'check', '--num-processes', str(os.cpu_count() or 1)]
    for s in suites:
        args += ['--suite', s]
    subprocess.run(args, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if not os.path.exists(log):
        print(f'FAILED: no test ran in {folder}; see meson test -C {folder}')
        total['failed'] += 1
        return
    with open(log, encoding='utf-8') as f:
        for line in f:
            test = json.loads(line)
            good = outcome(test, total)
            print(f"{'ok  ' if good else 'FAIL'} {test['duration']:7.1f} s  {test['name']}", flush=True)
            for reason in re.findall(r'# SKIP (.*)', test.get('stdout') or '', re.I):
                print(f'       skipped: {reason}')
            if not good:
                print((test.get('stdout') or '')[-6000:])
                print((test.get('stderr') or '')[-6000:])


def main(argv):
    full = '--full' in argv
    if [a for a in argv if a != '--full']:
        print('usage: ./check [--full]', file=sys.stderr)
        return 2
    total = {'passed': 0, 'failed': 0, 'skipped': 0}
    for name, folder, options, suites, only_full in STAGES:
        if full or not only_full:
            stage(name, folder, options, suites, total)
    text = f"{total['passed']} passed, {total['failed']} failed"
    print(text + (f", {total['skipped']} skipped" if total['skipped'] else ''), flush=True)
    return 1 if total['failed'] or not total['passed'] else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
