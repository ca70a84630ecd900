/* SPDX-License-Identifier: MIT */
/* From the folder to the disk: geometry, clusters, directories. */
#include "block/vvfat/vvfat-priv.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/bswap.h"
#include "util/log.h"

enum { ROOT_ENTRIES = 512 };

uint32_t fat_end(const FatDisk *d)
{
    return d->type == 12 ? 0xff8 : d->type == 16 ? 0xfff8 : 0x0ffffff8;
}

void fat_file_free(FatFile *f)
{
    if (f->entries) {
        g_byte_array_free(f->entries, TRUE);
    }
    g_free(f->path);
    g_free(f);
}

/* ---- geometry ---- */

static bool geometry(FatDisk *d, Error **errp)
{
    uint32_t cylinders = d->floppy ? 80 : d->type == 12 ? 64 : 1024, room;
    unsigned bits = d->type;

    if (d->floppy && d->type != 12) {
        return error_set(errp, "vvfat floppies are FAT12");
    }
    d->heads = d->floppy ? 2 : 16;
    d->track = d->floppy ? 36 : 63;
    d->sectors = cylinders * d->heads * d->track;
    d->part = d->floppy ? 0 : d->track;
    d->cluster = d->floppy ? 2 : d->type == 32 ? 8 : 16;
    d->reserved = d->type == 32 ? 32 : 1;
    d->root_sectors = d->type == 32 ? 0 : ROOT_ENTRIES * FAT_ENTRY / FAT_SECTOR;
    room = d->sectors - d->part - d->reserved - d->root_sectors;
    d->fat_sectors = ((room / d->cluster + 2) * bits / 8 + FAT_SECTOR) / FAT_SECTOR;
    d->data = d->part + d->reserved + 2 * d->fat_sectors + d->root_sectors;
    d->clusters = (d->sectors - d->data) / d->cluster;
    d->fat = g_new0(uint32_t, d->clusters + 2);
    d->fat[0] = fat_end(d) | (d->floppy ? 0 : 0xf8);
    d->fat[0] = (d->fat[0] & ~0xffu) | (d->floppy ? 0xf0 : 0xf8);
    d->fat[1] = fat_end(d) | 7;
    d->next = 2;
    return true;
}

/* ---- clusters ---- */

static bool take_clusters(FatDisk *d, FatFile *f, uint64_t bytes, Error **errp)
{
    uint32_t n = (uint32_t)((bytes + fat_cluster_bytes(d) - 1) / fat_cluster_bytes(d));

    if (n > d->clusters + 2 - d->next) {
        return error_set(errp, "Directory does not fit in FAT%u (capacity %.2f MB)", d->type, (double)d->clusters * fat_cluster_bytes(d) / 1048576);
    }
    f->first = n ? d->next : 0;
    f->count = n;
    for (uint32_t i = 0; i < n; i++) {
        d->fat[d->next + i] = i + 1 < n ? d->next + i + 1 : fat_end(d) | 7;
    }
    d->next += n;
    return true;
}

/* ---- the tree ---- */

static FatFile *file_new(FatDisk *d, const char *path, const struct stat *st)
{
    FatFile *f = g_new0(FatFile, 1);

    f->path = g_strdup(path);
    f->dir = S_ISDIR(st->st_mode);
    f->size = f->dir ? 0 : (uint32_t)st->st_size;
    f->mtime = st->st_mtime;
    f->entries = f->dir ? g_byte_array_new() : NULL;
    g_ptr_array_add(d->files, f);
    return f;
}

