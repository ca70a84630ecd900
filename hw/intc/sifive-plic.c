/* SPDX-License-Identifier: MIT */
#include "hw/intc/sifive-plic.h"

#include "hw/core/device.h"

enum { PRIORITY_END = 0x1000, PENDING = 0x1000, PENDING_END = 0x1080, ENABLE = 0x2000, ENABLE_STRIDE = 0x80, CONTEXT = 0x200000, CONTEXT_STRIDE = 0x1000 };
enum { WORDS = (PLIC_MAX_SOURCES + 1) / 32 };

typedef struct PlicContext { uint32_t enable[WORDS], threshold; } PlicContext;

typedef struct Plic {
    Device dev;
    uint32_t nsources, ncontexts, max_priority;
    uint64_t size;
    uint32_t priority[PLIC_MAX_SOURCES + 1];
    uint32_t level[WORDS], pending[WORDS], claimed[WORDS];
    PlicContext *context;
} Plic;

static Plic *plic(Device *dev)
{
    return (Plic *)dev;
}

static bool bit(const uint32_t *set, unsigned n)
{
    return set[n / 32] >> (n % 32) & 1;
}

static void put_bit(uint32_t *set, unsigned n, bool on)
{
    set[n / 32] = (set[n / 32] & ~(1u << n % 32)) | (uint32_t)on << n % 32;
}

/* The pending and enabled source of the highest priority above the threshold, the lowest number among equals; 0: none. */
static unsigned best(const Plic *s, const PlicContext *c)
{
    unsigned found = 0;
    uint32_t above = c->threshold;

    for (unsigned w = 0; w <= s->nsources / 32; w++) {
        for (uint32_t due = s->pending[w] & c->enable[w]; due; due &= due - 1) {
            unsigned n = w * 32 + (unsigned)__builtin_ctz(due);

            if (s->priority[n] > above) {
                above = s->priority[n];
                found = n;
            }
        }
    }
    return found;
}

static void update(Plic *s)
{
    for (unsigned i = 0; i < s->ncontexts; i++) {
        irq_set(&s->dev.irq[i], best(s, &s->context[i]) != 0);
    }
}

/* The gateway lets one request through until it is completed. */
static void gateway(Plic *s, unsigned n)
{
    if (bit(s->level, n) && !bit(s->claimed, n)) {
        put_bit(s->pending, n, true);
    }
}

static void source(void *opaque, int n, int level)
{
    Plic *s = opaque;

    device_lock(&s->dev);
    put_bit(s->level, (unsigned)n, level);
    gateway(s, (unsigned)n);
    update(s);
    device_unlock(&s->dev);
}

static uint32_t claim(Plic *s, PlicContext *c)
{
    unsigned n = best(s, c);

    if (n) {
        put_bit(s->pending, n, false);
        put_bit(s->claimed, n, true);
        update(s);
    }
    return n;
}

static void complete(Plic *s, const PlicContext *c, uint32_t n)
{
    if (n && n <= s->nsources && bit(c->enable, n)) {
        put_bit(s->claimed, n, false);
        gateway(s, n);
        update(s);
    }
}

/* Sources that there are, in a word of bits. */
static uint32_t existing(const Plic *s, unsigned word)
{
    unsigned first = word * 32, last = s->nsources;

    if (last < first) {
        return 0;
    }
    return (last - first >= 31 ? ~0u : (2u << (last - first)) - 1) & (word ? ~0u : ~1u);
}

/* A register that stores, or NULL; *mask: bits that can be written. */
static uint32_t *storage(Plic *s, uint64_t off, uint32_t *mask)
{
    uint64_t c;

    if (off < PRIORITY_END) {
        *mask = s->max_priority;
        return off && off / 4 <= s->nsources ? &s->priority[off / 4] : NULL;
    }
    if (off >= ENABLE && off < CONTEXT) {
        c = (off - ENABLE) / ENABLE_STRIDE;
        *mask = existing(s, (off - ENABLE) % ENABLE_STRIDE / 4);
        return c < s->ncontexts ? &s->context[c].enable[(off - ENABLE) % ENABLE_STRIDE / 4] : NULL;
    }
    c = (off - CONTEXT) / CONTEXT_STRIDE;
    *mask = s->max_priority;
    return off >= CONTEXT && c < s->ncontexts && (off - CONTEXT) % CONTEXT_STRIDE == 0 ? &s->context[c].threshold : NULL;
}

