/* SPDX-License-Identifier: MIT */
/*
 * Requests of the host fail at each point of each kind of job, under every policy, while a guest writes.
 *
 * On the copy's side the guest notices nothing; on its own side its requests
 * say so.  A job that stops goes on when it is resumed and then succeeds; one
 * that says that it has succeeded has done its work; one that failed leaves
 * the guest's disk as it was.  At the end every image has no corruption, and
 * the guest's disk, opened once more by what its headers say, holds what the
 * guest wrote.
 *
 * usage: test-job-errors [STEP [FIRST]]: every STEPth point
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/image.h"
#include "block/job/job.h"
#include "io/object.h"
#include "tests/block/faults.h"
#include "tests/block/qmp-client.h"

enum { SIZE = 1 << 20, UNIT = 4096, UNITS = SIZE / UNIT, WORKERS = 2, OPS = 24 };

static unsigned step = 41, first;

/* ---- what each piece of the guest's disk may hold ---- */

static ByteSet model[UNITS];
static uint8_t old[SIZE];               /* as it was before */

/* ---- the world ---- */

static Loop *loop;
static Session *session;
static QmpClient *client;
static Blk *guest;
static GRand *rnd;
static unsigned running, ops_done;
static uint8_t stamp;
static int guest_error;

static void change(unsigned at, unsigned n, uint8_t v)
{
    uint8_t *buf = g_malloc(n * UNIT);
    int r;

    memset(buf, v, n * UNIT);
    for (unsigned i = at; i < at + n; i++) {
        set_add(&model[i], v);
    }
    r = v ? blk_write(guest, at * UNIT, buf, n * UNIT, 0) : blk_zeroes(guest, at * UNIT, n * UNIT, BLK_MAY_UNMAP);
    for (unsigned i = at; told(r, guest_error, "write") && i < at + n; i++) {
        model[i] = (ByteSet){};
        set_add(&model[i], v);
    }
    g_free(buf);
}

static void look(const uint8_t *buf, unsigned at, unsigned n, const char *where)
{
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *p = buf + i * UNIT;

        if (!set_has(&model[at + i], *p) || memcmp(p, p + 1, UNIT - 1)) {
            wrong("%s: block %u is %u", where, at + i, *p);
            return;
        }
    }
}

static void worker(void *opaque)
{
    unsigned me = GPOINTER_TO_UINT(opaque), part = UNITS / WORKERS;
    uint8_t *buf = g_malloc(SIZE);

    for (unsigned i = 0; i < OPS; i++) {
        unsigned at = (unsigned)g_rand_int_range(rnd, 0, part), n = 1 + (unsigned)g_rand_int_range(rnd, 0, 12);
        int what = g_rand_int_range(rnd, 0, 8);

        n = MIN(n, part - at);
        at += me * part;
        if (what < 5) {
            change(at, n, what ? ++stamp : 0);
        } else if (what < 7) {
            if (told(blk_read(guest, at * UNIT, buf, n * UNIT, 0), guest_error, "read")) {
                look(buf, at, n, "read");
            }
        } else {
            told(blk_flush(guest), guest_error, "flush");
        }
        ops_done++;
        fiber_pause();
    }
    g_free(buf);
    running--;
}

static void start_guest(void)
{
    running = WORKERS;
    for (unsigned i = 0; i < WORKERS; i++) {
        fiber_start(worker, GUINT_TO_POINTER(i));
    }
}

static void stop_guest(void)
{
    while (running) {
        loop_step(loop, true);
    }
}

/* ---- images ---- */

