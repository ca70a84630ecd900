/* SPDX-License-Identifier: MIT */
/* What programs see of nodes, jobs and bitmaps: order of events, texts, errors by order, what is stored. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/block.h"
#include "block/driver.h"
#include "block/image.h"
#include "block/job/job.h"
#include "io/fiber.h"
#include "tests/block/qmp-client.h"

enum { SIZE = 1 << 20 };

typedef struct { Session *s; Loop *loop; QmpClient *c; char *dir; } World;

static void open_session(World *w)
{
    w->s = session_new();
    w->c = client_new(w->s, w->loop);
}

static void close_session(World *w)
{
    jobs_end(w->s);
    client_free(w->c);
    session_free(w->s);
    while (loop_step(w->loop, false)) {
    }
}

static void world_open(World *w)
{
    w->loop = loop_new_glib("test", NULL);
    w->dir = g_dir_make_tmp("rhea-states-XXXXXX", NULL);
    open_session(w);
}

static void world_close(World *w)
{
    GDir *d = g_dir_open(w->dir, 0, NULL);
    const char *name;

    close_session(w);
    while ((name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(w->dir, name, NULL);
        g_unlink(path);
    }
    g_dir_close(d);
    g_rmdir(w->dir);
    loop_free(w->loop);
    g_free(w->dir);
}

static char *path_of(World *w, const char *name)
{
    return g_strdup_printf("%s/%s", w->dir, name);
}

static void make(World *w, const char *name)
{
    g_autoptr(Json) o = json_object();
    g_autofree char *path = path_of(w, name);

    json_set_uint(o, "size", SIZE);
    g_assert_true(blk_create(w->s, blk_driver_find("qcow2"), path, o, NULL));
}

static void add(World *w, const char *node, const char *name)
{
    g_autofree char *path = path_of(w, name);

    client_ok(w->c, "{'execute':'blockdev-add','arguments':{'driver':'qcow2','node-name':'%s','file':{'driver':'file','filename':'%s'}}}", node, path);
}

static Blk *use(World *w, const char *node)
{
    Blk *b = blk_new(w->s, NULL, BLK_PERM_READ | BLK_PERM_WRITE, BLK_PERM_READ | BLK_PERM_WRITE_SAME | BLK_PERM_RESIZE, NULL);

    g_assert_true(blk_insert(b, blk_node_find(w->s, node), NULL));
    return b;
}

static void put(Blk *b, uint64_t off, uint64_t len, uint8_t byte)
{
    g_autofree uint8_t *buf = g_malloc(len);

    memset(buf, byte, len);
    g_assert_cmpint(blk_write(b, off, buf, len, 0), ==, 0);
}

static void expect(Blk *b, uint64_t off, uint64_t len, uint8_t byte)
{
    g_autofree uint8_t *buf = g_malloc(len);

    g_assert_cmpint(blk_read(b, off, buf, len, 0), ==, 0);
    for (uint64_t i = 0; i < len; i++) {
        g_assert_cmphex(buf[i], ==, byte);
    }
}

static void events(World *w, const char *want)
{
    g_autofree char *got = client_events(w->c);
    GString *text = g_string_new(got);

    g_string_replace(text, "JOB_STATUS_CHANGE:", "", 0);
    g_assert_cmpstr(text->str, ==, want);
    g_string_free(text, TRUE);
}

/* ---- order ---- */

static void test_events(void)
{
    World w;
    Blk *b;

    world_open(&w);
    make(&w, "a");
    make(&w, "t");
    add(&w, "a", "a");
    add(&w, "t", "t");
    b = use(&w, "a");
    put(b, 0, SIZE, 1);
    client_ok(w.c, "{'execute':'blockdev-mirror','arguments':{'job-id':'m','device':'a','target':'t','sync':'full'}}");
    client_wait(w.c, "m", "ready");
    events(&w, "created running ready BLOCK_JOB_READY");
    client_ok(w.c, "{'execute':'block-job-complete','arguments':{'device':'m'}}");
    client_wait(w.c, "m", "null");
    events(&w, "waiting pending BLOCK_JOB_COMPLETED concluded null");
    g_assert_cmpstr(blk_node_name(blk_node(b)), ==, "t");
    expect(b, 0, SIZE, 1);

    client_ok(w.c, "{'execute':'blockdev-backup','arguments':{'job-id':'b','device':'t','target':'a','sync':'full','auto-dismiss':false,'auto-finalize':false}}");
    client_wait(w.c, "b", "pending");
    events(&w, "created running waiting pending BLOCK_JOB_PENDING");
    client_refused(w.c, "Job 'b' in state 'pending' cannot accept command verb 'dismiss'", "{'execute':'job-dismiss','arguments':{'id':'b'}}");
    client_ok(w.c, "{'execute':'job-finalize','arguments':{'id':'b'}}");
    client_wait(w.c, "b", "concluded");
    events(&w, "BLOCK_JOB_COMPLETED concluded");
    client_ok(w.c, "{'execute':'job-dismiss','arguments':{'id':'b'}}");
    events(&w, "null");

    client_ok(w.c, "{'execute':'blockdev-backup','arguments':{'job-id':'n','device':'t','target':'a','sync':'none','auto-dismiss':false}}");
    client_ok(w.c, "{'execute':'block-job-cancel','arguments':{'device':'n','force':true}}");
    client_wait(w.c, "n", "concluded");
    events(&w, "created running aborting BLOCK_JOB_CANCELLED concluded");
    {
        g_autofree char *error = client_job_error(w.c, "n");
        g_assert_cmpstr(error, ==, "Operation canceled");
    }
    client_ok(w.c, "{'execute':'job-dismiss','arguments':{'id':'n'}}");
    world_close(&w);
}

