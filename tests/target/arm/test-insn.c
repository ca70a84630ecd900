/* SPDX-License-Identifier: MIT */
/*
 * Random instructions from the decode tables, on random and corner values:
 * our front end on a back end against another emulator that runs the guest
 * program insn-run (both are given; see insn.py).  Registers, flags, FPSR and
 * a window of memory are compared.
 *
 * usage: test-insn BACKEND SEED PER-ROW CLASS COMMAND...
 *   BACKEND  interp or x86_64
 *   CLASS    simd: floating point and Advanced SIMD; fp-tiny: floating point on very small numbers; simd-mem: their loads and stores; base, base-mem: the same of general registers;
 *            simd-seq: blocks of several SIMD instructions on few registers; simd-mode: floating point ones, with writes to FPCR and
 *            FPSR and reads of FPSR in between; fp-corner: floating point ones on pairs of corner operands in order, under each rounding mode
 *            and combination of FPCR controls, PER-ROW states each or all when it is 0; or the trans_ name of rows
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/arm/cpu.h"
#include "target/arm/disas.h"
#include "target/arm/translate.h"
#include "tcg/code.h"
#include "tests/target/arm/insn-values.h"
#include "util/bits.h"
#include "util/lsection.h"

enum { STATES = 6 };            /* per instruction */

/* ---- ours: flat memory behind the slow path ---- */
typedef struct Ours {
    A64Cpu *cpu;
    TcgCode *code;
    TcgCtx *ctx;
    uint8_t page[4096];
    TlbFast tlb;
    JumpEntry jump[JUMP_SIZE];
} Ours;
static Ours *ours;
static const TcgCpuOps *ops;

ROWS_DECLARE(rhea_tcg_cpu_ops, TcgCpuOps);
static uint8_t flat[INSN_FLAT], *const window = flat + INSN_FLAT / 2;

static uint8_t *at(uint64_t a, unsigned n)
{
    return a >= INSN_FLAT_BASE && a + n <= INSN_FLAT_BASE + INSN_FLAT ? flat + (a - INSN_FLAT_BASE) : NULL;
}

static bool no_access(TcgEnv *env)
{
    env->exc = 1;
    return false;
}

static bool flat_load(TcgEnv *env, IrMem m, unsigned n)
{
    unsigned size = 1u << IR_MEM_SIZE(m);
    const uint8_t *p = at(env->arg[0], size * n);

    if (!p) {
        return no_access(env);
    }
    memset(env->ret, 0, sizeof(env->ret));
    for (unsigned i = 0; i < n; i++) {
        memcpy(&env->ret[size > 8 ? 2 * i : i], p + i * size, size);
        if (m & IR_MEM_SIGN) {
            env->ret[i] = (uint64_t)sext64(env->ret[i], 8 * size);
        }
    }
    return true;
}

static bool flat_store(TcgEnv *env, IrMem m, unsigned n)
{
    unsigned size = 1u << IR_MEM_SIZE(m);
    uint8_t *p = at(env->arg[0], size * n);

    if (!p) {
        return no_access(env);
    }
    for (unsigned i = 0; i < n; i++) {
        memcpy(p + i * size, &env->arg[1 + (size > 8 ? 2 * i : i)], size);
    }
    return true;
}

static bool flat_probe(TcgEnv *env, IrMem m, unsigned bytes, bool write)
{
    return at(env->arg[0], bytes) || no_access(env);
}

static uint64_t read_n(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, p, size);
    return v;
}

static bool flat_cas(TcgEnv *env, IrMem m, unsigned n)
{
    unsigned size = 1u << IR_MEM_SIZE(m);
    uint8_t *p = at(env->arg[0], size * n);
    bool equal = true;

    if (!p) {
        return no_access(env);
    }
    for (unsigned i = 0; i < n; i++) {
        env->ret[i] = read_n(p + i * size, size);
        equal = equal && env->ret[i] == extract64(env->arg[1 + i], 0, 8 * size);
    }
    for (unsigned i = 0; equal && i < n; i++) {
        memcpy(p + i * size, &env->arg[1 + n + i], size);
    }
    return true;
}

