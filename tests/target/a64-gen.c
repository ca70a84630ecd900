/* SPDX-License-Identifier: MIT */
/*
 * Random cases for a64-lockstep: a64-gen SEED CASES [INSNS [ROW-NAME-PREFIX]] > blob
 * Instructions come from the decode tables; x26-x30 and SP are the harness's, loads and stores use x27 (and x26 as an index).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/arm/disas.h"
#include "tests/target/a64-lockstep.h"

static uint64_t seed;

static uint64_t next(void)
{
    seed += 0x9e3779b97f4a7c15;
    uint64_t z = seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Rows that are not for here: control flow, system state, exclusives (they may fail), keys, position of literals. */
static const char *const left_out[] = {
    "adr", "adrp", "b", "bl", "cbz", "cbnz", "tbz", "tbnz", "b_cond", "br", "blr", "ret", "eret", "braz", "blraz", "reta", "ereta", "bra", "blra", "pac", "aut", "xpac", "pacga", "ldra",
    "svc", "hvc", "smc", "brk", "hlt", "yield", "wfe", "wfi", "sev", "sevl", "xpaclri", "pac_hint", "esb", "sys", "msr_mrs", "msr_uao", "msr_pan", "msr_spsel", "msr_ssbs", "msr_dit",
    "msr_daifset", "msr_daifclr", "stxr", "ldxr", "stxp", "ldxp", "ldr_lit", "ldr_lit_f", "clrex", "bti", "hint", "prfm_lit", "prfm", NULL
};

static bool wanted(const A64Row *r, const char *prefix)
{
    for (unsigned i = 0; left_out[i]; i++) {
        if (!strcmp(left_out[i], r->name)) {
            return false;
        }
    }
    return !prefix || !strncmp(r->name, prefix, strlen(prefix));
}

static bool reserved(const char *text)
{
    for (const char *p = text; *p; p++) {
        if ((*p == 'x' || *p == 'w') && p > text && strchr(" ,[", p[-1]) &&
            (!strncmp(p + 1, "26", 2) || !strncmp(p + 1, "27", 2) || !strncmp(p + 1, "28", 2) || !strncmp(p + 1, "29", 2) || !strncmp(p + 1, "30", 2))) {
            return true;
        }
        if (!strncmp(p, "sp", 2) && p > text && strchr(" ,[w", p[-1])) {
            return true;
        }
    }
    return false;
}

/* Take "[x27", "x26" and "w26" of the address out, then nothing reserved may be left. */
static bool memory_ok(char *text)
{
    char *at = strstr(text, "[x27"), *idx, *first;

    if (!at) {
        return false;
    }
    memcpy(at, "[x1 ", 4);
    idx = strstr(at, "x26");
    idx = idx ? idx : strstr(at, "w26");
    if (idx) {
        memcpy(idx, "x1 ", 3);
    }
    /* equal destinations of a pair are unpredictable */
    first = strchr(text, ' ');
    if (!strncmp(text, "ld", 2) && first && strchr(first, ',')) {
        size_t n = (size_t)(strchr(first, ',') - first);

        if (!strncmp(strchr(first, ',') + 1, first, n) && strchr(",]", strchr(first, ',')[1 + n])) {
            return false;
        }
    }
    return !reserved(text);
}

/* In a sequence x27 must stay a multiple of 16, or the atomics behind would fault. */
static bool keeps_base(const char *text)
{
    const char *end = strchr(text, ']'), *imm = end ? strrchr(text, '#') : NULL;

    if (!end || (end[1] != '!' && end[1] != ',')) {
        return true;
    }
    return imm && atoi(imm + 1) % 16 == 0;
}

static bool sequence;

static uint32_t one(const char *prefix)
{
    static uint32_t usable[4096];
    static unsigned nusable;
    char text[128];

    if (!nusable) {
        for (unsigned i = 0; i < a64_nrows; i++) {
            if (wanted(&a64_rows[i], prefix)) {
                usable[nusable++] = i;
            }
        }
    }
    for (;;) {
        const A64Row *r = &a64_rows[usable[next() % nusable]];
        uint32_t insn = ((uint32_t)next() & ~r->mask) | r->value;
        bool mem = strstr(r->where, "ldst") != NULL;

        if (mem) {
            insn = (insn & ~0x3e0u) | 27u << 5;
            if (!strcmp(r->name + strlen(r->name) - 2, "_r") || !strcmp(r->name + strlen(r->name) - 3, "_fr")) {
                insn = (insn & ~0x1f0000u) | 26u << 16;
            } else if (strstr(r->name, "lane") || !strcmp(r->name, "ldn") || !strcmp(r->name, "stn") || !strcmp(r->name, "ldn_r")) {
                insn = insn & 1u << 23 ? (insn & ~0x1f0000u) | (next() & 1 ? 26u : 31u) << 16 : insn;
            }
            if ((insn & r->mask) != r->value) {
                continue;
            }
        }
        if (a64_row_of(insn) < 0 || &a64_rows[a64_row_of(insn)] != r || !a64_disas(insn, 0, text, sizeof(text))) {
            continue;
        }
        /* accesses across 16 bytes that must be atomic may fault */
        if (strstr(r->mnemonic, "lur") || strstr(r->mnemonic, "apur")) {
            insn &= ~0x7000u;
        }
        if (mem && sequence && !keeps_base(text)) {
            continue;
        }
        if (mem ? memory_ok(text) : !reserved(text)) {
            return insn;
        }
    }
}

