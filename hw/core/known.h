/* SPDX-License-Identifier: MIT */
/*
 * Names that people pass and this build has nothing for.
 *
 * A misspelt name is answered with the nearest ones (util/suggest.h).  One that
 * is spelt right and means a device, processor, board or accelerator of the
 * field deserves another answer: that it is known, that it is not here, and
 * what to use in its place.
 */
#ifndef HW_CORE_KNOWN_H
#define HW_CORE_KNOWN_H

#include <stdbool.h>

#include "util/error.h"

typedef enum KnownKind { KNOWN_DEVICE, KNOWN_CPU, KNOWN_MACHINE, KNOWN_ACCEL } KnownKind;

/* When `name` is such a name: put the way out under the error and return true. */
bool known_hint(KnownKind kind, const char *name, Error **errp);

#endif
