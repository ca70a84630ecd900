/* SPDX-License-Identifier: MIT */
/*
 * A guest that writes nonsense to the FAT disk of a folder, and flushes.
 *
 * The first byte chooses the kind of FAT; then three bytes (place, offset) and
 * a value each change one byte of the FAT, of the root folder, or of another folder.
 * Whatever it does, nothing may appear beside the folder.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/vvfat/vvfat-priv.h"
#include "tests/fuzz/fuzz.h"

static void put(const char *dir, const char *name, size_t size)
{
    g_autofree char *path = g_build_filename(dir, name, NULL), *data = g_malloc0(size + 1);

    memset(data, 'd', size);
    if (!g_file_set_contents(path, data, (gssize)size, NULL)) {
        abort();
    }
}

static void empty(const char *dir)
{
    GDir *d = g_dir_open(dir, 0, NULL);
    const char *name;

    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        if (unlink(path) < 0) {
            empty(path);
        }
    }
    if (d) {
        g_dir_close(d);
    }
    rmdir(dir);
}

static uint64_t place(const FatDisk *d, uint8_t where)
{
    uint32_t root = ((const FatFile *)d->files->pdata[0])->first;

    switch (where % 4) {
    case 0:
        return (uint64_t)(d->part + d->reserved) * FAT_SECTOR;
    case 1:
        return d->type == 32 ? fat_cluster_off(d, root) : (uint64_t)(d->data - d->root_sectors) * FAT_SECTOR;
    case 2:
        return fat_cluster_off(d, d->type == 32 ? 3 : 2);
    default:
        return (uint64_t)d->part * FAT_SECTOR;
    }
}

static void change(FatDisk *d, const uint8_t *data, size_t size)
{
    for (; size >= 4; data += 4, size -= 4) {
        if (data[0] == 0xff) {
            fat_sync(d, NULL);
        } else {
            fat_write(d, place(d, data[0]) + data[1] + (data[2] % 16u) * 256, &data[3], 1, false);
        }
    }
    fat_sync(d, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned types[] = { 12, 16, 32 };
    g_autofree char *top = g_dir_make_tmp("fuzz-vvfat-XXXXXX", NULL), *dir = g_build_filename(top, "in", NULL), *sub = g_build_filename(dir, "sub", NULL);
    FatDisk d = { .type = types[size ? data[0] % 3 : 0], .label = "FUZZ       " };
    GDir *look;
    unsigned beside = 0;

    mkdir(dir, 0755);
    mkdir(sub, 0755);
    put(dir, "a long name.txt", 5000);
    put(dir, "B.BIN", 20000);
    put(sub, "c", 1);
    d.dir = g_strdup(dir);
    if (!fat_disk_make(&d, NULL)) {
        abort();
    }
    change(&d, size ? data + 1 : data, size ? size - 1 : 0);
    fat_disk_free(&d);
    look = g_dir_open(top, 0, NULL);
    while (g_dir_read_name(look)) {
        beside++;
    }
    g_dir_close(look);
    if (beside != 1) {
        abort();
    }
    empty(top);
    return 0;
}
