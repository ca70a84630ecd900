/* SPDX-License-Identifier: MIT */
/*
 * EL1 in lockstep: random programs of system registers, exceptions and page tables, here and in another emulator behind its gdb server.
 *
 * usage: el1-lockstep PROGRAM CPU PEER-CPU HOST SEED STEPS [RESUME-FILE]
 *
 * Both run the same number of instructions, a few at a time (so that blocks are more than one instruction), then general
 * registers, SP, PC, PSTATE and the syndrome registers are compared; at the end of each program also vectors, all system
 * registers and memory.  A program that differs is run again step by step to name the instruction.
 * RESUME-FILE keeps the next seed and the counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw/core/machine.h"
#include "target/arm/disas.h"
#include "target/arm/mmu.h"
#include "target/arm/sysregs.h"
#include "tests/target/el1/program.h"

enum { BURST = 12, RUNAWAY = 6000, SHOWN = 8, DIFFERENCES = 10 };

typedef struct Sysreg { int theirs; uint16_t ours; } Sysreg;

typedef struct Lock {
    Machine *m;
    A64Cpu *c;
    Peer *peer;
    Program p;
    uint8_t *shadow;            /* what both memories hold */
    Sysreg sys[SR_COUNT];
    unsigned nsys;
    uint64_t steps, exceptions, programs;
    unsigned failed, judged;
    bool excused;               /* the difference that was found last is one of docs/tests.md */
} Lock;

/* ---- our side ---- */

static Machine *ours_open(const char *cpu, const char *host)
{
    static const char *const props[] = { "gic-version", "3", NULL };
    g_autofree char *accel = g_strdup_printf("tcg,host=%s", host);
    MachineConfig config = { .accel = accel, .cpu = cpu, .ram_size = RAM_SIZE, .props = props, .clock = CLOCK_ICOUNT, .have_seed = true, .seed = 1 };
    Error *err = NULL;
    Machine *m = machine_open(NULL, machine_type_find("aarch64", "virt", NULL), &config, &err);

    if (!m || !machine_ready(m, &err)) {
        fprintf(stderr, "%s\n", error_message(err));
        exit(1);
    }
    return m;
}

/* A branch to a tagged address: ours drops the tag when it fetches there, the peer at once. */
static uint64_t untagged(const A64Cpu *c, uint64_t pc)
{
    unsigned half = pc >> 55 & 1;
    uint64_t tcr = c->sys[SR_TCR_EL1];

    if (!(tcr >> (37 + half) & 1) || (a64_has(c, A64_FEAT_pauth) && tcr >> (51 + half) & 1)) {
        return pc;
    }
    return half ? pc | 0xffull << 56 : pc & ~(0xffull << 56);
}

static PeerCore ours_core(const A64Cpu *c)
{
    PeerCore r = { .sp = c->sp, .pc = untagged(c, c->env.pc), .cpsr = (uint32_t)a64_pstate(c) };

    memcpy(r.x, c->x, sizeof(r.x));
    return r;
}

static void ours_core_set(A64Cpu *c, const PeerCore *r)
{
    a64_pstate_set(c, r->cpsr);
    memcpy(c->x, r->x, sizeof(r->x));
    c->sp = r->sp;
    c->env.pc = r->pc;
    c->cpu.machine->accel->state_changed(&c->cpu);
}

static void ours_step(Lock *k, unsigned n)
{
    while (n) {
        uint64_t done = k->m->accel->run_count(&k->c->cpu, n);

        if (!done || done > n) {
            fprintf(stderr, "seed asks for %u instructions, %" PRIu64 " ran\n", n, done);
            exit(1);
        }
        n -= (unsigned)done;
    }
}

/* ---- both ---- */

static void both_core_set(Lock *k, const PeerCore *r)
{
    ours_core_set(k->c, r);
    peer_core_set(k->peer, r);
}

static void both_write(Lock *k, uint64_t pa, const void *buf, size_t len)
{
    dma_write(k->m->as, pa, buf, len, MEM_ATTRS_NONE);
    peer_write(k->peer, pa, buf, len);
    memcpy(k->shadow + (pa - RAM_BASE), buf, len);
}

