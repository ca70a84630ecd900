# SPDX-License-Identifier: MIT
"""Rows about tables: large and scattered images, long chains, many snapshots."""
import subprocess

from blockbench import Sample, add, row
from blockimage import layered, scattered


def once_for_peers(bench, work):
    """What takes the others half a minute or more is measured once for them, five times for us."""
    known = {}

    def cached(side):
        if side is bench.ours:
            return work(side)
        if side.name not in known:
            got = work(side)
            known[side.name] = got if got is None or isinstance(got, Sample) else bench.run(got)
        return known[side.name]
    return cached


def scattered_image(bench, shuffled, copy=''):
    def make():
        name = f"{bench.folders['tmpfs']}/{'shuffled' if shuffled else 'ordered'}{copy}.qcow2"
        if bench.quick:
            scattered(name, 10 << 30, 100000, shuffled)
        else:
            scattered(name, shuffled=shuffled)
        return name
    return bench.keep(f'scattered-{shuffled}{copy}', make)


VERBS = {
    'check': lambda a, b: ['check', a],
    'map': lambda a, b: ['map', '--output=json', a],
    'measure': lambda a, b: ['measure', '-O', 'qcow2', a],
    'compare': lambda a, b: ['compare', a, b],
}


def table_row(verb, shuffled):
    def make(bench):
        argv = VERBS[verb](scattered_image(bench, shuffled), scattered_image(bench, shuffled, '-2') if verb == 'compare' else None)

        def work(side):
            return [side.img, *argv]
        return once_for_peers(bench, work) if verb == 'check' and shuffled else work
    return make


for SHUFFLED in (False, True):
    for VERB in VERBS:
        row(f"{VERB}-{'shuffled' if SHUFFLED else 'ordered'}", f"{VERB} of 100 GiB, 10^6 clusters at random, {'shuffled' if SHUFFLED else 'in order'}", wall=2.0, mem=1.0)(
            table_row(VERB, SHUFFLED))


@row('version', '--version: what the program itself takes; at most 8 MiB', mem=1.0)
def version(_bench):
    return lambda side: [side.img, '--version']


@row('open-16T', 'info of 16 TiB, qcow2; at most 2 ms and 1 MiB above --version', wall=1.0, mem=1.0)
def open_16t(bench):
    name = bench.folder() + '/large.qcow2'
    subprocess.run([bench.ours.img, 'create', '-q', '-f', 'qcow2', name, '16T'], check=True)
    return lambda side: [side.img, 'info', name]


@row('chain-100', 'a chain of 100: open and one read; at most 0.05 s', wall=1.0)
def chain_100(bench):
    top = layered(bench.folder(), 100)
    return lambda side: [side.img, 'bench', '-c', '1', '-d', '1', '-s', '4096', '-f', 'qcow2', top]


@row('chain-1000', 'a chain of 1000: open and map; at most 0.5 s (ours alone: the others need half a minute, or crash)')
def chain_1000(bench):
    top = layered(bench.folder(), 100 if bench.quick else 1000)
    return lambda side: [side.img, 'map', '--output=json', '-f', 'qcow2', top] if side is bench.ours else None


@row('snapshots-make', 'making 1000 internal snapshots, a process each; at most 20 s', wall=1.0)
def snapshots_make(bench):
    folder, count = bench.folder(), 50 if bench.quick else 1000

    def work(side):
        name = f'{folder}/{side.name}'
        subprocess.run([side.img, 'create', '-q', '-f', 'qcow2', name, '10G'], check=True)
        return add(*[bench.run([side.img, 'snapshot', '-c', f's{i}', name]) for i in range(count)])
    return once_for_peers(bench, work)


@row('snapshots-open', 'info of an image with 1000 internal snapshots; at most 0.05 s', wall=1.0)
def snapshots_open(bench):
    name, count = bench.folder() + '/many', 50 if bench.quick else 1000
    subprocess.run([bench.ours.img, 'create', '-q', '-f', 'qcow2', name, '10G'], check=True)
    for i in range(count):
        subprocess.run([bench.ours.img, 'snapshot', '-c', f's{i}', name], check=True)
    return lambda side: [side.img, 'info', name]
