/* SPDX-License-Identifier: MIT */
/*
 * A protocol driver over files in memory, "faulty", whose requests fail by order.
 *
 * Requests are counted over all files, in the order in which they come; a fault
 * says which fail.  {"driver": "faulty", "filename": NAME}, or faulty:NAME.
 */
#ifndef TESTS_BLOCK_FAULTS_H
#define TESTS_BLOCK_FAULTS_H

#include "block/driver.h"
#include "util/bits.h"

enum { FAULT_READ = 1, FAULT_WRITE = 2, FAULT_ZEROES = 4, FAULT_FLUSH = 8, FAULT_DISCARD = 16, FAULT_RESIZE = 32, FAULT_STATUS = 64, FAULT_ALL = 127 };

typedef struct Fault {
    unsigned kinds;             /* which are counted, and fail */
    int at;                     /* the first that fails; < 0: none */
    unsigned count;             /* how many, from then on; 0: all */
    int error;
    bool full;                  /* only those that need room: that write where the file is a hole or ends */
    const char *file;           /* only of files whose name begins so; NULL: all */
} Fault;

/* From now on; NULL: none.  Returns how many requests were counted since the last call. */
unsigned faults_set(const Fault *f);
/* Did a request fail since the last faults_set()? */
bool faults_struck(void);
/* The files of a folder of the host are the files in memory; those that were there go. */
void faults_load(const char *dir);
/* All files as they are now become the state that faults_reset() goes back to. */
void faults_save(void);
void faults_reset(void);
void faults_clear(void);
/* The files as they are now, in a folder of the host; and away with them and the folder. */
void faults_dump(const char *dir);
void faults_undump(const char *dir);
/* Requests wait now and then, so that several are under way. */
void faults_wait(GRand *rnd);
/* A file as it is now; NULL: there is none. */
const GByteArray *faults_file(const char *name);

/* ---- what is found ---- */

/* Whom it is about, and how many things were wrong. */
extern const char *faults_label;
extern int faults_bad;
/* One more; the first eight are printed. */
void wrong(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
/* A request may fail with `allowed` or, where that is an error, with EIO.  Whether it succeeded. */
bool told(int r, int allowed, const char *what);

/* What a piece of a disk may hold: a set of bytes. */
typedef struct ByteSet { uint64_t bits[4]; } ByteSet;

static inline void set_add(ByteSet *s, uint8_t v)
{
    s->bits[v / 64] |= BIT64(v % 64);
}

static inline bool set_has(const ByteSet *s, uint8_t v)
{
    return s->bits[v / 64] >> (v % 64) & 1;
}

#endif