/* Only what has changed. */
static void both_load(Lock *k, uint64_t pa, const void *buf, size_t len)
{
    enum { PIECE = 256 };

    for (size_t at = 0; at < len; at += PIECE) {
        size_t n = 0;

        while (at + n < len && memcmp(k->shadow + (pa - RAM_BASE) + at + n, (const char *)buf + at + n, PIECE)) {
            n += PIECE;
        }
        if (n) {
            both_write(k, pa + at, (const char *)buf + at, n);
        }
        at += n;
    }
}

static bool differs(const char *what, uint64_t ours, uint64_t theirs, bool tell)
{
    if (ours == theirs) {
        return false;
    }
    if (tell) {
        printf("#   %-14s ours %016" PRIx64 " peer %016" PRIx64 "\n", what, ours, theirs);
    }
    return true;
}

enum { SPSR_BTYPE = 3 << 10, ESR_WNR = 1 << 6 };

/* What of x17 and x18 is not compared at one instruction of the handler. */
static uint64_t aside(const Program *p, uint64_t pc, unsigned i)
{
    return i == 17 && p->raw_esr && pc == p->raw_esr ? ESR_WNR : i == 18 && pc == p->raw_spsr ? SPSR_BTYPE : 0;
}

static bool core_differs(const Program *p, const PeerCore *a, const PeerCore *b, bool tell)
{
    /* the flags are the interrupted program's until the handler's CMP; the peer clears them, and DIT, on entry; ALLINT is FEAT_NMI's */
    uint32_t kept = (a->pc - CODE_BASE < CODE_OFF - CODE_BASE ? 0xf1000000 : 0) | 1 << 13;
    bool bad = differs("pc", a->pc, b->pc, tell);
    char name[8];

    bad |= differs("sp", a->sp, b->sp, tell);
    bad |= differs("pstate", a->cpsr & ~kept, b->cpsr & ~kept, tell);
    for (unsigned i = 0; i < 31; i++) {
        g_snprintf(name, sizeof(name), "x%u", i);
        bad |= differs(name, a->x[i] & ~aside(p, a->pc, i), b->x[i] & ~aside(p, a->pc, i), tell);
    }
    return bad;
}

/*
 * What of a syndrome register is compared.  BTYPE is kept by what is raised before an instruction begins and by BRK, by others it may be
 * cleared (AArch64.TakeException, Unpredictable_ZEROBTYPE).  The peer says for a load too that it is a write, when an atomic access is across 16 bytes.
 */
static uint64_t kept(const A64Cpu *c, unsigned reg)
{
    uint64_t esr = c->sys[SR_ESR_EL1];
    unsigned ec = esr >> 26 & 63;
    bool keeps = ec == EC_BTI || ec == EC_ILLEGAL || (ec >= EC_IABORT_LOW && ec <= EC_PC_ALIGN) || ec == EC_BRK64;
    bool unaligned = (ec & ~1u) == EC_DABORT_LOW && (esr & 0x3f) == FSC_ALIGNMENT && a64_has(c, A64_FEAT_lse2);

    return reg == SR_SPSR_EL1 && !keeps ? ~(uint64_t)SPSR_BTYPE : reg == SR_ESR_EL1 && unaligned ? ~(uint64_t)ESR_WNR : ~0ull;
}

static const uint16_t ids[] = { SR_ESR_EL1, SR_FAR_EL1, SR_ELR_EL1, SR_SPSR_EL1 };

static void peer_syndromes(Lock *k, uint64_t val[4][2])
{
    int num[4];

    for (unsigned i = 0; i < 4; i++) {
        num[i] = peer_reg(k->peer, a64_sysregs[ids[i]].name);
    }
    peer_get(k->peer, num, 4, val);
}

static bool data_abort(uint64_t esr)
{
    return (esr >> 26 & ~1ull) == EC_DABORT_LOW;
}

/*
 * An unaligned access that begins in Device memory and whose second page faults too: ours is the alignment fault of the first byte always, the
 * peer's that or the fault of the second page, as its TLB has it.
 */
static bool judged(Lock *k)
{
    uint64_t val[4][2], far = a64_sysreg_read(k->c, SR_FAR_EL1), esr = a64_sysreg_read(k->c, SR_ESR_EL1);
    WalkResult walk = {};

    peer_syndromes(k, val);
    if (!data_abort(esr) || !data_abort(val[0][0]) || (esr & 0x3f) != FSC_ALIGNMENT || (val[0][0] & 0x3f) == FSC_ALIGNMENT || val[1][0] != (far & ~0xfffull) + 4096) {
        return false;
    }
    return a64_walk(&k->c->cpu, far, ACC_LOAD, 0, true, &walk) && walk.device;
}

