/* SPDX-License-Identifier: MIT */
/* Commands on dirty bitmaps, each an action of a transaction too. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/bitmap.h"
#include "block/image.h"
#include "block/transaction.h"

typedef struct {
    Action a;
    BlkNode *node;
    BlkBitmap *bitmap;              /* made, or worked on */
    BlkBitmap *before;              /* its bits, for the way back */
    bool was_enabled;
} BitmapAction;

/* ---- finding ---- */

static BlkBitmap *find_named(Session *s, const char *node, const char *name, BlkNode **n, Error **errp)
{
    BlkBitmap *b;

    *n = cmd_node(s, node, node, errp);
    b = *n ? blk_bitmap_find(*n, name) : NULL;
    if (*n && !b) {
        error_set(errp, "Dirty bitmap '%s' not found", name);
    }
    return b;
}

static bool usable(const BlkBitmap *b, bool even_inconsistent, Error **errp)
{
    if (b->busy) {
        return error_set(errp, "Bitmap '%s' is currently in use by another operation and cannot be used", b->name);
    }
    if (b->inconsistent && !even_inconsistent) {
        error_set(errp, "Bitmap '%s' is inconsistent and cannot be used", b->name);
        return error_hint(errp, "Try block-dirty-bitmap-remove to delete this bitmap from disk");
    }
    return true;
}

static bool take(Action *a, Error **errp)
{
    BitmapAction *s = (BitmapAction *)a;

    s->bitmap = find_named(a->session, json_get_string(a->args, "node"), json_get_string(a->args, "name"), &s->node, errp);
    return s->bitmap && usable(s->bitmap, false, errp);
}

#define NODE_KEYS { "node", OPT_STRING, .must = true }, { "name", OPT_STRING, .must = true }
static const OptKey node_keys[] = { NODE_KEYS, {} };

