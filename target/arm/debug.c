/* SPDX-License-Identifier: MIT */
/*
 * Self-hosted debug: breakpoints, watchpoints and software step, Arm ARM (DDI 0487), D2.
 *
 * The registers are rows of sysregs.def.  The accelerator asks which addresses matter (own_breaks, page_watched)
 * when it translates and fills TLBs; while nothing is enabled it does not ask.
 */
#include "target/arm/cpu.h"

#include "target/arm/mmu.h"
#include "target/arm/sysreg-hooks.h"

enum { BREAKS = 6, WATCHES = 4, CONTEXTS_FROM = BREAKS - 2 };       /* as ID_AA64DFR0_EL1 says: the last two compare contexts */
enum { MDSCR_SS = 1 << 0, MDSCR_KDE = 1 << 13, MDSCR_MDE = 1 << 15 };
enum { BT_ADDRESS = 0, BT_ADDRESS_LINKED = 1, BT_CONTEXT = 2, BT_CONTEXT_LINKED = 3 };

static uint64_t break_control(const A64Cpu *c, unsigned n)
{
    return c->sys[SR_DBGBCR0_EL1 + 2 * n];
}

static uint64_t break_value(const A64Cpu *c, unsigned n)
{
    return c->sys[SR_DBGBVR0_EL1 + 2 * n];
}

static uint64_t watch_control(const A64Cpu *c, unsigned n)
{
    return c->sys[SR_DBGWCR0_EL1 + 2 * n];
}

static uint64_t watch_value(const A64Cpu *c, unsigned n)
{
    return c->sys[SR_DBGWVR0_EL1 + 2 * n];
}

/* The OS lock, or the double lock while nothing asks that the core stay powered. */
static bool locked(const A64Cpu *c)
{
    return c->sys[SR_OSLSR_EL1] & 2 || (c->sys[SR_OSDLR_EL1] & 1 && a64_has(c, A64_FEAT_doublelock) && !(c->sys[SR_DBGPRCR_EL1] & 1));
}

/* Debug exceptions go to EL1: from there only with KDE and PSTATE.D clear. */
static bool enabled_here(const A64Cpu *c)
{
    return !locked(c) && (c->el == 0 || (c->sys[SR_MDSCR_EL1] & MDSCR_KDE && !(c->daif & 8)));
}

bool a64_stepping(const A64Cpu *c)
{
    return c->sys[SR_MDSCR_EL1] & MDSCR_SS && enabled_here(c);
}

/* Bits 1 and 2 of a control register (PMC, PAC): EL1, EL0.  One security state: not those for Secure only (SSC 2). */
static bool state_matches(uint64_t control, unsigned el)
{
    return control & 1 && (control >> 14 & 3) != 2 && control >> (el ? 1 : 2) & 1;
}

/* The breakpoint that a linked one names compares the context, and is itself a linked one. */
static bool link_matches(const A64Cpu *c, uint64_t control)
{
    unsigned n = control >> 16 & 15;
    uint64_t other = n >= CONTEXTS_FROM && n < BREAKS ? break_control(c, n) : 0;

    return other & 1 && (other >> 20 & 15) == BT_CONTEXT_LINKED && (uint32_t)break_value(c, n) == (uint32_t)c->sys[SR_CONTEXTIDR_EL1];
}

/* Does breakpoint n match all addresses, its own, or none in this mode? */
typedef enum { MATCH_NONE, MATCH_ADDRESS, MATCH_ALL } BreakMatch;

static BreakMatch break_matches(const A64Cpu *c, unsigned n)
{
    uint64_t control = break_control(c, n);

    if (!state_matches(control, c->el)) {
        return MATCH_NONE;
    }
    switch (control >> 20 & 15) {
    case BT_ADDRESS:
        return MATCH_ADDRESS;
    case BT_ADDRESS_LINKED:
        return link_matches(c, control) ? MATCH_ADDRESS : MATCH_NONE;
    case BT_CONTEXT:
        return n >= CONTEXTS_FROM && (uint32_t)break_value(c, n) == (uint32_t)c->sys[SR_CONTEXTIDR_EL1] ? MATCH_ALL : MATCH_NONE;
    default:
        return MATCH_NONE;
    }
}

static bool armed(const A64Cpu *c)
{
    return c->sys[SR_MDSCR_EL1] & MDSCR_MDE && !locked(c);
}

unsigned a64_debug_armed(Cpu *cpu)
{
    const A64Cpu *c = a64_cpu(cpu);
    unsigned what = 0;

    for (unsigned n = 0; n < BREAKS && armed(c); n++) {
        what |= break_control(c, n) & 1;
    }
    for (unsigned n = 0; n < WATCHES && armed(c); n++) {
        what |= watch_control(c, n) & 1 ? 2 : 0;
    }
    return what;
}

uint64_t a64_debug_key(const A64Cpu *c)
{
    uint64_t mdscr = c->sys[SR_MDSCR_EL1], k = 0;

    if (!(mdscr & (MDSCR_MDE | MDSCR_SS)) || locked(c)) {
        return 0;
    }
    k |= c->el && mdscr & MDSCR_KDE ? KEY_DEBUG_D : 0;
    if (a64_stepping(c)) {
        k |= c->ss ? KEY_SS : KEY_SS_DUE;
    }
    for (unsigned n = 0; n < BREAKS && mdscr & MDSCR_MDE && enabled_here(c); n++) {
        k |= break_matches(c, n) ? KEY_BREAK : 0;
    }
    return k;
}

