/* SPDX-License-Identifier: MIT */
/*
 * Inputs of fuzz-formats: an image of a format, damaged, and what is done with it.
 *
 *   letter     of the format (tests/block/images.c)
 *   flags      IN_ bits
 *   n          low five bits: so many operations
 *   n times 4  code, a, b, c: image-ops.c
 *   the rest   by IN_KIND: a list of changes to a good image, or bytes that take
 *              the place of its first or last used ones, or a whole image
 *
 * The used bytes of an image are those of its sectors that are not all zeroes.
 * A change is 8 bytes: how (IN_CHANGE_), a place among the used bytes (16 bits, big
 * endian), a value (32 bits, little endian), a shift.
 */
#ifndef TESTS_BLOCK_FUZZ_IMAGE_INPUT_H
#define TESTS_BLOCK_FUZZ_IMAGE_INPUT_H

#include "tests/block/images.h"

enum { IN_SEAL = 1, IN_KIND = 6, IN_CHANGES = 0, IN_FIRST = 2, IN_LAST = 4, IN_WHOLE = 6, IN_LOOK = 8, IN_HEAD = 3, IN_OP = 4, IN_OPS_MAX = 31 };
enum { IN_CHANGE_WIDTH = 3, IN_CHANGE_BIG = 4, IN_CHANGE_MODE = 24, IN_CHANGE_SET = 0, IN_CHANGE_ADD = 8, IN_CHANGE_CUT = 16, IN_CHANGE_COPY = 24, IN_CHANGE = 8 };

typedef struct ImageInput {
    const ImageRow *row;
    uint8_t flags;
    const uint8_t *ops;
    unsigned n_ops;
    const uint8_t *body;
    size_t len;
} ImageInput;

/* false: names no format of this build. */
bool image_input_parse(const uint8_t *data, size_t size, ImageInput *in);
/* The disk in memory becomes that image. */
void image_input_load(const ImageInput *in);
/* After that: it names no file beside its own. */
bool image_input_stays(const ImageInput *in);
/* Places of the row's used sectors, in bytes; kept. */
const GArray *image_input_used(const ImageRow *row);

/* Checksums of the format, set right in place: what lies behind them is to be reached. */
void image_seal(const ImageRow *row, uint8_t *image, size_t len);
/* The operations leave an image without corruptions as one.  Not so when leaks that a failed request left are mended alone: what was shared is not any more, and its entries do not say so. */
bool image_ops_keep_flags(const ImageInput *in);
/* The operations, one after the other, on an image opened for writing (or reading); returns what is open at the end, or NULL. */
Blk *image_ops(const ImageInput *in, Session *s, Loop *loop, Blk *b);

#endif
