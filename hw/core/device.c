/* SPDX-License-Identifier: MIT */
/* Devices: making them from their types, their settings, their place in the machine. */
#include "hw/core/device.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "hw/core/device-priv.h"
#include "hw/core/known.h"
#include "hw/core/machine.h"
#include "util/suggest.h"

ROWS_DECLARE(rhea_device_types, DeviceType);

/* ---- types ---- */

const DeviceType *device_type_find(const char *name)
{
    ROWS_FOREACH(rhea_device_types, DeviceType, t) {
        if (row_named(t->name, t->aliases, name)) {
            return t;
        }
    }
    return NULL;
}

static int type_by_name(const void *a, const void *b)
{
    return strcmp((*(const DeviceType *const *)a)->name, (*(const DeviceType *const *)b)->name);
}

void device_types_foreach(void (*fn)(const DeviceType *t, void *data), void *data)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    ROWS_FOREACH(rhea_device_types, DeviceType, t) {
        g_ptr_array_add(all, (void *)t);
    }
    g_ptr_array_sort(all, type_by_name);
    for (guint i = 0; i < all->len; i++) {
        fn(g_ptr_array_index(all, i), data);
    }
}

void device_help(const DeviceType *t, GString *out)
{
    g_autoptr(GArray) all = g_array_new(TRUE, TRUE, sizeof(Prop));

    for (const Prop *p = t->props; p && p->name; p++) {
        g_array_append_val(all, *p);
    }
    for (const DeviceBase *b = t->base; b; b = b->base) {
        for (const Prop *p = b->props; p && p->name; p++) {
            g_array_append_val(all, *p);
        }
    }
    g_string_append_printf(out, "%s options:\n", t->name);
    props_help((const Prop *)(void *)all->data, out);
}

/* ---- properties ---- */

static const Prop *find_prop(const DeviceType *t, const char *name)
{
    const Prop *p = prop_find(t->props, name);

    for (const DeviceBase *b = t->base; b && !p; b = b->base) {
        p = prop_find(b->props, name);
    }
    return p;
}

static bool no_prop(const DeviceType *t, const char *name, Error **errp)
{
    Suggest *s = suggest_new(name);
    g_autofree char *help = g_strdup_printf("-device %s,help", t->name);

    for (const Prop *p = t->props; p && p->name; p++) {
        suggest_add(s, p->name);
    }
    for (const DeviceBase *b = t->base; b; b = b->base) {
        for (const Prop *p = b->props; p && p->name; p++) {
            suggest_add(s, p->name);
        }
    }
    error_set(errp, "Property '%s.%s' not found", t->name, name);
    return suggest_hint(s, help, errp);
}

bool device_set(Device *dev, const char *prop, const char *text, Error **errp)
{
    const Prop *p = find_prop(dev->type, prop);

    assert(!dev->realized);
    if (!p) {
        return no_prop(dev->type, prop, errp);
    }
    return prop_set(dev, p, text, errp) || error_prepend(errp, "device '%s': ", dev->id ? dev->id : dev->type->name);
}

char *device_get(Device *dev, const char *prop, Error **errp)
{
    const Prop *p = find_prop(dev->type, prop);

    if (!p) {
        no_prop(dev->type, prop, errp);
        return NULL;
    }
    return prop_get(dev, p);
}

void device_set_or_die(Device *dev, const char *prop, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;
    bool ok;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    ok = device_set(dev, prop, text, NULL);
    assert(ok);                             /* the board gave a value that its device refuses */
}

/* Does a -global or a version's row speak of this type or of what it is built on? */
static bool default_matches(const PropDefault *d, const DeviceType *t)
{
    if (row_named(t->name, t->aliases, d->driver)) {
        return true;
    }
    for (const DeviceBase *b = t->base; b; b = b->base) {
        if (!strcmp(b->name, d->driver)) {
            return true;
        }
    }
    return false;
}

static bool apply_default(Device *dev, const PropDefault *d, Error **errp)
{
    return !default_matches(d, dev->type) || device_set(dev, d->prop, d->value, errp);
}

static bool apply_defaults(Device *dev, Error **errp)
{
    const MachineType *mt = dev->machine->type;
    GPtrArray *globals = dev->machine->globals;

    for (const PropDefault *d = mt ? mt->compat : NULL; d && d->driver; d++) {
        if (!apply_default(dev, d, errp)) {
            return false;
        }
    }
    for (guint i = 0; globals && i < globals->len; i++) {
        if (!apply_default(dev, g_ptr_array_index(globals, i), errp)) {
            return false;
        }
    }
    return true;
}

/* ---- new and free ---- */

static void base_defaults(Device *dev, const DeviceBase *b)
{
    if (b) {
        base_defaults(dev, b->base);
        props_set_defaults(b->props, dev);
    }
}

