/* SPDX-License-Identifier: MIT */
#include "target/arm/gdb.h"

#include <string.h>

enum { GDB_SP = 31, GDB_PC = 32, GDB_CPSR = 33, GDB_V0 = 34, GDB_FPSR = 66, GDB_FPCR = 67, GDB_PAUTH_DMASK = 68, GDB_PAUTH_CMASK = 69 };

#define TARGET_XML(more) \
    "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target><architecture>aarch64</architecture>" \
    "<xi:include href=\"aarch64-core.xml\"/><xi:include href=\"aarch64-fpu.xml\"/>" more "</target>"
static const char target_xml[] = TARGET_XML(""), target_pauth_xml[] = TARGET_XML("<xi:include href=\"aarch64-pauth.xml\"/>");

#define XR(n) "<reg name=\"x" #n "\" bitsize=\"64\"/>"
static const char core_xml[] =
    "<?xml version=\"1.0\"?><!DOCTYPE feature SYSTEM \"gdb-target.dtd\"><feature name=\"org.gnu.gdb.aarch64.core\">"
    XR(0) XR(1) XR(2) XR(3) XR(4) XR(5) XR(6) XR(7) XR(8) XR(9) XR(10) XR(11) XR(12) XR(13) XR(14) XR(15)
    XR(16) XR(17) XR(18) XR(19) XR(20) XR(21) XR(22) XR(23) XR(24) XR(25) XR(26) XR(27) XR(28) XR(29) XR(30)
    "<reg name=\"sp\" bitsize=\"64\" type=\"data_ptr\"/><reg name=\"pc\" bitsize=\"64\" type=\"code_ptr\"/>"
    "<flags id=\"cpsr_flags\" size=\"4\"><field name=\"SP\" start=\"0\" end=\"0\"/><field name=\"EL\" start=\"2\" end=\"3\"/>"
    "<field name=\"F\" start=\"6\" end=\"6\"/><field name=\"I\" start=\"7\" end=\"7\"/><field name=\"A\" start=\"8\" end=\"8\"/>"
    "<field name=\"D\" start=\"9\" end=\"9\"/><field name=\"V\" start=\"28\" end=\"28\"/><field name=\"C\" start=\"29\" end=\"29\"/>"
    "<field name=\"Z\" start=\"30\" end=\"30\"/><field name=\"N\" start=\"31\" end=\"31\"/></flags>"
    "<reg name=\"cpsr\" bitsize=\"32\" type=\"cpsr_flags\"/></feature>";

#define VR(n) "<reg name=\"v" #n "\" bitsize=\"128\" type=\"aarch64v\"/>"
static const char fpu_xml[] =
    "<?xml version=\"1.0\"?><!DOCTYPE feature SYSTEM \"gdb-target.dtd\"><feature name=\"org.gnu.gdb.aarch64.fpu\">"
    "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/><vector id=\"v2u\" type=\"uint64\" count=\"2\"/>"
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v4u\" type=\"uint32\" count=\"4\"/>"
    "<vector id=\"v8u\" type=\"uint16\" count=\"8\"/><vector id=\"v16u\" type=\"uint8\" count=\"16\"/><vector id=\"v1u\" type=\"uint128\" count=\"1\"/>"
    "<union id=\"aarch64v\"><field name=\"d\" type=\"v2d\"/><field name=\"u64\" type=\"v2u\"/><field name=\"f\" type=\"v4f\"/>"
    "<field name=\"s\" type=\"v4u\"/><field name=\"h\" type=\"v8u\"/><field name=\"b\" type=\"v16u\"/><field name=\"q\" type=\"v1u\"/></union>"
    VR(0) VR(1) VR(2) VR(3) VR(4) VR(5) VR(6) VR(7) VR(8) VR(9) VR(10) VR(11) VR(12) VR(13) VR(14) VR(15)
    VR(16) VR(17) VR(18) VR(19) VR(20) VR(21) VR(22) VR(23) VR(24) VR(25) VR(26) VR(27) VR(28) VR(29) VR(30) VR(31)
    "<reg name=\"fpsr\" bitsize=\"32\"/><reg name=\"fpcr\" bitsize=\"32\"/></feature>";

