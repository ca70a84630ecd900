/* SPDX-License-Identifier: MIT */
/* info: what the machine is and does. */
#include "monitor/command.h"

#include <string.h>
#include <unistd.h>

#include "util/trace.h"

#define COMMAND(row, ...) static const MonCommand row = { __VA_ARGS__ }; MON_COMMAND(row)

static bool status_run(MonCall *call, Error **errp)
{
    RunState st = machine_state(call->machine);

    g_string_append(call->out, st == RUN_RUNNING ? "VM status: running" : "VM status: paused");
    if (st != RUN_RUNNING && st != RUN_PAUSED) {
        g_string_append_printf(call->out, " (%s)", run_state_name(st));
    }
    g_string_append_c(call->out, '\n');
    return true;
}
COMMAND(status_command, .name = "info status", .help = "show the current VM status (running|paused)", .run = status_run);

static bool version_run(MonCall *call, Error **errp)
{
    g_string_append_printf(call->out, "%s (%s)\n", version_number(), version_package());
    return true;
}
COMMAND(version_command, .name = "info version", .help = "show the version", .run = version_run);

static bool name_run(MonCall *call, Error **errp)
{
    if (call->system->guest_name) {
        g_string_append_printf(call->out, "%s\n", call->system->guest_name);
    }
    return true;
}
COMMAND(name_command, .name = "info name", .help = "show the current VM name", .run = name_run);

static bool uuid_run(MonCall *call, Error **errp)
{
    g_string_append_printf(call->out, "%s\n", call->system->uuid ? call->system->uuid : "00000000-0000-0000-0000-000000000000");
    return true;
}
COMMAND(uuid_command, .name = "info uuid", .help = "show the current VM UUID", .run = uuid_run);

static bool kvm_run(MonCall *call, Error **errp)
{
    bool kvm = call->machine->accel && !strcmp(call->machine->accel->name, "kvm");

    g_string_append_printf(call->out, "kvm support: %s\n", kvm ? "enabled" : "disabled");
    return true;
}
COMMAND(kvm_command, .name = "info kvm", .help = "show KVM information", .run = kvm_run);

static bool cpus_run(MonCall *call, Error **errp)
{
    for (unsigned i = 0; i < machine_ncpus(call->machine); i++) {
        Cpu *cpu = machine_cpu(call->machine, i);

        g_string_append_printf(call->out, "%c CPU #%u: model=%s%s\n", i == *call->cpu ? '*' : ' ', i, cpu->type->name,
                               cpu->power_off ? " (off)" : cpu->halted ? " (halted)" : "");
    }
    return true;
}
COMMAND(cpus_command, .name = "info cpus", .help = "show infos for each CPU", .run = cpus_run);

static void dump_cpu(MonCall *call, unsigned i)
{
    Cpu *cpu = machine_cpu(call->machine, i);

    g_string_append_printf(call->out, "\nCPU#%u\n", i);
    if (cpu->ops->dump) {
        cpu->ops->dump(cpu, 0, call->out);
    }
}

static bool registers_run(MonCall *call, Error **errp)
{
    uint64_t n = json_get_u64(call->args, "vcpu", *call->cpu);
    bool all = json_get_bool(call->args, "cpustate_all", false);

    if (!all && n >= machine_ncpus(call->machine)) {
        g_string_append_printf(call->out, "CPU#%" G_GUINT64_FORMAT " not available\n", n);
        return true;
    }
    vcpu_pause_all(call->machine);
    for (unsigned i = 0; i < machine_ncpus(call->machine); i++) {
        if (all || i == n) {
            dump_cpu(call, i);
        }
    }
    vcpu_resume_all(call->machine);
    return true;
}
static const OptKey registers_keys[] = { { "cpustate_all", OPT_BOOL, .alias = "a" }, { "vcpu", OPT_NUMBER }, {} };
COMMAND(registers_command, .name = "info registers", .params = "[-a|vcpu]", .help = "show the cpu registers (-a: all CPUs)",
        .keys = registers_keys, .run = registers_run);

/* ---- memory ---- */

