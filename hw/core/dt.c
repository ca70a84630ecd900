/* SPDX-License-Identifier: MIT */
/* Device trees over libfdt. */
#include "hw/core/dt.h"

#include <assert.h>
#include <libfdt.h>
#include <string.h>

#include "util/bswap.h"

struct Dt {
    void *blob;
    size_t size;
    uint32_t phandle;
};

Dt *dt_new(size_t size)
{
    Dt *dt = g_new0(Dt, 1);
    int err;

    dt->blob = g_malloc0(size);
    dt->size = size;
    dt->phandle = 0x8000;
    err = fdt_create_empty_tree(dt->blob, (int)size);
    assert(err == 0);
    return dt;
}

Dt *dt_open(const void *blob, size_t len, size_t extra, Error **errp)
{
    Dt *dt;
    int err = len < sizeof(struct fdt_header) ? -FDT_ERR_TRUNCATED : fdt_check_header(blob);

    if (!err && fdt_version(blob) < 16) {               /* what libfdt's checks do not check */
        err = -FDT_ERR_BADVERSION;
    }
    if (!err && fdt_totalsize(blob) > len) {
        err = -FDT_ERR_TRUNCATED;
    }
    if (!err) {
        err = fdt_check_full(blob, len);
    }
    if (err) {
        error_set(errp, "not a device tree: %s", fdt_strerror(err));
        return NULL;
    }
    dt = g_new0(Dt, 1);
    dt->size = fdt_totalsize(blob) + extra;
    dt->blob = g_malloc0(dt->size);
    dt->phandle = 0x8000;
    err = fdt_open_into(blob, dt->blob, (int)dt->size);
    if (err) {
        error_set(errp, "not a device tree: %s", fdt_strerror(err));
        g_clear_pointer(&dt, dt_free);
    }
    return dt;
}

void dt_free(Dt *dt)
{
    if (dt) {
        g_free(dt->blob);
        g_free(dt);
    }
}

GBytes *dt_bytes(Dt *dt)
{
    return g_bytes_new(dt->blob, dt->size);
}

size_t dt_size(const Dt *dt)
{
    return dt->size;
}

void *dt_blob(Dt *dt)
{
    return dt->blob;
}

static int offset_of(Dt *dt, const char *path)
{
    int at = fdt_path_offset(dt->blob, path);

    assert(at >= 0);                        /* a node that the board has not made */
    return at;
}

bool dt_has(Dt *dt, const char *path)
{
    return fdt_path_offset(dt->blob, path) >= 0;
}

void dt_node(Dt *dt, const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    g_autofree char *parent = g_strndup(path, (gsize)(name - path > 1 ? name - path - 1 : 1));
    int err;

    if (!dt_has(dt, path)) {
        err = fdt_add_subnode(dt->blob, offset_of(dt, parent), name);
        assert(err >= 0);
    }
}

void dt_data(Dt *dt, const char *path, const char *prop, const void *data, size_t len)
{
    int err = fdt_setprop(dt->blob, offset_of(dt, path), prop, data, (int)len);

    assert(err == 0);                       /* the blob is too small */
}

void dt_cells_n(Dt *dt, const char *path, const char *prop, const uint32_t *cells, unsigned n)
{
    g_autofree uint8_t *buf = g_malloc(n * 4 + 1);

    for (unsigned i = 0; i < n; i++) {
        stl_be_p(buf + i * 4, cells[i]);
    }
    dt_data(dt, path, prop, buf, n * 4);
}

void dt_u64s_n(Dt *dt, const char *path, const char *prop, const uint64_t *vals, unsigned n)
{
    g_autofree uint8_t *buf = g_malloc(n * 8 + 1);

    for (unsigned i = 0; i < n; i++) {
        stq_be_p(buf + i * 8, vals[i]);
    }
    dt_data(dt, path, prop, buf, n * 8);
}

void dt_text(Dt *dt, const char *path, const char *prop, const char *text)
{
    dt_data(dt, path, prop, text, strlen(text) + 1);
}

void dt_flag(Dt *dt, const char *path, const char *prop)
{
    dt_data(dt, path, prop, "", 0);
}

uint32_t dt_phandle(Dt *dt)
{
    return ++dt->phandle;
}
