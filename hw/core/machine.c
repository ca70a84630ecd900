/* SPDX-License-Identifier: MIT */
/* Machines: open, ready, run, pause, reset, close. */
#include "hw/core/machine.h"

#include <assert.h>
#include <string.h>

#include "hw/core/device-priv.h"
#include "hw/core/known.h"
#include "hw/core/machine-priv.h"
#include "util/suggest.h"

ROWS_DECLARE(rhea_machine_types, MachineType);

static const char *const run_state_names[RUN_STATES] = {
    "prelaunch", "running", "paused", "debug", "shutdown", "inmigrate", "save-vm", "io-error", "internal-error", "guest-panicked"
};

const char *run_state_name(RunState s)
{
    return run_state_names[s];
}

/* ---- types ---- */

const MachineType *machine_type_find(const char *arch, const char *name, Error **errp)
{
    Suggest *s;

    ROWS_FOREACH(rhea_machine_types, MachineType, t) {
        if ((!arch || !strcmp(t->arch, arch)) && row_named(t->name, t->aliases, name)) {
            return t;
        }
    }
    error_set(errp, "unsupported machine type: \"%s\"", name);
    if (known_hint(KNOWN_MACHINE, name, errp)) {
        error_hint(errp, "the list: -machine help");
        return NULL;
    }
    s = suggest_new(name);
    ROWS_FOREACH(rhea_machine_types, MachineType, t) {
        if (!arch || !strcmp(t->arch, arch)) {
            suggest_add(s, t->name);
            for (const char *const *a = t->aliases; a && *a; a++) {
                suggest_add(s, *a);
            }
        }
    }
    suggest_hint(s, "-machine help", errp);
    return NULL;
}

static int type_by_name(const void *a, const void *b)
{
    return strcmp((*(const MachineType *const *)a)->name, (*(const MachineType *const *)b)->name);
}

void machine_types_foreach(const char *arch, void (*fn)(const MachineType *t, void *data), void *data)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    ROWS_FOREACH(rhea_machine_types, MachineType, t) {
        if (!arch || !strcmp(t->arch, arch)) {
            g_ptr_array_add(all, (void *)t);
        }
    }
    g_ptr_array_sort(all, type_by_name);
    for (guint i = 0; i < all->len; i++) {
        fn(g_ptr_array_index(all, i), data);
    }
}

/* ---- settings ---- */

static bool set_props(Machine *m, const char *const *props, Error **errp)
{
    for (; props && props[0]; props += 2) {
        const Prop *p = prop_find(m->type->props, props[0]);

        if (!p) {
            g_autofree char *owner = g_strdup_printf("%s-machine", m->type->name);
            g_autofree char *help = g_strdup_printf("-machine %s,help", m->type->name);

            return prop_unknown(m->type->props, owner, props[0], help, errp);
        }
        if (!prop_set(m, p, props[1], errp)) {
            return false;
        }
    }
    return true;
}

/* Fill in what -smp leaves out: CPUs first, then sockets, the way clients expect it. */
static bool complete_smp(Machine *m, Error **errp)
{
    MachineSmp *s = &m->smp;
    unsigned per_socket;

    if (!s->cpus && !s->max_cpus && !s->sockets && !s->cores && !s->threads && !s->clusters) {
        s->cpus = 1;
    }
    s->dies = s->dies ? s->dies : 1;
    s->clusters = s->clusters ? s->clusters : 1;
    s->threads = s->threads ? s->threads : 1;
    if (!s->max_cpus && s->cpus) {
        s->max_cpus = s->cpus;
    }
    if (s->max_cpus) {
        if (!s->cores) {
            s->sockets = s->sockets ? s->sockets : 1;
            s->cores = s->max_cpus / (s->sockets * s->dies * s->clusters * s->threads);
        } else if (!s->sockets) {
            s->sockets = s->max_cpus / (s->dies * s->clusters * s->cores * s->threads);
        }
    } else {
        s->cores = s->cores ? s->cores : 1;
        s->sockets = s->sockets ? s->sockets : 1;
    }
    per_socket = s->dies * s->clusters * s->cores * s->threads;
    s->max_cpus = s->max_cpus ? s->max_cpus : s->sockets * per_socket;
    s->cpus = s->cpus ? s->cpus : s->max_cpus;
    if (s->sockets * per_socket != s->max_cpus) {
        return error_set(errp, "Invalid CPU topology: product of the hierarchy must match maxcpus: sockets (%u) * clusters (%u) * cores (%u)"
                         " * threads (%u) != maxcpus (%u)", s->sockets, s->clusters, s->cores, s->threads, s->max_cpus);
    }
    if (s->cpus > s->max_cpus) {
        return error_set(errp, "Invalid CPU topology: maxcpus (%u) must be equal to or greater than smp (%u)", s->max_cpus, s->cpus);
    }
    if (m->type->max_cpus && s->max_cpus > m->type->max_cpus) {
        return error_set(errp, "Invalid SMP CPUs %u. The max CPUs supported by machine '%s' is %u", s->max_cpus, m->type->name, m->type->max_cpus);
    }
    return !m->type->smp_check || m->type->smp_check(m, errp);
}

