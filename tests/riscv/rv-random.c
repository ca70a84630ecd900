/* SPDX-License-Identifier: MIT */
/*
 * Random RV64 instructions from the decode table, one per line:
 *     word row-index trans-name valid text
 * usage: rv-random SEED PER-ROW
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "target/riscv/disas.h"

static uint64_t state;

static uint32_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

int main(int argc, char **argv)
{
    unsigned per_row = argc > 2 ? (unsigned)atoi(argv[2]) : 16;
    char text[128];

    state = 88172645463325252ull ^ (argc > 1 ? strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15ull : 0);
    for (unsigned r = 0; r < rv_nrows; r++) {
        uint32_t width = (rv_rows[r].value & 3) == 3 ? 0xffffffff : 0xffff;

        for (unsigned i = 0; i < per_row; i++) {
            uint32_t insn = ((next() & ~rv_rows[r].mask) | rv_rows[r].value) & width;
            bool ok = rv_disas(insn, 0, text, sizeof(text));
            int row = rv_row_of(insn);      /* not r where rows overlap */

            printf("%08x %d %s %d %s\n", insn, row, rv_rows[row < 0 ? (int)r : row].name, ok, text);
        }
    }
    return 0;
}
