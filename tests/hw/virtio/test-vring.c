/* SPDX-License-Identifier: MIT */
/* Rings against a driver written from the specification, and rings that lie. */
#include <glib.h>
#include <string.h>

#include "tests/hw/virtio/drv.h"
#include "util/iov.h"
#include "util/vring.h"

enum { RAM = 4 << 20 };
#define BASE 0x40000000ull

typedef struct World { DrvMem m; int maps; uint64_t cut; } World;

static uint8_t *at(World *w, uint64_t addr, uint64_t len)
{
    return addr >= w->m.base && addr - w->m.base < w->m.size && len <= w->m.size - (addr - w->m.base) ? w->m.host + (addr - w->m.base) : NULL;
}

static bool w_load(void *o, uint64_t addr, unsigned size, uint64_t *val)
{
    uint8_t *p = at(o, addr, size);

    *val = 0;
    return p ? memcpy(val, p, size), true : false;
}

static bool w_store(void *o, uint64_t addr, unsigned size, uint64_t val)
{
    uint8_t *p = at(o, addr, size);

    return p ? memcpy(p, &val, size), true : false;
}

static bool w_read(void *o, uint64_t addr, void *buf, uint64_t len)
{
    uint8_t *p = at(o, addr, len);

    return p ? memcpy(buf, p, len), true : false;
}

static void *w_map(void *o, uint64_t addr, uint64_t *len, bool writes)
{
    World *w = o;
    uint8_t *p = at(w, addr, 1);

    (void)writes;
    if (!p) {
        return NULL;
    }
    *len = MIN(*len, w->m.base + w->m.size - addr);
    if (w->cut) {
        *len = MIN(*len, w->cut);
    }
    w->maps++;
    return p;
}

static void w_unmap(void *o, void *host, uint64_t len, bool writes, uint64_t written)
{
    World *w = o;

    (void)host, (void)writes;
    g_assert_cmpuint(written, <=, len);
    w->maps--;
}

static const VringMem world_mem = { w_load, w_store, w_read, w_map, w_unmap };

static World *world_new(void)
{
    World *w = g_new0(World, 1);

    w->m = (DrvMem){ g_malloc0(RAM), BASE, RAM, BASE };
    return w;
}

static void world_free(World *w)
{
    g_assert_cmpint(w->maps, ==, 0);
    g_free(w->m.host);
    g_free(w);
}

static void attach(Vring *vr, World *w, DrvQueue *q)
{
    vring_init(vr, &world_mem, w);
    vr->num = q->num;
    vr->desc = q->desc;
    vr->avail = q->avail;
    vr->used = q->used;
    vring_start(vr, q->packed, q->event_idx);
}

/* The device's work: the sum of what it reads goes into all that it may write. */
static void work(VringElem *e)
{
    uint8_t sum = 0, c;

    for (uint64_t i = 0; i < e->out_bytes; i++) {
        iov_read(e->out, e->nout, i, &c, 1);
        sum += c;
    }
    iov_fill(e->in, e->nin, 0, sum, e->in_bytes);
}

/* Takes what there is; finishes some of it later and in another order. */
static void serve(Vring *vr, GRand *r, GQueue *held)
{
    VringElem *e;

    while ((e = vring_pop(vr))) {
        g_queue_push_tail(held, e);
        while (g_queue_get_length(held) > (guint)g_rand_int_range(r, 0, 4)) {
            e = g_rand_boolean(r) ? g_queue_pop_head(held) : g_queue_pop_tail(held);
            work(e);
            vring_push(vr, e, e->in_bytes);
        }
    }
}

/* All that is held, visible in one step. */
static void finish_all(Vring *vr, GQueue *held)
{
    VringElem *e;

    while ((e = g_queue_pop_head(held))) {
        work(e);
        vring_fill(vr, e, e->in_bytes);
    }
    vring_flush(vr);
}

typedef struct Sent { bool busy; uint8_t sum; DrvSg sg[6]; unsigned nout, nin; uint32_t in_bytes; } Sent;

static void take(World *w, DrvQueue *q, Sent *sent, unsigned *open)
{
    uint32_t len;
    int id;

    while ((id = drvq_used(q, &len)) >= 0) {
        Sent *s = &sent[id];

        g_assert_true(s->busy);
        g_assert_cmpuint(len, ==, s->in_bytes);
        for (unsigned i = s->nout; i < s->nout + s->nin; i++) {
            uint8_t *p = drv_ptr(&w->m, s->sg[i].addr);

            for (uint32_t k = 0; k < s->sg[i].len; k++) {
                g_assert_cmpuint(p[k], ==, s->sum);
            }
        }
        s->busy = false;
        (*open)--;
    }
}

