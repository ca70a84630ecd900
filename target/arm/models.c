/* SPDX-License-Identifier: MIT */
/*
 * CPU models.  The values are those of the processors' technical reference manuals (A53: DDI 0500,
 * A55: 100442, A57: DDI 0488, A72: 100095, A76: 100798, Neoverse N1: 100616), less what this emulator does
 * not have: AArch32, EL2, EL3, statistical profiling, activity monitors, and with DIC and IDC set in
 * CTR_EL0, because caches are coherent here.
 */
#include "target/arm/models.h"

/* fields of registers that several models share */
#define PFR0_EL01      0x11ull                              /* EL1 and EL0: AArch64 only */
#define DFR0_V8        (6 | 5ull << 12 | 3ull << 20 | 1ull << 28)       /* debug architecture 8; 6 breakpoints, 4 watchpoints, 2 contexts */
#define DFR0_PMUV3     (1ull << 8)
#define ISAR0_CRYPTO   (2ull << 4 | 1ull << 8 | 1ull << 12)
#define ISAR0_CRC      (1ull << 16)
#define ISAR0_LSE_RDM  (2ull << 20 | 1ull << 28)
#define ISAR0_DP       (1ull << 44)
#define ISAR1_DPB_RCPC (1ull | 1ull << 20)
#define MMFR0_A57      0x1124ull                            /* 44-bit addresses, 16-bit ASID, 4 and 64 KiB granules */
#define CTR(dic_idc)   (0x8444c004ull | (dic_idc) << 28)    /* 64-byte lines, PIPT */
#define CLIDR_2        0x0a200023ull

