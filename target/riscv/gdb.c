/* SPDX-License-Identifier: MIT */
/* Registers by the debugger's numbers: x0-x31, pc, f0-f31, then CSRs from 65 on, and the privilege level. */
#include "target/riscv/cpu.h"

#include <string.h>

enum { GDB_PC = 32, GDB_F0 = 33, GDB_CSR = 65, GDB_PRIV = 65 + 4096 };

static const char target_xml[] =
    "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target><architecture>riscv:rv64</architecture>"
    "<xi:include href=\"riscv-64bit-cpu.xml\"/><xi:include href=\"riscv-64bit-fpu.xml\"/><xi:include href=\"riscv-csr.xml\"/>"
    "<xi:include href=\"riscv-64bit-virtual.xml\"/></target>";

#define HEAD "<?xml version=\"1.0\"?><!DOCTYPE feature SYSTEM \"gdb-target.dtd\"><feature name=\"org.gnu.gdb.riscv."
#define XR(name, type) "<reg name=\"" name "\" bitsize=\"64\" type=\"" type "\"/>"
#define I(name) XR(name, "int")
static const char cpu_xml[] = HEAD "cpu\">"
    I("zero") XR("ra", "code_ptr") XR("sp", "data_ptr") XR("gp", "data_ptr") XR("tp", "data_ptr") I("t0") I("t1") I("t2") XR("fp", "data_ptr") I("s1")
    I("a0") I("a1") I("a2") I("a3") I("a4") I("a5") I("a6") I("a7") I("s2") I("s3") I("s4") I("s5") I("s6") I("s7") I("s8") I("s9") I("s10") I("s11")
    I("t3") I("t4") I("t5") I("t6") XR("pc", "code_ptr") "</feature>";

#define FR(name) "<reg name=\"" name "\" bitsize=\"64\" type=\"riscv_double\" regnum=\"33\"/>"
#define FN(name) "<reg name=\"" name "\" bitsize=\"64\" type=\"riscv_double\"/>"
static const char fpu_xml[] = HEAD "fpu\">"
    "<union id=\"riscv_double\"><field name=\"float\" type=\"ieee_single\"/><field name=\"double\" type=\"ieee_double\"/></union>"
    FR("ft0") FN("ft1") FN("ft2") FN("ft3") FN("ft4") FN("ft5") FN("ft6") FN("ft7") FN("fs0") FN("fs1") FN("fa0") FN("fa1") FN("fa2") FN("fa3") FN("fa4") FN("fa5")
    FN("fa6") FN("fa7") FN("fs2") FN("fs3") FN("fs4") FN("fs5") FN("fs6") FN("fs7") FN("fs8") FN("fs9") FN("fs10") FN("fs11") FN("ft8") FN("ft9") FN("ft10") FN("ft11")
    "<reg name=\"fflags\" bitsize=\"32\" type=\"int\" regnum=\"66\"/><reg name=\"frm\" bitsize=\"32\" type=\"int\" regnum=\"67\"/>"
    "<reg name=\"fcsr\" bitsize=\"32\" type=\"int\" regnum=\"68\"/></feature>";

static const char virtual_xml[] = HEAD "virtual\"><reg name=\"priv\" bitsize=\"64\" regnum=\"4161\"/></feature>";

/* Made from the table when it is asked for the first time. */
static const char *csr_xml(RvCpu *c)
{
    GString *s;

    if (c->gdb_csrs) {
        return c->gdb_csrs;
    }
    s = g_string_new(HEAD "csr\">");
    for (unsigned i = 0; i < CSR_COUNT; i++) {
        if (!(rv_csrs[i].flags & RV_CSR_FP) && rv_has(c, rv_csrs[i].feature)) {
            g_string_append_printf(s, "<reg name=\"%s\" bitsize=\"64\" regnum=\"%u\"/>", rv_csrs[i].name, GDB_CSR + rv_csrs[i].number);
        }
    }
    return c->gdb_csrs = g_string_free(g_string_append(s, "</feature>"), FALSE);
}

const char *rv_gdb_xml(Cpu *cpu, const char *annex)
{
    return !strcmp(annex, "target.xml") ? target_xml : !strcmp(annex, "riscv-64bit-cpu.xml") ? cpu_xml : !strcmp(annex, "riscv-64bit-fpu.xml") ? fpu_xml :
        !strcmp(annex, "riscv-csr.xml") ? csr_xml(rv_cpu(cpu)) : !strcmp(annex, "riscv-64bit-virtual.xml") ? virtual_xml : NULL;
}

static unsigned csr_size(unsigned number)
{
    return number >= 1 && number <= 3 ? 4 : 8;
}

unsigned rv_gdb_read(Cpu *cpu, unsigned reg, uint8_t *buf)
{
    RvCpu *c = rv_cpu(cpu);
    uint64_t v = 0;
    unsigned size = 8;

    if (reg < GDB_PC) {
        v = c->x[reg];
    } else if (reg == GDB_PC) {
        v = c->env.pc;
    } else if (reg < GDB_CSR) {
        v = c->f[reg - GDB_F0];
    } else if (reg == GDB_PRIV) {
        v = c->priv;
    } else if (reg < GDB_PRIV && rv_csr_access(c, reg - GDB_CSR, &v, NULL, true)) {
        size = csr_size(reg - GDB_CSR);
    } else {
        return 0;
    }
    memcpy(buf, &v, size);
    return size;
}

unsigned rv_gdb_write(Cpu *cpu, unsigned reg, const uint8_t *buf)
{
    RvCpu *c = rv_cpu(cpu);
    uint64_t v = 0;
    unsigned size = reg >= GDB_CSR && reg < GDB_PRIV ? csr_size(reg - GDB_CSR) : 8;

    memcpy(&v, buf, size);
    if (reg < GDB_PC) {
        c->x[reg] = reg ? v : 0;
    } else if (reg == GDB_PC) {
        c->env.pc = v;
        c->cross = 0;
    } else if (reg < GDB_CSR) {
        c->f[reg - GDB_F0] = v;
    } else if (reg == GDB_PRIV) {
        c->priv = (v & 3) == 2 ? (uint32_t)PRIV_S : (uint32_t)(v & 3);
    } else if (reg > GDB_PRIV || !rv_csr_access(c, reg - GDB_CSR, NULL, &v, true)) {
        return 0;
    }
    rv_mode_changed(c);
    return size;
}