static uint64_t rmw(IrRmw op, uint64_t old, uint64_t x, unsigned bits)
{
    int64_t s = sext64(old, bits), t = sext64(x, bits);

    x = extract64(x, 0, bits);
    switch (op) {
    case IR_RMW_XCHG: return x;
    case IR_RMW_ADD: return old + x;
    case IR_RMW_AND: return old & x;
    case IR_RMW_CLR: return old & ~x;
    case IR_RMW_OR: return old | x;
    case IR_RMW_XOR: return old ^ x;
    case IR_RMW_SMAX: return s > t ? old : x;
    case IR_RMW_SMIN: return s < t ? old : x;
    case IR_RMW_UMAX: return old > x ? old : x;
    default: return old < x ? old : x;
    }
}

static bool flat_rmw(TcgEnv *env, IrMem m, IrRmw op)
{
    unsigned size = 1u << IR_MEM_SIZE(m);
    uint8_t *p = at(env->arg[0], size);
    uint64_t v;

    if (!p) {
        return no_access(env);
    }
    env->ret[0] = read_n(p, size);
    v = rmw(op, env->ret[0], env->arg[1], 8 * size);
    memcpy(p, &v, size);
    return true;
}

static const TcgMemOps flat_ops = { flat_load, flat_store, flat_cas, flat_rmw, flat_probe };

static void ours_new(const char *backend)
{
    const TcgHost *h = tcg_host_find(backend);

    ROWS_FOREACH(rhea_tcg_cpu_ops, TcgCpuOps, o) {
        ops = o->tcg == &a64_tcg_target ? o : ops;
    }
    g_assert_true(h && ops);
    ours = g_aligned_alloc0(1, sizeof(*ours), 64);
    ours->cpu = g_aligned_alloc0(1, sizeof(A64Cpu), 64);
    memset(ours->cpu->features, 0xff, sizeof(ours->cpu->features));
    ours->code = tcg_code_new(h, &a64_tcg_target, 64 << 20);
    tcg_code_set_mem_ops(ours->code, &flat_ops);
    ours->ctx = tcg_ctx_new(ours->code);
    tcg_env_init(&ours->cpu->env, ours->code);
    ours->cpu->el = ours->cpu->spsel = 1;
    ours->cpu->sys[SR_CPACR_EL1] = 3 << 20;
    ours->cpu->env.tlb[0] = ours->cpu->env.tlb[1] = &ours->tlb;
    ours->cpu->env.jump = ours->jump;
    memset(ours->jump, 0xff, sizeof(ours->jump));
    for (unsigned i = 0; i < TLB_SIZE; i++) {
        ours->tlb.load[i].tag = ours->tlb.store[i].tag = TLB_INVALID;
    }
}

static bool compile(const InsnRec *r, TcgBlock *tb, unsigned from)
{
    A64Cpu *c = ours->cpu;
    IrBlock *b = tcg_ctx_ir(ours->ctx);
    TransCtx tc = { .cpu = &c->cpu, .ir = b, .key = ops->block_key(&c->cpu), .page = ours->page, .off = 64 + 4 * from, .max_insns = r->count - from, .pc = 64 + 4 * from };

    memset(tb, 0, sizeof(*tb));
    memcpy(ours->page + 64, r->insn, sizeof(r->insn));
    ir_begin(b, &a64_tcg_target, tc.off);
    b->nan_mode = ops->nan_mode(tc.key);
    a64_translate(&tc);
    return tcg_compile(ours->ctx, tb) == TCG_COMPILED;
}

