/* SPDX-License-Identifier: MIT */
#include "io/object.h"

#include <string.h>

ROWS_DECLARE(session_objects, SessionObject);

static const OptKey object_keys[] = {
    { "qom-type", OPT_STRING, .must = true, .help = "type" }, { "id", OPT_ID, .must = true, .help = "name" }, {}
};
const OptGroup object_group = { .name = "object", .implied = "qom-type", .select = "qom-type", .keys = object_keys };
OPT_GROUP(object_group);

const SessionObject *session_object_type(const char *name)
{
    const OptVariant *v = options_variant(&object_group, name);

    ROWS_FOREACH(session_objects, SessionObject, t) {
        if (v && !strcmp(t->name, v->name)) {
            return t;
        }
    }
    return NULL;
}

bool session_object_add(Session *s, const Json *opts, Error **errp)
{
    const char *name = json_get_string(opts, "qom-type");
    const SessionObject *t = session_object_type(name);

    return t ? t->create(s, json_get_string(opts, "id"), opts, errp) : error_set(errp, "invalid object type: %s", name);
}

bool session_object_parse(Session *s, const char *text, Error **errp)
{
    g_autoptr(Json) o = options_parse(&object_group, text, errp);

    return o && session_object_add(s, o, errp);
}

bool session_object_del(Session *s, const char *id, Error **errp)
{
    const SessionKind *kind = NULL;

    session_find(s, "object", id, &kind);
    ROWS_FOREACH(session_objects, SessionObject, t) {
        if (kind && t->kind == kind) {
            if (t->deletable && !t->deletable(session_get(s, kind, id), id, errp)) {
                return false;
            }
            session_destroy(s, kind, id);
            return true;
        }
    }
    return error_set(errp, kind ? "object '%s' is in use, can not be deleted" : "object '%s' not found", id);
}