static const char *kind_word(const MemRegion *r)
{
    return r->kind == MEM_RAM ? "ram" : r->kind == MEM_ROM ? "rom" : r->kind == MEM_ROMD ? "romd" : "i/o";
}

static void print_region(GString *out, const MemRegion *r, uint64_t base, unsigned level)
{
    uint64_t last = r->size == UINT64_MAX ? UINT64_MAX : base + r->size - 1;

    if (!r->enabled) {
        return;
    }
    g_string_append_printf(out, "%*s%016" PRIx64 "-%016" PRIx64 " (prio %d, %s): ", (int)level * 2, "", base, last, r->priority,
                           kind_word(r->kind == MEM_ALIAS ? r->target : r));
    if (r->kind == MEM_ALIAS) {
        g_string_append_printf(out, "alias %s @%s %016" PRIx64 "-%016" PRIx64 "\n", r->name, r->target->name, r->target_offset,
                               r->target_offset + r->size - 1);
    } else {
        g_string_append_printf(out, "%s\n", r->name);
    }
    for (const GList *l = r->children; l; l = l->next) {
        const MemRegion *child = l->data;

        print_region(out, child, base + child->offset, level + 1);
    }
}

static void print_range(const MemRange *range, void *data)
{
    g_string_append_printf(data, "  %016" PRIx64 "-%016" PRIx64 " (prio 0, %s): %s", range->start, range->start + range->size - 1,
                           range->readonly && !range->romd ? "rom" : kind_word(range->region), range->region->name);
    if (range->offset) {
        g_string_append_printf(data, " @%016" PRIx64, range->offset);
    }
    g_string_append_c(data, '\n');
}

static bool mtree_run(MonCall *call, Error **errp)
{
    Machine *m = call->machine;

    if (json_get_bool(call->args, "flatview", false)) {
        g_string_append_printf(call->out, "FlatView #0\n AS \"%s\", root: %s\n Root memory region: %s\n", address_space_name(m->as),
                               m->system_memory.name, m->system_memory.name);
        mem_view_foreach(m->as, print_range, call->out);
    } else {
        g_string_append_printf(call->out, "address-space: %s\n", address_space_name(m->as));
        print_region(call->out, &m->system_memory, 0, 1);
    }
    g_string_append_c(call->out, '\n');
    return true;
}
static const OptKey mtree_keys[] = { { "flatview", OPT_BOOL, .alias = "f" }, {} };
COMMAND(mtree_command, .name = "info mtree", .params = "[-f]", .help = "show memory tree (-f: dump flat view for address spaces)",
        .keys = mtree_keys, .run = mtree_run);

static void print_rom(const char *name, paddr addr, uint64_t size, void *data)
{
    g_string_append_printf(data, "addr=%016" PRIx64 " size=0x%06" PRIx64 " mem=ram name=\"%s\"\n", addr, size, name);
}

static bool roms_run(MonCall *call, Error **errp)
{
    machine_roms_foreach(call->machine, print_rom, call->out);
    return true;
}
COMMAND(roms_command, .name = "info roms", .help = "show roms", .run = roms_run);

/* ---- devices ---- */

static void print_device(GString *out, Device *dev, unsigned level);

static void print_bus(GString *out, Bus *bus, unsigned level)
{
    g_string_append_printf(out, "%*sbus: %s\n%*s  type %s\n", (int)level * 2, "", bus->name, (int)level * 2, "", bus->type->name);
    for (unsigned i = 0; i < bus->devices->len; i++) {
        print_device(out, g_ptr_array_index(bus->devices, i), level + 1);
    }
}

static void print_props(GString *out, Device *dev, unsigned level)
{
    for (const Prop *p = dev->type->props; p && p->name; p++) {
        g_autofree char *v = device_get(dev, p->name, NULL);

        if (v) {
            g_string_append_printf(out, "%*s%s = %s\n", (int)level * 2, "", p->name, v);
        }
    }
}