static void test_create(void)
{
    World w;
    g_autofree char *path = NULL;

    world_open(&w);
    path = path_of(&w, "f");
    client_ok(w.c, "{'execute':'blockdev-create','arguments':{'job-id':'c','options':{'driver':'file','filename':'%s','size':0}}}", path);
    client_wait(w.c, "c", "concluded");
    client_ok(w.c, "{'execute':'job-dismiss','arguments':{'id':'c'}}");
    g_free(client_events(w.c));
    client_ok(w.c, "{'execute':'blockdev-add','arguments':{'driver':'file','node-name':'f','filename':'%s'}}", path);
    client_ok(w.c, "{'execute':'blockdev-create','arguments':{'job-id':'c','options':{'driver':'qcow2','file':'f','size':%d,'cluster-size':4096,'version':'v3'}}}", SIZE);
    client_wait(w.c, "c", "concluded");
    client_ok(w.c, "{'execute':'job-dismiss','arguments':{'id':'c'}}");
    client_ok(w.c, "{'execute':'blockdev-add','arguments':{'driver':'qcow2','node-name':'q','file':'f','backing':null}}");
    g_assert_cmpuint(blk_node_size(blk_node_find(w.s, "q")), ==, SIZE);
    g_assert_cmpuint(blk_node_find(w.s, "q")->cluster, ==, 4096);
    client_refused(w.c, "Node 'f' is in use", "{'execute':'blockdev-create','arguments':{'job-id':'c','options':{'driver':'qcow2','file':'f','size':1}}}");
    client_refused(w.c, "Parameter 'foo' is unexpected", "{'execute':'blockdev-create','arguments':{'job-id':'c','options':{'driver':'file','filename':'x','foo':1}}}");
    world_close(&w);
}

/* ---- texts ---- */

static void test_texts(void)
{
    static const struct { const char *request, *error; } rows[] = {
        { "{'execute':'blockdev-add','arguments':{'driver':'nosuch','node-name':'x'}}", "Parameter 'driver' does not accept value 'nosuch'" },
        { "{'execute':'blockdev-add','arguments':{'driver':'file','node-name':'x'}}", "Parameter 'filename' is missing" },
        { "{'execute':'blockdev-add','arguments':{'driver':'file','filename':'r.img'}}", "'node-name' must be specified for the root node" },
        { "{'execute':'blockdev-add','arguments':{'node-name':'x'}}", "Parameter 'driver' is missing" },
        { "{'execute':'blockdev-add','arguments':{'driver':'null-co','node-name':'a'}}", "Duplicate nodes with node-name='a'" },
        { "{'execute':'blockdev-del','arguments':{'node-name':'nosuch'}}", "Failed to find node with node-name='nosuch'" },
        { "{'execute':'block_resize','arguments':{'node-name':'a','size':-1}}", "Parameter 'size' expects a >0 size" },
        { "{'execute':'block_resize','arguments':{'size':1}}", "Cannot find device='' nor node-name=''" },
        { "{'execute':'block_resize','arguments':{'node-name':'a','size':1.5}}", "Invalid parameter type for 'size', expected: integer" },
        { "{'execute':'block-job-cancel','arguments':{'device':'d0'}}", "Block job 'd0' not found" },
        { "{'execute':'job-dismiss','arguments':{'id':'x'}}", "Job not found" },
        { "{'execute':'transaction','arguments':{'actions':[{'type':'abort','data':{}}]}}", "Transaction aborted using Abort action" },
        { "{'execute':'transaction','arguments':{'actions':[{'type':'nosuch','data':{}}]}}", "Parameter 'type' does not accept value 'nosuch'" },
        { "{'execute':'block-dirty-bitmap-remove','arguments':{'node':'a','name':'x'}}", "Dirty bitmap 'x' not found" },
        { "{'execute':'block-dirty-bitmap-add','arguments':{'node':'nosuch','name':'x'}}", "Cannot find device='nosuch' nor node-name='nosuch'" },
        { "{'execute':'blockdev-mirror','arguments':{'device':'a','target':'a','sync':'full','job-id':'x'}}", "Can't mirror node into itself" },
        { "{'execute':'blockdev-mirror','arguments':{'device':'a','target':'t','sync':'full'}}", "An explicit job ID is required for this node" },
        { "{'execute':'blockdev-backup','arguments':{'device':'a','target':'t','sync':'incremental','job-id':'x'}}", "must provide a valid bitmap name for 'incremental' sync mode" },
        { "{'execute':'blockdev-snapshot','arguments':{'node':'a','overlay':'a'}}", "Making 'a' a backing child of 'a' would create a cycle" },
    };
    World w;

    world_open(&w);
    make(&w, "a");
    make(&w, "t");
    add(&w, "a", "a");
    add(&w, "t", "t");
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        client_refused(w.c, rows[i].error, "%s", rows[i].request);
    }
    client_ok(w.c, "{'execute':'blockdev-del','arguments':{'node-name':'t'}}");
    world_close(&w);
}

