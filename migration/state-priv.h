/* SPDX-License-Identifier: MIT */
/* What the files of migration/ share. */
#ifndef MIGRATION_STATE_PRIV_H
#define MIGRATION_STATE_PRIV_H

#include <glib.h>

#include "migration/state.h"
#include "util/crc32c.h"

struct StateWriter {
    GByteArray *bytes;
};

struct StateReader {
    const uint8_t *data;
    size_t len, at;
};

/* The next len bytes, consumed; NULL and an error when there are not as many. */
const uint8_t *state_peek(StateReader *r, size_t len, Error **errp);
size_t state_tell(const StateReader *r);
void state_seek(StateReader *r, size_t at);

unsigned state_version(const StateTable *t);
bool state_field_plain(const StateField *f);
uint32_t state_count(const StateField *f, const void *obj);
void *state_base(const StateField *f, const void *obj);

#endif
