/* SPDX-License-Identifier: MIT */
/*
 * convert: fibers that each take the next piece of the source, read it, leave
 * out what is zero, and write it; in order unless -W.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "block/bitmap.h"
#include "block/img/img-priv.h"
#include "util/size.h"

enum { BUFFER = 1 << 20, PACKED = 512 << 10, OFFLOADED = 64 << 20, MAX_FIBERS = 16, CACHED_FIBERS = 3 };

typedef struct {
    Img *im;
    Blk **src;
    uint64_t *start;                /* of each source in the target; start[n] is the size of all */
    unsigned sources;
    Blk *dst;
    Json *made;                     /* options of creation */
    Json *keys;                     /* those that opening wants too: secrets */
    uint64_t size;                  /* of the target */
    uint64_t sparse;                /* -S: shorter runs of zeroes are written; 0: zeroes are data */
    uint64_t cluster;               /* of compressed writes */
    bool compressed, target_zero, offload, unordered, salvage, has_backing;
    unsigned fibers, running;
    uint64_t buffer;
    /* how many pieces are worked on at once */
    unsigned limit, active, processors;
    bool cached;                    /* both sides are files behind the page cache */
    long disk_reads;
    FiberQueue limit_wait;
    uint8_t *spare[MAX_FIBERS];     /* buffers; the one used last is warm */
    unsigned spares;
    /* the cursor, under `lock` */
    FiberMutex lock;
    uint64_t at, ticket;
    BlkExtent extent;               /* known from `at` on */
    unsigned extent_source;
    /* order of writes */
    FiberQueue turn_wait;
    uint64_t turn;
    uint64_t done;
    int error;
    bool error_write;
} Convert;

typedef struct {
    uint64_t off, len, ticket;
    unsigned source;
    enum { P_DATA, P_ZERO, P_SKIP } kind;
} Piece;

/* ---- taking pieces ---- */

static unsigned source_at(const Convert *k, uint64_t off)
{
    unsigned i = 0;

    while (i + 1 < k->sources && off >= k->start[i + 1]) {
        i++;
    }
    return i;
}

static int look(Convert *k)
{
    unsigned i = source_at(k, k->at);
    uint64_t end = k->start[i + 1];
    int r = blk_status(k->src[i], k->at - k->start[i], end - k->at, !k->has_backing, &k->extent);

    k->extent_source = i;
    if (r < 0 && k->salvage) {
        k->extent = (BlkExtent){ .len = MIN(BUFFER, end - k->at), .flags = BLK_EXT_DATA };
        return 0;
    }
    return r;
}

/* Compressed writes are of whole clusters, whatever the source says about parts of them. */
static void take_clusters(Convert *k, Piece *p)
{
    uint64_t left = k->start[k->sources] - k->at, known = MIN(k->extent.len, left);

    if (known < left) {
        known &= ~(k->cluster - 1);
    }
    p->len = MIN(MAX(known, k->cluster), left);
    p->kind = P_DATA;
    if (known && k->has_backing && !(k->extent.flags & BLK_EXT_ALLOCATED)) {
        p->kind = P_SKIP;
    } else if (known && (k->extent.flags & BLK_EXT_ZERO) && k->sparse) {
        p->kind = P_ZERO;
    } else {
        p->len = MIN(p->len, k->buffer);
    }
}

/* As much as a buffer holds, up to its multiple in the source; what the host shall copy may be longer. */
static uint64_t data_piece(const Convert *k)
{
    return k->offload ? OFFLOADED : k->buffer - (k->at & (k->buffer - 1) & ~4095ull);
}

