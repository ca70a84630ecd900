/* SPDX-License-Identifier: MIT */
/* The command line as a MachineConfig, and the machine with its devices out of it. */
#include <string.h>

#include "system/drives.h"
#include "system/firmware.h"
#include "system/netcards.h"
#include "system/objects.h"
#include "system/system.h"
#include "util/size.h"

/* Everything that the config borrows until the machine is open. */
typedef struct Plan {
    System *s;
    MachineConfig config;
    RamSpec ram_spec;
    Json *machine, *memory, *smp, *rtc, *icount, *name;
    GPtrArray *props;               /* char *: name, value, ... */
    GArray *globals;                /* PropDefault */
    GPtrArray *strings;             /* what globals point at */
    char *firmware;
    char *accel;
} Plan;

static void plan_free(Plan *p)
{
    json_unref(p->machine);
    json_unref(p->memory);
    json_unref(p->smp);
    json_unref(p->rtc);
    json_unref(p->icount);
    json_unref(p->name);
    g_ptr_array_unref(p->props);
    g_ptr_array_unref(p->strings);
    g_array_unref(p->globals);
    g_free(p->firmware);
    g_free(p->accel);
}

static char *keep(Plan *p, char *take)
{
    g_ptr_array_add(p->strings, take);
    return take;
}

/* ---- which board ---- */

static void note_default(const MachineType *t, void *data)
{
    if (t->is_default) {
        *(const MachineType **)data = t;
    }
}

bool system_machine_type(System *s, Error **errp)
{
    g_autoptr(Json) machine = cmdline_merged(s->cl, "machine");
    const char *name = json_get_string(machine, "type");

    if (name) {
        s->type = machine_type_find(s->name->arch, name, errp);
        return s->type;
    }
    machine_types_foreach(s->name->arch, note_default, &s->type);
    if (!s->type) {
        error_set(errp, "No machine specified, and there is no default");
        return error_hint(errp, "Use -machine help to list supported machines");
    }
    return true;
}

/* What was chosen for the user, in one line; clients of the peer's names expect its silence. */
static void say_choice(System *s, const char *text)
{
    if (!s->name->peer) {
        system_print_info(s, "info: %s", text);
    }
}

static void say_cpu(Plan *p)
{
    if (!p->config.cpu && p->s->type->default_cpu) {
        g_autofree char *text = g_strdup_printf("processor %s (the board's default; -cpu chooses another)", p->s->type->default_cpu);

        say_choice(p->s, text);
    }
}

/* ---- accelerator: the first of the list that can run here ---- */

static bool accel_usable(const char *text, Error **errp)
{
    g_autofree char *name = g_strndup(text, strcspn(text, ","));
    const AccelType *t = accel_type_find(name);

    if (!t) {
        return accel_type_unknown(name, errp);
    }
    return !t->available || t->available(errp);
}

/* "name,key=value,..." of an -accel object. */
static char *accel_text(const Json *a)
{
    GString *out = g_string_new(json_get_string(a, "accel"));

    for (unsigned i = 0; i < json_size(a); i++) {
        g_autofree char *v = json_scalar_text(json_at(a, i));

        if (strcmp(json_key_at(a, i), "accel") && v) {
            g_string_append_printf(out, ",%s=%s", json_key_at(a, i), v);
        }
    }
    return g_string_free(out, FALSE);
}

static bool note_accel(const CmdArg *a, void *data, Error **errp)
{
    g_ptr_array_add(data, accel_text(a->value));
    return true;
}

static bool plan_accel(Plan *p, Error **errp)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    const char *names = json_get_string(p->machine, "accel");
    g_auto(GStrv) words = names ? g_strsplit(names, ":", -1) : NULL;

    cmdline_each(p->s->cl, "accel", note_accel, list, NULL);
    if (names && list->len) {
        return error_set(errp, "The -accel and \"-machine accel=\" options are incompatible");
    }
    for (unsigned i = 0; words && words[i]; i++) {
        g_ptr_array_add(list, g_strdup(words[i]));
    }
    if (!list->len) {
        p->config.accel = "tcg";
        say_choice(p->s, "accelerator tcg (none was asked for; it runs on every host)");
        return true;
    }
    for (unsigned i = 0; i < list->len; i++) {
        const char *text = g_ptr_array_index(list, i);
        Error *err = NULL;

        if (accel_usable(text, &err)) {
            if (i) {
                system_print_info(p->s, "falling back to %s", text);
            }
            p->config.accel = p->accel = g_strdup(text);
            return true;
        }
        if (i + 1 == list->len) {
            return error_propagate(errp, err);
        }
        system_print_error(p->s->name, err);
        error_free(err);
    }
    return false;
}

/* ---- the parts ---- */

