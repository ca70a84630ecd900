/* SPDX-License-Identifier: MIT */
/* Register rows at work: dispatch by offset, masks, lanes, power-on values, save and load. */
#include "hw/core/device-priv.h"

#include <assert.h>
#include <string.h>

#include "util/bits.h"
#include "util/bswap.h"
#include "util/log.h"

static unsigned row_count(const Reg *reg)
{
    return reg->count ? reg->count : 1;
}

static unsigned row_stride(const Reg *reg)
{
    return reg->stride ? reg->stride : reg->size;
}

static unsigned row_banks(const Reg *reg)
{
    return reg->banks ? reg->banks : 1;
}

static bool row_stored(const Reg *reg)
{
    return !reg->virt && !reg->wo && !reg->raz && !reg->todo;
}

/* ---- building ---- */

static void map_row(RegMap *map, unsigned n, const Reg *reg)
{
    assert(reg->size == 1 || reg->size == 2 || reg->size == 4 || reg->size == 8);
    for (unsigned i = 0; i < row_count(reg); i++) {
        uint64_t at = reg->offset + (uint64_t)i * row_stride(reg);

        assert(at + reg->size <= map->block.size);              /* a row outside its window */
        for (unsigned b = 0; b < reg->size; b += 1u << map->shift) {
            uint16_t *slot = &map->row[(at + b) >> map->shift];

            assert(*slot == 0);                                 /* two rows at one offset */
            *slot = (uint16_t)(n + 1);
        }
    }
}

RegMap *reg_map_new(Device *dev, const RegBlock *block, unsigned mmio)
{
    RegMap *map = g_new0(RegMap, 1);
    unsigned n = 0;

    map->dev = dev;
    map->block = *block;
    map->mmio = mmio;
    map->shift = 3;
    map->size = block->size * (block->instances ? block->instances : 1);
    for (const Reg *reg = block->regs; reg->name; reg++) {
        while (map->shift && ((reg->size | reg->offset | row_stride(reg)) & ((1u << map->shift) - 1))) {
            map->shift--;
        }
    }
    map->row = g_new0(uint16_t, (block->size >> map->shift) + 1);
    for (const Reg *reg = block->regs; reg->name; reg++) {
        map_row(map, n++, reg);
    }
    return map;
}

void reg_map_free(RegMap *map)
{
    if (map) {
        g_free(map->row);
        g_free(map);
    }
}

/* ---- storage ---- */

static uint8_t *row_storage(const RegMap *map, const Reg *reg, unsigned instance, unsigned bank, unsigned index)
{
    uint8_t *base = (uint8_t *)map->dev;

    if (map->block.has_base) {
        memcpy(&base, (uint8_t *)map->dev + map->block.instance_base, sizeof(base));
        base += (size_t)instance * map->block.instance_size;
    }
    return base + reg->at + ((size_t)bank * row_count(reg) + index) * reg->size;
}

static uint64_t size_mask(unsigned size)
{
    return size == 8 ? ~0ull : (1ull << (size * 8)) - 1;
}

/* ---- access ---- */

/* Which row, element and byte an offset falls on. */
static const Reg *locate(const RegMap *map, uint64_t offset, RegAccess *a, unsigned *byte)
{
    uint64_t in;
    uint16_t n;
    const Reg *reg;

    a->instance = (unsigned)(offset / map->block.size);
    offset %= map->block.size;
    n = map->row[offset >> map->shift];
    if (!n) {
        return NULL;
    }
    reg = &map->block.regs[n - 1];
    in = offset - reg->offset;
    a->reg = reg;
    a->index = (unsigned)(in / row_stride(reg));
    *byte = (unsigned)(in % row_stride(reg));
    a->bank = 0;
    if (reg->bank) {
        a->bank = reg->bank(map->dev, reg, a->attrs);
    } else if (reg->banks > 1) {
        a->bank = a->attrs.cpu >= 0 && a->attrs.cpu < reg->banks ? (unsigned)a->attrs.cpu : 0;
    }
    return reg;
}

static uint64_t read_value(const RegMap *map, RegAccess *a)
{
    const Reg *reg = a->reg;
    uint64_t v = 0;

    if (reg->todo) {
        log_unimp("%s: register %s is not modelled (read)", map->dev->path, reg->name);
        return 0;
    }
    if (reg->wo || reg->raz) {
        return 0;
    }
    if (row_stored(reg)) {
        v = ldn_le_p(row_storage(map, reg, a->instance, a->bank, a->index), reg->size);
    } else if (reg->virt && !reg->read) {
        v = reg->reset;                                         /* a constant */
    }
    a->old = v;
    if (reg->read) {
        v = reg->read(map->dev, a);
    }
    return v & ~reg->rsvd & size_mask(reg->size);
}

