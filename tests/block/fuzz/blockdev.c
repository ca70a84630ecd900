/* SPDX-License-Identifier: MIT */
/*
 * Any text behind -blockdev: refused with a message, or a node that can be
 * read.  What would open something of the host is left out.
 */
#include <stdlib.h>
#include <string.h>

#include "block/drive.h"
#include "block/driver.h"
#include "tests/block/fuzz/outside.h"
#include "tests/fuzz/fuzz.h"

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

    if (text_reaches_outside(text)) {
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