/* A block of the instructions from `from` on; the number of the first one that it did not reach. */
static unsigned run_block(const InsnRec *r, unsigned from)
{
    A64Cpu *c = ours->cpu;
    TcgBlock tb;

    if (!compile(r, &tb, from)) {                   /* code memory is full */
        tcg_code_reset(ours->code);
        tcg_ctx_reset(ours->ctx);
        tcg_env_init(&c->env, ours->code);
        g_assert_true(compile(r, &tb, from));
    }
    c->env.guest_mxcsr = ops->mxcsr_from_guest(&c->cpu);
    c->env.page_base = 0x5000;
    tcg_enter(&c->env, ours->code, &tb);
    ops->mxcsr_to_guest(&c->cpu, c->env.guest_mxcsr);
    c->cpu.pending = 0;
    return c->env.exc ? r->count : (unsigned)(c->env.pc - 0x5040) / 4;
}

static void ours_run(InsnRec *r)
{
    A64Cpu *c = ours->cpu;

    memcpy(c->x, r->x, sizeof(r->x));
    memcpy(c->vreg, r->v, sizeof(r->v));
    memcpy(window, r->mem, INSN_MEM);
    c->n = r->nzcv >> 31 & 1;
    c->z = r->nzcv >> 30 & 1;
    c->c = r->nzcv >> 29 & 1;
    c->v = r->nzcv >> 28 & 1;
    c->env.guest_mxcsr = c->env.exc = 0;
    a64_fpcr_set(c, r->fpcr);
    a64_fpsr_set(c, r->fpsr);
    a64_mode_changed(c);
    for (unsigned i = 0; i < r->count;) {
        i = run_block(r, i);
    }
    memcpy(r->x, c->x, sizeof(r->x));
    memcpy(r->v, c->vreg, sizeof(r->v));
    memcpy(r->mem, window, INSN_MEM);
    r->nzcv = (uint64_t)c->n << 31 | (uint64_t)c->z << 30 | (uint64_t)c->c << 29 | (uint64_t)c->v << 28;
    r->fpsr = a64_fpsr_get(c);
    r->fault = c->env.exc != 0;
}

/* ---- comparing ---- */
static void differs(const InsnRec *in, const InsnRec *want, const InsnRec *got)
{
    uint32_t insn = in->insn[0];
    char text[128];

    for (unsigned i = 0; i < in->count; i++) {
        insn = insn == INSN_NOP ? in->insn[i] : insn;
        if (in->insn[i] == INSN_NOP) {
            continue;
        }
        a64_disas(in->insn[i], 0, text, sizeof(text));
        printf("# %08x %s   fpcr %08" PRIx64 "\n", in->insn[i], text, in->fpcr);
    }
    if (want->fault != got->fault) {
        printf("#   fault: want %u got %u\n", want->fault, got->fault);
    }
    for (unsigned i = 0; i < 31; i++) {
        if (want->x[i] != got->x[i]) {
            printf("#   x%u: was %016" PRIx64 " want %016" PRIx64 " got %016" PRIx64 "\n", i, in->x[i], want->x[i], got->x[i]);
        }
    }
    for (unsigned i = 0; i < 32; i++) {
        if (memcmp(want->v[i], got->v[i], 16)) {
            printf("#   v%u: want %016" PRIx64 "%016" PRIx64 " got %016" PRIx64 "%016" PRIx64 "\n", i, want->v[i][1], want->v[i][0], got->v[i][1], got->v[i][0]);
        }
    }
    if (want->nzcv != got->nzcv || want->fpsr != got->fpsr) {
        printf("#   nzcv: want %" PRIx64 " got %" PRIx64 "   fpsr: want %08" PRIx64 " got %08" PRIx64 "\n", want->nzcv >> 28, got->nzcv >> 28, want->fpsr, got->fpsr);
    }
    if (memcmp(want->mem, got->mem, INSN_MEM)) {
        printf("#   memory\n");
    }
    for (unsigned i = 0; i < 3; i++) {
        static const char *const name[] = { "rd", "rn", "rm" };
        unsigned n = i == 0 ? insn & 31 : i == 1 ? insn >> 5 & 31 : insn >> 16 & 31;

        printf("#   %s v%u: %016" PRIx64 "%016" PRIx64 "  x: %016" PRIx64 "\n", name[i], n, in->v[n][1], in->v[n][0], n < 31 ? in->x[n] : 0);
    }
}

