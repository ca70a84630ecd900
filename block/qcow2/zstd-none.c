/* SPDX-License-Identifier: MIT */
#include "block/qcow2/zstd.h"

#include <errno.h>

bool qcow2_zstd_here(void)
{
    return false;
}

ZstdPacker *qcow2_zstd_new(void)
{
    return NULL;
}

void qcow2_zstd_free(ZstdPacker *p)
{
}

void qcow2_zstd_begin(ZstdPacker *p)
{
}

ssize_t qcow2_zstd_compress(ZstdPacker *p, void *out, size_t room, const void *in, size_t len)
{
    return -ENOTSUP;
}

int qcow2_zstd_decompress(void *out, size_t out_len, const void *in, size_t len)
{
    return -ENOTSUP;
}
