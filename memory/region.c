/* SPDX-License-Identifier: MIT */
/* Regions, address spaces and changes of topology. */
#include "memory/memory-priv.h"

#include <assert.h>

/* ---- making regions ---- */

void mem_region_init(MemRegion *r, Memory *mem, const char *name, uint64_t size)
{
    *r = (MemRegion){ .name = name, .kind = MEM_CONTAINER, .size = size, .mem = mem, .enabled = true, .romd = true };
}

void mem_region_init_io(MemRegion *r, Memory *mem, const char *name, uint64_t size,
                        const MemOps *ops, void *opaque, pthread_mutex_t *lock)
{
    mem_region_init(r, mem, name, size);
    r->kind = MEM_IO;
    r->ops = ops;
    r->opaque = opaque;
    r->lock = lock;
}

void mem_region_init_alias(MemRegion *r, Memory *mem, const char *name, MemRegion *target, uint64_t offset, uint64_t size)
{
    mem_region_init(r, mem, name, size);
    r->kind = MEM_ALIAS;
    r->target = target;
    r->target_offset = offset;
}

void mem_region_init_ram(MemRegion *r, Memory *mem, const char *name, RamBlock *ram)
{
    mem_region_init(r, mem, name, ram->size);
    r->kind = MEM_RAM;
    r->ram = ram;
}

void mem_region_init_rom(MemRegion *r, Memory *mem, const char *name, RamBlock *ram)
{
    mem_region_init_ram(r, mem, name, ram);
    r->kind = MEM_ROM;
}

void mem_region_init_romd(MemRegion *r, Memory *mem, const char *name, RamBlock *ram,
                          const MemOps *ops, void *opaque, pthread_mutex_t *lock)
{
    mem_region_init_io(r, mem, name, ram->size, ops, opaque, lock);
    r->kind = MEM_ROMD;
    r->ram = ram;
}

/* ---- topology ---- */

static void space_update(AddressSpace *as)
{
    FlatView *old = as->view, *new = flat_view_render(as->root);

    if (flat_view_equal(old, new)) {
        flat_view_free(new);
        return;
    }
    flat_view_set(as, new);
    for (MemListener *l = as->mem->listeners; l; l = l->next) {
        if (l->topology) {
            l->topology(l, as);
        }
    }
    flat_view_retire(as->mem, old);
}

void mem_topology_begin(Memory *mem)
{
    pthread_mutex_lock(&mem->topology);
    mem->depth++;
}

void mem_topology_commit(Memory *mem)
{
    assert(mem->depth > 0);
    if (--mem->depth == 0 && mem->changed) {
        mem->changed = false;
        for (unsigned i = 0; i < mem->spaces->len; i++) {
            space_update(g_ptr_array_index(mem->spaces, i));
        }
    }
    pthread_mutex_unlock(&mem->topology);
}

static void changed(MemRegion *r)
{
    r->mem->changed = true;
}

static gint by_priority(gconstpointer a, gconstpointer b)
{
    const MemRegion *x = a, *y = b;

    return x->priority > y->priority ? -1 : x->priority < y->priority;
}

/* In front of those of equal priority: the later one wins. */
static void insert_child(MemRegion *parent, MemRegion *child)
{
    GList *l = parent->children;

    while (l && by_priority(l->data, child) < 0) {
        l = l->next;
    }
    parent->children = g_list_insert_before(parent->children, l, child);
}

void mem_region_add_overlap(MemRegion *parent, uint64_t offset, MemRegion *child, int priority)
{
    assert(!child->parent);             /* a region has one place; use an alias for another */
    mem_topology_begin(parent->mem);
    child->parent = parent;
    child->offset = offset;
    child->priority = priority;
    insert_child(parent, child);
    changed(parent);
    mem_topology_commit(parent->mem);
}

void mem_region_add(MemRegion *parent, uint64_t offset, MemRegion *child)
{
    mem_region_add_overlap(parent, offset, child, 0);
}

void mem_region_del(MemRegion *child)
{
    Memory *mem = child->mem;

    assert(child->parent);
    mem_topology_begin(mem);
    child->parent->children = g_list_remove(child->parent->children, child);
    child->parent = NULL;
    changed(child);
    mem_topology_commit(mem);
}

#define SETTER(r, field, val) do { \
        mem_topology_begin((r)->mem); \
        if ((r)->field != (val)) { (r)->field = (val); changed(r); } \
        mem_topology_commit((r)->mem); \
    } while (0)

