/* SPDX-License-Identifier: MIT */
/* What devices do to memory. */
#include "memory/memory-priv.h"

#include <assert.h>
#include <string.h>

#include "util/bswap.h"
#include "util/log.h"

typedef enum { DMA_READ, DMA_WRITE, DMA_SET } DmaKind;

/* Registers take DMA only where they say so. */
static MemResult dma_registers(const MemHit *hit, DmaKind kind, uint8_t *buf, uint64_t len, MemAttrs attrs)
{
    MemResult res = MEM_OK;

    if (!hit->region->dma_target) {
        log_guest("DMA to registers of %s+0x%" PRIx64 " refused", hit->region->name, hit->offset);
        if (kind == DMA_READ) {
            memset(buf, 0, len);
        }
        return MEM_DECODE_ERROR;
    }
    attrs.dma = 1;
    for (uint64_t done = 0; done < len;) {
        uint64_t at = hit->offset + done, left = len - done;
        unsigned size = left >= 8 && !(at & 7) ? 8 : left >= 4 && !(at & 3) ? 4 : left >= 2 && !(at & 1) ? 2 : 1;
        uint64_t val = 0;
        MemResult one;

        if (kind == DMA_READ) {
            one = mem_io_read(hit->region, at, size, &val, attrs);
            stn_le_p(buf + done, size, val);
        } else {
            val = kind == DMA_SET ? *buf * 0x0101010101010101ull : ldn_le_p(buf + done, size);
            one = mem_io_write(hit->region, at, size, val, attrs);
        }
        res = MAX(res, one);
        done += size;
    }
    return res;
}

static MemResult dma_any(AddressSpace *as, paddr addr, uint8_t *buf, uint64_t len, DmaKind kind, MemAttrs attrs)
{
    MemResult res = MEM_OK;

    mem_read_begin();
    while (len) {
        MemHit hit;

        mem_translate(as, addr, len, kind != DMA_READ, &hit);
        if (!hit.ram) {
            MemResult one = dma_registers(&hit, kind, buf, hit.len, attrs);

            res = MAX(res, one);
        } else if (kind == DMA_READ) {
            memcpy(buf, hit.host, hit.len);
        } else {
            if (kind == DMA_SET) {
                memset(hit.host, *buf, hit.len);
            } else {
                memcpy(hit.host, buf, hit.len);
            }
            mem_written(as->mem, hit.ram_addr, hit.len);
        }
        addr += hit.len;
        len -= hit.len;
        buf += kind == DMA_SET ? 0 : hit.len;
    }
    mem_read_end();
    return res;
}

MemResult dma_read(AddressSpace *as, paddr addr, void *buf, uint64_t len, MemAttrs attrs)
{
    return dma_any(as, addr, buf, len, DMA_READ, attrs);
}

MemResult dma_write(AddressSpace *as, paddr addr, const void *buf, uint64_t len, MemAttrs attrs)
{
    return dma_any(as, addr, (uint8_t *)buf, len, DMA_WRITE, attrs);
}

MemResult dma_set(AddressSpace *as, paddr addr, uint8_t byte, uint64_t len, MemAttrs attrs)
{
    return dma_any(as, addr, &byte, len, DMA_SET, attrs);
}

void *dma_map(AddressSpace *as, paddr addr, uint64_t *len, bool device_writes, MemAttrs attrs)
{
    MemHit hit;

    if (!*len) {
        return NULL;
    }
    mem_read_begin();
    mem_translate(as, addr, *len, device_writes, &hit);
    if (hit.ram) {
        __atomic_fetch_add(&hit.ram->pins, 1, __ATOMIC_ACQ_REL);
    }
    mem_read_end();
    if (!hit.ram) {
        return NULL;
    }
    *len = hit.len;
    return hit.host;
}

void dma_unmap(AddressSpace *as, void *host, uint64_t len, bool device_wrote, uint64_t done)
{
    uint64_t offset;
    RamBlock *b;

    mem_read_begin();
    b = ram_block_of_host(as->mem, host, &offset);
    assert(b && offset + len <= b->size && done <= len);        /* what dma_map gave */
    if (device_wrote) {
        mem_written(as->mem, b->ram_addr + offset, done);
    }
    __atomic_fetch_sub(&b->pins, 1, __ATOMIC_ACQ_REL);
    mem_read_end();
}

MemResult dma_load_le(AddressSpace *as, paddr addr, unsigned size, uint64_t *val, MemAttrs attrs)
{
    MemResult res = MEM_OK;
    MemHit hit;

    mem_read_begin();
    mem_translate(as, addr, size, false, &hit);
    if (hit.ram && hit.len == size && !(addr & (size - 1))) {
        switch (size) {
        case 2: *val = le16toh(__atomic_load_n((uint16_t *)hit.host, __ATOMIC_ACQUIRE)); break;
        case 4: *val = le32toh(__atomic_load_n((uint32_t *)hit.host, __ATOMIC_ACQUIRE)); break;
        case 8: *val = le64toh(__atomic_load_n((uint64_t *)hit.host, __ATOMIC_ACQUIRE)); break;
        default: assert(!"size of 2, 4 or 8");
        }
    } else {
        uint8_t buf[8] = { 0 };

        res = dma_read(as, addr, buf, size, attrs);
        *val = ldn_le_p(buf, size);
    }
    mem_read_end();
    return res;
}

MemResult dma_store_le(AddressSpace *as, paddr addr, unsigned size, uint64_t val, MemAttrs attrs)
{
    MemResult res = MEM_OK;
    MemHit hit;

    mem_read_begin();
    mem_translate(as, addr, size, true, &hit);
    if (hit.ram && hit.len == size && !(addr & (size - 1))) {
        switch (size) {
        case 2: __atomic_store_n((uint16_t *)hit.host, htole16((uint16_t)val), __ATOMIC_RELEASE); break;
        case 4: __atomic_store_n((uint32_t *)hit.host, htole32((uint32_t)val), __ATOMIC_RELEASE); break;
        case 8: __atomic_store_n((uint64_t *)hit.host, htole64(val), __ATOMIC_RELEASE); break;
        default: assert(!"size of 2, 4 or 8");
        }
        mem_written(as->mem, hit.ram_addr, size);
    } else {
        uint8_t buf[8];

        stn_le_p(buf, 8, val);
        res = dma_write(as, addr, buf, size, attrs);
    }
    mem_read_end();
    return res;
}
