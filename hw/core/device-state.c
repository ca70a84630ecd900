/* SPDX-License-Identifier: MIT */
/* Reset, save, load and digest of a device: read off its rows and tables. */
#include "hw/core/device-priv.h"

#include <assert.h>

#include "hw/core/machine.h"

static StateTable type_table(const Device *dev)
{
    return (StateTable){ .name = dev->type->name, .version = dev->type->state_version, .fields = dev->type->state };
}

/* ---- reset ---- */

static void enter_base(Device *dev, const DeviceBase *b)
{
    if (b) {
        enter_base(dev, b->base);
        if (b->state) {
            state_reset(b->state, dev);
        }
        if (b->reset_enter) {
            b->reset_enter(dev);
        }
    }
}

static void hold_base(Device *dev, const DeviceBase *b)
{
    if (b) {
        hold_base(dev, b->base);
        if (b->reset_hold) {
            b->reset_hold(dev);
        }
    }
}

static void exit_base(Device *dev, const DeviceBase *b)
{
    if (b) {
        exit_base(dev, b->base);
        if (b->reset_exit) {
            b->reset_exit(dev);
        }
    }
}

static void reset_enter(Device *dev)
{
    StateTable t = type_table(dev);

    for (unsigned i = 0; i < dev->nmmio; i++) {
        if (dev->maps[i]) {
            reg_map_reset(dev->maps[i]);
        }
    }
    if (t.fields) {
        state_reset(&t, dev);
    }
    enter_base(dev, dev->type->base);
    if (dev->type->reset_enter) {
        dev->type->reset_enter(dev);
    }
}

void device_reset_phase(Device *dev, int phase)
{
    device_lock(dev);
    if (phase == 0) {
        reset_enter(dev);
    } else if (phase == 1) {
        hold_base(dev, dev->type->base);
        if (dev->type->reset_hold) {
            dev->type->reset_hold(dev);
        }
    } else {
        exit_base(dev, dev->type->base);
        if (dev->type->reset_exit) {
            dev->type->reset_exit(dev);
        }
    }
    device_unlock(dev);
}

static void reset_tree(Device *dev, int phase)
{
    device_reset_phase(dev, phase);
    for (guint i = 0; i < dev->buses->len; i++) {
        Bus *bus = g_ptr_array_index(dev->buses, i);

        for (guint k = 0; k < bus->devices->len; k++) {
            reset_tree(g_ptr_array_index(bus->devices, k), phase);
        }
    }
}

void device_reset(Device *dev)
{
    for (int phase = 0; phase < 3; phase++) {
        reset_tree(dev, phase);
    }
}

/* ---- save ---- */

static void save_base(Device *dev, const DeviceBase *b, StateWriter *w)
{
    if (b) {
        save_base(dev, b->base, w);
        if (b->state) {
            state_save(w, b->state, dev);
        }
    }
}

void device_save(Device *dev, StateWriter *w)
{
    StateTable t = type_table(dev);

    device_lock(dev);
    if (dev->type->pre_save) {
        dev->type->pre_save(dev);
    }
    for (unsigned i = 0; i < dev->nmmio; i++) {
        if (dev->maps[i]) {
            reg_map_save(dev->maps[i], w);
        }
    }
    save_base(dev, dev->type->base, w);
    if (t.fields) {
        state_save(w, &t, dev);
    }
    state_put_u32(w, dev->nirq);
    for (unsigned i = 0; i < dev->nirq; i++) {
        state_put_u8(w, (uint8_t)dev->irq[i].level);
    }
    device_unlock(dev);
}

/* ---- load ---- */

static bool walk_base(Device *dev, const DeviceBase *b, StateReader *r, bool apply, Error **errp)
{
    if (!b) {
        return true;
    }
    if (!walk_base(dev, b->base, r, apply, errp)) {
        return false;
    }
    return !b->state || (apply ? state_load(r, b->state, dev, errp) : state_check(r, b->state, dev, errp));
}

/* Levels are put back, not driven: the other end has its own saved. */
static bool walk_lines(Device *dev, StateReader *r, bool apply, Error **errp)
{
    uint32_t n;

    if (!state_get_u32(r, &n, errp)) {
        return false;
    }
    if (n != dev->nirq) {
        return error_set(errp, "it was saved with %u interrupt lines and has %u here", n, dev->nirq);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint8_t level;

        if (!state_get_u8(r, &level, errp)) {
            return false;
        }
        if (apply) {
            dev->irq[i].level = level;
        }
    }
    return true;
}

bool device_walk_state(Device *dev, StateReader *r, bool apply, Error **errp)
{
    StateTable t = type_table(dev);

    for (unsigned i = 0; i < dev->nmmio; i++) {
        if (dev->maps[i] && !reg_map_walk(dev->maps[i], r, apply, errp)) {
            return false;
        }
    }
    if (!walk_base(dev, dev->type->base, r, apply, errp)) {
        return false;
    }
    if (t.fields && !(apply ? state_load(r, &t, dev, errp) : state_check(r, &t, dev, errp))) {
        return false;
    }
    if (!walk_lines(dev, r, apply, errp)) {
        return false;
    }
    if (state_reader_left(r)) {
        return error_set(errp, "there are %zu bytes too many", state_reader_left(r));
    }
    return !apply || !dev->type->post_load || dev->type->post_load(dev, errp);
}

bool device_check(Device *dev, StateReader *r, Error **errp)
{
    return device_walk_state(dev, r, false, errp) || error_prepend(errp, "device '%s': ", dev->path);
}

bool device_load(Device *dev, StateReader *r, Error **errp)
{
    bool ok;

    device_lock(dev);
    ok = device_walk_state(dev, r, true, errp);
    device_unlock(dev);
    return ok || error_prepend(errp, "device '%s': ", dev->path);
}

uint64_t device_digest(Device *dev)
{
    StateWriter *w = state_writer_new();
    uint64_t h = 0xcbf29ce484222325ull;
    const uint8_t *p;
    size_t len;

    device_save(dev, w);
    p = state_writer_data(w, &len);
    while (len--) {
        h = (h ^ *p++) * 0x100000001b3ull;
    }
    state_writer_free(w);
    return h;
}

void device_print(Device *dev, GString *out)
{
    StateTable t = type_table(dev);

    device_lock(dev);
    for (unsigned i = 0; i < dev->nmmio; i++) {
        if (dev->maps[i]) {
            reg_map_print(dev->maps[i], out);
        }
    }
    for (const DeviceBase *b = dev->type->base; b; b = b->base) {
        if (b->state) {
            state_print(b->state, dev, out);
        }
    }
    if (t.fields) {
        state_print(&t, dev, out);
    }
    if (dev->type->info) {
        dev->type->info(dev, out);
    }
    device_unlock(dev);
}
