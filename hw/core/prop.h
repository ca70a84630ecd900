/* SPDX-License-Identifier: MIT */
/*
 * Property tables: the settings of devices, machines and CPUs.
 *
 * One row gives parsing, range check, default, `X,help`, and the value's place
 * in the object.  Values come as text (command line, -global, machine
 * versions); JSON values are turned to text by the caller.  Later settings
 * override earlier ones.  The rows are const and hold no state.
 */
#ifndef HW_CORE_PROP_H
#define HW_CORE_PROP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

#include "util/error.h"

typedef struct Prop Prop;

/* How a kind of value is read and shown.  Other subsystems add kinds (PCI addresses, drives). */
typedef struct PropType {
    const char *name;           /* "uint32", "bool", "str", "drive" ...: what help prints in <> */
    bool (*parse)(void *obj, const Prop *p, const char *text, Error **errp);
    char *(*print)(void *obj, const Prop *p);
    void (*set_default)(void *obj, const Prop *p);
    void (*release)(void *obj, const Prop *p);
} PropType;

struct Prop {
    const char *name;
    const PropType *type;
    uint32_t offset;
    uint64_t def;
    const char *def_text;       /* strings; NULL: none */
    uint64_t min, max;          /* numbers; max 0: that of the type */
    const char *const *values;  /* enums: NULL-terminated, index is the value */
    unsigned bit;               /* PROP_BIT */
    const char *help;
    bool (*changed)(void *obj, const Prop *p, Error **errp);    /* after a successful parse */
};

extern const PropType prop_bool, prop_u8, prop_u16, prop_u32, prop_u64, prop_i32, prop_i64, prop_size, prop_str, prop_enum,
                      prop_bit32, prop_bit64, prop_onoffauto;

typedef enum { PROP_AUTO, PROP_ON, PROP_OFF } OnOffAuto;

#define PROP_FIELD(n, S, f, t, T, ...) \
    { .name = n, .type = &(t), .offset = offsetof(S, f) + 0 * sizeof(char[1 - 2 * !__builtin_types_compatible_p(__typeof__(((S *)0)->f), T)]), __VA_ARGS__ }
#define PROP_BOOL(n, S, f, d, ...) PROP_FIELD(n, S, f, prop_bool, bool, .def = d, __VA_ARGS__)
#define PROP_U8(n, S, f, d, ...)   PROP_FIELD(n, S, f, prop_u8, uint8_t, .def = d, __VA_ARGS__)
#define PROP_U16(n, S, f, d, ...)  PROP_FIELD(n, S, f, prop_u16, uint16_t, .def = d, __VA_ARGS__)
#define PROP_U32(n, S, f, d, ...)  PROP_FIELD(n, S, f, prop_u32, uint32_t, .def = d, __VA_ARGS__)
#define PROP_U64(n, S, f, d, ...)  PROP_FIELD(n, S, f, prop_u64, uint64_t, .def = d, __VA_ARGS__)
#define PROP_I32(n, S, f, d, ...)  PROP_FIELD(n, S, f, prop_i32, int32_t, .def = (uint64_t)(d), __VA_ARGS__)
#define PROP_I64(n, S, f, d, ...)  PROP_FIELD(n, S, f, prop_i64, int64_t, .def = (uint64_t)(d), __VA_ARGS__)
#define PROP_SIZE(n, S, f, d, ...) PROP_FIELD(n, S, f, prop_size, uint64_t, .def = d, __VA_ARGS__)     /* 4k, 1G */
#define PROP_STR(n, S, f, d, ...)  PROP_FIELD(n, S, f, prop_str, char *, .def_text = d, __VA_ARGS__)   /* owned by the object */
#define PROP_ENUM(n, S, f, d, vals, ...) PROP_FIELD(n, S, f, prop_enum, uint32_t, .def = d, .values = vals, __VA_ARGS__)
#define PROP_AUTO_ONOFF(n, S, f, d, ...) PROP_FIELD(n, S, f, prop_onoffauto, uint32_t, .def = d, __VA_ARGS__)
#define PROP_BIT32(n, S, f, b, d, ...) PROP_FIELD(n, S, f, prop_bit32, uint32_t, .bit = b, .def = d, __VA_ARGS__)
#define PROP_BIT64(n, S, f, b, d, ...) PROP_FIELD(n, S, f, prop_bit64, uint64_t, .bit = b, .def = d, __VA_ARGS__)

const Prop *prop_find(const Prop *table, const char *name);     /* '_' and '-' are the same; NULL table is empty */
/* "Property 'OWNER.NAME' not found" with the nearest of the table and the way to the list (`help`); false. */
bool prop_unknown(const Prop *table, const char *owner, const char *name, const char *help, Error **errp);
void props_set_defaults(const Prop *table, void *obj);
bool prop_set(void *obj, const Prop *p, const char *text, Error **errp);
char *prop_get(void *obj, const Prop *p);
void props_release(const Prop *table, void *obj);
/* Lines "  name=<type>   - help (default: x)", sorted. */
void props_help(const Prop *table, GString *out);

#endif
