/* SPDX-License-Identifier: MIT */
#include "system/debug-mem.h"

static const MemAttrs debug_attrs = { .cpu = -1, .debug = 1 };

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
        if (dma_read(cpu->as, pa, (uint8_t *)buf + done, n, debug_attrs) != MEM_OK) {
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
        if (dma_write(cpu->as, pa, (const uint8_t *)buf + done, n, debug_attrs) != MEM_OK) {
            break;
        }
        done += n;
    }
    return done;
}
