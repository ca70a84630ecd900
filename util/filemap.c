/* SPDX-License-Identifier: MIT */
#include "util/filemap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static FileMap *map_new(const void *data, size_t size, bool mapped)
{
    FileMap *map = g_new0(FileMap, 1);

    *map = (FileMap){ .data = data, .size = size, .mapped = mapped };
    return map;
}

static FileMap *read_all(int fd, const char *path, Error **errp)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    uint8_t buf[65536];
    ssize_t got;

    while ((got = read(fd, buf, sizeof(buf))) != 0) {
        if (got < 0 && errno != EINTR) {
            error_set_errno(errp, errno, "Could not read '%s'", path);
            return NULL;
        }
        if (got > 0) {
            if (bytes->len > G_MAXUINT - sizeof(buf)) {
                error_set(errp, "Could not read '%s': more than 4 GiB from something that is not a file", path);
                return NULL;
            }
            g_byte_array_append(bytes, buf, got);
        }
    }
    {
        size_t size = bytes->len;

        g_byte_array_append(bytes, (const uint8_t *)"", 1);     /* never NULL */
        return map_new(g_byte_array_free(g_steal_pointer(&bytes), FALSE), size, false);
    }
}

FileMap *file_map(const char *path, Error **errp)
{
    FileMap *map = NULL;
    struct stat st;
    void *at;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0 || fstat(fd, &st) < 0) {
        error_set_errno(errp, errno, "Could not open '%s'", path);
    } else if (S_ISDIR(st.st_mode)) {
        error_set_errno(errp, EISDIR, "Could not open '%s'", path);
    } else if (!S_ISREG(st.st_mode) || !st.st_size) {
        map = read_all(fd, path, errp);
    } else if ((at = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED) {
        error_set_errno(errp, errno, "Could not map '%s'", path);
    } else {
        map = map_new(at, st.st_size, true);
    }
    if (fd >= 0) {
        close(fd);
    }
    return map;
}

void file_map_free(FileMap *map)
{
    if (!map) {
        return;
    }
    if (map->mapped) {
        munmap((void *)map->data, map->size);
    } else {
        g_free((void *)map->data);
    }
    g_free(map);
}
