/* SPDX-License-Identifier: MIT */
/*
 * Compressed clusters: raw deflate with a 4 KiB window, or zstd.  Packing runs
 * on pool threads, so that several clusters are packed at a time.
 */
#include "block/qcow2/qcow2-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "block/qcow2/zstd.h"

typedef struct {
    unsigned type;
    const uint8_t *in;
    uint8_t *out;
    size_t in_len, room;
    ssize_t result;             /* bytes; -ENOMEM: does not fit */
} Job;

bool qcow2_compression_known(unsigned type)
{
    return type == 0 || (type == 1 && qcow2_zstd_here());
}

static void deflate_job(Job *j)
{
    z_stream z = {};
    int r = deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY);

    j->result = -EIO;
    if (r != Z_OK) {
        return;
    }
    z.next_in = (uint8_t *)j->in;
    z.avail_in = j->in_len;
    z.next_out = j->out;
    z.avail_out = j->room;
    r = deflate(&z, Z_FINISH);
    j->result = r == Z_STREAM_END ? (ssize_t)(j->room - z.avail_out) : -ENOMEM;
    deflateEnd(&z);
}

static void run_compress(void *opaque)
{
    Job *j = opaque;

    if (j->type == 0) {
        deflate_job(j);
    } else {
        j->result = qcow2_zstd_compress(j->out, j->room, j->in, j->in_len);
    }
}

/* What is packed is at least as long as the cluster when unpacked; more input than needed is fine (sectors). */
static int inflate_all(uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len)
{
    z_stream z = { .next_in = (uint8_t *)in, .avail_in = in_len, .next_out = out, .avail_out = out_len };
    int r;

    if (inflateInit2(&z, -12) != Z_OK) {
        return -EIO;
    }
    r = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return (r == Z_STREAM_END || r == Z_BUF_ERROR) && z.avail_out == 0 ? 0 : -EIO;
}

int qcow2_read_compressed(BlkNode *n, uint64_t entry, uint64_t in_cluster, uint64_t len, BlkVec v)
{
    Qcow2 *s = q2(n);
    uint64_t offset, bytes;
    uint8_t *in, *out;
    int r;

    qcow2_compressed_place(s, entry, &offset, &bytes);
    in = blk_buffer(bytes);
    out = blk_buffer(s->cluster_size);
    r = node_pread_padded(n->file->node, offset, in, bytes);
    if (r == 0) {
        r = s->compression == 0 ? inflate_all(out, s->cluster_size, in, bytes) : qcow2_zstd_decompress(out, s->cluster_size, in, bytes);
    }
    if (r == 0) {
        blk_vec_write(v, out + in_cluster, len);
    }
    free(in);
    free(out);
    return r;
}

/* ---- write ---- */

static int store(BlkNode *n, uint64_t off, const uint8_t *packed, unsigned bytes)
{
    Qcow2 *s = q2(n);
    unsigned x = 62 - (s->cluster_bits - 8);
    int64_t host;
    uint64_t entry;
    QL2 at;
    QOp op = { off, off + s->cluster_size, OP_EXCLUSIVE, NULL };
    int r;

    fiber_mutex_lock(&s->lock);
    qcow2_op_begin(n, &op);
    r = qcow2_l2_find(n, off, true, &at);
    if (r == 0 && (qcow2_l2_entry(s, &at, 0) || qcow2_l2_bitmap(s, &at, 0))) {
        r = -EIO;                       /* compressed clusters are written once */
    }
    host = r < 0 ? r : qcow2_alloc_bytes(n, bytes);
    if (host >= 0) {
        q_take_fresh(s, host & ~(s->cluster_size - 1), s->cluster_size);
        q_take_fresh(s, host, bytes);
        fiber_mutex_unlock(&s->lock);
        r = node_pwrite(n->file->node, host, packed, bytes);
        fiber_mutex_lock(&s->lock);
        entry = E_COMPRESSED | host | ((((host + bytes - 1) >> 9) - (host >> 9)) << x);
        r = r ? r : qcow2_l2_find(n, off, true, &at);
        if (r == 0) {
            qcow2_l2_set(s, &at, 0, entry, 0);
        } else {
            uint64_t first = host >> s->cluster_bits, last = (host + bytes - 1) >> s->cluster_bits;
            qcow2_refcount_add(n, first << s->cluster_bits, last - first + 1, -1);
        }
    } else {
        r = host;
    }
    qcow2_op_end(n, &op);
    fiber_mutex_unlock(&s->lock);
    return r;
}

static int write_cluster(BlkNode *n, uint64_t off, uint64_t len, BlkVec v)
{
    Qcow2 *s = q2(n);
    uint8_t *in = blk_buffer(s->cluster_size), *out = blk_buffer(s->cluster_size);
    Job j = { s->compression, in, out, s->cluster_size, s->cluster_size - 1, 0 };
    int r;

    memset(in + len, 0, s->cluster_size - len);
    blk_vec_read(v, in, len);
    fiber_blocking(run_compress, &j);
    if (j.result > 0) {
        r = store(n, off, out, j.result);
    } else if (j.result == -ENOMEM) {
        r = qcow2_write(n, off, len, v, 0);     /* it does not shrink */
    } else {
        r = -EIO;
    }
    free(in);
    free(out);
    return r;
}

int qcow2_write_compressed(BlkNode *n, uint64_t off, uint64_t len, BlkVec v)
{
    Qcow2 *s = q2(n);
    uint64_t done = 0;
    int r = 0;

    if (s->external || s->crypt) {
        return -ENOTSUP;
    }
    if ((off & (s->cluster_size - 1)) || ((len & (s->cluster_size - 1)) && off + len != node_size(n))) {
        return -EINVAL;
    }
    while (done < len && r == 0) {
        uint64_t now = MIN(len - done, s->cluster_size);

        r = write_cluster(n, off + done, now, blk_vec_from(v, done));
        done += now;
    }
    return r;
}
