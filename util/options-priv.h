/* SPDX-License-Identifier: MIT */
/* Shared by the files of the option schema: the table side and the text side. */
#ifndef UTIL_OPTIONS_PRIV_H
#define UTIL_OPTIONS_PRIV_H

#include "util/options.h"

/* A key of the group or its variant; aliases and '-' = '_' are followed. */
const OptKey *opt_key_find(const OptGroup *g, const OptVariant *v, const char *name);
/* Is the object checked against open tables? */
bool opt_is_open(const OptGroup *g, const OptVariant *v);
/* The variant that the object (or its absence) means; false: refused. */
bool opt_variant_of(const OptGroup *g, const Json *object, const OptVariant **v, Error **errp);
/* "Invalid parameter 'x'" with the nearest keys; false. */
bool opt_unknown_key(const OptGroup *g, const OptVariant *v, const char *name, Error **errp);
/* Text to the key's type; NULL on an error. */
Json *opt_value_from_text(const OptKey *k, const char *text, Error **errp);

#endif
