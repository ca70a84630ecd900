/* SPDX-License-Identifier: MIT */
/* Packets for registers, memory and breakpoints.  The vCPUs are parked meanwhile. */
#include "system/gdb/gdb-priv.h"

#include <errno.h>
#include <string.h>

#include "system/debug-mem.h"

enum { REG_MAX = 256, CHUNK = GDB_PACKET_MAX / 2 };

static void changed(GdbServer *g, Cpu *cpu)
{
    if (g->machine->accel && g->machine->accel->state_changed) {
        g->machine->accel->state_changed(cpu);
    }
}

static void read_all_registers(GdbServer *g, Cpu *cpu)
{
    g_autoptr(GString) out = g_string_new(NULL);
    uint8_t buf[REG_MAX];

    for (unsigned r = 0; r < cpu->ops->gdb_core_regs; r++) {
        gdb_hex_encode(out, buf, cpu->ops->gdb_read(cpu, r, buf));
    }
    gdb_reply(g, out->str);
}

static void write_all_registers(GdbServer *g, Cpu *cpu, const char *hex)
{
    uint8_t buf[CHUNK], old[REG_MAX];
    size_t len = gdb_hex_decode(hex, buf, sizeof(buf)), at = 0;

    for (unsigned r = 0; r < cpu->ops->gdb_core_regs; r++) {
        unsigned size = cpu->ops->gdb_read(cpu, r, old);

        if (at + size > len) {
            break;
        }
        cpu->ops->gdb_write(cpu, r, buf + at);
        at += size;
    }
    changed(g, cpu);
    gdb_reply(g, "OK");
}

static void read_register(GdbServer *g, Cpu *cpu, const char *p)
{
    g_autoptr(GString) out = g_string_new(NULL);
    uint8_t buf[REG_MAX];
    uint64_t r;
    unsigned size;

    if (!gdb_parse_hex(&p, &r) || r > UINT32_MAX || !(size = cpu->ops->gdb_read(cpu, (unsigned)r, buf))) {
        gdb_reply_error(g, 14);
        return;
    }
    gdb_hex_encode(out, buf, size);
    gdb_reply(g, out->str);
}

static void write_register(GdbServer *g, Cpu *cpu, const char *p)
{
    uint8_t buf[REG_MAX] = { 0 }, old[REG_MAX];
    uint64_t r;
    unsigned size;

    if (!gdb_parse_hex(&p, &r) || *p++ != '=' || r > UINT32_MAX || !(size = cpu->ops->gdb_read(cpu, (unsigned)r, old)) ||
        gdb_hex_decode(p, buf, sizeof(buf)) < size) {
        gdb_reply_error(g, EINVAL);
        return;
    }
    cpu->ops->gdb_write(cpu, (unsigned)r, buf);
    changed(g, cpu);
    gdb_reply(g, "OK");
}

static uint64_t access_memory(GdbServer *g, Cpu *cpu, uint64_t addr, uint8_t *buf, uint64_t len, bool write)
{
    if (!g->physical) {
        return write ? debug_mem_write(cpu, addr, buf, len) : debug_mem_read(cpu, addr, buf, len);
    }
    return (write ? debug_phys_write(cpu->as, addr, buf, len) : debug_phys_read(cpu->as, addr, buf, len)) ? len : 0;
}

static void read_memory(GdbServer *g, Cpu *cpu, const char *p)
{
    g_autoptr(GString) out = g_string_new(NULL);
    uint8_t buf[CHUNK];
    uint64_t addr, len;

    if (!gdb_parse_hex(&p, &addr) || *p++ != ',' || !gdb_parse_hex(&p, &len) || len > sizeof(buf)) {
        gdb_reply_error(g, EINVAL);
    } else if (access_memory(g, cpu, addr, buf, len, false) < len) {
        gdb_reply_error(g, 14);
    } else {
        gdb_hex_encode(out, buf, len);
        gdb_reply(g, out->str);
    }
}

static void write_memory(GdbServer *g, Cpu *cpu, const char *p)
{
    uint8_t buf[CHUNK];
    uint64_t addr, len;

    if (!gdb_parse_hex(&p, &addr) || *p++ != ',' || !gdb_parse_hex(&p, &len) || *p++ != ':' || len > sizeof(buf) ||
        gdb_hex_decode(p, buf, sizeof(buf)) < len) {
        gdb_reply_error(g, EINVAL);
    } else if (access_memory(g, cpu, addr, buf, len, true) < len) {
        gdb_reply_error(g, 14);
    } else {
        gdb_reply(g, "OK");
    }
}

/* Z and z: kind,address,length */
static void breakpoint(GdbServer *g, bool insert, const char *p)
{
    const AccelType *a = g->machine->accel;
    uint64_t kind, addr, len;

    if (!gdb_parse_hex(&p, &kind) || *p++ != ',' || !gdb_parse_hex(&p, &addr) || *p++ != ',' || !gdb_parse_hex(&p, &len)) {
        gdb_reply_error(g, EINVAL);
    } else if (kind > 4 || !a || !a->break_insert) {
        gdb_reply(g, "");
    } else if (insert ? a->break_insert(g->machine, (int)kind, addr, len, NULL) : a->break_remove(g->machine, (int)kind, addr, len)) {
        gdb_reply(g, "OK");
    } else {
        gdb_reply_error(g, EINVAL);
    }
}

static bool answer(GdbServer *g, Cpu *cpu, const char *p)
{
    switch (p[0]) {
    case 'g':
        read_all_registers(g, cpu);
        return true;
    case 'G':
        write_all_registers(g, cpu, p + 1);
        return true;
    case 'p':
        read_register(g, cpu, p + 1);
        return true;
    case 'P':
        write_register(g, cpu, p + 1);
        return true;
    case 'm':
        read_memory(g, cpu, p + 1);
        return true;
    case 'M':
        write_memory(g, cpu, p + 1);
        return true;
    case 'z':
    case 'Z':
        breakpoint(g, p[0] == 'Z', p + 1);
        return true;
    default:
        return false;
    }
}

bool gdb_state_packet(GdbServer *g, const char *p)
{
    Cpu *cpu = gdb_cpu(g, g->g_cpu);
    bool mine;

    if (!strchr("gGpPmMzZ", p[0]) || !p[0]) {
        return false;
    }
    if (!cpu || !cpu->ops->gdb_read) {
        gdb_reply_error(g, 14);
        return true;
    }
    vcpu_pause_all(g->machine);
    mine = answer(g, cpu, p);
    vcpu_resume_all(g->machine);
    return mine;
}