/* 1: a piece, 0: the end. */
static int take(Convert *k, Piece *p)
{
    int r = 0;

    if (k->at >= k->start[k->sources] || k->error) {
        return 0;
    }
    if (!k->extent.len) {
        r = look(k);
        if (r < 0 || !k->extent.len) {
            return r < 0 ? r : -EIO;
        }
    }
    p->off = k->at;
    p->source = k->extent_source;
    p->ticket = k->ticket++;
    if (k->compressed) {
        take_clusters(k, p);
    } else if (k->has_backing && !(k->extent.flags & BLK_EXT_ALLOCATED)) {
        p->kind = P_SKIP;
        p->len = k->extent.len;
    } else if ((k->extent.flags & BLK_EXT_ZERO) && k->sparse) {
        p->kind = P_ZERO;
        p->len = MIN(k->extent.len, 1u << 30);
    } else {
        p->kind = P_DATA;
        p->len = MIN(k->extent.len, data_piece(k));
    }
    k->at += p->len;
    k->extent.len = p->len < k->extent.len ? k->extent.len - p->len : 0;
    return 1;
}

static void fail(Convert *k, int r, bool write)
{
    if (!k->error) {
        k->error = r;
        k->error_write = write;
    }
    fiber_queue_wake_all(&k->turn_wait);
}

/* ---- reading ---- */

static int read_one(Convert *k, unsigned i, uint64_t off, uint8_t *buf, uint64_t len)
{
    int r = blk_read(k->src[i], off, buf, len, 0);

    if (r == 0 || !k->salvage) {
        return r;
    }
    for (uint64_t at = 0; at < len; at += 512) {        /* what can be read, sector by sector */
        uint64_t now = MIN(512, len - at);

        if (blk_read(k->src[i], off + at, buf + at, now, 0) < 0) {
            memset(buf + at, 0, now);
            if (!k->im->quiet) {
                fprintf(stderr, "%s: warning: error while reading offset %" PRIu64 ": %s\n", k->im->name, k->start[i] + off + at, g_strerror(-r));
            }
        }
    }
    return 0;
}

static int read_piece(Convert *k, const Piece *p, uint8_t *buf)
{
    uint64_t at = p->off, left = p->len;

    while (left) {
        unsigned i = source_at(k, at);
        uint64_t now = MIN(left, k->start[i + 1] - at);
        int r = read_one(k, i, at - k->start[i], buf + (at - p->off), now);

        if (r < 0) {
            return r;
        }
        at += now;
        left -= now;
    }
    return 0;
}

/* ---- writing ---- */

static int write_zero(Convert *k, uint64_t off, uint64_t len)
{
    if (k->target_zero && !k->has_backing) {
        return 0;
    }
    return blk_zeroes(k->dst, off, len, k->sparse ? BLK_MAY_UNMAP : 0);
}

/* The run at the start of a buffer that is all zero, or has no long run of zeroes. */
static uint64_t run_of(const uint8_t *buf, uint64_t len, uint64_t unit, bool *zero)
{
    uint64_t n = MIN(unit, len);

    *zero = img_is_zero(buf, n);
    while (n < len && img_is_zero(buf + n, MIN(unit, len - n)) == *zero) {
        n += MIN(unit, len - n);
    }
    return n;
}

/* Pieces that are zero are left out, in whole units: 4 KiB, or clusters when they are compressed. */
static int write_data(Convert *k, uint64_t off, uint8_t *buf, uint64_t len)
{
    uint64_t unit = k->compressed ? k->cluster : k->sparse;
    unsigned flags = k->compressed ? BLK_COMPRESSED_WRITE : 0;
    int r = 0;

    if (k->compressed) {                /* the source may end within the target's last cluster */
        uint64_t whole = MIN((len + unit - 1) & ~(unit - 1), blk_size(k->dst) - off);

        memset(buf + len, 0, whole - len);
        len = whole;
    }
    if (!k->sparse) {
        return blk_write(k->dst, off, buf, len, flags);
    }
    while (len && r == 0) {
        bool zero;
        uint64_t n = run_of(buf, len, unit, &zero);

        r = zero ? write_zero(k, off, n) : blk_write(k->dst, off, buf, n, flags);
        off += n;
        buf += n;
        len -= n;
    }
    return r;
}

