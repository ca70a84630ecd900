/* SPDX-License-Identifier: MIT */
/* Small images of every format: made by the driver where it can, by hand from the specification where not. */
#ifndef TESTS_BLOCK_IMAGES_H
#define TESTS_BLOCK_IMAGES_H

#include "tests/block/memdisk.h"

typedef struct ImageRow {
    const char *format;
    char letter;                    /* of fuzz inputs */
    const char *options;            /* "a=b c=d" for create */
    uint64_t size;
    GByteArray *(*by_hand)(void);   /* NULL: created */
    const char *key;                /* option that names its secret; NULL: not encrypted */
    bool child;                     /* of a parent of its format, which is gone when it is opened */
    bool live;                      /* the bytes are those of a moment in use: marked dirty, its log not empty */
    bool packed;                    /* has whole compressed clusters */
    uint32_t meta;                  /* so many bytes of metadata, then a data file */
    uint32_t split;                 /* so many bytes of a descriptor, then its extent: in files of their own */
} ImageRow;
extern const ImageRow image_rows[]; /* ends with {} */

/* The image, with some data written: borrowed, made once.  Inside of a test with a loop attached. */
const GByteArray *image_good(const ImageRow *row);
const ImageRow *image_row(char letter);
/* A session with what the image needs; NULL: not in this build. */
Session *image_session(const ImageRow *row);
/* Rows that are split: the bytes of the disk in memory go to their files, from where image_open() takes them. */
void image_spill(const ImageRow *row);
/* Opens the row's format over the bytes of the disk in memory, with its secret. */
Blk *image_open(const ImageRow *row, Session *s, unsigned flags, Error **errp);
void images_free(void);
/* create()'s options from "a=b c=d". */
Json *image_options(const char *text, uint64_t size);

#endif
