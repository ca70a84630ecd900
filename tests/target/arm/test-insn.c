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
 *            FPSR and reads of FPSR in between; or the trans_ name of rows
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
#include "tests/target/arm/insn-run.h"
#include "util/bits.h"
#include "util/lsection.h"

enum { STATES = 6 };            /* per instruction */

static uint64_t rng_state;

static uint64_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state * 0x2545f4914f6cdd1dull;
}

/* ---- values ---- */
static const uint16_t corner16[] = { 0, 0x8000, 1, 0x8001, 0x3ff, 0x400, 0x83ff, 0x8400, 0x3c00, 0xbc00, 0x3bff, 0x3c01, 0x3800, 0x3e00, 0x4248, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00,
                                     0x7d01, 0xfe05, 0x7fff, 0x7800, 0x7400, 0x5bff, 0x4100 };
static const uint32_t corner32[] = { 0, 0x80000000, 1, 0x80000001, 0x7fffff, 0x800000, 0x807fffff, 0x80800000, 0x3f800000, 0xbf800000, 0x3f7fffff, 0x3f800001, 0x3f000000, 0x3fc00000,
                                     0x40490fdb, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x7fa00001, 0xffc00005, 0x7fffffff, 0x4f000000, 0xcf000000, 0x4effffff,
                                     0x5f000000, 0x5effffff, 0x40200000, 0x33800000, 0x38800000, 0x387fe000, 0x477ff000, 0x477fefff, 0x7e800000, 0x00400000 };
static const uint64_t corner64[] = { 0, 1ull << 63, 1, 0x800fffffffffffff, 0x0010000000000000, 0x000fffffffffffff, 0x3ff0000000000000, 0xbff0000000000000, 0x3fefffffffffffff,
                                     0x3ff0000000000001, 0x3fe0000000000000, 0x3ff8000000000000, 0x400921fb54442d18, 0x7fefffffffffffff, 0xffefffffffffffff, 0x7ff0000000000000,
                                     0xfff0000000000000, 0x7ff8000000000000, 0x7ff4000000000001, 0xfff8000000000005, 0x41dfffffffc00000, 0x41e0000000000000, 0xc1e0000000000000,
                                     0xc1e0000000200000, 0x43e0000000000000, 0x43dfffffffffffff, 0xc3e0000000000000, 0x43f0000000000000, 0x4004000000000000, 0x47efffffe0000000,
                                     0x47effffff0000000, 0x3810000000000000, 0x380fffffc0000000, 0x380fffffffffffff, 0xb80ffffff0000000, 0x380fffffe0000000, 0x36a0000000000000, 0x7fd0000000000000 };

static bool tiny;               /* values whose products and quotients are about as small as the smallest normal number */

static uint64_t value64(void)
{
    static const uint8_t tiny_kinds[] = { 0, 2, 9, 9, 9, 9, 10, 10, 10, 10, 10, 11 };
    unsigned kind = tiny ? tiny_kinds[rng() % ARRAY_SIZE(tiny_kinds)] : rng() % 13;
    uint64_t v = 0;

    switch (kind) {
    case 0: case 1:
        return corner64[rng() % ARRAY_SIZE(corner64)];
    case 2: case 3:
        return corner32[rng() % ARRAY_SIZE(corner32)] | (uint64_t)corner32[rng() % ARRAY_SIZE(corner32)] << 32;
    case 4: case 5:
        for (unsigned i = 0; i < 64; i += 16) {
            v |= (uint64_t)corner16[rng() % ARRAY_SIZE(corner16)] << i;
        }
        return v;
    case 6:                                         /* small numbers: shift counts, saturation */
        for (unsigned i = 0; i < 64; i += 8 << rng() % 3) {
            v |= (uint64_t)(uint8_t)(rng() % 40 - 20) << i;
        }
        return v;
    case 7:                                         /* near numbers: cancellation */
        return 0x3ff0000000000000 + (rng() & 0x800f00000000ffff);
    case 8:
        return 0x3f8000003f800000 + (rng() & 0x8070000f8070000f);
    case 9:                                         /* products round to the smallest normal number, or nearly */
        return (0x2000000000000000 + rng() % 4 - 2) ^ (rng() & 1) << 63;
    case 10:
        return (0x2000000020000000 + rng() % 4 - 2 + ((rng() % 4 - 2) << 32)) ^ (rng() & 0x8000000080000000);
    case 11:                                        /* denormal, or nearly */
        return rng() & 1 ? (rng() & 0x8000000080000000) | (rng() & 0x0080000700800007) : (rng() & 1ull << 63) | (rng() & 0x001000000000000f);
    default:
        return rng();
    }
}

/* Atomic and ordered accesses: what a misaligned one does depends on FEAT_LSE2 and the memory type, and is not the question here. */
static bool aligned(uint32_t insn)
{
    return (insn & 0x3f000000) == 0x08000000 || (insn & 0x3f200c00) == 0x38200000 || (insn & 0x3f200c00) == 0x19000000;
}