static int copy_offload(Convert *k, const Piece *p)
{
    int r = blk_copy(k->src[p->source], p->off - k->start[p->source], k->dst, p->off, p->len, 0);

    if (r == -ENOTSUP) {
        k->offload = false;
    }
    return r;
}

static void wait_turn(Convert *k, const Piece *p)
{
    while (!k->unordered && k->turn != p->ticket && !k->error) {
        fiber_queue_wait(&k->turn_wait, NULL);
    }
}

static void pass_turn(Convert *k)
{
    if (!k->unordered) {
        k->turn++;
        fiber_queue_wake_all(&k->turn_wait);
    }
}

/* A buffer of it after the other: there is one, but where the host refused to copy a long piece.  False: it could not be read. */
static bool copy_data(Convert *k, const Piece *p, uint8_t *buf)
{
    for (uint64_t done = 0; done < p->len && !k->error;) {
        Piece part = *p;
        int r;

        part.off += done;
        part.len = MIN(p->len - done, k->buffer);
        r = read_piece(k, &part, buf);
        if (r < 0) {
            fail(k, r, false);
            return false;
        }
        if (done == 0) {
            wait_turn(k, p);
            pass_turn(k);               /* writes begin in order; the target's lock is fair */
        }
        r = k->error ? 0 : write_data(k, part.off, buf, part.len);
        if (r < 0) {
            fail(k, r, true);
        }
        done += part.len;
    }
    return true;
}

static void work(Convert *k, const Piece *p, uint8_t *buf)
{
    bool copied = false;
    int r = 0;

    if (p->kind == P_DATA) {
        img_pay(k->im, p->len);
    }
    if (p->kind == P_DATA && k->offload) {
        r = copy_offload(k, p);
        copied = r == 0;                /* or by hand: all pieces from now on, or this one */
    }
    if (p->kind == P_DATA && !copied) {
        if (!copy_data(k, p, buf)) {
            return;
        }
    } else {
        wait_turn(k, p);
        pass_turn(k);
        r = p->kind == P_ZERO && !k->error ? write_zero(k, p->off, p->len) : 0;
        if (r < 0) {
            fail(k, r, true);
        }
    }
    k->done += p->len;
    img_progress(k->im, 100.0 * k->done / MAX(1, k->start[k->sources]));
}

/* ---- how many at once ---- */

static bool behind_cache(const BlkNode *n)
{
    if (!n->children) {
        return !strcmp(n->drv->name, "file") && !(n->flags & BLK_O_DIRECT);
    }
    for (const BlkChild *c = n->children; c; c = c->next) {
        if (!behind_cache(c->node)) {
            return false;
        }
    }
    return true;
}

/*
 * Between files that lie in memory, copying is the processors' work, and the
 * kernel lets one write per file in: a few pieces keep both busy, and many
 * only fall out of the caches and wait for each other (2 against 16: 0.36 and
 * 0.48 s for 1.6 GB).  As soon as the disk is read, all are wanted.
 */
static void set_limit(Convert *k)
{
    struct rusage u;
    bool disk = true;

    if (k->compressed || k->offload) {  /* being read, being packed, being written: more would only hold buffers; the host's copying has none */
        k->limit = k->compressed ? CLAMP(3 * k->processors, 3, MAX_FIBERS) : MAX_FIBERS;
        return;
    }
    if (k->cached && getrusage(RUSAGE_SELF, &u) == 0) {
        disk = u.ru_inblock != k->disk_reads;
        k->disk_reads = u.ru_inblock;
    }
    k->limit = disk ? MAX_FIBERS : CLAMP(k->processors, 2, CACHED_FIBERS);
}

static void enter(Convert *k)
{
    while (k->active >= k->limit) {
        fiber_queue_wait(&k->limit_wait, NULL);
    }
    k->active++;
}

