/* SPDX-License-Identifier: MIT */
#include "tests/block/faults.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 4096, FILE_MAX = 256 << 20 };

/* A file; what was never written is a hole, block by block. */
typedef struct File {
    char *name;
    GByteArray *now, *used;             /* used: one byte a block */
    GByteArray *saved, *saved_used;
} File;

static GPtrArray *files;
static Fault fault = { .at = -1 };
static unsigned counted;
static bool struck;
static GRand *waits;

static void file_free(void *opaque)
{
    File *f = opaque;

    g_free(f->name);
    g_byte_array_unref(f->now);
    g_byte_array_unref(f->used);
    if (f->saved) {
        g_byte_array_unref(f->saved);
        g_byte_array_unref(f->saved_used);
    }
    g_free(f);
}

static File *file_find(const char *name)
{
    for (unsigned i = 0; files && i < files->len; i++) {
        File *f = files->pdata[i];

        if (!strcmp(f->name, name)) {
            return f;
        }
    }
    return NULL;
}

static GByteArray *copy_of(const GByteArray *a)
{
    return g_byte_array_append(g_byte_array_sized_new(a->len + 1), a->data, a->len);
}

static void set_length(GByteArray *a, uint64_t len)
{
    uint64_t old = a->len;

    g_byte_array_set_size(a, (guint)len);
    if (len > old) {
        memset(a->data + old, 0, len - old);
    }
}

static void file_resize(File *f, uint64_t len)
{
    set_length(f->now, len);
    set_length(f->used, (len + BLOCK - 1) / BLOCK);
}

/* ---- what is found ---- */

const char *faults_label;
int faults_bad;

void wrong(const char *fmt, ...)
{
    va_list ap;
    g_autofree char *text = NULL;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (faults_bad++ < 8) {
        printf("# %s: %s\n", faults_label, text);
    }
}

bool told(int r, int allowed, const char *what)
{
    if (r < 0 && r != -allowed && (r != -EIO || !allowed)) {
        wrong("%s: %s", what, g_strerror(-r));
    }
    return r == 0;
}

/* ---- orders ---- */

unsigned faults_set(const Fault *f)
{
    unsigned before = counted;

    fault = f ? *f : (Fault){ .at = -1, .kinds = FAULT_ALL };
    counted = 0;
    struck = false;
    return before;
}

bool faults_struck(void)
{
    return struck;
}

void faults_wait(GRand *rnd)
{
    waits = rnd;
}

static bool needs_room(const File *f, uint64_t off, uint64_t len)
{
    for (uint64_t b = off / BLOCK; b < (off + len + BLOCK - 1) / BLOCK; b++) {
        if (b >= f->used->len || !f->used->data[b]) {
            return true;
        }
    }
    return false;
}

static int ask(File *f, unsigned kind, uint64_t off, uint64_t len)
{
    unsigned n;

    if (waits && g_rand_int_range(waits, 0, 3) == 0) {
        fiber_pause();
    }
    if (!(fault.kinds & kind) || (fault.file && strncmp(f->name, fault.file, strlen(fault.file)))) {
        return 0;
    }
    n = counted++;
    if (fault.at < 0 || n < (unsigned)fault.at || (fault.count && n - (unsigned)fault.at >= fault.count) || (fault.full && !needs_room(f, off, len))) {
        return 0;
    }
    struck = true;
    return -fault.error;
}

/* ---- files ---- */

void faults_load(const char *dir)
{
    GDir *d = g_dir_open(dir, 0, NULL);
    const char *name;

    faults_clear();
    files = g_ptr_array_new_with_free_func(file_free);
    while ((name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL), *bytes = NULL;
        File *f = g_new0(File, 1);
        gsize len;

        if (!g_file_get_contents(path, &bytes, &len, NULL)) {
            g_error("cannot read %s", path);
        }
        f->name = g_strdup(name);
        f->now = g_byte_array_new();
        f->used = g_byte_array_new();
        file_resize(f, len);
        if (len) {
            memcpy(f->now->data, bytes, len);
        }
        for (unsigned b = 0; b < f->used->len; b++) {
            f->used->data[b] = 1;
        }
        g_ptr_array_add(files, f);
    }
    g_dir_close(d);
}

void faults_save(void)
{
    for (unsigned i = 0; i < files->len; i++) {
        File *f = files->pdata[i];

        f->saved = copy_of(f->now);
        f->saved_used = copy_of(f->used);
    }
}

void faults_reset(void)
{
    for (unsigned i = 0; i < files->len; i++) {
        File *f = files->pdata[i];

        g_byte_array_unref(f->now);
        g_byte_array_unref(f->used);
        f->now = copy_of(f->saved);
        f->used = copy_of(f->saved_used);
    }
}