/* ---- accelerator ---- */

static bool pick_accel(Machine *m, const char *text, Error **errp)
{
    g_auto(GStrv) words = g_strsplit(text ? text : "tcg", ",", -1);
    const AccelType *t = accel_type_find(words[0]);

    if (!t) {
        return accel_type_unknown(words[0], errp);
    }
    if (t->available && !t->available(errp)) {
        return false;
    }
    m->accel_state = g_malloc0(MAX(t->size, 1));
    props_set_defaults(t->props, m->accel_state);
    for (char **w = words + 1; *w; w++) {
        char *eq = strchr(*w, '=');
        g_autofree char *name = eq ? g_strndup(*w, (gsize)(eq - *w)) : g_strdup(*w);
        const Prop *p = prop_find(t->props, name);

        if (!p) {
            g_autofree char *owner = g_strdup_printf("%s-accel", t->name);
            g_autofree char *help = g_strdup_printf("-accel %s,help", t->name);

            return prop_unknown(t->props, owner, name, help, errp);
        }
        if (!prop_set(m->accel_state, p, eq ? eq + 1 : "on", errp)) {
            return false;
        }
    }
    if (t->init && !t->init(m, m->accel_state, errp)) {
        return false;
    }
    m->accel = t;
    return true;
}

/* ---- open and close ---- */

static Machine *machine_new(Session *session, const MachineType *type, const MachineConfig *config)
{
    Machine *m = g_malloc0(type->size);

    assert(type->size >= sizeof(Machine));
    m->type = type;
    m->session = session;
    m->config = config;
    m->name = g_strdup(config->id ? config->id : type->name);
    m->priv = g_new0(MachinePriv, 1);
    m->priv->extra = g_array_new(FALSE, FALSE, sizeof(ExtraState));
    m->priv->hooks = g_array_new(FALSE, FALSE, sizeof(ResetHook));
    m->priv->roms = g_array_new(FALSE, FALSE, sizeof(Rom));
    m->priv->rom_maps = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    m->priv->wake = config->wake;
    m->priv->wake_opaque = config->wake_opaque;
    m->priv->icount_sleep = config->icount_sleep;
    m->priv->icount_pace = config->icount_pace;
    m->priv->pauses = 1;                        /* until machine_run */
    pthread_mutex_init(&m->priv->request_lock, NULL);
    vcpu_control_init(m);
    m->mem = config->ram ? config->ram->mem : memory_new();
    mem_region_init(&m->system_memory, m->mem, "system", UINT64_MAX);
    mem_region_init(&m->system_io, m->mem, "io", 0x10000);
    m->as = address_space_new(m->mem, "memory", &m->system_memory);
    m->as_io = address_space_new(m->mem, "I/O", &m->system_io);
    m->clock = clock_new(config->clock, "vm/clock");
    clock_icount_set_shift(m->clock, config->icount_shift);
    clock_icount_set_pace(m->clock, config->icount_pace);
    timer_init(&m->priv->stop_at, m->clock, machine_stop_due, m, NULL);
    m->inputs = inputs_new(m->clock);
    if (config->have_seed) {
        inputs_seed(m->inputs, config->seed);
    }
    m->cpus = g_ptr_array_new();
    m->devices = g_ptr_array_new();
    m->buses = g_ptr_array_new();
    m->globals = g_ptr_array_new_with_free_func(g_free);
    m->smp = config->smp;
    m->ram_size = config->ram_size ? config->ram_size : type->default_ram;
    return m;
}

