/* SPDX-License-Identifier: MIT */
/* `info jit`: what the recompiler has done so far. */
#include "accel/tcg/tcg-priv.h"

static void add_up(Counters *sum, const Counters *c)
{
    const uint64_t *from = (const uint64_t *)c;
    uint64_t *to = (uint64_t *)sum;

    for (size_t i = 0; i < sizeof(*c) / sizeof(uint64_t); i++) {
        to[i] += from[i];
    }
}

static double per(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : 0;
}

void tcg_info_jit(Machine *m, GString *out)
{
    static const char *const exits[] = { "lookup", "link", "pending", "exception", "leave", "budget", "stale" };
    TcgState *st = m->accel_state;
    Counters c = {};

    for (unsigned i = 0; i < st->vcpus->len; i++) {
        add_up(&c, &((TcgVcpu *)g_ptr_array_index(st->vcpus, i))->count);
    }
    g_string_append_printf(out, "back end            %s\n", tcg_host_name(tcg_host_find(st->host_name)));
    for (TcgUnit *u = st->units; u; u = u->next) {
        g_string_append_printf(out, "code memory         %s: %zu of %" PRIu64 " KiB\n", u->ops->tcg->name, tcg_code_used(u->code) >> 10, st->tb_size >> 10);
    }
    g_string_append_printf(out, "blocks              %" PRIu64 " of %.1f instructions, %.1f host bytes an instruction\n", c.blocks, per(c.insns, c.blocks), per(c.host_bytes, c.insns));
    g_string_append_printf(out, "translation         %.3f s, %.0f ns an instruction, %" PRIu64 " dropped, %" PRIu64 " checked\n", (double)c.translate_ns / 1e9, per(c.translate_ns, c.insns), c.lost, c.checked);
    g_string_append_printf(out, "code invalidation   %" PRIu64 " stores to code pages, %" PRIu64 " hit code, %" PRIu64 " pages protected, %" PRIu64 " too big\n", c.code_store, c.code_hit, c.protects, c.too_big);
    g_string_append_printf(out, "code evicted        %" PRIu64 " blocks in %" PRIu64 " chunks, %" PRIu64 " times\n", c.evicted, c.chunks_evicted, st->evictions);
    for (unsigned i = 0; i < G_N_ELEMENTS(exits); i++) {
        g_string_append_printf(out, "exit %-14s %" PRIu64 "\n", exits[i], c.exits[i]);
    }
    g_string_append_printf(out, "lookups             %" PRIu64 ", links set %" PRIu64 "\n", c.lookups, c.links);
    g_string_append_printf(out, "exceptions          %" PRIu64 ", interrupts %" PRIu64 ", mode changes %" PRIu64 "\n", c.exc, c.irq, c.modes);
    g_string_append_printf(out, "slow accesses       %" PRIu64 " loads, %" PRIu64 " stores, %" PRIu64 " of them registers, %" PRIu64 " run again alone, %" PRIu64 " blocks ungrouped\n", c.slow_load, c.slow_store, c.io, c.retries, c.ungrouped);
    g_string_append_printf(out, "TLB                 %" PRIu64 " first level (slow), %" PRIu64 " second level, %" PRIu64 " walks, %" PRIu64 " of them faults\n", c.l1_slow, c.l2_hit, c.walks, c.walk_faults);
    g_string_append_printf(out, "TLB flushes         %" PRIu64 " all, %" PRIu64 " asid, %" PRIu64 " range, %" PRIu64 " posted to others, %" PRIu64 " waits\n", c.flush_all, c.flush_asid, c.flush_range, c.posted, c.waits);
    g_string_append_printf(out, "contexts            %" PRIu64 " made, %" PRIu64 " checked after a flush, %" PRIu64 " link generations\n", c.contexts_made, c.checks, c.generations);
}