static uint64_t integer(void)
{
    static const uint64_t special[] = { 0, 1, ~0ull, 1ull << 63, (1ull << 63) - 1, 1ull << 31, (1ull << 31) - 1, 0xffffffff, 1ull << 32, 0x80, 0x7f, 0xff, 0x8000, 0x7fff };

    switch (next() & 3) {
    case 0:
        return special[next() % (sizeof(special) / sizeof(special[0]))];
    case 1:
        return next() >> (next() & 63);
    default:
        return next();
    }
}

static uint64_t floating(void)
{
    static const uint64_t d[] = { 0, 1ull << 63, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000001, 0x7ff0000000000001, 0xfff4000000000000, 1, 0x000fffffffffffff, 0x0010000000000000,
                                  0x7fefffffffffffff, 0x3ff0000000000000, 0xbff8000000000000, 0x4340000000000000, 0x41dfffffffc00000, 0x43e0000000000000 };
    static const uint32_t s[] = { 0, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00001, 0x7f800001, 0xffa00000, 1, 0x007fffff, 0x00800000,
                                  0x7f7fffff, 0x3f800000, 0xbfc00000, 0x4b000000, 0x4f000000, 0x5f000000 };
    static const uint16_t h[] = { 0, 0x8000, 0x7c00, 0xfc00, 0x7e01, 0x7c01, 0xfd00, 1, 0x03ff, 0x0400, 0x7bff, 0x3c00, 0xbe00, 0x6400 };
    uint64_t v = 0;

    switch (next() & 7) {
    case 0:
        return d[next() & 15];
    case 1:
        return s[next() & 15] | (uint64_t)s[next() & 15] << 32;
    case 2:
        for (int i = 0; i < 4; i++) {
            v = v << 16 | h[next() % 14];
        }
        return v;
    case 3:         /* moderate doubles */
        return (next() & 0x800fffffffffffff) | (1023 - 40 + next() % 80) << 52;
    case 4:         /* moderate singles */
        v = (next() & 0x807fffff807fffff) | (127 - 20 + next() % 40) << 23;
        return v | (127 - 20 + next() % 40) << 55;
    case 5:
        v = next() & 0x83ff83ff83ff83ff;
        for (int i = 0; i < 4; i++) {
            v |= (15 - 6 + next() % 12) << (10 + 16 * i);
        }
        return v;
    default:
        return integer();
    }
}

int main(int argc, char **argv)
{
    unsigned cases = argc > 2 ? (unsigned)atoi(argv[2]) : 1000, insns = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
    static uint8_t blob[BLOB_SIZE];

    sequence = insns > 1;
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) * 0x2545f4914f6cdd1d : 1;
    memcpy(blob, &cases, 4);
    for (unsigned i = 0; i < cases; i++) {
        uint32_t *code = (uint32_t *)(void *)(blob + BLOB_CODE + 64 * i);
        CaseState *s = (CaseState *)(void *)(blob + BLOB_STATE + 1024 * i);

        for (unsigned k = 0; k < insns; k++) {
            code[k] = one(argc > 4 ? argv[4] : NULL);
        }
        code[insns] = 0xd65f03c0;
        for (unsigned r = 0; r < 31; r++) {
            s->x[r] = integer();
        }
        s->x[26] = next() % 256;
        s->x[27] = BLOB_BASE + BLOB_SCRATCH + SCRATCH_SIZE / 2 - 0x8000 + (next() & 0x7ff0);
        s->nzcv = (next() & 15) << 28;
        s->fpcr = next() & 3 ? 0 : (next() & 7) << 23;     /* RMode's high bit, FZ, DN in a quarter of the cases */
        s->fpcr |= next() & 7 ? 0 : (next() & 1) << 22 | (next() & 1) << 19;
        for (unsigned r = 0; r < 32; r++) {
            s->v[r][0] = floating();
            s->v[r][1] = floating();
        }
    }
    for (uint32_t i = 0; i < SCRATCH_SIZE; i += 8) {
        uint64_t v = floating();

        memcpy(blob + BLOB_SCRATCH + i, &v, 8);
    }
    return fwrite(blob, BLOB_SIZE, 1, stdout) != 1;
}
