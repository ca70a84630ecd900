/* SPDX-License-Identifier: MIT */
#include "hw/nvram/fw_cfg.h"

#include <string.h>

#include "util/bswap.h"
#include "util/log.h"

/* Window of the memory-mapped variant: data, selector (big endian), DMA address (big endian). */
enum { DATA = 0, SELECTOR = 8, DMA_HIGH = 16, DMA_LOW = 20, WINDOW = 24 };
enum { KEY_MASK = 0x3fff, NKEYS = 0x4000, NAME_LEN = 56, DIR_ENTRY = 64 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
#define DMA_SIGNATURE 0x51454d5520434647ull     /* "QEMU CFG" */

typedef struct Item {
    GBytes *bytes;
    FwCfgHook *selected, *written;
    void *opaque;
} Item;

typedef struct File { char *name; Item item; } File;

typedef struct FwCfg {
    Device dev;
    GHashTable *items;          /* key -> Item */
    GPtrArray *files;           /* File *, sorted by name: key is FW_CFG_FILE_FIRST + index */
    uint16_t key;
    uint64_t pos;
    uint64_t dma_addr;
} FwCfg;

static FwCfg *fw_cfg(Device *dev)
{
    return (FwCfg *)dev;
}

static Item *item_at(FwCfg *s, uint16_t key)
{
    key &= KEY_MASK;
    if (key >= FW_CFG_FILE_FIRST && key - FW_CFG_FILE_FIRST < (int)s->files->len) {
        return &((File *)g_ptr_array_index(s->files, key - FW_CFG_FILE_FIRST))->item;
    }
    return g_hash_table_lookup(s->items, GUINT_TO_POINTER(key));
}

static const uint8_t *item_data(const Item *it, gsize *len)
{
    *len = 0;
    return it && it->bytes ? g_bytes_get_data(it->bytes, len) : NULL;
}

/* ---- contents ---- */

static void item_put(Item *it, GBytes *bytes)
{
    g_clear_pointer(&it->bytes, g_bytes_unref);
    it->bytes = bytes;
}

static void item_free(void *p)
{
    Item *it = p;

    g_clear_pointer(&it->bytes, g_bytes_unref);
    g_free(it);
}

static void file_free(void *p)
{
    File *f = p;

    g_clear_pointer(&f->item.bytes, g_bytes_unref);
    g_free(f->name);
    g_free(f);
}

void fw_cfg_set_bytes(Device *dev, uint16_t key, GBytes *bytes)
{
    FwCfg *s = fw_cfg(dev);
    Item *it = g_hash_table_lookup(s->items, GUINT_TO_POINTER(key));

    g_assert(key < FW_CFG_FILE_FIRST || key >= 0x8000);
    if (!it) {
        it = g_new0(Item, 1);
        g_hash_table_insert(s->items, GUINT_TO_POINTER(key), it);
    }
    item_put(it, g_bytes_ref(bytes));
}

void fw_cfg_set(Device *dev, uint16_t key, const void *data, size_t len)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, len);

    fw_cfg_set_bytes(dev, key, bytes);
}

void fw_cfg_set_u16(Device *dev, uint16_t key, uint16_t val)
{
    val = GUINT16_TO_LE(val);
    fw_cfg_set(dev, key, &val, sizeof(val));
}

void fw_cfg_set_u32(Device *dev, uint16_t key, uint32_t val)
{
    val = GUINT32_TO_LE(val);
    fw_cfg_set(dev, key, &val, sizeof(val));
}

void fw_cfg_set_u64(Device *dev, uint16_t key, uint64_t val)
{
    val = GUINT64_TO_LE(val);
    fw_cfg_set(dev, key, &val, sizeof(val));
}

/* Count and 64-byte entries, all big endian: size, key, reserved, name. */
static void directory_update(FwCfg *s)
{
    size_t len = 4 + s->files->len * DIR_ENTRY;
    g_autofree uint8_t *dir = g_malloc0(len);

    stl_be_p(dir, s->files->len);
    for (unsigned i = 0; i < s->files->len; i++) {
        File *f = g_ptr_array_index(s->files, i);
        uint8_t *e = dir + 4 + i * DIR_ENTRY;
        gsize size;

        item_data(&f->item, &size);
        stl_be_p(e, size);
        stw_be_p(e + 4, FW_CFG_FILE_FIRST + i);
        strcpy((char *)e + 8, f->name);         /* checked when it was added */
    }
    fw_cfg_set(&s->dev, FW_CFG_FILE_DIR, dir, len);
}

