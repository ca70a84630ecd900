/* SPDX-License-Identifier: MIT */
/* CPU models, their properties, and how extensions are named in device trees. */
#include "target/riscv/models.h"

static const RvModel model_rv64 = { .name = "rv64" };
static const RvModel model_max = { .name = "max", .all = true };

static bool refuse_on(bool on, const char *name, Error **errp)
{
    return !on || error_set(errp, "property '%s': not implemented in this emulator, it can only be off", name);
}

static bool refuse_off(bool on, const char *name, Error **errp)
{
    return on || error_set(errp, "property '%s': can only be on in this emulator", name);
}

/* What follows from what: volume I, each chapter's first paragraph. */
static bool check_extensions(const RvCpu *c, Error **errp)
{
    const bool *f = c->feature;

    if (f[RV_FEAT_d] && !f[RV_FEAT_f]) {
        return error_set(errp, "D extension requires F extension");
    }
    if (f[RV_FEAT_zawrs] && !f[RV_FEAT_a]) {
        return error_set(errp, "Zawrs extension requires A extension");
    }
    return refuse_on(c->h, "h", errp) && refuse_on(c->v, "v", errp) && refuse_on(c->smaia, "smaia", errp) && refuse_on(c->ssaia, "ssaia", errp) &&
           refuse_on(c->zfh, "zfh", errp) && refuse_on(c->zfa, "zfa", errp) && refuse_on(c->svade, "svade", errp) &&
           refuse_off(f[RV_FEAT_i], "i", errp) && refuse_off(f[RV_FEAT_c], "c", errp) && refuse_off(f[RV_FEAT_zicsr], "zicsr", errp) &&
           refuse_off(f[RV_FEAT_zifencei], "zifencei", errp) && refuse_off(c->zicntr, "zicntr", errp) && refuse_off(c->zihpm, "zihpm", errp);
}

static bool check_blocks(const RvCpu *c, Error **errp)
{
    if (c->cbom_blocksize != 64 || c->cboz_blocksize != 64) {
        return error_set(errp, "properties 'cbom_blocksize' and 'cboz_blocksize': cache blocks have 64 bytes in this emulator");
    }
    return true;
}

static bool model_init(Cpu *cpu, Error **errp)
{
    RvCpu *c = rv_cpu(cpu);

    (void)errp;
    c->model = cpu->type->model;
    for (unsigned i = 1; i < RV_FEAT_COUNT && c->model->all; i++) {
        c->feature[i] = true;
    }
    return true;
}

static bool model_realize(Cpu *cpu, Error **errp)
{
    RvCpu *c = rv_cpu(cpu);

    if (!check_extensions(c, errp) || !check_blocks(c, errp)) {
        return false;
    }
    for (unsigned i = 1; i < RV_FEAT_COUNT; i++) {
        c->features |= (uint64_t)c->feature[i] << i;
    }
    if (!c->sv39 && (c->sv48 || c->sv57)) {
        return error_set(errp, "property 'sv39': larger address spaces include it");
    }
    c->sv = c->sv57 ? 2 : c->sv48 ? 1 : 0;
    c->mmu = c->mmu && c->sv39;
    return true;
}

static void model_finalize(Cpu *cpu)
{
    g_free(rv_cpu(cpu)->gdb_csrs);
}

/* ---- how it is called ---- */

static const struct { const char *name; RvFeature feature; char letter; } names[] = {
#define FEAT(name, letter, text, on) { #name, RV_FEAT_##name, letter },
#include "target/riscv/features.def"
#undef FEAT
};

char *rv_cpu_isa(const Cpu *cpu)
{
    const RvCpu *c = (const RvCpu *)cpu;
    GString *s = g_string_new("rv64");

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!rv_has(c, names[i].feature)) {
            continue;
        }
        if (names[i].letter) {
            g_string_append_c(s, names[i].letter);
        } else {
            g_string_append_printf(s, "_%s", names[i].name);
        }
    }
    return g_string_free(s, FALSE);
}

bool rv_cpu_has(const Cpu *cpu, const char *extension)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(names[i].name, extension)) {
            return rv_has((const RvCpu *)cpu, names[i].feature);
        }
    }
    return false;
}

const char *rv_cpu_mmu_type(const Cpu *cpu)
{
    static const char *const types[] = { "riscv,sv39", "riscv,sv48", "riscv,sv57" };
    const RvCpu *c = (const RvCpu *)cpu;

    return c->mmu ? types[c->sv] : "riscv,none";
}

static const Prop props[] = {
    PROP_U64("hartid", RvCpu, hartid, 0, .help = "mhartid"),
    PROP_U64("resetvec", RvCpu, resetvec, 0x1000, .help = "address of the first instruction after reset"),
#define FEAT(name, letter, text, on) PROP_BOOL(#name, RvCpu, feature[RV_FEAT_##name], on, .help = text),
#include "target/riscv/features.def"
#undef FEAT
    PROP_BOOL("mmu", RvCpu, mmu, true, .help = "address translation"),
    PROP_BOOL("pmp", RvCpu, pmp_on, true, .help = "physical memory protection, 16 entries"),
    PROP_BOOL("sv39", RvCpu, sv39, true, .help = "39-bit addresses"),
    PROP_BOOL("sv48", RvCpu, sv48, true, .help = "48-bit addresses"),
    PROP_BOOL("sv57", RvCpu, sv57, true, .help = "57-bit addresses"),
    PROP_U32("cbom_blocksize", RvCpu, cbom_blocksize, 64),
    PROP_U32("cboz_blocksize", RvCpu, cboz_blocksize, 64),
    PROP_BOOL("zicntr", RvCpu, zicntr, true),
    PROP_BOOL("zihpm", RvCpu, zihpm, true),
    PROP_BOOL("h", RvCpu, h, false),
    PROP_BOOL("v", RvCpu, v, false),
    PROP_BOOL("smaia", RvCpu, smaia, false),
    PROP_BOOL("ssaia", RvCpu, ssaia, false),
    PROP_BOOL("zfh", RvCpu, zfh, false),
    PROP_BOOL("zfa", RvCpu, zfa, false),
    PROP_BOOL("svade", RvCpu, svade, false),
    {}
};

#define MODEL(id, name_, desc_) \
const CpuType rv_type_##id = { \
    .name = name_, .desc = desc_, .arch = "riscv64", .size = sizeof(RvCpu), .ops = &rv_cpu_ops, .props = props, .model = &model_##id, \
    .init = model_init, .realize = model_realize, .finalize = model_finalize, \
}; \
CPU_TYPE(rv_type_##id)
MODEL(rv64, "rv64", "RV64GC with bit manipulation and the usual extensions");
MODEL(max, "max", "all extensions of this emulator");
