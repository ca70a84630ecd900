/* SPDX-License-Identifier: MIT */
/*
 * How rings reach guest memory.  The areas of a started queue are kept as host
 * windows (pinned RAM), so that an index costs a load; buffers and whatever
 * lies elsewhere go through the address space.
 */
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-priv.h"

#include <string.h>

#include "hw/core/machine.h"
#include "util/bswap.h"

enum { WINDOWS = 3 };

struct VirtQueueWindow {
    uint64_t addr, len;
    uint8_t *host;
    uint64_t ram_addr;
};

static MemAttrs attrs(const VirtQueue *q)
{
    return q->vdev->vpci ? pci_attrs(&q->vdev->pci) : MEM_ATTRS_NONE;
}

static AddressSpace *space(const VirtQueue *q)
{
    return q->vdev->dev.dma_as;
}

static struct VirtQueueWindow *window(VirtQueue *q, uint64_t addr, uint64_t len)
{
    for (unsigned i = 0; q->win && i < WINDOWS; i++) {
        if (addr - q->win[i].addr < q->win[i].len && len <= q->win[i].len - (addr - q->win[i].addr)) {
            return &q->win[i];
        }
    }
    return NULL;
}

static bool load(void *opaque, uint64_t addr, unsigned size, uint64_t *val)
{
    VirtQueue *q = opaque;
    struct VirtQueueWindow *w = window(q, addr, size);
    const void *at;

    if (!w || (addr & (size - 1))) {
        return dma_load_le(space(q), addr, size, val, attrs(q)) == MEM_OK;
    }
    at = w->host + (addr - w->addr);
    switch (size) {
    case 2: *val = le16toh(__atomic_load_n((const uint16_t *)at, __ATOMIC_ACQUIRE)); break;
    case 4: *val = le32toh(__atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE)); break;
    default: *val = le64toh(__atomic_load_n((const uint64_t *)at, __ATOMIC_ACQUIRE)); break;
    }
    return true;
}

static bool store(void *opaque, uint64_t addr, unsigned size, uint64_t val)
{
    VirtQueue *q = opaque;
    struct VirtQueueWindow *w = window(q, addr, size);
    void *at;

    if (!w || (addr & (size - 1))) {
        return dma_store_le(space(q), addr, size, val, attrs(q)) == MEM_OK;
    }
    at = w->host + (addr - w->addr);
    switch (size) {
    case 2: __atomic_store_n((uint16_t *)at, htole16((uint16_t)val), __ATOMIC_RELEASE); break;
    case 4: __atomic_store_n((uint32_t *)at, htole32((uint32_t)val), __ATOMIC_RELEASE); break;
    default: __atomic_store_n((uint64_t *)at, htole64(val), __ATOMIC_RELEASE); break;
    }
    mem_written(q->vdev->dev.machine->mem, w->ram_addr + (addr - w->addr), size);
    return true;
}

static bool read_bytes(void *opaque, uint64_t addr, void *buf, uint64_t len)
{
    VirtQueue *q = opaque;
    struct VirtQueueWindow *w = window(q, addr, len);

    if (w) {
        memcpy(buf, w->host + (addr - w->addr), len);
        return true;
    }
    return dma_read(space(q), addr, buf, len, attrs(q)) == MEM_OK;
}

static void *map(void *opaque, uint64_t addr, uint64_t *len, bool device_writes)
{
    VirtQueue *q = opaque;

    return dma_map(space(q), addr, len, device_writes, attrs(q));
}

static void unmap(void *opaque, void *host, uint64_t len, bool device_writes, uint64_t written)
{
    VirtQueue *q = opaque;

    dma_unmap(space(q), host, len, device_writes, written);
}

const VringMem virtio_ring_mem = { load, store, read_bytes, map, unmap };

static void window_open(VirtQueue *q, struct VirtQueueWindow *w, uint64_t addr, uint64_t len)
{
    uint64_t got = len, offset;
    uint8_t *host = len ? dma_map(space(q), addr, &got, true, attrs(q)) : NULL;
    RamBlock *b;

    if (!host) {
        return;
    }
    b = ram_block_of_host(q->vdev->dev.machine->mem, host, &offset);
    *w = (struct VirtQueueWindow){ addr, got, host, b->ram_addr + offset };
}

void virtio_windows_open(VirtQueue *q)
{
    Vring *vr = &q->ring;

    virtio_windows_close(q);
    q->win = g_new0(struct VirtQueueWindow, WINDOWS);
    window_open(q, &q->win[0], vr->desc, vring_desc_bytes(vr));
    window_open(q, &q->win[1], vr->avail, vring_avail_bytes(vr));
    window_open(q, &q->win[2], vr->used, vring_used_bytes(vr));
}

void virtio_windows_close(VirtQueue *q)
{
    for (unsigned i = 0; q->win && i < WINDOWS; i++) {
        if (q->win[i].host) {
            dma_unmap(space(q), q->win[i].host, q->win[i].len, true, 0);
        }
    }
    g_clear_pointer(&q->win, g_free);
}
