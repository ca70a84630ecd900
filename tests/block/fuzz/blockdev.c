/* SPDX-License-Identifier: MIT */
/*
 * Any text behind -blockdev: refused with a message, or a node that can be
 * read.  What would open something of the host is left out.
 */
#include <stdlib.h>
#include <string.h>

#include "block/drive.h"
#include "block/driver.h"
#include "tests/fuzz/fuzz.h"

static const char *const outside[] = { "file", "host_device", "host_cdrom", "nbd", "ssh", "http", "https", "ftp", "ftps", "vvfat", "fat", "iscsi" };

static bool names_outside(const char *text)
{
    bool found = strpbrk(text, "/:");

    for (unsigned i = 0; i < G_N_ELEMENTS(outside); i++) {
        found = found || !strcmp(text, outside[i]);
    }
    return found;
}

/* Any string of it, and a key that would be a file's name. */
static bool reaches_outside(const Json *j)
{
    if (json_is(j, JSON_STRING)) {
        return names_outside(json_as_string(j));
    }
    if (!json_is(j, JSON_OBJECT) && !json_is(j, JSON_ARRAY)) {
        return false;
    }
    for (unsigned i = 0; i < json_size(j); i++) {
        if ((json_is(j, JSON_OBJECT) && strstr(json_key_at(j, i), "filename")) || reaches_outside(json_at(j, i))) {
            return true;
        }
    }
    return false;
}

static bool harmless(const char *text)
{
    g_autoptr(Json) j = json_parse(text, strlen(text), NULL);

    if (j) {
        return !reaches_outside(j);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(outside); i++) {
        g_autofree char *driver = g_strconcat("=", outside[i], NULL);

        if (strstr(text, driver)) {
            return false;
        }
    }
    return !strpbrk(text, "/:") && !strstr(text, "filename");
}

static void use(BlkNode *n, Session *s)
{
    Blk *b = blk_new(s, NULL, BLK_PERM_READ, BLK_PERM_ALL, NULL);
    uint8_t buf[512];
    BlkExtent e;

    if (b && blk_insert(b, n, NULL) && blk_size(b) >= sizeof(buf)) {
        blk_read(b, blk_size(b) - sizeof(buf), buf, sizeof(buf), 0);
        blk_status(b, 0, sizeof(buf), true, &e);
    }
    blk_free(b);
}

static void take_last(BlkNode *n, void *opaque)
{
    *(BlkNode **)opaque = n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    Error *err = NULL;
    Session *s;
    Loop *loop;
    BlkNode *n = NULL;
    bool ok;

    if (!harmless(text)) {
        return 0;
    }
    loop = loop_new("fuzz");
    loop_attach(loop);
    s = session_new();
    if (!blockdev_add(s, "null-co,node-name=b,size=1M,read-zeroes=on", NULL)) {
        abort();
    }
    ok = blockdev_add(s, text, &err);
    if (!ok != !!err) {
        abort();
    }
    blk_nodes_foreach(s, take_last, &n);
    use(n, s);
    error_free(err);
    session_free(s);
    loop_attach(NULL);
    loop_free(loop);
    return 0;
}
