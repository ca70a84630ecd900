/* SPDX-License-Identifier: MIT */
/* -drive and -blockdev as people write them. */
#include "block/drive.h"

#include <string.h>
#include <unistd.h>

#include "block/driver.h"
#include "block/image.h"

static Loop *loop;
static Session *session;
static char *path;
static const DriveBoard board = { .kind = DRIVE_VIRTIO, .max_devs = { [DRIVE_IDE] = 2 } };

static void setup(void)
{
    loop = loop_new("test");
    loop_attach(loop);
    session = session_new();
    g_assert_true(blk_create_file(session, path, 1 << 20, NULL, NULL));
}

static void teardown(void)
{
    session_free(session);
    loop_free(loop);
}

static Drive *add(const char *fmt, Error **errp)
{
    g_auto(GStrv) parts = g_strsplit(fmt, "@", -1);
    g_autofree char *text = g_strjoinv(path, parts);

    return drive_add(session, text, &board, false, errp);
}

static void test_places(void)
{
    Drive *a, *b, *c, *d, *e, *f;

    setup();
    a = add("file=@,format=raw,if=none,id=x,readonly=on", NULL);
    b = add("file=@,format=raw,file.locking=off,snapshot=off,cache=unsafe,read-only", NULL);
    c = add("file=@,format=raw,if=ide,index=3,media=cdrom", NULL);
    d = add("format=null-co,if=virtio,index=5", NULL);
    g_assert_nonnull(a);
    g_assert_true(a->kind == DRIVE_NONE && blk_find(session, "x") == a->blk && blk_read_only(a->blk));
    g_assert_nonnull(b);
    g_assert_true(drive_get(session, DRIVE_VIRTIO, 0, 0) == b);
    g_assert_nonnull(c);
    g_assert_true(c->bus == 1 && c->unit == 1 && c->cdrom);
    g_assert_cmpstr(blk_name(c->blk), ==, "ide1-cd1");
    g_assert_nonnull(d);
    e = add("driver=quorum,if=none,vote-threshold=2,children.0.driver=null-co,children.1.driver=null-co,children.1.size=1G,id=q", NULL);
    g_assert_true(e && blk_present(e->blk));
    f = add("driver=raw,if=none,id=empty", NULL);
    g_assert_true(f && !blk_present(f->blk));
    g_assert_true(drive_get_index(session, DRIVE_VIRTIO, 5) == d);
    g_assert_true(drive_of(session, d->blk) == d);
    g_assert_cmpuint(blk_size(a->blk), ==, 1 << 20);
    teardown();
}

static void test_errors(void)
{
    static const struct { const char *text, *message; } rows[] = {
        { "file=gone", "Could not open 'gone': No such file or directory" },
        { "file=@,format=nosuch", "Unknown driver 'nosuch'" },
        { "file=@,format=raw,if=nosuch", "unsupported bus type 'nosuch'" },
        { "file=@,format=raw,foo=1", "Block format 'raw' does not support the option 'foo'" },
        { "file=@,format=raw,cache=bad", "invalid cache option" },
        { "file=@,format=raw,aio=bad", "invalid aio option" },
        { "file=@,format=raw,media=tape", "'tape' invalid media" },
        { "file=@,format=raw,werror=bad", "'bad' invalid write error action" },
        { "file=nosuch://x/y", "Unknown protocol 'nosuch'" },
        { "file=@,format=raw,aio=native", "aio=native was specified, but it requires cache.direct=on, which was not specified." },
    };

    setup();
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Error) err = NULL;
        g_assert_null(add(rows[i].text, &err));
        g_assert_cmpstr(error_message(err), ==, rows[i].message);
    }
    {
        g_autoptr(Error) err = NULL, err2 = NULL;
        g_assert_nonnull(add("file=@,format=raw,index=0", NULL));
        g_assert_null(add("format=null-co,index=0", &err));
        g_assert_cmpstr(error_message(err), ==, "drive with bus=0, unit=0 (index=0) exists");
        g_assert_null(add("file=@,format=raw", &err2));
        g_assert_cmpstr(error_message(err2), ==, "Failed to get \"write\" lock");
    }
    teardown();
}

static void test_blockdev(void)
{
    static const struct { const char *text, *message; } rows[] = {
        { "driver=nosuch,node-name=a", "Parameter 'driver' does not accept value 'nosuch'" },
        { "driver=file,node-name=a", "Parameter 'filename' is missing" },
        { "driver=file,node-name=a,filename=gone", "Could not open 'gone': No such file or directory" },
        { "driver=raw,node-name=a,file=nosuch", "Cannot find device='nosuch' nor node-name='nosuch'" },
        { "driver=null-co", "'node-name' must be specified for the root node" },
        { "driver=null-co,node-name=1", "Invalid node-name: '1'" },
        { "driver=null-co,node-name=d0", "Duplicate nodes with node-name='d0'" },
    };
    Blk *b;
    g_autofree char *text = NULL;

    setup();
    text = g_strdup_printf("driver=raw,node-name=d0,file.driver=file,file.filename=%s,cache.direct=off", path);
    g_assert_true(blockdev_add(session, text, NULL));
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Error) err = NULL;
        g_assert_false(blockdev_add(session, rows[i].text, &err));
        g_assert_cmpstr(error_message(err), ==, rows[i].message);
    }
    g_assert_true(blockdev_add(session, "{\"driver\": \"null-co\", \"node-name\": \"n1\", \"size\": 4096, \"read-only\": true}", NULL));
    b = drive_resolve(session, "n1", NULL);
    g_assert_true(b && blk_read_only(b) && blk_size(b) == 4096);
    b = drive_resolve(session, "d0", NULL);
    g_assert_true(b && !blk_read_only(b) && blk_size(b) == 1 << 20);
    g_assert_null(drive_resolve(session, "nosuch", NULL));
    teardown();
}

/* Writes go to the layer, and are gone with it. */
static void test_snapshot(void)
{
    char buf[512];
    Drive *d;

    if (!blk_driver_find("qcow2")) {
        g_test_skip("no qcow2");
        return;
    }
    setup();
    d = add("file=@,format=raw,snapshot=on", NULL);
    g_assert_nonnull(d);
    memset(buf, 'x', sizeof(buf));
    g_assert_cmpint(blk_write(d->blk, 1000, buf, sizeof(buf), 0), ==, 0);
    memset(buf, 0, sizeof(buf));
    g_assert_cmpint(blk_read(d->blk, 1000, buf, sizeof(buf), 0), ==, 0);
    g_assert_cmpint(buf[511], ==, 'x');
    session_free(session);
    session = session_new();
    d = add("file=@,format=raw,readonly=on", NULL);
    g_assert_cmpint(blk_read(d->blk, 1000, buf, sizeof(buf), 0), ==, 0);
    g_assert_cmpint(buf[511], ==, 0);
    teardown();
}

int main(int argc, char **argv)
{
    int r, fd;

    g_test_init(&argc, &argv, NULL);
    path = NULL;
    fd = g_file_open_tmp("drive-XXXXXX", &path, NULL);
    close(fd);
    g_test_add_func("/drive/places", test_places);
    g_test_add_func("/drive/errors", test_errors);
    g_test_add_func("/drive/blockdev", test_blockdev);
    g_test_add_func("/drive/snapshot", test_snapshot);
    r = g_test_run();
    unlink(path);
    return r;
}
