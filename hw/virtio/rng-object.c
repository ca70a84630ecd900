/* SPDX-License-Identifier: MIT */
#include "hw/virtio/rng.h"

#include <string.h>

#include <glib.h>

const SessionKind rng_kind = { .name = "rng-backend", .space = "object", .destroy = g_free };

bool rng_object_new(Session *s, const char *type, const char *id, const char *filename, Error **errp)
{
    char *object;

    if (filename && !g_str_has_suffix(filename, "random")) {
        error_set(errp, "rng-random: filename '%s' is not a random source of the kernel", filename);
        return error_hint(errp, "random bytes come from the kernel, or from -seed N\n");
    }
    object = g_strdup(type);
    if (!session_add(s, &rng_kind, id, object, errp)) {
        g_free(object);
        return false;
    }
    return true;
}
