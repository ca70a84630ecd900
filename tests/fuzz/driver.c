/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target without a fuzzing compiler: seeded mutations of the seed
 * inputs.  The same target links with clang's -fsanitize=fuzzer instead.
 *
 *     fuzz-NAME [--runs=N] [--seconds=N] [--seed=N] [SEED-TEXT...] [@SEED-FILE...]
 *
 * A seed text is an input by itself.  On a crash the input is in the file
 * fuzz-last.bin when --keep is given.
 */
#include "tests/fuzz/fuzz.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

enum { INPUT_MAX = 4096 };

static uint64_t state;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static size_t below(size_t n)
{
    return n ? next() % n : 0;
}

/* One change of a few bytes; the input may grow to INPUT_MAX. */
static size_t mutate(uint8_t *buf, size_t len, GPtrArray *seeds)
{
    static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff, '"', '\'', '{', '}', '[', ']', ',', '=', '.', ':', '$', '#', '\\', '-', '0' };
    size_t at = below(len + 1), n;

    switch (below(6)) {
    case 0:                                             /* flip a bit */
        if (at < len) {
            buf[at] ^= 1u << below(8);
        }
        return len;
    case 1:                                             /* an odd byte */
        if (at < len) {
            buf[at] = odd[below(sizeof(odd))];
        }
        return len;
    case 2:                                             /* cut out */
        n = below(MIN(len - at, 32) + 1);
        memmove(buf + at, buf + at + n, len - at - n);
        return len - n;
    case 3:                                             /* put in */
        if (len < INPUT_MAX) {
            memmove(buf + at + 1, buf + at, len - at);
            buf[at] = odd[below(sizeof(odd))];
            len++;
        }
        return len;
    case 4:                                             /* repeat a piece */
        n = MIN(below(len - at + 1), INPUT_MAX - len);
        memmove(buf + at + n, buf + at, len - at);
        return len + n;
    default: {                                          /* a piece of another seed */
        GBytes *other = g_ptr_array_index(seeds, below(seeds->len));
        size_t size, from;
        const uint8_t *data = g_bytes_get_data(other, &size);

        from = below(size + 1);
        n = MIN(below(size - from + 1), INPUT_MAX - at);
        if (n) {
            memcpy(buf + at, data + from, n);
        }
        return MAX(len, at + n);
    }
    }
}

static void run_one(GPtrArray *seeds, bool keep)
{
    uint8_t buf[INPUT_MAX];
    GBytes *seed = g_ptr_array_index(seeds, below(seeds->len));
    size_t size, len;
    const uint8_t *data = g_bytes_get_data(seed, &size);

    len = MIN(size, INPUT_MAX);
    if (len) {
        memcpy(buf, data, len);
    }
    for (size_t n = below(8) + 1; n; n--) {
        len = mutate(buf, len, seeds);
    }
    if (keep) {
        g_file_set_contents("fuzz-last.bin", (char *)buf, len, NULL);
    }
    {
        g_autofree uint8_t *exact = g_malloc(len ? len : 1);    /* its own block: a read past the end is seen */

        memcpy(exact, buf, len);
        LLVMFuzzerTestOneInput(exact, len);
    }
}

static bool seed_add(GPtrArray *seeds, const char *arg)
{
    char *data;
    gsize len;

    if (arg[0] != '@') {
        g_ptr_array_add(seeds, g_bytes_new(arg, strlen(arg)));
        return true;
    }
    if (!g_file_get_contents(arg + 1, &data, &len, NULL)) {
        g_printerr("cannot read %s\n", arg + 1);
        return false;
    }
    g_ptr_array_add(seeds, g_bytes_new_take(data, len));
    return true;
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) seeds = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    uint64_t runs = 20000, seconds = 0, done = 0;
    gint64 stop;
    bool keep = false;

    state = 88172645463325252ull;
    for (int i = 1; i < argc; i++) {
        if (g_str_has_prefix(argv[i], "--runs=")) {
            runs = g_ascii_strtoull(argv[i] + 7, NULL, 10);
        } else if (g_str_has_prefix(argv[i], "--seconds=")) {
            seconds = g_ascii_strtoull(argv[i] + 10, NULL, 10);
        } else if (g_str_has_prefix(argv[i], "--seed=")) {
            state ^= g_ascii_strtoull(argv[i] + 7, NULL, 10) * 0x9e3779b97f4a7c15ull;
        } else if (!strcmp(argv[i], "--keep")) {
            keep = true;
        } else if (!seed_add(seeds, argv[i])) {
            return 1;
        }
    }
    if (!seeds->len) {
        g_ptr_array_add(seeds, g_bytes_new_static("", 0));
    }
    stop = g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
    while (seconds ? g_get_monotonic_time() < stop : done < runs) {
        run_one(seeds, keep);
        done++;
    }
    g_print("%" G_GUINT64_FORMAT " inputs\n", done);
    return 0;
}
