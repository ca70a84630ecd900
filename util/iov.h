/* SPDX-License-Identifier: MIT */
/*
 * Lists of memory pieces (struct iovec): size, copy in and out, cut.
 *
 * Offsets count bytes from the start of the list.  Copies stop at its end and
 * return how many bytes they moved.
 */
#ifndef UTIL_IOV_H
#define UTIL_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

size_t iov_bytes(const struct iovec *iov, unsigned n);
/* list -> buf */
size_t iov_read(const struct iovec *iov, unsigned n, size_t offset, void *buf, size_t len);
/* buf -> list */
size_t iov_write(const struct iovec *iov, unsigned n, size_t offset, const void *buf, size_t len);
size_t iov_fill(const struct iovec *iov, unsigned n, size_t offset, uint8_t byte, size_t len);
/* The pieces of [offset, offset + len) into out[max]; returns how many; pieces beyond max are left out. */
unsigned iov_cut(const struct iovec *iov, unsigned n, size_t offset, size_t len, struct iovec *out, unsigned max);

#endif