static bool syndromes_differ(Lock *k, bool tell)
{
    uint64_t val[4][2];
    bool bad = false;

    peer_syndromes(k, val);
    for (unsigned i = 0; i < 4; i++) {
        bad |= differs(a64_sysregs[ids[i]].name, a64_sysreg_read(k->c, ids[i]) & kept(k->c, ids[i]), val[i][0] & kept(k->c, ids[i]), tell);
    }
    return bad;
}

static bool vectors_differ(Lock *k, bool tell)
{
    uint64_t val[34][2];
    int num[34];
    bool bad = false;
    char name[12];

    for (int i = 0; i < 34; i++) {
        num[i] = PEER_V0 + i;
    }
    peer_get(k->peer, num, 34, val);
    for (unsigned i = 0; i < 32; i++) {
        for (unsigned h = 0; h < 2; h++) {
            g_snprintf(name, sizeof(name), "v%u.d[%u]", i, h);
            bad |= differs(name, k->c->vreg[i][h], val[i][h], tell);
        }
    }
    bad |= differs("fpsr", a64_fpsr_get(k->c), val[32][0], tell);
    return bad | differs("fpcr", k->c->fpcr, val[33][0], tell);
}

static bool sysregs_differ(Lock *k, bool tell)
{
    uint64_t val[SR_COUNT][2];
    int num[SR_COUNT];
    bool bad = false;

    for (unsigned i = 0; i < k->nsys; i++) {
        num[i] = k->sys[i].theirs;
    }
    peer_get(k->peer, num, k->nsys, val);
    for (unsigned i = 0; i < k->nsys; i++) {
        if (k->sys[i].ours == SR_SP_EL0 && !k->c->spsel) {
            continue;                               /* it is the current SP: the peer shows what was saved last */
        }
        bad |= differs(a64_sysregs[k->sys[i].ours].name, a64_sysreg_read(k->c, k->sys[i].ours) & kept(k->c, k->sys[i].ours), val[i][0] & kept(k->c, k->sys[i].ours), tell);
    }
    return bad;
}

static bool memory_differs(Lock *k, uint64_t pa, size_t len, bool tell)
{
    g_autofree uint8_t *a = g_malloc(len), *b = g_malloc(len);
    unsigned told = 0;

    dma_read(k->m->as, pa, a, len, MEM_ATTRS_NONE);
    peer_read(k->peer, pa, b, len);
    memcpy(k->shadow + (pa - RAM_BASE), a, len);
    for (size_t i = 0; tell && i < len && told < SHOWN; i += 8) {
        uint64_t x, y;

        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y) {
            printf("#   [%#" PRIx64 "] ours %016" PRIx64 " peer %016" PRIx64 "\n", pa + i, x, y);
            told++;
        }
    }
    return memcmp(a, b, len) != 0;
}

/* What is looked at when a program is over. */
static bool end_differs(Lock *k, bool tell)
{
    return vectors_differ(k, tell) | sysregs_differ(k, tell) | memory_differs(k, DATA_BASE, DATA_SIZE, tell) | memory_differs(k, TABLES_BASE, k->p.tables_used, tell) |
        memory_differs(k, EXEC_BASE, EXEC_SIZE, tell);
}

static void find_sysregs(Lock *k)
{
    for (unsigned i = 0; i < SR_COUNT; i++) {
        const A64SysReg *r = &a64_sysregs[i];
        int num = peer_reg(k->peer, r->name);

        if (num >= 0 && r->access & SR_W1 && !(r->access & SR_OP) && !g_str_has_prefix(r->name, "CNT") && !g_str_has_prefix(r->name, "PM") && !g_str_has_prefix(r->name, "DBG") &&
            a64_has(k->c, r->feature)) {
            k->sys[k->nsys++] = (Sysreg){ num, (uint16_t)i };
        }
    }
}

/* ---- a program ---- */

