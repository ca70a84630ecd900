/* SPDX-License-Identifier: MIT */
/* Built without nettle. */
#include "util/crypto.h"

#include <string.h>

size_t crypto_digest_size(const char *hash)
{
    return 0;
}

void crypto_digest(const char *hash, const void *a, size_t a_len, const void *b, size_t b_len, uint8_t *out)
{
}

void crypto_pbkdf2(const char *hash, const void *password, size_t password_len, const void *salt, size_t salt_len, unsigned iterations, uint8_t *out, size_t len)
{
    memset(out, 0, len);
}

SectorCipher *sector_cipher_new(const char *cipher, const char *mode, const uint8_t *key, size_t len, Error **errp)
{
    error_set(errp, "built without ciphers; install nettle-dev and build again");
    return NULL;
}

void sector_cipher_free(SectorCipher *c)
{
}

void sector_cipher_encrypt(const SectorCipher *c, uint64_t sector, uint8_t *buf, size_t len)
{
}

void sector_cipher_decrypt(const SectorCipher *c, uint64_t sector, uint8_t *buf, size_t len)
{
}

void crypto_wipe(void *p, size_t len)
{
    memset(p, 0, len);
}
