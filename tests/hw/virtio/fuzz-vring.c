/* SPDX-License-Identifier: MIT */
/* A ring made of foreign bytes: the first byte says which kind, the rest is the driver's memory. */
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <glib.h>
#include <string.h>

#include "util/iov.h"
#include "util/vring.h"

typedef struct Bytes { uint8_t *p; uint64_t size; int maps; } Bytes;

static bool b_load(void *o, uint64_t addr, unsigned size, uint64_t *val)
{
    Bytes *b = o;

    *val = 0;
    if (addr >= b->size || size > b->size - addr) {
        return false;
    }
    memcpy(val, b->p + addr, size);
    return true;
}

static bool b_store(void *o, uint64_t addr, unsigned size, uint64_t val)
{
    Bytes *b = o;

    if (addr >= b->size || size > b->size - addr) {
        return false;
    }
    memcpy(b->p + addr, &val, size);
    return true;
}

static bool b_read(void *o, uint64_t addr, void *buf, uint64_t len)
{
    Bytes *b = o;

    if (addr >= b->size || len > b->size - addr) {
        return false;
    }
    memcpy(buf, b->p + addr, len);
    return true;
}

static void *b_map(void *o, uint64_t addr, uint64_t *len, bool writes)
{
    Bytes *b = o;

    (void)writes;
    if (addr >= b->size) {
        return NULL;
    }
    *len = MIN(*len, b->size - addr);
    b->maps++;
    return b->p + addr;
}

static void b_unmap(void *o, void *host, uint64_t len, bool writes, uint64_t written)
{
    (void)host, (void)writes;
    assert(written <= len);
    ((Bytes *)o)->maps--;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const VringMem mem = { b_load, b_store, b_read, b_map, b_unmap };
    Bytes b = { .size = size };
    VringElem *held[4] = { 0 }, *e;
    Vring vr;
    uint8_t how;

    if (size < 2) {
        return 0;
    }
    how = data[0];
    b.p = g_memdup2(data, size);
    vring_init(&vr, &mem, &b);
    vr.num = 1 << (how & 3);
    vr.desc = 2;
    vr.avail = vr.desc + 16ull * vr.num;
    vr.used = vr.avail + 6 + 2ull * vr.num;
    vring_start(&vr, how & 4, how & 8);
    for (int i = 0; i < 64; i++) {
        vring_set_kicks(&vr, i & 1);
        e = vring_pop(&vr);
        if (e) {
            iov_fill(e->in, e->nin, 0, (uint8_t)i, e->in_bytes);
        }
        if (e && (how & 16) && i % 5 == 0) {
            vring_unpop(&vr, e);
            e = NULL;
        }
        if (held[i % 4]) {
            vring_push(&vr, held[i % 4], (uint32_t)held[i % 4]->in_bytes);
        }
        held[i % 4] = e;
        vring_should_notify(&vr);
        vring_in_space(&vr, 1 << 20);
    }
    for (int i = 0; i < 4; i++) {
        if (held[i]) {
            vring_drop(&vr, held[i]);
        }
    }
    assert(b.maps == 0);
    g_free(b.p);
    return 0;
}