/* Translation off, from wherever the last one ended; then its memory, its registers. */
static void start_program(Lock *k)
{
    Program *p = &k->p;
    PeerCore r = { .cpsr = 0x3c5, .pc = CODE_OFF };

    r.x[0] = p->sctlr_off;
    both_core_set(k, &r);
    ours_step(k, 4);
    peer_step(k->peer, 4);
    both_load(k, CODE_BASE, p->code, CODE_SIZE);
    both_load(k, TABLES_BASE, p->tables, TABLES_SIZE);
    for (unsigned i = 0; i < p->nstart; i += 28) {
        unsigned n = MIN(28, p->nstart - i);

        r.pc = CODE_STUB + 4 * i;
        for (unsigned j = 0; j < n; j++) {
            r.x[j] = p->start[i + j].val;
        }
        both_core_set(k, &r);
        n += i + n == p->nstart ? 3 : 0;            /* the flush behind them */
        ours_step(k, n);
        peer_step(k->peer, n);
    }
    r = p->core;
    r.pc = p->eret;
    both_core_set(k, &r);
}

static void where(Lock *k, const PeerCore *before)
{
    uint32_t w = before->pc - CODE_BASE < CODE_SIZE ? k->p.code[(before->pc - CODE_BASE) / 4] : 0;
    unsigned rn = w >> 5 & 31;
    uint64_t base = rn < 31 ? before->x[rn] : before->sp;
    const uint64_t *sys = k->c->sys;
    WalkResult walk = {};
    char text[128] = "";
    bool ok;

    a64_disas(w, before->pc, text, sizeof(text));
    printf("#   at %#" PRIx64 " EL%u: %08x %s   pstate %08x\n", before->pc, before->cpsr >> 2 & 3, w, text, before->cpsr);
    ok = a64_walk(&k->c->cpu, base, ACC_LOAD, 0, true, &walk);
    printf("#   base maps: %d pa %" PRIx64 " device %d prot %d; mair %" PRIx64 "\n", ok, walk.pa, walk.device, walk.prot, sys[SR_MAIR_EL1]);
    printf("#   base x%u=%016" PRIx64 " x16=%016" PRIx64 " sctlr=%" PRIx64 " tcr=%" PRIx64 " cpacr=%" PRIx64 " ttbr %" PRIx64 " %" PRIx64 "\n", rn,
           base, before->x[16], sys[SR_SCTLR_EL1], sys[SR_TCR_EL1], sys[SR_CPACR_EL1], sys[SR_TTBR0_EL1], sys[SR_TTBR1_EL1]);
}

/* False: a difference.  burst 1 tells where. */
static bool run_program(Lock *k, unsigned burst, uint64_t seed)
{
    uint64_t steps = 0;
    PeerCore a = k->p.core, b, before;
    uint32_t lot = (uint32_t)seed | 1;
    bool tell = burst == 1;

    start_program(k);
    a.pc = k->p.eret;
    while (a.pc != k->p.end) {
        unsigned n = burst == 1 ? 1 : 1 + (lot = lot * 1664525 + 1013904223) / 65536 % burst;

        before = a;
        ours_step(k, n);
        peer_step(k->peer, n);
        steps += n;
        a = ours_core(k->c);
        peer_core(k->peer, &b);
        b.pc = untagged(k->c, b.pc);
        if (core_differs(&k->p, &a, &b, false) || syndromes_differ(k, false) || (tell && end_differs(k, false))) {
            k->excused = judged(k);
            printf("# seed %" PRIu64 ", %u at a time%s:\n", seed, n, k->excused ? ", as judged" : "");
            where(k, &before);
            core_differs(&k->p, &a, &b, true);
            syndromes_differ(k, true);
            if (tell) {
                end_differs(k, true);
            }
            return false;
        }
        k->exceptions += a.pc - CODE_BASE < 0x800;
        if (steps > RUNAWAY) {
            printf("# seed %" PRIu64 " does not end, pc %#" PRIx64 " elr %#" PRIx64 " esr %#" PRIx64 "\n", seed, a.pc, k->c->sys[SR_ELR_EL1], k->c->sys[SR_ESR_EL1]);
            exit(1);
        }
    }
    k->steps += steps;
    if (end_differs(k, tell)) {
        printf("# seed %" PRIu64 ", at its end:\n", seed);
        end_differs(k, true);
        return false;
    }
    return true;
}

/* To EL1 by its SVC, so that the next program can begin. */
static void end_program(Lock *k)
{
    PeerCore r = ours_core(k->c);

    r.pc = k->p.end + 4;
    both_core_set(k, &r);
    ours_step(k, 1);
    peer_step(k->peer, 1);
}

