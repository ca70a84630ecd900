/* SPDX-License-Identifier: MIT */
/* Inputs that would open something of the host are left out. */
#ifndef TESTS_BLOCK_FUZZ_OUTSIDE_H
#define TESTS_BLOCK_FUZZ_OUTSIDE_H

#include "util/json.h"

/* Any string of it, or a key that would be a file's name. */
bool reaches_outside(const Json *j);
/* A text behind -blockdev, in both of its forms. */
bool text_reaches_outside(const char *text);

#endif
