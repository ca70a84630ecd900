/* SPDX-License-Identifier: MIT */
/*
 * The log ([MS-VHDX] 2.3).
 *
 * Writing: each entry stands alone (its tail is itself), because what the one
 * before said is in place and flushed before the next is written; no entry
 * takes more than a third of the log, so the last one is never overwritten by
 * the next.  The header names the log after its first entry is there.
 *
 * Reading: of the valid entries the one with the highest number ends the
 * active sequence, and its tail begins it.
 */
#include "block/vhdx/vhdx-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/entropy.h"
#include "util/bswap.h"
#include "util/size.h"

enum {
    L_SIGNATURE = 0, L_CHECKSUM = 4, L_LENGTH = 8, L_TAIL = 12, L_SEQUENCE = 16, L_COUNT = 24, L_GUID = 32, L_FLUSHED = 48, L_LAST = 56, L_HEADER = 64,
    D_TRAILING = 4, D_LEADING = 8, D_OFFSET = 16, D_SEQUENCE = 24, D_SIZE = 32,
    S_HIGH = 4, S_DATA = 8, S_LOW = 4092, SECTOR = 4096,
};
#define CHECK_BUDGET (1ull << 30)               /* bytes of claimed entries looked at: a log may be as long as 4 GiB and full of lies */

typedef struct {
    uint64_t at, len, tail, sequence;
} Entry;

static uint64_t descriptor_bytes(uint64_t count)
{
    return format_round(L_HEADER + count * D_SIZE, SECTOR);
}

/* ---- reading ---- */

/* Bytes of the log, around its end. */
static int log_read(BlkNode *n, uint64_t at, uint8_t *buf, uint64_t len)
{
    Vhdx *s = vhdx_of(n);
    uint64_t now = MIN(len, s->log_len - at);
    int r = node_pread_padded(n->file->node, s->log_at + at, buf, now);

    return r || now == len ? r : node_pread_padded(n->file->node, s->log_at, buf + now, len - now);
}

static bool header_plausible(const Vhdx *s, const uint8_t *h)
{
    uint64_t len = (uint32_t)ldl_le_p(h + L_LENGTH), tail = (uint32_t)ldl_le_p(h + L_TAIL), count = (uint32_t)ldl_le_p(h + L_COUNT);

    return !memcmp(h, "loge", 4) && len >= SECTOR && len % SECTOR == 0 && len <= s->log_len && tail % SECTOR == 0 && tail < s->log_len && ldq_le_p(h + L_SEQUENCE)
           && !memcmp(h + L_GUID, s->header + VH_LOG_GUID, 16) && descriptor_bytes(count) <= len;
}

/* The whole entry, when it is one; NULL: not. */
static uint8_t *entry_load(BlkNode *n, uint64_t at, uint64_t len)
{
    uint8_t *e = g_try_malloc(len);

    if (!e || log_read(n, at, e, len) < 0 || !header_plausible(vhdx_of(n), e) || !vhdx_sealed(e, len)) {
        g_free(e);
        return NULL;
    }
    return e;
}

static bool collect(BlkNode *n, GArray *entries, Error **errp)
{
    Vhdx *s = vhdx_of(n);
    uint64_t budget = CHECK_BUDGET, end = node_size(n->file->node) > s->log_at ? MIN(s->log_len, node_size(n->file->node) - s->log_at) : 0;

    for (uint64_t at = 0; at < end; at += SECTOR) {
        uint8_t h[L_HEADER], *e;
        Entry found;
        int r = node_pread_padded(n->file->node, s->log_at + at, h, sizeof(h));

        if (r < 0) {
            return error_set_errno(errp, -r, "Could not read the VHDX log");
        }
        if (!header_plausible(s, h)) {
            continue;
        }
        found = (Entry){ at, (uint32_t)ldl_le_p(h + L_LENGTH), (uint32_t)ldl_le_p(h + L_TAIL), ldq_le_p(h + L_SEQUENCE) };
        if (found.len > budget) {
            return error_set(errp, "the VHDX log is full of entries that overlap");
        }
        budget -= found.len;
        e = entry_load(n, at, found.len);
        if (e) {
            g_array_append_val(entries, found);
            g_free(e);
        }
    }
    return true;
}

static const Entry *entry_at(const GArray *entries, uint64_t at)
{
    for (unsigned i = 0; i < entries->len; i++) {
        const Entry *e = &g_array_index(entries, Entry, i);

        if (e->at == at) {
            return e;
        }
    }
    return NULL;
}

