/* SPDX-License-Identifier: MIT */
/* bench and dd */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/img/img-priv.h"
#include "util/size.h"

/* ---- bench ---- */

typedef struct Bench {
    Img *im;
    Blk *b;
    uint64_t count, issued, running, done, size, step, off, flush_every, image;
    unsigned depth;
    bool write, no_drain;
    int pattern, error;
    unsigned flushing;          /* flushes under way beside the other requests */
    struct BenchReq *req;
} Bench;

typedef struct BenchReq {
    BlkReq req;
    struct iovec iov;
    Bench *bench;
} BenchReq;

static void issue(BenchReq *r)
{
    Bench *k = r->bench;

    r->req.off = k->off;
    k->off += k->step;
    k->off = k->image > k->size ? k->off % (k->image - k->size) : 0;    /* as the peer wraps around: what is aligned stays so */
    k->issued++;
    k->running++;
    blk_submit(&r->req);
}

/* Then the requests under way are waited for, and the flush comes alone. */
static bool flush_due(const Bench *k)
{
    return !k->no_drain && k->flush_every && k->write && k->done >= k->flush_every;
}

static void flush_done(BlkReq *req, int result)
{
    Bench *k = req->opaque;

    k->flushing--;
    k->error = result < 0 ? result : k->error;
    g_free(req);
}

/* --no-drain: a flush goes among the others. */
static void flush_among(Bench *k)
{
    BlkReq *req = g_new0(BlkReq, 1);

    *req = (BlkReq){ .blk = k->b, .op = BLK_FLUSH, .done = flush_done, .opaque = k };
    k->done = 0;
    k->flushing++;
    blk_submit(req);
}

static void bench_done(BlkReq *req, int result)
{
    BenchReq *r = req->opaque;
    Bench *k = r->bench;

    k->running--;
    k->done++;
    if (k->no_drain && k->done >= k->flush_every) {
        flush_among(k);
    }
    if (result < 0) {
        k->error = result;
    } else if (k->issued < k->count && !k->error && !flush_due(k)) {
        issue(r);
    }
}

static int run_bench(Img *im, Bench *k)
{
    uint8_t *buf = blk_buffer(k->size * k->depth);
    int64_t start = loop_now();

    memset(buf, k->pattern, k->size * k->depth);
    k->req = g_new0(BenchReq, k->depth);
    for (unsigned i = 0; i < k->depth && k->issued < k->count; i++) {
        BenchReq *r = &k->req[i];

        r->bench = k;
        r->iov = (struct iovec){ buf + i * k->size, k->size };
        r->req = (BlkReq){ .blk = k->b, .op = k->write ? BLK_WRITE : BLK_READ, .len = k->size, .iov = &r->iov, .iovcnt = 1, .done = bench_done, .opaque = r };
        issue(r);
    }
    while (k->running || k->flushing || (flush_due(k) && !k->error)) {
        if (k->running || k->flushing) {
            loop_step(im->loop, true);
            continue;
        }
        k->done = 0;
        k->error = blk_flush(k->b);
        for (unsigned i = 0; i < k->depth && k->issued < k->count && !k->error; i++) {
            issue(&k->req[i]);
        }
    }
    g_free(k->req);
    free(buf);
    if (k->error) {
        return img_error(im, "Failed request: %s", g_strerror(-k->error));
    }
    img_print(im, "Run completed in %3.3f seconds.\n", (loop_now() - start) / 1e9);
    return 0;
}

static bool bench_number(Img *im, const char *text, const char *what, uint64_t *out)
{
    if (!number_parse_u64(text, out, NULL) || *out > INT32_MAX) {
        img_error(im, "Invalid %s specified", what);
        return false;
    }
    return true;
}

