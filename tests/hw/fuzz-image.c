/* SPDX-License-Identifier: MIT */
/* Any bytes as an ELF program, as gzip, as a device tree. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "hw/core/dt.h"
#include "hw/core/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_autoptr(ImageElf) elf = image_is_elf(bytes) ? image_elf_parse(bytes, NULL) : NULL;
    GBytes *plain = image_is_gzip(bytes) ? image_gunzip(bytes, 1 << 16, NULL) : NULL;
    Dt *dt = dt_open(data, size, 1024, NULL);

    for (guint i = 0; elf && i < elf->segments->len; i++) {
        const ImageSegment *s = &g_array_index(elf->segments, ImageSegment, i);

        g_assert_cmpuint(g_bytes_get_size(s->bytes), <=, s->size);
        g_assert_true(s->addr >= elf->low && s->addr + s->size <= elf->high);
    }
    g_assert_true(!plain || g_bytes_get_size(plain) <= 1 << 16);
    if (plain) {
        g_bytes_unref(plain);
    }
    if (dt) {
        g_assert_cmpuint(dt_size(dt), >=, size < 1024 ? 1024 : 0);
        dt_has(dt, "/chosen");
    }
    dt_free(dt);
    return 0;
}
