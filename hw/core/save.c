/* SPDX-License-Identifier: MIT */
/*
 * Save and restore of a whole machine.
 *
 * Restore looks at everything first (the file's own checks, then each section
 * against the tables of this machine) and only then changes anything.
 */
#include "hw/core/machine-priv.h"

#include <string.h>

#include "hw/core/device-priv.h"
#include "migration/stream.h"

/* The machine's own words. */
typedef struct Head {
    int64_t now;
    uint64_t ram_size;
    uint32_t cpus;
    uint8_t power[512], halted[512];
    uint32_t lines[512];        /* levels of each processor's wires: their drivers have them as driven already */
    char model[64];
    uint64_t random[4];         /* -seed: what comes next; 0 without */
} Head;

static const StateField head_rows[] = {
    STATE_I64(Head, now), STATE_U64(Head, ram_size), STATE_U32(Head, cpus), STATE_BUF(Head, power), STATE_BUF(Head, halted),
    STATE_ARRAY(Head, lines, uint32_t), STATE_BUF(Head, model),
    STATE_ARRAY(Head, random, uint64_t, .since = 2), {}
};
static const StateTable head_table = { .name = "machine", .version = 2, .fields = head_rows };

static Head head_of(Machine *m)
{
    Head h = { .now = clock_now(m->clock), .ram_size = m->ram_size, .cpus = machine_ncpus(m) };

    inputs_get_seed(m->inputs, h.random);
    for (unsigned i = 0; i < MIN(machine_ncpus(m), 512); i++) {
        h.power[i] = machine_cpu(m, i)->power_off;
        h.halted[i] = machine_cpu(m, i)->halted;
        h.lines[i] = cpu_lines(machine_cpu(m, i));
    }
    if (machine_ncpus(m)) {
        g_strlcpy(h.model, machine_cpu(m, 0)->type->name, sizeof(h.model));
    }
    return h;
}

/* ---- pause around it ---- */

static bool halt(Machine *m)
{
    bool was = machine_is_running(m);

    vcpu_pause_all(m);
    if (was) {
        clock_stop(m->clock);
    }
    return was;
}

static void go_on(Machine *m, bool was)
{
    if (was) {
        clock_start(m->clock);
    }
    vcpu_resume_all(m);
}

/* ---- save ---- */

static bool save_device(SaveOut *out, Device *dev, Error **errp)
{
    StateWriter *w = state_writer_new();
    bool ok;

    device_save(dev, w);
    ok = save_out_section(out, dev->path, w, errp);
    state_writer_free(w);
    return ok;
}

static bool save_all(Machine *m, SaveOut *out, Error **errp)
{
    Head head = head_of(m);
    bool ok = save_out_object(out, "machine", &head_table, &head, errp);

    for (unsigned i = 0; ok && i < machine_ncpus(m); i++) {
        Cpu *cpu = machine_cpu(m, i);

        ok = save_out_object(out, cpu->path, cpu->ops->state, cpu, errp);
    }
    for (guint i = 0; ok && i < m->devices->len; i++) {
        ok = save_device(out, g_ptr_array_index(m->devices, i), errp);
    }
    for (guint i = 0; ok && i < m->priv->extra->len; i++) {
        ExtraState *e = &g_array_index(m->priv->extra, ExtraState, i);

        ok = save_out_object(out, e->name, e->table, e->obj, errp);
    }
    for (RamBlock *b = ram_block_first(m->mem); ok && b; b = b->next) {
        ok = save_out_ram(out, b, errp);
    }
    return ok;
}

static bool save_to(Machine *m, SaveOut *out, Error **errp)
{
    bool was = halt(m), ok = save_all(m, out, errp);

    if (ok) {
        ok = save_out_finish(out, errp);
    } else {
        save_out_abort(out);
    }
    go_on(m, was);
    return ok;
}

