/* SPDX-License-Identifier: MIT */
/* Read-copy-update: the only file that knows which flavour. */
#include "memory/memory-priv.h"

#include <urcu-bp.h>

typedef struct Retired {
    struct rcu_head rcu;
    FlatView *view;
} Retired;

void mem_read_begin(void)
{
    rcu_read_lock();
}

void mem_read_end(void)
{
    rcu_read_unlock();
}

void mem_synchronize(void)
{
    synchronize_rcu();
}

static void retired_free(struct rcu_head *head)
{
    Retired *r = caa_container_of(head, Retired, rcu);

    flat_view_free(r->view);
    g_free(r);
}

void flat_view_retire(FlatView *v)
{
    Retired *r;

    if (v) {
        r = g_new0(Retired, 1);
        r->view = v;
        call_rcu(&r->rcu, retired_free);
    }
}

FlatView *flat_view_get(AddressSpace *as)
{
    return rcu_dereference(as->view);
}

void flat_view_set(AddressSpace *as, FlatView *v)
{
    rcu_assign_pointer(as->view, v);
}
