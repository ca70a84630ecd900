/* SPDX-License-Identifier: MIT */
#include "io/secret-priv.h"

bool secret_aes256_cbc_decrypt(const uint8_t key[32], const uint8_t iv[16], uint8_t *data, size_t len, Error **errp)
{
    return error_set(errp, "built without ciphers; install libgnutls28-dev");
}
