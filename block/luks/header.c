/* SPDX-License-Identifier: MIT */
/* The header: reading, planning, writing. */
#include "block/luks/luks-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "io/entropy.h"
#include "io/secret.h"
#include "util/bswap.h"

enum {
    H_VERSION = 6, H_CIPHER = 8, H_MODE = 40, H_HASH = 72, H_PAYLOAD = 104, H_KEY_LEN = 108, H_DIGEST = 112, H_SALT = 132, H_ITERATIONS = 164, H_UUID = 168, H_SLOTS = 208,
    S_ACTIVE = 0, S_ITERATIONS = 4, S_SALT = 8, S_AT = 40, S_STRIPES = 44, S_SIZE = 48,
};
#define SLOT_ON 0x00ac71f3u
#define SLOT_OFF 0x0000deadu
enum { STRIPES = 4000, SLOT_ALIGN = 4096, MAX_ITERATIONS = 100 << 20 };
static const uint8_t magic[6] = { 'L', 'U', 'K', 'S', 0xba, 0xbe };

void luks_free(Luks *l)
{
    sector_cipher_free(l->sectors);
    crypto_wipe(l->key, sizeof(l->key));
    l->sectors = NULL;
}

/* ---- reading ---- */

static void get_text(char *out, const uint8_t *p, size_t len)
{
    memcpy(out, p, len);
    out[len] = 0;
}

static void get_slot(LuksSlot *s, const uint8_t *p)
{
    s->active = (uint32_t)ldl_be_p(p + S_ACTIVE) == SLOT_ON;
    s->iterations = ldl_be_p(p + S_ITERATIONS);
    memcpy(s->salt, p + S_SALT, LUKS_SALT);
    s->at = (uint32_t)ldl_be_p(p + S_AT) * 512ull;
    s->stripes = ldl_be_p(p + S_STRIPES);
}

static bool slots_ok(const Luks *l, const uint8_t *h, uint64_t room, Error **errp)
{
    uint64_t bytes[LUKS_SLOTS];

    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        const LuksSlot *s = &l->slots[i];
        uint32_t active = ldl_be_p(h + H_SLOTS + i * S_SIZE);

        bytes[i] = (uint64_t)s->stripes * l->key_len;
        if (active != SLOT_ON && active != SLOT_OFF) {
            return error_set(errp, "Keyslot %u state is corrupted", i);
        }
        if (s->stripes != STRIPES) {
            return error_set(errp, "Keyslot %u is corrupted (stripes %" PRIu32 " != %d)", i, s->stripes, STRIPES);
        }
        if (s->at < LUKS_HEADER || (!l->detached && s->at + bytes[i] > l->payload) || s->at + bytes[i] > room) {
            return error_set(errp, "Keyslot %u lies outside of the header", i);
        }
        if (s->active && (!s->iterations || s->iterations > MAX_ITERATIONS)) {
            return error_set(errp, "Keyslot %u iteration count %" PRIu32 " is out of range", i, s->iterations);
        }
        for (unsigned j = 0; j < i; j++) {
            if (s->at < l->slots[j].at + bytes[j] && l->slots[j].at < s->at + bytes[i]) {
                return error_set(errp, "Keyslots %u and %u are overlapping in the header", j, i);
            }
        }
    }
    return true;
}

bool luks_load(Luks *l, BlkNode *file, uint64_t base, uint64_t room, bool detached, Error **errp)
{
    uint8_t h[LUKS_HEADER];
    int r = node_pread_padded(file, base, h, sizeof(h));

    *l = (Luks){ .file = file, .base = base, .detached = detached };
    if (r < 0) {
        return error_set_errno(errp, -r, "Unable to read LUKS header");
    }
    if (memcmp(h, magic, sizeof(magic))) {
        return error_set(errp, "Volume is not in LUKS format");
    }
    if (lduw_be_p(h + H_VERSION) != 1) {
        return error_set(errp, "LUKS version %u is not supported", lduw_be_p(h + H_VERSION));
    }
    get_text(l->cipher, h + H_CIPHER, 32);
    get_text(l->mode, h + H_MODE, 32);
    get_text(l->hash, h + H_HASH, 32);
    get_text(l->uuid, h + H_UUID, 40);
    l->payload = (uint32_t)ldl_be_p(h + H_PAYLOAD) * 512ull;
    l->key_len = ldl_be_p(h + H_KEY_LEN);
    l->digest_iterations = ldl_be_p(h + H_ITERATIONS);
    memcpy(l->digest, h + H_DIGEST, LUKS_DIGEST);
    memcpy(l->digest_salt, h + H_SALT, LUKS_SALT);
    if (!l->key_len || l->key_len > LUKS_MAX_KEY) {
        return error_set(errp, "LUKS master key of %" PRIu32 " bytes is not supported", l->key_len);
    }
    if (!l->digest_iterations || l->digest_iterations > MAX_ITERATIONS) {
        return error_set(errp, "LUKS key iteration count %" PRIu32 " is out of range", l->digest_iterations);
    }
    if (!l->payload && !detached) {
        error_set(errp, "LUKS payload is overlapping with the header");
        return error_hint(errp, "It is the detached header of a disk in another file: driver=luks,header.driver=file,header.filename=HEADER,file.driver=file,file.filename=DISK\n");
    }
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        get_slot(&l->slots[i], h + H_SLOTS + i * S_SIZE);
    }
    return slots_ok(l, h, room, errp);
}

