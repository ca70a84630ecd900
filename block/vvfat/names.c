/* SPDX-License-Identifier: MIT */
/* Names and times of directory entries: short ones, long ones before them. */
#include "block/vvfat/vvfat-priv.h"

#include <string.h>

#include "util/bswap.h"

enum { LONG_CHARS = 13, UNITS_MAX = 255, LAST_LONG = 0x40, ORDER = 0x3f };

static const unsigned char_at[LONG_CHARS] = { 1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30 };

static bool short_char(char c)
{
    return g_ascii_isupper(c) || g_ascii_isdigit(c) || (c && strchr("!#$%&'()-@^_`{}~", c));
}

static uint8_t checksum(const uint8_t *name)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < FAT_NAME; i++) {
        sum = (uint8_t)((sum & 1 ? 0x80 : 0) + (sum >> 1) + name[i]);
    }
    return sum;
}

typedef enum { SHORT_SAME, SHORT_CASE, SHORT_LOSSY } Short;

/* Upper case, without what may not be there; how much of the name that is. */
static Short to_short(const char *name, uint8_t out[FAT_NAME])
{
    const char *dot = strrchr(name, '.');
    unsigned n = 0, limit = 8;
    Short kept = SHORT_SAME;

    memset(out, ' ', FAT_NAME);
    dot = dot == name ? NULL : dot;
    for (const char *p = name; *p; p++) {
        char c = g_ascii_toupper(*p);

        if (p == dot) {
            n = 8;
            limit = 11;
            continue;
        }
        if (!short_char(c)) {
            kept = SHORT_LOSSY;
            continue;
        }
        if (n < limit) {
            out[n++] = (uint8_t)c;
            kept = MAX(kept, c == *p ? SHORT_SAME : SHORT_CASE);
        } else {
            kept = SHORT_LOSSY;
        }
    }
    if (out[0] == ' ') {
        out[0] = '_';
        kept = SHORT_LOSSY;
    }
    return kept;
}

static bool taken(const GByteArray *dir, const uint8_t *name)
{
    for (unsigned i = 0; i + FAT_ENTRY <= dir->len; i += FAT_ENTRY) {
        if (dir->data[i + 11] != FAT_ATTR_LONG && !memcmp(dir->data + i, name, FAT_NAME)) {
            return true;
        }
    }
    return false;
}

static bool number(const GByteArray *dir, uint8_t name[FAT_NAME])
{
    uint8_t base[FAT_NAME];
    unsigned len = 0;

    memcpy(base, name, FAT_NAME);
    while (len < 8 && base[len] != ' ') {
        len++;
    }
    for (unsigned i = 1; i < 1000000; i++) {
        char tail[9];
        unsigned digits = (unsigned)g_snprintf(tail, sizeof(tail), "~%u", i), at = MIN(len, 8 - digits);

        memcpy(name, base, FAT_NAME);
        memcpy(name + at, tail, digits);
        if (!taken(dir, name)) {
            return true;
        }
    }
    return false;
}

static void add_long(GByteArray *out, const uint16_t *text, unsigned len, uint8_t sum)
{
    unsigned pieces = (len + LONG_CHARS - 1) / LONG_CHARS;

    for (unsigned i = pieces; i--;) {
        uint8_t e[FAT_ENTRY] = { 0 };

        e[0] = (uint8_t)((i + 1) | (i + 1 == pieces ? LAST_LONG : 0));
        e[11] = FAT_ATTR_LONG;
        e[13] = sum;
        for (unsigned k = 0; k < LONG_CHARS; k++) {
            unsigned at = i * LONG_CHARS + k;

            stw_le_p(e + char_at[k], at < len ? text[at] : at == len ? 0 : 0xffff);
        }
        g_byte_array_append(out, e, sizeof(e));
    }
}