static Blk *open_with_aio(Img *im, const char *name, const char *format, const char *aio, unsigned flags)
{
    unsigned perm = BLK_PERM_READ | (flags & BLK_O_RDWR ? BLK_PERM_WRITE : 0);
    Json *o, *file;
    Error *err = NULL;
    Blk *b;

    if (!aio || im->image_opts) {
        g_autofree char *more = aio ? g_strdup_printf("%s,file.aio=%s", name, aio) : NULL;

        return img_open(im, more ? more : name, format, flags);
    }
    o = json_object();
    file = json_object();
    json_set_string(file, "driver", "file");
    json_set_string(file, "filename", name);
    json_set_string(file, "aio", aio);
    json_set(o, "file", file);
    if (format) {
        json_set_string(o, "driver", format);
    }
    b = blk_open(im->session, NULL, o, flags, perm, BLK_PERM_ALL, &err);
    if (!b) {
        error_prepend(&err, "Could not open '%s': ", name);
        img_fail(im, err);
    }
    return b;
}

int img_bench(Img *im, int argc, char **argv)
{
    const char *format = NULL, *aio = NULL;
    Bench k = { .im = im, .count = 75000, .size = 4096 };
    unsigned flags = 0;
    uint64_t depth = 64, pattern = 0;
    bool ok = true;
    int c, status;

    while (ok && (c = img_getopt(im, argc, argv)) != -1) {
        switch (c) {
        case 'c': ok = bench_number(im, optarg, "request count", &k.count); break;
        case 'd': ok = bench_number(im, optarg, "queue depth", &depth); break;
        case 'f': format = optarg; break;
        case 'i': aio = optarg; break;
        case 'n': aio = "native"; break;
        case 'o': ok = img_size(im, optarg, "offset", 1, &k.off); break;
        case 's': ok = img_size(im, optarg, "buffer size", 1, &k.size); break;
        case 'S': ok = img_size(im, optarg, "step size", 1, &k.step); break;
        case 't': ok = img_cache(im, optarg, "", &flags); break;
        case 'w': k.write = true; flags |= BLK_O_RDWR; break;
        case OPT_PATTERN: ok = bench_number(im, optarg, "pattern byte", &pattern); break;
        case OPT_FLUSH_INTERVAL: ok = bench_number(im, optarg, "flush interval", &k.flush_every); break;
        case OPT_NO_DRAIN: k.no_drain = true; break;
        case -2: ok = false; break;
        }
    }
    if (!ok) {
        return 1;
    }
    if (argc - optind != 1) {
        return img_try_help(im, "Expecting one image file name");
    }
    if (!k.write && k.flush_every) {
        return img_error(im, "--flush-interval is only available in write tests");
    }
    if (k.flush_every && k.flush_every < MAX(depth, 1)) {
        return img_error(im, "Flush interval can't be smaller than depth");
    }
    k.no_drain = k.no_drain && k.flush_every;
    if (aio && strcmp(aio, "io_uring") && strcmp(aio, "native") && strcmp(aio, "threads")) {
        return img_error(im, "Invalid aio option: %s", aio);
    }
    k.depth = MAX(depth, 1);
    k.step = k.step ? k.step : k.size;
    k.pattern = pattern;
    k.b = open_with_aio(im, argv[optind], format, aio, flags);
    if (!k.b) {
        return 1;
    }
    k.image = blk_size(k.b);
    if (k.image < k.size) {
        blk_free(k.b);
        return img_error(im, "the image is smaller than one request");
    }
    img_print(im, "Sending %" PRIu64 " %s requests, %" PRIu64 " bytes each, %u in parallel (starting at offset %" PRIu64 ", step size %" PRIu64 ")\n",
              k.count, k.write ? "write" : "read", k.size, k.depth, k.off, k.step);
    if (k.flush_every) {
        img_print(im, "Sending flush every %" PRIu64 " requests\n", k.flush_every);
    }
    status = run_bench(im, &k);
    blk_free(k.b);
    return status;
}

/* ---- dd ---- */

typedef struct {
    const char *in, *out;
    uint64_t bs, count, skip;
    bool has_count;
} Dd;

