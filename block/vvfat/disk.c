/* SPDX-License-Identifier: MIT */
/* The disk's bytes: made when they are read, or what the guest has written. */
#include "block/vvfat/vvfat-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/bswap.h"

/* ---- head ---- */

static void chs(const FatDisk *d, uint32_t lba, uint8_t out[3])
{
    uint32_t cylinder = lba / d->track / d->heads, head = lba / d->track % d->heads, sector = lba % d->track + 1;

    if (cylinder > 1023) {
        cylinder = 1023;
        head = d->heads - 1;
        sector = d->track;
    }
    out[0] = (uint8_t)head;
    out[1] = (uint8_t)(sector | (cylinder >> 8 << 6));
    out[2] = (uint8_t)cylinder;
}

static void partition_table(const FatDisk *d, uint8_t *s)
{
    uint8_t *p = s + 446;

    stl_le_p(s + 440, 0xbe1afdfa);                      /* any number; it names the disk */
    p[0] = 0x80;
    chs(d, d->part, p + 1);
    p[4] = d->type == 12 ? 1 : d->type == 16 ? 0xe : 0xc;
    chs(d, d->sectors - 1, p + 5);
    stl_le_p(p + 8, d->part);
    stl_le_p(p + 12, d->sectors - d->part);
    stw_le_p(s + 510, 0xaa55);
}

static void boot_sector(const FatDisk *d, uint8_t *s)
{
    static const char *const kinds[] = { "FAT12   ", "FAT16   ", "FAT32   " };
    uint32_t total = d->sectors - d->part;
    uint8_t *tail = s + (d->type == 32 ? 64 : 36);

    memcpy(s, "\xeb\x3e\x90MSWIN4.1", 11);
    stw_le_p(s + 11, FAT_SECTOR);
    s[13] = (uint8_t)d->cluster;
    stw_le_p(s + 14, (uint16_t)d->reserved);
    s[16] = 2;
    stw_le_p(s + 17, (uint16_t)(d->root_sectors * (FAT_SECTOR / FAT_ENTRY)));
    stw_le_p(s + 19, total < 65536 ? (uint16_t)total : 0);
    s[21] = d->floppy ? 0xf0 : 0xf8;
    stw_le_p(s + 22, d->type == 32 ? 0 : (uint16_t)d->fat_sectors);
    stw_le_p(s + 24, (uint16_t)d->track);
    stw_le_p(s + 26, (uint16_t)d->heads);
    stl_le_p(s + 28, d->part);
    stl_le_p(s + 32, total < 65536 ? 0 : total);
    if (d->type == 32) {
        stl_le_p(s + 36, d->fat_sectors);
        stl_le_p(s + 44, ((const FatFile *)d->files->pdata[0])->first);
        stw_le_p(s + 48, 1);
        stw_le_p(s + 50, 6);
    }
    tail[0] = d->floppy ? 0 : 0x80;
    tail[2] = 0x29;
    stl_le_p(tail + 3, 0xfabe1afd);
    memcpy(tail + 7, d->label, FAT_NAME);
    memcpy(tail + 18, kinds[d->type == 12 ? 0 : d->type == 16 ? 1 : 2], 8);
    stw_le_p(s + 510, 0xaa55);
}

static void info_sector(const FatDisk *d, uint8_t *s)
{
    stl_le_p(s, 0x41615252);
    stl_le_p(s + 484, 0x61417272);
    stl_le_p(s + 488, d->clusters + 2 - d->next);
    stl_le_p(s + 492, d->next);
    stw_le_p(s + 510, 0xaa55);
}

static void fat_sector(const FatDisk *d, uint32_t index, uint8_t *s)
{
    if (d->type == 12) {
        for (unsigned i = 0; i < FAT_SECTOR; i++) {
            uint64_t nibble = ((uint64_t)index * FAT_SECTOR + i) * 2;
            uint32_t a = (uint32_t)(nibble / 3), b = (uint32_t)((nibble + 1) / 3);
            uint32_t va = a < d->clusters + 2 ? d->fat[a] : 0, vb = b < d->clusters + 2 ? d->fat[b] : 0;

            s[i] = (uint8_t)((va >> nibble % 3 * 4 & 15) | (vb >> (nibble + 1) % 3 * 4 & 15) << 4);
        }
        return;
    }
    for (unsigned i = 0; i < FAT_SECTOR / (d->type / 8); i++) {
        uint32_t at = index * (FAT_SECTOR / (d->type / 8)) + i, v = at < d->clusters + 2 ? d->fat[at] : 0;

        if (d->type == 16) {
            stw_le_p(s + 2 * i, (uint16_t)v);
        } else {
            stl_le_p(s + 4 * i, v);
        }
    }
}

/* A sector before the data. */
static void head_sector(const FatDisk *d, uint32_t sector, uint8_t *s)
{
    uint32_t r = sector - d->part, fats = d->reserved, root = fats + 2 * d->fat_sectors;

    memset(s, 0, FAT_SECTOR);
    if (sector < d->part) {
        if (sector == 0) {
            partition_table(d, s);
        }
    } else if (r < d->reserved) {
        if (r == 0 || (d->type == 32 && r == 6)) {
            boot_sector(d, s);
        } else if (d->type == 32 && (r == 1 || r == 7)) {
            info_sector(d, s);
        }
    } else if (r < root) {
        fat_sector(d, (r - fats) % d->fat_sectors, s);
    } else {
        const GByteArray *e = ((const FatFile *)d->files->pdata[0])->entries;
        uint32_t at = (r - root) * FAT_SECTOR;

        if (at < e->len) {
            memcpy(s, e->data + at, MIN(FAT_SECTOR, e->len - at));
        }
    }
}

