/* SPDX-License-Identifier: MIT */
#include "util/crypto.h"

#include <nettle/aes.h>
#include <nettle/cast128.h>
#include <nettle/cbc.h>
#include <nettle/ctr.h>
#include <nettle/md5.h>
#include <nettle/hmac.h>
#include <nettle/nettle-meta.h>
#include <nettle/pbkdf2.h>
#include <nettle/ripemd160.h>
#include <nettle/serpent.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <nettle/twofish.h>
#include <nettle/xts.h>
#include <string.h>

#include "util/bswap.h"

void crypto_wipe(void *p, size_t len)
{
    memset(p, 0, len);
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* ---- digests ---- */

static const struct nettle_hash *hash_find(const char *name)
{
    static const struct nettle_hash *const known[] = { &nettle_md5, &nettle_sha1, &nettle_sha224, &nettle_sha256, &nettle_sha384, &nettle_sha512, &nettle_ripemd160 };

    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++) {
        if (!strcmp(known[i]->name, name)) {
            return known[i];
        }
    }
    return NULL;
}

size_t crypto_digest_size(const char *hash)
{
    const struct nettle_hash *h = hash_find(hash);

    return h ? h->digest_size : 0;
}

void crypto_digest(const char *hash, const void *a, size_t a_len, const void *b, size_t b_len, uint8_t *out)
{
    const struct nettle_hash *h = hash_find(hash);
    g_autofree void *state = g_malloc(h->context_size);

    h->init(state);
    h->update(state, a_len, a);
    h->update(state, b_len, b);
    h->digest(state, h->digest_size, out);
}

typedef struct {
    const struct nettle_hash *hash;
    void *outer, *inner, *state;
} Mac;

static void mac_update(void *ctx, size_t len, const uint8_t *data)
{
    Mac *m = ctx;

    hmac_update(m->state, m->hash, len, data);
}

static void mac_digest(void *ctx, size_t len, uint8_t *out)
{
    Mac *m = ctx;

    hmac_digest(m->outer, m->inner, m->state, m->hash, len, out);
}

void crypto_pbkdf2(const char *hash, const void *password, size_t password_len, const void *salt, size_t salt_len, unsigned iterations, uint8_t *out, size_t len)
{
    const struct nettle_hash *h = hash_find(hash);
    size_t each = (h->context_size + 15) & ~(size_t)15;
    uint8_t *room = g_malloc(3 * each);
    Mac m = { h, room, room + each, room + 2 * each };

    hmac_set_key(m.outer, m.inner, m.state, h, password_len, password);
    pbkdf2(&m, mac_update, mac_digest, h->digest_size, iterations, salt_len, salt, len, out);
    crypto_wipe(room, 3 * each);
    g_free(room);
}

/* ---- ciphers ---- */

typedef union {
    struct aes128_ctx aes128;
    struct aes192_ctx aes192;
    struct aes256_ctx aes256;
    struct serpent_ctx serpent;
    struct twofish_ctx twofish;
    struct cast128_ctx cast;
} Schedule;

typedef struct {
    const char *name;
    unsigned key_len, block;
    void (*set_encrypt)(void *ctx, const uint8_t *key);
    void (*set_decrypt)(void *ctx, const uint8_t *key);
    nettle_cipher_func *encrypt, *decrypt;
} Kind;

#define SET(name, call) \
    static void name(void *ctx, const uint8_t *key) \
    { \
        call; \
    }
SET(aes128_enc, aes128_set_encrypt_key(ctx, key))
SET(aes128_dec, aes128_set_decrypt_key(ctx, key))
SET(aes192_enc, aes192_set_encrypt_key(ctx, key))
SET(aes192_dec, aes192_set_decrypt_key(ctx, key))
SET(aes256_enc, aes256_set_encrypt_key(ctx, key))
SET(aes256_dec, aes256_set_decrypt_key(ctx, key))
SET(serpent128, serpent_set_key(ctx, 16, key))
SET(serpent192, serpent_set_key(ctx, 24, key))
SET(serpent256, serpent_set_key(ctx, 32, key))
SET(twofish128, twofish_set_key(ctx, 16, key))
SET(twofish192, twofish_set_key(ctx, 24, key))
SET(twofish256, twofish_set_key(ctx, 32, key))
SET(cast128, cast5_set_key(ctx, 16, key))
#undef SET

