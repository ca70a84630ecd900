/* SPDX-License-Identifier: MIT */
/*
 * What the guest has made of its file system, into the folder of the host.
 *
 * The file system is read whole first; if it does not hang together (a guest
 * flushes in the middle of things) nothing is done.  Then every file that is
 * new or has changed is written beside its place, and only when all are there
 * they take their places, and what the guest has removed goes.  Files that
 * only have another name are renamed.
 */
#include "block/vvfat/vvfat-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/bswap.h"

/* A name as the guest sees it. */
typedef struct Seen {
    char *path;
    bool dir;
    uint32_t first, size;
    int64_t mtime;
    FatFile *was;                   /* the same clusters, untouched: what it was made from */
    bool same;                      /* as at the last sync */
    uint64_t chain;                 /* digest of its clusters' numbers */
    char *temp;                     /* the new content, beside its place */
} Seen;

typedef struct Walk {
    FatDisk *d;
    uint32_t *fat;
    GPtrArray *seen;                /* Seen *, folders before what is in them */
    GHashTable *paths;              /* of `seen` */
    uint8_t *used;                  /* per cluster: part of a chain */
    GHashTable *names;              /* of all that the guest could see until now: path -> Known */
} Walk;

/* What the folder has of a path since the last sync. */
typedef struct Known {
    bool dir;
    uint32_t first, size;
    int64_t mtime;
    uint64_t chain;
} Known;

static void seen_free(void *opaque)
{
    Seen *s = opaque;

    if (s->temp) {
        unlink(s->temp);
    }
    g_free(s->temp);
    g_free(s->path);
    g_free(s);
}

/* ---- reading the guest's file system ---- */

static bool load_fat(Walk *w, Error **errp)
{
    FatDisk *d = w->d;
    uint64_t off = (uint64_t)(d->part + d->reserved) * FAT_SECTOR, bytes = (uint64_t)d->fat_sectors * FAT_SECTOR;
    g_autofree uint8_t *raw = g_malloc(bytes);

    if (fat_read(d, off, raw, bytes) < 0) {
        return error_set(errp, "the FAT cannot be read");
    }
    w->fat = g_new(uint32_t, d->clusters + 2);
    for (uint32_t i = 0; i < d->clusters + 2; i++) {
        w->fat[i] = d->type == 32 ? ldl_le_p(raw + 4 * i) & 0x0fffffff : d->type == 16 ? lduw_le_p(raw + 2 * i) :
                    (lduw_le_p(raw + i * 3 / 2) >> (i & 1 ? 4 : 0)) & 0xfff;
    }
    return true;
}

/* The clusters of a chain; NULL: it loops, meets another, or leaves the disk. */
static GArray *chain(Walk *w, uint32_t first)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(uint32_t));

    for (uint32_t c = first; c < fat_end(w->d); c = w->fat[c]) {
        if (c < 2 || c >= w->d->clusters + 2 || w->used[c]) {
            g_array_free(list, TRUE);
            return NULL;
        }
        w->used[c] = 1;
        g_array_append_val(list, c);
    }
    return list;
}

static uint8_t *load_folder(Walk *w, uint32_t first, size_t *len, Error **errp)
{
    uint32_t bytes = fat_cluster_bytes(w->d);
    GArray *list = chain(w, first);
    uint8_t *data;

    if (!list) {
        error_set(errp, "a folder's clusters do not hang together");
        return NULL;
    }
    *len = (size_t)list->len * bytes;
    data = g_malloc(*len + 1);
    for (unsigned i = 0; i < list->len; i++) {
        if (fat_read(w->d, fat_cluster_off(w->d, g_array_index(list, uint32_t, i)), data + (size_t)i * bytes, bytes) < 0) {
            error_set(errp, "a folder cannot be read");
            g_clear_pointer(&data, g_free);
            break;
        }
    }
    g_array_free(list, TRUE);
    return data;
}

