/* SPDX-License-Identifier: MIT */
/*
 * Secrets: passwords and keys as objects, so that they stand in no command
 * that is not about them.
 *
 *   secret,id=,data=TEXT | file=PATH, format=raw|base64, keyid=ID,iv=BASE64
 *
 * With keyid, the data is AES-256-CBC (PKCS#7 padding) under the secret ID,
 * which must have 32 bytes, with the initial vector iv of 16.
 */
#ifndef IO_SECRET_H
#define IO_SECRET_H

#include "io/object.h"

/* The bytes; caller frees (a zero byte follows them).  NULL: no such secret. */
uint8_t *secret_get(Session *s, const char *id, size_t *len, Error **errp);
/* As text: refused when it is not UTF-8. */
char *secret_get_text(Session *s, const char *id, Error **errp);

#endif