static bool same(const InsnRec *want, const InsnRec *got)
{
    return want->nzcv == got->nzcv && want->fpsr == got->fpsr && !want->fault == !got->fault && !memcmp(want->x, got->x, sizeof(got->x)) &&
           !memcmp(want->v, got->v, sizeof(got->v)) && !memcmp(want->mem, got->mem, INSN_MEM);
}

/* ---- the other side ---- */
static bool peer_run(char **argv, const GArray *in, InsnRec *out)
{
    g_autofree char *name = NULL;
    int to = g_file_open_tmp("insnXXXXXX", &name, NULL), from[2], status;
    size_t bytes = in->len * sizeof(InsnRec), got = 0;
    ssize_t n;
    pid_t pid;

    g_assert_true(to >= 0 && write(to, in->data, bytes) == (ssize_t)bytes && !pipe(from));
    unlink(name);
    lseek(to, 0, SEEK_SET);
    pid = fork();
    if (!pid) {
        dup2(to, 0);
        dup2(from[1], 1);
        close(from[0]);
        execvp(argv[0], argv);
        _exit(127);
    }
    close(from[1]);
    close(to);
    while (got < bytes && (n = read(from[0], (char *)out + got, bytes - got)) > 0) {
        got += (size_t)n;
    }
    close(from[0]);
    waitpid(pid, &status, 0);
    return got == bytes;
}

static bool differ(char **argv, InsnRec *in, InsnRec *want, InsnRec *got)
{
    g_autoptr(GArray) one = g_array_new(false, false, sizeof(InsnRec));

    g_array_append_val(one, *in);
    if (!peer_run(argv, one, want)) {
        return false;
    }
    *got = *in;
    ours_run(got);
    return !same(want, got);
}

/* Leave out what the difference does not need. */
static void shrink(char **argv, InsnRec *in, InsnRec *want, InsnRec *got)
{
    for (unsigned i = 0; i < in->count; i++) {
        uint32_t insn = in->insn[i];

        in->insn[i] = INSN_NOP;
        if (!differ(argv, in, want, got)) {
            in->insn[i] = insn;
        }
    }
    differ(argv, in, want, got);
}

/* Random keys, or the pc is an operand. */
static bool elsewhere(const char *name)
{
    static const char *const names[] = { "adr", "adrp", "pac", "aut", "xpac", "pacga", "ldr_lit", "ldr_lit_f", "prfm_lit", "ldra", "ldxr", "stxr", "ldxp", "stxp", NULL };

    return g_strv_contains(names, name);
}

static bool wanted(const A64Row *row, const char *class)
{
    unsigned op0 = row->value >> 25 & 15;
    bool load = (op0 & 5) == 4, vector = row->value >> 26 & 1;

    if (!strcmp(class, row->name)) {
        return true;
    }
    if (elsewhere(row->name)) {
        return false;
    }
    if (!strcmp(class, "fp-tiny")) {
        return (op0 & 7) == 7 && row->name[0] == 'f';
    }
    return !strcmp(class, "simd") ? (op0 & 7) == 7 : !strcmp(class, "simd-mem") ? load && vector : !strcmp(class, "base") ? (op0 & 14) == 8 || (op0 & 7) == 5 :
           !strcmp(class, "base-mem") && load && !vector;
}

/* Fields that should be one: the manual allows either behaviour. */
static uint32_t should_be_one(const char *name)
{
    return !strcmp(name, "smulh") || !strcmp(name, "umulh") || !strcmp(name, "cas") ? 31u << 10 : !strcmp(name, "ldar") || !strcmp(name, "stlr") ? 31u << 16 | 31u << 10 : 0;
}

/* Write-back over a register that is loaded or stored, or a pair loaded to one register is constrained unpredictable. */
static bool unpredictable(const char *name, uint32_t insn)
{
    unsigned rt = insn & 31, rn = insn >> 5 & 31, rt2 = insn >> 10 & 31;
    bool pair = (insn & 0x38000000) == 0x28000000;

    return rt == rn || (pair && (rt2 == rn || rt == rt2)) || !strcmp(name, "stlur") || (!strcmp(name, "ldapr") && insn >> 24 & 1);
}