static bool plan_smp(Plan *p, Error **errp)
{
    static const char *const key[] = { "cpus", "maxcpus", "sockets", "dies", "clusters", "cores", "threads" };

    for (unsigned i = 0; i < G_N_ELEMENTS(key); i++) {
        if (json_get(p->smp, key[i]) && !json_get_u64(p->smp, key[i], 1)) {
            return error_set(errp, "Invalid CPU topology: CPU topology parameters must be greater than zero");
        }
    }
    p->config.smp = (MachineSmp){
        .cpus = json_get_u64(p->smp, "cpus", 0), .max_cpus = json_get_u64(p->smp, "maxcpus", 0), .sockets = json_get_u64(p->smp, "sockets", 0),
        .dies = json_get_u64(p->smp, "dies", 0), .clusters = json_get_u64(p->smp, "clusters", 0), .cores = json_get_u64(p->smp, "cores", 0),
        .threads = json_get_u64(p->smp, "threads", 0),
    };
    return true;
}

static bool plan_memory(Plan *p, Error **errp)
{
    uint64_t size = json_get_u64(p->memory, "size", 0), max = json_get_u64(p->memory, "maxmem", 0), slots = json_get_u64(p->memory, "slots", 0);
    uint64_t real = size ? size : p->s->type->default_ram;

    if (slots && !max) {
        return error_set(errp, "slots specified but no max-size");
    }
    if (max && max < real) {
        return error_set(errp, "invalid value of maxmem: maximum memory size (0x%" PRIx64 ") must be at least the initial memory size (0x%" PRIx64 ")",
                         max, real);
    }
    p->config.ram_size = size;
    p->config.ram_max = max;
    p->config.ram_slots = (unsigned)slots;
    if (cmdline_has(p->s->cl, "mem-path") || cmdline_has(p->s->cl, "mem-prealloc")) {
        p->ram_spec.path = cmdline_text(p->s->cl, "mem-path");
        p->ram_spec.backing = p->ram_spec.path ? RAM_FILE : RAM_ANON;
        p->ram_spec.prealloc = cmdline_has(p->s->cl, "mem-prealloc");
        p->config.ram_spec = &p->ram_spec;
    }
    return objects_memory(p->s, json_get_string(p->machine, "memory-backend"), &p->ram_spec, &p->config, errp);
}

static bool plan_boot(Plan *p, Error **errp)
{
    const char *firmware = json_get_string(p->machine, "firmware");
    MachineConfig *c = &p->config;

    c->kernel = json_get_string(p->machine, "kernel");
    c->initrd = json_get_string(p->machine, "initrd");
    c->append = json_get_string(p->machine, "append");
    c->dtb = json_get_string(p->machine, "dtb");
    if (c->append && !c->kernel) {
        return error_set(errp, "-append only allowed with -kernel option");
    }
    if (c->initrd && !c->kernel) {
        return error_set(errp, "-initrd only allowed with -kernel option");
    }
    if (p->s->type->firmware && (!firmware || !strcmp(firmware, "default"))) {
        c->firmware = p->firmware = firmware_default(p->s->cl, p->s->type->firmware);
    } else if (firmware) {
        c->firmware = p->firmware = firmware_find(p->s->cl, firmware);
    }
    return true;
}

static bool plan_align(Plan *p, Error **errp)
{
    MachineConfig *c = &p->config;

    if (!json_get_bool(p->icount, "align", false)) {
        return true;
    }
    if (c->icount_pace == PACE_AUTO) {
        return error_set(errp, "shift=auto and align=on are incompatible: an instruction of fixed time can be made to wait, as in shift=3,align=on");
    }
    if (!c->icount_sleep) {
        return error_set(errp, "align=on and sleep=off are incompatible: the guest waits for the host's time or it does not");
    }
    c->icount_pace = PACE_ALIGN;
    return true;
}

static bool plan_time(Plan *p, Error **errp)
{
    const char *shift = json_get_string(p->icount, "shift"), *seed = cmdline_text(p->s->cl, "seed");
    MachineConfig *c = &p->config;
    uint64_t n;

    c->rtc_base = json_get_string(p->rtc, "base");
    c->rtc_clock = json_get_string(p->rtc, "clock");
    if (seed) {
        if (!number_parse_u64(seed, &c->seed, NULL)) {
            return error_set(errp, "-seed %s: Invalid seed number", seed);
        }
        c->have_seed = true;
    }
    if (!cmdline_has(p->s->cl, "icount")) {
        return true;
    }
    c->clock = CLOCK_ICOUNT;
    c->icount_sleep = json_get_bool(p->icount, "sleep", true);
    c->icount_shift = 3;                                    /* auto begins there */
    c->icount_pace = c->icount_sleep ? PACE_AUTO : PACE_NONE;
    if (shift && strcmp(shift, "auto")) {
        if (!number_parse_u64(shift, &n, NULL) || n > 10) {
            return error_set(errp, "icount: Invalid shift value");
        }
        c->icount_shift = (unsigned)n;
        c->icount_pace = PACE_NONE;
    } else if (!c->icount_sleep) {
        return error_set(errp, "shift=auto and sleep=off are incompatible: one follows the host's time, the other does not wait for it; give the "
                         "instruction a time, as in shift=3");
    }
    return plan_align(p, errp);
}

