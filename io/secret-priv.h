/* SPDX-License-Identifier: MIT */
/* The one cipher that secrets need; in secret-gnutls.c, or refused by secret-none.c. */
#ifndef IO_SECRET_PRIV_H
#define IO_SECRET_PRIV_H

#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

/* In place; len is a multiple of 16, padding stays. */
bool secret_aes256_cbc_decrypt(const uint8_t key[32], const uint8_t iv[16], uint8_t *data, size_t len, Error **errp);

#endif
