/* SPDX-License-Identifier: MIT */
/*
 * A fuzz target is one function in tests/AREA/fuzz-NAME.c, linked with
 * tests/fuzz/driver.c, or in a build with -Dfuzzer=true with tests/fuzz/guided.c
 * and clang's libFuzzer.  It must not keep state.  A target may bring a mutator
 * of its own; the driver is there for it.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Changes an input in place and returns its new length, at most `max`. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) __attribute__((weak));
/* The driver's own, for a mutator to use. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

#endif
