/* SPDX-License-Identifier: MIT */
/*
 * Ciphers, digests and key derivation for encrypted disks, by a library
 * (nettle).  Pure functions of memory: any thread.  Without the library every
 * constructor fails with a message that names it.
 */
#ifndef UTIL_CRYPTO_H
#define UTIL_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

enum { CRYPTO_MAX_DIGEST = 64, CRYPTO_SECTOR = 512 };

/* Digests by their lower-case names: md5 sha1 sha224 sha256 sha384 sha512 ripemd160.  Bytes of one; 0: unknown. */
size_t crypto_digest_size(const char *hash);
/* Over two pieces, the second may be empty. */
void crypto_digest(const char *hash, const void *a, size_t a_len, const void *b, size_t b_len, uint8_t *out);
/* PBKDF2 (RFC 8018) with HMAC of that digest. */
void crypto_pbkdf2(const char *hash, const void *password, size_t password_len, const void *salt, size_t salt_len, unsigned iterations, uint8_t *out, size_t len);

/*
 * A cipher for sectors, named as dm-crypt names them: cipher aes, serpent,
 * twofish or cast5, mode "xts-plain64", "cbc-essiv:sha256", "cbc-plain",
 * "ctr-plain64", "ecb" ...  The key's length chooses the variant; xts takes two.
 */
typedef struct SectorCipher SectorCipher;
SectorCipher *sector_cipher_new(const char *cipher, const char *mode, const uint8_t *key, size_t len, Error **errp);
void sector_cipher_free(SectorCipher *c);                       /* wipes; NULL is fine */
/* Whole sectors in place; `sector` is the number of the first. */
void sector_cipher_encrypt(const SectorCipher *c, uint64_t sector, uint8_t *buf, size_t len);
void sector_cipher_decrypt(const SectorCipher *c, uint64_t sector, uint8_t *buf, size_t len);

/* Overwrite what was secret; not optimised away. */
void crypto_wipe(void *p, size_t len);

#endif
