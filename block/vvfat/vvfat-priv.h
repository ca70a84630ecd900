/* SPDX-License-Identifier: MIT */
/*
 * A folder of the host as a FAT disk: Microsoft's FAT specification 1.03.
 *
 * The disk is never stored: its head, FATs and directories are made at the
 * start from the tree that is found then, the clusters of files are read from
 * the files.  What a guest writes (rw) stays in memory until it flushes; then
 * the file system that it sees is read like any other, and what has changed
 * goes to the folder (sync.c).
 *
 * Everything here runs on a pool thread, one call at a time.
 */
#ifndef BLOCK_VVFAT_VVFAT_PRIV_H
#define BLOCK_VVFAT_VVFAT_PRIV_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

enum { FAT_SECTOR = 512, FAT_ENTRY = 32, FAT_NAME = 11, FAT_DEPTH = 64, FAT_GRAIN = 4096 };
enum { FAT_ATTR_RO = 1, FAT_ATTR_VOLUME = 8, FAT_ATTR_DIR = 16, FAT_ATTR_ARCHIVE = 32, FAT_ATTR_LONG = 15 };

/* A file or folder of the host, and where the disk has it. */
typedef struct FatFile {
    char *path;                     /* below the folder: "EFI/boot/x.efi"; "" is the folder itself */
    bool dir;
    bool gone;                      /* sync: the guest has removed it */
    uint32_t first, count;          /* clusters; 0: none */
    uint32_t size;
    int64_t mtime;                  /* seconds */
    GByteArray *entries;            /* of a folder: its clusters' bytes */
} FatFile;

typedef struct FatDisk {
    char *dir;
    char label[FAT_NAME];
    unsigned type;                  /* 12, 16, 32 */
    bool floppy;
    /* geometry, in sectors */
    uint32_t sectors, part, heads, track;
    uint32_t reserved, fat_sectors, root_sectors, cluster;
    uint32_t data;                  /* first sector of cluster 2, from the start of the disk */
    uint32_t clusters;              /* how many there are */
    /* content */
    uint32_t *fat;                  /* clusters + 2 entries */
    uint32_t next;                  /* first free cluster */
    GPtrArray *files;               /* FatFile *, by first cluster; the folder itself first */
    int fd;                         /* of the file read last */
    const FatFile *fd_of;
    GHashTable *written;            /* number of a 4 KiB grain -> its bytes */
    GHashTable *fresh;              /* grains written since the last sync */
    GHashTable *known;              /* sync.c: path -> what the folder has of the guest's; NULL: nothing was synced yet */
} FatDisk;

/* layout.c */
bool fat_disk_make(FatDisk *d, Error **errp);   /* dir, label, type, floppy are set */
void fat_disk_free(FatDisk *d);
void fat_file_free(FatFile *f);
uint32_t fat_end(const FatDisk *d);             /* entries from here on end a chain */
/* disk.c: bytes as the guest sees them; 0 or a negative errno */
int fat_read(FatDisk *d, uint64_t off, uint8_t *buf, uint64_t len);
/* What is the same as before is not kept, unless `keep`: then the disk leans on no file of the host for these bytes. */
int fat_write(FatDisk *d, uint64_t off, const uint8_t *buf, uint64_t len, bool keep);
const FatFile *fat_owner(const FatDisk *d, uint32_t cluster);   /* whose cluster it was made as */
bool fat_written(const GHashTable *grains, uint64_t off, uint64_t len); /* of d->written or d->fresh */
static inline uint64_t fat_cluster_off(const FatDisk *d, uint32_t cluster)
{
    return (d->data + (uint64_t)(cluster - 2) * d->cluster) * FAT_SECTOR;
}
static inline uint32_t fat_cluster_bytes(const FatDisk *d)
{
    return d->cluster * FAT_SECTOR;
}
/* names.c */
/* Entries for one name (long ones first), unique among those in `dir`; NULL: the name cannot be on such a disk. */
GByteArray *fat_name_entries(const GByteArray *dir, const char *name);
/* The name before the entry at `at`; NULL: no such thing.  Caller frees. */
char *fat_name_read(const uint8_t *entries, size_t at);
void fat_time_put(uint8_t *entry, int64_t mtime);
int64_t fat_time_get(const uint8_t *entry);
/* sync.c: the guest's file system into the folder.  False: it is not whole at the moment, nothing was done. */
bool fat_sync(FatDisk *d, Error **errp);

#endif