static void leave(Convert *k)
{
    k->active--;
    set_limit(k);
    for (unsigned i = k->active; i < k->limit; i++) {
        fiber_queue_wake(&k->limit_wait);
    }
}

static void work_with_buffer(Convert *k, const Piece *p)
{
    uint8_t *buf = NULL;

    if (p->kind == P_DATA) {
        buf = k->spares ? k->spare[--k->spares] : blk_buffer(k->buffer);
    }
    work(k, p, buf);
    if (buf) {
        k->spare[k->spares++] = buf;
    }
}

static void worker(void *opaque)
{
    Convert *k = opaque;
    Piece p;
    int r;

    do {
        enter(k);
        fiber_mutex_lock(&k->lock);
        r = take(k, &p);
        fiber_mutex_unlock(&k->lock);
        if (r > 0) {
            work_with_buffer(k, &p);
        }
        leave(k);
    } while (r > 0);
    if (r < 0) {
        fail(k, r, false);
    }
    k->running--;
}

static int run_all(Convert *k)
{
    fiber_mutex_init(&k->lock);
    fiber_queue_init(&k->turn_wait);
    fiber_queue_init(&k->limit_wait);
    k->processors = g_get_num_processors();
    set_limit(k);
    k->running = k->fibers;
    img_progress(k->im, 0);
    for (unsigned i = 0; i < k->fibers; i++) {
        fiber_start(worker, k);
    }
    while (k->running) {
        loop_step(k->im->loop, true);
    }
    while (k->spares) {
        free(k->spare[--k->spares]);
    }
    fiber_mutex_destroy(&k->lock);
    fiber_queue_destroy(&k->turn_wait);
    fiber_queue_destroy(&k->limit_wait);
    return k->error;
}

/* ---- arguments ---- */

typedef struct {
    const char *format, *out_format, *cache, *src_cache, *snapshot, *backing, *backing_format;
    GPtrArray *opts;
    bool compressed, no_create, offload, unordered, target_zero, salvage, bitmaps, skip_broken;
    bool compat6, sparse_given;
    uint64_t sparse;
    unsigned fibers;
} Args;

static int parse_number(Img *im, Args *a)
{
    uint64_t n;

    if (!number_parse_u64(optarg, &n, NULL) || n < 1 || n > MAX_FIBERS) {
        return img_error(im, "Invalid number of coroutines. Allowed number of coroutines is between 1 and %d", MAX_FIBERS);
    }
    a->fibers = n;
    return 0;
}

static int parse_one(Img *im, Args *a, int c)
{
    switch (c) {
    case 'f': a->format = optarg; break;
    case 'O': a->out_format = optarg; break;
    case 'b': a->backing = optarg; break;
    case 'F': a->backing_format = optarg; break;
    case 'c': a->compressed = true; break;
    case 'o': g_ptr_array_add(a->opts, optarg); break;
    case 'l': a->snapshot = optarg; break;
    case 'S': a->sparse_given = true; return !img_size(im, optarg, "buffer size for sparse output", 1, &a->sparse);
    case 't': a->cache = optarg; break;
    case 'T': a->src_cache = optarg; break;
    case 'n': a->no_create = true; break;
    case 'm': return parse_number(im, a);
    case 'W': a->unordered = true; break;
    case 'C': a->offload = true; break;
    case OPT_TARGET_IMAGE_OPTS: im->target_image_opts = true; break;
    case OPT_TARGET_IS_ZERO: a->target_zero = true; break;
    case OPT_SALVAGE: a->salvage = true; break;
    case 'r': return img_rate(im, optarg) ? 0 : 1;
    case 's': a->snapshot = optarg; break;
    case '6': a->compat6 = true; break;
    case 'e': return img_old_encrypt(im);
    case OPT_BITMAPS: a->bitmaps = true; break;
    case OPT_SKIP_BROKEN: a->skip_broken = true; break;
    case -2: return 1;
    }
    return 0;
}