static void write_value(const RegMap *map, RegAccess *a, uint64_t val)
{
    const Reg *reg = a->reg;
    uint64_t w = ~(reg->ro | reg->rsvd | reg->w1c | reg->w1s) & a->lanes, v;
    uint8_t *p;

    a->raw = val;
    if (reg->todo) {
        log_unimp("%s: register %s is not modelled (write 0x%" PRIx64 ")", map->dev->path, reg->name, val);
        return;
    }
    if (reg->raz) {
        return;
    }
    if (val & reg->rsvd & a->lanes & size_mask(reg->size)) {
        log_guest("%s: %s: reserved bits 0x%" PRIx64 " written", map->dev->path, reg->name, val & reg->rsvd);
    }
    if (!row_stored(reg)) {
        if (reg->written) {
            reg->written(map->dev, a, val & ~reg->rsvd);
        } else if (reg->ro) {
            log_guest("%s: write to read-only register %s", map->dev->path, reg->name);
        }
        return;
    }
    if ((reg->ro & size_mask(reg->size)) == size_mask(reg->size) && !reg->written) {
        log_guest("%s: write to read-only register %s", map->dev->path, reg->name);
        return;
    }
    p = row_storage(map, reg, a->instance, a->bank, a->index);
    a->old = ldn_le_p(p, reg->size);
    v = (a->old & ~w) | (val & w);
    v &= ~(val & reg->w1c);
    v |= val & reg->w1s;
    stn_le_p(p, reg->size, v);
    if (reg->written) {
        reg->written(map->dev, a, v);
    }
}

static bool size_allowed(const RegMap *map, uint64_t offset, unsigned size)
{
    if ((map->block.access_min && size < map->block.access_min) || (map->block.access_max && size > map->block.access_max)) {
        log_guest("%s+0x%" PRIx64 ": access of %u bytes", map->dev->path, offset, size);
        return false;
    }
    return true;
}

static void no_register(const RegMap *map, uint64_t offset, const char *what)
{
    log_guest("%s: no register at offset 0x%" PRIx64 " (%s)", map->dev->path, offset, what);
}

static MemResult map_read(void *opaque, uint64_t offset, unsigned size, uint64_t *val, MemAttrs attrs)
{
    const RegMap *map = opaque;
    unsigned n;

    *val = 0;
    if (!size_allowed(map, offset, size)) {
        return MEM_DEVICE_ERROR;
    }
    for (unsigned done = 0; done < size; done += n) {
        RegAccess a = { .mmio = map->mmio, .attrs = attrs };
        unsigned byte;
        uint64_t v = 0;

        if (!locate(map, offset + done, &a, &byte)) {
            n = MIN(size - done, 1u << map->shift);
            no_register(map, offset + done, "read");
        } else {
            n = MIN(size - done, a.reg->size - byte);
            a.lanes = size_mask(n) << (byte * 8);
            v = (read_value(map, &a) >> (byte * 8)) & size_mask(n);
            log_at(LOG_TRACE, "reg_read dev=%s reg=%s index=%u val=0x%" PRIx64, map->dev->path, a.reg->name, a.index, v);
        }
        *val |= v << (done * 8);
    }
    return MEM_OK;
}

static MemResult map_write(void *opaque, uint64_t offset, unsigned size, uint64_t val, MemAttrs attrs)
{
    const RegMap *map = opaque;
    unsigned n;

    if (!size_allowed(map, offset, size)) {
        return MEM_DEVICE_ERROR;
    }
    for (unsigned done = 0; done < size; done += n) {
        RegAccess a = { .mmio = map->mmio, .attrs = attrs };
        unsigned byte;

        if (!locate(map, offset + done, &a, &byte)) {
            n = MIN(size - done, 1u << map->shift);
            no_register(map, offset + done, "write");
            continue;
        }
        n = MIN(size - done, a.reg->size - byte);
        a.lanes = size_mask(n) << (byte * 8);
        log_at(LOG_TRACE, "reg_write dev=%s reg=%s index=%u val=0x%" PRIx64, map->dev->path, a.reg->name, a.index, val >> (done * 8) & size_mask(n));
        write_value(map, &a, ((val >> (done * 8)) & size_mask(n)) << (byte * 8));
    }
    return MEM_OK;
}

const MemOps reg_map_ops = { .read = map_read, .write = map_write, .unaligned = true };