static uint8_t *load_root(Walk *w, size_t *len, Error **errp)
{
    FatDisk *d = w->d;
    uint8_t head[4], *data;

    if (d->type == 32) {
        return fat_read(d, (uint64_t)d->part * FAT_SECTOR + 44, head, 4) < 0 ? NULL : load_folder(w, ldl_le_p(head), len, errp);
    }
    *len = (size_t)d->root_sectors * FAT_SECTOR;
    data = g_malloc(*len);
    if (fat_read(d, (uint64_t)(d->data - d->root_sectors) * FAT_SECTOR, data, *len) < 0) {
        g_free(data);
        error_set(errp, "the root folder cannot be read");
        return NULL;
    }
    return data;
}

static bool walk_folder(Walk *w, const char *path, uint8_t *data, size_t len, unsigned depth, Error **errp);

/* The file that these clusters were made from, if nothing of them was written. */
static FatFile *untouched(Walk *w, const GArray *list, uint32_t size)
{
    uint32_t first = list->len ? g_array_index(list, uint32_t, 0) : 0;
    FatFile *f = first ? (FatFile *)(uintptr_t)fat_owner(w->d, first) : NULL;

    if (!f || f->dir || f->gone || f->first != first || f->count != list->len || f->size != size) {
        return NULL;
    }
    for (unsigned i = 0; i < list->len; i++) {
        if (g_array_index(list, uint32_t, i) != first + i) {
            return NULL;
        }
    }
    return fat_written(w->d->written, fat_cluster_off(w->d, first), (uint64_t)list->len * fat_cluster_bytes(w->d)) ? NULL : f;
}

/* Nothing has changed since it was written to the folder. */
static bool unchanged(Walk *w, const Seen *s, const GArray *list)
{
    const Known *k = w->d->known ? g_hash_table_lookup(w->d->known, s->path) : NULL;

    if (!k || k->dir || k->first != s->first || k->size != s->size || k->mtime != s->mtime || k->chain != s->chain) {
        return false;
    }
    for (unsigned i = 0; i < list->len; i++) {
        if (fat_written(w->d->fresh, fat_cluster_off(w->d, g_array_index(list, uint32_t, i)), fat_cluster_bytes(w->d))) {
            return false;
        }
    }
    return true;
}

static uint64_t digest(const GArray *list)
{
    uint64_t h = list->len;

    for (unsigned i = 0; i < list->len; i++) {
        h = (h ^ g_array_index(list, uint32_t, i)) * 0x9e3779b97f4a7c15;
        h ^= h >> 29;
    }
    return h;
}

static bool see_file(Walk *w, Seen *s, Error **errp)
{
    GArray *list = s->first ? chain(w, s->first) : g_array_new(FALSE, FALSE, sizeof(uint32_t));

    if (!list || (uint64_t)list->len * fat_cluster_bytes(w->d) < s->size) {
        if (list) {
            g_array_free(list, TRUE);
        }
        return error_set(errp, "the clusters of '%s' do not hang together", s->path);
    }
    s->chain = digest(list);
    s->was = untouched(w, list, s->size);
    s->same = unchanged(w, s, list);
    g_array_free(list, TRUE);
    return true;
}

static bool see(Walk *w, const char *parent, const uint8_t *data, size_t at, unsigned depth, Error **errp)
{
    g_autofree char *name = fat_name_read(data, at);
    const uint8_t *e = data + at;
    Seen *s;

    if (!name) {
        return error_set(errp, "a name in '%s' cannot be one of the host's", parent);
    }
    s = g_new0(Seen, 1);
    s->path = *parent ? g_strconcat(parent, "/", name, NULL) : g_strdup(name);
    s->dir = e[11] & FAT_ATTR_DIR;
    s->first = lduw_le_p(e + 26) | (w->d->type == 32 ? (uint32_t)lduw_le_p(e + 20) << 16 : 0);
    s->size = s->dir ? 0 : ldl_le_p(e + 28);
    s->mtime = fat_time_get(e);
    g_ptr_array_add(w->seen, s);
    if (!g_hash_table_insert(w->paths, s->path, s)) {
        return error_set(errp, "'%s' is there twice", s->path);
    }
    if (s->dir) {
        size_t len = 0;
        g_autofree uint8_t *below = load_folder(w, s->first, &len, errp);

        return below && walk_folder(w, s->path, below, len, depth + 1, errp);
    }
    return see_file(w, s, errp);
}