/* A node that a job needs is left alone, and free again behind it. */
static void test_busy(void)
{
    World w;

    world_open(&w);
    make(&w, "a");
    make(&w, "t");
    make(&w, "o");
    add(&w, "a", "a");
    add(&w, "t", "t");
    add(&w, "o", "o");
    client_ok(w.c, "{'execute':'blockdev-mirror','arguments':{'job-id':'m','device':'a','target':'t','sync':'full'}}");
    client_refused(w.c, "Job ID 'm' already in use", "{'execute':'blockdev-mirror','arguments':{'job-id':'m','device':'a','target':'o','sync':'full'}}");
    client_refused(w.c, "Node 'a' is busy: block device is in use by block job: mirror", "{'execute':'blockdev-backup','arguments':{'job-id':'b','device':'a','target':'o','sync':'full'}}");
    client_refused(w.c, "Node 'a' is busy: block device is in use by block job: mirror", "{'execute':'blockdev-snapshot','arguments':{'node':'a','overlay':'o'}}");
    client_refused(w.c, "Node t is in use", "{'execute':'blockdev-del','arguments':{'node-name':'t'}}");
    client_wait(w.c, "m", "ready");
    client_ok(w.c, "{'execute':'block-job-cancel','arguments':{'device':'m'}}");
    client_wait(w.c, "m", "null");
    client_ok(w.c, "{'execute':'blockdev-snapshot','arguments':{'node':'a','overlay':'o'}}");
    client_ok(w.c, "{'execute':'blockdev-del','arguments':{'node-name':'t'}}");
    world_close(&w);
}

/* ---- errors by order ---- */

static void add_failing(World *w, const char *node, const char *name, const char *rules)
{
    g_autofree char *path = path_of(w, name);

    client_ok(w->c, "{'execute':'blockdev-add','arguments':{'driver':'blkdebug','node-name':'%s','inject-error':[%s],'image':{'driver':'qcow2','file':{'driver':'file','filename':'%s'}}}}",
              node, rules, path);
}

static char *io_status(World *w)
{
    g_autoptr(Json) list = client_ask(w->c, "{'execute':'query-block-jobs'}");

    return g_strdup(json_get_string(json_at(list, 0), "io-status"));
}

static void test_errors(void)
{
    static const char start[] = "{'execute':'%s','arguments':{'job-id':'j','device':'a','target':'t','sync':'full','auto-dismiss':false,'on-target-error':'%s'}}";
    static const char *const kinds[] = { "blockdev-mirror", "blockdev-backup" };

    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        bool mirror = i == 0;
        g_autofree char *error = NULL, *status = NULL;
        World w;
        Blk *b;

        world_open(&w);
        make(&w, "a");
        make(&w, "t");
        add(&w, "a", "a");
        b = use(&w, "a");
        put(b, 0, SIZE, 7);
        add_failing(&w, "t", "t", "{'event':'none','iotype':'write','errno':28,'once':true}");
        client_ok(w.c, start, kinds[i], "enospc");              /* stops, is resumed, and goes on */
        client_wait(w.c, "j", "paused");
        status = io_status(&w);
        g_assert_cmpstr(status, ==, "nospace");
        client_ok(w.c, "{'execute':'block-job-resume','arguments':{'device':'j'}}");
        client_wait(w.c, "j", mirror ? "ready" : "concluded");
        if (mirror) {
            client_ok(w.c, "{'execute':'job-complete','arguments':{'id':'j'}}");
            client_wait(w.c, "j", "concluded");
        }
        error = client_job_error(w.c, "j");
        g_assert_cmpstr(error, ==, NULL);
        client_ok(w.c, "{'execute':'job-dismiss','arguments':{'id':'j'}}");
        {
            Blk *t = mirror ? b : use(&w, "t");
            expect(t, 0, SIZE, 7);
        }
        world_close(&w);
    }
}

static void test_report(void)
{
    g_autofree char *error = NULL;
    World w;
    Blk *b;

    world_open(&w);
    make(&w, "a");
    make(&w, "t");
    add(&w, "a", "a");
    b = use(&w, "a");
    put(b, 0, SIZE, 7);
    add_failing(&w, "t", "t", "{'event':'none','iotype':'write','errno':28}");
    client_ok(w.c, "{'execute':'blockdev-mirror','arguments':{'job-id':'j','device':'a','target':'t','sync':'full','auto-dismiss':false}}");
    client_wait(w.c, "j", "concluded");
    error = client_job_error(w.c, "j");
    g_assert_cmpstr(error, ==, "No space left on device");
    g_assert_cmpstr(blk_node_name(blk_node(b)), ==, "a");
    put(b, 0, 4096, 8);                                         /* the guest notices nothing */
    client_ok(w.c, "{'execute':'job-dismiss','arguments':{'id':'j'}}");
    world_close(&w);
}

/* ---- below a format ---- */

