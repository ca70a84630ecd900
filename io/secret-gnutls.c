/* SPDX-License-Identifier: MIT */
#include "io/secret-priv.h"

#include <gnutls/crypto.h>

bool secret_aes256_cbc_decrypt(const uint8_t key[32], const uint8_t iv[16], uint8_t *data, size_t len, Error **errp)
{
    gnutls_datum_t k = { (unsigned char *)key, 32 }, v = { (unsigned char *)iv, 16 };
    gnutls_cipher_hd_t h;
    int r = gnutls_cipher_init(&h, GNUTLS_CIPHER_AES_256_CBC, &k, &v);

    if (r >= 0) {
        r = gnutls_cipher_decrypt(h, data, len);
        gnutls_cipher_deinit(h);
    }
    return r < 0 ? error_set(errp, "cannot decrypt the secret: %s", gnutls_strerror(r)) : true;
}
