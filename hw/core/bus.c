/* SPDX-License-Identifier: MIT */
/* Buses: where devices plug in. */
#include "hw/core/device.h"

#include <assert.h>
#include <string.h>

#include "hw/core/machine.h"

void bus_init(Bus *bus, const BusType *type, Device *parent, const char *name)
{
    bus->type = type;
    bus->name = g_strdup(name);
    bus->parent = parent;
    bus->machine = parent->machine;
    bus->devices = g_ptr_array_new();
    g_ptr_array_add(parent->buses, bus);
    g_ptr_array_add(bus->machine->buses, bus);
}

void bus_fini(Bus *bus)
{
    if (!bus->devices) {
        return;
    }
    assert(bus->devices->len == 0);
    g_ptr_array_remove(bus->parent->buses, bus);
    g_ptr_array_remove(bus->machine->buses, bus);
    g_ptr_array_free(bus->devices, TRUE);
    bus->devices = NULL;
    g_free(bus->name);
}

static bool has_room(const Bus *bus)
{
    return !bus->type->max_devices || bus->devices->len < bus->type->max_devices;
}

static Bus *by_name(Machine *m, const char *type, const char *name, Error **errp)
{
    for (guint i = 0; i < m->buses->len; i++) {
        Bus *bus = g_ptr_array_index(m->buses, i);

        /* "pcie.0", or the id of the device that provides it ("rp1") */
        if (!strcmp(bus->name, name) || (bus->parent->id && !strcmp(bus->parent->id, name))) {
            if (strcmp(bus->type->name, type)) {
                error_set(errp, "Bus '%s' is a %s bus, the device needs %s", name, bus->type->name, type);
                return NULL;
            }
            return bus;
        }
    }
    error_set(errp, "Bus '%s' not found", name);
    for (guint i = 0; i < m->buses->len; i++) {
        Bus *bus = g_ptr_array_index(m->buses, i);

        if (!strcmp(bus->type->name, type)) {
            error_hint(errp, "there is %s bus '%s'", type, bus->name);
        }
    }
    return NULL;
}

Bus *bus_find(Machine *m, const char *type, const char *name, Error **errp)
{
    if (name) {
        return by_name(m, type, name, errp);
    }
    for (guint i = 0; i < m->buses->len; i++) {
        Bus *bus = g_ptr_array_index(m->buses, i);

        if (!strcmp(bus->type->name, type) && has_room(bus)) {
            return bus;
        }
    }
    error_set(errp, "No '%s' bus found for the device", type);
    return NULL;
}

void buses_foreach(Machine *m, void (*fn)(Bus *bus, void *data), void *data)
{
    for (guint i = 0; i < m->buses->len; i++) {
        fn(g_ptr_array_index(m->buses, i), data);
    }
}
