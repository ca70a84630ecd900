/* SPDX-License-Identifier: MIT */
/*
 * Encrypted data: LUKS (its header in clusters of its own, sectors numbered by
 * their place in the file), or the AES of old images (numbered by their place
 * in the disk).  Tables are not encrypted.
 */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/size.h"

bool qcow2_crypt_open(BlkNode *n, Json *o, Error **errp)
{
    Qcow2 *s = q2(n);
    const char *secret = encrypt_option(o, "key-secret"), *format = encrypt_option(o, "format"), *is = s->crypt == QCOW2_CRYPT_LUKS ? "luks" : "aes";

    if (s->crypt > QCOW2_CRYPT_LUKS) {
        return error_set(errp, "Unsupported encryption method %u", s->crypt);
    }
    if (format && strcmp(format, is)) {
        return error_set(errp, "Header reported '%s' encryption format but options specify '%s'", is, format);
    }
    if (s->crypt == QCOW2_CRYPT_LUKS) {
        if (!s->crypt_offset || (s->crypt_offset & (s->cluster_size - 1)) || s->crypt_length > 64 * MiB || s->crypt_offset > INT64_MAX / 2) {
            return error_set(errp, "Encryption header offset '%" G_GUINT64_FORMAT "' is not a multiple of cluster size '%" G_GUINT64_FORMAT "'", s->crypt_offset, s->cluster_size);
        }
        if (!luks_load(&s->luks, n->file->node, s->crypt_offset, s->crypt_length, false, errp)) {
            return false;
        }
    }
    if (n->flags & (BLK_O_NO_IO | BLK_O_CHECK)) {
        return true;
    }
    n->align = MAX(n->align, CRYPTO_SECTOR);
    if (s->crypt == QCOW2_CRYPT_LUKS) {
        return luks_unlock(&s->luks, n->session, secret, errp);
    }
    s->aes = aes_legacy_cipher(n->session, secret, errp);
    return s->aes != NULL;
}

void qcow2_crypt_free(Qcow2 *s)
{
    luks_free(&s->luks);
    sector_cipher_free(s->aes);
}

static const SectorCipher *cipher_of(const Qcow2 *s, uint64_t host, uint64_t guest, uint64_t *sector)
{
    *sector = (s->aes ? guest : host) / CRYPTO_SECTOR;
    return s->aes ? s->aes : s->luks.sectors;
}

enum { CHUNK = 1 << 20 };

static int crypt_one(const Qcow2 *s, uint64_t host, uint64_t guest, uint8_t *buf, uint64_t len, BlkVec v, unsigned flags, bool write)
{
    uint64_t sector;
    const SectorCipher *c = cipher_of(s, host, guest, &sector);
    int r = !c ? -EACCES : write ? 0 : node_pread_padded(s->data, host, buf, len);

    if (r < 0) {
        return r;
    }
    if (write) {
        blk_vec_read(v, buf, len);
        sector_cipher_encrypt(c, sector, buf, len);
        return node_write(s->data, host, len, BLK_VEC1(buf, len), flags);
    }
    sector_cipher_decrypt(c, sector, buf, len);
    blk_vec_write(v, buf, len);
    return 0;
}

static int crypt_all(const Qcow2 *s, uint64_t host, uint64_t guest, uint64_t len, BlkVec v, unsigned flags, bool write)
{
    uint8_t *buf = blk_buffer(MIN(len, CHUNK));
    int r = 0;

    for (uint64_t at = 0; at < len && r == 0; at += CHUNK) {
        r = crypt_one(s, host + at, guest + at, buf, MIN(len - at, CHUNK), blk_vec_from(v, at), flags, write);
    }
    free(buf);
    return r;
}

int qcow2_data_read(BlkNode *n, uint64_t host, uint64_t guest, uint64_t len, BlkVec v, unsigned flags)
{
    const Qcow2 *s = q2(n);

    return s->crypt ? crypt_all(s, host, guest, len, v, flags, false) : node_read(s->data, host, len, v, flags);
}

int qcow2_data_write(BlkNode *n, uint64_t host, uint64_t guest, uint64_t len, BlkVec v, unsigned flags)
{
    const Qcow2 *s = q2(n);

    return s->crypt ? crypt_all(s, host, guest, len, v, flags, true) : node_write(s->data, host, len, v, flags);
}

Json *qcow2_crypt_info(const Qcow2 *s)
{
    Json *j;

    if (s->crypt == QCOW2_CRYPT_LUKS) {
        return luks_info(&s->luks, true);
    }
    j = json_object();
    json_set_string(j, "format", "aes");
    return j;
}

bool qcow2_crypt_amend(BlkNode *n, Json *o, bool force, Error **errp)
{
    Qcow2 *s = q2(n);

    if (s->crypt != QCOW2_CRYPT_LUKS) {
        return error_set(errp, "the image is not encrypted with LUKS: there is nothing to amend");
    }
    return luks_amend(&s->luks, n->session, o, "encrypt.", force, errp);
}

/* ---- creation ---- */

bool qcow2_crypt_plan(Qcow2 *s, const Json *o, Error **errp)
{
    const char *format = encrypt_option(o, "format");

    if (json_get_bool(o, "encryption", false)) {
        if (format && strcmp(format, "aes")) {
            return error_set(errp, "Options encryption and encrypt.format are mutually exclusive");
        }
        format = "aes";
    }
    if (!format) {
        return true;
    }
    if (strcmp(format, "luks") && strcmp(format, "aes")) {
        return error_set(errp, "Unknown encryption format %s", format);
    }
    if (!strcmp(format, "aes")) {
        s->crypt = QCOW2_CRYPT_AES;
        return json_get_string(o, "encrypt.key-secret") || error_set(errp, "Parameter 'encrypt.key-secret' is required for cipher");
    }
    s->crypt = QCOW2_CRYPT_LUKS;
    if (!luks_plan(&s->luks, o, "encrypt.", errp)) {
        return false;
    }
    s->crypt_length = s->luks.payload;
    return true;
}

bool qcow2_crypt_make(Qcow2 *s, BlkNode *file, Session *session, const Json *o, Error **errp)
{
    bool ok;

    if (s->crypt != QCOW2_CRYPT_LUKS) {
        return true;
    }
    ok = node_zeroes(file, s->crypt_offset, q_clusters(s, s->crypt_length) << s->cluster_bits, 0) == 0 || error_set(errp, "Could not write the encryption header");
    ok = ok && luks_write(&s->luks, file, s->crypt_offset, session, o, "encrypt.", errp);
    luks_free(&s->luks);
    return ok;
}