static const A64Model model_a53 = {
    .name = "cortex-a53", .compatible = "arm,cortex-a53", .midr = 0x410fd034, .ctr = CTR(3), .clidr = CLIDR_2,
    .pfr0 = PFR0_EL01, .dfr0 = DFR0_V8 | DFR0_PMUV3, .isar0 = ISAR0_CRYPTO | ISAR0_CRC, .mmfr0 = 0x1122,
};
static const A64Model model_a57 = {
    .name = "cortex-a57", .compatible = "arm,cortex-a57", .midr = 0x411fd070, .ctr = CTR(3), .clidr = CLIDR_2,
    .pfr0 = PFR0_EL01, .dfr0 = DFR0_V8 | DFR0_PMUV3, .isar0 = ISAR0_CRYPTO | ISAR0_CRC, .mmfr0 = MMFR0_A57,
};
static const A64Model model_a72 = {
    .name = "cortex-a72", .compatible = "arm,cortex-a72", .midr = 0x410fd083, .ctr = CTR(3), .clidr = CLIDR_2,
    .pfr0 = PFR0_EL01, .dfr0 = DFR0_V8 | DFR0_PMUV3, .isar0 = ISAR0_CRYPTO | ISAR0_CRC, .mmfr0 = MMFR0_A57,
};
/* Armv8.2: FP16, dot product, LSE, RDM, RCPC, DPB, PAN2, UAO, HAFDBS, HPDS, LOR, XNX, TTCNP, RAS */
#define PFR0_V82       (PFR0_EL01 | 1ull << 16 | 1ull << 20 | 1ull << 28)
#define ISAR0_V82      (ISAR0_CRYPTO | ISAR0_CRC | ISAR0_LSE_RDM | ISAR0_DP)
#define MMFR0_V82(pa)  ((pa) | 2ull << 4 | 1ull << 20)      /* all three granules, 16-bit ASID */
#define MMFR1_V82      (2ull | 1ull << 12 | 1ull << 16 | 2ull << 20 | 1ull << 28)
#define MMFR2_V82      (1ull | 1ull << 4)
static const A64Model model_a55 = {
    .name = "cortex-a55", .compatible = "arm,cortex-a55", .midr = 0x412fd050, .ctr = CTR(3), .clidr = CLIDR_2,
    .pfr0 = PFR0_V82, .dfr0 = DFR0_V8 | DFR0_PMUV3, .isar0 = ISAR0_V82, .isar1 = ISAR1_DPB_RCPC, .mmfr0 = MMFR0_V82(2), .mmfr1 = MMFR1_V82, .mmfr2 = MMFR2_V82,
};
static const A64Model model_a76 = {
    .name = "cortex-a76", .compatible = "arm,cortex-a76", .midr = 0x414fd0b1, .ctr = CTR(3), .clidr = CLIDR_2,
    .pfr0 = PFR0_V82 | 1ull << 56 | 1ull << 60, .pfr1 = 1ull << 4, .dfr0 = DFR0_V8 | DFR0_PMUV3, .isar0 = ISAR0_V82, .isar1 = ISAR1_DPB_RCPC,
    .mmfr0 = MMFR0_V82(2), .mmfr1 = MMFR1_V82, .mmfr2 = MMFR2_V82,
};
static const A64Model model_n1 = {
    .name = "neoverse-n1", .compatible = "arm,neoverse-n1", .midr = 0x414fd0c1, .ctr = CTR(3), .clidr = CLIDR_2,
    .pfr0 = PFR0_V82 | 1ull << 56 | 1ull << 60, .pfr1 = 2ull << 4, .dfr0 = DFR0_V8 | DFR0_PMUV3, .isar0 = ISAR0_V82, .isar1 = ISAR1_DPB_RCPC,
    .mmfr0 = MMFR0_V82(5), .mmfr1 = MMFR1_V82, .mmfr2 = MMFR2_V82,
};
/* Everything that there is. */
static const A64Model model_max = {
    .name = "max", .compatible = "arm,armv8", .configurable = true, .midr = 0x000f0510, .ctr = CTR(3), .clidr = CLIDR_2,
    .pfr0 = PFR0_EL01 | 1ull << 16 | 1ull << 20 | 1ull << 28 | 1ull << 48 | 3ull << 56 | 1ull << 60,    /* FP16, RAS, DIT, CSV2_3, CSV3 */
    .pfr1 = 1 | 2ull << 4,                                                                  /* BTI, SSBS2 */
    .dfr0 = DFR0_V8 | DFR0_PMUV3,
    .isar0 = 2ull << 4 | 1ull << 8 | 2ull << 12 | ISAR0_CRC | ISAR0_LSE_RDM | 1ull << 32 | 1ull << 36 | 1ull << 40 | ISAR0_DP | 1ull << 48 | 2ull << 52 |
             2ull << 56 | 1ull << 60,   /* AES PMULL, SHA1, SHA512, CRC, LSE, RDM, SHA3, SM3, SM4, DotProd, FHM, FlagM2, TLBIRANGE, RNG */
    .isar1 = 2 | 1ull << 4 | 1ull << 12 | 1ull << 16 | 2ull << 20 | 1ull << 24 | 1ull << 32 | 1ull << 36 | 1ull << 40 | 1ull << 44 | 1ull << 48 | 1ull << 52,
        /* DPB2, PAuth (QARMA5), JSCVT, FCMA, LRCPC2, generic codes, FRINTTS, SB, SPECRES, BF16, DGH, I8MM */
    .mmfr0 = MMFR0_V82(6),                                                                  /* 52-bit addresses with 64 KiB pages */
    .mmfr1 = MMFR1_V82,
    .mmfr2 = MMFR2_V82 | 1ull << 16 | 1ull << 28 | 1ull << 32 | 1ull << 36 | 1ull << 48 | 2ull << 52 | 1ull << 60,     /* LVA, TTST, LSE2, IDST, TTL, BBM, E0PD */
};

enum { IMPDEF_FIELDS = 8 };

static void set_field(uint64_t *reg, unsigned shift, uint64_t val)
{
    *reg = (*reg & ~(0xfull << shift)) | val << shift;
}

static bool refuse_on(uint32_t on, const char *name, Error **errp)
{
    return !on || error_set(errp, "property '%s': not implemented in this emulator, it can only be off", name);
}