/* The file under a format moves while the format is in use. */
static void test_below(gconstpointer opaque)
{
    const char *format = opaque;
    g_autofree char *from = NULL, *to = NULL, *bytes = NULL;
    g_autoptr(Json) o = json_object();
    Json *again = json_object();
    World w;
    gsize len;
    Blk *b;

    world_open(&w);
    from = path_of(&w, "a");
    to = path_of(&w, "t");
    json_set_uint(o, "size", SIZE);
    g_assert_true(blk_create(w.s, blk_driver_find(format), from, o, NULL));
    client_ok(w.c, "{'execute':'blockdev-add','arguments':{'driver':'%s','node-name':'a','file':{'driver':'file','node-name':'p','filename':'%s'}}}", format, from);
    b = use(&w, "a");
    put(b, 0, SIZE, 7);
    g_assert_cmpint(blk_flush(b), ==, 0);
    g_assert_true(g_file_get_contents(from, &bytes, &len, NULL));
    g_assert_true(blk_create_file(w.s, to, len, NULL, NULL));
    client_ok(w.c, "{'execute':'blockdev-add','arguments':{'driver':'file','node-name':'q','filename':'%s'}}", to);
    client_ok(w.c, "{'execute':'blockdev-mirror','arguments':{'job-id':'j','device':'p','target':'q','sync':'full','auto-dismiss':false}}");
    client_wait(w.c, "j", "ready");
    put(b, 65536, 65536, 8);
    client_ok(w.c, "{'execute':'job-complete','arguments':{'id':'j'}}");
    client_wait(w.c, "j", "concluded");
    client_ok(w.c, "{'execute':'job-dismiss','arguments':{'id':'j'}}");
    put(b, 200000, 65536, 9);
    g_assert_cmpint(blk_flush(b), ==, 0);
    expect(b, 0, 65536, 7);
    expect(b, 65536, 65536, 8);
    blk_free(b);
    close_session(&w);
    open_session(&w);
    json_set_string(again, "driver", format);
    b = blk_open(w.s, to, again, 0, BLK_PERM_READ, BLK_PERM_ALL, NULL);
    g_assert_nonnull(b);
    expect(b, 0, 65536, 7);
    expect(b, 65536, 65536, 8);
    expect(b, 200000, 65536, 9);
    expect(b, 300000, 65536, 7);
    blk_free(b);
    world_close(&w);
}

/* ---- bitmaps ---- */

static uint64_t count(World *w, const char *node, const char *name, const char *member)
{
    g_autoptr(Json) list = client_ask(w->c, "{'execute':'query-named-block-nodes','arguments':{'flat':true}}");

    for (unsigned i = 0; i < json_size(list); i++) {
        Json *maps = json_get(json_at(list, i), "dirty-bitmaps");

        for (unsigned k = 0; maps && !g_strcmp0(json_get_string(json_at(list, i), "node-name"), node) && k < json_size(maps); k++) {
            if (!strcmp(json_get_string(json_at(maps, k), "name"), name)) {
                return json_get(json_at(maps, k), member) ? json_get_u64(json_at(maps, k), member, json_get_bool(json_at(maps, k), member, false)) : 0;
            }
        }
    }
    return UINT64_MAX;
}

static void test_bitmaps(void)
{
    World w;
    Blk *b;

    world_open(&w);
    make(&w, "a");
    add(&w, "a", "a");
    b = use(&w, "a");
    client_ok(w.c, "{'execute':'block-dirty-bitmap-add','arguments':{'node':'a','name':'x','granularity':4096}}");
    client_ok(w.c, "{'execute':'block-dirty-bitmap-add','arguments':{'node':'a','name':'y','granularity':65536,'disabled':true}}");
    client_refused(w.c, "Bitmap already exists: x", "{'execute':'block-dirty-bitmap-add','arguments':{'node':'a','name':'x'}}");
    put(b, 5000, 10, 1);
    g_assert_cmpuint(count(&w, "a", "x", "count"), ==, 4096);
    g_assert_cmpuint(count(&w, "a", "y", "count"), ==, 0);
    blk_zeroes(b, 4095, 2, 0);
    g_assert_cmpuint(count(&w, "a", "x", "count"), ==, 8192);
    client_ok(w.c, "{'execute':'block-dirty-bitmap-merge','arguments':{'node':'a','target':'y','bitmaps':['x']}}");
    g_assert_cmpuint(count(&w, "a", "y", "count"), ==, 65536);
    client_refused(w.c, "Transaction aborted using Abort action", "{'execute':'transaction','arguments':{'actions':["
                   "{'type':'block-dirty-bitmap-add','data':{'node':'a','name':'z'}},{'type':'block-dirty-bitmap-clear','data':{'node':'a','name':'x'}},"
                   "{'type':'block-dirty-bitmap-enable','data':{'node':'a','name':'y'}},{'type':'block-dirty-bitmap-remove','data':{'node':'a','name':'y'}},{'type':'abort'}]}}");
    g_assert_cmpuint(count(&w, "a", "x", "count"), ==, 8192);
    g_assert_cmpuint(count(&w, "a", "y", "recording"), ==, 0);
    g_assert_cmpuint(count(&w, "a", "z", "count"), ==, UINT64_MAX);
    client_ok(w.c, "{'execute':'transaction','arguments':{'actions':[{'type':'block-dirty-bitmap-clear','data':{'node':'a','name':'x'}},"
                   "{'type':'block-dirty-bitmap-remove','data':{'node':'a','name':'y'}}]}}");
    g_assert_cmpuint(count(&w, "a", "x", "count"), ==, 0);
    g_assert_cmpuint(count(&w, "a", "y", "count"), ==, UINT64_MAX);
    world_close(&w);
}