#define FN(f) ((nettle_cipher_func *)(f))
static const Kind kinds[] = {
    { "aes", 16, 16, aes128_enc, aes128_dec, FN(aes128_encrypt), FN(aes128_decrypt) },
    { "aes", 24, 16, aes192_enc, aes192_dec, FN(aes192_encrypt), FN(aes192_decrypt) },
    { "aes", 32, 16, aes256_enc, aes256_dec, FN(aes256_encrypt), FN(aes256_decrypt) },
    { "serpent", 16, 16, serpent128, serpent128, FN(serpent_encrypt), FN(serpent_decrypt) },
    { "serpent", 24, 16, serpent192, serpent192, FN(serpent_encrypt), FN(serpent_decrypt) },
    { "serpent", 32, 16, serpent256, serpent256, FN(serpent_encrypt), FN(serpent_decrypt) },
    { "twofish", 16, 16, twofish128, twofish128, FN(twofish_encrypt), FN(twofish_decrypt) },
    { "twofish", 24, 16, twofish192, twofish192, FN(twofish_encrypt), FN(twofish_decrypt) },
    { "twofish", 32, 16, twofish256, twofish256, FN(twofish_encrypt), FN(twofish_decrypt) },
    { "cast5", 16, 8, cast128, cast128, FN(cast128_encrypt), FN(cast128_decrypt) },
};

typedef enum { MODE_ECB, MODE_CBC, MODE_CTR, MODE_XTS } Mode;
typedef enum { IV_NONE, IV_PLAIN, IV_PLAIN64, IV_ESSIV } Iv;

struct SectorCipher {
    const Kind *kind, *iv_kind;
    Mode mode;
    Iv iv;
    Schedule enc, dec, tweak, essiv;
};

static const Kind *kind_find(const char *name, size_t key_len)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (!strcmp(kinds[i].name, name) && kinds[i].key_len == key_len) {
            return &kinds[i];
        }
    }
    return NULL;
}

static bool parse_mode(SectorCipher *c, const char *text, char **hash, Error **errp)
{
    static const char *const modes[] = { "ecb", "cbc", "ctr", "xts", NULL }, *const ivs[] = { "", "plain", "plain64", "essiv", NULL };
    g_auto(GStrv) parts = g_strsplit(text, "-", 2), iv = g_strsplit(parts[0] && parts[1] ? parts[1] : "", ":", 2);
    unsigned m = 0, i = 0;

    while (modes[m] && strcmp(modes[m], parts[0] ? parts[0] : "")) {
        m++;
    }
    while (ivs[i] && strcmp(ivs[i], iv[0] ? iv[0] : "")) {
        i++;
    }
    if (!modes[m] || !ivs[i] || (i == IV_NONE && m != MODE_ECB)) {
        return error_set(errp, "Unsupported cipher mode '%s'", text);
    }
    c->mode = m;
    c->iv = i;
    *hash = g_strdup(iv[0] && iv[1] ? iv[1] : "");
    return i != IV_ESSIV || crypto_digest_size(*hash) || error_set(errp, "Unsupported hash of the IV generator in '%s'", text);
}