bool machine_save(Machine *m, const char *path, Error **errp)
{
    SaveOut *out = save_out_new(path, m->type->name, errp);

    return out && save_to(m, out, errp);
}

bool machine_save_fd(Machine *m, int fd, Error **errp)
{
    SaveOut *out = save_out_new_fd(fd, m->type->name, errp);

    return out && save_to(m, out, errp);
}

/* ---- restore: one pass that looks, one that applies ---- */

typedef struct Pass {
    Machine *m;
    SaveIn *in;
    bool apply;
    GHashTable *seen;
    Error **errp;
} Pass;

static StateReader *open_section(Pass *p, const char *name)
{
    StateReader *r = save_in_section(p->in, name);

    if (!r) {
        error_set(p->errp, "the save has no '%s': was it made by a machine with other devices?", name);
    }
    g_hash_table_add(p->seen, (void *)name);
    return r;
}

static bool do_object(Pass *p, const char *name, const StateTable *t, void *obj)
{
    StateReader *r = open_section(p, name);
    bool ok;

    if (!r) {
        return false;
    }
    ok = p->apply ? state_load(r, t, obj, p->errp) : state_check(r, t, obj, p->errp);
    if (ok && state_reader_left(r)) {
        ok = error_set(p->errp, "there are %zu bytes too many", state_reader_left(r));
    }
    state_reader_free(r);
    return ok || error_prepend(p->errp, "'%s': ", name);
}

static bool do_device(Pass *p, Device *dev)
{
    StateReader *r = open_section(p, dev->path);
    bool ok;

    if (!r) {
        return false;
    }
    ok = p->apply ? device_load(dev, r, p->errp) : device_check(dev, r, p->errp);
    state_reader_free(r);
    return ok;
}

static bool do_head(Pass *p)
{
    Machine *m = p->m;
    Head h = head_of(m);
    StateReader *r = open_section(p, "machine");

    if (!r || !state_load(r, &head_table, &h, p->errp)) {
        state_reader_free(r);
        return false;
    }
    state_reader_free(r);
    h.model[sizeof(h.model) - 1] = 0;
    if (h.cpus != machine_ncpus(m)) {
        return error_set(p->errp, "it was saved with %u processors, this machine has %u: give the same -smp", h.cpus, machine_ncpus(m));
    }
    if (machine_ncpus(m) && strcmp(h.model, machine_cpu(m, 0)->type->name)) {
        return error_set(p->errp, "it was saved with -cpu %s, this machine has %s", h.model, machine_cpu(m, 0)->type->name);
    }
    if (p->apply) {
        clock_set(m->clock, h.now);
        inputs_set_seed(m->inputs, h.random);
        for (unsigned i = 0; i < MIN(h.cpus, 512); i++) {
            machine_cpu(m, i)->power_off = h.power[i] != 0;
            machine_cpu(m, i)->halted = h.halted[i] != 0;
            __atomic_store_n(&machine_cpu(m, i)->lines, CPU_LINES & h.lines[i], __ATOMIC_SEQ_CST);
            cpu_pending_clear(machine_cpu(m, i), CPU_LINES & ~h.lines[i]);
            cpu_pending_set(machine_cpu(m, i), CPU_LINES & h.lines[i]);
        }
    }
    return true;
}

static void check_known(const char *name, bool ram, void *data)
{
    Pass *p = data;

    if (!g_hash_table_contains(p->seen, name) && p->errp && !*p->errp) {
        error_set(p->errp, "the save has '%s', which this machine has not", name);
    }
}