static bool walk_folder(Walk *w, const char *path, uint8_t *data, size_t len, unsigned depth, Error **errp)
{
    if (depth > FAT_DEPTH) {
        return error_set(errp, "folders are more than %d deep", FAT_DEPTH);
    }
    for (size_t at = 0; at + FAT_ENTRY <= len && data[at]; at += FAT_ENTRY) {
        const uint8_t *e = data + at;

        if (e[0] == 0xe5 || (e[11] & FAT_ATTR_VOLUME) || (e[0] == '.' && (e[1] == ' ' || (e[1] == '.' && e[2] == ' ')))) {
            continue;
        }
        if (!see(w, path, data, at, depth, errp)) {
            return false;
        }
    }
    return true;
}

/* ---- writing to the host ---- */

static char *host_path(const FatDisk *d, const char *path)
{
    return g_build_filename(d->dir, path, NULL);
}

static bool copy_out(Walk *w, const Seen *s, int fd)
{
    uint32_t bytes = fat_cluster_bytes(w->d), left = s->size;
    g_autofree uint8_t *buf = g_malloc(bytes);

    for (uint32_t c = s->first; left; c = w->fat[c]) {
        uint32_t part = MIN(left, bytes);
        uint64_t off = fat_cluster_off(w->d, c);

        if (fat_read(w->d, off, buf, bytes) < 0 || write(fd, buf, part) != (ssize_t)part || fat_write(w->d, off, buf, bytes, true) < 0) {
            return false;                               /* from now on the disk does not lean on the old file */
        }
        left -= part;
    }
    return true;
}

static bool write_temp(Walk *w, Seen *s, Error **errp)
{
    g_autofree char *name = g_strconcat(s->path, ".rhea-XXXXXX", NULL);
    g_autofree char *final = host_path(w->d, s->path);
    struct timespec times[2] = { { .tv_sec = s->mtime }, { .tv_sec = s->mtime } };
    struct stat st;
    int fd;

    s->temp = host_path(w->d, name);
    fd = g_mkstemp_full(s->temp, O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        error_set_errno(errp, errno, "'%s' cannot be written", s->temp);
        g_clear_pointer(&s->temp, g_free);
        return false;
    }
    if (!copy_out(w, s, fd) || fchmod(fd, stat(final, &st) == 0 ? st.st_mode & 07777 : 0644) < 0 || futimens(fd, times) < 0 || TEMP_FAILURE_RETRY(fsync(fd)) < 0) {
        error_set_errno(errp, errno, "'%s' cannot be written", s->temp);
        close(fd);
        return false;
    }
    close(fd);
    return true;
}

static bool same_place(const Seen *s)
{
    return s->was && !strcmp(s->was->path, s->path);
}

/* Folders first: in the order in which they were seen. */
static bool prepare(Walk *w, Error **errp)
{
    for (unsigned i = 0; i < w->seen->len; i++) {
        Seen *s = w->seen->pdata[i];
        g_autofree char *path = host_path(w->d, s->path);

        if (s->dir) {
            struct stat st;

            if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && w->names && g_hash_table_contains(w->names, s->path)) {
                unlink(path);                           /* the guest made a folder of what was a file */
            }
            if (mkdir(path, 0755) < 0 && errno != EEXIST) {
                return error_set_errno(errp, errno, "folder '%s' cannot be made", path);
            }
        } else if (s->was && !same_place(s) && g_hash_table_contains(w->paths, s->was->path)) {
            s->was = NULL;                              /* two names for the same clusters cannot be; a new file took the old name */
        }
        if (!s->dir && !s->was && !s->same && !write_temp(w, s, errp)) {
            return false;
        }
    }
    return true;
}