/* Properties that switch a feature of `max`. */
static bool apply_properties(A64Cpu *c, Error **errp)
{
    uint64_t *isar1 = &c->sys[SR_ID_AA64ISAR1_EL1];

    if (!refuse_on(c->sve, "sve", errp) || !refuse_on(c->sme, "sme", errp) ||
        !refuse_on(c->pauth_qarma3, "pauth-qarma3", errp) || !refuse_on(c->has_el2, "has_el2", errp) || !refuse_on(c->has_el3, "has_el3", errp) ||
        !refuse_on(c->mte, "mte", errp) || !refuse_on(c->cfgend, "cfgend", errp) || !refuse_on(c->reset_hivecs, "reset-hivecs", errp) ||
        !refuse_on(c->sve_max_vq, "sve-max-vq", errp)) {
        return false;
    }
    if (!c->aarch64) {
        return error_set(errp, "property 'aarch64': AArch32 is not implemented, it can only be on");
    }
    if (c->pauth_qarma5 && (c->pauth_impdef || !c->pauth)) {
        return error_set(errp, "property 'pauth-qarma5': not together with pauth-impdef=on or pauth=off");
    }
    if (c->midr) {
        c->sys[SR_MIDR_EL1] = c->midr;
    }
    if (!c->pmu_on) {
        set_field(&c->sys[SR_ID_AA64DFR0_EL1], 8, 0);
    }
    if (!c->model->configurable) {
        return true;
    }
    if (c->lpa2) {
        set_field(&c->sys[SR_ID_AA64MMFR0_EL1], 28, 1);
        set_field(&c->sys[SR_ID_AA64MMFR0_EL1], 20, 2);
    }
    if (!c->pauth) {
        set_field(isar1, 4, 0);
        set_field(isar1, 24, 0);
    } else if (c->pauth_impdef) {
        set_field(isar1, 4, 0);
        set_field(isar1, 8, 1);
        set_field(isar1, 24, 0);
        set_field(isar1, 28, 1);
    }
    return true;
}

void a64_features_update(A64Cpu *c)
{
#define FEAT(name, reg, shift, width, least, manual) \
    { SR_##reg, shift, width, least },
    static const struct { uint16_t reg; uint8_t shift, width, least; } rows[] = {
#include "target/arm/features.def"
    };
#undef FEAT

    memset(c->features, 0, sizeof(c->features));
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        unsigned v = c->sys[rows[i].reg] >> rows[i].shift & ((1u << rows[i].width) - 1);

        if (v >= rows[i].least && !(v == 15 && (i == A64_FEAT_fp || i == A64_FEAT_fp16 || i == A64_FEAT_lpa2 || i == A64_FEAT_doublelock || i == A64_FEAT_pmu))) {
            c->features[i / 64] |= 1ull << (i % 64);
        }
    }
    if (a64_has(c, A64_FEAT_pauth_apa) || a64_has(c, A64_FEAT_pauth_api)) {
        c->features[A64_FEAT_pauth / 64] |= 1ull << (A64_FEAT_pauth % 64);
    }
}

static bool model_init(Cpu *cpu, Error **errp)
{
    A64Cpu *c = a64_cpu(cpu);
    const A64Model *m = cpu->type->model;

    (void)errp;
    c->model = m;
    c->sys[SR_MIDR_EL1] = m->midr;
    c->sys[SR_REVIDR_EL1] = m->revidr;
    c->sys[SR_CTR_EL0] = m->ctr;
    c->sys[SR_CLIDR_EL1] = m->clidr;
    c->sys[SR_ID_AA64PFR0_EL1] = m->pfr0;
    c->sys[SR_ID_AA64PFR1_EL1] = m->pfr1;
    c->sys[SR_ID_AA64DFR0_EL1] = m->dfr0;
    c->sys[SR_ID_AA64ISAR0_EL1] = m->isar0;
    c->sys[SR_ID_AA64ISAR1_EL1] = m->isar1;
    c->sys[SR_ID_AA64MMFR0_EL1] = m->mmfr0;
    c->sys[SR_ID_AA64MMFR1_EL1] = m->mmfr1;
    c->sys[SR_ID_AA64MMFR2_EL1] = m->mmfr2;
    c->sys[SR_PMCEID0_EL0] = a64_pmu_events;
    return true;
}

static bool model_realize(Cpu *cpu, Error **errp)
{
    A64Cpu *c = a64_cpu(cpu);

    if (!apply_properties(c, errp)) {
        return false;
    }
    c->sys[SR_MPIDR_EL1] = 1ull << 31 | c->mp_affinity;
    c->sys[SR_CNTFRQ_EL0] = c->cntfrq;
    c->sys[SR_RVBAR_EL1] = c->rvbar;
    a64_features_update(c);
    a64_timer_init(c);
    return true;
}

static void model_finalize(Cpu *cpu)
{
    A64Cpu *c = a64_cpu(cpu);

    if (c->timer[0].clock) {
        a64_timer_fini(c);
    }
}