static File *file_get(FwCfg *s, const char *name, Error **errp)
{
    File *f;
    unsigned i;

    for (i = 0; i < s->files->len; i++) {
        int order = strcmp(((File *)g_ptr_array_index(s->files, i))->name, name);

        if (!order) {
            return g_ptr_array_index(s->files, i);
        }
        if (order > 0) {
            break;
        }
    }
    if (strlen(name) >= NAME_LEN) {
        error_set(errp, "fw_cfg file name '%s' is longer than %d characters", name, NAME_LEN - 1);
        return NULL;
    }
    if (s->files->len >= 0x1000) {
        error_set(errp, "no room for fw_cfg file '%s': there are %u already", name, s->files->len);
        return NULL;
    }
    f = g_new0(File, 1);
    f->name = g_strdup(name);
    g_ptr_array_insert(s->files, i, f);
    return f;
}

bool fw_cfg_set_file(Device *dev, const char *name, const void *data, size_t len, Error **errp)
{
    FwCfg *s = fw_cfg(dev);
    File *f = file_get(s, name, errp);

    if (!f) {
        return false;
    }
    item_put(&f->item, g_bytes_new(data, len));
    directory_update(s);
    return true;
}

bool fw_cfg_set_file_hooks(Device *dev, const char *name, FwCfgHook *selected, FwCfgHook *written, void *opaque, Error **errp)
{
    FwCfg *s = fw_cfg(dev);
    File *f = file_get(s, name, errp);

    if (!f) {
        return false;
    }
    f->item.selected = selected;
    f->item.written = written;
    f->item.opaque = opaque;
    directory_update(s);
    return true;
}

const uint8_t *fw_cfg_file(Device *dev, const char *name, size_t *len)
{
    FwCfg *s = fw_cfg(dev);

    for (unsigned i = 0; i < s->files->len; i++) {
        File *f = g_ptr_array_index(s->files, i);

        if (!strcmp(f->name, name)) {
            return item_data(&f->item, len);
        }
    }
    return NULL;
}

/* ---- the guest's side; device lock held ---- */

static void select_item(FwCfg *s, uint16_t key)
{
    Item *it = item_at(s, key);

    s->key = key;
    s->pos = 0;
    if (it && it->selected) {
        it->selected(&s->dev, it->opaque);
    }
}

/* The next bytes of the selected item; zeroes behind its end. */
static void take(FwCfg *s, uint8_t *buf, size_t len)
{
    gsize size;
    const uint8_t *data = item_data(item_at(s, s->key), &size);
    size_t n = s->pos < size ? MIN(len, size - s->pos) : 0;

    memcpy(buf, data ? data + MIN(s->pos, size) : buf, n);
    memset(buf + n, 0, len - n);
    s->pos += len;
}

static bool dma_to_guest(FwCfg *s, uint64_t addr, uint32_t len)
{
    uint8_t buf[4096];

    while (len) {
        uint32_t n = MIN(len, sizeof(buf));

        take(s, buf, n);
        if (dma_write(s->dev.dma_as, addr, buf, n, MEM_ATTRS_NONE) != MEM_OK) {
            return false;
        }
        addr += n;
        len -= n;
    }
    return true;
}

/* Only files with a `written` hook take writes, and only inside their length. */
static bool dma_from_guest(FwCfg *s, uint64_t addr, uint32_t len)
{
    Item *it = item_at(s, s->key);
    gsize size;
    const uint8_t *data = item_data(it, &size);
    g_autofree uint8_t *copy = NULL;

    if (!it || !it->written || s->pos > size || len > size - s->pos) {
        return false;
    }
    copy = g_memdup2(data, size);
    if (dma_read(s->dev.dma_as, addr, copy + s->pos, len, MEM_ATTRS_NONE) != MEM_OK) {
        return false;
    }
    item_put(it, g_bytes_new(copy, size));
    s->pos += len;
    it->written(&s->dev, it->opaque);
    return true;
}