static void copy_globals(Machine *m, const PropDefault *d)
{
    for (; d && d->driver; d++) {
        size_t a = strlen(d->driver) + 1, b = strlen(d->prop) + 1, c = strlen(d->value) + 1;
        PropDefault *own = g_malloc(sizeof(*own) + a + b + c);      /* one allocation, strings behind the record */
        char *p = (char *)(own + 1);

        own->driver = memcpy(p, d->driver, a);
        own->prop = memcpy(p + a, d->prop, b);
        own->value = memcpy(p + a + b, d->value, c);
        g_ptr_array_add(m->globals, own);
    }
}

static void wake_icount(void *opaque)
{
    Machine *m = opaque;

    if (machine_ncpus(m)) {
        vcpu_kick(machine_cpu(m, 0));
    }
}

Machine *machine_open(Session *session, const MachineType *type, const MachineConfig *config, Error **errp)
{
    Machine *m = machine_new(session, type, config);

    copy_globals(m, config->globals);
    props_set_defaults(type->props, m);
    inputs_set_notify(m->inputs, wake_icount, m);
    if (!inputs_set_wall(m->inputs, config->rtc_base, config->rtc_clock, errp) || !set_props(m, config->props, errp) ||
        !complete_smp(m, errp) || !pick_accel(m, config->accel, errp) || !type->build(m, errp)) {
        machine_close(m);
        return NULL;
    }
    return m;
}

static void free_all_devices(Machine *m)
{
    while (m->devices->len) {
        device_free(g_ptr_array_index(m->devices, m->devices->len - 1));
    }
}

static void free_lists(Machine *m)
{
    MachinePriv *p = m->priv;

    for (guint i = 0; i < p->extra->len; i++) {
        g_free(g_array_index(p->extra, ExtraState, i).name);
    }
    for (guint i = 0; i < p->roms->len; i++) {
        g_free(g_array_index(p->roms, Rom, i).name);
        g_bytes_unref(g_array_index(p->roms, Rom, i).bytes);
    }
    g_array_free(p->extra, TRUE);
    g_array_free(p->hooks, TRUE);
    g_array_free(p->roms, TRUE);
    g_ptr_array_free(p->rom_maps, TRUE);
    g_ptr_array_free(m->cpus, TRUE);
    g_ptr_array_free(m->devices, TRUE);
    g_ptr_array_free(m->buses, TRUE);
    g_ptr_array_free(m->globals, TRUE);
}

void machine_close(Machine *m)
{
    if (!m) {
        return;
    }
    if (machine_is_running(m)) {
        machine_pause(m, RUN_SHUTDOWN);
    }
    timer_fini(&m->priv->stop_at);
    clock_stop(m->clock);
    vcpu_stop_all(m);
    free_all_devices(m);
    for (guint i = m->cpus->len; i-- > 0;) {
        cpu_free(g_ptr_array_index(m->cpus, i));
    }
    if (m->type->destroy) {
        m->type->destroy(m);
    }
    if (m->accel && m->accel->exit) {
        m->accel->exit(m, m->accel_state);
    }
    if (m->accel) {
        props_release(m->accel->props, m->accel_state);
    }
    address_space_free(m->as);
    address_space_free(m->as_io);
    g_list_free(m->system_memory.children);
    g_list_free(m->system_io.children);
    memory_free(m->mem);
    inputs_free(m->inputs);
    clock_free(m->clock);
    props_release(m->type->props, m);
    free_lists(m);
    vcpu_control_fini(m);
    pthread_mutex_destroy(&m->priv->request_lock);
    g_free(m->priv);
    g_free(m->accel_state);
    g_free(m->dumpdtb);
    g_free(m->name);
    g_free(m);
}

bool machine_ready(Machine *m, Error **errp)
{
    assert(!m->priv->ready);
    if (m->type->finish && !m->type->finish(m, errp)) {
        return false;
    }
    m->priv->ready = true;
    m->config = NULL;
    machine_reset_now(m);
    if (m->accel && machine_ncpus(m)) {
        vcpu_start_all(m);
    }
    return true;
}

/* ---- run and pause ---- */

bool machine_is_running(const Machine *m)
{
    return m->priv->state == RUN_RUNNING;
}

RunState machine_state(const Machine *m)
{
    return m->priv->state;
}

void machine_set_state(Machine *m, RunState s)
{
    m->priv->state = s;
}

