/* SPDX-License-Identifier: MIT */
/* Words of the save file (stream.h has the layout). */
#ifndef MIGRATION_STREAM_PRIV_H
#define MIGRATION_STREAM_PRIV_H

#define SAVE_MAGIC "RHEASAVE"

enum {
    SECTION_STATE = 'D',
    SECTION_RAM = 'R',
    SECTION_END = 'E',
    RUN_MAX = 1 << 18,          /* pages in one run */
    NAME_MAX_BYTES = 1024,
};

#endif