Device *device_new_type(Machine *m, const DeviceType *t, const char *id, Error **errp)
{
    Device *dev = g_malloc0(t->size);

    assert(t->size >= sizeof(Device));
    assert(t->state || t->regs || t->blocks || t->stateless || (t->base && t->base->state));     /* state is a table */
    dev->type = t;
    dev->machine = m;
    dev->id = g_strdup(id);
    dev->dma_as = m->as;
    dev->nr = m->next_device++;
    pthread_mutex_init(&dev->own_lock, NULL);
    dev->mutex = &dev->own_lock;
    dev->buses = g_ptr_array_new();
    base_defaults(dev, t->base);
    props_set_defaults(t->props, dev);
    if ((t->init && !t->init(dev, errp)) || !apply_defaults(dev, errp)) {
        device_free(dev);
        return NULL;
    }
    return dev;
}

static bool no_type(const char *name, Error **errp)
{
    Suggest *s;

    error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "'%s' is not a valid device model name", name);
    if (known_hint(KNOWN_DEVICE, name, errp)) {
        return error_hint(errp, "the list: -device help");
    }
    s = suggest_new(name);
    ROWS_FOREACH(rhea_device_types, DeviceType, t) {
        if (t->user_creatable) {
            suggest_add(s, t->name);
        }
    }
    return suggest_hint(s, "-device help", errp);
}

Device *device_new(Machine *m, const char *type, const char *id, Error **errp)
{
    const DeviceType *t = device_type_find(type);

    if (!t) {
        no_type(type, errp);
        return NULL;
    }
    if (id && device_find(m, id)) {
        error_set(errp, "Duplicate device ID '%s'", id);
        return NULL;
    }
    return device_new_type(m, t, id, errp);
}

static void drop_windows(Device *dev)
{
    for (unsigned i = 0; i < dev->nmmio; i++) {
        if (dev->mmio[i].parent) {
            mem_region_del(&dev->mmio[i]);
        }
        g_list_free(dev->mmio[i].children);
    }
    if (dev->nmmio) {
        mem_synchronize();
    }
    for (unsigned i = 0; i < dev->nmmio; i++) {
        reg_map_free(dev->maps[i]);
    }
    g_clear_pointer(&dev->mmio, g_free);
    g_clear_pointer(&dev->maps, g_free);
    g_clear_pointer(&dev->irq, g_free);
    dev->nmmio = dev->nirq = dev->nirq_in = 0;
}

void device_free(Device *dev)
{
    if (!dev) {
        return;
    }
    if (dev->realized) {
        device_unrealize(dev);
    }
    if (dev->type->finalize) {
        dev->type->finalize(dev);
    }
    props_release(dev->type->props, dev);
    for (const DeviceBase *b = dev->type->base; b; b = b->base) {
        props_release(b->props, dev);
    }
    g_ptr_array_free(dev->buses, TRUE);
    pthread_mutex_destroy(&dev->own_lock);
    g_free(dev->path);
    g_free(dev->id);
    g_free(dev);
}

/* ---- windows and lines ---- */

static unsigned add_window(Device *dev, RegMap *map)
{
    dev->mmio = g_renew(MemRegion, dev->mmio, dev->nmmio + 1);
    dev->maps = g_renew(RegMap *, dev->maps, dev->nmmio + 1);
    dev->maps[dev->nmmio] = map;
    return dev->nmmio++;
}

unsigned device_add_mmio(Device *dev, const char *name, uint64_t size, const MemOps *ops, void *opaque)
{
    unsigned i = add_window(dev, NULL);

    mem_region_init_io(&dev->mmio[i], dev->machine->mem, name, size, ops, opaque, dev->mutex);
    dev->mmio[i].owner = dev;
    return i;
}

unsigned device_add_regs(Device *dev, const RegBlock *block)
{
    RegMap *map = reg_map_new(dev, block, dev->nmmio);
    unsigned i = add_window(dev, map);
    MemRegion *r = &dev->mmio[i];

    assert(block->endian == MEM_LITTLE);
    mem_region_init_io(r, dev->machine->mem, block->name ? block->name : dev->type->name, map->size, &reg_map_ops, map, dev->mutex);
    r->owner = dev;
    r->dma_target = block->dma_target;
    return i;
}

void device_set_irqs(Device *dev, unsigned outputs, unsigned inputs)
{
    dev->irq = g_renew(IrqLine, dev->irq, outputs);
    for (unsigned i = dev->nirq; i < outputs; i++) {
        dev->irq[i] = (IrqLine){ 0 };
    }
    dev->nirq = outputs;
    dev->nirq_in = inputs;
}

IrqHandler *device_irq_in(Device *dev)
{
    return dev->type->irq_in;
}

void device_map(Device *dev, unsigned mmio, MemRegion *in, paddr addr)
{
    assert(mmio < dev->nmmio);
    mem_region_add(in, addr, &dev->mmio[mmio]);
}

