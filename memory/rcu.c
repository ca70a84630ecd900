/* SPDX-License-Identifier: MIT */
/* Read-copy-update: the only file that knows which flavour. */
#include "memory/memory-priv.h"

#include <urcu-bp.h>

enum { RETIRED_MAX = 32 };

/* liburcu is not built with the sanitizer: say what a grace period orders. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
static char grace;
#define READER_DONE() __tsan_release(&grace)
#define GRACE_OVER() __tsan_acquire(&grace)
#else
#define READER_DONE() ((void)0)
#define GRACE_OVER() ((void)0)
#endif

void mem_read_begin(void)
{
    rcu_read_lock();
}

void mem_read_end(void)
{
    READER_DONE();
    rcu_read_unlock();
}

void mem_synchronize(void)
{
    synchronize_rcu();
    GRACE_OVER();
}

/*
 * Old views wait here for a grace period.  No call_rcu(): its thread would still
 * be at work while the process ends.  Within a read section (a store that
 * moves a window) they wait for the next change.
 */
void flat_view_retire(Memory *mem, FlatView *v)
{
    g_ptr_array_add(mem->retired, v);
    if (mem->retired->len >= RETIRED_MAX && !rcu_read_ongoing()) {
        flat_views_free_retired(mem);
    }
}

void flat_views_free_retired(Memory *mem)
{
    if (!mem->retired->len) {
        return;
    }
    synchronize_rcu();
    GRACE_OVER();
    for (guint i = 0; i < mem->retired->len; i++) {
        flat_view_free(g_ptr_array_index(mem->retired, i));
    }
    g_ptr_array_set_size(mem->retired, 0);
}

FlatView *flat_view_get(AddressSpace *as)
{
    return __atomic_load_n(&as->view, __ATOMIC_ACQUIRE);
}

void flat_view_set(AddressSpace *as, FlatView *v)
{
    __atomic_store_n(&as->view, v, __ATOMIC_RELEASE);
}