static void make(const char *dir, const char *name, const char *below, uint8_t byte, unsigned from, unsigned n)
{
    g_autofree char *path = g_build_filename(dir, name, NULL), *data = g_malloc(n * UNIT + 1);
    g_autoptr(Json) o = json_object();
    Json *open = json_object();
    Error *err = NULL;
    Blk *b;

    json_set_uint(o, "size", SIZE);
    json_set_uint(o, "cluster_size", 8192);
    if (below) {
        json_set_string(o, "backing_file", below);
        json_set_string(o, "backing_fmt", "qcow2");
    }
    if (!blk_create(session, blk_driver_find("qcow2"), path, o, &err)) {
        g_error("%s: %s", name, error_message(err));
    }
    json_set_string(open, "driver", "qcow2");
    b = blk_open(session, path, open, BLK_O_RDWR, BLK_PERM_READ | BLK_PERM_WRITE, BLK_PERM_ALL, NULL);
    memset(data, byte, n * UNIT);
    memset(old + from * UNIT, byte, n * UNIT);
    g_assert_true(b && blk_write(b, from * UNIT, data, n * UNIT, 0) == 0);
    blk_free(b);
}

static void make_images(void)
{
    static const char *const names[] = { "a0", "a1", "a2", "t" };
    g_autofree char *dir = g_dir_make_tmp("job-errors-XXXXXX", NULL);

    session = session_new();
    memset(old, 0, SIZE);
    make(dir, "a0", NULL, 240, 0, 150);
    make(dir, "a1", "a0", 241, 60, 90);
    make(dir, "a2", "a1", 242, 100, 70);
    make(dir, "t", NULL, 0, 0, 0);
    session_free(session);
    faults_load(dir);
    faults_save();
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(dir, names[i], NULL);

        unlink(path);
    }
    rmdir(dir);
}

#define NODE(name, file, more) "'driver':'qcow2','node-name':'" name "','file':{'driver':'faulty','filename':'" file "'}" more

static void open_world(void)
{
    faults_reset();
    faults_set(NULL);
    session = session_new();
    client = client_new(session, loop);
    client_ok(client, "{'execute':'blockdev-add','arguments':{" NODE("top", "a2", ",'backing':{" NODE("mid", "a1", ",'backing':{" NODE("base", "a0", "") "}") "}") "}}");
    client_ok(client, "{'execute':'blockdev-add','arguments':{" NODE("t", "t", "") "}}");
    guest = blk_new(session, "g", BLK_PERM_READ | BLK_PERM_WRITE, BLK_PERM_READ | BLK_PERM_WRITE_SAME | BLK_PERM_RESIZE, NULL);
    g_assert_true(blk_insert(guest, blk_node_find(session, "top"), NULL));
    for (unsigned i = 0; i < UNITS; i++) {
        model[i] = (ByteSet){};
        set_add(&model[i], old[i * UNIT]);
    }
    stamp = 0;
    guest_error = 0;
}

static void close_session(void)
{
    jobs_end(session);
    blk_free(guest);
    client_free(client);
    session_free(session);
    while (loop_step(loop, false)) {
    }
}

/* ---- jobs ---- */

typedef struct JobRow {
    const char *name, *start;           /* %s: the policy */
    const char *key;                    /* of the policy, on the side that fails */
    const char *side;                   /* files that fail begin so */
    const char *result;                 /* where the guest's disk is after a success */
    bool ready;                         /* has to be completed */
    bool copy;                          /* its result is another disk, as of the start; a write of the guest that cannot be preceded by a copy fails */
} JobRow;

static const JobRow rows[] = {
    { "mirror, target", "'blockdev-mirror','arguments':{'device':'g','target':'t','sync':'full'", "on-target-error", "t", "t", .ready = true },
    { "mirror, source", "'blockdev-mirror','arguments':{'device':'g','target':'t','sync':'full'", "on-source-error", "a", "t", .ready = true },
    { "write-blocking mirror, target", "'blockdev-mirror','arguments':{'device':'g','target':'t','sync':'full','copy-mode':'write-blocking'", "on-target-error", "t", "t", .ready = true },
    { "write-blocking mirror, source", "'blockdev-mirror','arguments':{'device':'g','target':'t','sync':'full','copy-mode':'write-blocking'", "on-source-error", "a", "t", .ready = true },
    { "backup, target", "'blockdev-backup','arguments':{'device':'g','target':'t','sync':'full'", "on-target-error", "t", "a2", .copy = true },
    { "backup, source", "'blockdev-backup','arguments':{'device':'g','target':'t','sync':'full'", "on-source-error", "a", "a2", .copy = true },
    { "stream", "'block-stream','arguments':{'device':'g'", "on-error", "a", "a2" },
    { "stream to a base", "'block-stream','arguments':{'device':'g','base-node':'base'", "on-error", "a", "a2" },
    { "commit", "'block-commit','arguments':{'device':'g','top-node':'mid','base-node':'base'", "on-error", "a", "a2" },
    { "active commit", "'block-commit','arguments':{'device':'g','base-node':'mid'", "on-error", "a", "a1", .ready = true },
};
static const char *const policies[] = { "report", "ignore", "enospc", "stop" };