/* Stored when the image is closed; marked meanwhile, so that a copy of the file as a crash would leave it says so. */
static void test_persistent(void)
{
    g_autofree char *path = NULL, *crashed = NULL, *bytes = NULL;
    gsize len;
    World w;

    world_open(&w);
    path = path_of(&w, "a");
    crashed = path_of(&w, "crashed");
    make(&w, "a");
    add(&w, "a", "a");
    client_ok(w.c, "{'execute':'block-dirty-bitmap-add','arguments':{'node':'a','name':'x','granularity':4096,'persistent':true}}");
    client_ok(w.c, "{'execute':'block-dirty-bitmap-add','arguments':{'node':'a','name':'gone','persistent':true}}");
    put(use(&w, "a"), 65536, 65536, 1);
    close_session(&w);

    open_session(&w);
    add(&w, "a", "a");
    g_assert_cmpuint(count(&w, "a", "x", "count"), ==, 65536);
    g_assert_cmpuint(count(&w, "a", "x", "granularity"), ==, 4096);
    put(use(&w, "a"), 0, 4096, 2);
    g_assert_cmpuint(count(&w, "a", "x", "count"), ==, 65536 + 4096);
    client_ok(w.c, "{'execute':'block-dirty-bitmap-remove','arguments':{'node':'a','name':'gone'}}");
    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL) && g_file_set_contents(crashed, bytes, len, NULL));
    close_session(&w);

    open_session(&w);
    add(&w, "a", "a");
    add(&w, "crashed", "crashed");
    g_assert_cmpuint(count(&w, "a", "x", "count"), ==, 65536 + 4096);
    g_assert_cmpuint(count(&w, "a", "gone", "count"), ==, UINT64_MAX);
    g_assert_cmpuint(count(&w, "crashed", "x", "inconsistent"), ==, 1);
    client_refused(w.c, "Bitmap 'x' is inconsistent and cannot be used", "{'execute':'block-dirty-bitmap-clear','arguments':{'node':'crashed','name':'x'}}");
    client_ok(w.c, "{'execute':'block-dirty-bitmap-remove','arguments':{'node':'crashed','name':'x'}}");
    {
        BlkCheck c = {};
        g_assert_cmpint(blk_check(use(&w, "crashed"), &c), ==, 0);
        g_assert_cmpuint(c.corruptions + c.check_errors, ==, 0);
    }
    world_close(&w);
}

/* A full backup, then what has changed since, into an overlay of it. */
static void test_incremental(void)
{
    static const uint8_t bytes[] = { 1, 2, 3 };
    g_autofree char *base = NULL, *inc = NULL;
    g_autoptr(Json) o = json_object();
    World w;
    Blk *b;

    world_open(&w);
    make(&w, "a");
    make(&w, "full");
    add(&w, "a", "a");
    add(&w, "full", "full");
    b = use(&w, "a");
    put(b, 0, SIZE, bytes[0]);
    client_ok(w.c, "{'execute':'transaction','arguments':{'actions':[{'type':'block-dirty-bitmap-add','data':{'node':'a','name':'x'}},"
                   "{'type':'blockdev-backup','data':{'job-id':'j','device':'a','target':'full','sync':'full'}}]}}");
    put(b, 65536, 65536, bytes[1]);                             /* after the moment */
    client_wait(w.c, "j", "null");
    base = path_of(&w, "full");
    inc = path_of(&w, "inc");
    json_set_uint(o, "size", SIZE);
    g_assert_true(blk_create(w.s, blk_driver_find("qcow2"), inc, o, NULL));
    client_ok(w.c, "{'execute':'blockdev-add','arguments':{'driver':'qcow2','node-name':'inc','backing':'full','file':{'driver':'file','filename':'%s'}}}", inc);
    client_ok(w.c, "{'execute':'blockdev-backup','arguments':{'job-id':'j','device':'a','target':'inc','sync':'incremental','bitmap':'x'}}");
    put(b, 131072, 65536, bytes[2]);                            /* after the second */
    client_wait(w.c, "j", "null");
    g_assert_cmpuint(count(&w, "a", "x", "count"), ==, 65536);
    {
        Blk *f = use(&w, "inc");

        expect(f, 0, 65536, bytes[0]);
        expect(f, 65536, 65536, bytes[1]);
        expect(f, 131072, SIZE - 131072, bytes[0]);
        blk_free(f);
    }
    client_ok(w.c, "{'execute':'blockdev-backup','arguments':{'job-id':'j','device':'a','target':'inc','sync':'bitmap','bitmap':'x','bitmap-mode':'never'}}");
    client_wait(w.c, "j", "null");
    g_assert_cmpuint(count(&w, "a", "x", "count"), ==, 65536);
    world_close(&w);
}

/* ---- nodes ---- */

static void test_reopen(void)
{
    World w;
    Blk *b;

    world_open(&w);
    make(&w, "a");
    make(&w, "o");
    make(&w, "p");
    add(&w, "a", "a");
    add(&w, "o", "o");
    add(&w, "p", "p");
    b = use(&w, "p");
    put(b, 0, 4096, 9);
    blk_free(b);
    b = use(&w, "a");
    put(b, 0, 4096, 1);
    client_ok(w.c, "{'execute':'blockdev-snapshot','arguments':{'node':'a','overlay':'o'}}");
    expect(b, 0, 4096, 1);
    client_ok(w.c, "{'execute':'blockdev-reopen','arguments':{'options':[{'driver':'qcow2','node-name':'o','backing':'p'}]}}");
    expect(b, 0, 4096, 9);
    client_refused(w.c, "Making 'o' a backing child of 'p' would create a cycle",
                   "{'execute':'blockdev-reopen','arguments':{'options':[{'driver':'qcow2','node-name':'p','backing':'o'}]}}");
    client_refused(w.c, "Cannot change the option 'driver'", "{'execute':'blockdev-reopen','arguments':{'options':[{'driver':'raw','node-name':'o'}]}}");
    client_refused(w.c, "Node 'o' is being written to; it can not become read-only",
                   "{'execute':'blockdev-reopen','arguments':{'options':[{'driver':'qcow2','node-name':'o','read-only':true}]}}");
    client_ok(w.c, "{'execute':'blockdev-reopen','arguments':{'options':[{'driver':'qcow2','node-name':'p','read-only':true}]}}");
    g_assert_true(blk_node_read_only(blk_node_find(w.s, "p")));
    client_ok(w.c, "{'execute':'block_resize','arguments':{'node-name':'o','size':%d}}", 2 * SIZE);
    g_assert_cmpuint(blk_size(b), ==, 2 * SIZE);
    world_close(&w);
}