/* Two registers and no others beside the known features: gdb 9 to 12 end at once when there are more. */
static const char pauth_xml[] =
    "<?xml version=\"1.0\"?><!DOCTYPE feature SYSTEM \"gdb-target.dtd\"><feature name=\"org.gnu.gdb.aarch64.pauth\">"
    "<reg name=\"pauth_dmask\" bitsize=\"64\"/><reg name=\"pauth_cmask\" bitsize=\"64\"/></feature>";

const char *a64_gdb_xml(Cpu *cpu, const char *annex)
{
    bool pauth = a64_has(a64_cpu(cpu), A64_FEAT_pauth);

    return !strcmp(annex, "target.xml") ? (pauth ? target_pauth_xml : target_xml) : !strcmp(annex, "aarch64-core.xml") ? core_xml :
        !strcmp(annex, "aarch64-fpu.xml") ? fpu_xml : pauth && !strcmp(annex, "aarch64-pauth.xml") ? pauth_xml : NULL;
}

/* Bits of a signed pointer that are its code, in the half of the address space where the program is: return addresses on its stack are there too. */
static uint64_t pauth_mask(const A64Cpu *c, bool data)
{
    return c->pac[data][c->env.pc >> 55 & 1].mask;
}

static unsigned put(uint8_t *buf, uint64_t v, unsigned size)
{
    memcpy(buf, &v, size);          /* little-endian hosts only, as everywhere */
    return size;
}

unsigned a64_gdb_read(Cpu *cpu, unsigned reg, uint8_t *buf)
{
    A64Cpu *c = a64_cpu(cpu);

    if (reg < GDB_SP) {
        return put(buf, c->x[reg], 8);
    }
    if (reg >= GDB_V0 && reg < GDB_FPSR) {
        memcpy(buf, c->vreg[reg - GDB_V0], 16);
        return 16;
    }
    switch (reg) {
    case GDB_SP:
        return put(buf, c->sp, 8);
    case GDB_PC:
        return put(buf, c->env.pc, 8);
    case GDB_CPSR:
        return put(buf, a64_pstate(c), 4);
    case GDB_FPSR:
        return put(buf, a64_fpsr_get(c), 4);
    case GDB_FPCR:
        return put(buf, c->fpcr, 4);
    case GDB_PAUTH_DMASK:
    case GDB_PAUTH_CMASK:
        return a64_has(c, A64_FEAT_pauth) ? put(buf, pauth_mask(c, reg == GDB_PAUTH_DMASK), 8) : 0;
    default:
        return 0;
    }
}

unsigned a64_gdb_write(Cpu *cpu, unsigned reg, const uint8_t *buf)
{
    A64Cpu *c = a64_cpu(cpu);
    uint64_t v;
    uint32_t w;

    memcpy(&w, buf, 4);
    if (reg >= GDB_V0 && reg < GDB_FPSR) {
        memcpy(c->vreg[reg - GDB_V0], buf, 16);
        return 16;
    }
    if (reg <= GDB_PC) {
        memcpy(&v, buf, 8);
        *(reg < GDB_SP ? &c->x[reg] : reg == GDB_SP ? &c->sp : &c->env.pc) = v;
        return 8;
    }
    switch (reg) {
    case GDB_CPSR:
        a64_pstate_set(c, w);
        return 4;
    case GDB_FPSR:
        a64_fpsr_set(c, w);
        return 4;
    case GDB_FPCR:
        a64_fpcr_set(c, w);
        return 4;
    case GDB_PAUTH_DMASK:           /* follow from TCR_EL1: a write is let fall, so that a client that writes all registers goes on */
    case GDB_PAUTH_CMASK:
        return a64_has(c, A64_FEAT_pauth) ? 8 : 0;
    default:
        return 0;
    }
}