static RegMap *map_of(Device *dev, unsigned mmio)
{
    assert(mmio < dev->nmmio && dev->maps[mmio]);
    return dev->maps[mmio];
}

MemResult device_reg_read(Device *dev, unsigned mmio, uint64_t offset, unsigned size, uint64_t *val, MemAttrs attrs)
{
    return map_read(map_of(dev, mmio), offset, size, val, attrs);
}

MemResult device_reg_write(Device *dev, unsigned mmio, uint64_t offset, unsigned size, uint64_t val, MemAttrs attrs)
{
    return map_write(map_of(dev, mmio), offset, size, val, attrs);
}

/* ---- all stored values ---- */

static unsigned map_instances(const RegMap *map)
{
    return map->block.instances ? map->block.instances : 1;
}

static size_t row_bytes(const Reg *reg)
{
    return (size_t)row_banks(reg) * row_count(reg) * reg->size;
}

void reg_map_reset(RegMap *map)
{
    for (const Reg *reg = map->block.regs; reg->name; reg++) {
        if (!row_stored(reg) || reg->shared || reg->keep) {
            continue;
        }
        for (unsigned inst = 0; inst < map_instances(map); inst++) {
            for (unsigned i = 0; i < row_banks(reg) * row_count(reg); i++) {
                stn_le_p(row_storage(map, reg, inst, 0, i), reg->size, reg->reset);
            }
            if (!map->block.has_base) {
                break;
            }
        }
    }
}

static bool row_saved(const Reg *reg)
{
    return row_stored(reg) && !reg->shared && ~reg->ro & size_mask(reg->size);
}

/* name, length, bytes of each row; an empty name ends. */
void reg_map_save(const RegMap *map, StateWriter *w)
{
    unsigned insts = map->block.has_base ? map_instances(map) : 1;

    for (const Reg *reg = map->block.regs; reg->name; reg++) {
        if (row_stored(reg) && !reg->shared) {
            state_put_u8(w, (uint8_t)strlen(reg->name));
            state_put(w, reg->name, strlen(reg->name));
            state_put_u32(w, (uint32_t)(row_bytes(reg) * insts));
            for (unsigned i = 0; i < insts; i++) {
                state_put(w, row_storage(map, reg, i, 0, 0), row_bytes(reg));
            }
        }
    }
    state_put_u8(w, 0);
}

static const Reg *row_by_name(const RegMap *map, const char *name)
{
    for (const Reg *reg = map->block.regs; reg->name; reg++) {
        if (!strcmp(reg->name, name) && row_stored(reg) && !reg->shared) {
            return reg;
        }
    }
    return NULL;
}

static bool walk_row(const RegMap *map, StateReader *r, const char *name, bool apply, Error **errp)
{
    unsigned insts = map->block.has_base ? map_instances(map) : 1;
    const Reg *reg = row_by_name(map, name);
    uint32_t len;

    if (!state_get_u32(r, &len, errp)) {
        return false;
    }
    if (!reg || len != row_bytes(reg) * insts) {
        return error_set(errp, "%s: register '%s' %s", map->dev->path, name, reg ? "was saved with another size" : "is not known here");
    }
    for (unsigned i = 0; i < insts; i++) {
        if (!apply) {
            if (!state_skip(r, row_bytes(reg), errp)) {
                return false;
            }
        } else if (!state_get(r, row_storage(map, reg, i, 0, 0), row_bytes(reg), errp)) {
            return false;
        }
    }
    return true;
}

bool reg_map_walk(const RegMap *map, StateReader *r, bool apply, Error **errp)
{
    char name[256];
    uint8_t len;

    for (;;) {
        if (!state_get_u8(r, &len, errp)) {
            return false;
        }
        if (!len) {
            return true;
        }
        if (!state_get(r, name, len, errp)) {
            return false;
        }
        name[len] = 0;
        if (!walk_row(map, r, name, apply, errp)) {
            return false;
        }
    }
}

void reg_map_print(const RegMap *map, GString *out)
{
    for (const Reg *reg = map->block.regs; reg->name; reg++) {
        unsigned n = row_banks(reg) * row_count(reg);

        if (!row_saved(reg)) {
            continue;
        }
        g_string_append_printf(out, "%s=", reg->name);
        for (unsigned i = 0; i < MIN(n, 16); i++) {
            g_string_append_printf(out, "%s0x%" PRIx64, i ? "," : "", ldn_le_p(row_storage(map, reg, 0, 0, i), reg->size));
        }
        g_string_append(out, n > 16 ? ",...\n" : "\n");
    }
}
