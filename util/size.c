/* SPDX-License-Identifier: MIT */
#include "util/size.h"

#include <errno.h>
#include <string.h>

bool number_parse_u64(const char *text, uint64_t *out, Error **errp)
{
    char *end;
    uint64_t v;

    errno = 0;
    v = g_ascii_strtoull(text, &end, 0);
    if (!g_ascii_isdigit(text[0]) || *end) {
        return error_set(errp, "'%s' is not a number", text);
    }
    if (errno) {
        return error_set(errp, "'%s' does not fit into 64 bits", text);
    }
    *out = v;
    return true;
}

bool number_parse_i64(const char *text, int64_t *out, Error **errp)
{
    char *end;
    int64_t v;

    errno = 0;
    v = g_ascii_strtoll(text, &end, 0);
    if (!g_ascii_isdigit(text[text[0] == '-']) || *end) {
        return error_set(errp, "'%s' is not a number", text);
    }
    if (errno) {
        return error_set(errp, "'%s' does not fit into 64 bits", text);
    }
    *out = v;
    return true;
}

/* The power of 1024 that a suffix stands for, -1 if it is none. */
static int suffix_power(char c)
{
    static const char letters[] = "BKMGTPE";
    const char *at = c ? strchr(letters, g_ascii_toupper(c)) : NULL;

    return at ? (int)(at - letters) : -1;
}

bool size_parse(const char *text, uint64_t unit, uint64_t *out, Error **errp)
{
    char *end;
    uint64_t whole, mul = unit;
    double fraction = 0;
    __uint128_t bytes;

    errno = 0;
    whole = g_ascii_strtoull(text, &end, text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10);
    if (!g_ascii_isdigit(text[0]) || errno) {
        goto bad;
    }
    if (*end == '.') {
        char *digits = end;

        fraction = g_ascii_isdigit(end[1]) ? g_ascii_strtod(digits, &end) : 0;
        if (end == digits || memchr(digits, 'e', end - digits) || memchr(digits, 'E', end - digits)) {
            goto bad;
        }
    }
    if (*end) {
        int power = suffix_power(*end++);

        if (power < 0 || *end) {
            goto bad;
        }
        mul = 1ull << (10 * power);
    }
    bytes = (__uint128_t)whole * mul + (__uint128_t)(fraction * (double)mul);
    if (bytes > UINT64_MAX) {
        goto bad;
    }
    *out = (uint64_t)bytes;
    return true;
bad:
    error_set(errp, "'%s' is not a size below 2^64", text);
    return error_hint(errp, "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.");
}

bool bool_parse(const char *text, bool *out, Error **errp)
{
    static const char *const yes[] = { "on", "yes", "true", "y", "1", NULL };
    static const char *const no[] = { "off", "no", "false", "n", "0", NULL };

    if (g_strv_contains(yes, text)) {
        *out = true;
    } else if (g_strv_contains(no, text)) {
        *out = false;
    } else {
        return error_set(errp, "'%s' is neither 'on' nor 'off'", text);
    }
    return true;
}

char *size_text(uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double v = (double)bytes;
    unsigned i = 0;

    while (v >= 999.5 && i + 1 < G_N_ELEMENTS(units)) {
        v /= 1024;
        i++;
    }
    return g_strdup_printf("%0.3g %s", v, units[i]);
}