static bool set_keys(SectorCipher *c, const char *cipher, const char *hash, const uint8_t *key, size_t len, Error **errp)
{
    size_t each = c->mode == MODE_XTS ? len / 2 : len;

    c->kind = kind_find(cipher, each);
    if (!c->kind || (c->mode == MODE_XTS && (c->kind->block != 16 || len % 2))) {
        return error_set(errp, "Algorithm '%s' with a key of %zu bits is not supported", cipher, each * 8);
    }
    c->kind->set_encrypt(&c->enc, key);
    c->kind->set_decrypt(&c->dec, key);
    if (c->mode == MODE_XTS) {
        c->kind->set_encrypt(&c->tweak, key + each);
    }
    if (c->iv == IV_ESSIV) {
        uint8_t salt[CRYPTO_MAX_DIGEST];

        crypto_digest(hash, key, len, NULL, 0, salt);
        c->iv_kind = kind_find(cipher, crypto_digest_size(hash));
        if (!c->iv_kind) {
            return error_set(errp, "the hash of the IV generator does not fit the cipher's keys");
        }
        c->iv_kind->set_encrypt(&c->essiv, salt);
        crypto_wipe(salt, sizeof(salt));
    }
    return true;
}

SectorCipher *sector_cipher_new(const char *cipher, const char *mode, const uint8_t *key, size_t len, Error **errp)
{
    SectorCipher *c = g_new0(SectorCipher, 1);
    g_autofree char *hash = NULL;

    if (!parse_mode(c, mode, &hash, errp) || !set_keys(c, cipher, hash, key, len, errp)) {
        sector_cipher_free(c);
        return NULL;
    }
    return c;
}

void sector_cipher_free(SectorCipher *c)
{
    if (c) {
        crypto_wipe(c, sizeof(*c));
        g_free(c);
    }
}

static void make_iv(const SectorCipher *c, uint64_t sector, uint8_t iv[16])
{
    memset(iv, 0, 16);
    if (c->iv == IV_PLAIN) {
        stl_le_p(iv, sector);
    } else if (c->iv != IV_NONE) {
        stq_le_p(iv, sector);
    }
    if (c->iv == IV_ESSIV) {
        c->iv_kind->encrypt(&c->essiv, c->iv_kind->block, iv, iv);
    }
}

static void one_sector(const SectorCipher *c, uint64_t sector, uint8_t *buf, bool encrypt)
{
    const Kind *k = c->kind;
    uint8_t iv[16];

    make_iv(c, sector, iv);
    switch (c->mode) {
    case MODE_ECB:
        (encrypt ? k->encrypt : k->decrypt)(encrypt ? &c->enc : &c->dec, CRYPTO_SECTOR, buf, buf);
        break;
    case MODE_CBC:
        if (encrypt) {
            cbc_encrypt(&c->enc, k->encrypt, k->block, iv, CRYPTO_SECTOR, buf, buf);
        } else {
            cbc_decrypt(&c->dec, k->decrypt, k->block, iv, CRYPTO_SECTOR, buf, buf);
        }
        break;
    case MODE_CTR:
        ctr_crypt(&c->enc, k->encrypt, k->block, iv, CRYPTO_SECTOR, buf, buf);
        break;
    case MODE_XTS:
        if (encrypt) {
            xts_encrypt_message(&c->enc, &c->tweak, k->encrypt, iv, CRYPTO_SECTOR, buf, buf);
        } else {
            xts_decrypt_message(&c->dec, &c->tweak, k->decrypt, k->encrypt, iv, CRYPTO_SECTOR, buf, buf);
        }
        break;
    }
}

void sector_cipher_encrypt(const SectorCipher *c, uint64_t sector, uint8_t *buf, size_t len)
{
    for (size_t at = 0; at + CRYPTO_SECTOR <= len; at += CRYPTO_SECTOR) {
        one_sector(c, sector++, buf + at, true);
    }
}

void sector_cipher_decrypt(const SectorCipher *c, uint64_t sector, uint8_t *buf, size_t len)
{
    for (size_t at = 0; at + CRYPTO_SECTOR <= len; at += CRYPTO_SECTOR) {
        one_sector(c, sector++, buf + at, false);
    }
}
