/* SPDX-License-Identifier: MIT */
#include "system/objects.h"

#include <string.h>

#include "hw/virtio/rng.h"
#include "io/command.h"
#include "io/object.h"

ROWS_DECLARE(object_types, ObjectType);

static bool create_one(System *s, const Json *o, Error **errp)
{
    const char *name = json_get_string(o, "qom-type");
    const OptVariant *v = options_variant(&object_group, name);

    ROWS_FOREACH(object_types, ObjectType, t) {
        if (v && !strcmp(t->name, v->name)) {
            return t->create(s, json_get_string(o, "id"), o, errp);
        }
    }
    if (v && session_object_type(v->name)) {
        return session_object_add(s->session, o, errp);
    }
    return error_set(errp, "Parameter 'qom-type' does not accept value '%s'", name);
}

static bool create(const CmdArg *a, void *data, Error **errp)
{
    return create_one(data, a->value, errp);
}

bool objects_open(System *s, Error **errp)
{
    return cmdline_each(s->cl, "object", create, s, errp);
}

/* ---- while it runs ---- */

static bool add_run(MonCall *call, Error **errp)
{
    g_autoptr(Json) o = json_copy(call->args);

    return options_check(&object_group, o, errp) && create_one(call->system, o, errp);
}
static const OptKey add_keys[] = { { "qom-type", OPT_STRING, .must = true }, { "id", OPT_STRING, .must = true }, {} };
static const MonCommand add_command = { .qmp = "object-add", .keys = add_keys, .open = true, .run = add_run };
MON_COMMAND(add_command);

static bool del_run(MonCall *call, Error **errp)
{
    return session_object_del(call->session, json_get_string(call->args, "id"), errp);
}
static const OptKey del_keys[] = { { "id", OPT_STRING, .must = true }, {} };
static const MonCommand del_command = { .qmp = "object-del", .keys = del_keys, .run = del_run };
MON_COMMAND(del_command);

/* ---- random bytes ---- */

static bool create_rng(System *s, const char *id, const Json *opts, Error **errp)
{
    return rng_object_new(s->session, json_get_string(opts, "qom-type"), id, json_get_string(opts, "filename"), errp);
}

static const OptKey rng_random_keys[] = { { "filename", OPT_STRING, .def = "/dev/urandom" }, {} };
static const OptVariant rng_random = { .group = "object", .name = "rng-random", .help = "random bytes of the host's kernel", .keys = rng_random_keys };
static const OptVariant rng_builtin = { .group = "object", .name = "rng-builtin", .help = "random bytes of the host's kernel" };
static const ObjectType rng_random_type = { "rng-random", create_rng }, rng_builtin_type = { "rng-builtin", create_rng };
OPT_VARIANT(rng_random);
OPT_VARIANT(rng_builtin);
OBJECT_TYPE(rng_random_type);
OBJECT_TYPE(rng_builtin_type);

/* ---- how the guest's memory is made ---- */

typedef struct MemoryBackend {
    RamSpec spec;
    char *id, *path;
} MemoryBackend;

static void memory_destroy(void *object)
{
    MemoryBackend *b = object;

    g_free(b->id);
    g_free(b->path);
    g_free(b);
}

static const SessionKind memory_kind = { .name = "memory backend", .space = "object", .duplicate = "Duplicate ID '%s' for object", .destroy = memory_destroy };

static bool create_memory(System *s, const char *id, const Json *opts, Error **errp)
{
    const char *type = json_get_string(opts, "qom-type"), *path = json_get_string(opts, "mem-path");
    MemoryBackend *b;

    if (!strcmp(type, "memory-backend-file") && !path) {
        return error_set(errp, "Parameter 'mem-path' is missing");
    }
    b = g_new0(MemoryBackend, 1);
    b->id = g_strdup(id);
    b->path = g_strdup(path);
    b->spec = (RamSpec){
        .size = json_get_u64(opts, "size", 0), .path = b->path,
        .backing = path ? RAM_FILE : !strcmp(type, "memory-backend-memfd") ? RAM_MEMFD : RAM_ANON,
        .share = json_get_bool(opts, "share", !strcmp(type, "memory-backend-memfd")), .prealloc = json_get_bool(opts, "prealloc", false),
        .hugetlb = json_get_bool(opts, "hugetlb", false), .hugetlb_size = json_get_u64(opts, "hugetlbsize", 0),
        .readonly = json_get_bool(opts, "readonly", false), .nomerge = !json_get_bool(opts, "merge", true), .dump = json_get_bool(opts, "dump", true),
    };
    if (!session_add(s->session, &memory_kind, id, b, errp)) {
        memory_destroy(b);
        return false;
    }
    return true;
}

bool objects_memory(System *s, const char *id, RamSpec *spec, MachineConfig *config, Error **errp)
{
    const MemoryBackend *b = id ? session_get(s->session, &memory_kind, id) : NULL;

    if (!id) {
        return true;
    }
    if (!b) {
        return error_set(errp, "Memory backend '%s' not found", id);
    }
    if (config->ram_size && config->ram_size != b->spec.size) {
        return error_set(errp, "Machine memory size (-m) %" PRIu64 " does not match that of memory backend '%s', %" PRIu64, config->ram_size, id,
                         b->spec.size);
    }
    *spec = b->spec;
    config->ram_spec = spec;
    config->ram_size = b->spec.size;
    return true;
}

#define MEMORY_KEYS \
    { "size", OPT_SIZE, .must = true }, { "share", OPT_BOOL }, { "prealloc", OPT_BOOL, .def = "off" }, { "merge", OPT_BOOL, .def = "on" }, \
    { "dump", OPT_BOOL, .def = "on" }, { "prealloc-threads", OPT_NUMBER, .absent = "memory is taken by one thread" }, \
    { "policy", OPT_STRING, .absent = "use numactl" }, { "host-nodes", OPT_STRING, .absent = "use numactl" }
static const OptKey ram_keys[] = { MEMORY_KEYS, {} };
static const OptKey memfd_keys[] = { MEMORY_KEYS, { "hugetlb", OPT_BOOL, .def = "off" }, { "hugetlbsize", OPT_SIZE }, {} };
static const OptKey file_keys[] = { MEMORY_KEYS, { "mem-path", OPT_STRING, .help = "file or folder" }, { "readonly", OPT_BOOL, .def = "off" }, {} };
static const OptVariant ram_options = { .group = "object", .name = "memory-backend-ram", .help = "anonymous memory", .keys = ram_keys };
static const OptVariant memfd_options = { .group = "object", .name = "memory-backend-memfd", .help = "memory that others can map", .keys = memfd_keys };
static const OptVariant file_options = { .group = "object", .name = "memory-backend-file", .help = "memory that is a file", .keys = file_keys };
static const ObjectType ram_type = { "memory-backend-ram", create_memory }, memfd_type = { "memory-backend-memfd", create_memory },
                        file_type = { "memory-backend-file", create_memory };
OPT_VARIANT(ram_options);
OPT_VARIANT(memfd_options);
OPT_VARIANT(file_options);
OBJECT_TYPE(ram_type);
OBJECT_TYPE(memfd_type);
OBJECT_TYPE(file_type);

#define ABSENT(row, word, why) \
    static const OptVariant row = { .group = "object", .name = word, .absent = why, .open = true }; \
    OPT_VARIANT(row)
ABSENT(absent_dump, "filter-dump", "there are no network filters");
