/* SPDX-License-Identifier: MIT */
/* -object throttle-group: limits that disks and throttle nodes name. */
#include "block/throttle-keys.h"
#include "block/throttle.h"
#include "io/object.h"

static void destroy(void *object)
{
    throttle_group_unref(object);
}

static const SessionKind object_kind = {
    .name = "throttle-group", .space = "object", .duplicate = "attempt to add duplicate property '%s' to object (type 'container')", .destroy = destroy,
};

static bool create(Session *s, const char *id, const Json *opts, Error **errp)
{
    ThrottleConfig c;
    ThrottleGroup *g;

    throttle_config_init(&c);
    if (!throttle_config_read(&c, opts, "x-", false, errp) || !throttle_config_read(&c, json_get(opts, "limits"), "", false, errp) ||
        !throttle_config_check(&c, errp)) {
        return false;
    }
    if (session_get(s, &object_kind, id)) {
        return error_set(errp, object_kind.duplicate, id);
    }
    if (throttle_group_find(s, id)) {
        return error_set(errp, "A group with this name already exists");
    }
    g = throttle_group_get(s, id);
    throttle_group_set(g, &c);
    if (!session_add(s, &object_kind, id, g, errp)) {
        throttle_group_unref(g);
        return false;
    }
    return true;
}

static bool deletable(void *object, const char *id, Error **errp)
{
    return throttle_group_members(object) == 0 || error_set(errp, "Cannot delete throttle group '%s' with active references", id);
}

static const OptKey limits_keys[] = { THROTTLE_KEYS(""), {} };
static const OptGroup limits_group = { .name = "ThrottleLimits", .keys = limits_keys };
static const OptKey keys[] = { { "limits", OPT_TREE, "all of them", .sub = &limits_group }, THROTTLE_KEYS("x-"), {} };
static const OptVariant options = { .group = "object", .name = "throttle-group", .help = "limits that disks share", .keys = keys };
OPT_VARIANT(options);

static const SessionObject object = { .name = "throttle-group", .create = create, .kind = &object_kind, .deletable = deletable };
SESSION_OBJECT(object);