static PlicContext *claim_register(Plic *s, uint64_t off)
{
    uint64_t c = (off - CONTEXT) / CONTEXT_STRIDE;

    return off >= CONTEXT && c < s->ncontexts && (off - CONTEXT) % CONTEXT_STRIDE == 4 ? &s->context[c] : NULL;
}

static MemResult plic_read(void *opaque, uint64_t off, unsigned size, uint64_t *val, MemAttrs attrs)
{
    Plic *s = opaque;
    PlicContext *c;
    uint32_t mask, *word;

    c = claim_register(s, off);
    word = storage(s, off, &mask);
    *val = c ? claim(s, c) : off >= PENDING && off < PENDING_END ? s->pending[(off - PENDING) / 4] : word ? *word : 0;
    return MEM_OK;
}

static MemResult plic_write(void *opaque, uint64_t off, unsigned size, uint64_t val, MemAttrs attrs)
{
    Plic *s = opaque;
    PlicContext *c;
    uint32_t mask, *word;

    c = claim_register(s, off);
    word = storage(s, off, &mask);
    if (c) {
        complete(s, c, (uint32_t)val);
    } else if (word) {
        *word = (uint32_t)val & mask;
        update(s);
    }
    return MEM_OK;
}

static const MemOps plic_ops = { .read = plic_read, .write = plic_write, .min = 4, .max = 4 };

static bool plic_realize(Device *dev, Error **errp)
{
    Plic *s = plic(dev);

    if (CONTEXT + (uint64_t)s->ncontexts * CONTEXT_STRIDE > s->size) {
        return error_set(errp, "plic: %u contexts do not fit into 0x%" PRIx64 " bytes", s->ncontexts, s->size);
    }
    device_add_mmio(dev, "riscv.sifive.plic", s->size, &plic_ops, s);
    device_set_irqs(dev, s->ncontexts, s->nsources + 1);
    s->context = g_new0(PlicContext, s->ncontexts);
    return true;
}

static void plic_unrealize(Device *dev)
{
    g_clear_pointer(&plic(dev)->context, g_free);
}

static void plic_reset_enter(Device *dev)
{
    Plic *s = plic(dev);

    memset(s->context, 0, s->ncontexts * sizeof(*s->context));
}

static void plic_reset_hold(Device *dev)
{
    Plic *s = plic(dev);

    for (unsigned n = 1; n <= s->nsources; n++) {
        gateway(s, n);
    }
    update(s);
}

static const StateField context_fields[] = { STATE_ARRAY(PlicContext, enable, uint32_t), STATE_U32(PlicContext, threshold), {} };
static const StateTable context_table = { .name = "context", .fields = context_fields };

static const StateField plic_state[] = {
    STATE_ARRAY(Plic, priority, uint32_t), STATE_ARRAY(Plic, level, uint32_t, .keep = true), STATE_ARRAY(Plic, pending, uint32_t), STATE_ARRAY(Plic, claimed, uint32_t),
    STATE_STRUCT_PTR(Plic, context, ncontexts, context_table), {}
};

static const Prop plic_props[] = {
    PROP_U32("num-sources", Plic, nsources, 96, .min = 1, .max = PLIC_MAX_SOURCES, .help = "interrupt sources, from 1 on"),
    PROP_U32("num-contexts", Plic, ncontexts, 2, .min = 1, .max = PLIC_MAX_CONTEXTS, .help = "modes of harts"),
    PROP_U32("max-priority", Plic, max_priority, 7, .min = 1, .max = 7, .help = "a power of two less one"),
    PROP_U64("aperture-size", Plic, size, 0x600000, .min = 0x201000, .max = 0x4000000, .help = "bytes of the register window"),
    {}
};

static const DeviceType plic_type = {
    .name = "riscv.sifive.plic", .desc = "platform-level interrupt controller", .category = "Misc", .size = sizeof(Plic), .props = plic_props,
    .irq_in = source, .state = plic_state,
    .realize = plic_realize, .unrealize = plic_unrealize, .reset_enter = plic_reset_enter, .reset_hold = plic_reset_hold,
};
DEVICE_TYPE(plic_type);
