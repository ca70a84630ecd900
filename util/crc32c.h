/* SPDX-License-Identifier: MIT */
/* CRC-32C (Castagnoli), reflected, as in RFC 3720. */
#ifndef UTIL_CRC32C_H
#define UTIL_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Begin with 0; goes on from an earlier result. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

#endif
