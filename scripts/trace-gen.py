#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""trace-events -> trace.h and trace.c (format: util/trace.h).

usage: trace-gen.py TRACE-EVENTS TRACE.H TRACE.C
"""
import re
import sys

LINE = re.compile(r'^(\w+)\(([^)]*)\)\s+(".*)$')
HEAD = '/* made by scripts/trace-gen.py */\n'


def points(path):
    """(name, argument list, format) of each line that is not blank or a comment."""
    with open(path) as f:
        for n, line in enumerate(f, 1):
            line = line.strip()
            if not line or line.startswith('#'):
                continue
            m = LINE.match(line)
            if not m:
                sys.exit(f'{path}:{n}: wanted: name(type arg, ...) "key=%d ..."')
            yield m.groups()


def arg_names(args):
    """The last word of each argument."""
    if args.strip() in ('', 'void'):
        return []
    return [re.search(r'(\w+)\s*$', a).group(1) for a in args.split(',')]


def header(path, rows):
    guard = 'MADE_' + re.sub(r'\W', '_', path).upper()
    out = [HEAD, f'#ifndef {guard}\n#define {guard}\n\n#include "util/log.h"\n#include "util/trace.h"\n']
    for name, args, fmt in rows:
        text = f'"{name}"' if fmt == '""' else f'"{name} " {fmt}'
        names = ''.join(', ' + a for a in arg_names(args))
        out.append(f'''
extern bool trace_on_{name};
static inline void trace_{name}({args or 'void'})
{{
    if (G_UNLIKELY(trace_on_{name})) {{
        log_print({text}{names});
    }}
}}
''')
    out.append('\n#endif\n')
    return ''.join(out)


def table(header_path, rows):
    out = [HEAD, f'#include "{header_path}"\n']
    for name, _args, _fmt in rows:
        out.append(f'''
bool trace_on_{name};
static const TracePoint trace_point_{name} = {{ "{name}", &trace_on_{name} }};
TRACE_POINT(trace_point_{name});
''')
    return ''.join(out)


def main():
    source, h, c = sys.argv[1:4]
    rows = list(points(source))
    with open(h, 'w') as f:
        f.write(header(h, rows))
    with open(c, 'w') as f:
        f.write(table(h, rows))


if __name__ == '__main__':
    main()