static bool send_one(World *w, DrvQueue *q, Sent *sent, GRand *r)
{
    Sent s = { .busy = true, .nout = g_rand_int_range(r, 0, 4), .nin = g_rand_int_range(r, 0, 3) };
    int id;

    s.nin += !s.nout && !s.nin;
    for (unsigned i = 0; i < s.nout + s.nin; i++) {
        s.sg[i] = (DrvSg){ drv_alloc(&w->m, 64, 1), g_rand_int_range(r, 1, 40) };
        for (uint32_t k = 0; k < s.sg[i].len && i < s.nout; k++) {
            s.sum += *((uint8_t *)drv_ptr(&w->m, s.sg[i].addr) + k) = g_rand_int(r);
        }
        s.in_bytes += i >= s.nout ? s.sg[i].len : 0;
    }
    id = drvq_add(q, s.sg, s.nout, s.nin);
    if (id >= 0) {
        sent[id] = s;
    }
    return id >= 0;
}

/* Thousands of requests of random shape; data, lengths and ids come back right, and kicks and interrupts are never missing. */
static void traffic(gconstpointer data)
{
    unsigned mode = GPOINTER_TO_UINT(data);
    World *w = world_new();
    DrvQueue *q = drvq_new(&w->m, mode & 1 ? 12 : 16, mode & 1, mode & 2, mode & 4, mode & 8);
    g_autofree Sent *sent = g_new0(Sent, q->num);
    g_autoptr(GQueue) held = g_queue_new();
    g_autoptr(GRand) r = g_rand_new_with_seed(mode + 1);
    uint64_t keep = w->m.next;
    unsigned open = 0, kicks = 0, irqs = 0, total = 0;
    VringElem *e;
    Vring vr;

    w->cut = mode & 4 ? 7 : 0;
    attach(&vr, w, q);
    for (unsigned round = 0; round < 3000; round++) {
        if (!open) {
            w->m.next = keep;
        }
        for (int n = g_rand_int_range(r, 0, 6); n && send_one(w, q, sent, r); n--) {
            open++;
            total++;
        }
        if (drvq_kick_wanted(q)) {
            kicks++;
            serve(&vr, r, held);
        }
        if (round % 3 == 0) {
            finish_all(&vr, held);
        }
        if (vring_should_notify(&vr)) {
            irqs++;
            take(w, q, sent, &open);
        }
        g_assert_true(vring_empty(&vr));                /* no kick was lost */
        g_assert_cmpuint(open, <=, q->num);
        g_assert_false(vr.broken);
        if (open && g_queue_is_empty(held)) {
            g_assert_cmpint(open, ==, 0);               /* all pushed, so the interrupt must have come */
        }
    }
    g_assert_cmpuint(total, >, 2000);
    g_assert_cmpuint(kicks, >, 100);
    g_assert_cmpuint(irqs, >, 100);
    while ((e = g_queue_pop_head(held))) {
        vring_drop(&vr, e);
    }
    drvq_free(q);
    world_free(w);
}

static void broken_by(World *w, DrvQueue *q, const char *why)
{
    Vring vr;
    VringElem *e;

    attach(&vr, w, q);
    while ((e = vring_pop(&vr))) {
        vring_drop(&vr, e);
    }
    g_assert_true(vr.broken);
    g_assert_cmpstr(vr.why, ==, why);
    g_assert_null(vring_pop(&vr));
    g_assert_false(vring_should_notify(&vr));
    g_assert_cmpint(w->maps, ==, 0);
}

static void raw_desc(World *w, uint64_t at_, uint64_t addr, uint32_t len, uint16_t third, uint16_t fourth)
{
    drv_put64(&w->m, at_, addr);
    drv_put32(&w->m, at_ + 8, len);
    drv_put16(&w->m, at_ + 12, third);
    drv_put16(&w->m, at_ + 14, fourth);
}

static void hostile_split(void)
{
    World *w = world_new();
    DrvQueue *q = drvq_new(&w->m, 4, false, false, false, false);
    uint64_t buf = drv_alloc(&w->m, 64, 16);

    drv_put16(&w->m, q->avail + 2, 1);
    drv_put16(&w->m, q->avail + 4, 4);
    broken_by(w, q, "a descriptor index is out of range");
    drv_put16(&w->m, q->avail + 4, 0);
    raw_desc(w, q->desc, buf, 8, 1, 7);
    broken_by(w, q, "a descriptor index is out of range");
    raw_desc(w, q->desc, buf, 8, 1, 0);
    broken_by(w, q, "a chain of descriptors does not end");
    raw_desc(w, q->desc, buf, 0, 0, 0);
    broken_by(w, q, "a descriptor has length 0");
    raw_desc(w, q->desc, 0x1000, 8, 0, 0);
    broken_by(w, q, "a descriptor points to what is not memory");
    raw_desc(w, q->desc, BASE + RAM - 8, 16, 2, 0);
    broken_by(w, q, "a descriptor points to what is not memory");
    raw_desc(w, q->desc, buf, 8, 3, 1);
    raw_desc(w, q->desc + 16, buf, 8, 0, 0);
    broken_by(w, q, "a readable descriptor follows a writable one");
    raw_desc(w, q->desc, buf, 17, 4, 0);
    broken_by(w, q, "an indirect table has an impossible size");
    raw_desc(w, q->desc, buf, 16, 4, 0);
    raw_desc(w, buf, buf, 16, 4, 0);
    broken_by(w, q, "an indirect table holds an indirect descriptor");
    raw_desc(w, buf, buf, 16, 1, 0);
    broken_by(w, q, "a chain of descriptors does not end");
    raw_desc(w, buf, buf, 16, 1, 1);
    broken_by(w, q, "an indirect table points outside of itself");
    raw_desc(w, q->desc, 0x1000, 16, 4, 0);
    broken_by(w, q, "a descriptor does not lie in memory");
    raw_desc(w, q->desc, ~0ull - 4, 16, 0, 0);
    broken_by(w, q, "a request is longer than 4 GiB");
    raw_desc(w, q->desc, buf, 8, 0, 0);
    drv_put16(&w->m, q->avail + 2, 5);
    broken_by(w, q, "the available index jumped by more than the size of the ring");
    drv_put16(&w->m, q->avail + 2, 1);
    q->avail = 0x1000;
    broken_by(w, q, "the ring does not lie in memory");
    drvq_free(q);
    world_free(w);
}