static gint by_offset(gconstpointer a, gconstpointer b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void add_breaks(const A64Cpu *c, unsigned n, vaddr page, GArray *offs)
{
    BreakMatch m = break_matches(c, n);
    uint32_t off = break_value(c, n) & 0xffc;

    if (m == MATCH_ADDRESS && !((break_value(c, n) ^ page) << 8 >> 20)) {
        g_array_append_val(offs, off);
    }
    for (off = 0; m == MATCH_ALL && off < 4096; off += 4) {
        g_array_append_val(offs, off);
    }
}

uint32_t *a64_own_breaks(Cpu *cpu, vaddr page)
{
    A64Cpu *c = a64_cpu(cpu);
    uint32_t end = ~0u;
    GArray *offs;

    if (!(c->key & KEY_BREAK)) {
        return NULL;
    }
    offs = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    for (unsigned n = 0; n < BREAKS; n++) {
        add_breaks(c, n, page, offs);
    }
    if (!offs->len) {
        g_array_free(offs, TRUE);
        return NULL;
    }
    g_array_sort(offs, by_offset);
    g_array_append_val(offs, end);
    return (uint32_t *)(void *)g_array_free(offs, FALSE);
}

/* ---- watchpoints ---- */

/* The addresses that watchpoint n may select: a doubleword, a word (bit 2 of the value), or 2^MASK bytes. */
static void watch_range(const A64Cpu *c, unsigned n, vaddr *from, uint64_t *len)
{
    unsigned mask = watch_control(c, n) >> 24 & 31;

    *len = mask > 2 ? 1ull << mask : watch_value(c, n) & 4 ? 4 : 8;
    *from = watch_value(c, n) & ~(*len - 1);
}

static bool same_top(vaddr a, vaddr b)
{
    return (a ^ b) << 8 == 0;                                   /* the tag is not compared */
}

bool a64_page_watched(Cpu *cpu, vaddr page)
{
    const A64Cpu *c = a64_cpu(cpu);

    for (unsigned n = 0; n < WATCHES; n++) {
        uint64_t size = 4096, len;
        vaddr from;

        watch_range(c, n, &from, &len);
        size = MAX(size, len);
        if (watch_control(c, n) & 1 && same_top(from & ~(size - 1), page & ~(size - 1))) {
            return true;
        }
    }
    return false;
}

/* The first byte of the access that watchpoint n selects. */
static bool watch_selects(const A64Cpu *c, unsigned n, vaddr va, unsigned len, vaddr *at)
{
    uint64_t bytes = watch_control(c, n) >> 5 & 255, size;
    vaddr from;

    watch_range(c, n, &from, &size);
    for (unsigned i = 0; i < len; i++) {
        if (same_top((va + i) & ~(size - 1), from) && bytes >> ((va + i) & (size < 8 ? 3 : 7)) & 1) {
            *at = va + i;
            return true;
        }
    }
    return false;
}

bool a64_watched(Cpu *cpu, vaddr va, unsigned len, AccType acc, unsigned mmu_idx, vaddr *at)
{
    const A64Cpu *c = a64_cpu(cpu);
    unsigned el = mmu_idx == A64_MMU_USER ? 0 : c->el;

    if (!armed(c) || !enabled_here(c)) {
        return false;
    }
    for (unsigned n = 0; n < WATCHES; n++) {
        uint64_t control = watch_control(c, n);

        if (state_matches(control, el) && control >> (acc == ACC_STORE ? 4 : 3) & 1 && (!(control >> 20 & 1) || link_matches(c, control)) &&
            watch_selects(c, n, va, len, at)) {
            return true;
        }
    }
    return false;
}

void a64_raise_watch(Cpu *cpu, vaddr va, AccType acc)
{
    A64Cpu *c = a64_cpu(cpu);

    a64_raise(c, EC_WATCHPOINT_LOW + c->el, FSC_DEBUG | (acc == ACC_STORE ? 1 << 6 : 0));
    c->exc.far = va;
    c->exc.set_far = true;
}

/* ISV and EX say whether an instruction was stepped and was an exclusive load. */
void a64_raise_step(A64Cpu *c)
{
    a64_raise(c, EC_STEP_LOW + c->el, FSC_DEBUG | (c->stepped ? 1 << 24 : 0) | (c->stepped == A64_STEPPED_EXCL ? 1 << 6 : 0));
}

/* ---- registers ---- */

void debug_written(A64Cpu *c, const A64SysReg *r, uint64_t old)
{
    unsigned was = c->debug_armed, now = a64_debug_armed(&c->cpu);

    (void)r, (void)old;
    c->debug_armed = now;
    if (was | now) {
        tcg_debug_changed(&c->cpu);
    }
    a64_mode_changed(c);
}

void oslar_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    c->sys[SR_OSLSR_EL1] = 8 | (val & 1) << 1;
    debug_written(c, r, 0);
}

uint64_t claimset_read(A64Cpu *c, const A64SysReg *r)
{
    (void)c, (void)r;
    return 0xff;            /* which bits exist; DBGCLAIMCLR shows which are set */
}

void claimset_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    (void)r;
    c->sys[SR_DBGCLAIMCLR_EL1] |= val & 0xff;
}

void claimclr_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    (void)r;
    c->sys[SR_DBGCLAIMCLR_EL1] &= ~val;
}