static bool same_status(const char *want)
{
    g_autofree char *now = client_status(client, "j");

    return !strcmp(now, want);
}

static char *io_status(void)
{
    g_autoptr(Json) list = client_ask(client, "{'execute':'query-block-jobs'}");

    return g_strdup(json_get_string(json_at(list, 0), "io-status"));
}

/* Runs the job to its end; the times it had to be resumed. */
static unsigned follow(const JobRow *row, const Fault *f, const char *policy)
{
    unsigned stops = 0;

    while (!same_status("concluded")) {
        if (same_status("paused") || same_status("standby")) {
            g_autofree char *status = io_status();

            if (g_strcmp0(status, f->error == ENOSPC ? "nospace" : "failed")) {
                wrong("paused with io-status %s", status);
            }
            if (strcmp(policy, "stop") && (strcmp(policy, "enospc") || f->error != ENOSPC)) {
                wrong("paused");
            }
            stops++;
            if (!f->count) {
                faults_set(NULL);           /* somebody has made room */
            }
            client_ok(client, "{'execute':'job-resume','arguments':{'id':'j'}}");
        } else if (row->ready && same_status("ready") && !running) {
            json_unref(client_ask(client, "{'execute':'job-complete','arguments':{'id':'j'}}"));
        }
        loop_step(loop, true);
        if (stops > 200) {
            wrong("it stops again and again");
            json_unref(client_ask(client, "{'execute':'job-cancel','arguments':{'id':'j'}}"));
            break;
        }
    }
    return stops;
}

static void check_image(const char *name)
{
    Session *s = session_new();
    g_autofree char *text = g_strdup_printf("{\"driver\": \"qcow2\", \"file\": {\"driver\": \"faulty\", \"filename\": \"%s\"}}", name);
    Error *err = NULL;
    BlkCheck c = {};
    Blk *b = blk_open(s, NULL, json_parse(text, strlen(text), NULL), 0, BLK_PERM_READ, BLK_PERM_ALL, &err);

    if (!b) {
        wrong("%s does not open: %s", name, error_message(err));
        error_free(err);
    } else {
        blk_check(b, &c);
        if (c.corruptions || c.check_errors) {
            wrong("%s: %" PRIu64 " corruptions", name, c.corruptions);
        }
    }
    blk_free(b);
    session_free(s);
}

/* As another program finds it: the chain that the headers tell. */
static void check_content(const char *name, const char *what, bool as_before)
{
    Session *s = session_new();
    g_autofree char *file = g_strconcat("faulty:", name, NULL);
    g_autofree uint8_t *all = g_malloc(SIZE);
    Json *o = json_object();
    Error *err = NULL;
    Blk *b;

    json_set_string(o, "driver", "qcow2");
    b = blk_open(s, file, o, 0, BLK_PERM_READ, BLK_PERM_ALL, &err);
    if (!b || blk_read(b, 0, all, SIZE, 0) < 0) {
        wrong("%s (%s) is not to be read: %s", what, name, err ? error_message(err) : "");
        error_free(err);
    } else if (as_before) {
        if (memcmp(all, old, SIZE)) {
            wrong("%s (%s) is not what the disk was", what, name);
        }
    } else {
        look(all, 0, UNITS, what);
    }
    blk_free(b);
    session_free(s);
}

