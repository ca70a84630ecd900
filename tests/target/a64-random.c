/* SPDX-License-Identifier: MIT */
/*
 * Random A64 instructions from the decode table, one per line:
 *     word row-index trans-name valid text
 * usage: a64-random SEED PER-ROW
 */
#include <stdio.h>
#include <stdlib.h>

#include "target/arm/disas.h"

static uint64_t state;

static uint32_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 16;
}

int main(int argc, char **argv)
{
    unsigned per_row = argc > 2 ? atoi(argv[2]) : 16;
    char text[128];

    state = 88172645463325252ull ^ (argc > 1 ? strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15ull : 0);
    for (unsigned r = 0; r < a64_nrows; r++) {
        for (unsigned i = 0; i < per_row; i++) {
            uint32_t insn = (next() & ~a64_rows[r].mask) | a64_rows[r].value;
            bool ok = a64_disas(insn, 0, text, sizeof(text));
            int row = a64_row_of(insn);

            printf("%08x %d %s %d %s\n", insn, row, row < 0 ? "-" : a64_rows[row].name, ok, text);
        }
    }
    return 0;
}