/* What happened to the list of files: the new ones live in the written grains. */
static bool take_places(Walk *w, Error **errp)
{
    FatDisk *d = w->d;
    bool ok = true;

    for (unsigned i = 0; i < w->seen->len; i++) {
        Seen *s = w->seen->pdata[i];
        g_autofree char *path = host_path(d, s->path);

        if (s->temp) {
            if (rename(s->temp, path) < 0) {
                ok = error_set_errno(ok ? errp : NULL, errno, "'%s' cannot be replaced", path);
            } else {
                g_clear_pointer(&s->temp, g_free);
            }
        } else if (s->was && !same_place(s)) {
            g_autofree char *old = host_path(d, s->was->path);

            if (rename(old, path) < 0) {
                ok = error_set_errno(ok ? errp : NULL, errno, "'%s' cannot be renamed", old);
            } else {
                g_free(s->was->path);
                s->was->path = g_strdup(s->path);
            }
        }
    }
    return ok;
}

/* Names that were made for the guest, or written by it, and are not there any more. */
static void remove_gone(Walk *w, GHashTable *before)
{
    g_autoptr(GPtrArray) dirs = g_ptr_array_new();
    GHashTableIter it;
    void *path, *known;

    g_hash_table_iter_init(&it, before);
    while (g_hash_table_iter_next(&it, &path, &known)) {
        const Known *k = known;
        g_autofree char *host = host_path(w->d, path);

        if (g_hash_table_contains(w->paths, path)) {
            continue;
        }
        if (!k->dir) {
            unlink(host);
        } else {
            g_ptr_array_add(dirs, path);
        }
    }
    for (unsigned round = 0, left = 1; left && round < FAT_DEPTH; round++) {    /* inner ones first; a folder with other files in it stays */
        left = 0;
        for (unsigned i = 0; i < dirs->len; i++) {
            g_autofree char *host = host_path(w->d, dirs->pdata[i]);

            left += rmdir(host) == 0;
        }
    }
    for (unsigned i = 1; i < w->d->files->len; i++) {
        FatFile *f = w->d->files->pdata[i];

        f->gone = f->gone || !g_hash_table_contains(w->paths, f->path);
    }
}

static GHashTable *known_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static void know(GHashTable *names, const char *path, Known k)
{
    g_hash_table_insert(names, g_strdup(path), g_memdup2(&k, sizeof(k)));
}

/* All that the guest could see until now. */
static GHashTable *names_before(FatDisk *d)
{
    GHashTable *names = d->known ? g_hash_table_ref(d->known) : known_new();

    for (unsigned i = 1; !d->known && i < d->files->len; i++) {
        const FatFile *f = d->files->pdata[i];

        know(names, f->path, (Known){ .dir = f->dir });
    }
    return names;
}

static void remember(Walk *w)
{
    GHashTable *now = known_new();

    for (unsigned i = 0; i < w->seen->len; i++) {
        const Seen *s = w->seen->pdata[i];

        know(now, s->path, (Known){ s->dir, s->first, s->size, s->mtime, s->chain });
    }
    g_clear_pointer(&w->d->known, g_hash_table_unref);
    w->d->known = now;
}

static bool run(Walk *w, Error **errp)
{
    size_t len = 0;
    g_autofree uint8_t *root = load_fat(w, errp) ? load_root(w, &len, errp) : NULL;

    w->names = names_before(w->d);
    if (!root || !walk_folder(w, "", root, len, 0, errp) || !prepare(w, errp) || !take_places(w, errp)) {
        return false;
    }
    remove_gone(w, w->names);
    remember(w);
    return true;
}

bool fat_sync(FatDisk *d, Error **errp)
{
    Walk w = { .d = d, .seen = g_ptr_array_new_with_free_func(seen_free), .paths = g_hash_table_new(g_str_hash, g_str_equal) };
    bool ok;

    w.used = g_malloc0(d->clusters + 2);
    ok = run(&w, errp);
    if (ok) {
        g_hash_table_remove_all(d->fresh);
    }
    if (d->fd >= 0) {                                   /* what it refers to may be another file now */
        close(d->fd);
        d->fd = -1;
        d->fd_of = NULL;
    }
    g_clear_pointer(&w.names, g_hash_table_unref);
    g_hash_table_unref(w.paths);
    g_ptr_array_unref(w.seen);
    g_free(w.used);
    g_free(w.fat);
    return ok;
}