void faults_clear(void)
{
    if (files) {
        g_ptr_array_unref(files);
        files = NULL;
    }
}

void faults_dump(const char *dir)
{
    for (unsigned i = 0; i < files->len; i++) {
        const File *f = files->pdata[i];
        g_autofree char *path = g_build_filename(dir, f->name, NULL);

        if (!g_file_set_contents(path, (const char *)f->now->data, f->now->len, NULL)) {
            g_error("cannot write %s", path);
        }
    }
}

void faults_undump(const char *dir)
{
    for (unsigned i = 0; i < files->len; i++) {
        g_autofree char *path = g_build_filename(dir, ((File *)files->pdata[i])->name, NULL);

        unlink(path);
    }
    rmdir(dir);
}

const GByteArray *faults_file(const char *name)
{
    File *f = file_find(name);

    return f ? f->now : NULL;
}

/* ---- the driver ---- */

static const OptKey faulty_keys[] = { { "filename", OPT_STRING, "" }, {} };

static File *file_of(BlkNode *n)
{
    return *(File **)n->state;
}

static bool faulty_name(const char *name, Json *options, Error **errp)
{
    json_set_string(options, "filename", name + strlen("faulty:"));
    return true;
}

static bool faulty_open(BlkNode *n, Json *o, Error **errp)
{
    const char *name = json_get_string(o, "filename");
    File *f = file_find(name);

    if (!f) {
        return error_set(errp, "there is no file '%s' in memory", name);
    }
    *(File **)n->state = f;
    n->size = f->now->len;
    g_free(n->filename);
    n->filename = g_strconcat("faulty:", name, NULL);
    return true;
}

static int faulty_read(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    File *f = file_of(n);
    int r = ask(f, FAULT_READ, off, len);

    if (r == 0 && off + len > f->now->len) {
        return -EIO;
    }
    if (r == 0) {
        blk_vec_write(v, f->now->data + off, len);
    }
    return r;
}

static int change(BlkNode *n, unsigned kind, uint64_t off, uint64_t len)
{
    File *f = file_of(n);
    int r = ask(f, kind, off, len);

    if (r == 0 && (off > FILE_MAX || len > FILE_MAX || off + len > FILE_MAX)) {
        return -EFBIG;
    }
    if (r == 0) {
        file_resize(f, MAX(f->now->len, off + len));
        memset(f->used->data + off / BLOCK, 1, (off + len + BLOCK - 1) / BLOCK - off / BLOCK);
        __atomic_store_n(&n->size, f->now->len, __ATOMIC_RELAXED);
    }
    return r;
}

static int faulty_write(BlkNode *n, uint64_t off, uint64_t len, BlkVec v, unsigned flags)
{
    int r = change(n, FAULT_WRITE, off, len);

    if (r == 0) {
        blk_vec_read(v, file_of(n)->now->data + off, len);
    }
    return r;
}

static int faulty_zeroes(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    int r = change(n, FAULT_ZEROES, off, len);

    if (r == 0) {
        memset(file_of(n)->now->data + off, 0, len);
    }
    return r;
}

static int faulty_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    File *f = file_of(n);
    int r = ask(f, FAULT_DISCARD, off, len);

    if (r == 0 && off < f->now->len) {
        memset(f->now->data + off, 0, MIN(len, f->now->len - off));
    }
    return r;
}

static int faulty_flush(BlkNode *n)
{
    return ask(file_of(n), FAULT_FLUSH, 0, 0);
}

static int faulty_status(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *out)
{
    *out = (BlkExtent){ .len = len, .flags = BLK_EXT_DATA | BLK_EXT_ALLOCATED | BLK_EXT_OFFSET, .offset = off, .node = n };
    return ask(file_of(n), FAULT_STATUS, off, len);
}

static bool faulty_resize(BlkNode *n, uint64_t size, BlkPrealloc prealloc, Error **errp)
{
    int r = size > FILE_MAX ? -EFBIG : ask(file_of(n), FAULT_RESIZE, file_of(n)->now->len, 1);

    if (r < 0) {
        return error_set_errno(errp, -r, "Failed to resize the file");
    }
    file_resize(file_of(n), size);
    __atomic_store_n(&n->size, size, __ATOMIC_RELAXED);
    return true;
}

static const BlkDriver faulty = {
    .name = "faulty", .prefix = "faulty:", .kind = BLK_DRV_PROTOCOL, .state_size = sizeof(File *), .options = faulty_keys, .parse_filename = faulty_name,
    .needs_filename = true, .own_filename = true, .open = faulty_open, .read = faulty_read, .write = faulty_write, .flush = faulty_flush, .discard = faulty_discard,
    .zeroes = faulty_zeroes, .status = faulty_status, .resize = faulty_resize,
};
BLK_DRIVER(faulty);