void machine_run(Machine *m)
{
    assert(m->priv->ready);
    if (machine_is_running(m)) {
        return;
    }
    m->priv->state = RUN_RUNNING;
    clock_start(m->clock);
    vcpu_resume_all(m);
    machine_event(m, &(MachineEvent){ .kind = EVENT_RESUME });
}

void machine_pause(Machine *m, RunState why)
{
    bool was = machine_is_running(m);

    if (was) {
        vcpu_pause_all(m);
        clock_stop(m->clock);
    }
    m->priv->state = why;
    if (was) {
        machine_event(m, &(MachineEvent){ .kind = EVENT_STOP });
    }
}

/* ---- reset ---- */

static void reset_cpus(Machine *m)
{
    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        Cpu *cpu = machine_cpu(m, i);

        cpu->halted = false;
        cpu->power_off = cpu->start_off;
        cpu->exit_code = 0;
        cpu->ops->reset(cpu);
    }
}

void machine_reset_now(Machine *m)
{
    reset_cpus(m);
    for (int phase = 0; phase < 3; phase++) {
        if (phase == 2) {
            machine_load_roms(m);
            for (guint i = 0; i < m->priv->hooks->len; i++) {
                ResetHook *h = &g_array_index(m->priv->hooks, ResetHook, i);

                h->fn(h->opaque);
            }
        }
        for (guint i = 0; i < m->devices->len; i++) {
            device_reset_phase(g_ptr_array_index(m->devices, i), phase);
        }
    }
    for (unsigned i = 0; i < machine_ncpus(m); i++) {
        if (m->accel && m->accel->state_changed) {
            m->accel->state_changed(machine_cpu(m, i));
        }
    }
}

void machine_reset(Machine *m, RequestCause cause)
{
    bool was = machine_is_running(m);

    vcpu_pause_all(m);
    if (was) {
        clock_stop(m->clock);
    }
    machine_reset_now(m);
    machine_event(m, &(MachineEvent){ .kind = EVENT_RESET, .cause = cause });
    if (was) {
        clock_start(m->clock);
    }
    vcpu_resume_all(m);
}

void machine_powerdown(Machine *m)
{
    machine_event(m, &(MachineEvent){ .kind = EVENT_POWERDOWN });
    if (m->type->powerdown) {
        m->type->powerdown(m);
    }
}

/* ---- additions ---- */

void machine_add_state(Machine *m, const char *name, const StateTable *t, void *obj)
{
    ExtraState e = { g_strdup(name), t, obj };

    g_array_append_val(m->priv->extra, e);
}

void machine_add_reset(Machine *m, void (*fn)(void *opaque), void *opaque)
{
    ResetHook h = { fn, opaque };

    g_array_append_val(m->priv->hooks, h);
}

static const char *take_option(const char *const *opts, const char *name)
{
    for (; opts[0]; opts += 2) {
        if (!strcmp(opts[0], name)) {
            return opts[1];
        }
    }
    return NULL;
}

static bool set_options(Device *dev, const char *const *opts, Error **errp)
{
    for (; opts[0]; opts += 2) {
        if (strcmp(opts[0], "driver") && strcmp(opts[0], "id") && strcmp(opts[0], "bus") && !device_set(dev, opts[0], opts[1], errp)) {
            return false;
        }
    }
    return true;
}

Device *machine_add_device(Machine *m, const char *const *opts, Error **errp)
{
    const char *driver = take_option(opts, "driver"), *bus_name = take_option(opts, "bus");
    Bus *bus = NULL;
    Device *dev;

    if (!driver) {
        error_set(errp, "Parameter 'driver' is missing");
        return NULL;
    }
    dev = device_new(m, driver, take_option(opts, "id"), errp);
    if (!dev) {
        return NULL;
    }
    if (!dev->type->user_creatable) {
        error_set(errp, "Parameter 'driver' expects a pluggable device type: '%s' is part of the board", driver);
    } else if (m->priv->ready && !dev->type->hotpluggable) {
        error_set(errp, "Device '%s' does not support hotplugging", driver);
    } else if (!dev->type->bus || (bus = bus_find(m, dev->type->bus, bus_name, errp))) {
        if (set_options(dev, opts, errp) && device_realize(dev, bus, NULL, errp)) {
            if (m->priv->ready) {
                dev->hotplugged = true;
                device_reset(dev);
            }
            return dev;
        }
    }
    device_free(dev);
    return NULL;
}
