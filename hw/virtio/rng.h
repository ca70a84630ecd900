/* SPDX-License-Identifier: MIT */
/*
 * Objects that devices take random bytes from: rng-random, rng-builtin.  The
 * bytes themselves come through the machine's door (hw/core/inputs.h), so that
 * a seeded machine repeats itself.
 */
#ifndef HW_VIRTIO_RNG_H
#define HW_VIRTIO_RNG_H

#include "io/session.h"
#include "util/json.h"

extern const SessionKind rng_kind;      /* "rng-backend", ids shared with all objects */

/* From an object of -object's options: {"qom-type": "rng-random", "id": ..., "filename": ...}. */
bool rng_object_new(Session *s, const char *type, const char *id, const char *filename, Error **errp);

#endif