static void print_device(GString *out, Device *dev, unsigned level)
{
    g_string_append_printf(out, "%*sdev: %s, id \"%s\"\n", (int)level * 2, "", dev->type->name, dev->id ? dev->id : "");
    print_props(out, dev, level + 1);
    for (unsigned i = 0; i < dev->nmmio; i++) {
        MemRegion *r = &dev->mmio[i];

        if (r->parent && !dev->bus) {
            g_string_append_printf(out, "%*smmio %016" PRIx64 "/%016" PRIx64 "\n", (int)level * 2 + 2, "", r->offset, r->size);
        }
    }
    for (unsigned i = 0; dev->buses && i < dev->buses->len; i++) {
        print_bus(out, g_ptr_array_index(dev->buses, i), level + 1);
    }
}

static void print_platform_device(Device *dev, void *data)
{
    if (!dev->bus) {
        print_device(data, dev, 1);
    }
}

static bool qtree_run(MonCall *call, Error **errp)
{
    g_string_append(call->out, "bus: main-system-bus\n  type System\n");
    devices_foreach(call->machine, print_platform_device, call->out);
    return true;
}
COMMAND(qtree_command, .name = "info qtree", .help = "show device tree", .run = qtree_run);

static bool device_run(MonCall *call, Error **errp)
{
    const char *id = json_get_string(call->args, "id");
    Device *dev = device_find(call->machine, id);

    if (!dev) {
        return error_set(errp, "Device '%s' not found", id);
    }
    device_print(dev, call->out);
    if (dev->type->info) {
        dev->type->info(dev, call->out);
    }
    return true;
}
static const OptKey device_keys[] = { { "id", OPT_STRING, .must = true }, {} };
COMMAND(device_command, .name = "info device", .params = "id", .help = "show registers and state of a device (id or path)",
        .keys = device_keys, .run = device_run);

static bool irq_run(MonCall *call, Error **errp)
{
    if (call->machine->type->info) {
        call->machine->type->info(call->machine, "irq", call->out);
    }
    return true;
}
COMMAND(irq_command, .name = "info irq", .help = "show the interrupts statistics (if available)", .run = irq_run);

static bool jit_run(MonCall *call, Error **errp)
{
    const AccelType *a = call->machine->accel;

    if (!a || !a->info_jit) {
        return error_set(errp, "JIT information is only available with accel=tcg");
    }
    a->info_jit(call->machine, call->out);
    return true;
}
COMMAND(jit_command, .name = "info jit", .help = "show dynamic compiler info", .run = jit_run);

static bool inputs_run_(MonCall *call, Error **errp)
{
    for (unsigned k = 0; k < INPUT_KINDS; k++) {
        g_string_append_printf(call->out, "%s: %" PRIu64 "\n", input_kind_name(k), inputs_count(call->machine->inputs, k));
    }
    return true;
}
COMMAND(inputs_command, .name = "info inputs", .help = "show what came into the machine from outside, counted", .run = inputs_run_);

static bool clock_run_(MonCall *call, Error **errp)
{
    Clock *c = call->machine->clock;

    g_string_append_printf(call->out, "guest time %" PRId64 " ns\n", clock_now(c));
    if (clock_mode(c) == CLOCK_ICOUNT) {
        g_string_append_printf(call->out, "%" PRIu64 " instructions, %u ns each\n", clock_icount_total(c), 1u << clock_icount_shift(c));
    }
    return true;
}
COMMAND(clock_command, .name = "info clock", .help = "show guest time and instructions", .run = clock_run_);

static void print_chardev(Chardev *c, void *data)
{
    g_string_append_printf(data, "%s: filename=%s\n", chardev_id(c), chardev_filename(c));
}

static bool chardev_run(MonCall *call, Error **errp)
{
    chardevs_foreach(call->system->session, print_chardev, call->out);
    return true;
}
COMMAND(chardev_command, .name = "info chardev", .help = "show the character devices", .run = chardev_run);

static bool trace_events_run(MonCall *call, Error **errp)
{
    g_autofree char *list = trace_list();

    g_string_append(call->out, list);
    return true;
}
COMMAND(trace_events_command, .name = "info trace-events", .help = "show the trace points", .run = trace_events_run);