static void dma_run(FwCfg *s)
{
    uint8_t cmd[16], done[4];
    uint64_t at = s->dma_addr, addr;
    uint32_t control, len;
    bool ok = true;

    s->dma_addr = 0;
    if (dma_read(s->dev.dma_as, at, cmd, sizeof(cmd), MEM_ATTRS_NONE) != MEM_OK) {
        log_guest("fw_cfg: no DMA command can be read at 0x%" PRIx64, at);
        stl_be_p(done, DMA_ERROR);
        dma_write(s->dev.dma_as, at, done, sizeof(done), MEM_ATTRS_NONE);
        return;
    }
    control = ldl_be_p(cmd);
    len = ldl_be_p(cmd + 4);
    addr = ldq_be_p(cmd + 8);
    if (control & DMA_SELECT) {
        select_item(s, control >> 16);
    }
    if (control & DMA_READ) {
        ok = dma_to_guest(s, addr, len);
    } else if (control & DMA_WRITE) {
        ok = dma_from_guest(s, addr, len);
    } else if (control & DMA_SKIP) {
        s->pos += len;
    }
    stl_be_p(done, ok ? 0 : DMA_ERROR);
    dma_write(s->dev.dma_as, at, done, sizeof(done), MEM_ATTRS_NONE);
}

static MemResult window_read(void *opaque, uint64_t off, unsigned size, uint64_t *val, MemAttrs attrs)
{
    FwCfg *s = opaque;
    uint8_t buf[8] = { 0 };

    if (off < SELECTOR) {
        take(s, buf, size);             /* bytes keep their order in memory, whatever the width */
    } else if (off >= DMA_HIGH && off + size <= WINDOW) {
        uint8_t sig[8];

        stq_be_p(sig, DMA_SIGNATURE);
        memcpy(buf, sig + (off - DMA_HIGH), size);
    }
    *val = ldq_le_p(buf);
    return MEM_OK;
}

static MemResult window_write(void *opaque, uint64_t off, unsigned size, uint64_t val, MemAttrs attrs)
{
    FwCfg *s = opaque;

    if (off == SELECTOR && size == 2) {
        select_item(s, __builtin_bswap16(val));
    } else if (off == DMA_HIGH && size == 8) {
        s->dma_addr = __builtin_bswap64(val);
        dma_run(s);
    } else if (off == DMA_HIGH && size == 4) {
        s->dma_addr = (uint64_t)__builtin_bswap32(val) << 32;
    } else if (off == DMA_LOW && size == 4) {
        s->dma_addr |= __builtin_bswap32(val);
        dma_run(s);
    } else {
        log_guest("fw_cfg: write of %u bytes at offset %" PRIu64, size, off);
    }
    return MEM_OK;
}

static const MemOps window_ops = { .read = window_read, .write = window_write, .min = 1, .max = 8 };

static bool fw_cfg_init(Device *dev, Error **errp)
{
    FwCfg *s = fw_cfg(dev);

    s->items = g_hash_table_new_full(NULL, NULL, NULL, item_free);
    s->files = g_ptr_array_new_with_free_func(file_free);
    fw_cfg_set(dev, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_set_u32(dev, FW_CFG_ID, 3);          /* traditional interface and DMA */
    directory_update(s);
    return true;
}

static void fw_cfg_finalize(Device *dev)
{
    g_hash_table_unref(fw_cfg(dev)->items);
    g_ptr_array_unref(fw_cfg(dev)->files);
}

static bool fw_cfg_realize(Device *dev, Error **errp)
{
    device_add_mmio(dev, "fw_cfg", WINDOW, &window_ops, dev);
    return true;
}

static const StateField fw_cfg_state[] = {
    STATE_U16(FwCfg, key), STATE_U64(FwCfg, pos), STATE_U64(FwCfg, dma_addr), {}
};

static const DeviceType fw_cfg_type = {
    .name = "fw_cfg_mem", .desc = "firmware configuration", .category = "Misc", .size = sizeof(FwCfg),
    .state = fw_cfg_state, .init = fw_cfg_init, .finalize = fw_cfg_finalize, .realize = fw_cfg_realize,
};
DEVICE_TYPE(fw_cfg_type);