static void fill_memory(Lock *k, uint64_t seed)
{
    g_autofree uint32_t *w = g_malloc(DATA_SIZE);
    uint64_t z = seed;

    for (unsigned i = 0; i < DATA_SIZE / 4; i++) {
        z = z * 6364136223846793005u + 1442695040888963407u;
        w[i] = (uint32_t)(z >> 32);
    }
    both_load(k, DATA_BASE, w, DATA_SIZE);
}

/* What an earlier program stored there could be an instruction of one of the two only. */
static void fill_exec(Lock *k)
{
    static const uint32_t filler = 0xd61f0380;      /* BR X28 */
    g_autofree uint32_t *exec = g_malloc(EXEC_SIZE);

    for (unsigned i = 0; i < EXEC_SIZE / 4; i++) {
        exec[i] = filler;
    }
    both_load(k, EXEC_BASE, exec, EXEC_SIZE);
}

static bool one(Lock *k, uint64_t seed)
{
    k->excused = false;
    program_make(&k->p, seed);
    fill_memory(k, seed >> 6);
    fill_exec(k);
    k->programs++;
    if (run_program(k, BURST, seed)) {
        end_program(k);
        return true;
    }
    /* what is not compared after each program, but may be read: did an earlier one leave a difference there? */
    memory_differs(k, RAM_BASE, CODE_BASE - RAM_BASE, true);
    return false;
}

/* Each board leaves its own device tree at the start of memory. */
static void clear(Lock *k, uint64_t from, uint64_t to)
{
    g_autofree uint8_t *zero = g_malloc0(to - from);

    both_write(k, from, zero, to - from);
}

static void open_all(Lock *k, char **argv)
{
    k->m = ours_open(argv[2], argv[4]);
    k->c = a64_cpu(machine_cpu(k->m, 0));
    k->peer = peer_start(argv[1], argv[3]);
    k->shadow = g_malloc0(DATA_BASE + DATA_SIZE - RAM_BASE);
    k->p.cpu = k->c;
    k->p.pauth = a64_has(k->c, A64_FEAT_pauth);
    k->nsys = 0;
    find_sysregs(k);
    clear(k, RAM_BASE, CODE_BASE);
    clear(k, CODE_BASE + CODE_SIZE, EXEC_BASE);
    fill_exec(k);
}

static void close_all(Lock *k)
{
    peer_end(k->peer);
    machine_close(k->m);
    g_free(k->shadow);
}

/* Both anew, then one instruction at a time. */
static void explain(Lock *k, char **argv, uint64_t seed)
{
    close_all(k);
    open_all(k, argv);
    fill_memory(k, seed >> 6);
    if (run_program(k, 1, seed)) {
        printf("#   (not when stepped one by one)\n");
    }
    close_all(k);
    open_all(k, argv);
}

static void save(const char *path, uint64_t seed, const Lock *k)
{
    g_autofree char *text = g_strdup_printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", seed, k->steps, k->exceptions);

    if (path) {
        g_file_set_contents(path, text, -1, NULL);
    }
}

int main(int argc, char **argv)
{
    Lock *k = g_new0(Lock, 1);
    uint64_t seed, steps;
    const char *path = argc > 7 ? argv[7] : NULL;
    g_autofree char *text = NULL;

    if (argc < 7) {
        fprintf(stderr, "usage: el1-lockstep PROGRAM CPU PEER-CPU HOST SEED STEPS [RESUME-FILE]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    seed = strtoull(argv[5], NULL, 0);
    steps = strtoull(argv[6], NULL, 0);
    if (path && g_file_get_contents(path, &text, NULL, NULL)) {
        sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &seed, &k->steps, &k->exceptions);
    }
    open_all(k, argv);
    for (; k->steps < steps && k->failed < DIFFERENCES; seed++) {
        if (!one(k, seed)) {
            bool excused = k->excused;          /* it depends on the peer's history and may not come again */

            k->judged += excused;
            k->failed += !excused;
            explain(k, argv, seed);
        }
        save(path, seed + 1, k);
    }
    printf("1..1\n%s 1 %s on %s: %" PRIu64 " steps, %" PRIu64 " seen in vectors, %" PRIu64 " programs, %u differ, %u as judged; next seed %" PRIu64 "\n", k->failed ? "not ok" : "ok", argv[2], argv[4],
           k->steps, k->exceptions, k->programs, k->failed, k->judged, seed);
    close_all(k);
    seed = k->failed;
    g_free(k);
    return seed != 0;
}
