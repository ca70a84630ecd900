/* SPDX-License-Identifier: MIT */
/* Key slots: passwords to keys, and the splitter that makes a slot hard to recover once it is wiped. */
#include "block/luks/luks-priv.h"

#include <errno.h>
#include <string.h>

#include "io/entropy.h"
#include "util/bswap.h"

/* ---- derivation, on a pool thread ---- */

typedef struct {
    const char *hash;
    const void *password, *salt;
    size_t password_len, salt_len, len;
    unsigned iterations;
    uint8_t *out;
} Derive;

static void run_derive(void *opaque)
{
    Derive *d = opaque;

    crypto_pbkdf2(d->hash, d->password, d->password_len, d->salt, d->salt_len, d->iterations, d->out, d->len);
}

static void derive(const char *hash, const void *password, size_t password_len, const uint8_t *salt, unsigned iterations, uint8_t *out, size_t len)
{
    Derive d = { hash, password, salt, password_len, LUKS_SALT, len, iterations, out };

    fiber_blocking(run_derive, &d);
}

unsigned luks_iterations(const char *hash, size_t key_len, unsigned ms)
{
    enum { LEAST = 1000, MOST = 50 << 20 };
    uint8_t out[LUKS_MAX_KEY], salt[LUKS_SALT] = {};
    uint64_t count = 1 << 12, want;
    int64_t took;

    for (;;) {                                  /* long enough to be measured */
        int64_t start = loop_now();

        derive(hash, "password", 8, salt, count, out, key_len);
        took = MAX(loop_now() - start, 1);
        if (took > 20000000 || count > MOST) {
            break;
        }
        count *= 2;
    }
    want = (uint64_t)((double)count * ms * 1e6 / took);
    return CLAMP(want, LEAST, MOST);
}

void luks_digest_key(const Luks *l, const uint8_t *key, uint8_t *out)
{
    derive(l->hash, key, l->key_len, l->digest_salt, l->digest_iterations, out, LUKS_DIGEST);
}

/* ---- the splitter (section 2.4) ---- */

static void diffuse(const char *hash, uint8_t *block, size_t len)
{
    size_t unit = crypto_digest_size(hash);
    uint8_t digest[CRYPTO_MAX_DIGEST];

    for (size_t at = 0, i = 0; at < len; at += unit, i++) {
        size_t now = MIN(unit, len - at);
        uint8_t number[4];

        stl_be_p(number, i);
        crypto_digest(hash, number, 4, block + at, now, digest);
        memcpy(block + at, digest, now);
    }
}

static void mix(uint8_t *into, const uint8_t *from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        into[i] ^= from[i];
    }
}

static void split(const Luks *l, const uint8_t *key, uint8_t *out, unsigned stripes)
{
    uint8_t block[LUKS_MAX_KEY] = {};

    io_entropy(out, (size_t)l->key_len * (stripes - 1));
    for (unsigned i = 0; i + 1 < stripes; i++) {
        mix(block, out + (size_t)i * l->key_len, l->key_len);
        diffuse(l->hash, block, l->key_len);
    }
    memcpy(out + (size_t)(stripes - 1) * l->key_len, key, l->key_len);
    mix(out + (size_t)(stripes - 1) * l->key_len, block, l->key_len);
    crypto_wipe(block, sizeof(block));
}

static void merge(const Luks *l, const uint8_t *in, uint8_t *key, unsigned stripes)
{
    uint8_t block[LUKS_MAX_KEY] = {};

    for (unsigned i = 0; i + 1 < stripes; i++) {
        mix(block, in + (size_t)i * l->key_len, l->key_len);
        diffuse(l->hash, block, l->key_len);
    }
    memcpy(key, in + (size_t)(stripes - 1) * l->key_len, l->key_len);
    mix(key, block, l->key_len);
    crypto_wipe(block, sizeof(block));
}

/* ---- slots ---- */

static SectorCipher *slot_cipher(const Luks *l, const LuksSlot *s, const uint8_t *password, size_t len, Error **errp)
{
    uint8_t key[LUKS_MAX_KEY];
    SectorCipher *c;

    derive(l->hash, password, len, s->salt, s->iterations, key, l->key_len);
    c = sector_cipher_new(l->cipher, l->mode, key, l->key_len, errp);
    crypto_wipe(key, sizeof(key));
    return c;
}

bool luks_try_slot(Luks *l, unsigned slot, const uint8_t *password, size_t len, uint8_t *key, int *error)
{
    const LuksSlot *s = &l->slots[slot];
    size_t bytes = format_round((uint64_t)s->stripes * l->key_len, CRYPTO_SECTOR);
    uint8_t *material = g_malloc(bytes), digest[LUKS_DIGEST];
    SectorCipher *c = slot_cipher(l, s, password, len, NULL);
    int r = node_pread_padded(l->file, l->base + s->at, material, bytes);
    bool ok = false;

    *error = !c ? ENOTSUP : -r;
    if (*error == 0) {
        sector_cipher_decrypt(c, 0, material, bytes);
        merge(l, material, key, s->stripes);
        luks_digest_key(l, key, digest);
        ok = !memcmp(digest, l->digest, LUKS_DIGEST);
    }
    sector_cipher_free(c);
    crypto_wipe(material, bytes);
    g_free(material);
    return ok;
}

int luks_fill_slot(Luks *l, unsigned slot, const uint8_t *password, size_t len, unsigned ms, Error **errp)
{
    LuksSlot *s = &l->slots[slot];
    size_t bytes = format_round((uint64_t)s->stripes * l->key_len, CRYPTO_SECTOR);
    uint8_t *material = g_malloc0(bytes);
    SectorCipher *c;
    int r;

    io_entropy(s->salt, sizeof(s->salt));
    s->iterations = luks_iterations(l->hash, l->key_len, ms);
    c = slot_cipher(l, s, password, len, errp);
    if (!c) {
        g_free(material);
        return -ENOTSUP;
    }
    split(l, l->key, material, s->stripes);
    sector_cipher_encrypt(c, 0, material, bytes);
    sector_cipher_free(c);
    r = node_pwrite(l->file, l->base + s->at, material, bytes);
    r = r ? r : node_flush(l->file);            /* the key before the header that says it is one */
    s->active = r == 0;
    g_free(material);
    return r;
}

int luks_wipe_slot(Luks *l, unsigned slot)
{
    const LuksSlot *s = &l->slots[slot];
    size_t bytes = (size_t)s->stripes * l->key_len;
    g_autofree uint8_t *noise = g_malloc(bytes);
    int r = 0;

    for (unsigned i = 0; i < 4 && r == 0; i++) {
        io_entropy(noise, bytes);
        r = node_pwrite(l->file, l->base + s->at, noise, bytes);
        r = r ? r : node_flush(l->file);
    }
    return r;
}