/* Open descriptors of this process on a file: all, and those past the page cache. */
static void descriptors(const char *path, unsigned *all, unsigned *direct)
{
    GDir *d = g_dir_open("/proc/self/fd", 0, NULL);
    const char *name;

    *all = *direct = 0;
    while ((name = g_dir_read_name(d))) {
        g_autofree char *link = g_build_filename("/proc/self/fd", name, NULL), *target = g_file_read_link(link, NULL);

        if (!g_strcmp0(target, path)) {
            int flags = fcntl(atoi(name), F_GETFL);

            ++*all;
            *direct += !!(flags & O_DIRECT);
        }
    }
    g_dir_close(d);
}

static bool direct_works(World *w)
{
    g_autofree char *path = path_of(w, "a");
    int fd = open(path, O_RDONLY | O_DIRECT);

    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

#define REOPEN(options) "{'execute':'blockdev-reopen','arguments':{'options':[" options "]}}"

/* The cache mode goes down to the file that came with the node, or stays where it has its own. */
static void test_reopen_direct(void)
{
    g_autofree char *path = NULL;
    unsigned all, direct;
    World w;
    Blk *b;

    world_open(&w);
    make(&w, "a");
    if (!direct_works(&w)) {
        g_test_skip("the file system of temporary files knows no direct I/O");
        world_close(&w);
        return;
    }
    path = path_of(&w, "a");
    add(&w, "a", "a");
    b = use(&w, "a");
    put(b, 1000, 3000, 5);
    client_ok(w.c, REOPEN("{'driver':'qcow2','node-name':'a','cache':{'direct':true}}"));
    descriptors(path, &all, &direct);
    g_assert_cmpuint(direct, ==, 1);
    g_assert_true(blk_node_find(w.s, "a")->flags & BLK_O_DIRECT);
    put(b, 3000, 3000, 6);
    expect(b, 1000, 2000, 5);
    expect(b, 3000, 3000, 6);
    client_ok(w.c, REOPEN("{'driver':'qcow2','node-name':'a','file':{'driver':'file','filename':'%s','aio':'threads','cache':{'direct':true}}}"), path);
    descriptors(path, &all, &direct);
    g_assert_cmpuint(direct, ==, 1);
    g_assert_false(blk_node_find(w.s, "a")->flags & BLK_O_DIRECT);
    client_ok(w.c, REOPEN("{'driver':'qcow2','node-name':'a'}"));
    descriptors(path, &all, &direct);
    g_assert_cmpuint(direct, ==, 1);                /* it has its own now */
    client_ok(w.c, REOPEN("{'driver':'qcow2','node-name':'a','file':{'driver':'file','filename':'%s'}}"), path);
    descriptors(path, &all, &direct);
    g_assert_cmpuint(direct, ==, 0);
    g_assert_cmpuint(all, >=, 1);
    expect(b, 1000, 2000, 5);
    client_refused(w.c, "aio=native was specified, but it requires cache.direct=on, which was not specified.",
                   REOPEN("{'driver':'qcow2','node-name':'a','file':{'driver':'file','filename':'%s','aio':'native'}}"), path);
    client_refused(w.c, "Cannot change the option 'filename'", REOPEN("{'driver':'qcow2','node-name':'a','file':{'driver':'file','filename':'x'}}"));
    client_refused(w.c, "Cannot change the option 'locking'", REOPEN("{'driver':'qcow2','node-name':'a','file':{'driver':'file','filename':'%s','locking':'off'}}"), path);
    client_refused(w.c, "Block format 'qcow2' does not support the option 'foo'", REOPEN("{'driver':'qcow2','node-name':'a','foo':1}"));
    world_close(&w);
}

/* All that can be seen of two nodes and their files. */
static char *looks(World *w)
{
    static const char *const names[] = { "a", "o" };
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < 2; i++) {
        const BlkNode *n = blk_node_find(w->s, names[i]);

        g_string_append_printf(text, "%s: %x %d %d %s; file %x %d; ", n->name, n->flags, n->read_only, n->detect_zeroes, n->backing ? n->backing->node->name : "-",
                               n->file->node->flags, n->file->node->read_only);
    }
    return g_string_free(text, FALSE);
}

