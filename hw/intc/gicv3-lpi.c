/* SPDX-License-Identifier: MIT */
/*
 * LPIs at a redistributor: IHI 0069, chapters 5 and 6.
 *
 * What is pending is a short list per processor; configuration bytes are read
 * from the guest's table when an LPI becomes pending and again when the guest
 * says that they have changed.
 */
#include "hw/intc/gicv3-priv.h"

enum { CONFIG_ENABLE = 1, CONFIG_PRIO = 0xfc };
#define TABLE_ADDR 0x000ffffffffff000ull
#define PENDBASER_ADDR 0x000fffffffff0000ull

/* LPIs that the tables of this processor reach. */
static uint32_t lpi_limit(const GicCpu *c)
{
    unsigned bits = MIN((c->propbaser & 0x1f) + 1, LPI_ID_BITS);

    return 1u << bits;
}

static void read_config(Gicv3 *s, const GicCpu *c, Lpi *l)
{
    uint8_t b = 0;

    if (dma_read(s->dev.dma_as, (c->propbaser & TABLE_ADDR) + l->intid - INTID_LPI, &b, 1, MEM_ATTRS_NONE) != MEM_OK) {
        b = 0;
    }
    l->prio = b & CONFIG_PRIO & PRIO_MASK;
    l->enabled = b & CONFIG_ENABLE;
}

static Lpi *find(const GicCpu *c, uint32_t intid, unsigned *at)
{
    for (unsigned i = 0; i < c->lpis->len; i++) {
        Lpi *l = &g_array_index(c->lpis, Lpi, i);

        if (l->intid == intid) {
            *at = i;
            return l;
        }
    }
    return NULL;
}

static void add(Gicv3 *s, GicCpu *c, uint32_t intid)
{
    Lpi l = { .intid = intid };
    unsigned at;

    if (intid >= INTID_LPI && intid < lpi_limit(c) && !find(c, intid, &at)) {
        read_config(s, c, &l);
        g_array_append_val(c->lpis, l);
    }
}

void gicv3_lpi_clear(GicCpu *c, uint32_t intid)
{
    unsigned at;

    if (find(c, intid, &at)) {
        g_array_remove_index_fast(c->lpis, at);
    }
}

const Lpi *gicv3_lpi_best(const GicCpu *c)
{
    const Lpi *best = NULL;

    for (unsigned i = 0; i < c->lpis->len; i++) {
        const Lpi *l = &g_array_index(c->lpis, Lpi, i);

        if (l->enabled && (!best || l->prio < best->prio || (l->prio == best->prio && l->intid < best->intid))) {
            best = l;
        }
    }
    return best;
}

/* PTZ: the guest promises that the table is zero. */
void gicv3_lpi_enable(Gicv3 *s, GicCpu *c)
{
    uint32_t limit = lpi_limit(c);
    uint8_t buf[1024];

    g_array_set_size(c->lpis, 0);
    if (c->pendbaser >> 62 & 1) {
        return;
    }
    for (uint32_t at = INTID_LPI / 8; at < limit / 8; at += sizeof(buf)) {
        if (dma_read(s->dev.dma_as, (c->pendbaser & PENDBASER_ADDR) + at, buf, sizeof(buf), MEM_ATTRS_NONE) != MEM_OK) {
            return;
        }
        for (unsigned i = 0; i < sizeof(buf) * 8; i++) {
            if (buf[i / 8] >> i % 8 & 1) {
                add(s, c, at * 8 + i);
            }
        }
    }
}

/* ---- for the ITS ---- */

bool gicv3_lpi_set(Device *dev, unsigned cpu_index, uint32_t intid, bool pending)
{
    Gicv3 *s = gicv3(dev);
    GicCpu *c = cpu_index < s->ncpu ? &s->cpu[cpu_index] : NULL;
    bool ok;

    device_lock(dev);
    ok = c && (c->ctlr & 1);
    if (ok) {
        if (pending) {
            add(s, c, intid);
        } else {
            gicv3_lpi_clear(c, intid);
        }
        gicv3_update(s, c);
    }
    device_unlock(dev);
    return ok;
}

bool gicv3_lpi_move(Device *dev, unsigned from, unsigned to, uint32_t intid)
{
    Gicv3 *s = gicv3(dev);
    bool ok = from < s->ncpu && to < s->ncpu;
    unsigned at;

    device_lock(dev);
    if (ok && from != to) {
        GicCpu *a = &s->cpu[from], *b = &s->cpu[to];

        for (unsigned i = a->lpis->len; i-- > 0;) {
            Lpi l = g_array_index(a->lpis, Lpi, i);

            if (!intid || l.intid == intid) {
                g_array_remove_index_fast(a->lpis, i);
                if ((b->ctlr & 1) && !find(b, l.intid, &at)) {
                    g_array_append_val(b->lpis, l);
                }
            }
        }
        gicv3_update(s, a);
        gicv3_update(s, b);
    }
    device_unlock(dev);
    return ok;
}

void gicv3_lpi_invalidate(Device *dev, unsigned cpu_index, uint32_t intid)
{
    Gicv3 *s = gicv3(dev);
    GicCpu *c = cpu_index < s->ncpu ? &s->cpu[cpu_index] : NULL;

    device_lock(dev);
    for (unsigned i = 0; c && i < c->lpis->len; i++) {
        Lpi *l = &g_array_index(c->lpis, Lpi, i);

        if (!intid || l->intid == intid) {
            read_config(s, c, l);
        }
    }
    if (c) {
        gicv3_update(s, c);
    }
    device_unlock(dev);
}

/* ---- saved: the numbers and what their configuration said ---- */

static void list_save(StateWriter *w, const void *field)
{
    GArray *lpis = *(GArray *const *)field;

    state_put_u32(w, lpis->len);
    for (unsigned i = 0; i < lpis->len; i++) {
        const Lpi *l = &g_array_index(lpis, Lpi, i);

        state_put_u32(w, l->intid);
        state_put_u8(w, l->prio | (l->enabled ? 1 : 0));
    }
}

static bool list_get(StateReader *r, GArray *into, Error **errp)
{
    uint32_t n;

    if (!state_get_u32(r, &n, errp)) {
        return false;
    }
    if (n > 1u << LPI_ID_BITS) {
        return error_set(errp, "%u pending LPIs are more than there can be", n);
    }
    while (n--) {
        Lpi l;
        uint8_t config;

        if (!state_get_u32(r, &l.intid, errp) || !state_get_u8(r, &config, errp)) {
            return false;
        }
        if (l.intid < INTID_LPI || l.intid >= 1u << LPI_ID_BITS) {
            return error_set(errp, "there is no LPI %u", l.intid);
        }
        l.prio = config & PRIO_MASK;
        l.enabled = config & 1;
        if (into) {
            g_array_append_val(into, l);
        }
    }
    return true;
}

static bool list_check(StateReader *r, Error **errp)
{
    return list_get(r, NULL, errp);
}

static bool list_load(StateReader *r, void *field, Error **errp)
{
    GArray *lpis = *(GArray **)field;

    g_array_set_size(lpis, 0);
    return list_get(r, lpis, errp);
}

static void list_reset(void *field)
{
    g_array_set_size(*(GArray **)field, 0);
}

const StateKind gicv3_lpi_list_kind = {
    .name = "lpi-list", .save = list_save, .check = list_check, .load = list_load, .reset = list_reset, .size = sizeof(GArray *),
};