/* Register 31 may be SP, which here holds the record: not for these. */
static bool uses_sp(uint32_t insn, bool simd)
{
    return !simd && ((insn & 31) == 31 || (insn >> 5 & 31) == 31);
}

/* MSR FPCR, MSR FPSR, MRS FPSR: with x20 to x23, which hold modes (modes()), or to x24 to x27. */
static uint32_t fp_control(void)
{
    static const uint32_t insn[] = { 0xd51b4400, 0xd51b4420, 0xd53b4420 };
    unsigned k = (unsigned)(rng() % 3);

    return insn[k] | (k == 2 ? 24 : 20) | (uint32_t)(rng() & 3);
}

static void modes(InsnRec *r)
{
    r->fpcr |= rng() & 1 ? FPCR_FZ : 0;
    for (unsigned i = 20; i < 24; i++) {
        r->x[i] = rng() & (FPCR_FZ | FPCR_DN | 3 << FPCR_RMODE_SHIFT | FPSR_IXC | FPSR_IDC);
    }
}

/* Blocks of up to INSN_MAX instructions on eight registers, so that values meet; with control: floating point ones, and modes change. */
static void sequences(GArray *in, unsigned n, bool control)
{
    while (n--) {
        unsigned count = control && n & 1 ? 3 : INSN_MAX;       /* short ones: one write, or read, and what an instruction or two do under it */
        InsnRec r;

        random_state(&r, INSN_NOP, false);
        if (control) {
            modes(&r);
        }
        for (r.count = 0; r.count < count;) {
            unsigned i = (unsigned)(rng() % a64_nrows);
            const A64Row *row = &a64_rows[i];
            uint32_t insn = ((uint32_t)rng() & ~row->mask) | row->value;

            insn &= ~(0x00180318u & ~row->mask);
            if (control && (!(rng() & 63) || (count < INSN_MAX && !r.count))) {
                r.insn[r.count++] = fp_control();
            } else if (control && row->name[0] != 'f') {
                continue;
            } else if (wanted(row, "simd") && a64_row_of(insn) == (int)i && row->dis(NULL, insn)) {
                r.insn[r.count++] = insn;
            }
        }
        g_array_append_val(in, r);
    }
}

static bool fp_row(const A64Row *row)
{
    return wanted(row, "simd") && (row->name[0] == 'f' || g_str_has_prefix(row->name, "bf") || strstr(row->name, "cvtf") || g_str_has_prefix(row->name, "urecpe") ||
                                   g_str_has_prefix(row->name, "ursqrte"));
}

typedef struct Run {
    char **argv;                /* of the peer */
    GArray *in;
    GHashTable *bad;
    unsigned failed, faults;
    uint64_t runs;
    bool skipped;
} Run;

/* What was gathered so far, on both. */
static void compare(Run *k)
{
    g_autofree InsnRec *want = g_new0(InsnRec, k->in->len + 1);

    if (!k->in->len || !peer_run(k->argv, k->in, want)) {
        k->skipped |= k->in->len > 0;
        return;
    }
    for (unsigned i = 0; i < k->in->len; i++) {
        const InsnRec *first = &g_array_index(k->in, InsnRec, i);
        InsnRec got = *first;
        const char *name = a64_rows[a64_row_of(first->insn[0])].name;

        ours_run(&got);
        k->faults += want[i].fault != 0;
        if (!same(&want[i], &got)) {
            k->failed++;
            if (g_hash_table_add(k->bad, (gpointer)name)) {
                InsnRec small = *first;

                if (small.count > 1) {
                    shrink(k->argv, &small, &want[i], &got);
                }
                differs(&small, &want[i], &got);
            }
        }
    }
    k->runs += k->in->len;
    g_array_set_size(k->in, 0);
}

