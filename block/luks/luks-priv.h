/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_LUKS_LUKS_PRIV_H
#define BLOCK_LUKS_LUKS_PRIV_H

#include "block/grains.h"
#include "block/luks/luks.h"

/* ---- key.c ---- */
/* Does this password open that slot?  The master key goes to `key`. */
bool luks_try_slot(Luks *l, unsigned slot, const uint8_t *password, size_t len, uint8_t *key, int *error);
/* The master key under a password into a slot; the header's slot is filled in and not written. */
int luks_fill_slot(Luks *l, unsigned slot, const uint8_t *password, size_t len, unsigned ms, Error **errp);
int luks_wipe_slot(Luks *l, unsigned slot);             /* random bytes over its stripes */
void luks_digest_key(const Luks *l, const uint8_t *key, uint8_t *out);
/* Iterations that take `ms` milliseconds here. */
unsigned luks_iterations(const char *hash, size_t key_len, unsigned ms);

/* ---- header.c ---- */
int luks_write_header(const Luks *l);

#endif