void device_connect(Device *from, unsigned out, Device *to, unsigned in)
{
    assert(out < from->nirq && in < to->nirq_in && to->type->irq_in);
    irq_connect(&from->irq[out], to->type->irq_in, to, (int)in);
}

/* ---- realize ---- */

static void make_windows(Device *dev)
{
    const DeviceType *t = dev->type;

    if (t->regs) {
        RegBlock one = { .name = t->name, .regs = t->regs, .size = t->mmio_size };

        device_add_regs(dev, &one);
    }
    for (unsigned i = 0; i < t->nblocks; i++) {
        device_add_regs(dev, &t->blocks[i]);
    }
    device_set_irqs(dev, t->irqs, t->irq_inputs);
}

static bool base_realize(Device *dev, const DeviceBase *b, Error **errp)
{
    return !b || (base_realize(dev, b->base, errp) && (!b->realize || b->realize(dev, errp)));
}

static bool base_realize_late(Device *dev, const DeviceBase *b, Error **errp)
{
    return !b || (base_realize_late(dev, b->base, errp) && (!b->realize_late || b->realize_late(dev, errp)));
}

static void undo_realize(Device *dev)
{
    if (dev->type->unrealize) {
        dev->type->unrealize(dev);
    }
    for (const DeviceBase *b = dev->type->base; b; b = b->base) {
        if (b->unrealize) {
            b->unrealize(dev);
        }
    }
}

static char *make_path(Device *dev, const char *where)
{
    char *path;

    if (dev->bus) {
        path = where ? g_strdup_printf("%s/%s.%s", dev->bus->name, where, dev->type->name)
                     : g_strdup_printf("%s/%s", dev->bus->name, dev->type->name);
    } else {
        path = where ? g_strdup_printf("%s@%s", dev->type->name, where) : g_strdup(dev->type->name);
    }
    for (unsigned n = 1; device_find(dev->machine, path); n++) {
        g_autofree char *old = path;

        path = g_strdup_printf("%.*s#%u", (int)strcspn(old, "#"), old, n);
    }
    return path;
}

static bool attach(Device *dev, Bus *bus, char **slot, Error **errp)
{
    if (!bus) {
        return true;
    }
    if (bus->type->max_devices && bus->devices->len >= bus->type->max_devices) {
        return error_set(errp, "Bus '%s' is full", bus->name);
    }
    dev->bus = bus;
    if (bus->dma_as) {
        dev->dma_as = bus->dma_as;
    }
    if (bus->type->attach && !bus->type->attach(bus, dev, slot, errp)) {
        dev->bus = NULL;
        return false;
    }
    g_ptr_array_add(bus->devices, dev);
    return true;
}

static void detach(Device *dev)
{
    if (dev->bus) {
        g_ptr_array_remove(dev->bus->devices, dev);
        if (dev->bus->type->detach) {
            dev->bus->type->detach(dev->bus, dev);
        }
        dev->bus = NULL;
    }
}

bool device_realize(Device *dev, Bus *bus, const char *where, Error **errp)
{
    g_autofree char *slot = NULL;

    assert(!dev->realized && (bus || !dev->type->bus));
    if (!attach(dev, bus, &slot, errp)) {
        return false;
    }
    dev->path = make_path(dev, slot ? slot : where);
    make_windows(dev);
    if (!base_realize(dev, dev->type->base, errp) || (dev->type->realize && !dev->type->realize(dev, errp))
        || !base_realize_late(dev, dev->type->base, errp)) {
        undo_realize(dev);
        drop_windows(dev);
        detach(dev);
        g_clear_pointer(&dev->path, g_free);
        return false;
    }
    dev->realized = true;
    g_ptr_array_add(dev->machine->devices, dev);
    return true;
}

void device_unrealize(Device *dev)
{
    assert(dev->realized);
    for (guint i = dev->buses->len; i-- > 0;) {
        Bus *bus = g_ptr_array_index(dev->buses, i);

        while (bus->devices->len) {
            device_free(g_ptr_array_index(bus->devices, bus->devices->len - 1));
        }
    }
    g_ptr_array_remove(dev->machine->devices, dev);
    undo_realize(dev);
    drop_windows(dev);
    detach(dev);
    dev->realized = false;
}

/* ---- finding ---- */

Device *device_find(Machine *m, const char *name)
{
    for (guint i = 0; i < m->devices->len; i++) {
        Device *dev = g_ptr_array_index(m->devices, i);

        if ((dev->id && !strcmp(dev->id, name)) || !strcmp(dev->path, name)) {
            return dev;
        }
    }
    return NULL;
}

void devices_foreach(Machine *m, void (*fn)(Device *dev, void *data), void *data)
{
    for (guint i = 0; i < m->devices->len; i++) {
        fn(g_ptr_array_index(m->devices, i), data);
    }
}

Clock *device_clock(Device *dev)
{
    return dev->machine->clock;
}

Inputs *device_inputs(Device *dev)
{
    return dev->machine->inputs;
}
