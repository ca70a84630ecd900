/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target without a fuzzing compiler: seeded mutations of the seed
 * inputs.  The same target links with clang's -fsanitize=fuzzer instead.
 *
 *     fuzz-NAME [--runs=N] [--seconds=N] [--seed=N] [--corpus=FOLDER] [--replay=FILE] [SEED-TEXT...] [@SEED-FILE...]
 *
 * The files of a corpus, where there is one, are inputs that once found something: they run first, as they are.
 * A seed text is an input by itself.  --seconds is processor time.  Where the
 * environment names a folder in RHEA_FUZZ_TALLY, the seconds of all runs add
 * up in its file NAME.tally (NAME from RHEA_FUZZ_NAME or the program), each run
 * goes on with other numbers, and the input in work is in NAME.last, also after
 * a crash: --replay=NAME.last runs it again.
 */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_MAX = 4096 };

/* The input in work, as the file NAME.last has it. */
typedef struct Last {
    uint64_t len;
    uint8_t data[INPUT_MAX];
} Last;

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

static GPtrArray *seeds;

/* One change of a few bytes. */
size_t LLVMFuzzerMutate(uint8_t *buf, size_t len, size_t max)
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
        if (len < max) {
            memmove(buf + at + 1, buf + at, len - at);
            buf[at] = odd[below(sizeof(odd))];
            len++;
        }
        return len;
    case 4:                                             /* repeat a piece */
        n = below(MIN(len - at, max - len) + 1);
        memmove(buf + at + n, buf + at, len - at);
        return len + n;
    default: {                                          /* a piece of another seed */
        GBytes *other = g_ptr_array_index(seeds, below(seeds->len));
        size_t size, from;
        const uint8_t *data = g_bytes_get_data(other, &size);

        from = below(size + 1);
        n = below(MIN(size - from, max - at) + 1);
        if (n) {
            memcpy(buf + at, data + from, n);
        }
        return MAX(len, at + n);
    }
    }
}

static void run_bytes(const uint8_t *data, size_t len)
{
    g_autofree uint8_t *exact = g_malloc(len ? len : 1);        /* its own block: a read past the end is seen */

    memcpy(exact, data, len);
    LLVMFuzzerTestOneInput(exact, len);
}

static void run_one(Last *last)
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
        len = LLVMFuzzerCustomMutator ? LLVMFuzzerCustomMutator(buf, len, INPUT_MAX, (unsigned)next()) : LLVMFuzzerMutate(buf, len, INPUT_MAX);
    }
    if (last) {
        last->len = len;
        memcpy(last->data, buf, len);
    }
    run_bytes(buf, len);
}

static double processor_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- what earlier runs did ---- */

typedef struct Tally {
    char *path;
    double seconds;
    uint64_t inputs;
    Last *last;
} Tally;

static bool tally_open(Tally *t, const char *program)
{
    const char *folder = g_getenv("RHEA_FUZZ_TALLY"), *name = g_getenv("RHEA_FUZZ_NAME");
    g_autofree char *base = g_path_get_basename(program), *last = NULL, *text = NULL;
    int fd;

    if (!folder) {
        return true;
    }
    t->path = g_strdup_printf("%s/%s.tally", folder, name ? name : base);
    last = g_strdup_printf("%s/%s.last", folder, name ? name : base);
    if (g_file_get_contents(t->path, &text, NULL, NULL)) {
        char *end;

        t->seconds = g_ascii_strtod(text, &end);
        t->inputs = g_ascii_strtoull(end, NULL, 10);
    }
    fd = open(last, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || ftruncate(fd, sizeof(Last))) {
        g_printerr("cannot write %s\n", last);
        return false;
    }
    t->last = mmap(NULL, sizeof(Last), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return t->last != MAP_FAILED;
}

static void tally_write(const Tally *t, double seconds, uint64_t inputs)
{
    g_autofree char *text = g_strdup_printf("%.1f %" G_GUINT64_FORMAT "\n", t->seconds + seconds, t->inputs + inputs);

    if (t->path) {
        g_file_set_contents(t->path, text, -1, NULL);
    }
}

static int replay(const char *path)
{
    Last last;
    FILE *f = fopen(path, "rb");

    if (!f || fread(&last, sizeof(last), 1, f) != 1 || last.len > INPUT_MAX) {
        g_printerr("%s is not an input in work\n", path);
        return 1;
    }
    fclose(f);
    run_bytes(last.data, last.len);
    return 0;
}

static void run_corpus(const char *folder)
{
    GDir *d = g_dir_open(folder, 0, NULL);
    const char *name;

    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(folder, name, NULL), *data = NULL;
        gsize len;

        if (g_file_get_contents(path, &data, &len, NULL)) {
            run_bytes((const uint8_t *)data, len);
        }
    }
    if (d) {
        g_dir_close(d);
    }
}

static bool seed_add(const char *arg)
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
    uint64_t runs = 20000, seconds = 0, done = 0;
    Tally tally = {};
    double now = 0, written = 0;

    seeds = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    state = 88172645463325252ull;
    for (int i = 1; i < argc; i++) {
        if (g_str_has_prefix(argv[i], "--runs=")) {
            runs = g_ascii_strtoull(argv[i] + 7, NULL, 10);
        } else if (g_str_has_prefix(argv[i], "--seconds=")) {
            seconds = g_ascii_strtoull(argv[i] + 10, NULL, 10);
        } else if (g_str_has_prefix(argv[i], "--seed=")) {
            state ^= g_ascii_strtoull(argv[i] + 7, NULL, 10) * 0x9e3779b97f4a7c15ull;
        } else if (g_str_has_prefix(argv[i], "--corpus=")) {
            run_corpus(argv[i] + 9);
        } else if (g_str_has_prefix(argv[i], "--replay=")) {
            return replay(argv[i] + 9);
        } else if (!seed_add(argv[i])) {
            return 1;
        }
    }
    if (!seeds->len) {
        g_ptr_array_add(seeds, g_bytes_new_static("", 0));
    }
    if (seconds && !tally_open(&tally, argv[0])) {
        return 1;
    }
    state ^= tally.inputs * 0x9e3779b97f4a7c15ull;
    state += !state;
    while (seconds ? tally.seconds + now < (double)seconds : done < runs) {
        run_one(tally.last);
        done++;
        now = seconds ? processor_seconds() : 0;
        if (now > written + 5) {
            tally_write(&tally, now, done);
            written = now;
        }
    }
    tally_write(&tally, now, done);
    g_print("%" G_GUINT64_FORMAT " inputs in %.0f s, in all %" G_GUINT64_FORMAT " in %.0f s\n", done, processor_seconds(), tally.inputs + done, tally.seconds + now);
    g_free(tally.path);
    g_ptr_array_unref(seeds);
    return 0;
}