bool luks_unlock(Luks *l, Session *session, const char *secret, Error **errp)
{
    uint8_t key[LUKS_MAX_KEY], *password;
    bool found = false;
    int error = 0;
    size_t len;

    if (!secret) {
        return error_set(errp, "Parameter 'key-secret' is required for cipher");
    }
    if (!crypto_digest_size(l->hash)) {
        return error_set(errp, "Hash algorithm '%s' is not supported", l->hash);
    }
    password = secret_get(session, secret, &len, errp);
    if (!password) {
        return false;
    }
    for (unsigned i = 0; i < LUKS_SLOTS && !found && !error; i++) {
        found = l->slots[i].active && luks_try_slot(l, i, password, len, key, &error);
    }
    crypto_wipe(password, len);
    g_free(password);
    if (error) {
        return error_set_errno(errp, error, "Failed to read key material");
    }
    if (!found) {
        return error_set(errp, "Invalid password, cannot unlock any keyslot");
    }
    memcpy(l->key, key, l->key_len);
    crypto_wipe(key, sizeof(key));
    l->sectors = sector_cipher_new(l->cipher, l->mode, l->key, l->key_len, errp);
    return l->sectors != NULL;
}

/* ---- what info says ---- */

static Json *slot_info(const LuksSlot *s)
{
    Json *j = json_object();

    json_set_bool(j, "active", s->active);
    if (s->active) {
        json_set_uint(j, "iters", s->iterations);
    }
    json_set_uint(j, "key-offset", s->at);
    if (s->active) {
        json_set_uint(j, "stripes", s->stripes);
    }
    return j;
}

Json *luks_info(const Luks *l, bool named)
{
    g_auto(GStrv) mode = g_strsplit(l->mode, "-", 2), iv = g_strsplit(mode[0] && mode[1] ? mode[1] : "", ":", 2);
    unsigned each = l->key_len / (mode[0] && !strcmp(mode[0], "xts") ? 2 : 1);
    g_autofree char *cipher = g_strdup_printf("%s-%u", l->cipher, each * 8);
    Json *j = json_object(), *slots = json_array();

    json_set_string(j, "ivgen-alg", iv[0] ? iv[0] : "");
    if (l->detached) {
        json_set_bool(j, "detached-header", true);
    }
    json_set_string(j, "hash-alg", l->hash);
    json_set_string(j, "cipher-alg", cipher);
    json_set_string(j, "uuid", l->uuid);
    if (iv[0] && iv[1] && !strcmp(iv[0], "essiv")) {
        json_set_string(j, "ivgen-hash-alg", iv[1]);
    }
    if (named) {
        json_set_string(j, "format", "luks");
    }
    json_set_string(j, "cipher-mode", mode[0] ? mode[0] : "");
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        json_append(slots, slot_info(&l->slots[i]));
    }
    json_set(j, "slots", slots);
    json_set_uint(j, "payload-offset", l->payload);
    json_set_uint(j, "master-key-iters", l->digest_iterations);
    return j;
}

/* ---- planning ---- */

typedef struct {
    const char *name, *cipher;
    unsigned key_len;
} Alg;
static const Alg algs[] = {
    { "aes-128", "aes", 16 }, { "aes-192", "aes", 24 }, { "aes-256", "aes", 32 }, { "cast5-128", "cast5", 16 }, { "serpent-128", "serpent", 16 }, { "serpent-192", "serpent", 24 },
    { "serpent-256", "serpent", 32 }, { "twofish-128", "twofish", 16 }, { "twofish-192", "twofish", 24 }, { "twofish-256", "twofish", 32 },
};

static const char *option(const Json *o, const char *prefix, const char *name)
{
    g_autofree char *key = g_strconcat(prefix, name, NULL);

    return json_get_string(o, key);
}

static unsigned iter_time(const Json *o, const char *prefix)
{
    g_autofree char *key = g_strconcat(prefix, "iter-time", NULL);

    return CLAMP(json_get_u64(o, key, 2000), 1, 1000000);
}

static const char *one_of(const char *parameter, const char *value, const char *def, const char *const *known, Error **errp)
{
    value = value ? value : def;
    if (value && !g_strv_contains(known, value)) {
        error_set(errp, "Parameter '%s' does not accept value '%s'", parameter, value);
        return NULL;
    }
    return value;
}

static const Alg *alg_of(const char *name, Error **errp)
{
    name = name ? name : "aes-256";
    for (unsigned i = 0; i < G_N_ELEMENTS(algs); i++) {
        if (!strcmp(algs[i].name, name)) {
            return &algs[i];
        }
    }
    if (!strcmp(name, "des") || !strcmp(name, "3des")) {
        error_set(errp, "Algorithm '%s' not supported", name);
    } else {
        error_set(errp, "Parameter 'cipher-alg' does not accept value '%s'", name);
    }
    return NULL;
}

