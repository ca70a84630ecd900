/* SPDX-License-Identifier: MIT */
/* Commands on exports and the NBD server. */
#include <string.h>

#include "block/cmd-priv.h"
#include "block/export/export.h"

enum { CONNECTIONS = 100, HANDSHAKE_SECONDS = 10 };

EVENT(deleted_event, .name = "BLOCK_EXPORT_DELETED", .keys = (const OptKey[]){ { "id", OPT_STRING }, {} });

static void deleted(void *opaque, const char *id)
{
    Json *data = json_object();

    json_set_string(data, "id", id);
    qmp_event(opaque, "BLOCK_EXPORT_DELETED", data);
}

/* ---- exports ---- */

static void export_variants(void (*add)(void *opaque, const char *value, const OptKey *keys), void *opaque)
{
    export_types_foreach(add, opaque);
}

static bool add_run(MonCall *call, Error **errp)
{
    export_set_deleted(call->session, deleted, call->session);
    return export_add(call->session, call->args, errp) != NULL;
}
COMMAND(add_command, .qmp = "block-export-add", .keys = export_keys, .open = true, .waits = true, .run = add_run, .select = "type", .variants = export_variants);

static bool is_hard(const Json *args)
{
    const char *mode = json_get_string(args, "mode");

    return mode && !strcmp(mode, "hard");
}

static bool del_run(MonCall *call, Error **errp)
{
    return export_del(call->session, json_get_string(call->args, "id"), is_hard(call->args), errp);
}
static const OptKey del_keys[] = { { "id", OPT_STRING, .must = true }, { "mode", OPT_ENUM, .values = "safe|hard", .def = "safe" }, {} };
COMMAND(del_command, .qmp = "block-export-del", .keys = del_keys, .waits = true, .run = del_run);

static bool query_run(MonCall *call, Error **errp)
{
    call->ret = export_list(call->session);
    return true;
}
static const OptKey export_record[] = { { "id", OPT_STRING, .must = true }, { "type", OPT_STRING, .must = true }, { "node-name", OPT_STRING, .must = true }, { "shutting-down", OPT_BOOL, .must = true }, {} };
COMMAND(query_command, .qmp = "query-block-exports", .run = query_run, .ret = export_record, .ret_type = "[]");

/* ---- the NBD server ---- */

static bool start(Session *s, const SocketAddress *a, const NbdServerConfig *config, Error **errp)
{
    export_set_deleted(s, deleted, s);
    return nbd_server_start(s, a, config, errp);
}

static bool start_run(MonCall *call, Error **errp)
{
    return nbd_server_start_json(call->session, call->args, errp) && (export_set_deleted(call->session, deleted, call->session), true);
}
static const OptKey start_keys[] = {
    { "addr", OPT_ANY, .must = true }, { "tls-creds", OPT_STRING }, { "tls-authz", OPT_STRING }, { "max-connections", OPT_NUMBER, .max = UINT32_MAX }, { "handshake-max-seconds", OPT_NUMBER, .max = UINT32_MAX }, {}
};
COMMAND(start_command, .qmp = "nbd-server-start", .keys = start_keys, .waits = true, .run = start_run);

static bool stop_run(MonCall *call, Error **errp)
{
    return nbd_server_stop(call->session, errp);
}
COMMAND(stop_command, .name = "nbd_server_stop", .qmp = "nbd-server-stop", .help = "stop serving disks over NBD", .waits = true, .run = stop_run);

/* An export whose id is its name. */
static bool add_simple(Session *s, const char *device, const char *name, const Json *args, bool writable, Error **errp)
{
    g_autoptr(Json) o = json_object();
    const char *bitmap = json_get_string(args, "bitmap"), *text = json_get_string(args, "description");

    if (!nbd_server_get(s)) {
        return error_set(errp, "NBD server not running");
    }
    json_set_string(o, "type", "nbd");
    json_set_string(o, "id", name);
    json_set_string(o, "name", name);
    json_set_string(o, "node-name", device);
    json_set_bool(o, "writable", writable);
    if (text) {
        json_set_string(o, "description", text);
    }
    if (bitmap) {
        json_set(o, "bitmaps", json_array());
        json_append(json_get(o, "bitmaps"), json_string(bitmap));
    }
    return export_add(s, o, errp) != NULL;
}

static bool server_add_run(MonCall *call, Error **errp)
{
    const char *device = json_get_string(call->args, "device"), *name = json_get_string(call->args, "name");

    return add_simple(call->session, device, name ? name : device, call->args, json_get_bool(call->args, "writable", false), errp);
}
static const OptKey server_add_keys[] = {
    { "writable", OPT_BOOL, .alias = "w" }, { "device", OPT_STRING, .must = true }, { "name", OPT_STRING }, { "description", OPT_STRING }, { "bitmap", OPT_STRING }, {}
};
COMMAND(server_add_command, .name = "nbd_server_add", .qmp = "nbd-server-add", .keys = server_add_keys, .params = "[-w] device [name]", .help = "serve a disk over NBD", .waits = true,
        .run = server_add_run, .features = "deprecated");

static bool server_remove_run(MonCall *call, Error **errp)
{
    return export_del(call->session, json_get_string(call->args, "name"), json_get_bool(call->args, "force", false) || is_hard(call->args), errp);
}
static const OptKey server_remove_keys[] = { { "name", OPT_STRING, .must = true }, { "mode", OPT_ENUM, .values = "safe|hard", .def = "safe" }, {} };
COMMAND(server_remove_command, .qmp = "nbd-server-remove", .keys = server_remove_keys, .waits = true, .run = server_remove_run, .features = "deprecated");

static const OptKey hmp_remove_keys[] = { { "force", OPT_BOOL, .alias = "f" }, { "name", OPT_STRING, .must = true }, {} };
COMMAND(hmp_remove_command, .name = "nbd_server_remove", .keys = hmp_remove_keys, .params = "[-f] name", .help = "serve a disk no longer", .waits = true, .run = server_remove_run);

/* ---- for people: start, and all disks at once ---- */

typedef struct {
    Session *s;
    bool writable, ok;
    Error **errp;
} AddAll;

static void add_one(Blk *b, void *opaque)
{
    AddAll *a = opaque;

    if (a->ok && *blk_name(b) && blk_present(b)) {
        a->ok = add_simple(a->s, blk_name(b), blk_name(b), NULL, a->writable && !blk_read_only(b), a->errp);
    }
}

static bool hmp_start_run(MonCall *call, Error **errp)
{
    bool all = json_get_bool(call->args, "all", false), writable = json_get_bool(call->args, "writable", false);
    g_autoptr(SocketAddress) a = NULL;
    AddAll add = { call->session, writable, true, errp };

    if (writable && !all) {
        return error_set(errp, "-w only valid together with -a");
    }
    a = socket_address_parse(json_get_string(call->args, "uri"), errp);
    if (!a || !start(call->session, a, &(NbdServerConfig){ .max_connections = CONNECTIONS, .handshake_max = HANDSHAKE_SECONDS }, errp)) {
        return false;
    }
    if (all) {
        blks_foreach(call->session, add_one, &add);
        if (!add.ok) {
            nbd_server_stop(call->session, NULL);
        }
    }
    return add.ok;
}
static const OptKey hmp_start_keys[] = { { "all", OPT_BOOL, .alias = "a" }, { "writable", OPT_BOOL, .alias = "w" }, { "uri", OPT_STRING, .must = true }, {} };
COMMAND(hmp_start_command, .name = "nbd_server_start", .keys = hmp_start_keys, .params = "[-a] [-w] host:port", .help = "serve disks over NBD", .waits = true, .run = hmp_start_run);
