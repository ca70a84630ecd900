/* SPDX-License-Identifier: MIT */
#include "hw/core/image.h"

#include <elf.h>
#include <string.h>
#include <zlib.h>

#include "util/bswap.h"
#include "util/filemap.h"

GBytes *image_file_mapped(const char *path, bool *mapped, Error **errp)
{
    FileMap *map = file_map(path, errp);

    *mapped = map && map->mapped;
    return map ? g_bytes_new_with_free_func(map->data, map->size, (GDestroyNotify)file_map_free, map) : NULL;
}

GBytes *image_file(const char *path, Error **errp)
{
    bool mapped;

    return image_file_mapped(path, &mapped, errp);
}

bool image_is_gzip(GBytes *bytes)
{
    gsize len;
    const uint8_t *p = g_bytes_get_data(bytes, &len);

    return len >= 18 && p[0] == 0x1f && p[1] == 0x8b && p[2] == 8;
}

GBytes *image_gunzip(GBytes *bytes, uint64_t limit, Error **errp)
{
    gsize len;
    const uint8_t *p = g_bytes_get_data(bytes, &len);
    z_stream z = { .next_in = (Bytef *)p, .avail_in = MIN(len, UINT32_MAX) };
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint8_t buf[65536];
    int st;

    if (inflateInit2(&z, 15 + 16) != Z_OK) {
        error_set(errp, "zlib does not start");
        return NULL;
    }
    do {
        z.next_out = buf;
        z.avail_out = sizeof(buf);
        st = inflate(&z, Z_NO_FLUSH);
        g_byte_array_append(out, buf, sizeof(buf) - z.avail_out);
    } while (st == Z_OK && out->len <= limit);
    inflateEnd(&z);
    if (out->len > limit) {
        error_set(errp, "decompressed it has more than the %" PRIu64 " bytes there is room for", limit);
        return NULL;
    }
    if (st != Z_STREAM_END) {
        error_set(errp, "the compressed data is damaged");
        return NULL;
    }
    return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}

/* ---- ELF ---- */

bool image_is_elf(GBytes *bytes)
{
    gsize len;
    const uint8_t *p = g_bytes_get_data(bytes, &len);

    return len >= EI_NIDENT && !memcmp(p, ELFMAG, SELFMAG);
}

void image_elf_free(ImageElf *elf)
{
    if (!elf) {
        return;
    }
    for (guint i = 0; i < elf->segments->len; i++) {
        g_bytes_unref(g_array_index(elf->segments, ImageSegment, i).bytes);
    }
    g_array_unref(elf->segments);
    g_free(elf);
}

/* Fields by class and byte order, as the file has them. */
typedef struct Fields { const uint8_t *p; bool is64, be; } Fields;

static uint64_t field(Fields f, size_t at32, size_t at64, unsigned size32, unsigned size64)
{
    const uint8_t *p = f.p + (f.is64 ? at64 : at32);

    switch (f.is64 ? size64 : size32) {
    case 2:  return f.be ? lduw_be_p(p) : lduw_le_p(p);
    case 4:  return f.be ? (uint32_t)ldl_be_p(p) : (uint32_t)ldl_le_p(p);
    default: return f.be ? ldq_be_p(p) : ldq_le_p(p);
    }
}
#define EHDR(f, name) field(f, offsetof(Elf32_Ehdr, name), offsetof(Elf64_Ehdr, name), sizeof(((Elf32_Ehdr *)0)->name), sizeof(((Elf64_Ehdr *)0)->name))
#define PHDR(f, name) field(f, offsetof(Elf32_Phdr, name), offsetof(Elf64_Phdr, name), sizeof(((Elf32_Phdr *)0)->name), sizeof(((Elf64_Phdr *)0)->name))

static bool add_segment(ImageElf *elf, GBytes *bytes, Fields ph, uint64_t entry, Error **errp)
{
    uint64_t off = PHDR(ph, p_offset), filesz = PHDR(ph, p_filesz), memsz = PHDR(ph, p_memsz);
    uint64_t vaddr_ = PHDR(ph, p_vaddr), len = g_bytes_get_size(bytes);
    ImageSegment seg = { .addr = PHDR(ph, p_paddr), .size = memsz };

    if (PHDR(ph, p_type) != PT_LOAD || !memsz) {
        return true;
    }
    if (off > len || filesz > len - off || filesz > memsz || seg.addr + memsz < seg.addr) {
        return error_set(errp, "the segment for address 0x%" PRIx64 " does not fit the file", seg.addr);
    }
    if (entry >= vaddr_ && entry - vaddr_ < memsz) {
        elf->entry = entry - vaddr_ + seg.addr;
    }
    seg.bytes = g_bytes_new_from_bytes(bytes, off, filesz);
    g_array_append_val(elf->segments, seg);
    elf->low = MIN(elf->low, seg.addr);
    elf->high = MAX(elf->high, seg.addr + memsz);
    return true;
}

ImageElf *image_elf_parse(GBytes *bytes, Error **errp)
{
    gsize len;
    const uint8_t *p = g_bytes_get_data(bytes, &len);
    g_autoptr(ImageElf) elf = g_new0(ImageElf, 1);
    Fields eh;
    uint64_t phoff, phnum, phsize, entry;

    elf->segments = g_array_new(FALSE, FALSE, sizeof(ImageSegment));
    elf->low = UINT64_MAX;
    if (!image_is_elf(bytes) || (p[EI_CLASS] != ELFCLASS32 && p[EI_CLASS] != ELFCLASS64) ||
        (p[EI_DATA] != ELFDATA2LSB && p[EI_DATA] != ELFDATA2MSB) ||
        len < (p[EI_CLASS] == ELFCLASS64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr))) {
        error_set(errp, "it is not an ELF file");
        return NULL;
    }
    elf->is64 = p[EI_CLASS] == ELFCLASS64;
    elf->big_endian = p[EI_DATA] == ELFDATA2MSB;
    eh = (Fields){ p, elf->is64, elf->big_endian };
    elf->machine = EHDR(eh, e_machine);
    phoff = EHDR(eh, e_phoff);
    phnum = EHDR(eh, e_phnum);
    phsize = EHDR(eh, e_phentsize);
    elf->entry = entry = EHDR(eh, e_entry);
    if (phsize < (elf->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) || phoff > len || phnum * phsize > len - phoff) {
        error_set(errp, "the program headers of the ELF file are not in it");
        return NULL;
    }
    for (uint64_t i = 0; i < phnum; i++) {
        if (!add_segment(elf, bytes, (Fields){ p + phoff + i * phsize, elf->is64, elf->big_endian }, entry, errp)) {
            return NULL;
        }
    }
    if (!elf->segments->len) {
        error_set(errp, "the ELF file has nothing to load");
        return NULL;
    }
    return g_steal_pointer(&elf);
}