/* Keys of -machine that no part above has read are the board's properties. */
static void plan_props(Plan *p)
{
    static const char *const read[] = { "type", "accel", "kernel", "initrd", "append", "dtb", "firmware", "memory-backend", NULL };

    for (unsigned i = 0; i < json_size(p->machine); i++) {
        const char *key = json_key_at(p->machine, i);
        char *value = json_scalar_text(json_at(p->machine, i));

        if (value && !g_strv_contains(read, key)) {
            g_ptr_array_add(p->props, keep(p, g_strdup(key)));
            g_ptr_array_add(p->props, keep(p, value));
        } else {
            g_free(value);
        }
    }
    g_ptr_array_add(p->props, NULL);
    p->config.props = (const char *const *)p->props->pdata;
}

/* driver.property=value, or driver=,property=,value= */
static bool note_global(const CmdArg *a, void *data, Error **errp)
{
    static const OptKey keys[] = {
        { "driver", OPT_STRING, .must = true }, { "property", OPT_STRING, .must = true }, { "value", OPT_STRING, .must = true }, {}
    };
    static const OptGroup group = { .name = "global", .keys = keys };
    const char *dot = strchr(a->text, '.'), *eq = strchr(a->text, '=');
    Plan *p = data;
    PropDefault d;

    if (dot && eq && dot < eq) {
        d = (PropDefault){ keep(p, g_strndup(a->text, dot - a->text)), keep(p, g_strndup(dot + 1, eq - dot - 1)), keep(p, g_strdup(eq + 1)) };
    } else {
        g_autoptr(Json) j = options_parse(&group, a->text, errp);

        if (!j) {
            return false;
        }
        d = (PropDefault){ keep(p, g_strdup(json_get_string(j, "driver"))), keep(p, g_strdup(json_get_string(j, "property"))),
                           keep(p, g_strdup(json_get_string(j, "value"))) };
    }
    if (!device_type_find(d.driver)) {
        system_print_info(p->s, "warning: global %s.%s has invalid class name", d.driver, d.prop);
    }
    g_array_append_val(p->globals, d);
    return true;
}

static void wake(void *opaque);

static bool plan_make(Plan *p, char **serials, Error **errp)
{
    System *s = p->s;

    p->machine = cmdline_merged(s->cl, "machine");
    p->memory = cmdline_merged(s->cl, "m");
    p->smp = cmdline_merged(s->cl, "smp");
    p->rtc = cmdline_merged(s->cl, "rtc");
    p->icount = cmdline_merged(s->cl, "icount");
    p->name = cmdline_merged(s->cl, "name");
    p->props = g_ptr_array_new();
    p->strings = g_ptr_array_new_with_free_func(g_free);
    p->globals = g_array_new(TRUE, TRUE, sizeof(PropDefault));
    p->config = (MachineConfig){
        .id = s->guest_name, .cpu = cmdline_text(s->cl, "cpu"), .uuid = s->uuid, .serials = (const char *const *)serials,
        .wake = wake, .wake_opaque = s,
    };
    if (!plan_accel(p, errp) || !plan_smp(p, errp) || !plan_memory(p, errp) || !plan_boot(p, errp) || !plan_time(p, errp) ||
        !cmdline_each(s->cl, "global", note_global, p, errp)) {
        return false;
    }
    say_cpu(p);
    plan_props(p);
    p->config.globals = (const PropDefault *)p->globals->data;
    return true;
}

/* ---- the machine ---- */

static void poll_machine(void *opaque)
{
    System *s = opaque;

    if (s->machine && !s->ending) {
        machine_poll(s->machine);
    }
}

/* Any thread. */
static void wake(void *opaque)
{
    System *s = opaque;

    loop_post(s->loop, poll_machine, s);
}

bool system_device_add(System *s, const Json *opts, Error **errp)
{
    g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(g_free);

    for (unsigned i = 0; i < json_size(opts); i++) {
        char *value = json_scalar_text(json_at(opts, i));

        if (!value) {
            return error_set(errp, "Parameter '%s' is a list or an object, which no property is", json_key_at(opts, i));
        }
        g_ptr_array_add(pairs, g_strdup(json_key_at(opts, i)));
        g_ptr_array_add(pairs, value);
    }
    g_ptr_array_add(pairs, NULL);
    return machine_add_device(s->machine, (const char *const *)pairs->pdata, errp);
}

static bool add_device(const CmdArg *a, void *data, Error **errp)
{
    return system_device_add(data, a->value, errp);
}

bool system_machine_open(System *s, char **serials, Error **errp)
{
    Plan p = { .s = s };
    bool ok = plan_make(&p, serials, errp) && netcards_plan(s, s->type, &p.config, errp);

    drives_plan(s, &p.config);
    s->machine = ok ? machine_open(s->session, s->type, &p.config, errp) : NULL;
    ok = s->machine && cmdline_each(s->cl, "device", add_device, s, errp) && drives_devices(s, errp) &&
         firmware_items(s, errp) && machine_ready(s->machine, errp);
    if (ok) {
        netcards_warn(s);
    }
    plan_free(&p);
    return ok;
}
