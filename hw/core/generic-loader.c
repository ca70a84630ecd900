/* SPDX-License-Identifier: MIT */
/*
 * `-device loader`: put a file or a value into memory, or a processor at an
 * address, at every reset.
 */
#include "hw/core/image.h"
#include "hw/core/machine.h"

#include "util/bswap.h"

typedef struct LoaderDevice {
    Device dev;
    char *file;
    uint64_t addr, data;
    uint32_t data_len, cpu_num;
    bool data_be, force_raw;
    bool set_pc;
    uint64_t pc;
} LoaderDevice;

enum { NO_CPU = UINT32_MAX };
#define NO_ADDR UINT64_MAX

static const Prop loader_props[] = {
    PROP_STR("file", LoaderDevice, file, NULL, .help = "an ELF file, or bytes for addr"),
    PROP_U64("addr", LoaderDevice, addr, NO_ADDR, .help = "where it goes, or where the processor begins"),
    PROP_U64("data", LoaderDevice, data, 0, .help = "a value instead of a file"),
    PROP_U32("data-len", LoaderDevice, data_len, 0, .max = 8, .help = "its bytes: 1, 2, 4 or 8"),
    PROP_BOOL("data-be", LoaderDevice, data_be, false, .help = "the value is big endian"),
    PROP_U32("cpu-num", LoaderDevice, cpu_num, NO_CPU, .max = NO_CPU, .help = "processor whose program counter is set"),
    PROP_BOOL("force-raw", LoaderDevice, force_raw, false, .help = "an ELF file is taken as bytes"),
    {}
};

static bool load_data(LoaderDevice *s, Error **errp)
{
    uint8_t buf[8];

    if (s->data_len != 1 && s->data_len != 2 && s->data_len != 4 && s->data_len != 8) {
        return error_set(errp, "loader: data-len is 1, 2, 4 or 8");
    }
    if (s->addr == NO_ADDR) {
        return error_set(errp, "loader: data needs addr");
    }
    stq_le_p(buf, s->data_be ? bswap64(s->data) >> (64 - 8 * s->data_len) : s->data);
    return machine_add_rom(s->dev.machine, "loader data", s->addr, g_bytes_new(buf, s->data_len), errp);
}

static bool add_segment(Machine *m, const char *name, const ImageSegment *seg, Error **errp)
{
    gsize len;
    const void *p = g_bytes_get_data(seg->bytes, &len);
    uint8_t *all;

    if (seg->size > m->ram_size) {
        return error_set(errp, "loader: a segment of '%s' has %" PRIu64 " bytes and RAM %" PRIu64, name, seg->size, m->ram_size);
    }
    all = g_malloc0(MAX(seg->size, len));
    memcpy(all, p, len);
    return machine_add_rom(m, name, seg->addr, g_bytes_new_take(all, MAX(seg->size, len)), errp);
}

static bool load_elf(LoaderDevice *s, GBytes *image, Error **errp)
{
    g_autoptr(ImageElf) elf = image_elf_parse(image, errp);

    if (!elf) {
        return error_prepend(errp, "loader: '%s': ", s->file);
    }
    for (guint i = 0; i < elf->segments->len; i++) {
        if (!add_segment(s->dev.machine, s->file, &g_array_index(elf->segments, ImageSegment, i), errp)) {
            return false;
        }
    }
    s->pc = elf->entry;
    return true;
}

static bool load_file(LoaderDevice *s, Error **errp)
{
    g_autoptr(GBytes) image = image_file(s->file, errp);

    if (!image) {
        return error_prepend(errp, "loader: ");
    }
    if (!s->force_raw && image_is_elf(image)) {
        return load_elf(s, image, errp);
    }
    if (s->addr == NO_ADDR) {
        return error_set(errp, "loader: '%s' is no ELF file and needs addr", s->file);
    }
    s->pc = s->addr;
    return machine_add_rom(s->dev.machine, s->file, s->addr, g_bytes_ref(image), errp);
}

static void loader_reset_exit(Device *dev)
{
    LoaderDevice *s = (LoaderDevice *)dev;

    if (s->set_pc) {
        Cpu *cpu = machine_cpu(dev->machine, s->cpu_num);

        cpu->ops->set_pc(cpu, s->pc);
        cpu->power_off = false;
    }
}

static bool loader_realize(Device *dev, Error **errp)
{
    LoaderDevice *s = (LoaderDevice *)dev;

    s->pc = s->addr;
    s->set_pc = s->cpu_num != NO_CPU;
    if (s->file && s->data_len) {
        return error_set(errp, "loader: a file or data, not both");
    }
    if (!s->file && !s->data_len && (!s->set_pc || s->addr == NO_ADDR)) {
        return error_set(errp, "loader: nothing to do; give file, data or cpu-num with addr");
    }
    if (s->set_pc && s->cpu_num >= machine_ncpus(dev->machine)) {
        return error_set(errp, "loader: cpu-num %u, the machine has %u processors", s->cpu_num, machine_ncpus(dev->machine));
    }
    return s->file ? load_file(s, errp) : !s->data_len || load_data(s, errp);
}

static const DeviceType loader_type = {
    .name = "loader", .desc = "Generic Loader", .category = "Misc", .size = sizeof(LoaderDevice), .props = loader_props,
    .user_creatable = true, .stateless = true, .realize = loader_realize, .reset_exit = loader_reset_exit,
};
DEVICE_TYPE(loader_type);
