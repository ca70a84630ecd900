/* SPDX-License-Identifier: MIT */
/* Bytes that every reset puts in memory: kernels, initrds, device trees, firmware. */
#include "hw/core/machine-priv.h"

#include <sys/mman.h>

bool machine_rom_free(Machine *m, paddr addr, uint64_t size)
{
    for (guint i = 0; i < m->priv->roms->len; i++) {
        const Rom *r = &g_array_index(m->priv->roms, Rom, i);
        uint64_t len = g_bytes_get_size(r->bytes);

        if (addr < r->addr + len && r->addr < addr + size) {
            return false;
        }
    }
    return true;
}

bool machine_add_rom(Machine *m, const char *name, paddr addr, GBytes *bytes, Error **errp)
{
    Rom rom = { NULL, addr, bytes };

    for (guint i = 0; i < m->priv->roms->len; i++) {
        const Rom *r = &g_array_index(m->priv->roms, Rom, i);

        if (addr < r->addr + g_bytes_get_size(r->bytes) && r->addr < addr + g_bytes_get_size(bytes)) {
            error_set(errp, "'%s' at 0x%" PRIx64 " (%zu bytes) overlaps '%s' at 0x%" PRIx64 " (%zu bytes)", name, addr, g_bytes_get_size(bytes),
                      r->name, r->addr, g_bytes_get_size(r->bytes));
            g_bytes_unref(bytes);
            return false;
        }
    }
    rom.name = g_strdup(name);
    g_array_append_val(m->priv->roms, rom);
    return true;
}

void machine_rom_mapped(Machine *m, GBytes *bytes)
{
    g_ptr_array_add(m->priv->rom_maps, g_bytes_ref(bytes));
}

void machine_roms_foreach(Machine *m, void (*fn)(const char *name, paddr addr, uint64_t size, void *data), void *data)
{
    for (guint i = 0; i < m->priv->roms->len; i++) {
        const Rom *r = &g_array_index(m->priv->roms, Rom, i);

        fn(r->name, r->addr, g_bytes_get_size(r->bytes), data);
    }
}

/* Straight into the memory behind the address, read-only or not. */
static void put_bytes(Machine *m, paddr addr, const uint8_t *p, uint64_t len)
{
    while (len) {
        MemHit hit;

        mem_read_begin();
        mem_translate(m->as, addr, len, false, &hit);
        if (hit.ram) {
            memcpy(hit.host, p, hit.len);
            mem_written(m->mem, hit.ram_addr, hit.len);
        }
        mem_read_end();
        addr += hit.len;
        p += hit.len;
        len -= hit.len;
    }
}

void machine_load_roms(Machine *m)
{
    for (guint i = 0; i < m->priv->roms->len; i++) {
        const Rom *r = &g_array_index(m->priv->roms, Rom, i);
        gsize len;
        const uint8_t *p = g_bytes_get_data(r->bytes, &len);

        put_bytes(m, r->addr, p, len);
    }
    for (guint i = 0; i < m->priv->rom_maps->len; i++) {
        gsize len;
        const void *p = g_bytes_get_data(g_ptr_array_index(m->priv->rom_maps, i), &len);

        madvise((void *)p, len, MADV_DONTNEED);
    }
}