GByteArray *fat_name_entries(const GByteArray *dir, const char *name)
{
    uint8_t e[FAT_ENTRY] = { 0 };
    g_autofree uint16_t *text = NULL;
    glong len = 0;
    GByteArray *out;
    Short kept;

    if (strpbrk(name, "\\:*?\"<>|") || !(text = g_utf8_to_utf16(name, -1, NULL, &len, NULL)) || len > UNITS_MAX || !len) {
        return NULL;
    }
    out = g_byte_array_new();
    kept = to_short(name, e);
    if (kept != SHORT_SAME || taken(dir, e)) {
        if ((kept == SHORT_LOSSY || taken(dir, e)) && !number(dir, e)) {
            g_byte_array_free(out, TRUE);
            return NULL;
        }
        add_long(out, text, (unsigned)len, checksum(e));
    }
    g_byte_array_append(out, e, sizeof(e));
    return out;
}

/* ---- reading ---- */

/* The long name that ends before `at`, if one does. */
static char *read_long(const uint8_t *entries, size_t at)
{
    uint16_t text[20 * LONG_CHARS + 1];
    unsigned n = 0;
    uint8_t sum = checksum(entries + at);

    for (unsigned order = 1; order <= 20 && at >= order * FAT_ENTRY; order++) {
        const uint8_t *e = entries + at - (size_t)order * FAT_ENTRY;

        if (e[11] != FAT_ATTR_LONG || (e[0] & ORDER) != order || e[13] != sum) {
            return NULL;
        }
        for (unsigned k = 0; k < LONG_CHARS; k++) {
            text[n++] = lduw_le_p(e + char_at[k]);
        }
        if (e[0] & LAST_LONG) {
            for (unsigned k = 0; k < n; k++) {
                n = text[k] ? n : k;
            }
            return g_utf16_to_utf8(text, n, NULL, NULL, NULL);
        }
    }
    return NULL;
}

static char *read_short(const uint8_t *e)
{
    GString *s = g_string_new(NULL);
    unsigned base = 8, ext = 3;

    while (base && e[base - 1] == ' ') {
        base--;
    }
    while (ext && e[8 + ext - 1] == ' ') {
        ext--;
    }
    for (unsigned i = 0; i < base; i++) {
        char c = (char)(i == 0 && e[0] == 5 ? 0xe5 : e[i]);

        g_string_append_c(s, e[12] & 8 ? g_ascii_tolower(c) : c);       /* the case bits of Windows NT */
    }
    for (unsigned i = 0; i < ext; i++) {
        if (i == 0) {
            g_string_append_c(s, '.');
        }
        g_string_append_c(s, e[12] & 16 ? g_ascii_tolower((char)e[8 + i]) : (char)e[8 + i]);
    }
    return g_string_free(s, FALSE);
}

char *fat_name_read(const uint8_t *entries, size_t at)
{
    char *name = read_long(entries, at);

    name = name ? name : read_short(entries + at);
    if (!*name || !strcmp(name, ".") || !strcmp(name, "..") || strchr(name, '/') || strlen(name) > 255 || !g_utf8_validate(name, -1, NULL)) {
        g_free(name);
        return NULL;
    }
    return name;
}

/* ---- times ---- */

void fat_time_put(uint8_t *e, int64_t mtime)
{
    g_autoptr(GDateTime) t = g_date_time_new_from_unix_local(CLAMP(mtime, 315619200, 4354819199));      /* 1980 to 2107, zones aside */
    int year = g_date_time_get_year(t);
    uint16_t day = (uint16_t)((year < 1980 ? 0 : year > 2107 ? 127 : year - 1980) << 9 | g_date_time_get_month(t) << 5 | g_date_time_get_day_of_month(t));
    uint16_t second = (uint16_t)(g_date_time_get_hour(t) << 11 | g_date_time_get_minute(t) << 5 | g_date_time_get_second(t) / 2);

    stw_le_p(e + 14, second);
    stw_le_p(e + 16, day);
    stw_le_p(e + 18, day);
    stw_le_p(e + 22, second);
    stw_le_p(e + 24, day);
}

int64_t fat_time_get(const uint8_t *e)
{
    unsigned time = lduw_le_p(e + 22), day = lduw_le_p(e + 24);
    g_autoptr(GDateTime) t = g_date_time_new_local((int)(day >> 9) + 1980, (int)(day >> 5 & 15), (int)(day & 31), (int)(time >> 11), (int)(time >> 5 & 63), (time & 31) * 2.0);

    return t ? g_date_time_to_unix(t) : 0;
}
