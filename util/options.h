/* SPDX-License-Identifier: MIT */
/*
 * The schema of everything that people type.
 *
 * An OptGroup is a table of typed keys: one for -drive, one for -chardev, one
 * for a node's options.  From it come the parser, the checks of JSON input,
 * nearest-name offers, help text, man page and completion.  The result is
 * always one Json object in the table's types, whether it was typed as
 *
 *     user,id=n0,hostfwd=tcp::2222-:22,restrict=on       text
 *     {"type": "user", "id": "n0", "restrict": true}     JSON (begins with '{')
 *     [netdev "n0"] type = "user"                        a file of -readconfig
 *
 * Text rules: a first word without '=' is the value of the implied key; `,,`
 * is a comma; a bare `k` means k=on and `nok` means k=off where k is boolean;
 * '-' and '_' in key names are the same; dots build objects (file.driver=raw)
 * and lists (server.0.host=x).  A key given twice: the later wins, unless it
 * is `.many`.
 *
 * Groups with `.select` have variants: the value of that key picks one, which
 * adds its keys (-netdev user|tap, -chardev socket|file).  Variants are rows
 * in a linker section, given by the subsystem that implements them.
 *
 * Everything here is read-only data and pure functions.
 */
#ifndef UTIL_OPTIONS_H
#define UTIL_OPTIONS_H

#include "util/error.h"
#include "util/json.h"
#include "util/lsection.h"

typedef enum {
    OPT_STRING = 1,
    OPT_ID,             /* a name: letters, digits, '-', '.', '_', a letter first */
    OPT_NUMBER,         /* decimal, 0x, 0 */
    OPT_SIZE,           /* 512, 64k, 1.5G; a JSON integer counts bytes */
    OPT_BOOL,           /* on off yes no true false y n */
    OPT_ENUM,           /* one of .values */
    OPT_TREE,           /* an object (checked by .sub when given), or a string that names one */
    OPT_ANY,            /* whatever was given: text stays text, JSON stays as it is */
} OptType;

typedef struct OptGroup OptGroup;

typedef struct OptKey {
    const char *name;
    OptType type;
    const char *help;           /* a few words, no full stop */
    const char *values;         /* OPT_ENUM: "threads|native|io_uring" */
    const char *def;            /* what is meant when the key is absent; text for help only */
    const char *alias;          /* other spellings, "a|b"; read as name */
    const OptGroup *sub;        /* OPT_TREE: checks the object */
    uint64_t unit;              /* OPT_SIZE: what a bare number in text counts in; 0 is 1 */
    uint64_t max;               /* OPT_NUMBER, OPT_SIZE: 0 is no limit */
    bool negative;              /* OPT_NUMBER: below zero is fine */
    bool many;                  /* may come several times; the value is a list */
    bool must;                  /* "Parameter 'x' is missing" without it */
    const char *absent;         /* known and not in this program: the reason it is refused with */
} OptKey;

struct OptGroup {
    const char *name;           /* "drive": as in [drive "id"] */
    const char *help;
    const char *implied;        /* key of a first word without '='; NULL: none */
    const char *select;         /* key whose value picks a variant; NULL: none */
    const OptKey *keys;         /* ends with {} */
    bool open;                  /* other keys are kept as OPT_ANY: who knows them checks them */
    bool late;                  /* who takes the text parses it (file=x stands beside file.y=z): a command line passes it on as it is */
};

typedef struct OptVariant {
    const char *group;          /* OptGroup.name */
    const char *name;           /* value of the select key */
    const char *alias;          /* other spellings, "a|b" */
    const char *help;
    const OptKey *keys;         /* may be NULL */
    bool open;
    const char *absent;         /* known and not in this program */
} OptVariant;

/* File level: `static const OptVariant netdev_user = {...}; OPT_VARIANT(netdev_user);` and the same for groups. */
#define OPT_VARIANT(row) ROW_IN_SECTION(opt_variants, OptVariant, row)
#define OPT_GROUP(row) ROW_IN_SECTION(opt_groups, OptGroup, row)

/* A registered group; NULL when there is none. */
const OptGroup *options_group(const char *name);
/* Variants of a group, sorted by name, NULL at the end; caller frees the array. */
const OptVariant **options_variants(const OptGroup *g);
const OptVariant *options_variant(const OptGroup *g, const char *name);

/* Text or JSON to a checked object. */
Json *options_parse(const OptGroup *g, const char *text, Error **errp);
/* Check and normalise an object of JSON origin (QMP, -device {...}): aliases renamed, types as in the table. */
bool options_check(const OptGroup *g, Json *object, Error **errp);
/* The same for an object whose scalars are text (a tree from dotted keys). */
bool options_check_text(const OptGroup *g, Json *object, Error **errp);
/* Dotted keys of an object of JSON origin as the tree that they stand for ({"a.b": 1, "a": {"c": 2}} is {"a": {"b": 1, "c": 2}}); a new reference. */
Json *options_nest(const Json *object, Error **errp);
/* Later object over an earlier one of the same group (-machine a -machine b=c); .many lists grow. */
void options_merge(const OptGroup *g, Json *into, const Json *from);

/* Does the text ask for help ("help", "?", "user,help")?  *variant (may be NULL) gets the implied first word, if any; caller frees. */
bool options_wants_help(const OptGroup *g, const char *text, char **variant);
/* "GROUP options:" and one line a key: "  name=<type>          - help (default: x)".  Variant may be NULL.  Caller frees. */
char *options_help(const OptGroup *g, const OptVariant *v);
/* "str", "num", "bool (on/off)", "a|b". */
const char *options_type_text(const OptKey *k);

/* The comma rule by itself: splits at single commas, `,,` becomes one.  Free with g_strfreev. */
char **options_split(const char *text);
/* Letters, digits, '-', '.', '_', starting with a letter. */
bool options_id_ok(const char *id);
/* True if name is one of "a|b|c"; '-' and '_' are the same when `loose`. */
bool options_one_of(const char *list, const char *name, bool loose);

#endif
