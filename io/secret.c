/* SPDX-License-Identifier: MIT */
#include "io/secret.h"

#include <string.h>

#include "io/secret-priv.h"

enum { KEY_BYTES = 32, IV_BYTES = 16 };

typedef struct {
    uint8_t *data;
    size_t len;
} Secret;

static void wipe(void *p, size_t len)
{
    memset(p, 0, len);
    __asm__ volatile("" : : "r"(p) : "memory");
}

static void destroy(void *object)
{
    Secret *x = object;

    if (x->data) {
        wipe(x->data, x->len);
    }
    g_free(x->data);
    g_free(x);
}

static const SessionKind secret_kind = { .name = "secret", .space = "object", .duplicate = "attempt to add duplicate property '%s' to object (type 'container')", .destroy = destroy };

uint8_t *secret_get(Session *s, const char *id, size_t *len, Error **errp)
{
    const SessionKind *kind = NULL;
    const Secret *x = session_find(s, "object", id, &kind);
    uint8_t *copy;

    if (!x || kind != &secret_kind) {
        error_set(errp, x ? "Object with id '%s' is not a secret" : "No secret with id '%s'", id);
        return NULL;
    }
    copy = g_malloc(x->len + 1);
    memcpy(copy, x->data, x->len);
    copy[x->len] = 0;
    *len = x->len;
    return copy;
}

char *secret_get_text(Session *s, const char *id, Error **errp)
{
    size_t len;
    uint8_t *data = secret_get(s, id, &len, errp);

    if (data && (!g_utf8_validate((char *)data, len, NULL) || memchr(data, 0, len))) {
        error_set(errp, "Data from secret %s is not valid UTF-8", id);
        wipe(data, len);
        g_clear_pointer(&data, g_free);
    }
    return (char *)data;
}

/* ---- making ---- */

static bool from_base64(const char *what, const uint8_t *text, size_t n, uint8_t **out, size_t *len, Error **errp)
{
    size_t good = strspn((const char *)text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\r\n \t");

    good += strspn((const char *)text + good, "=\r\n \t");
    if (good != n) {
        return error_set(errp, "%s is not base64", what);
    }
    *out = g_base64_decode((const char *)text, len);
    return true;
}

static bool read_data(const Json *o, uint8_t **data, size_t *len, Error **errp)
{
    const char *text = json_get_string(o, "data"), *file = json_get_string(o, "file");
    g_autofree uint8_t *raw = NULL;
    GError *why = NULL;
    gsize n;

    if (text && file) {
        return error_set(errp, "'file' and 'data' are mutually exclusive");
    }
    if (!text && !file) {
        return error_set(errp, "Either 'file' or 'data' must be provided");
    }
    if (text) {
        raw = (uint8_t *)g_strdup(text);
        n = strlen(text);
    } else if (!g_file_get_contents(file, (char **)&raw, &n, &why)) {
        error_set(errp, "Unable to read %s: %s", file, why->message);
        g_error_free(why);
        return false;
    }
    if (json_get_string(o, "format") && !strcmp(json_get_string(o, "format"), "base64")) {
        return from_base64("the secret's data", raw, n, data, len, errp);
    }
    *data = g_steal_pointer(&raw);
    *len = n;
    return true;
}

static bool decrypt(Session *s, const Json *o, uint8_t **data, size_t *len, Error **errp)
{
    const char *iv_text = json_get_string(o, "iv");
    size_t key_len = 0, iv_len = 0, n;
    g_autofree uint8_t *key = secret_get(s, json_get_string(o, "keyid"), &key_len, errp), *iv = NULL;

    if (!key) {
        return false;
    }
    if (key_len != KEY_BYTES) {
        return error_set(errp, "Key should be %d bytes in length", KEY_BYTES);
    }
    if (!iv_text) {
        return error_set(errp, "IV is required to decrypt secret");
    }
    if (!from_base64("iv", (const uint8_t *)iv_text, strlen(iv_text), &iv, &iv_len, errp)) {
        return false;
    }
    if (iv_len != IV_BYTES) {
        return error_set(errp, "IV should be %d bytes in length not %zu", IV_BYTES, iv_len);
    }
    /* What is encrypted is base64 as text, or bytes. */
    if (*len == 0 || *len % 16) {
        return error_set(errp, "the secret's data has %zu bytes, which is no multiple of the cipher's 16", *len);
    }
    if (!secret_aes256_cbc_decrypt(key, iv, *data, *len, errp)) {
        return false;
    }
    n = (*data)[*len - 1];
    if (n == 0 || n > 16) {
        return error_set(errp, "Incorrect number of padding bytes (%zu) found on decrypted data", n);
    }
    *len -= n;
    return true;
}

static bool create(Session *s, const char *id, const Json *o, Error **errp)
{
    Secret *x = g_new0(Secret, 1);

    if (!read_data(o, &x->data, &x->len, errp) || (json_get_string(o, "keyid") && !decrypt(s, o, &x->data, &x->len, errp)) ||
        !session_add(s, &secret_kind, id, x, errp)) {
        destroy(x);
        return false;
    }
    return true;
}

static const OptKey secret_keys[] = {
    { "data", OPT_STRING, "the secret itself" }, { "file", OPT_STRING, "file that holds it" },
    { "format", OPT_ENUM, "how it is written", .values = "raw|base64", .def = "raw" },
    { "keyid", OPT_STRING, "secret that it is encrypted with" }, { "iv", OPT_STRING, "initial vector, base64" }, {}
};
static const OptVariant secret_options = { .group = "object", .name = "secret", .help = "a password or key", .keys = secret_keys };
static const SessionObject secret_type = { "secret", create, &secret_kind };
OPT_VARIANT(secret_options);
SESSION_OBJECT(secret_type);