static void hostile_packed(void)
{
    World *w = world_new();
    DrvQueue *q = drvq_new(&w->m, 4, true, false, false, false);
    uint64_t buf = drv_alloc(&w->m, 64, 16);

    for (unsigned i = 0; i < 4; i++) {
        raw_desc(w, q->desc + 16 * i, buf, 8, 0, 0x81);
    }
    broken_by(w, q, "a chain of descriptors does not end");
    raw_desc(w, q->desc, buf, 16, 0, 0x85);
    raw_desc(w, buf, buf, 16, 0, 0);
    broken_by(w, q, "an indirect descriptor has a successor");
    raw_desc(w, q->desc, buf, 16, 0, 0x84);
    raw_desc(w, buf, 0x10, 16, 0, 0);
    broken_by(w, q, "a descriptor points to what is not memory");
    drvq_free(q);
    world_free(w);
}

/* Popping and putting back leaves the ring as it was; a request can be mapped again from its addresses. */
static void unpop_remap(gconstpointer data)
{
    World *w = world_new();
    DrvQueue *q = drvq_new(&w->m, 8, data != NULL, true, false, false);
    DrvSg sg[3] = { { drv_alloc(&w->m, 8, 8), 8 }, { drv_alloc(&w->m, 16, 8), 16 }, { drv_alloc(&w->m, 32, 8), 32 } };
    VringElem *a, *b;
    uint64_t lens[3] = { 8, 16, 32 }, addrs[3];
    uint32_t len;
    Vring vr;
    int first, second;

    attach(&vr, w, q);
    for (int round = 0; round < 9; round++) {
        first = drvq_add(q, sg, 1, 2);
        second = drvq_add(q, sg, 2, 1);
        g_assert_cmpuint(vring_in_space(&vr, 1000), ==, 80);
        a = vring_pop(&vr);
        b = vring_pop(&vr);
        g_assert_null(vring_pop(&vr));
        vring_unpop(&vr, b);
        vring_unpop(&vr, a);
        a = vring_pop(&vr);
        g_assert_cmpint(a->id, ==, first);
        memcpy(addrs, a->addr, sizeof(addrs));
        b = vring_remap(&vr, a->id, a->ndesc, addrs, lens, 1, 2);
        g_assert_true(b->in[1].iov_base == a->in[1].iov_base && b->in[1].iov_len == a->in[1].iov_len);
        vr.in_flight += b->ndesc;
        vring_drop(&vr, a);
        a = vring_pop(&vr);
        vring_push(&vr, a, 3);
        vring_push(&vr, b, 5);
        g_assert_cmpint(drvq_used(q, &len), ==, second);
        g_assert_cmpuint(len, ==, 3);
        g_assert_cmpint(drvq_used(q, &len), ==, first);
        g_assert_cmpuint(len, ==, 5);
        g_assert_cmpint(drvq_used(q, &len), ==, -1);
        g_assert_cmpuint(vr.in_flight, ==, 0);
    }
    drvq_free(q);
    world_free(w);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned mode = 0; mode < 16; mode++) {
        if (!(mode & 1) || !(mode & 8)) {
            g_autofree char *name = g_strdup_printf("/vring/traffic/%s%s%s%s", mode & 1 ? "packed" : "split", mode & 2 ? "-event" : "",
                                                    mode & 4 ? "-indirect" : "", mode & 8 ? "-legacy" : "");

            g_test_add_data_func(name, GUINT_TO_POINTER(mode), traffic);
        }
    }
    g_test_add_func("/vring/hostile/split", hostile_split);
    g_test_add_func("/vring/hostile/packed", hostile_packed);
    g_test_add_data_func("/vring/unpop/split", NULL, unpop_remap);
    g_test_add_data_func("/vring/unpop/packed", "p", unpop_remap);
    return g_test_run();
}
