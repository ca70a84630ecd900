/* SPDX-License-Identifier: MIT */
/* zstd for clusters, or its absence. */
#ifndef BLOCK_QCOW2_ZSTD_H
#define BLOCK_QCOW2_ZSTD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

bool qcow2_zstd_here(void);
typedef struct ZstdPacker ZstdPacker;
ZstdPacker *qcow2_zstd_new(void);
void qcow2_zstd_free(ZstdPacker *p);            /* NULL is fine */
/* Before each batch: what is packed next does not depend on what was packed before, so that the same image gives the same bytes. */
void qcow2_zstd_begin(ZstdPacker *p);
/* Bytes, or -ENOMEM when they do not fit. */
ssize_t qcow2_zstd_compress(ZstdPacker *p, void *out, size_t room, const void *in, size_t len);
int qcow2_zstd_decompress(void *out, size_t out_len, const void *in, size_t len);

#endif
