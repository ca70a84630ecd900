/* SPDX-License-Identifier: MIT */
/* CPU models and accelerators by name; making a CPU; ports and lines. */
#include "hw/core/cpu.h"

#include <string.h>

#include "hw/core/known.h"
#include "hw/core/machine-priv.h"
#include "util/suggest.h"

ROWS_DECLARE(rhea_cpu_types, CpuType);
ROWS_DECLARE(rhea_accel_types, AccelType);

/* ---- names ---- */

const CpuType *cpu_type_find(const char *arch, const char *name)
{
    ROWS_FOREACH(rhea_cpu_types, CpuType, t) {
        if ((!arch || !strcmp(t->arch, arch)) && row_named(t->name, t->aliases, name)) {
            return t;
        }
    }
    return NULL;
}

bool cpu_type_unknown(const char *arch, const char *name, Error **errp)
{
    Suggest *s;

    error_set(errp, "unable to find CPU model '%s'", name);
    if (known_hint(KNOWN_CPU, name, errp)) {
        return error_hint(errp, "the list: -cpu help");
    }
    s = suggest_new(name);
    ROWS_FOREACH(rhea_cpu_types, CpuType, t) {
        if (!arch || !strcmp(t->arch, arch)) {
            suggest_add(s, t->name);
        }
    }
    return suggest_hint(s, "-cpu help", errp);
}

static int cpu_by_name(const void *a, const void *b)
{
    return strcmp((*(const CpuType *const *)a)->name, (*(const CpuType *const *)b)->name);
}

void cpu_types_foreach(void (*fn)(const CpuType *t, void *data), void *data)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    ROWS_FOREACH(rhea_cpu_types, CpuType, t) {
        g_ptr_array_add(all, (void *)t);
    }
    g_ptr_array_sort(all, cpu_by_name);
    for (guint i = 0; i < all->len; i++) {
        fn(g_ptr_array_index(all, i), data);
    }
}

bool accel_type_unknown(const char *name, Error **errp)
{
    error_set(errp, "invalid accelerator %s", name);
    known_hint(KNOWN_ACCEL, name, errp);
    return false;
}

const AccelType *accel_type_find(const char *name)
{
    ROWS_FOREACH(rhea_accel_types, AccelType, t) {
        if (!strcmp(t->name, name)) {
            return t;
        }
    }
    return NULL;
}

void accel_types_foreach(void (*fn)(const AccelType *t, void *data), void *data)
{
    ROWS_FOREACH(rhea_accel_types, AccelType, t) {
        fn(t, data);
    }
}

/* ---- making ---- */

bool cpu_has_prop(const Cpu *cpu, const char *prop)
{
    return prop_find(cpu->type->props, prop) != NULL;
}

bool cpu_set(Cpu *cpu, const char *prop, const char *text, Error **errp)
{
    const Prop *p = prop_find(cpu->type->props, prop);

    if (!p) {
        g_autofree char *help = g_strdup_printf("-cpu %s,help", cpu->type->name);

        return prop_unknown(cpu->type->props, cpu->type->name, prop, help, errp);
    }
    return prop_set(cpu, p, text, errp);
}

/* "name=value", "name", "+name", "-name" */
static bool set_one(Cpu *cpu, const char *word, Error **errp)
{
    const char *eq = strchr(word, '=');
    g_autofree char *name = eq ? g_strndup(word, (gsize)(eq - word)) : g_strdup(word);

    if (!eq && (*word == '+' || *word == '-')) {
        return cpu_set(cpu, word + 1, *word == '+' ? "on" : "off", errp);
    }
    return cpu_set(cpu, name, eq ? eq + 1 : "on", errp);
}

static bool set_all(Cpu *cpu, const char *props, Error **errp)
{
    g_auto(GStrv) words = g_strsplit(props ? props : "", ",", -1);

    for (char **w = words; *w; w++) {
        if (**w && !set_one(cpu, *w, errp)) {
            return false;
        }
    }
    return true;
}

