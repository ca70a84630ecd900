/* SPDX-License-Identifier: MIT */
/* The recompiling accelerator as hw/core sees it: -accel tcg,thread=,tb-size=. */
#include <assert.h>
#include <string.h>

#include "accel/tcg/tcg-priv.h"
#include "util/log.h"

ROWS_DECLARE(rhea_tcg_cpu_ops, TcgCpuOps);

#define DEFAULT_TB_SIZE (128ull << 20)

static const char *const thread_names[] = { "multi", "single", NULL };

static bool available(Error **errp)
{
    return true;
}

/* tb-size= counts in MiB as people write it (tb-size=64); with a suffix it is bytes (tb-size=64M). */
static uint64_t tb_bytes(uint64_t n)
{
    return !n ? DEFAULT_TB_SIZE : n < 65536 ? n << 20 : n;
}

static bool tcg_init(Machine *m, void *accel, Error **errp)
{
    TcgState *st = accel;

    st->m = m;
    st->icount = clock_mode(m->clock) == CLOCK_ICOUNT;
    if (st->host_name && !tcg_host_find(st->host_name)) {
        return error_set(errp, "no back end '%s' here; try x86_64 or interp", st->host_name);
    }
    if (!pages_init(st)) {
        return error_set(errp, "no address space for the table of translated pages: is it limited (ulimit -v)?");
    }
    st->tb_size = tb_bytes(st->tb_size_mib);
    st->needless_ns = NEEDLESS_NS;
    st->vcpus = g_ptr_array_new();
    pthread_mutex_init(&st->turn, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(st->mon_lock); i++) {
        pthread_mutex_init(&st->mon_lock[i], NULL);
    }
    debug_init(st);
    return true;
}

static void tcg_exit(Machine *m, void *accel)
{
    TcgState *st = accel;
    TcgUnit *u, *next;

    pages_fini(st);
    debug_fini(st);
    for (u = st->units; u; u = next) {
        next = u->next;
        unit_free(u);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(st->mon_lock); i++) {
        pthread_mutex_destroy(&st->mon_lock[i]);
    }
    pthread_mutex_destroy(&st->turn);
    g_ptr_array_free(st->vcpus, TRUE);
}

static const TcgCpuOps *find_ops(const Cpu *cpu)
{
    ROWS_FOREACH(rhea_tcg_cpu_ops, TcgCpuOps, o) {
        if (o->cpu == cpu->ops) {
            return o;
        }
    }
    return NULL;
}

static TcgUnit *find_unit(TcgState *st, const TcgCpuOps *ops, Error **errp)
{
    for (TcgUnit *u = st->units; u; u = u->next) {
        if (u->ops == ops) {
            return u;
        }
    }
    return unit_new(st, ops, errp);
}

static bool tcg_cpu_init(Cpu *cpu, Error **errp)
{
    TcgState *st = cpu->machine->accel_state;
    const TcgCpuOps *ops = find_ops(cpu);
    TcgUnit *u = ops ? find_unit(st, ops, errp) : NULL;
    TcgVcpu *v;

    if (!ops) {
        return error_set(errp, "tcg cannot run a '%s' processor", cpu->type->name);
    }
    if (!u) {
        return false;
    }
    assert(ops->nmmu >= 1 && ops->nmmu <= ENV_MMU_IDX && cpu->index == (int)st->vcpus->len);
    v = g_new0(TcgVcpu, 1);
    v->cpu = cpu;
    v->ops = ops;
    v->env = ops->env(cpu);
    v->st = st;
    v->unit = u;
    v->index = cpu->index;
    v->compiler = tcg_ctx_new(u->code);
    v->l2 = g_malloc0(sizeof(L2Entry) * L2_SETS * L2_WAYS);
    v->asid_stamp = g_malloc0(65536 * sizeof(uint32_t));
    v->stamp = v->floor = 1;
    v->mon_addr = UINT64_MAX;
    pthread_mutex_init(&v->mail_lock, NULL);
    g_ptr_array_add(st->vcpus, v);
    for (unsigned i = 0; i < st->vcpus->len; i++) {
        TcgVcpu *o = g_ptr_array_index(st->vcpus, i);

        o->ticket = g_renew(uint64_t, o->ticket, st->vcpus->len);
        memset(o->ticket, 0, st->vcpus->len * sizeof(*o->ticket));
    }
    v->env->priv = v;
    cpu->accel = v;
    tcg_env_init(v->env, u->code);
    return true;
}

static void tcg_cpu_exit(Cpu *cpu)
{
    TcgVcpu *v = cpu->accel;

    ctx_free_all(v);
    tcg_ctx_free(v->compiler);
    g_free(v->l2);
    g_free(v->asid_stamp);
    g_free(v->ticket);
    pthread_mutex_destroy(&v->mail_lock);
    g_ptr_array_remove(v->st->vcpus, v);
    g_free(v);
    cpu->accel = NULL;
}

static const Prop tcg_props[] = {
    PROP_ENUM("thread", TcgState, thread, TCG_THREAD_MULTI, thread_names, .help = "one host thread for each processor, or one processor at a time"),
    PROP_SIZE("tb-size", TcgState, tb_size_mib, 0, .help = "memory for translated code (MiB; 0: 128)"),
    PROP_STR("host", TcgState, host_name, NULL, .help = "back end: x86_64 or interp (default: the best here)"),
    PROP_BOOL("one-insn-per-tb", TcgState, one_insn, false, .help = "translate single instructions"),
    {}
};

static const AccelType tcg_type = {
    .name = "tcg", .desc = "recompiler: runs any guest on any host", .props = tcg_props, .size = sizeof(TcgState),
    .available = available, .init = tcg_init, .exit = tcg_exit, .cpu_init = tcg_cpu_init, .cpu_exit = tcg_cpu_exit,
    .run = tcg_run, .run_count = tcg_run_count, .state_changed = tcg_state_changed, .wake = tcg_wake, .info_jit = tcg_info_jit,
    .break_insert = debug_break_insert, .break_remove = debug_break_remove, .break_clear = debug_break_clear, .watch_hit = debug_watch_hit,
};
ACCEL_TYPE(tcg_type);
