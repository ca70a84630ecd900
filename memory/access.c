/* SPDX-License-Identifier: MIT */
/* Looking up an address, and getting at what is there: memory, or registers under their own lock. */
#include "memory/memory-priv.h"

#include <assert.h>
#include <string.h>

#include "util/bswap.h"
#include "util/log.h"

/* `next` is the first address behind it, 0: there is none. */
static void hit_hole(Memory *mem, paddr addr, uint64_t next, uint64_t want, MemHit *hit)
{
    *hit = (MemHit){ .region = &mem->hole, .offset = addr, .len = MIN(want - 1, next - addr - 1) + 1 };
}

void mem_translate(AddressSpace *as, paddr addr, uint64_t want, bool is_write, MemHit *hit)
{
    const FlatRange *f;
    uint64_t next;
    bool memory;

    mem_read_begin();
    f = flat_view_find(flat_view_get(as), addr, &next);
    if (!f) {
        hit_hole(as->mem, addr, next, want, hit);
        mem_read_end();
        return;
    }
    *hit = (MemHit){ .region = f->region, .offset = f->offset + (addr - f->start), .len = want, .readonly = f->readonly };
    if (want - 1 > f->last - addr) {
        hit->len = f->last - addr + 1;
    }
    memory = f->region->ram && !(is_write && f->readonly);
    if (f->region->kind == MEM_ROMD && !__atomic_load_n(&f->region->romd, __ATOMIC_ACQUIRE)) {
        memory = false;
    }
    if (memory) {
        hit->ram = f->region->ram;
        hit->host = hit->ram->host + hit->offset;
        hit->ram_addr = hit->ram->ram_addr + hit->offset;
    }
    mem_read_end();
}

/* ---- registers ---- */

static uint64_t lane_mask(unsigned size)
{
    return size == 8 ? ~0ull : (1ull << (size * 8)) - 1;
}

static uint64_t swap_bytes(uint64_t v, unsigned size)
{
    return bswap64(v) >> (64 - size * 8);
}

/* How many bytes go over at once: as asked, within what the region takes, and naturally aligned. */
static unsigned step_size(const MemOps *ops, uint64_t offset, unsigned size)
{
    unsigned step = MIN(size, ops->max ? ops->max : 8);

    while (step & (step - 1)) {
        step &= step - 1;               /* what an unaligned head left over: down to a power of two */
    }
    if (!ops->unaligned) {
        while (offset & (step - 1)) {
            step >>= 1;
        }
    }
    return step;
}

static MemResult read_step(MemRegion *r, uint64_t offset, unsigned size, uint64_t *val, MemAttrs attrs)
{
    unsigned width = MAX(size, r->ops->min ? r->ops->min : 1);
    uint64_t base = width > size ? offset & ~(uint64_t)(width - 1) : offset;
    uint64_t v = 0;
    MemResult res = r->ops->read(r->opaque, base, width, &v, attrs);

    if (r->ops->endian == MEM_BIG) {
        v = swap_bytes(v, width);
    }
    *val = (v >> ((offset - base) * 8)) & lane_mask(size);
    return res;
}

static MemResult write_step(MemRegion *r, uint64_t offset, unsigned size, uint64_t val, MemAttrs attrs)
{
    unsigned width = MAX(size, r->ops->min ? r->ops->min : 1);
    uint64_t base = width > size ? offset & ~(uint64_t)(width - 1) : offset;

    val = (val & lane_mask(size)) << ((offset - base) * 8);
    if (r->ops->endian == MEM_BIG) {
        val = swap_bytes(val, width);
    }
    return r->ops->write(r->opaque, base, width, val, attrs);
}

static MemResult no_access(MemRegion *r, uint64_t offset, bool is_write)
{
    if (is_write && r->kind == MEM_ROM) {
        log_guest("write to read-only memory %s+0x%" PRIx64, r->name, offset);
        return MEM_OK;
    }
    if (r == &r->mem->hole) {
        log_guest("%s of unassigned address 0x%" PRIx64, is_write ? "write" : "read", offset);
        return MEM_DECODE_ERROR;
    }
    log_guest("%s has no %s (offset 0x%" PRIx64 ")", r->name, is_write ? "write" : "read", offset);
    return MEM_DEVICE_ERROR;
}

MemResult mem_io_read(MemRegion *r, uint64_t offset, unsigned size, uint64_t *val, MemAttrs attrs)
{
    MemResult res = MEM_OK;

    *val = 0;
    if (!r->ops || !r->ops->read) {
        return no_access(r, offset, false);
    }
    if (r->lock) {
        pthread_mutex_lock(r->lock);
    }
    for (unsigned done = 0, step; done < size; done += step) {
        uint64_t part;
        MemResult one;

        step = step_size(r->ops, offset + done, size - done);
        one = read_step(r, offset + done, step, &part, attrs);
        *val |= part << (done * 8);
        res = MAX(res, one);
    }
    if (r->lock) {
        pthread_mutex_unlock(r->lock);
    }
    return res;
}

MemResult mem_io_write(MemRegion *r, uint64_t offset, unsigned size, uint64_t val, MemAttrs attrs)
{
    MemResult res = MEM_OK;

    if (!r->ops || !r->ops->write) {
        return no_access(r, offset, true);
    }
    if (r->lock) {
        pthread_mutex_lock(r->lock);
    }
    for (unsigned done = 0, step; done < size; done += step) {
        MemResult one;

        step = step_size(r->ops, offset + done, size - done);
        one = write_step(r, offset + done, step, val >> (done * 8), attrs);
        res = MAX(res, one);
    }
    if (r->lock) {
        pthread_mutex_unlock(r->lock);
    }
    return res;
}

/* ---- any access ---- */

MemResult mem_load(AddressSpace *as, paddr addr, unsigned size, uint64_t *val, MemAttrs attrs)
{
    uint8_t buf[8] = { 0 };
    MemResult res = MEM_OK;

    mem_read_begin();
    for (unsigned done = 0; done < size;) {
        MemHit hit;
        unsigned n;

        mem_translate(as, addr + done, size - done, false, &hit);
        n = (unsigned)hit.len;
        if (hit.ram) {
            memcpy(buf + done, hit.host, n);
        } else {
            uint64_t part;
            MemResult one = mem_io_read(hit.region, hit.offset, n, &part, attrs);

            stn_le_p(buf + done, n, part);
            res = MAX(res, one);
        }
        done += n;
    }
    mem_read_end();
    *val = ldn_le_p(buf, 8);
    return res;
}

MemResult mem_store(AddressSpace *as, paddr addr, unsigned size, uint64_t val, MemAttrs attrs)
{
    MemResult res = MEM_OK;

    mem_read_begin();
    for (unsigned done = 0; done < size;) {
        MemHit hit;
        unsigned n;

        mem_translate(as, addr + done, size - done, true, &hit);
        n = (unsigned)hit.len;
        if (hit.ram) {
            stn_le_p(hit.host, n, val >> (done * 8));
            mem_written(as->mem, hit.ram_addr, n);
        } else {
            MemResult one = mem_io_write(hit.region, hit.offset, n, val >> (done * 8), attrs);

            res = MAX(res, one);
        }
        done += n;
    }
    mem_read_end();
    return res;
}