static bool set_globals(Cpu *cpu, Error **errp)
{
    GPtrArray *globals = cpu->machine->globals;

    for (guint i = 0; globals && i < globals->len; i++) {
        const PropDefault *d = g_ptr_array_index(globals, i);
        g_autofree char *full = g_strdup_printf("%s-%s-cpu", cpu->type->name, cpu->type->arch);

        if ((!strcmp(d->driver, full) || row_named(cpu->type->name, cpu->type->aliases, d->driver)) && !cpu_set(cpu, d->prop, d->value, errp)) {
            return false;
        }
    }
    return true;
}

Cpu *cpu_new(Machine *m, const CpuType *t, int index, const char *props, Error **errp)
{
    size_t size = (t->size + 63) & ~(size_t)63;
    Cpu *cpu = aligned_alloc(64, size);

    memset(cpu, 0, size);
    cpu->type = t;
    cpu->ops = t->ops;
    cpu->machine = m;
    cpu->as = m->as;
    cpu->index = index;
    cpu->path = g_strdup_printf("cpu%d", index);
    cpu->where = VCPU_NEW;
    props_set_defaults(t->props, cpu);
    if ((t->init && !t->init(cpu, errp)) || !set_globals(cpu, errp) || !set_all(cpu, props, errp)) {
        cpu_free(cpu);
        return NULL;
    }
    return cpu;
}

bool cpu_realize(Cpu *cpu, Error **errp)
{
    const AccelType *a = cpu->machine->accel;

    if (cpu->type->realize && !cpu->type->realize(cpu, errp)) {
        return false;
    }
    cpu->thread = g_new0(VcpuThread, 1);
    pthread_cond_init(&cpu->thread->cond, NULL);
    g_queue_init(&cpu->thread->work);
    if (a && a->cpu_init && !a->cpu_init(cpu, errp)) {
        return false;
    }
    g_ptr_array_add(cpu->machine->cpus, cpu);
    return true;
}

void cpu_free(Cpu *cpu)
{
    const AccelType *a;

    if (!cpu) {
        return;
    }
    a = cpu->machine->accel;
    if (cpu->accel && a && a->cpu_exit) {
        a->cpu_exit(cpu);
    }
    if (cpu->type->finalize) {
        cpu->type->finalize(cpu);
    }
    props_release(cpu->type->props, cpu);
    if (cpu->thread) {
        pthread_cond_destroy(&cpu->thread->cond);
        g_free(cpu->thread);
    }
    g_free(cpu->path);
    free(cpu);
}

/* ---- ports and lines ---- */

void cpu_port_connect(Cpu *cpu, CpuPortKind kind, const CpuPort *port)
{
    cpu->ports[kind] = *port;
}

bool cpu_port_read(Cpu *cpu, CpuPortKind kind, uint32_t key, CpuPortCtx ctx, uint64_t *val)
{
    const CpuPort *p = &cpu->ports[kind];

    return p->read && p->read(p->opaque, cpu, key, ctx, val);
}

bool cpu_port_write(Cpu *cpu, CpuPortKind kind, uint32_t key, CpuPortCtx ctx, uint64_t val)
{
    const CpuPort *p = &cpu->ports[kind];

    return p->write && p->write(p->opaque, cpu, key, ctx, val);
}

bool cpu_port_call(Cpu *cpu, CpuPortKind kind, uint32_t key, CpuPortCtx ctx, uint64_t *regs)
{
    const CpuPort *p = &cpu->ports[kind];

    return p->call && p->call(p->opaque, cpu, key, ctx, regs);
}

void cpu_line(void *opaque, int n, int level)
{
    Cpu *cpu = opaque;

    if (cpu->ops->line) {
        cpu->ops->line(cpu, (unsigned)n, level);
    } else if (level) {
        __atomic_fetch_or(&cpu->lines, 1u << n, __ATOMIC_SEQ_CST);
        cpu_pending_set(cpu, 1u << n);
    } else {
        __atomic_fetch_and(&cpu->lines, ~(1u << n), __ATOMIC_SEQ_CST);
        cpu_pending_clear(cpu, 1u << n);
    }
}
