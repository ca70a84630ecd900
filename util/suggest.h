/* SPDX-License-Identifier: MIT */
/*
 * "Did you mean": the nearest names to one that is not there.
 *
 * Distance is that of Damerau and Levenshtein (insert, drop, change, swap
 * neighbours); '-' and '_' count as the same letter, case does not count.
 * A name that begins with what was typed is near too.
 */
#ifndef UTIL_SUGGEST_H
#define UTIL_SUGGEST_H

#include <glib.h>

#include "util/error.h"

typedef struct Suggest Suggest;

Suggest *suggest_new(const char *typed);
/* Offer a candidate; the string must outlive the Suggest. */
void suggest_add(Suggest *s, const char *name);
/* "'virtio-net-pci' or 'virtio-rng-pci'" (at most three, nearest first), NULL when nothing is near.  Frees s. */
char *suggest_text(Suggest *s);
/* Put "did you mean ...?" under the error; `help` (may be NULL) names the way to the list.  Frees s; returns false. */
bool suggest_hint(Suggest *s, const char *help, Error **errp);

#endif
