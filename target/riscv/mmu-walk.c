/* SPDX-License-Identifier: MIT */
#include "target/riscv/mmu-walk.h"

#define PTE_V 1ull
#define PTE_R 2ull
#define PTE_W 4ull
#define PTE_X 8ull
#define PTE_U 16ull
#define PTE_G 32ull
#define PTE_A 64ull
#define PTE_D 128ull
#define PTE_PBMT (3ull << 61)
#define PTE_N (1ull << 63)
#define PTE_RESERVED (0x7full << 54)
#define PPN_BITS ((1ull << 44) - 1)

static bool canonical(uint64_t va, unsigned levels)
{
    unsigned unused = 64 - (12 + 9 * levels);

    return (uint64_t)((int64_t)(va << unused) >> unused) == va;
}

/* Reserved bits and encodings that no entry may have: step 3. */
static bool malformed(const RvRegime *r, uint64_t pte)
{
    return !(pte & PTE_V) || (pte & (PTE_R | PTE_W)) == PTE_W || pte & PTE_RESERVED || (pte & PTE_N && !r->napot) ||
           (pte & PTE_PBMT && (!r->pbmte || (pte & PTE_PBMT) == PTE_PBMT));
}

static uint8_t rights(const RvRegime *r, uint64_t pte)
{
    uint8_t prot = (pte & PTE_R || (r->mxr && pte & PTE_X) ? 1 : 0) | (pte & PTE_W ? 2 : 0) | (pte & PTE_X ? 4 : 0);

    if (r->user) {
        return pte & PTE_U ? prot : 0;
    }
    return !(pte & PTE_U) ? prot : r->sum ? prot & 3 : 0;
}

/* A contiguous range of 64 KiB: PPN bits 3-0 are 1000 and the address gives them; *size and the entry's PPN follow. */
static bool napot(uint64_t *pte, unsigned level, uint64_t va, uint64_t *size)
{
    uint64_t ppn = *pte >> 10 & PPN_BITS;

    if (level || (ppn & 15) != 8) {
        return false;
    }
    ppn = (ppn & ~15ull) | (va >> 12 & 15);
    *pte = (*pte & ~(PPN_BITS << 10)) | ppn << 10;
    *size = 65536;
    return true;
}

static RvWalkResult leaf(const RvRegime *r, uint64_t va, RvWalkAcc acc, bool change, uint64_t at, uint64_t pte, unsigned level, RvMapping *out, bool *again)
{
    uint64_t size = 4096ull << 9 * level, mask, marks = PTE_A | (acc == RV_WALK_STORE ? PTE_D : 0), mapped = pte;
    bool same = false;

    if (!(rights(r, pte) >> acc & 1) || (pte >> 10 & ((1ull << 9 * level) - 1)) || (pte & PTE_N && !napot(&mapped, level, va, &size))) {
        return RV_WALK_PAGE_FAULT;
    }
    if (marks & ~pte) {
        if (!r->adue) {
            return RV_WALK_PAGE_FAULT;
        }
        if (change) {
            if (!r->update(r->opaque, at, pte, pte | marks, &same)) {
                return RV_WALK_ACCESS_FAULT;
            }
            *again = !same;
            pte |= marks;
        }
    }
    mask = (4096ull << 9 * level) - 1;
    out->pa = ((mapped >> 10 & PPN_BITS) << 12 & ~mask) | (va & mask);
    out->size = size;
    out->prot = rights(r, pte) & (pte & PTE_D ? 7 : 5);
    return RV_WALK_OK;
}

RvWalkResult rv_walk_regime(const RvRegime *r, uint64_t va, RvWalkAcc acc, bool change, RvMapping *out)
{
    unsigned levels = (unsigned)(r->satp >> 60) - 8 + 3;
    bool again;

    if (!canonical(va, levels)) {
        return RV_WALK_PAGE_FAULT;
    }
    do {
        uint64_t table = (r->satp & PPN_BITS) << 12, pte = 0, at = 0;
        unsigned level = levels;

        again = false;
        out->global = false;
        for (;;) {
            if (!level) {
                return RV_WALK_PAGE_FAULT;
            }
            level--;
            at = table + (va >> (12 + 9 * level) & 511) * 8;
            if (!r->read(r->opaque, at, &pte)) {
                return RV_WALK_ACCESS_FAULT;
            }
            if (malformed(r, pte)) {
                return RV_WALK_PAGE_FAULT;
            }
            out->global |= (pte & PTE_G) != 0;
            if (pte & (PTE_R | PTE_X)) {
                break;
            }
            if (pte & (PTE_A | PTE_D | PTE_U | PTE_N | PTE_PBMT)) {
                return RV_WALK_PAGE_FAULT;
            }
            table = (pte >> 10 & PPN_BITS) << 12;
        }
        RvWalkResult res = leaf(r, va, acc, change, at, pte, level, out, &again);

        if (res != RV_WALK_OK) {
            return res;
        }
    } while (again);
    return RV_WALK_OK;
}
