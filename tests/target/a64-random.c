/* SPDX-License-Identifier: MIT */
/*
 * Random A64 instructions from the decode table, one per line:
 *     word row-index trans-name valid text
 * usage: a64-random SEED PER-ROW
 *        a64-random rows        index and name of each row
 *        a64-random words FILE  row index of each word of a program
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/arm/disas.h"

static uint64_t state;

static uint32_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 16;
}

static int all_rows(void)
{
    for (unsigned r = 0; r < a64_nrows; r++) {
        printf("%u %s\n", r, a64_rows[r].name);
    }
    return 0;
}

static int rows_of_words(const char *path)
{
    FILE *f = fopen(path, "rb");
    unsigned char w[4];

    while (f && fread(w, 4, 1, f) == 1) {
        printf("%d\n", a64_row_of(w[0] | w[1] << 8 | w[2] << 16 | (uint32_t)w[3] << 24));
    }
    return f ? fclose(f) : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "rows")) {
        return all_rows();
    }
    if (argc == 3 && !strcmp(argv[1], "words")) {
        return rows_of_words(argv[2]);
    }

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