/* Several at once: all of it, or nothing. */
static void test_reopen_atomic(void)
{
    g_autofree char *before = NULL, *after = NULL, *path = NULL;
    World w;
    Blk *b;

    world_open(&w);
    make(&w, "a");
    make(&w, "o");
    make(&w, "p");
    add(&w, "a", "a");
    add(&w, "o", "o");
    add(&w, "p", "p");
    path = path_of(&w, "o");
    b = use(&w, "o");
    put(b, 0, 4096, 1);
    before = looks(&w);
    client_refused(w.c, "Node 'o' is being written to; it can not become read-only",
                   REOPEN("{'driver':'qcow2','node-name':'a','read-only':true,'detect-zeroes':'on','discard':'unmap','backing':'p'},"
                          "{'driver':'qcow2','node-name':'o','read-only':true}"));
    after = looks(&w);
    g_assert_cmpstr(after, ==, before);
    g_clear_pointer(&after, g_free);
    client_refused(w.c, "Failed to find node with node-name='nosuch'",
                   REOPEN("{'driver':'qcow2','node-name':'a','read-only':true},{'driver':'qcow2','node-name':'nosuch'}"));
    client_refused(w.c, "Making 'o' a backing child of 'a' would create a cycle",
                   REOPEN("{'driver':'qcow2','node-name':'o','backing':'a','cache':{'no-flush':true}},{'driver':'qcow2','node-name':'a','backing':'o'}"));
    client_refused(w.c, "invalid aio option",
                   REOPEN("{'driver':'qcow2','node-name':'a','read-only':true},{'driver':'qcow2','node-name':'o','file':{'driver':'file','filename':'%s','aio':'no'}}"), path);
    after = looks(&w);
    g_assert_cmpstr(after, ==, before);
    client_ok(w.c, REOPEN("{'driver':'qcow2','node-name':'a','read-only':true,'detect-zeroes':'on'},"
                          "{'driver':'qcow2','node-name':'o','backing':'a','discard':'unmap','cache':{'no-flush':true}}"));
    g_assert_true(blk_node_read_only(blk_node_find(w.s, "a")));
    g_assert_true(blk_node_find(w.s, "a")->file->node->read_only);
    g_assert_true(blk_node_find(w.s, "a")->detect_zeroes);
    g_assert_true(blk_node_find(w.s, "o")->flags & BLK_O_UNMAP);
    g_assert_true(blk_node_find(w.s, "o")->file->node->flags & BLK_O_NO_FLUSH);
    g_assert_cmpstr(blk_node_name(blk_node_backing(blk_node(b))), ==, "a");
    expect(b, 0, 4096, 1);
    client_ok(w.c, REOPEN("{'driver':'qcow2','node-name':'o','backing':null},{'driver':'qcow2','node-name':'a'}"));
    after = (g_free(after), looks(&w));
    g_assert_cmpstr(after, ==, before);
    world_close(&w);
}

/* ---- jobs that end together ---- */

#define BACKUP(id, from, to, more) \
    "{'type':'blockdev-backup','data':{'job-id':'" id "','device':'" from "','target':'" to "','sync':'full','auto-dismiss':false" more "}}"
#define GROUPED(a, b) "{'execute':'transaction','arguments':{'properties':{'completion-mode':'grouped'},'actions':[" a "," b "]}}"

static void backups_open(World *w, bool failing)
{
    world_open(w);
    for (const char *name = "abtu"; *name; name++) {
        char one[2] = { *name, 0 };

        make(w, one);
        if (*name != 'u' || !failing) {
            add(w, one, one);
        }
    }
    if (failing) {
        add_failing(w, "u", "u", "{'event':'none','iotype':'write','errno':28,'once':false,'immediately':false}");
    }
}

static void end_is(World *w, const char *id, const char *error)
{
    g_autofree char *got = NULL;

    client_wait(w->c, id, "concluded");
    got = client_job_error(w->c, id);
    g_assert_cmpstr(got, ==, error);
    client_ok(w->c, "{'execute':'job-dismiss','arguments':{'id':'%s'}}", id);
}

static void wait_status(World *w, const char *id, const char *want)
{
    for (;;) {
        g_autofree char *now = client_status(w->c, id);

        if (!strcmp(now, want)) {
            return;
        }
        g_assert_cmpstr(now, !=, "concluded");
        loop_step(w->loop, true);
    }
}

/* The quick one waits for the slow one; one finalize means both. */
static void test_grouped(void)
{
    World w;
    Blk *b;

    backups_open(&w, false);
    b = use(&w, "a");
    put(b, 0, SIZE, 7);
    client_ok(w.c, GROUPED(BACKUP("x", "a", "t", ",'auto-finalize':false,'speed':1"), BACKUP("y", "b", "u", ",'auto-finalize':false")));
    wait_status(&w, "y", "waiting");
    {
        g_autofree char *x = client_status(w.c, "x");
        g_assert_cmpstr(x, ==, "running");
    }
    client_ok(w.c, "{'execute':'block-job-set-speed','arguments':{'device':'x','speed':0}}");
    wait_status(&w, "x", "pending");
    wait_status(&w, "y", "pending");
    client_ok(w.c, "{'execute':'job-finalize','arguments':{'id':'y'}}");
    end_is(&w, "x", NULL);
    end_is(&w, "y", NULL);
    world_close(&w);
}

static void test_grouped_failure(void)
{
    World w;
    Blk *b;

    backups_open(&w, true);
    b = use(&w, "b");
    put(b, 0, SIZE, 7);
    client_ok(w.c, GROUPED(BACKUP("x", "a", "t", ""), BACKUP("y", "b", "u", "")));
    end_is(&w, "x", "Operation canceled");
    end_is(&w, "y", "No space left on device");
    client_ok(w.c, "{'execute':'transaction','arguments':{'actions':[" BACKUP("x", "a", "t", "") "," BACKUP("y", "b", "u", "") "]}}");
    end_is(&w, "x", NULL);
    end_is(&w, "y", "No space left on device");
    world_close(&w);
}