/* ---- clusters ---- */

const FatFile *fat_owner(const FatDisk *d, uint32_t cluster)
{
    unsigned low = 0, high = d->files->len;

    while (low < high) {                                /* the last file that begins at or before it */
        unsigned mid = (low + high) / 2;
        const FatFile *f = d->files->pdata[mid];

        if (f->first <= cluster) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    for (unsigned i = low; i-- > 0;) {
        const FatFile *f = d->files->pdata[i];

        if (f->count) {
            return cluster - f->first < f->count ? f : NULL;
        }
        if (f->first) {
            break;
        }
    }
    return d->type == 32 && cluster - ((FatFile *)d->files->pdata[0])->first < ((FatFile *)d->files->pdata[0])->count ? d->files->pdata[0] : NULL;
}

static int read_file(FatDisk *d, const FatFile *f, uint64_t off, uint8_t *buf, uint64_t len)
{
    memset(buf, 0, len);
    if (f->gone || off >= f->size) {
        return 0;
    }
    len = MIN(len, f->size - off);
    if (d->fd_of != f) {
        g_autofree char *path = g_build_filename(d->dir, f->path, NULL);

        if (d->fd >= 0) {
            close(d->fd);
        }
        d->fd_of = NULL;
        d->fd = open(path, O_RDONLY | O_CLOEXEC);
        if (d->fd < 0) {
            return -EIO;
        }
        d->fd_of = f;
    }
    for (uint64_t done = 0; done < len;) {
        ssize_t n = pread(d->fd, buf + done, len - done, (off_t)(off + done));

        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n == 0) {
            break;                                      /* it has become shorter: zeroes */
        }
        done += n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

/* What the disk was made with. */
static int read_made(FatDisk *d, uint64_t off, uint8_t *buf, uint64_t len)
{
    uint64_t data = (uint64_t)d->data * FAT_SECTOR, end = fat_cluster_off(d, d->clusters + 2);
    int r = 0;

    while (len && r == 0) {
        uint64_t part;

        if (off < data) {
            uint8_t sector[FAT_SECTOR];
            uint64_t in = off % FAT_SECTOR;

            part = MIN(len, FAT_SECTOR - in);
            head_sector(d, (uint32_t)(off / FAT_SECTOR), sector);
            memcpy(buf, sector + in, part);
        } else if (off >= end) {
            part = len;
            memset(buf, 0, part);
        } else {
            uint32_t cluster = 2 + (uint32_t)((off - data) / fat_cluster_bytes(d));
            const FatFile *f = fat_owner(d, cluster);
            uint64_t stop = fat_cluster_off(d, f ? f->first + f->count : cluster + 1), at = f ? off - fat_cluster_off(d, f->first) : 0;

            part = MIN(len, stop - off);
            if (!f || f->dir) {
                uint64_t have = f && at < f->entries->len ? MIN(part, f->entries->len - at) : 0;

                memset(buf, 0, part);
                if (have) {
                    memcpy(buf, f->entries->data + at, have);
                }
            } else {
                r = read_file(d, f, at, buf, part);
            }
        }
        off += part;
        buf += part;
        len -= part;
    }
    return r;
}

/* ---- with what was written ---- */

int fat_read(FatDisk *d, uint64_t off, uint8_t *buf, uint64_t len)
{
    int r = 0;

    while (len && r == 0) {
        uint64_t grain = off / FAT_GRAIN, in = off % FAT_GRAIN, part = MIN(len, FAT_GRAIN - in);
        const uint8_t *w = g_hash_table_lookup(d->written, &grain);

        if (w) {
            memcpy(buf, w + in, part);
        } else {
            for (grain++; part < len && !g_hash_table_contains(d->written, &grain); grain++) {
                part = MIN(len, part + FAT_GRAIN);
            }
            r = read_made(d, off, buf, part);
        }
        off += part;
        buf += part;
        len -= part;
    }
    return r;
}

static uint8_t *grain_new(FatDisk *d, uint64_t grain)
{
    uint8_t *w = g_malloc(FAT_GRAIN);

    if (read_made(d, grain * FAT_GRAIN, w, FAT_GRAIN) < 0) {
        g_clear_pointer(&w, g_free);
    }
    return w;
}

int fat_write(FatDisk *d, uint64_t off, const uint8_t *buf, uint64_t len, bool keep)
{
    for (uint64_t part; len; off += part, buf += part, len -= part) {
        uint64_t grain = off / FAT_GRAIN, in = off % FAT_GRAIN;
        uint8_t *old = g_hash_table_lookup(d->written, &grain), *w = old ? old : grain_new(d, grain);

        part = MIN(len, FAT_GRAIN - in);
        if (!w) {
            return -EIO;
        }
        if (!memcmp(w + in, buf, part) && (old || !keep)) {
            g_free(old ? NULL : w);
            continue;
        }
        memcpy(w + in, buf, part);
        if (!old) {
            g_hash_table_insert(d->written, g_memdup2(&grain, sizeof(grain)), w);
        }
        g_hash_table_add(d->fresh, g_memdup2(&grain, sizeof(grain)));
    }
    return 0;
}

bool fat_written(const GHashTable *grains, uint64_t off, uint64_t len)
{
    for (uint64_t grain = off / FAT_GRAIN; grain * FAT_GRAIN < off + len; grain++) {
        if (g_hash_table_contains((GHashTable *)(uintptr_t)grains, &grain)) {
            return true;
        }
    }
    return false;
}
