/* SPDX-License-Identifier: MIT */
/* null: nothing comes, everything goes. */
#include "chardev/chardev-priv.h"

static const OptVariant null_options = { .group = "chardev", .name = "null", .help = "no input, output is thrown away" };
OPT_VARIANT(null_options);

static bool null_open(Chardev *c, const Json *opts, Error **errp)
{
    c->open = true;
    return true;
}

static void null_close(Chardev *c)
{
}

static ssize_t null_write(Chardev *c, const uint8_t *buf, size_t len)
{
    return len;
}

static void null_update(Chardev *c)
{
}

static const CharType null_type = {
    .name = "null", .size = sizeof(Chardev), .open = null_open, .close = null_close, .write = null_write, .update = null_update,
};
CHAR_TYPE(null_type);