static void test_grouped_cancel(void)
{
    World w;
    Blk *b;

    backups_open(&w, false);
    b = use(&w, "a");
    put(b, 0, SIZE, 7);
    client_ok(w.c, GROUPED(BACKUP("x", "a", "t", ",'speed':1"), BACKUP("y", "b", "u", "")));
    wait_status(&w, "y", "waiting");
    client_ok(w.c, "{'execute':'job-cancel','arguments':{'id':'y'}}");
    end_is(&w, "x", "Operation canceled");
    end_is(&w, "y", "Operation canceled");
    /* the same of one that waits for its finalize */
    client_ok(w.c, GROUPED(BACKUP("x", "a", "t", ",'auto-finalize':false"), BACKUP("y", "b", "u", ",'auto-finalize':false")));
    wait_status(&w, "x", "pending");
    wait_status(&w, "y", "pending");
    client_ok(w.c, "{'execute':'job-cancel','arguments':{'id':'x'}}");
    end_is(&w, "x", "Operation canceled");
    end_is(&w, "y", "Operation canceled");
    /* and of one whose transaction fails before it begins */
    client_refused(w.c, "Transaction aborted using Abort action", GROUPED(BACKUP("x", "a", "t", ""), "{'type':'abort','data':{}}"));
    world_close(&w);
}

/* ---- snapshots inside ---- */

static unsigned snapshots(World *w, const char *node)
{
    BlkNode *n = blk_node_find(w->s, node);
    g_autoptr(GPtrArray) list = n->drv->image->snapshot_list(n);

    return list->len;
}

static void test_internal(void)
{
    g_autoptr(Json) gone = NULL;
    World w;
    Blk *b;

    world_open(&w);
    make(&w, "a");
    add(&w, "a", "a");
    client_ok(w.c, "{'execute':'blockdev-add','arguments':{'driver':'null-co','node-name':'n'}}");
    b = use(&w, "a");
    put(b, 0, SIZE, 1);
    client_ok(w.c, "{'execute':'blockdev-snapshot-internal-sync','arguments':{'device':'a','name':'s1'}}");
    client_refused(w.c, "Snapshot with name 's1' already exists on device 'a'", "{'execute':'blockdev-snapshot-internal-sync','arguments':{'device':'a','name':'s1'}}");
    client_refused(w.c, "Name is empty", "{'execute':'blockdev-snapshot-internal-sync','arguments':{'device':'a','name':''}}");
    client_refused(w.c, "Block format 'null-co' used by device 'n' does not support internal snapshots",
                   "{'execute':'blockdev-snapshot-internal-sync','arguments':{'device':'n','name':'s'}}");
    client_refused(w.c, "Transaction aborted using Abort action", "{'execute':'transaction','arguments':{'actions':["
                   "{'type':'blockdev-snapshot-internal-sync','data':{'device':'a','name':'s2'}},{'type':'abort','data':{}}]}}");
    g_assert_cmpuint(snapshots(&w, "a"), ==, 1);
    put(b, 0, SIZE, 2);
    client_refused(w.c, "Name or id must be provided", "{'execute':'blockdev-snapshot-delete-internal-sync','arguments':{'device':'a'}}");
    client_refused(w.c, "Snapshot with id '77' and name 's1' does not exist on device 'a'",
                   "{'execute':'blockdev-snapshot-delete-internal-sync','arguments':{'device':'a','name':'s1','id':'77'}}");
    gone = client_ask(w.c, "{'execute':'blockdev-snapshot-delete-internal-sync','arguments':{'device':'a','name':'s1'}}");
    g_assert_cmpstr(json_get_string(gone, "name"), ==, "s1");
    g_assert_cmpstr(json_get_string(gone, "id"), ==, "1");
    g_assert_cmpuint(snapshots(&w, "a"), ==, 0);
    expect(b, 0, SIZE, 2);
    world_close(&w);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/states/events", test_events);
    g_test_add_func("/states/create", test_create);
    g_test_add_func("/states/texts", test_texts);
    g_test_add_func("/states/busy", test_busy);
    g_test_add_func("/states/errors", test_errors);
    g_test_add_data_func("/states/below/qcow2", "qcow2", test_below);
    g_test_add_data_func("/states/below/vdi", "vdi", test_below);
    g_test_add_data_func("/states/below/vmdk", "vmdk", test_below);
    g_test_add_data_func("/states/below/qed", "qed", test_below);
    g_test_add_func("/states/report", test_report);
    g_test_add_func("/states/bitmaps", test_bitmaps);
    g_test_add_func("/states/persistent", test_persistent);
    g_test_add_func("/states/incremental", test_incremental);
    g_test_add_func("/states/reopen", test_reopen);
    g_test_add_func("/states/reopen-direct", test_reopen_direct);
    g_test_add_func("/states/reopen-atomic", test_reopen_atomic);
    g_test_add_func("/states/grouped", test_grouped);
    g_test_add_func("/states/grouped-failure", test_grouped_failure);
    g_test_add_func("/states/grouped-cancel", test_grouped_cancel);
    g_test_add_func("/states/internal", test_internal);
    return g_test_run();
}
