/* SPDX-License-Identifier: MIT */
/* Adding and erasing keys. */
#include "block/luks/luks-priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "io/secret.h"

typedef struct {
    const char *state, *new_secret, *old_secret;
    bool has_slot;
    uint64_t slot, ms;
    bool force;
} Wish;

static unsigned active(const Luks *l)
{
    unsigned n = 0;

    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        n += l->slots[i].active;
    }
    return n;
}

static bool parse(Wish *w, const Json *o, const char *prefix, Error **errp)
{
    g_autofree char *state = g_strconcat(prefix, "state", NULL), *new_secret = g_strconcat(prefix, "new-secret", NULL), *old_secret = g_strconcat(prefix, "old-secret", NULL);
    g_autofree char *slot = g_strconcat(prefix, "keyslot", NULL), *ms = g_strconcat(prefix, "iter-time", NULL);

    w->state = json_get_string(o, state);
    w->new_secret = json_get_string(o, new_secret);
    w->old_secret = json_get_string(o, old_secret);
    w->has_slot = json_get(o, slot) != NULL;
    w->slot = json_get_u64(o, slot, 0);
    w->ms = CLAMP(json_get_u64(o, ms, 2000), 1, 1000000);
    if (!w->state || (strcmp(w->state, "active") && strcmp(w->state, "inactive"))) {
        return error_set(errp, w->state ? "Parameter 'state' does not accept value '%s'" : "Parameter 'state' is missing%.0s", w->state ? w->state : "");
    }
    if (w->has_slot && w->slot >= LUKS_SLOTS) {
        return error_set(errp, "Invalid keyslot %" PRIu64 " specified, must be between 0 and %d", w->slot, LUKS_SLOTS - 1);
    }
    return true;
}

static bool add(Luks *l, Session *session, const Wish *w, Error **errp)
{
    unsigned slot = w->slot;
    uint8_t *password;
    size_t len;
    int r;

    if (!w->new_secret) {
        return error_set(errp, "'new-secret' is required to activate a keyslot");
    }
    if (w->old_secret) {
        return error_set(errp, "'old-secret' must not be given when activating keyslots");
    }
    if (!l->sectors) {
        return error_set(errp, "the image must be unlocked with 'key-secret' before a key is added");
    }
    for (slot = w->has_slot ? slot : 0; !w->has_slot && slot < LUKS_SLOTS && l->slots[slot].active; slot++) {
    }
    if (slot >= LUKS_SLOTS) {
        return error_set(errp, "Can't add a keyslot - all keyslots are in use");
    }
    if (l->slots[slot].active && !w->force) {
        return error_set(errp, "Refusing to overwrite active keyslot %u - please erase it first", slot);
    }
    password = secret_get(session, w->new_secret, &len, errp);
    if (!password) {
        return false;
    }
    r = luks_fill_slot(l, slot, password, len, w->ms, errp);
    crypto_wipe(password, len);
    g_free(password);
    r = r ? r : luks_write_header(l);
    return r == 0 || (errp && *errp ? false : error_set_errno(errp, -r, "Could not write the key slot"));
}

/* The header first: a slot that is half wiped is no key any more. */
static bool erase_slot(Luks *l, unsigned slot, Error **errp)
{
    LuksSlot old = l->slots[slot];
    int r;

    memset(l->slots[slot].salt, 0, LUKS_SALT);
    l->slots[slot].active = false;
    l->slots[slot].iterations = 0;
    r = luks_write_header(l);
    if (r < 0) {
        l->slots[slot] = old;
    }
    r = r ? r : luks_wipe_slot(l, slot);
    return r == 0 || error_set_errno(errp, -r, "Could not erase keyslot %u", slot);
}

static bool erase_matching(Luks *l, Session *session, const Wish *w, Error **errp)
{
    bool match[LUKS_SLOTS] = {};
    uint8_t key[LUKS_MAX_KEY], *password;
    unsigned found = 0;
    int error = 0;
    size_t len;

    password = secret_get(session, w->old_secret, &len, errp);
    if (!password) {
        return false;
    }
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        match[i] = l->slots[i].active && luks_try_slot(l, i, password, len, key, &error);
        found += match[i];
    }
    crypto_wipe(password, len);
    crypto_wipe(key, sizeof(key));
    g_free(password);
    if (!found) {
        return error_set(errp, "No keyslots match given (old) password for erase operation");
    }
    if (found == active(l) && !w->force) {
        return error_set(errp, "All the active keyslots match the (old) password that was given and erasing them will erase all the data in the image irreversibly - refusing operation");
    }
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        if (match[i] && !erase_slot(l, i, errp)) {
            return false;
        }
    }
    return true;
}

static bool erase(Luks *l, Session *session, const Wish *w, Error **errp)
{
    if (w->new_secret && *w->new_secret) {
        return error_set(errp, "'new-secret' must not be given when erasing keyslots");
    }
    if (w->old_secret) {
        return erase_matching(l, session, w, errp);
    }
    if (!w->has_slot) {
        return error_set(errp, "To erase keyslot(s), either explicit keyslot index or the password currently contained in them must be given");
    }
    if (!l->slots[w->slot].active) {
        return error_set(errp, "Given keyslot %" PRIu64 " is already erased (inactive)", w->slot);
    }
    if (active(l) == 1 && !w->force) {
        return error_set(errp, "Attempt to erase the only active keyslot %" PRIu64 " which will erase all the data in the image irreversibly - refusing operation", w->slot);
    }
    return erase_slot(l, w->slot, errp);
}

bool luks_amend(Luks *l, Session *session, const Json *o, const char *prefix, bool force, Error **errp)
{
    Wish w;

    w.force = force;
    if (!parse(&w, o, prefix, errp)) {
        return false;
    }
    return strcmp(w.state, "active") ? erase(l, session, &w, errp) : add(l, session, &w, errp);
}