bool luks_plan(Luks *l, const Json *o, const char *prefix, Error **errp)
{
    static const char *const modes[] = { "ecb", "cbc", "xts", "ctr", NULL }, *const ivs[] = { "plain", "plain64", "essiv", NULL };
    static const char *const hashes[] = { "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "ripemd160", NULL };
    const char *mode = one_of("cipher-mode", option(o, prefix, "cipher-mode"), "xts", modes, errp), *given = option(o, prefix, "ivgen-hash-alg");
    const char *iv = mode ? one_of("ivgen-alg", option(o, prefix, "ivgen-alg"), "plain64", ivs, errp) : NULL;
    const char *hash = iv ? one_of("hash-alg", option(o, prefix, "hash-alg"), "sha256", hashes, errp) : NULL;
    const Alg *alg = hash ? alg_of(option(o, prefix, "cipher-alg"), errp) : NULL;
    uint64_t slot;

    if (!alg || (given && !one_of("ivgen-hash-alg", given, NULL, hashes, errp))) {
        return false;
    }
    *l = (Luks){};
    given = given ? given : !strcmp(iv, "essiv") ? "sha256" : NULL;
    snprintf(l->cipher, sizeof(l->cipher), "%s", alg->cipher);
    snprintf(l->mode, sizeof(l->mode), "%s-%s%s%s", mode, iv, given ? ":" : "", given ? given : "");
    snprintf(l->hash, sizeof(l->hash), "%s", hash);
    l->key_len = alg->key_len * (!strcmp(mode, "xts") ? 2 : 1);
    slot = format_round((uint64_t)l->key_len * STRIPES, SLOT_ALIGN);
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        l->slots[i] = (LuksSlot){ .at = SLOT_ALIGN + i * slot, .stripes = STRIPES };
    }
    l->payload = SLOT_ALIGN + LUKS_SLOTS * slot;
    return option(o, prefix, "key-secret") || error_set(errp, "Parameter '%skey-secret' is required for cipher", prefix);
}

/* ---- writing ---- */

static void put_slot(uint8_t *p, const LuksSlot *s)
{
    stl_be_p(p + S_ACTIVE, s->active ? SLOT_ON : SLOT_OFF);
    stl_be_p(p + S_ITERATIONS, s->iterations);
    memcpy(p + S_SALT, s->salt, LUKS_SALT);
    stl_be_p(p + S_AT, s->at / 512);
    stl_be_p(p + S_STRIPES, s->stripes);
}

int luks_write_header(const Luks *l)
{
    uint8_t h[LUKS_HEADER] = {};
    int r;

    memcpy(h, magic, sizeof(magic));
    stw_be_p(h + H_VERSION, 1);
    memcpy(h + H_CIPHER, l->cipher, 32);
    memcpy(h + H_MODE, l->mode, 32);
    memcpy(h + H_HASH, l->hash, 32);
    stl_be_p(h + H_PAYLOAD, l->payload / 512);
    stl_be_p(h + H_KEY_LEN, l->key_len);
    memcpy(h + H_DIGEST, l->digest, LUKS_DIGEST);
    memcpy(h + H_SALT, l->digest_salt, LUKS_SALT);
    stl_be_p(h + H_ITERATIONS, l->digest_iterations);
    memcpy(h + H_UUID, l->uuid, 40);
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        put_slot(h + H_SLOTS + i * S_SIZE, &l->slots[i]);
    }
    r = node_pwrite(l->file, l->base, h, sizeof(h));
    return r ? r : node_flush(l->file);
}

static void make_uuid(char *out)
{
    uint8_t u[16];

    io_uuid(u);
    snprintf(out, 41, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

bool luks_write(Luks *l, BlkNode *file, uint64_t base, Session *session, const Json *o, const char *prefix, Error **errp)
{
    unsigned ms = iter_time(o, prefix);
    uint8_t *password;
    size_t len;
    int r;

    l->file = file;
    l->base = base;
    password = secret_get(session, option(o, prefix, "key-secret"), &len, errp);
    if (!password) {
        return false;
    }
    make_uuid(l->uuid);
    io_entropy(l->key, l->key_len);
    io_entropy(l->digest_salt, sizeof(l->digest_salt));
    l->sectors = sector_cipher_new(l->cipher, l->mode, l->key, l->key_len, errp);
    if (!l->sectors) {
        crypto_wipe(password, len);
        g_free(password);
        return false;
    }
    l->digest_iterations = luks_iterations(l->hash, LUKS_DIGEST, MAX(ms / 8, 1));
    luks_digest_key(l, l->key, l->digest);
    r = luks_fill_slot(l, 0, password, len, ms, errp);
    crypto_wipe(password, len);
    g_free(password);
    r = r ? r : luks_write_header(l);
    return r == 0 || (errp && *errp ? false : error_set_errno(errp, -r, "Unable to write the LUKS header"));
}
