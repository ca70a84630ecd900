/* SPDX-License-Identifier: MIT */
/*
 * The save file: a header, sections, an end mark; all checksummed.
 *
 *   header    "RHEASAVE", format version u32, machine name (length u32, bytes), CRC-32C
 *   section   kind u32 ("D" state, "R" RAM, "E" end), name (device path or RAM
 *             id), payload length u64, CRC-32C of name and payload
 *   RAM       block size u64, then runs: first page u64, page count u32, data;
 *             pages of zeros are left out
 *
 * The reader maps or reads the whole file, checks every checksum and the end
 * mark before it says that the file is good, and only then hands out sections,
 * so that a truncated, foreign or corrupted one changes nothing.  Numbers are
 * little endian.  Any thread; the caller has parked the vCPUs.
 */
#ifndef MIGRATION_STREAM_H
#define MIGRATION_STREAM_H

#include "memory/memory.h"
#include "migration/state.h"

typedef struct SaveOut SaveOut;
typedef struct SaveIn SaveIn;

enum { SAVE_FORMAT_VERSION = 1 };

/* Writes to `PATH.part` and renames in save_out_finish(); save_out_abort() leaves nothing behind. */
SaveOut *save_out_new(const char *path, const char *machine, Error **errp);
SaveOut *save_out_new_fd(int fd, const char *machine, Error **errp);     /* a pipe or socket; not closed */
bool save_out_section(SaveOut *s, const char *name, const StateWriter *w, Error **errp);
bool save_out_object(SaveOut *s, const char *name, const StateTable *t, void *obj, Error **errp);
bool save_out_ram(SaveOut *s, RamBlock *b, Error **errp);
bool save_out_finish(SaveOut *s, Error **errp);         /* frees s either way */
void save_out_abort(SaveOut *s);

/* NULL when the file is not whole and sound. */
SaveIn *save_in_open(const char *path, Error **errp);
SaveIn *save_in_open_fd(int fd, Error **errp);
const char *save_in_machine(const SaveIn *s);
/* A section by name; NULL if there is none.  The reader belongs to the caller. */
StateReader *save_in_section(SaveIn *s, const char *name);
/* Names in file order; `ram` tells blocks from objects. */
void save_in_foreach(SaveIn *s, void (*fn)(const char *name, bool ram, void *data), void *data);
bool save_in_check_ram(SaveIn *s, RamBlock *b, Error **errp);   /* there, and of this size */
bool save_in_load_ram(SaveIn *s, RamBlock *b, Error **errp);    /* whole block: absent pages become zero */
void save_in_free(SaveIn *s);

#endif
