/* SPDX-License-Identifier: MIT */
/*
 * Guest RAM: who backs it is decided here and nowhere else.
 *
 * Private anonymous memory asks for transparent huge pages; a memfd gets none
 * under the usual kernel setting (shmem_enabled=never), which made a pointer
 * chase over 512 MB 1.4 to 1.8 times slower, so it is used only where another
 * process has to map the memory.
 */
#include "memory/memory-priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "util/bits.h"
#include "util/size.h"

#define HUGE_ALIGN (2 * MiB)
#define HUGETLBFS_MAGIC_NUMBER 0x958458f6

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* ---- where the bytes come from ---- */

static bool open_memfd(RamBlock *b, const RamSpec *spec, Error **errp)
{
    unsigned flags = MFD_CLOEXEC;

    if (spec->hugetlb) {
        flags |= MFD_HUGETLB | (spec->hugetlb_size ? ctz64(spec->hugetlb_size) << MAP_HUGE_SHIFT : 0);
    }
    b->fd = memfd_create(spec->id, flags);
    if (b->fd < 0) {
        return error_set_errno(errp, errno, "cannot create memfd for RAM '%s'", spec->id);
    }
    return true;
}

static bool open_file(RamBlock *b, const RamSpec *spec, Error **errp)
{
    struct stat st;

    if (stat(spec->path, &st) == 0 && S_ISDIR(st.st_mode)) {
        g_autofree char *name = g_strdup_printf("%s/rhea-ram.XXXXXX", spec->path);

        b->fd = mkostemp(name, O_CLOEXEC);
        if (b->fd >= 0) {
            unlink(name);
        }
    } else {
        b->fd = open(spec->path, (spec->readonly ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, 0600);
    }
    if (b->fd < 0) {
        return error_set_errno(errp, errno, "cannot open backing store '%s' for RAM '%s'", spec->path, spec->id);
    }
    return true;
}

static bool size_file(RamBlock *b, const RamSpec *spec, Error **errp)
{
    struct statfs fs;
    struct stat st;

    if (fstatfs(b->fd, &fs) == 0 && (unsigned long)fs.f_type == HUGETLBFS_MAGIC_NUMBER) {
        b->page_size = (uint64_t)fs.f_bsize;
        b->size = ALIGN_UP(b->size, b->page_size);
    }
    if (fstat(b->fd, &st) == 0 && (uint64_t)st.st_size < b->size) {
        if (spec->readonly) {
            return error_set(errp, "backing store size 0x%" PRIx64 " of RAM '%s' is smaller than its size 0x%" PRIx64,
                             (uint64_t)st.st_size, spec->id, b->size);
        }
        if (ftruncate(b->fd, (off_t)b->size) < 0) {
            return error_set_errno(errp, errno, "cannot give RAM '%s' its size of %" PRIu64 " bytes", spec->id, b->size);
        }
    }
    return true;
}

/* ---- mapping ---- */

/* `size` bytes of address space at a multiple of `align`. */
static uint8_t *reserve(uint64_t size, uint64_t align)
{
    uint8_t *p = mmap(NULL, size + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint8_t *start;

    if (p == MAP_FAILED) {
        return NULL;
    }
    start = (uint8_t *)ALIGN_UP((uintptr_t)p, align);
    if (start > p) {
        munmap(p, (size_t)(start - p));
    }
    munmap(start + size, (size_t)(p + align - start));
    return start;
}

static bool map_block(RamBlock *b, const RamSpec *spec, Error **errp)
{
    uint64_t align = MAX(b->page_size, b->size >= HUGE_ALIGN ? HUGE_ALIGN : MEM_PAGE_SIZE);
    int prot = PROT_READ | (spec->readonly ? 0 : PROT_WRITE);
    int flags = MAP_FIXED | MAP_NORESERVE | (b->share ? MAP_SHARED : MAP_PRIVATE) | (b->fd < 0 ? MAP_ANONYMOUS : 0);

    b->host = reserve(b->size, align);
    if (!b->host) {
        return error_set_errno(errp, errno, "cannot set up guest memory '%s' (%" PRIu64 " bytes)", spec->id, b->size);
    }
    if (mmap(b->host, b->size, prot, flags, b->fd, 0) == MAP_FAILED) {
        return error_set_errno(errp, errno, "cannot set up guest memory '%s' (%" PRIu64 " bytes)", spec->id, b->size);
    }
    return true;
}

/* Advice: a kernel without one of these is no error. */
static void advise(RamBlock *b, const RamSpec *spec)
{
    if (b->page_size <= MEM_PAGE_SIZE) {
        madvise(b->host, b->size, MADV_HUGEPAGE);
    }
    if (!spec->nomerge && b->fd < 0) {
        madvise(b->host, b->size, MADV_MERGEABLE);
    }
    if (!spec->dump) {
        madvise(b->host, b->size, MADV_DONTDUMP);
    }
}

static bool populate(RamBlock *b, const RamSpec *spec, Error **errp)
{
    if (!spec->prealloc || madvise(b->host, b->size, MADV_POPULATE_WRITE) == 0) {
        return true;
    }
    if (errno != EINVAL) {
        return error_set_errno(errp, errno, "preallocating memory failed for RAM '%s'", spec->id);
    }
    for (uint64_t at = 0; at < b->size; at += MEM_PAGE_SIZE) {      /* kernel before 5.14 */
        volatile uint8_t *p = b->host + at;

        *p = *p;
    }
    return true;
}

/* ---- ram addresses ---- */

/* First fit among the blocks, which are sorted; 2 MiB steps keep bitmap words private. */
static bool place(RamBlock *b, Error **errp)
{
    RamBlock **p = &b->mem->blocks;
    uint64_t at = 0;

    while (*p && (*p)->ram_addr - at < ALIGN_UP(b->size, HUGE_ALIGN)) {
        at = ALIGN_UP((*p)->ram_addr + (*p)->size, HUGE_ALIGN);
        p = &(*p)->next;
    }
    if (at + b->size > MEM_RAM_MAX) {
        return error_set(errp, "RAM '%s' of %" PRIu64 " bytes does not fit: a machine has at most %llu GiB", b->id, b->size,
                         MEM_RAM_MAX / GiB);
    }
    b->ram_addr = at;
    b->next = *p;
    __atomic_store_n(p, b, __ATOMIC_RELEASE);
    return true;
}

static void release(RamBlock *b)
{
    if (b->host) {
        munmap(b->host, b->size);
    }
    if (b->fd >= 0) {
        close(b->fd);
    }
    g_free(b->id);
    g_free(b);
}

RamBlock *ram_block_new(Memory *mem, const RamSpec *spec, Error **errp)
{
    RamBlock *b = g_new0(RamBlock, 1);
    bool ok = true;

    b->mem = mem;
    b->id = g_strdup(spec->id);
    b->size = ALIGN_UP(spec->size, (uint64_t)MEM_PAGE_SIZE);
    b->page_size = spec->hugetlb ? (spec->hugetlb_size ? spec->hugetlb_size : HUGE_ALIGN) : MEM_PAGE_SIZE;
    b->size = ALIGN_UP(b->size, b->page_size);
    b->share = spec->share;
    b->readonly = spec->readonly;
    b->backing = spec->backing == RAM_ANON && (spec->share || spec->hugetlb) ? RAM_MEMFD : spec->backing;
    b->fd = -1;
    if (!dirty_ready(mem)) {
        ok = error_set(errp, "no address space for the maps of guest memory: is it limited (ulimit -v)?");
    } else if (ram_block_find(mem, spec->id)) {
        ok = error_set(errp, "there is a RAM block '%s' already", spec->id);
    } else if (!b->size) {
        ok = error_set(errp, "RAM block '%s' has size 0", spec->id);
    } else if (b->backing != RAM_ANON) {
        ok = (b->backing == RAM_MEMFD ? open_memfd(b, spec, errp) : open_file(b, spec, errp)) && size_file(b, spec, errp);
    }
    ok = ok && map_block(b, spec, errp);
    if (ok) {
        advise(b, spec);
        ok = populate(b, spec, errp);
    }
    mem_topology_begin(mem);
    ok = ok && place(b, errp);
    mem_topology_commit(mem);
    if (!ok) {
        release(b);
        return NULL;
    }
    mem_dirty_set(mem, DIRTY_ALL, b->ram_addr, b->size);
    return b;
}

void ram_block_free(RamBlock *b)
{
    if (!b) {
        return;
    }
    assert(__atomic_load_n(&b->pins, __ATOMIC_ACQUIRE) == 0);   /* a device still does DMA */
    mem_topology_begin(b->mem);
    for (RamBlock **p = &b->mem->blocks; *p; p = &(*p)->next) {
        if (*p == b) {
            __atomic_store_n(p, b->next, __ATOMIC_RELEASE);
            break;
        }
    }
    mem_topology_commit(b->mem);
    mem_synchronize();
    release(b);
}

/* ---- finding ---- */

RamBlock *ram_block_first(Memory *mem)
{
    return __atomic_load_n(&mem->blocks, __ATOMIC_ACQUIRE);
}

RamBlock *ram_block_find(Memory *mem, const char *id)
{
    RamBlock *b = ram_block_first(mem);

    while (b && strcmp(b->id, id)) {
        b = b->next;
    }
    return b;
}

RamBlock *ram_block_at(Memory *mem, uint64_t ram_addr)
{
    RamBlock *b = ram_block_first(mem);

    while (b && ram_addr - b->ram_addr >= b->size) {
        b = b->next;
    }
    return b;
}

RamBlock *ram_block_of_host(Memory *mem, const void *host, uint64_t *offset)
{
    for (RamBlock *b = ram_block_first(mem); b; b = b->next) {
        uint64_t at = (uint64_t)((const uint8_t *)host - b->host);

        if (at < b->size) {
            *offset = at;
            return b;
        }
    }
    return NULL;
}