void mem_region_set_enabled(MemRegion *r, bool on)
{
    SETTER(r, enabled, on);
}

void mem_region_set_readonly(MemRegion *r, bool on)
{
    SETTER(r, readonly, on);
}

void mem_region_set_offset(MemRegion *r, uint64_t offset)
{
    SETTER(r, offset, offset);
}

void mem_region_set_size(MemRegion *r, uint64_t size)
{
    SETTER(r, size, size);
}

/* The flat view stays the same range, but what TLBs hold of it is no longer true: tell the listeners all the same. */
void mem_region_set_romd(MemRegion *r, bool reads_are_memory)
{
    Memory *mem = r->mem;

    mem_topology_begin(mem);
    if (r->romd != reads_are_memory) {
        __atomic_store_n(&r->romd, reads_are_memory, __ATOMIC_RELEASE);
        for (MemListener *l = mem->listeners; l; l = l->next) {
            for (unsigned i = 0; l->topology && i < mem->spaces->len; i++) {
                l->topology(l, g_ptr_array_index(mem->spaces, i));
            }
        }
    }
    mem_topology_commit(mem);
}

/* ---- address spaces ---- */

AddressSpace *address_space_new(Memory *mem, const char *name, MemRegion *root)
{
    AddressSpace *as = g_new0(AddressSpace, 1);

    as->mem = mem;
    as->name = g_strdup(name);
    as->root = root;
    mem_topology_begin(mem);
    as->view = flat_view_render(root);
    g_ptr_array_add(mem->spaces, as);
    mem_topology_commit(mem);
    return as;
}

void address_space_free(AddressSpace *as)
{
    if (!as) {
        return;
    }
    mem_topology_begin(as->mem);
    g_ptr_array_remove(as->mem->spaces, as);
    mem_topology_commit(as->mem);
    mem_synchronize();
    flat_view_free(as->view);
    g_free(as->name);
    g_free(as);
}

const char *address_space_name(const AddressSpace *as)
{
    return as->name;
}

Memory *address_space_memory(const AddressSpace *as)
{
    return as->mem;
}

void mem_view_foreach(AddressSpace *as, void (*fn)(const MemRange *range, void *data), void *data)
{
    FlatView *v;

    mem_read_begin();
    v = flat_view_get(as);
    for (unsigned i = 0; i < v->n; i++) {
        const FlatRange *f = &v->r[i];
        MemRange r = { f->start, f->last - f->start + 1, f->region, f->offset, f->readonly,
                       f->region->kind == MEM_ROMD && f->region->romd };

        if (r.size == 0) {
            r.size = UINT64_MAX;
        }
        fn(&r, data);
    }
    mem_read_end();
}

/* ---- listeners, the object ---- */

void mem_listener_add(Memory *mem, MemListener *l)
{
    mem_topology_begin(mem);
    l->next = mem->listeners;
    __atomic_store_n(&mem->listeners, l, __ATOMIC_RELEASE);
    mem_topology_commit(mem);
}

void mem_listener_del(Memory *mem, MemListener *l)
{
    mem_topology_begin(mem);
    for (MemListener **p = &mem->listeners; *p; p = &(*p)->next) {
        if (*p == l) {
            __atomic_store_n(p, l->next, __ATOMIC_RELEASE);
            break;
        }
    }
    mem_topology_commit(mem);
    mem_synchronize();
}

Memory *memory_new(void)
{
    Memory *mem = g_new0(Memory, 1);
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&mem->topology, &attr);
    pthread_mutexattr_destroy(&attr);
    mem->spaces = g_ptr_array_new();
    mem->retired = g_ptr_array_new();
    mem_region_init(&mem->hole, mem, "hole", UINT64_MAX);
    mem->hole.kind = MEM_IO;
    dirty_init(mem);
    return mem;
}

void memory_free(Memory *mem)
{
    if (!mem) {
        return;
    }
    assert(mem->spaces->len == 0);
    while (mem->blocks) {
        ram_block_free(mem->blocks);
    }
    flat_views_free_retired(mem);
    g_ptr_array_free(mem->retired, TRUE);
    g_ptr_array_free(mem->spaces, TRUE);
    dirty_fini(mem);
    pthread_mutex_destroy(&mem->topology);
    g_free(mem);
}