/* From the head's tail to the head, each number one more than the last. */
static bool chain(const Vhdx *s, const GArray *entries, const Entry *head, GPtrArray *out)
{
    const Entry *e = entry_at(entries, head->tail);

    g_ptr_array_set_size(out, 0);
    while (e && out->len <= entries->len) {
        const Entry *next;

        g_ptr_array_add(out, (void *)e);
        if (e == head) {
            return true;
        }
        next = entry_at(entries, (e->at + e->len) % s->log_len);
        e = next && next->sequence == e->sequence + 1 ? next : NULL;
    }
    return false;
}

static bool active(const Vhdx *s, const GArray *entries, GPtrArray *out)
{
    const Entry *best = NULL;
    uint64_t below = UINT64_MAX;

    do {
        best = NULL;
        for (unsigned i = 0; i < entries->len; i++) {
            const Entry *e = &g_array_index(entries, Entry, i);

            if (e->sequence < below && (!best || e->sequence > best->sequence)) {
                best = e;
            }
        }
        if (best && chain(s, entries, best, out)) {
            return true;
        }
        below = best ? best->sequence : 0;
    } while (best);
    return false;
}

static int apply_descriptor(BlkNode *n, const uint8_t *d, const uint8_t *sector, uint64_t sequence, bool *took_sector)
{
    uint64_t at = ldq_le_p(d + D_OFFSET), len = ldq_le_p(d + D_LEADING);
    uint8_t *page;
    int r;

    if (at % SECTOR || at > INT64_MAX / 2 || (uint64_t)ldq_le_p(d + D_SEQUENCE) != sequence) {
        return -EINVAL;
    }
    if (!memcmp(d, "zero", 4)) {
        return len % SECTOR || at + len > node_size(n->file->node) || at + len < at ? -EINVAL : node_zeroes(n->file->node, at, len, 0);
    }
    if (memcmp(d, "desc", 4) || !sector || memcmp(sector, "data", 4) || (uint32_t)ldl_le_p(sector + S_HIGH) != sequence >> 32 || (uint32_t)ldl_le_p(sector + S_LOW) != (uint32_t)sequence) {
        return -EINVAL;
    }
    page = blk_buffer(SECTOR);
    memcpy(page, d + D_LEADING, 8);
    memcpy(page + S_DATA, sector + S_DATA, S_LOW - S_DATA);
    memcpy(page + S_LOW, d + D_TRAILING, 4);
    r = node_pwrite(n->file->node, at, page, SECTOR);
    free(page);
    *took_sector = true;
    return r;
}

static int apply(BlkNode *n, const Entry *e)
{
    g_autofree uint8_t *bytes = entry_load(n, e->at, e->len);
    uint64_t count, data, last, size = node_size(n->file->node);
    int r = 0;

    if (!bytes) {
        return -EIO;
    }
    count = (uint32_t)ldl_le_p(bytes + L_COUNT);
    data = descriptor_bytes(count);
    last = ldq_le_p(bytes + L_LAST);
    if ((uint64_t)ldq_le_p(bytes + L_FLUSHED) > size || last > INT64_MAX / 2) {
        return -EINVAL;                         /* the file lost its end */
    }
    if (last > size && !node_resize(n->file->node, last, BLK_PREALLOC_OFF, NULL)) {
        return -ENOSPC;
    }
    for (uint64_t i = 0; i < count && r == 0; i++) {
        bool took = false;

        r = apply_descriptor(n, bytes + L_HEADER + i * D_SIZE, data + SECTOR <= e->len ? bytes + data : NULL, e->sequence, &took);
        data += took ? SECTOR : 0;
    }
    return r;
}

bool vhdx_replay(BlkNode *n, Error **errp)
{
    Vhdx *s = vhdx_of(n);
    g_autoptr(GArray) entries = g_array_new(false, false, sizeof(Entry));
    g_autoptr(GPtrArray) sequence = g_ptr_array_new();
    int r = 0;

    if (vhdx_all_zero(s->header + VH_LOG_GUID, 16)) {
        return true;
    }
    if (!collect(n, entries, errp)) {
        return false;
    }
    if (!active(s, entries, sequence)) {
        return error_set(errp, "the header names a VHDX log, and no valid entry is in it");
    }
    if (n->read_only) {
        error_set(errp, "VHDX image file '%s' opened read-only, but contains a log that needs to be replayed", n->file->node->filename);
        return error_hint(errp, "To replay the log, run:\nqemu-img check -r all '%s'", n->file->node->filename);
    }
    for (unsigned i = 0; i < sequence->len && r == 0; i++) {
        r = apply(n, sequence->pdata[i]);
    }
    r = r ? r : node_flush(n->file->node);
    r = r ? r : vhdx_write_header(n, NULL, false, false);
    s->replayed = r == 0;
    return r == 0 || error_set_errno(errp, -r, "Could not replay the VHDX log");
}

