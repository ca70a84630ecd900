#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""style.py finds what is planted: one line per rule, and nothing in a file that is right."""
import os
import subprocess
import sys
import tempfile

HEAD = '/* SPDX-License-Identifier: MIT */\n'
RIGHT = HEAD + '''#include "util/a.h"

#include <string.h>

#include "util/b.h"
#include "util/c.h"

#define EACH(x) do { \\
        if (x) { (x)++; } \\
    } while (0)

/* if( in a comment, and "a,b;" // in a string */
static char *f(const char *p, int n)
{
    if (n) {
        return strchr(p, ',');
    } else if (!p) {
        return "if(a,b) // ;";
    }
    for (;;) {
        while (n--) {
            EACH(n);
        }
    }
}
'''
CASES = [
    (RIGHT, None),
    (RIGHT.replace('    if (n)', '\tif (n)'), 'a tab'),
    (RIGHT.replace('if (n) {', 'if (n) { '), 'white space at the end'),
    (RIGHT.replace('EACH(n);', 'EACH(n); // why'), 'a // comment'),
    (RIGHT.replace('while (n--)', 'while(n--)'), 'no space after a keyword'),
    (RIGHT.replace('if (n) {', 'if (n)\n    {'), 'stands alone'),
    (RIGHT.replace('    } else if', '    }\n    else if'), 'else not beside'),
    (RIGHT.replace('        while (n--) {\n            EACH(n);\n        }', '        while (n--)\n            EACH(n);'), 'a body without braces'),
    (RIGHT.replace('char *f', 'char* f'), 'the star at the type'),
    (RIGHT.replace('p, int n', 'p,int n'), 'no space after a comma'),
    (RIGHT.replace('static', '#pragma once\nstatic'), '#pragma once'),
    (RIGHT + '\n', 'the end'),
    (RIGHT.replace('/* if(', '\n/* if('), 'two empty lines'),
    (RIGHT.replace('util/b.h', 'util/d.h'), 'out of order'),
    (RIGHT.replace('#include "util/a.h"\n\n', ''), 'own header'),
    (RIGHT.replace('EACH(n);', 'EACH(' + 'n + ' * 60 + 'n);'), 'columns'),
]
script = sys.argv[1]
bad = 0
for n, (text, want) in enumerate(CASES):
    with tempfile.TemporaryDirectory() as root:
        os.mkdir(root + '/util')
        for name, body in (('a.h', HEAD + '#ifndef UTIL_A_H\n#define UTIL_A_H\n#endif\n'), ('a.c', text)):
            with open(f'{root}/util/{name}', 'w', encoding='utf-8') as f:
                f.write(body)
        run = subprocess.run([sys.executable, script, root], capture_output=True, text=True)
    if not (run.returncode == 1 and want in run.stdout if want else run.returncode == 0):
        bad += 1
        print(f'case {n}: wanted {want!r}, got {run.returncode}: {run.stdout}{run.stderr}')
sys.exit(1 if bad else 0)
