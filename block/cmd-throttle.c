/* SPDX-License-Identifier: MIT */
/* block_set_io_throttle: a disk's limits while it is used. */
#include "block/cmd-priv.h"
#include "block/throttle-keys.h"
#include "block/throttle.h"

static bool set_limits(MonCall *call, Blk *b, Error **errp)
{
    const char *group = json_get_string(call->args, "group");
    ThrottleConfig c;

    throttle_config_init(&c);
    if (!throttle_config_read(&c, call->args, "", true, errp) || !throttle_config_check(&c, errp)) {
        return false;
    }
    if (!group) {
        group = blk_throttle_group(b) ? blk_throttle_group(b) : *blk_name(b) ? blk_name(b) : blk_device(b);
    }
    blk_throttle(b, group ? group : "", throttle_config_on(&c) ? &c : NULL);
    return true;
}

static bool set_run(MonCall *call, Error **errp)
{
    Blk *b = cmd_blk(call->session, json_get_string(call->args, "device"), json_get_string(call->args, "id"), errp);

    if (b && !blk_node(b)) {
        return error_set(errp, "Device '%s' has no medium", blk_name(b));
    }
    return b && set_limits(call, b, errp);
}
#define LENGTH(name_) { name_ "_max_length", OPT_NUMBER, .negative = true }
static const OptKey set_keys[] = {
    { "device", OPT_STRING }, { "id", OPT_STRING }, THROTTLE_OLD_KEYS(true), { "group", OPT_STRING },
    LENGTH("bps"), LENGTH("bps_rd"), LENGTH("bps_wr"), LENGTH("iops"), LENGTH("iops_rd"), LENGTH("iops_wr"), {}
};
COMMAND(set_command, .qmp = "block_set_io_throttle", .keys = set_keys, .waits = true, .run = set_run);

/* A person gives the six averages, and an id of either kind. */
static bool human_run(MonCall *call, Error **errp)
{
    const char *name = json_get_string(call->args, "device");
    Blk *b = blk_find(call->session, name);

    b = b ? b : cmd_blk(call->session, NULL, name, errp);
    return b && set_limits(call, b, errp);
}
#define NUMBER(name_) { name_, OPT_NUMBER, .must = true, .negative = true }
static const OptKey human_keys[] = {
    { "device", OPT_STRING, .must = true }, NUMBER("bps"), NUMBER("bps_rd"), NUMBER("bps_wr"), NUMBER("iops"), NUMBER("iops_rd"), NUMBER("iops_wr"), {}
};
COMMAND(human_command, .name = "block_set_io_throttle", .params = "device bps bps_rd bps_wr iops iops_rd iops_wr",
        .help = "change I/O throttle limits for a block drive", .keys = human_keys, .waits = true, .run = human_run);
