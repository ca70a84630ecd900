/* SPDX-License-Identifier: MIT */
/* Reading a save file: the whole of it is proven sound before any part is handed out. */
#include "migration/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "migration/state-priv.h"
#include "migration/stream-priv.h"
#include "util/bswap.h"
#include "util/filemap.h"

typedef struct Section {
    uint32_t kind;
    char *name;
    const uint8_t *data;
    uint64_t len;
} Section;

struct SaveIn {
    FileMap *map;               /* or */
    GByteArray *bytes;
    char *machine;
    GArray *sections;
};

/* ---- parsing ---- */

static bool truncated(Error **errp)
{
    return error_set(errp, "the file ends early: it was cut, or the save was not finished");
}

static bool get_name(StateReader *r, char **name, Error **errp)
{
    const uint8_t *p;
    uint32_t len;

    if (!state_get_u32(r, &len, NULL)) {
        return truncated(errp);
    }
    if (len > NAME_MAX_BYTES) {
        return error_set(errp, "a section name of %" PRIu32 " bytes: the file is damaged", len);
    }
    p = state_peek(r, len, NULL);
    if (!p) {
        return truncated(errp);
    }
    *name = g_strndup((const char *)p, len);
    return true;
}

static bool check_crc(StateReader *r, size_t start, const char *what, Error **errp)
{
    uint32_t have = crc32c(0, r->data + start, state_tell(r) - start), want;

    if (!state_get_u32(r, &want, NULL)) {
        return truncated(errp);
    }
    return have == want || error_set(errp, "checksum of %s%s%s is wrong: the file is damaged", *what ? "section '" : "the header",
                                     what, *what ? "'" : "");
}

static bool parse_header(SaveIn *s, StateReader *r, Error **errp)
{
    const uint8_t *magic = state_peek(r, 8, NULL);
    uint32_t version;

    if (!magic || memcmp(magic, SAVE_MAGIC, 8)) {
        return error_set(errp, "not a save of this program");
    }
    if (!state_get_u32(r, &version, NULL)) {
        return truncated(errp);
    }
    if (version != SAVE_FORMAT_VERSION) {
        return error_set(errp, "save format %" PRIu32 ", this program reads %d", version, SAVE_FORMAT_VERSION);
    }
    return get_name(r, &s->machine, errp) && check_crc(r, 0, "", errp);
}

static bool ram_payload_ok(const Section *sec)
{
    StateReader r = { sec->data, sec->len, 0 };
    uint64_t size, first, end = 0;
    uint32_t count;

    if (!state_get_u64(&r, &size, NULL) || size % MEM_PAGE_SIZE || size > MEM_RAM_MAX) {
        return false;
    }
    while (state_reader_left(&r)) {
        if (!state_get_u64(&r, &first, NULL) || !state_get_u32(&r, &count, NULL) || !count || count > RUN_MAX || first < end
            || first > (size >> MEM_PAGE_BITS) || count > (size >> MEM_PAGE_BITS) - first
            || !state_skip(&r, (size_t)count << MEM_PAGE_BITS, NULL)) {
            return false;
        }
        end = first + count;
    }
    return true;
}

static bool parse_section(SaveIn *s, StateReader *r, Section *sec, Error **errp)
{
    size_t start = state_tell(r);

    *sec = (Section){ 0 };
    if (!state_get_u32(r, &sec->kind, NULL)) {
        return truncated(errp);
    }
    if (!get_name(r, &sec->name, errp)) {
        return false;
    }
    if (!state_get_u64(r, &sec->len, NULL) || !(sec->data = state_peek(r, sec->len, NULL))) {
        return truncated(errp);
    }
    if (!check_crc(r, start, sec->name, errp)) {
        return false;
    }
    if (sec->kind != SECTION_STATE && sec->kind != SECTION_RAM && sec->kind != SECTION_END) {
        return error_set(errp, "section '%s' is of the unknown kind 0x%" PRIx32, sec->name, sec->kind);
    }
    return sec->kind != SECTION_RAM || ram_payload_ok(sec) || error_set(errp, "RAM section '%s' is not well formed", sec->name);
}

static const Section *find(SaveIn *s, uint32_t kind, const char *name)
{
    for (guint i = 0; i < s->sections->len; i++) {
        const Section *sec = &g_array_index(s->sections, Section, i);

        if (sec->kind == kind && !strcmp(sec->name, name)) {
            return sec;
        }
    }
    return NULL;
}