static const char *const conduits[] = { "none", "hvc", "smc", NULL };

#define COMMON_PROPS \
    PROP_U64("mp-affinity", A64Cpu, mp_affinity, 0, .help = "affinity fields of MPIDR_EL1"), \
    PROP_U64("cntfrq", A64Cpu, cntfrq, 62500000, .min = 1, .max = 1000000000, .help = "frequency of the generic timer"), \
    PROP_U64("rvbar", A64Cpu, rvbar, 0, .help = "address of the first instruction after reset"), \
    PROP_ENUM("psci-conduit", A64Cpu, psci_conduit, 0, conduits, .help = "instruction by which the board answers PSCI calls"), \
    PROP_BOOL("start-powered-off", A64Cpu, cpu.start_off, false, .help = "off until PSCI turns it on"), \
    PROP_U64("midr", A64Cpu, midr, 0, .help = "MIDR_EL1 when it is not the model's"), \
    PROP_BOOL("has_el2", A64Cpu, has_el2, false), \
    PROP_BOOL("has_el3", A64Cpu, has_el3, false), \
    PROP_BOOL("cfgend", A64Cpu, cfgend, false), \
    PROP_BOOL("reset-hivecs", A64Cpu, reset_hivecs, false), \
    PROP_BOOL("aarch64", A64Cpu, aarch64, true, .help = "AArch64 state"), \
    PROP_BOOL("pmu", A64Cpu, pmu_on, true, .help = "performance monitors")

static const Prop props[] = { COMMON_PROPS, {} };
/* Each vector length asks for the extension. */
#define SVE(bits) PROP_BOOL("sve" #bits, A64Cpu, sve, false)
#define SME(bits) PROP_BOOL("sme" #bits, A64Cpu, sme, false)
static const Prop max_props[] = {
    COMMON_PROPS,
    PROP_BOOL("pauth", A64Cpu, pauth, true, .help = "pointer authentication"),
    PROP_BOOL("pauth-impdef", A64Cpu, pauth_impdef, false, .help = "with a fast algorithm of our own"),
    PROP_BOOL("pauth-qarma3", A64Cpu, pauth_qarma3, false),
    PROP_BOOL("pauth-qarma5", A64Cpu, pauth_qarma5, false, .help = "with QARMA5, as without any of these"),
    PROP_BOOL("lpa2", A64Cpu, lpa2, false, .help = "52-bit addresses with 4 and 16 KiB pages"),
    PROP_BOOL("sve", A64Cpu, sve, false), SVE(128), SVE(256), SVE(384), SVE(512), SVE(640), SVE(768), SVE(896), SVE(1024),
    SVE(1152), SVE(1280), SVE(1408), SVE(1536), SVE(1664), SVE(1792), SVE(1920), SVE(2048),
    PROP_U32("sve-max-vq", A64Cpu, sve_max_vq, 0),
    PROP_BOOL("sme", A64Cpu, sme, false), SME(128), SME(256), SME(512), SME(1024), SME(2048), PROP_BOOL("sme_fa64", A64Cpu, sme, false),
    PROP_BOOL("mte", A64Cpu, mte, false),
    {}
};

#define MODEL(id, name_, props_, desc_) \
static const CpuType type_##id = { \
    .name = name_, .desc = desc_, .arch = "aarch64", .size = sizeof(A64Cpu), .ops = &a64_cpu_ops, .props = props_, .model = &model_##id, \
    .init = model_init, .realize = model_realize, .finalize = model_finalize, \
}; \
CPU_TYPE(type_##id)
MODEL(a53, "cortex-a53", props, "Arm Cortex-A53");
MODEL(a55, "cortex-a55", props, "Arm Cortex-A55");
MODEL(a57, "cortex-a57", props, "Arm Cortex-A57");
MODEL(a72, "cortex-a72", props, "Arm Cortex-A72");
MODEL(a76, "cortex-a76", props, "Arm Cortex-A76");
MODEL(n1, "neoverse-n1", props, "Arm Neoverse N1");
MODEL(max, "max", max_props, "all features of this emulator");

const char *arm_cpu_compatible(const Cpu *cpu)
{
    return ((const A64Model *)cpu->type->model)->compatible;
}