static bool run_pass(Pass *p)
{
    Machine *m = p->m;
    bool ok = do_head(p);

    for (RamBlock *b = ram_block_first(m->mem); ok && b; b = b->next) {
        ok = p->apply ? save_in_load_ram(p->in, b, p->errp) : save_in_check_ram(p->in, b, p->errp);
        g_hash_table_add(p->seen, b->id);
    }
    for (guint i = 0; ok && i < m->devices->len; i++) {
        ok = do_device(p, g_ptr_array_index(m->devices, i));
    }
    for (unsigned i = 0; ok && i < machine_ncpus(m); i++) {
        ok = do_object(p, machine_cpu(m, i)->path, machine_cpu(m, i)->ops->state, machine_cpu(m, i));
    }
    for (guint i = 0; ok && i < m->priv->extra->len; i++) {
        ExtraState *e = &g_array_index(m->priv->extra, ExtraState, i);

        ok = do_object(p, e->name, e->table, e->obj);
    }
    return ok;
}

static bool restore_from(Machine *m, SaveIn *in, bool used, Error **errp)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    Error *err = NULL;
    Pass p = { m, in, false, seen, &err };
    bool was, ok;

    if (strcmp(save_in_machine(in), m->type->name)) {
        return error_set(errp, "it is a save of machine %s, this one is %s", save_in_machine(in), m->type->name);
    }
    was = halt(m);
    ok = run_pass(&p);
    if (ok) {
        save_in_foreach(in, check_known, &p);
        ok = err == NULL;
    }
    if (ok) {
        if (used) {
            machine_reset_now(m);                           /* what is under way belongs to another past */
        }
        p.apply = true;
        ok = run_pass(&p);
        if (!ok) {
            machine_set_state(m, RUN_INTERNAL_ERROR);       /* a check let through what a load refuses: ours */
        }
    }
    for (unsigned i = 0; ok && i < machine_ncpus(m); i++) {
        if (m->accel && m->accel->state_changed) {
            m->accel->state_changed(machine_cpu(m, i));
        }
    }
    go_on(m, was && machine_is_running(m));
    return error_propagate(errp, err) && ok;
}

bool machine_restore(Machine *m, const char *path, Error **errp)
{
    SaveIn *in = save_in_open(path, errp);
    bool ok;

    if (!in) {
        return false;
    }
    ok = restore_from(m, in, false, errp) || error_prepend(errp, "save file '%s': ", path);
    save_in_free(in);
    return ok;
}

bool machine_restore_over(Machine *m, const char *path, Error **errp)
{
    SaveIn *in = save_in_open(path, errp);
    bool ok = in && restore_from(m, in, true, errp);

    save_in_free(in);
    return ok;
}

bool machine_restore_fd(Machine *m, int fd, Error **errp)
{
    SaveIn *in = save_in_open_fd(fd, errp);
    bool ok;

    if (!in) {
        return false;
    }
    ok = restore_from(m, in, false, errp);
    save_in_free(in);
    return ok;
}

/* ---- digest ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    return (h ^ v) * 0x9e3779b97f4a7c15ull + (h >> 29);
}

static uint64_t ram_digest(uint64_t h, const RamBlock *b)
{
    const uint64_t *w = (const uint64_t *)(void *)b->host;

    for (uint64_t i = 0; i < b->size / 8; i++) {
        h = mix(h, w[i]);
    }
    return h;
}

uint64_t machine_digest(Machine *m, bool with_ram)
{
    bool was = halt(m);
    uint64_t h = mix(1, (uint64_t)clock_now(m->clock));

    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        Cpu *cpu = machine_cpu(m, i);

        h = mix(h, state_digest(cpu->ops->state, cpu));
        h = mix(h, (uint64_t)cpu_lines(cpu) << 2 | (uint64_t)cpu->power_off << 1 | cpu->halted);
    }
    for (guint i = 0; i < m->devices->len; i++) {
        h = mix(h, device_digest(g_ptr_array_index(m->devices, i)));
    }
    for (guint i = 0; i < m->priv->extra->len; i++) {
        ExtraState *e = &g_array_index(m->priv->extra, ExtraState, i);

        h = mix(h, state_digest(e->table, e->obj));
    }
    for (RamBlock *b = ram_block_first(m->mem); with_ram && b; b = b->next) {
        h = ram_digest(h, b);
    }
    go_on(m, was);
    return h;
}