static int parse(Img *im, int argc, char **argv, Args *a)
{
    int c, r;

    while ((c = img_getopt(im, argc, argv)) != -1) {
        r = parse_one(im, a, c);
        if (r) {
            return r;
        }
    }
    for (unsigned i = 0; i < a->opts->len; i++) {
        if (img_wants_help(a->opts->pdata[i])) {
            return 2;                           /* nothing else is wanted */
        }
    }
    if (a->sparse & 511) {
        return img_error(im, "Invalid buffer size for sparse output specified. Valid sizes are multiples of 512 up to 2147483136. Select 0 to disable sparse detection (fully allocates output).");
    }
    if (argc - optind < 2) {
        return img_error(im, "Must specify image file name");
    }
    if (a->target_zero && !a->no_create) {
        return img_error(im, "--target-is-zero requires use of -n flag");
    }
    if (a->offload && a->compressed) {
        return img_error(im, "Cannot enable copy offloading when -c is used");
    }
    if (a->offload && a->sparse_given) {
        return img_error(im, "Cannot enable copy offloading when -S is used");
    }
    return 0;
}

/* ---- sources and target ---- */

static bool load_snapshot(Img *im, Convert *k, const Args *a)
{
    if (a->snapshot && k->sources > 1) {
        img_error(im, "No support for concatenating multiple snapshot");
        return false;
    }
    return !a->snapshot || img_load_snapshot(im, k->src[0], a->snapshot);
}

static bool open_sources(Img *im, Convert *k, const Args *a, char **names)
{
    unsigned flags = 0;

    if (a->src_cache && !img_cache(im, a->src_cache, "source ", &flags)) {
        return false;
    }
    im->copies = true;
    k->src = g_new0(Blk *, k->sources);
    k->start = g_new0(uint64_t, k->sources + 1);
    for (unsigned i = 0; i < k->sources; i++) {
        k->src[i] = img_open(im, names[i], a->format, flags);
        if (!k->src[i]) {
            return false;
        }
    }
    if (!load_snapshot(im, k, a)) {
        return false;
    }
    for (unsigned i = 0; i < k->sources; i++) {
        k->start[i + 1] = k->start[i] + blk_size(k->src[i]);
    }
    return true;
}

static bool packs_with(const Json *o, Error **errp)
{
    const char *prealloc = json_get_string(o, "preallocation");

    if (json_get(o, "encrypt.format") || json_get_bool(o, "encryption", false)) {
        return error_set(errp, "Compression and encryption not supported at the same time");
    }
    return !prealloc || !strcmp(prealloc, "off") || error_set(errp, "Compression and preallocation not supported at the same time");
}

static bool target_options(Img *im, Convert *k, const Args *a, const BlkDriver *drv, Json **o, Error **errp)
{
    *o = json_object();
    for (unsigned i = 0; i < a->opts->len; i++) {
        if (!img_parse_create(im, drv, a->opts->pdata[i], o, errp)) {
            return false;
        }
    }
    if (!json_get(*o, "size")) {
        json_set_uint(*o, "size", (k->start[k->sources] + 511) & ~511ull);
    }
    if (a->backing) {
        json_set_string(*o, "backing_file", a->backing);
    }
    if (a->backing_format) {
        json_set_string(*o, "backing_fmt", a->backing_format);
    }
    if (json_get(*o, "backing_file") && !json_get(*o, "backing_fmt")) {
        return error_set(errp, "Use of backing file requires explicit backing format");
    }
    k->has_backing = json_get(*o, "backing_file") != NULL;
    return !a->compressed || packs_with(*o, errp);
}

