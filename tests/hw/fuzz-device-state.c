/* SPDX-License-Identifier: MIT */
/*
 * A device of the board is given a saved state with foreign bytes in it: it is
 * refused and unchanged, or loaded, and then the device still takes register
 * accesses, wires, time and a reset.
 *
 * Input: which device, then (position u16, value u8) changes to its own save.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "tests/hw/bench-machine.h"

static Machine *machines[2];
static GPtrArray *targets;

static bool new_kind(const Device *dev)
{
    for (guint i = 0; i < targets->len; i++) {
        if (((Device *)g_ptr_array_index(targets, i))->type == dev->type) {
            return false;
        }
    }
    return true;
}

static void open_machines(void)
{
    static const char *const v3[] = { "gic-version", "3", NULL };

    targets = g_ptr_array_new();
    for (int i = 0; i < 2; i++) {
        MachineConfig c = { .accel = "bench", .clock = CLOCK_FROZEN, .have_seed = true, .smp = { .cpus = 2 }, .ram_size = 16 << 20, .props = i ? v3 : NULL };

        machines[i] = machine_open(NULL, machine_type_find("aarch64", "virt", NULL), &c, NULL);
        g_assert_true(machines[i] && machine_ready(machines[i], NULL));
        for (guint k = 0; k < machines[i]->devices->len; k++) {
            Device *dev = g_ptr_array_index(machines[i]->devices, k);

            if (new_kind(dev)) {
                g_ptr_array_add(targets, dev);
            }
        }
    }
}

static void use(Device *dev, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i + 4 <= size && dev->nmmio && i < 400; i += 4) {
        MemRegion *r = &dev->mmio[data[i] % dev->nmmio];
        uint64_t at = ((uint64_t)data[i + 1] << 8 | data[i + 2]) * 4 % r->size, v = data[i + 3];

        mem_io_write(r, at, 4, v * 0x01010101, MEM_ATTRS_CPU(data[i] & 1));
        mem_io_read(r, at, 4, &v, MEM_ATTRS_CPU(data[i] & 1));
        if (dev->nirq_in && dev->type->irq_in) {
            dev->type->irq_in(dev, (int)((data[i + 1] << 8 | data[i + 2]) % dev->nirq_in), data[i + 3] & 1);
        }
    }
    clock_step(dev->machine->clock, NS_PER_MS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    StateWriter *w = state_writer_new();
    g_autofree uint8_t *bytes = NULL;
    const uint8_t *own;
    StateReader *r;
    Device *dev;
    size_t len;

    if (!targets) {
        open_machines();
    }
    dev = g_ptr_array_index(targets, size ? data[0] % targets->len : 0);
    device_save(dev, w);
    own = state_writer_data(w, &len);
    bytes = g_malloc(len + 1);
    memcpy(bytes, own, len);
    for (size_t i = 1; i + 3 <= size && len; i += 3) {
        bytes[(data[i] << 8 | data[i + 1]) % len] = data[i + 2];
    }
    r = state_reader_new(bytes, len);
    if (device_check(dev, r, NULL)) {
        state_reader_free(r);
        r = state_reader_new(bytes, len);
        if (device_load(dev, r, NULL)) {
            use(dev, data, size);
        }
    } else {
        g_assert_cmpuint(size, >, 3);
    }
    state_reader_free(r);
    device_reset(dev);
    use(dev, data, MIN(size, 16));
    device_reset(dev);
    state_writer_free(w);
    return 0;
}
