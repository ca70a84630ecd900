/* SPDX-License-Identifier: MIT */
/*
 * The encryption of old qcow and qcow2 images: AES-128-CBC, the password
 * itself as key, the number of the sector as initial vector.  For reading what
 * there is; it protects little.
 */
#include <string.h>

#include "block/luks/luks-priv.h"
#include "io/secret.h"

SectorCipher *aes_legacy_cipher(Session *session, const char *secret, Error **errp)
{
    uint8_t key[16] = {}, *password;
    SectorCipher *c;
    size_t len;

    if (!secret) {
        error_set(errp, "Parameter 'encrypt.key-secret' is required for cipher");
        return NULL;
    }
    password = secret_get(session, secret, &len, errp);
    if (!password) {
        return NULL;
    }
    memcpy(key, password, MIN(len, sizeof(key)));
    c = sector_cipher_new("aes", "cbc-plain64", key, sizeof(key), errp);
    crypto_wipe(key, sizeof(key));
    crypto_wipe(password, len);
    g_free(password);
    return c;
}

const char *encrypt_option(const Json *o, const char *name)
{
    g_autofree char *dotted = g_strconcat("encrypt.", name, NULL);
    const Json *in = json_get(o, "encrypt");

    return in && json_get_string(in, name) ? json_get_string(in, name) : json_get_string(o, dotted);
}