/* The file that the guest's node lies in. */
static char *guest_file(void)
{
    BlkNode *n = blk_node_skip_filters(blk_node(guest));

    return g_strdup(strchr(n->file->node->filename, ':') + 1);
}

/* With f->at < 0, how many requests there are. */
static unsigned run(const JobRow *row, const char *policy, const Fault *f, unsigned seed)
{
    g_autofree char *error = NULL, *at = NULL;
    bool source = *f->file == 'a', struck;
    unsigned points;

    rnd = g_rand_new_with_seed(seed);
    open_world();
    guest_error = source || row->copy ? f->error : 0;
    faults_wait(rnd);
    faults_set(f);
    client_ok(client, "{'execute':%s,'job-id':'j','auto-dismiss':false,'%s':'%s'}}", row->start, row->key, policy);
    start_guest();
    follow(row, f, policy);
    stop_guest();
    struck = faults_struck();
    faults_wait(NULL);
    points = faults_set(NULL);
    guest_error = 0;
    error = client_job_error(client, "j");
    at = guest_file();
    if (!error && strcmp(at, row->result)) {
        wrong("it says that all is well, and the disk is in %s", at);
    }
    if (error && !struck) {
        wrong("%s, and nothing had failed", error);
    }
    if (error && f->count == 1 && !strcmp(policy, "stop") && !source && !strstr(error, "Copying the rest")) {
        wrong("%s, and it was to stop", error);
    }
    client_ok(client, "{'execute':'job-dismiss','arguments':{'id':'j'}}");
    change(3, 5, 230);                                  /* the disk is still one */
    change(130, 5, 231);
    if (blk_flush(guest)) {
        wrong("the disk is not to be flushed");
    }
    close_session();
    check_content(at, "the disk", false);
    if (row->copy && !error && strcmp(policy, "ignore")) {
        check_content("t", "the copy", true);
    }
    check_image("a0");
    check_image("a1");
    check_image("a2");
    check_image("t");
    g_rand_free(rnd);
    return points;
}

static unsigned test_policy(const JobRow *row, const char *policy, int error, bool once)
{
    Fault f = { .kinds = error == ENOSPC ? FAULT_WRITE | FAULT_ZEROES | FAULT_RESIZE : FAULT_ALL, .at = -1, .count = once ? 1 : 0, .error = error, .file = row->side };
    unsigned points, tried = 0;

    if (!once && !strcmp(policy, "ignore")) {
        return 0;                       /* it would try for ever */
    }
    points = run(row, policy, &f, 1);
    for (unsigned i = first % step; i < points && faults_bad < 6; i += step) {
        int before = faults_bad;

        f.at = (int)i;
        run(row, policy, &f, 1);
        tried++;
        if (faults_bad > before) {
            printf("# %s: that was %s, %s %s, point %u of %u\n", faults_label, policy, g_strerror(error), once ? "once" : "from then on", i, points);
        }
    }
    first += 5;
    return tried;
}

int main(int argc, char **argv)
{
    bool good = true;

    step = argc > 1 ? (unsigned)atoi(argv[1]) : step;
    first = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
    loop = loop_new_glib("job-errors", NULL);
    make_images();
    printf("1..%zu\n", G_N_ELEMENTS(rows));
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        unsigned points = 0;

        faults_bad = 0;
        faults_label = rows[i].name;
        if (argc > 3 && strcmp(argv[3], faults_label)) {
            continue;
        }
        for (unsigned p = 0; p < G_N_ELEMENTS(policies); p++) {
            points += test_policy(&rows[i], policies[p], EIO, true);
            points += test_policy(&rows[i], policies[p], ENOSPC, true);
            points += test_policy(&rows[i], policies[p], ENOSPC, false);
            points += test_policy(&rows[i], policies[p], EIO, false);           /* the server has died, and comes back with the resume */
        }
        printf("# %s: %u points\n%s %u - %s\n", faults_label, points, faults_bad ? "not ok" : "ok", i + 1, faults_label);
        fflush(stdout);
        good = good && !faults_bad;
    }
    faults_clear();
    loop_free(loop);
    return !good;
}
