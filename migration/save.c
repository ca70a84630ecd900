/* SPDX-License-Identifier: MIT */
/* Writing a save file. */
#include "migration/stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "migration/state-priv.h"
#include "migration/stream-priv.h"
#include "util/bswap.h"

struct SaveOut {
    FILE *f;
    char *path, *part;          /* NULL for descriptors */
    uint32_t crc;
    bool failed;
};

static void put(SaveOut *s, const void *data, size_t len)
{
    s->crc = crc32c(s->crc, data, len);
    if (len && fwrite(data, 1, len, s->f) != len) {
        s->failed = true;
    }
}

static void put_u32(SaveOut *s, uint32_t v)
{
    v = htole32(v);
    put(s, &v, 4);
}

static void put_u64(SaveOut *s, uint64_t v)
{
    v = htole64(v);
    put(s, &v, 8);
}

static bool settle(SaveOut *s, Error **errp)
{
    return !s->failed || error_set_errno(errp, errno, "cannot write the save to '%s'", s->path ? s->path : "descriptor");
}

static SaveOut *begin(FILE *f, char *path, char *part, const char *machine)
{
    SaveOut *s = g_new0(SaveOut, 1);

    s->f = f;
    s->path = path;
    s->part = part;
    put(s, SAVE_MAGIC, 8);
    put_u32(s, SAVE_FORMAT_VERSION);
    put_u32(s, (uint32_t)strlen(machine));
    put(s, machine, strlen(machine));
    put_u32(s, s->crc);
    return s;
}

SaveOut *save_out_new(const char *path, const char *machine, Error **errp)
{
    /* beside the file and then into its place; a device, a pipe or what a link names is written where it is */
    bool beside = !g_file_test(path, G_FILE_TEST_EXISTS) || (g_file_test(path, G_FILE_TEST_IS_REGULAR) && !g_file_test(path, G_FILE_TEST_IS_SYMLINK));
    g_autofree char *part = beside ? g_strconcat(path, ".part", NULL) : NULL;
    FILE *f = fopen(beside ? part : path, "we");

    if (!f) {
        error_set_errno(errp, errno, "cannot create '%s'", beside ? part : path);
        return NULL;
    }
    return begin(f, g_strdup(path), g_steal_pointer(&part), machine);
}

SaveOut *save_out_new_fd(int fd, const char *machine, Error **errp)
{
    int own = dup(fd);
    FILE *f = own < 0 ? NULL : fdopen(own, "w");

    if (!f) {
        error_set_errno(errp, errno, "cannot write to descriptor %d", fd);
        return NULL;
    }
    return begin(f, NULL, NULL, machine);
}

static void section_begin(SaveOut *s, uint32_t kind, const char *name, uint64_t len)
{
    s->crc = 0;
    put_u32(s, kind);
    put_u32(s, (uint32_t)strlen(name));
    put(s, name, strlen(name));
    put_u64(s, len);
}

static bool section_end(SaveOut *s, Error **errp)
{
    put_u32(s, s->crc);
    return settle(s, errp);
}

bool save_out_section(SaveOut *s, const char *name, const StateWriter *w, Error **errp)
{
    size_t len;
    const uint8_t *data = state_writer_data(w, &len);

    section_begin(s, SECTION_STATE, name, len);
    put(s, data, len);
    return section_end(s, errp);
}

bool save_out_object(SaveOut *s, const char *name, const StateTable *t, void *obj, Error **errp)
{
    StateWriter *w = state_writer_new();
    bool ok;

    state_save(w, t, obj);
    ok = save_out_section(s, name, w, errp);
    state_writer_free(w);
    return ok;
}

/* ---- RAM: runs of pages that are not all zero ---- */

typedef struct Run { uint64_t first; uint32_t count; } Run;

static bool page_is_zero(const uint8_t *p)
{
    const uint64_t *w = (const uint64_t *)p;

    for (size_t i = 0; i < MEM_PAGE_SIZE / 8; i += 4) {
        if (w[i] | w[i + 1] | w[i + 2] | w[i + 3]) {
            return false;
        }
    }
    return true;
}

static GArray *find_runs(const RamBlock *b)
{
    GArray *runs = g_array_new(FALSE, FALSE, sizeof(Run));
    uint64_t pages = b->size >> MEM_PAGE_BITS;
    Run run = { 0, 0 };

    for (uint64_t i = 0; i <= pages; i++) {
        bool zero = i == pages || page_is_zero(b->host + (i << MEM_PAGE_BITS));

        if ((zero || run.count == RUN_MAX) && run.count) {
            g_array_append_val(runs, run);
            run.count = 0;
        }
        if (!zero) {
            run.first = run.count ? run.first : i;
            run.count++;
        }
    }
    return runs;
}

bool save_out_ram(SaveOut *s, RamBlock *b, Error **errp)
{
    g_autoptr(GArray) runs = find_runs(b);
    uint64_t len = 8;

    for (guint i = 0; i < runs->len; i++) {
        len += 12 + ((uint64_t)g_array_index(runs, Run, i).count << MEM_PAGE_BITS);
    }
    section_begin(s, SECTION_RAM, b->id, len);
    put_u64(s, b->size);
    for (guint i = 0; i < runs->len && !s->failed; i++) {
        const Run *r = &g_array_index(runs, Run, i);

        put_u64(s, r->first);
        put_u32(s, r->count);
        put(s, b->host + (r->first << MEM_PAGE_BITS), (size_t)r->count << MEM_PAGE_BITS);
    }
    return section_end(s, errp);
}

/* ---- end ---- */

static void save_out_free(SaveOut *s)
{
    if (s->f) {
        fclose(s->f);
    }
    g_free(s->path);
    g_free(s->part);
    g_free(s);
}

void save_out_abort(SaveOut *s)
{
    if (s->part) {
        unlink(s->part);
    }
    save_out_free(s);
}

bool save_out_finish(SaveOut *s, Error **errp)
{
    section_begin(s, SECTION_END, "", 0);
    if (!section_end(s, errp)) {
        save_out_abort(s);
        return false;
    }
    if (fflush(s->f) || (s->part && (fsync(fileno(s->f)) || rename(s->part, s->path)))) {
        error_set_errno(errp, errno, "cannot write the save to '%s'", s->path ? s->path : "descriptor");
        save_out_abort(s);
        return false;
    }
    save_out_free(s);
    return true;
}