static void random_state(InsnRec *r, uint32_t insn, bool memory)
{
    memset(r, 0, sizeof(*r));
    for (unsigned i = 0; i < INSN_MAX; i++) {
        r->insn[i] = i ? INSN_NOP : insn;
    }
    r->count = 1;
    r->nzcv = (rng() & 15) << 28;
    r->fpcr = rng() & 1 ? 0 : ((rng() & 3) << 22) | (rng() & 1 ? 0 : (rng() & (FPCR_FZ | FPCR_DN | FPCR_AHP | FPCR_FZ16)));
    r->fpsr = rng() & 1 ? FPSR_IXC : 0;
    if (tiny && rng() & 1) {
        r->fpcr &= ~(uint64_t)(FPCR_FZ | FPCR_DN);
    }
    for (unsigned i = 0; i < 31; i++) {
        r->x[i] = value64();
    }
    for (unsigned i = 0; i < 32; i++) {
        r->v[i][0] = value64();
        r->v[i][1] = rng() & 1 ? value64() : r->v[i][0];
    }
    if (!(rng() & 3)) {                             /* equal operands */
        unsigned rn = insn >> 5 & 31, rm = insn >> 16 & 31;

        memcpy(r->v[rm], r->v[rn], 16);
    }
    for (unsigned i = 0; i < INSN_MEM; i += 8) {
        uint64_t v = value64();

        memcpy(r->mem + i, &v, 8);
    }
    if (memory) {
        unsigned rn = insn >> 5 & 31;

        if ((insn >> 16 & 31) < 31) {
            r->x[insn >> 16 & 31] = rng() & 15;
        }
        if (rn < 31) {
            r->x[rn] = INSN_MEM_BASE + 96 + (aligned(insn) ? 0 : rng() & 31);
        }
    }
}

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

int main(int argc, char **argv)
{
    g_autoptr(GArray) in = g_array_new(false, false, sizeof(InsnRec));
    g_autoptr(GHashTable) bad = g_hash_table_new(g_str_hash, g_str_equal);
    unsigned per_row, failed = 0, rows = 0, faults = 0;
    g_autofree InsnRec *want = NULL;
    bool memory;

    if (argc < 6) {
        fprintf(stderr, "usage: test-insn BACKEND SEED PER-ROW CLASS COMMAND...|rows\n");
        return 2;
    }
    rng_state = 0x9e3779b97f4a7c15ull ^ strtoull(argv[2], NULL, 0) * 0x2545f4914f6cdd1dull;
    per_row = (unsigned)atoi(argv[3]);
    memory = g_str_has_suffix(argv[4], "-mem");
    tiny = !strcmp(argv[4], "fp-tiny") || !strcmp(argv[4], "simd-mode");
    if (!strcmp(argv[4], "simd-seq") || !strcmp(argv[4], "simd-mode")) {
        sequences(in, per_row, !strcmp(argv[4], "simd-mode"));
    }
    for (unsigned i = 0; i < a64_nrows; i++) {
        if (!wanted(&a64_rows[i], argv[4])) {
            continue;
        }
        rows++;
        for (unsigned k = 0, before = in->len; k < per_row || (in->len == before && k < 10000); k++) {     /* one at least */
            uint32_t insn = ((uint32_t)rng() & ~a64_rows[i].mask) | a64_rows[i].value;

            insn |= should_be_one(a64_rows[i].name);
            if (uses_sp(insn, !strcmp(argv[4], "simd")) || (!strcmp(argv[4], "base-mem") && unpredictable(a64_rows[i].name, insn)) || a64_row_of(insn) != (int)i || !a64_rows[i].dis(NULL, insn)) {
                continue;
            }
            for (unsigned s = 0; s < STATES; s++) {
                InsnRec r;

                random_state(&r, insn, memory);
                g_array_append_val(in, r);
            }
        }
    }
    for (unsigned i = 0; i < in->len && !strcmp(argv[5], "rows"); i++) {
        for (unsigned k = 0; k < g_array_index(in, InsnRec, i).count; k++) {
            printf("%d\n", a64_row_of(g_array_index(in, InsnRec, i).insn[k]));
        }
    }
    if (!strcmp(argv[5], "rows")) {
        return 0;
    }
    want = g_new0(InsnRec, in->len + 1);
    if (!peer_run(argv + 5, in, want)) {
        printf("1..0 # SKIP the other emulator did not run\n");
        return 77;
    }
    ours_new(argv[1]);
    for (unsigned i = 0; i < in->len; i++) {
        const InsnRec *first = &g_array_index(in, InsnRec, i);
        InsnRec got = *first;
        const char *name = a64_rows[a64_row_of(first->insn[0])].name;

        ours_run(&got);
        faults += want[i].fault != 0;
        if (!same(&want[i], &got)) {
            failed++;
            if (g_hash_table_add(bad, (gpointer)name)) {
                InsnRec small = *first;

                if (small.count > 1) {
                    shrink(argv + 5, &small, &want[i], &got);
                }
                differs(&small, &want[i], &got);
            }
        }
    }
    printf("1..1\n%s 1 %u rows, %u runs, %u faults, %u differences in %u rows\n", failed ? "not ok" : "ok", rows, in->len, faults, failed, g_hash_table_size(bad));
    return failed != 0;
}
