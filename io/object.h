/* SPDX-License-Identifier: MIT */
/*
 * -object TYPE,id=ID,...: things of a session that need no machine: secrets,
 * TLS credentials, lists of who may.  A type is a row, so that programs have
 * those that they link; its options are the OptVariant of group "object" with
 * the same name.  Machines have more types of their own (system/objects.h).
 */
#ifndef IO_OBJECT_H
#define IO_OBJECT_H

#include "io/session.h"
#include "util/json.h"
#include "util/lsection.h"
#include "util/options.h"

typedef struct SessionObject {
    const char *name;
    bool (*create)(Session *s, const char *id, const Json *opts, Error **errp);     /* adds it to the session, in space "object" */
    const SessionKind *kind;
    bool (*deletable)(void *object, const char *id, Error **errp);      /* NULL: always */
} SessionObject;
#define SESSION_OBJECT(row) ROW_IN_SECTION(session_objects, SessionObject, row)

extern const OptGroup object_group;     /* key "qom-type" is the type */

/* NULL when there is none of this name. */
const SessionObject *session_object_type(const char *name);
/* From checked options. */
bool session_object_add(Session *s, const Json *opts, Error **errp);
/* From what stands behind --object, text or JSON. */
bool session_object_parse(Session *s, const char *text, Error **errp);
/* object-del; "object 'x' not found". */
bool session_object_del(Session *s, const char *id, Error **errp);

#endif
