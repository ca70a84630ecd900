/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target under clang's coverage-guided fuzzer (a build with
 * -Dfuzzer=true), with the words of the blind driver:
 *
 *     fuzz-NAME [--seconds=N] [--slice=N] [--corpus=FOLDER] [SEED-TEXT...] [@SEED-FILE...] [-LIBFUZZER-FLAG...]
 *
 * The environment names a folder in RHEA_FUZZ_TALLY and the target in
 * RHEA_FUZZ_NAME.  NAME.tally adds up processor time and inputs of all runs;
 * a run ends when that time is --seconds, or when it has had --slice of its own.
 * NAME/ is the corpus; it begins with the seeds; inputs of --corpus are tried too.  NAME.found/ gets what failed.
 * Without those names it is a plain program of libFuzzer's: fuzz-NAME FILE runs one input.
 */
#include "tests/fuzz/fuzz.h"

#include <glib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*one)(const uint8_t *data, size_t size));

enum { SLOW = 10 };                     /* seconds; libFuzzer's own limit is of the clock on the wall, and for what hangs */

static struct {
    char *path;                         /* of the tally */
    double earlier, now, written;       /* seconds */
    double goal, slice;
    uint64_t inputs, done;
} tally = { .goal = 1e9, .slice = 1e9 };

static double processor_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void tally_write(void)
{
    g_autofree char *text = g_strdup_printf("%.1f %" G_GUINT64_FORMAT "\n", tally.earlier + tally.now, tally.inputs + tally.done);

    g_file_set_contents_full(tally.path, text, -1, G_FILE_SET_CONTENTS_NONE, 0666, NULL);      /* not worth waiting for the disk */
    tally.written = tally.now;
}

static int one_counted(const uint8_t *data, size_t size)
{
    double before = tally.now = processor_seconds();

    LLVMFuzzerTestOneInput(data, size);
    tally.done++;
    tally.now = processor_seconds();
    if (tally.now - before > SLOW) {
        fprintf(stderr, "slow input: it took %.1f seconds of processor time\n", tally.now - before);
        abort();
    }
    if (tally.now > tally.written + 1) {
        tally_write();
        if (tally.earlier + tally.now >= tally.goal || tally.now >= tally.slice) {
            raise(SIGUSR1);             /* libFuzzer's word for a graceful end */
        }
    }
    return 0;
}

static bool seed_write(const char *folder, unsigned n, const char *arg)
{
    g_autofree char *path = g_strdup_printf("%s/seed-%u", folder, n), *data = NULL;
    gsize len = strlen(arg);

    if (arg[0] == '@' && !g_file_get_contents(arg + 1, &data, &len, NULL)) {
        g_printerr("cannot read %s\n", arg + 1);
        return false;
    }
    return g_file_set_contents(path, data ? data : arg, (gssize)len, NULL);
}

static void tally_read(const char *folder, const char *name)
{
    g_autofree char *text = NULL;

    tally.path = g_strdup_printf("%s/%s.tally", folder, name);
    if (g_file_get_contents(tally.path, &text, NULL, NULL)) {
        char *end;

        tally.earlier = g_ascii_strtod(text, &end);
        tally.inputs = g_ascii_strtoull(end, NULL, 10);
    }
}

/* Our words out of the arguments; what begins with one dash is libFuzzer's. */
static bool arguments(int argc, char **argv, const char *corpus, GPtrArray *words, char **more)
{
    unsigned seeds = 0;

    g_ptr_array_add(words, argv[0]);
    for (int i = 1; i < argc; i++) {
        if (g_str_has_prefix(argv[i], "--seconds=")) {
            tally.goal = g_ascii_strtod(argv[i] + 10, NULL);
        } else if (g_str_has_prefix(argv[i], "--slice=")) {
            tally.slice = g_ascii_strtod(argv[i] + 8, NULL);
        } else if (g_str_has_prefix(argv[i], "--corpus=")) {
            *more = g_file_test(argv[i] + 9, G_FILE_TEST_IS_DIR) ? argv[i] + 9 : NULL;
        } else if (argv[i][0] == '-') {
            g_ptr_array_add(words, argv[i]);
        } else if (!seed_write(corpus, seeds++, argv[i])) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    const char *folder = g_getenv("RHEA_FUZZ_TALLY"), *name = g_getenv("RHEA_FUZZ_NAME");
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    g_autofree char *corpus = NULL, *found = NULL;
    char **list, *more = NULL;
    int count;

    if (!folder || !name) {
        return LLVMFuzzerRunDriver(&argc, &argv, LLVMFuzzerTestOneInput);
    }
    corpus = g_strdup_printf("%s/%s", folder, name);
    found = g_strdup_printf("-artifact_prefix=%s/%s.found/", folder, name);
    g_mkdir_with_parents(corpus, 0777);
    g_mkdir_with_parents(strchr(found, '=') + 1, 0777);
    tally_read(folder, name);
    if (!arguments(argc, argv, corpus, words, &more)) {
        return 1;
    }
    g_ptr_array_add(words, found);
    g_ptr_array_add(words, corpus);
    if (more) {
        g_ptr_array_add(words, more);
    }
    count = (int)words->len;
    g_ptr_array_add(words, NULL);
    list = (char **)words->pdata;
    return LLVMFuzzerRunDriver(&count, &list, one_counted);
}
