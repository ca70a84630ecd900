/* SPDX-License-Identifier: MIT */
/*
 * A fuzz target is one function in tests/AREA/fuzz-NAME.c, linked with
 * tests/fuzz/driver.c (or with clang's own).  It must not keep state.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
