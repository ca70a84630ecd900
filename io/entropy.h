/* SPDX-License-Identifier: MIT */
/* Random bytes of the host for what is not a machine's: identities of images, keys, salts.  Devices ask their machine instead. */
#ifndef IO_ENTROPY_H
#define IO_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

void io_entropy(void *buf, size_t len);         /* any thread; does not fail */
/* A version 4 UUID, as 16 bytes in the order in which they are printed (RFC 4122). */
void io_uuid(uint8_t out[16]);

#endif