#define BITMAP_COMMAND(word, name_, keys_) \
    static bool word##_run(MonCall *call, Error **errp) \
    { \
        return action_run(call, name_, errp); \
    } \
    COMMAND(word##_command, .qmp = name_, .keys = keys_, .waits = true, .run = word##_run)

/* ---- add ---- */

bool blk_bitmap_make_persistent(BlkBitmap *b, Error **errp)
{
    const BlkImageOps *ops = b->node->drv->image;

    if (!ops || !ops->bitmap_can_store) {
        return error_set_errno(errp, ENOTSUP, "Can't store persistent bitmaps to %s", b->node->name);
    }
    if (b->node->read_only) {
        return error_set(errp, "Can't store persistent bitmaps to %s: it is read-only", b->node->name);
    }
    b->persistent = ops->bitmap_can_store(b->node, b->name, errp);
    return b->persistent;
}

static bool add_prepare(Action *a, Error **errp)
{
    BitmapAction *s = (BitmapAction *)a;
    const char *node = json_get_string(a->args, "node"), *name = json_get_string(a->args, "name");

    if (!*name) {
        return error_set(errp, "Bitmap name cannot be empty");
    }
    s->node = cmd_node(a->session, node, node, errp);
    s->bitmap = s->node ? blk_bitmap_new(s->node, name, json_get_u64(a->args, "granularity", 0), errp) : NULL;
    if (!s->bitmap) {
        return false;
    }
    s->bitmap->enabled = !json_get_bool(a->args, "disabled", false);
    if (json_get_bool(a->args, "persistent", false) && !blk_bitmap_make_persistent(s->bitmap, errp)) {
        g_clear_pointer(&s->bitmap, blk_bitmap_free);
        return false;
    }
    return true;
}

static void add_abort(Action *a)
{
    blk_bitmap_free(((BitmapAction *)a)->bitmap);
}
static const OptKey add_keys[] = { NODE_KEYS, { "granularity", OPT_SIZE }, { "persistent", OPT_BOOL }, { "disabled", OPT_BOOL }, {} };
static const ActionKind add_action = { .name = "block-dirty-bitmap-add", .keys = add_keys, .size = sizeof(BitmapAction), .prepare = add_prepare, .abort = add_abort };
ACTION_KIND(add_action);
BITMAP_COMMAND(add, "block-dirty-bitmap-add", add_keys);

/* ---- remove: from the image only when all else has gone well ---- */

static bool remove_prepare(Action *a, Error **errp)
{
    BitmapAction *s = (BitmapAction *)a;

    s->bitmap = find_named(a->session, json_get_string(a->args, "node"), json_get_string(a->args, "name"), &s->node, errp);
    if (!s->bitmap || !usable(s->bitmap, true, errp)) {
        return false;
    }
    return !s->bitmap->stored || !s->node->read_only || error_set(errp, "Bitmap '%s' is readonly and cannot be modified", s->bitmap->name);
}

static void remove_commit(Action *a)
{
    BitmapAction *s = (BitmapAction *)a;

    if (s->bitmap->stored) {
        s->node->drv->image->bitmap_remove(s->node, s->bitmap->name, NULL);     /* else it stays there, marked as in use */
    }
    blk_bitmap_free(s->bitmap);
}
static const ActionKind remove_action = {
    .name = "block-dirty-bitmap-remove", .keys = node_keys, .size = sizeof(BitmapAction), .prepare = remove_prepare, .commit = remove_commit,
};
ACTION_KIND(remove_action);
BITMAP_COMMAND(remove, "block-dirty-bitmap-remove", node_keys);

/* ---- clear ---- */

static void keep_bits(BitmapAction *s)
{
    s->before = blk_bitmap_alloc(s->bitmap->size, blk_bitmap_granularity(s->bitmap));
    blk_bitmap_merge(s->before, s->bitmap);
}

static void bits_abort(Action *a)
{
    BitmapAction *s = (BitmapAction *)a;

    blk_bitmap_clear_all(s->bitmap);
    blk_bitmap_merge(s->bitmap, s->before);
}

static void bits_clean(Action *a)
{
    blk_bitmap_free(((BitmapAction *)a)->before);
}

static bool clear_prepare(Action *a, Error **errp)
{
    BitmapAction *s = (BitmapAction *)a;

    if (!take(a, errp)) {
        return false;
    }
    keep_bits(s);
    blk_bitmap_clear_all(s->bitmap);
    return true;
}
static const ActionKind clear_action = {
    .name = "block-dirty-bitmap-clear", .keys = node_keys, .size = sizeof(BitmapAction), .prepare = clear_prepare, .abort = bits_abort, .clean = bits_clean,
};
ACTION_KIND(clear_action);
BITMAP_COMMAND(clear, "block-dirty-bitmap-clear", node_keys);

/* ---- enable, disable ---- */

static bool switch_to(Action *a, bool on, Error **errp)
{
    BitmapAction *s = (BitmapAction *)a;

    if (!take(a, errp)) {
        return false;
    }
    s->was_enabled = s->bitmap->enabled;
    s->bitmap->enabled = on;
    return true;
}

static bool enable_prepare(Action *a, Error **errp)
{
    return switch_to(a, true, errp);
}

static bool disable_prepare(Action *a, Error **errp)
{
    return switch_to(a, false, errp);
}

static void switch_abort(Action *a)
{
    BitmapAction *s = (BitmapAction *)a;

    s->bitmap->enabled = s->was_enabled;
}
static const ActionKind enable_action = {
    .name = "block-dirty-bitmap-enable", .keys = node_keys, .size = sizeof(BitmapAction), .prepare = enable_prepare, .abort = switch_abort,
};
static const ActionKind disable_action = {
    .name = "block-dirty-bitmap-disable", .keys = node_keys, .size = sizeof(BitmapAction), .prepare = disable_prepare, .abort = switch_abort,
};
ACTION_KIND(enable_action);
ACTION_KIND(disable_action);
BITMAP_COMMAND(enable, "block-dirty-bitmap-enable", node_keys);
BITMAP_COMMAND(disable, "block-dirty-bitmap-disable", node_keys);

/* ---- merge ---- */

static BlkBitmap *source_of(Action *a, BlkNode *target, const Json *one, Error **errp)
{
    const char *name = json_as_string(one) ? json_as_string(one) : json_get_string(one, "name"), *node = json_as_string(one) ? NULL : json_get_string(one, "node");
    BlkNode *n = target;
    BlkBitmap *b;

    if (!name || (!json_as_string(one) && !node)) {
        error_set(errp, "Invalid parameter type for 'bitmaps', expected: string or {\"node\", \"name\"}");
        return NULL;
    }
    b = node ? find_named(a->session, node, name, &n, errp) : blk_bitmap_find(target, name);
    if (!b && !node) {
        error_set(errp, "Dirty bitmap '%s' not found", name);
    }
    return b;
}

static bool merge_prepare(Action *a, Error **errp)
{
    BitmapAction *s = (BitmapAction *)a;
    const char *node = json_get_string(a->args, "node");
    Json *list = json_get(a->args, "bitmaps");

    s->bitmap = find_named(a->session, node, json_get_string(a->args, "target"), &s->node, errp);
    if (!s->bitmap || !usable(s->bitmap, false, errp)) {
        return false;
    }
    keep_bits(s);
    for (unsigned i = 0; i < json_size(list); i++) {
        BlkBitmap *from = source_of(a, s->node, json_at(list, i), errp);

        if (!from || !usable(from, false, errp) || (from->size != s->bitmap->size && !error_set(errp, "Bitmaps are of different sizes (destination size is %" PRIu64
            ", source size is %" PRIu64 ") and can't be merged", s->bitmap->size, from->size))) {
            bits_abort(a);
            return false;
        }
        blk_bitmap_merge(s->bitmap, from);
    }
    return true;
}
static const OptKey merge_keys[] = { { "node", OPT_STRING, .must = true }, { "target", OPT_STRING, .must = true }, { "bitmaps", OPT_ANY, .many = true, .must = true }, {} };
static const ActionKind merge_action = {
    .name = "block-dirty-bitmap-merge", .keys = merge_keys, .size = sizeof(BitmapAction), .prepare = merge_prepare, .abort = bits_abort, .clean = bits_clean,
};
ACTION_KIND(merge_action);
BITMAP_COMMAND(merge, "block-dirty-bitmap-merge", merge_keys);
