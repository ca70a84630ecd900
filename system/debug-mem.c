/* SPDX-License-Identifier: MIT */
#include "system/debug-mem.h"

#include "util/bits.h"
#include "util/bswap.h"

static const MemAttrs debug_attrs = { .cpu = -1, .debug = 1 };

static bool one_access(paddr pa, uint64_t len)
{
    return len <= 8 && is_pow2(len) && IS_ALIGNED(pa, len);
}

bool debug_phys_read(AddressSpace *as, paddr pa, void *buf, uint64_t len)
{
    uint64_t val;

    if (dma_read(as, pa, buf, len, debug_attrs) == MEM_OK) {
        return true;
    }
    if (!one_access(pa, len) || mem_load(as, pa, (unsigned)len, &val, debug_attrs) != MEM_OK) {
        return false;
    }
    stn_le_p(buf, (unsigned)len, val);
    return true;
}

bool debug_phys_write(AddressSpace *as, paddr pa, const void *buf, uint64_t len)
{
    return dma_write(as, pa, buf, len, debug_attrs) == MEM_OK ||
           (one_access(pa, len) && mem_store(as, pa, (unsigned)len, ldn_le_p(buf, (unsigned)len), debug_attrs) == MEM_OK);
}

/* One piece within a page; false: not mapped. */
static bool piece(Cpu *cpu, vaddr va, uint64_t want, paddr *pa, uint64_t *len)
{
    uint64_t page = MEM_PAGE_SIZE;

    *pa = va;
    if (cpu->ops->translate && !cpu->ops->translate(cpu, va, pa, &page)) {
        return false;
    }
    *len = MIN(want, page - (va & (page - 1)));
    return true;
}

uint64_t debug_mem_read(Cpu *cpu, vaddr va, void *buf, uint64_t len)
{
    uint64_t done = 0, n;
    paddr pa;

    while (done < len && piece(cpu, va + done, len - done, &pa, &n)) {
        if (!debug_phys_read(cpu->as, pa, (uint8_t *)buf + done, n)) {
            break;
        }
        done += n;
    }
    return done;
}

uint64_t debug_mem_write(Cpu *cpu, vaddr va, const void *buf, uint64_t len)
{
    uint64_t done = 0, n;
    paddr pa;

    while (done < len && piece(cpu, va + done, len - done, &pa, &n)) {
        if (!debug_phys_write(cpu->as, pa, (const uint8_t *)buf + done, n)) {
            break;
        }
        done += n;
    }
    return done;
}
