/* SPDX-License-Identifier: MIT */
/*
 * LUKS version 1, as an image format of its own and inside of qcow2.
 *
 * Facts: "LUKS1 On-Disk Format Specification", version 1.2.3 (C. Fruhwirth).
 * Big endian.  A header with eight key slots; each holds the master key, split
 * into thousands of stripes and encrypted under a key derived from a password.
 *
 * All functions but luks_free() run in a fiber; deriving keys runs on pool
 * threads, and takes as long as the image's maker wanted it to.
 */
#ifndef BLOCK_LUKS_LUKS_H
#define BLOCK_LUKS_LUKS_H

#include "block/driver.h"
#include "util/crypto.h"

enum { LUKS_SLOTS = 8, LUKS_HEADER = 592, LUKS_SALT = 32, LUKS_DIGEST = 20, LUKS_MAX_KEY = 128 };

typedef struct LuksSlot {
    bool active;
    uint32_t iterations, stripes;
    uint64_t at;                    /* bytes from the header */
    uint8_t salt[LUKS_SALT];
} LuksSlot;

typedef struct Luks {
    BlkNode *file;
    uint64_t base;                  /* where in the file the header begins */
    char cipher[33], mode[33], hash[33], uuid[41];
    uint64_t payload;               /* bytes from the header; detached: from the begin of the file with the data */
    bool detached;                  /* the header has a file of its own */
    uint32_t key_len, digest_iterations;
    uint8_t digest[LUKS_DIGEST], digest_salt[LUKS_SALT];
    LuksSlot slots[LUKS_SLOTS];
    uint8_t key[LUKS_MAX_KEY];      /* master key, once unlocked */
    SectorCipher *sectors;          /* NULL: locked */
} Luks;

/* Read a header; `room` bytes are there for it and its slots.  `detached`: the data is in another file. */
bool luks_load(Luks *l, BlkNode *file, uint64_t base, uint64_t room, bool detached, Error **errp);
/* With the password of any slot. */
bool luks_unlock(Luks *l, Session *s, const char *secret, Error **errp);
void luks_free(Luks *l);
Json *luks_info(const Luks *l, bool named);         /* {"ivgen-alg": ...}, as info prints it; `named`: with "format": "luks" */

/*
 * A new one: options cipher-alg, cipher-mode, ivgen-alg, ivgen-hash-alg,
 * hash-alg, iter-time, key-secret, each behind `prefix` ("" or "encrypt.").
 * luks_plan() fills in all but keys, so that l->payload is known;
 * luks_write() makes the keys and writes header and first slot.
 */
bool luks_plan(Luks *l, const Json *o, const char *prefix, Error **errp);
bool luks_write(Luks *l, BlkNode *file, uint64_t base, Session *s, const Json *o, const char *prefix, Error **errp);
/* Options state, new-secret, old-secret, keyslot, iter-time; l is unlocked where a key is to be added.  `force`: the last key may be erased, an active one overwritten. */
bool luks_amend(Luks *l, Session *s, const Json *o, const char *prefix, bool force, Error **errp);

/* aes.c: the password is the key. */
SectorCipher *aes_legacy_cipher(Session *session, const char *secret, Error **errp);
/* {"encrypt": {name: ...}} or "encrypt.name". */
const char *encrypt_option(const Json *o, const char *name);

/* Rows for the tables of options. */
#define LUKS_CREATE_KEYS(prefix) \
    { prefix "cipher-alg", OPT_STRING, "Name of encryption cipher algorithm" }, \
    { prefix "cipher-mode", OPT_STRING, "Name of encryption cipher mode" }, \
    { prefix "ivgen-alg", OPT_STRING, "Name of IV generator algorithm" }, \
    { prefix "ivgen-hash-alg", OPT_STRING, "Name of IV generator hash algorithm" }, \
    { prefix "hash-alg", OPT_STRING, "Name of encryption hash algorithm" }, \
    { prefix "iter-time", OPT_NUMBER, "Time to spend in PBKDF in milliseconds" }
#define LUKS_AMEND_KEYS(prefix) \
    { prefix "state", OPT_STRING, "Select new state of affected keyslots (active/inactive)" }, \
    { prefix "new-secret", OPT_STRING, "New secret to set in the matching keyslots. Empty string to erase" }, \
    { prefix "old-secret", OPT_STRING, "Select all keyslots that match this password" }, \
    { prefix "keyslot", OPT_NUMBER, "Select a single keyslot to modify explicitly" }, \
    { prefix "iter-time", OPT_NUMBER, "Time to spend in PBKDF in milliseconds" }

#endif