static bool parse(SaveIn *s, StateReader *r, Error **errp)
{
    Section sec;

    if (!parse_header(s, r, errp)) {
        return false;
    }
    do {
        bool ok = parse_section(s, r, &sec, errp);

        if (ok && sec.kind != SECTION_END && find(s, sec.kind, sec.name)) {
            ok = error_set(errp, "section '%s' comes twice", sec.name);
        }
        if (!ok || sec.kind == SECTION_END) {
            g_free(sec.name);
        } else {
            g_array_append_val(s->sections, sec);
        }
        if (!ok) {
            return false;
        }
    } while (sec.kind != SECTION_END);
    return !state_reader_left(r) || error_set(errp, "there are %zu bytes behind the end", state_reader_left(r));
}

static SaveIn *open_bytes(SaveIn *s, const uint8_t *data, size_t len, Error **errp)
{
    StateReader r = { data, len, 0 };

    s->sections = g_array_new(FALSE, FALSE, sizeof(Section));
    if (!parse(s, &r, errp)) {
        save_in_free(s);
        return NULL;
    }
    return s;
}

/* ---- opening ---- */

SaveIn *save_in_open(const char *path, Error **errp)
{
    SaveIn *s = g_new0(SaveIn, 1);

    s->map = file_map(path, errp);
    if (!s->map) {
        g_free(s);
        return NULL;
    }
    s = open_bytes(s, s->map->data, s->map->size, errp);
    if (!s) {
        error_prepend(errp, "save file '%s': ", path);
    }
    return s;
}

SaveIn *save_in_open_fd(int fd, Error **errp)
{
    SaveIn *s = g_new0(SaveIn, 1);
    uint8_t buf[65536];
    ssize_t n;

    s->bytes = g_byte_array_new();
    while ((n = read(fd, buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0) {
            g_byte_array_append(s->bytes, buf, (guint)n);
        }
    }
    if (n < 0) {
        error_set_errno(errp, errno, "cannot read the save");
        save_in_free(s);
        return NULL;
    }
    return open_bytes(s, s->bytes->data, s->bytes->len, errp);
}

void save_in_free(SaveIn *s)
{
    if (!s) {
        return;
    }
    for (guint i = 0; s->sections && i < s->sections->len; i++) {
        g_free(g_array_index(s->sections, Section, i).name);
    }
    if (s->sections) {
        g_array_free(s->sections, TRUE);
    }
    if (s->bytes) {
        g_byte_array_free(s->bytes, TRUE);
    }
    file_map_free(s->map);
    g_free(s->machine);
    g_free(s);
}

/* ---- what is in it ---- */

const char *save_in_machine(const SaveIn *s)
{
    return s->machine;
}

StateReader *save_in_section(SaveIn *s, const char *name)
{
    const Section *sec = find(s, SECTION_STATE, name);

    return sec ? state_reader_new(sec->data, sec->len) : NULL;
}

void save_in_foreach(SaveIn *s, void (*fn)(const char *name, bool ram, void *data), void *data)
{
    for (guint i = 0; i < s->sections->len; i++) {
        const Section *sec = &g_array_index(s->sections, Section, i);

        fn(sec->name, sec->kind == SECTION_RAM, data);
    }
}

bool save_in_check_ram(SaveIn *s, RamBlock *b, Error **errp)
{
    const Section *sec = find(s, SECTION_RAM, b->id);

    if (!sec) {
        return error_set(errp, "the save has no RAM '%s'", b->id);
    }
    return ldq_le_p(sec->data) == b->size
        || error_set(errp, "RAM '%s' was saved with %" PRIu64 " bytes and has %" PRIu64 " here: give the same -m", b->id,
                     ldq_le_p(sec->data), b->size);
}

/* Pages that the save leaves out are given back to the host where that makes them zero. */
static void clear_pages(RamBlock *b, uint64_t first, uint64_t end)
{
    uint8_t *p = b->host + (first << MEM_PAGE_BITS);
    size_t len = (size_t)(end - first) << MEM_PAGE_BITS;

    if (len && (b->fd >= 0 || madvise(p, len, MADV_DONTNEED))) {
        memset(p, 0, len);
    }
}

bool save_in_load_ram(SaveIn *s, RamBlock *b, Error **errp)
{
    const Section *sec = find(s, SECTION_RAM, b->id);
    StateReader r;
    uint64_t first, end = 0, skip;
    uint32_t count;

    if (!save_in_check_ram(s, b, errp)) {
        return false;
    }
    r = (StateReader){ sec->data, sec->len, 0 };
    state_get_u64(&r, &skip, NULL);
    while (state_reader_left(&r)) {
        size_t len;

        state_get_u64(&r, &first, NULL);
        state_get_u32(&r, &count, NULL);
        len = (size_t)count << MEM_PAGE_BITS;
        clear_pages(b, end, first);
        memcpy(b->host + (first << MEM_PAGE_BITS), state_peek(&r, len, NULL), len);
        end = first + count;
    }
    clear_pages(b, end, b->size >> MEM_PAGE_BITS);
    mem_written(b->mem, b->ram_addr, b->size);
    return true;
}