static bool dd_operand(Img *im, Dd *d, const char *text)
{
    const char *value = strchr(text, '=');
    size_t n = value ? value - text : 0;

    if (n == 2 && !strncmp(text, "if", 2)) {
        d->in = value + 1;
    } else if (n == 2 && !strncmp(text, "of", 2)) {
        d->out = value + 1;
    } else if (n == 2 && !strncmp(text, "bs", 2)) {
        if (!img_size(im, value + 1, "bs", 1, &d->bs)) {
            return false;
        }
        if (!d->bs || d->bs > INT32_MAX) {
            img_error(im, "Invalid bs specified. Must be between 1 and %d.", INT32_MAX);
            return false;
        }
    } else if (n == 5 && !strncmp(text, "count", 5)) {
        d->has_count = true;
        return img_size(im, value + 1, "count", 1, &d->count);
    } else if (n == 4 && !strncmp(text, "skip", 4)) {
        return img_size(im, value + 1, "skip", 1, &d->skip);
    } else {
        img_error(im, "unrecognized operand %.*s", value ? (int)n : (int)strlen(text), text);
        return false;
    }
    return true;
}

typedef struct {
    Blk *in, *out;
    uint64_t from, size, bs;
    int result;
} DdRun;

static void run_dd(void *opaque)
{
    DdRun *d = opaque;
    uint8_t *buf = blk_buffer(MIN(d->bs, d->size ? d->size : 1));

    for (uint64_t at = 0; at < d->size && d->result == 0; at += d->bs) {
        uint64_t now = MIN(d->bs, d->size - at);

        d->result = blk_read(d->in, d->from + at, buf, now, 0);
        d->result = d->result ? d->result : blk_write(d->out, at, buf, now, 0);
    }
    d->result = d->result ? d->result : blk_flush(d->out);
    free(buf);
}

static int dd(Img *im, const Dd *d, const char *format, const char *out_format)
{
    const BlkDriver *drv = blk_driver_find(out_format);
    g_autoptr(Json) o = json_object();
    Error *err = NULL;
    DdRun run = { .bs = d->bs };
    uint64_t all;

    if (!drv || !drv->create) {
        return img_error(im, drv ? "Format driver '%s' does not support image creation" : "Unknown file format '%s'", out_format);
    }
    im->copies = true;
    run.in = img_open(im, d->in, format, 0);
    if (!run.in) {
        return 1;
    }
    all = blk_size(run.in);
    if (d->has_count && d->count <= all / d->bs) {
        all = d->count * d->bs;
    }
    run.from = d->skip > all / d->bs ? all : d->skip * d->bs;
    run.size = all - run.from;
    json_set_uint(o, "size", (run.size + 511) & ~511ull);
    if (!blk_create(im->session, drv, d->out, o, &err)) {
        error_prepend(&err, "%s: error while creating output image of type %s: ", d->out, out_format);
        img_fail(im, err);
        blk_free(run.in);
        return 1;
    }
    im->image_opts = false;                     /* that was the input's */
    run.out = img_open(im, d->out, out_format, BLK_O_RDWR);
    if (!run.out) {
        blk_free(run.in);
        return 1;
    }
    img_run(im, run_dd, &run);
    blk_free(run.in);
    blk_free(run.out);
    return run.result ? img_error(im, "error while copying: %s", g_strerror(-run.result)) : 0;
}

int img_dd(Img *im, int argc, char **argv)
{
    const char *format = NULL, *out_format = "raw";
    Dd d = { .bs = 512 };
    int c;

    while ((c = img_getopt(im, argc, argv)) != -1) {
        if (c == -2) {
            return 1;
        }
        format = c == 'f' ? optarg : format;
        out_format = c == 'O' ? optarg : out_format;
    }
    for (int i = optind; i < argc; i++) {
        if (!dd_operand(im, &d, argv[i])) {
            return 1;
        }
    }
    if (!d.in || !d.out) {
        return img_error(im, "Must specify both input and output files");
    }
    return dd(im, &d, format, out_format);
}
