/* SPDX-License-Identifier: MIT */
/*
 * Numbers and byte counts as people type and read them.
 *
 * Parsers take the whole text or fail with a message that names it; on an
 * error *out is untouched.
 */
#ifndef UTIL_SIZE_H
#define UTIL_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

#define KiB (1ull << 10)
#define MiB (1ull << 20)
#define GiB (1ull << 30)
#define TiB (1ull << 40)

/* 512, 0x200, 1.5G, 64k: binary suffixes B k M G T P E in either case; a bare number counts in `unit` bytes. */
bool size_parse(const char *text, uint64_t unit, uint64_t *out, Error **errp);
/* Decimal, 0x hex or 0 octal. */
bool number_parse_u64(const char *text, uint64_t *out, Error **errp);
bool number_parse_i64(const char *text, int64_t *out, Error **errp);
/* on yes true y 1, off no false n 0. */
bool bool_parse(const char *text, bool *out, Error **errp);
/* "10 GiB", "1.5 MiB", "512 B": at most three significant digits (1024 is the step).  Caller frees. */
char *size_text(uint64_t bytes);

#endif