static void gather(void *data, const InsnRec *r)
{
    Run *k = data;

    g_array_append_vals(k->in, r, 1);
    if (k->in->len >= 40000) {
        compare(k);
    }
}

/* Random words of each floating point row, every size that it has among them. */
static unsigned corner_rows(unsigned per_row, Use *use, void *data)
{
    unsigned rows = 0;

    for (unsigned i = 0; i < a64_nrows; i++) {
        unsigned words = 0;

        rows += fp_row(&a64_rows[i]);
        for (unsigned n = 0; fp_row(&a64_rows[i]) && n < 1000 && words < 5; n++) {
            uint32_t insn = ((uint32_t)rng() & ~a64_rows[i].mask) | a64_rows[i].value;

            if ((insn >> 5 & 31) != (insn >> 16 & 31) && a64_row_of(insn) == (int)i && a64_rows[i].dis(NULL, insn)) {
                corner_word(insn, per_row, use, data);
                words++;
            }
        }
    }
    return rows;
}

static unsigned random_rows(unsigned per_row, const char *class, GArray *in)
{
    bool memory = g_str_has_suffix(class, "-mem");
    unsigned rows = 0;

    for (unsigned i = 0; i < a64_nrows; i++) {
        if (!wanted(&a64_rows[i], class)) {
            continue;
        }
        rows++;
        for (unsigned k = 0, before = in->len; k < per_row || (in->len == before && k < 10000); k++) {     /* one at least */
            uint32_t insn = ((uint32_t)rng() & ~a64_rows[i].mask) | a64_rows[i].value;

            insn |= should_be_one(a64_rows[i].name);
            if (uses_sp(insn, !strcmp(class, "simd")) || (!strcmp(class, "base-mem") && unpredictable(a64_rows[i].name, insn)) || a64_row_of(insn) != (int)i || !a64_rows[i].dis(NULL, insn)) {
                continue;
            }
            for (unsigned s = 0; s < STATES; s++) {
                InsnRec r;

                random_state(&r, insn, memory);
                g_array_append_val(in, r);
            }
        }
    }
    return rows;
}

static void print_rows(const GArray *in)
{
    for (unsigned i = 0; i < in->len; i++) {
        for (unsigned k = 0; k < g_array_index(in, InsnRec, i).count; k++) {
            printf("%d\n", a64_row_of(g_array_index(in, InsnRec, i).insn[k]));
        }
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GArray) in = g_array_new(false, false, sizeof(InsnRec));
    g_autoptr(GHashTable) bad = g_hash_table_new(g_str_hash, g_str_equal);
    Run k = { .argv = argv + 5, .in = in, .bad = bad };
    unsigned per_row, rows = 0;
    const char *class;

    if (argc < 6) {
        fprintf(stderr, "usage: test-insn BACKEND SEED PER-ROW CLASS COMMAND...|rows\n");
        return 2;
    }
    rng_seed(strtoull(argv[2], NULL, 0));
    per_row = (unsigned)atoi(argv[3]);
    class = argv[4];
    tiny = !strcmp(class, "fp-tiny") || !strcmp(class, "simd-mode");
    if (!strcmp(class, "simd-seq") || !strcmp(class, "simd-mode")) {
        sequences(in, per_row, !strcmp(class, "simd-mode"));
    } else if (strcmp(class, "fp-corner")) {
        rows = random_rows(per_row, class, in);
    }
    if (!strcmp(argv[5], "rows")) {
        print_rows(in);
        return 0;
    }
    ours_new(argv[1]);
    if (!strcmp(class, "fp-corner")) {
        rows = corner_rows(per_row, gather, &k);
    }
    compare(&k);
    if (k.skipped) {
        printf("1..0 # SKIP the other emulator did not run\n");
        return 77;
    }
    printf("1..1\n%s 1 %u rows, %" PRIu64 " runs, %u faults, %u differences in %u rows\n", k.failed ? "not ok" : "ok", rows, k.runs, k.faults, k.failed, g_hash_table_size(bad));
    return k.failed != 0;
}