/* ---- writing ---- */

static void add_page(uint8_t *e, unsigned i, uint64_t data, const MetaPage *p, uint64_t sequence)
{
    uint8_t *d = e + L_HEADER + i * D_SIZE, *sector = e + data + i * (uint64_t)SECTOR;

    memcpy(d, "desc", 4);
    memcpy(d + D_TRAILING, p->data + S_LOW, 4);
    memcpy(d + D_LEADING, p->data, 8);
    stq_le_p(d + D_OFFSET, p->offset);
    stq_le_p(d + D_SEQUENCE, sequence);
    memcpy(sector, "data", 4);
    stl_le_p(sector + S_HIGH, sequence >> 32);
    memcpy(sector + S_DATA, p->data + S_DATA, S_LOW - S_DATA);
    stl_le_p(sector + S_LOW, sequence);
}

static uint64_t next_place(Vhdx *s, uint64_t len)
{
    uint64_t at = s->log_next + len <= s->log_len ? s->log_next : 0;

    s->log_next = at + len;
    return at;
}

static int write_entry(BlkNode *n, GPtrArray *pages)
{
    Vhdx *s = vhdx_of(n);
    uint64_t head = descriptor_bytes(pages->len), len = head + pages->len * (uint64_t)SECTOR, at = next_place(s, len), size = node_size(n->file->node);
    uint8_t *e = blk_buffer(len);
    int r;

    memset(e, 0, len);
    s->log_sequence++;
    memcpy(e, "loge", 4);
    stl_le_p(e + L_LENGTH, len);
    stl_le_p(e + L_TAIL, at);
    stq_le_p(e + L_SEQUENCE, s->log_sequence);
    stl_le_p(e + L_COUNT, pages->len);
    memcpy(e + L_GUID, s->log_guid, 16);
    stq_le_p(e + L_FLUSHED, size / V_MB * V_MB);
    stq_le_p(e + L_LAST, size / V_MB * V_MB);
    for (unsigned i = 0; i < pages->len; i++) {
        add_page(e, i, head, pages->pdata[i], s->log_sequence);
    }
    vhdx_seal(e, len);
    r = node_pwrite(n->file->node, s->log_at + at, e, len);
    free(e);
    return r ? r : node_flush(n->file->node);
}

/* Of these all at least, of others as many as there is room for: an entry is whole, but the one after it may not be. */
static void collect_dirty(const Grains *g, GPtrArray *pages, unsigned max, bool first)
{
    for (unsigned i = 0; i < g->pages->len && pages->len < max; i++) {
        MetaPage *p = g->pages->pdata[i];
        unsigned level = 0;

        for (unsigned k = 0; k < G_N_ELEMENTS(p->level); k++) {
            level = MAX(level, p->level[k]);
        }
        if (p->dirty && first == (level <= 1)) {
            g_ptr_array_add(pages, p);
        }
    }
}

static int write_pages(BlkNode *n, unsigned max)
{
    Vhdx *s = vhdx_of(n);
    g_autoptr(GPtrArray) pages = g_ptr_array_new();
    int r = node_flush(n->file->node);          /* data, and what the entry before this one said */

    collect_dirty(&s->g, pages, max, true);
    collect_dirty(&s->g, pages, max, false);
    if (r == 0 && !s->log_live) {
        io_uuid(s->log_guid);
    }
    r = r ? r : write_entry(n, pages);
    if (r == 0 && !s->log_live) {
        r = vhdx_write_header(n, s->log_guid, false, false);
        s->log_live = r == 0;
    }
    for (unsigned i = 0; i < pages->len && r == 0; i++) {
        r = meta_write_page(&s->g, pages->pdata[i]);
    }
    return r;
}

int vhdx_sync(BlkNode *n, bool durable)
{
    Vhdx *s = vhdx_of(n);
    unsigned max = MIN(s->log_len / SECTOR / 3 - 2, 126);
    int r = 0;

    while (r == 0 && meta_dirty(&s->g)) {
        r = write_pages(n, max);
    }
    return r || !durable ? r : node_flush(n->file->node);
}
