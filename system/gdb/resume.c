/* SPDX-License-Identifier: MIT */
/* Packets that let the machine go on: c, s, vCont, D, k. */
#include "system/gdb/gdb-priv.h"

#include <errno.h>
#include <string.h>

void gdb_clear_stops(GdbServer *g)
{
    for (unsigned i = 0; i < machine_ncpus(g->machine); i++) {
        Cpu *cpu = machine_cpu(g->machine, i);

        cpu->single_step = 0;
        cpu->stopped_debug = false;
    }
}

void gdb_resume(GdbServer *g)
{
    Error *err = NULL;

    g->running = true;
    if (!system_continue(g->system, &err)) {
        g->running = false;
        error_free(err);
        gdb_stop_reply(g, 5);
    }
}

/* One CPU takes a step and the others go on, or wait with the scheduler locked. */
static void set_action(GdbServer *g, Cpu *cpu, char action)
{
    cpu->stopped_debug = !action;
    cpu->single_step = action == 's' ? g->step_flags : 0;
    cpu->exit_code = CPU_STOP_NONE;
}

static void optional_address(GdbServer *g, const char *p)
{
    Cpu *cpu = gdb_cpu(g, g->c_cpu);
    uint64_t pc;

    if (cpu && gdb_parse_hex(&p, &pc)) {
        cpu->ops->set_pc(cpu, pc);
        if (g->machine->accel->state_changed) {
            g->machine->accel->state_changed(cpu);
        }
    }
}

static void simple(GdbServer *g, char action)
{
    for (unsigned i = 0; i < machine_ncpus(g->machine); i++) {
        set_action(g, machine_cpu(g->machine, i), i == g->c_cpu ? action : 'c');
    }
    gdb_resume(g);
}

/* vCont;action[:thread];...: the first action that fits a thread counts; threads without one stay. */
static bool parse_actions(GdbServer *g, const char *p, char *actions, unsigned n)
{
    while (*p == ';') {
        char action = (char)g_ascii_tolower(p[1]);
        uint64_t signal;
        int cpu = -1;

        if (action != 'c' && action != 's') {
            return false;
        }
        p += 2;
        if (g_ascii_isupper(p[-1]) && !gdb_parse_hex(&p, &signal)) {    /* C and S carry a signal, which a machine has not */
            return false;
        }
        if (*p == ':' && (p++, !gdb_parse_thread(&p, &cpu))) {
            return false;
        }
        if (cpu >= (int)n) {
            return false;
        }
        for (unsigned i = 0; i < n; i++) {
            if (!actions[i] && (cpu < 0 || (unsigned)cpu == i)) {
                actions[i] = action;
                g->c_cpu = action == 's' ? i : g->c_cpu;
            }
        }
    }
    return !*p;
}

static void vcont(GdbServer *g, const char *p)
{
    unsigned n = machine_ncpus(g->machine);
    g_autofree char *actions = g_malloc0(n + 1);

    if (!parse_actions(g, p, actions, n)) {
        gdb_reply_error(g, EINVAL);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        set_action(g, machine_cpu(g->machine, i), actions[i]);
    }
    gdb_resume(g);
}

static void detach(GdbServer *g)
{
    Error *err = NULL;

    gdb_clear_stops(g);
    if (g->machine->accel && g->machine->accel->break_clear) {
        vcpu_pause_all(g->machine);
        g->machine->accel->break_clear(g->machine);
        vcpu_resume_all(g->machine);
    }
    g->running = false;
    gdb_reply(g, "OK");
    if (!system_continue(g->system, &err)) {
        error_free(err);
    }
}

static void kill_machine(GdbServer *g)
{
    system_print_info(g->system, "QEMU: Terminated via GDBstub");
    system_quit(g->system, CAUSE_HOST_QUIT);
}

bool gdb_resume_packet(GdbServer *g, const char *p)
{
    if (p[0] == 'c' || p[0] == 's') {
        optional_address(g, p + 1);
        simple(g, p[0]);
    } else if (p[0] == 'C' || p[0] == 'S') {
        simple(g, (char)g_ascii_tolower(p[0]));
    } else if (g_str_has_prefix(p, "vCont;")) {
        vcont(g, p + 5);
    } else if (p[0] == 'D') {
        detach(g);
    } else if (g_str_has_prefix(p, "vKill;")) {
        gdb_reply(g, "OK");
        kill_machine(g);
    } else if (p[0] == 'k') {
        kill_machine(g);
    } else {
        return false;
    }
    return true;
}