static bool make_target(Img *im, Convert *k, const Args *a, const BlkDriver *drv, const char *name)
{
    g_autoptr(Json) o = NULL;
    Error *err = NULL;

    if (!target_options(im, k, a, drv, &o, &err)) {
        img_fail(im, err);
        return false;
    }
    if (a->compat6 && img_old_compat6(im, drv, name, o)) {
        return false;
    }
    if (!blk_create(im->session, drv, name, o, &err)) {
        error_prepend(&err, "%s: error while converting %s: ", name, drv->name);
        img_fail(im, err);
        return false;
    }
    k->keys = json_object();
    for (unsigned i = 0; i < json_size(o); i++) {
        const char *key = json_key_at(o, i);

        if (!strcmp(key, "key-secret") || !strcmp(key, "encrypt.format") || !strcmp(key, "encrypt.key-secret")) {
            json_set(k->keys, key, json_ref(json_at(o, i)));
        }
    }
    k->made = g_steal_pointer(&o);
    return true;
}

static bool open_target(Img *im, Convert *k, const Args *a, const BlkDriver *drv, const char *name)
{
    unsigned flags = BLK_O_RDWR | BLK_O_UNMAP;         /* with its backing file: clusters that are written in part take the rest from there */
    bool opts = im->target_image_opts;
    Error *err = NULL;

    if (!img_cache(im, a->cache ? a->cache : "unsafe", "", &flags)) {
        return false;
    }
    if (k->keys && !opts) {
        json_set_string(k->keys, "driver", drv->name);
        k->dst = img_open_with(im, name, g_steal_pointer(&k->keys), flags, &err);
    } else {
        k->dst = img_open_opts(im, name, opts, opts ? NULL : drv->name, flags, &err);
    }
    if (!k->dst) {
        error_prepend(&err, "Could not open '%s': ", name);
        img_fail(im, err);
        return false;
    }
    if (blk_size(k->dst) < k->start[k->sources]) {
        img_error(im, "output file is smaller than input file");
        return false;
    }
    return true;
}

static bool prepare(Img *im, Convert *k, const Args *a, const char *name)
{
    const BlkDriver *drv = blk_driver_find(a->out_format);

    if (!drv) {
        img_error(im, "Unknown file format '%s'", a->out_format);
        return false;
    }
    if (a->compressed && !a->no_create && !drv->write_compressed) {
        img_error(im, "Compression not supported for this file format");
        return false;
    }
    if (a->no_create) {
        k->has_backing = a->backing != NULL;
        k->target_zero = a->target_zero;
    } else if (!make_target(im, k, a, drv, name)) {
        return false;
    }
    if (!open_target(im, k, a, drv, name)) {
        return false;
    }
    if (k->made) {
        k->target_zero = blk_fresh_is_zero(blk_node(k->dst), k->made);
    }
    if (blk_node(k->dst)->drv->image && blk_node(k->dst)->drv->image->wants_packed && blk_node(k->dst)->drv->image->wants_packed(blk_node(k->dst))) {
        k->compressed = true;
    }
    if (k->compressed && (!blk_node(k->dst)->drv->write_compressed || !blk_node(k->dst)->cluster)) {     /* a shape without clusters: flat extents */
        img_error(im, "Compression not supported for this file format");
        return false;
    }
    k->cluster = k->compressed ? blk_node(k->dst)->cluster : 0;
    k->buffer = k->compressed ? MAX(k->cluster, PACKED) : BUFFER;
    k->cached = !k->compressed && behind_cache(blk_node(k->dst));
    for (unsigned i = 0; i < k->sources; i++) {
        k->cached = k->cached && behind_cache(blk_node(k->src[i]));
    }
    return true;
}

static void close_all(Convert *k)
{
    for (unsigned i = 0; k->src && i < k->sources; i++) {
        blk_free(k->src[i]);
    }
    blk_free(k->dst);
    json_unref(k->keys);
    json_unref(k->made);
    g_free(k->src);
    g_free(k->start);
}