static char *host_path(const FatDisk *d, const char *path)
{
    return g_build_filename(d->dir, path, NULL);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *names_in(const FatDisk *d, const char *path, Error **errp)
{
    g_autofree char *host = host_path(d, path);
    GError *err = NULL;
    GDir *dir = g_dir_open(host, 0, &err);
    GPtrArray *names;
    const char *name;

    if (!dir) {
        error_set(errp, "Could not read directory %s: %s", host, err->message);
        g_error_free(err);
        return NULL;
    }
    names = g_ptr_array_new_with_free_func(g_free);
    while ((name = g_dir_read_name(dir))) {
        g_ptr_array_add(names, g_strdup(name));
    }
    g_dir_close(dir);
    g_ptr_array_sort(names, by_name);
    return names;
}

static void add_dots(FatFile *dir, const FatFile *parent)
{
    for (unsigned i = 0; i < 2; i++) {
        uint8_t e[FAT_ENTRY] = { 0 };

        memset(e, ' ', FAT_NAME);
        memset(e, '.', i + 1);
        e[11] = FAT_ATTR_DIR;
        fat_time_put(e, i ? parent->mtime : dir->mtime);
        g_byte_array_append(dir->entries, e, sizeof(e));
    }
}

/* One name of a folder: its entries there, clusters later.  What cannot be on such a disk is left out with a word. */
static bool add_child(FatDisk *d, FatFile *dir, const char *name, Error **errp)
{
    g_autofree char *path = *dir->path ? g_strconcat(dir->path, "/", name, NULL) : g_strdup(name), *host = host_path(d, path);
    struct stat st;
    GByteArray *e;
    FatFile *f;

    if (stat(host, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
        return true;
    }
    if (st.st_size > UINT32_MAX && S_ISREG(st.st_mode)) {
        return error_set(errp, "File %s is larger than 4GB", host);
    }
    e = fat_name_entries(dir->entries, name);
    if (!e) {
        log_print("vvfat: '%s' has a name that FAT does not know; left out", host);
        return true;
    }
    f = file_new(d, path, &st);
    e->data[e->len - FAT_ENTRY + 11] = f->dir ? FAT_ATTR_DIR : FAT_ATTR_ARCHIVE;
    fat_time_put(e->data + e->len - FAT_ENTRY, f->mtime);
    stl_le_p(e->data + e->len - FAT_ENTRY + 28, f->size);
    stl_le_p(e->data + e->len - FAT_ENTRY + 20, 0);
    g_byte_array_append(dir->entries, e->data, e->len);
    /* until the clusters are known the entry names the file by its place in the list */
    stl_le_p(dir->entries->data + dir->entries->len - 8, d->files->len - 1);
    g_byte_array_free(e, TRUE);
    return true;
}

static unsigned depth_of(const char *path)
{
    unsigned n = *path != 0;

    for (; *path; path++) {
        n += *path == '/';
    }
    return n;
}

static bool scan(FatDisk *d, FatFile *dir, Error **errp)
{
    g_autoptr(GPtrArray) names = names_in(d, dir->path, errp);

    if (!names) {
        return false;
    }
    if (depth_of(dir->path) > FAT_DEPTH) {
        return error_set(errp, "Folders in '%s' are more than %d deep (a link to a folder above?)", d->dir, FAT_DEPTH);
    }
    for (unsigned i = 0; i < names->len; i++) {
        if (!add_child(d, dir, names->pdata[i], errp)) {
            return false;
        }
        if (dir->entries->len > 65536 * FAT_ENTRY) {
            return error_set(errp, "Folder '%s' of '%s' has too many files", dir->path, d->dir);
        }
    }
    return true;
}

/* ---- entries get their clusters ---- */

static void fill_entries(FatDisk *d, FatFile *dir, GHashTable *parents)
{
    const FatFile *root = d->files->pdata[0];

    for (unsigned i = 0; i + FAT_ENTRY <= dir->entries->len; i += FAT_ENTRY) {
        uint8_t *e = dir->entries->data + i;
        const FatFile *f;

        if (e[11] == FAT_ATTR_LONG || (e[11] & FAT_ATTR_VOLUME)) {
            continue;
        }
        if (e[0] == '.') {
            f = e[1] == '.' ? g_hash_table_lookup(parents, dir) : dir;
            f = f == root ? NULL : f;                   /* the root is cluster 0 to its children */
        } else {
            f = d->files->pdata[ldl_le_p(e + 24)];
            fat_time_put(e, f->mtime);
        }
        stl_le_p(e + 28, f && !f->dir ? f->size : 0);
        stw_le_p(e + 26, f ? (uint16_t)f->first : 0);
        stw_le_p(e + 20, f ? (uint16_t)(f->first >> 16) : 0);
    }
}

static bool place(FatDisk *d, Error **errp)
{
    for (unsigned pass = 0; pass < 2; pass++) {         /* folders first, so that they lie together */
        for (unsigned i = 0; i < d->files->len; i++) {
            FatFile *f = d->files->pdata[i];
            bool fixed = i == 0 && d->type != 32;

            if (f->dir != (pass == 0)) {
                continue;
            }
            if (fixed && f->entries->len > ROOT_ENTRIES * FAT_ENTRY) {
                return error_set(errp, "Too many entries in root directory");
            }
            if (!fixed && !take_clusters(d, f, f->dir ? MAX(f->entries->len, 1u) : f->size, errp)) {
                return false;
            }
        }
    }
    return true;
}

static int by_cluster(const void *a, const void *b)
{
    const FatFile *x = *(FatFile *const *)a, *y = *(FatFile *const *)b;

    if (!*x->path != !*y->path) {
        return *x->path ? 1 : -1;
    }
    return x->first < y->first ? -1 : x->first > y->first;
}

static void add_label(FatDisk *d, FatFile *root)
{
    uint8_t e[FAT_ENTRY] = { 0 };

    memcpy(e, d->label, FAT_NAME);
    e[11] = FAT_ATTR_VOLUME | FAT_ATTR_ARCHIVE;
    fat_time_put(e, root->mtime);
    g_byte_array_append(root->entries, e, sizeof(e));
}

bool fat_disk_make(FatDisk *d, Error **errp)
{
    g_autoptr(GHashTable) parents = g_hash_table_new(NULL, NULL);
    struct stat st;

    d->fd = -1;
    d->files = g_ptr_array_new_with_free_func((GDestroyNotify)fat_file_free);
    d->written = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    d->fresh = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    if (!geometry(d, errp)) {
        return false;
    }
    if (stat(d->dir, &st) < 0) {
        return error_set_errno(errp, errno, "Could not open '%s'", d->dir);
    }
    if (!S_ISDIR(st.st_mode)) {
        return error_set(errp, "'%s' is not a folder", d->dir);
    }
    add_label(d, file_new(d, "", &st));
    for (unsigned i = 0; i < d->files->len; i++) {      /* the list grows while it is walked */
        FatFile *f = d->files->pdata[i];
        unsigned from = d->files->len;

        if (!f->dir) {
            continue;
        }
        if (i) {
            add_dots(f, g_hash_table_lookup(parents, f));
        }
        if (!scan(d, f, errp)) {
            return false;
        }
        for (; from < d->files->len; from++) {
            g_hash_table_insert(parents, d->files->pdata[from], f);
        }
    }
    if (!place(d, errp)) {
        return false;
    }
    for (unsigned i = 0; i < d->files->len; i++) {
        FatFile *f = d->files->pdata[i];

        if (f->dir) {
            fill_entries(d, f, parents);
        }
    }
    g_ptr_array_sort(d->files, by_cluster);
    return true;
}

void fat_disk_free(FatDisk *d)
{
    if (d->fd >= 0) {
        close(d->fd);
    }
    g_clear_pointer(&d->files, g_ptr_array_unref);
    g_clear_pointer(&d->written, g_hash_table_unref);
    g_clear_pointer(&d->fresh, g_hash_table_unref);
    g_clear_pointer(&d->known, g_hash_table_unref);
    g_free(d->fat);
    g_free(d->dir);
}
