/* SPDX-License-Identifier: MIT */
/* -object: things with an id that belong to no machine. Types are rows, so a subsystem's file can add its own. */
#ifndef SYSTEM_OBJECTS_H
#define SYSTEM_OBJECTS_H

#include "system/system.h"
#include "util/lsection.h"

/* The options of a type are the OptVariant of group "object" with the same name. */
typedef struct ObjectType {
    const char *name;
    bool (*create)(System *s, const char *id, const Json *opts, Error **errp);
} ObjectType;
#define OBJECT_TYPE(row) ROW_IN_SECTION(object_types, ObjectType, row)

bool objects_open(System *s, Error **errp);
/* -machine memory-backend=ID: the guest's memory is made like that; NULL: nothing to do. */
bool objects_memory(System *s, const char *id, RamSpec *spec, MachineConfig *config, Error **errp);

#endif