static int finish(Img *im, Convert *k)
{
    int r = run_all(k);

    if (r == 0 && k->target_zero == false && blk_size(k->dst) > k->start[k->sources] && !k->has_backing) {
        r = 0;                              /* a longer target keeps what is behind */
    }
    if (r == 0) {
        r = blk_flush(k->dst);
        k->error_write = true;
    }
    if (r < 0) {
        return img_error(im, k->error_write ? "error while writing at byte %" PRIu64 ": %s" : "error while reading at byte %" PRIu64 ": %s", k->done, g_strerror(-r));
    }
    img_progress(im, 100);
    img_progress_end(im);
    return 0;
}

/* ---- bitmaps ---- */

static bool bitmaps_fit(Img *im, const Convert *k, const Args *a)
{
    Blk *const both[] = { k->src[0], k->dst };

    if (k->sources != 1) {
        img_error(im, "Copying bitmaps only possible with single source");
        return false;
    }
    for (unsigned i = 0; i < 2; i++) {
        const BlkDriver *drv = blk_node(both[i])->drv;

        if (!drv->image || !drv->image->bitmap_can_store) {
            img_error(im, "Format driver '%s' does not support bitmaps", drv->name);
            return false;
        }
    }
    for (BlkBitmap *b = blk_node(k->src[0])->bitmaps; b; b = b->next) {
        if (b->inconsistent && !a->skip_broken) {
            img_error(im, "Cannot copy inconsistent bitmap '%s'", b->name);
            fprintf(stderr, "Try --skip-broken-bitmaps, or use 'qemu-img bitmap --remove' to delete it\n");
            return false;
        }
    }
    return true;
}

static bool copy_bitmap(Blk *dst, BlkBitmap *from, Error **errp)
{
    BlkBitmap *to = blk_bitmap_new(blk_node(dst), from->name, blk_bitmap_granularity(from), errp);

    if (!to || !blk_bitmap_make_persistent(to, errp)) {
        blk_bitmap_free(to);
        return error_prepend(errp, "Failed to create bitmap %s: ", from->name);
    }
    to->enabled = from->enabled;
    blk_bitmap_merge(to, from);
    return true;
}

/* After the data, so that copying it leaves no marks; they are stored when the target is closed. */
static int copy_bitmaps(Img *im, const Convert *k)
{
    for (BlkBitmap *b = blk_node(k->src[0])->bitmaps; b; b = b->next) {
        Error *err = NULL;

        if (b->inconsistent) {
            img_error(im, "warning: Skipping inconsistent bitmap '%s'", b->name);
        } else if (b->persistent && !copy_bitmap(k->dst, b, &err)) {
            return img_fail(im, err);
        }
    }
    return 0;
}

int img_convert(Img *im, int argc, char **argv)
{
    Args a = { .out_format = "raw", .opts = g_ptr_array_new(), .sparse = 4096, .fibers = 8 };
    Convert k = { .im = im };
    int status = parse(im, argc, argv, &a);

    if (status == 2) {
        const BlkDriver *drv = blk_driver_find(a.out_format);

        g_ptr_array_unref(a.opts);
        return drv && drv->create ? img_create_help(drv, argc > optind) : img_error(im, "Unknown file format '%s'", a.out_format);
    }
    im->percent = -1;
    if (status == 0 && a.skip_broken && !a.bitmaps) {
        status = img_error(im, "Use of --skip-broken-bitmaps requires --bitmaps");
    }
    if (status == 0) {
        k.sources = argc - optind - 1;
        k.compressed = a.compressed;
        k.offload = a.offload;
        k.unordered = a.unordered;
        k.salvage = a.salvage;
        k.sparse = a.sparse;
        k.fibers = a.fibers;
        status = !open_sources(im, &k, &a, argv + optind) || !prepare(im, &k, &a, argv[argc - 1]) || (a.bitmaps && !bitmaps_fit(im, &k, &a)) || finish(im, &k) ||
                 (a.bitmaps && copy_bitmaps(im, &k));
        close_all(&k);
    }
    g_ptr_array_unref(a.opts);
    return status;
}
