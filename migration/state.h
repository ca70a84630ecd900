/* SPDX-License-Identifier: MIT */
/*
 * State tables: what makes up a thing that can be saved.
 *
 * A StateTable is rows over a C struct.  Save, load, digest, reset of plain
 * fields, `info` and the comparison in tests are readers of the same rows.
 *
 *     static const StateField pl031_rows[] = {
 *         STATE_I64(Pl031, tick_offset),
 *         STATE_TIMER(Pl031, alarm),
 *         {}
 *     };
 *
 * Rules.  A field is never reinterpreted.  A new one carries `.since = N` with
 * the table's version raised to N, and `.def`: an older stream gives it that
 * value.  Optional parts are STATE_SUBSECTION rows, saved when `needed()` says
 * so and absent otherwise (the load clears nothing: its fields take `.def`).
 * Loading is in two passes: `state_check` reads the stream against the rows and
 * the validity ranges and changes nothing; `state_load` applies.  pre_save and
 * post_load run with the vCPUs parked and device locks free.
 */
#ifndef MIGRATION_STATE_H
#define MIGRATION_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

typedef struct StateTable StateTable;
typedef struct StateField StateField;
typedef struct StateWriter StateWriter;
typedef struct StateReader StateReader;

typedef enum {
    STATE_END,
    STATE_UINT,                 /* size 1, 2, 4, 8: little endian in the stream */
    STATE_INT,
    STATE_BOOLEAN,
    STATE_BUFFER,               /* size bytes as they are */
    STATE_VBUFFER,              /* pointer; length in bytes from the field at num_offset (uint32_t); buffer exists at load */
    STATE_INNER,                /* embedded struct(s) with their own table */
    STATE_INNER_PTR,            /* pointer to such structs, allocated by the owner before load */
    STATE_SUB,                  /* named optional part over the same struct */
    STATE_SPECIAL,              /* a StateKind: timers, queues, anything with its own words */
} StateFieldType;

/* A field kind that other subsystems define (Timer in hw/core/clock.h).  `check` reads and discards. */
typedef struct StateKind {
    const char *name;
    void (*save)(StateWriter *w, const void *field);
    bool (*check)(StateReader *r, Error **errp);
    bool (*load)(StateReader *r, void *field, Error **errp);
    void (*reset)(void *field);
    uint32_t size;              /* of the C object, for arrays */
} StateKind;

struct StateField {
    const char *name;
    StateFieldType type;
    uint32_t offset;
    uint32_t size;              /* of one element */
    uint32_t num;               /* elements in an array; 0: 1 */
    uint32_t num_offset;        /* with num_by: uint32_t in the same struct that says how many are in use (at most num, or any for pointers) */
    bool num_by;
    uint16_t since;             /* 0: from the first version on */
    bool keep;                  /* reset does not touch it (what a battery or a host file keeps, levels of wires) */
    uint64_t def;               /* value after reset, and in streams older than `since` */
    uint64_t max;               /* greatest valid value of an unsigned field; 0: any */
    const StateTable *table;    /* INNER, SUB */
    const StateKind *kind;      /* SPECIAL */
};

struct StateTable {
    const char *name;
    uint16_t version;           /* 0 counts as 1 */
    uint16_t oldest;            /* streams before this one are refused */
    const StateField *fields;
    bool (*needed)(const void *obj);                    /* subsections */
    void (*pre_save)(void *obj);                        /* bring fields up to date */
    bool (*post_load)(void *obj, Error **errp);         /* derived state; cross-checks belong into check() */
    bool (*check)(const void *obj, Error **errp);       /* obj: a zeroed copy of the struct with the plain fields loaded; nothing may be followed */
    size_t obj_size;            /* of the struct, when check is given */
};

#define STATE_CHECK_TYPE(S, f, T) (offsetof(S, f) + 0 * sizeof(char[1 - 2 * !__builtin_types_compatible_p(__typeof__(((S *)0)->f), T)]))
#define STATE_FIELD(S, f, t, T, ...) \
    { .name = #f, .type = t, .offset = STATE_CHECK_TYPE(S, f, T), .size = sizeof(T), __VA_ARGS__ }
#define STATE_U8(S, f, ...)   STATE_FIELD(S, f, STATE_UINT, uint8_t, __VA_ARGS__)
#define STATE_U16(S, f, ...)  STATE_FIELD(S, f, STATE_UINT, uint16_t, __VA_ARGS__)
#define STATE_U32(S, f, ...)  STATE_FIELD(S, f, STATE_UINT, uint32_t, __VA_ARGS__)
#define STATE_U64(S, f, ...)  STATE_FIELD(S, f, STATE_UINT, uint64_t, __VA_ARGS__)
#define STATE_I32(S, f, ...)  STATE_FIELD(S, f, STATE_INT, int32_t, __VA_ARGS__)
#define STATE_I64(S, f, ...)  STATE_FIELD(S, f, STATE_INT, int64_t, __VA_ARGS__)
#define STATE_BOOL(S, f, ...) STATE_FIELD(S, f, STATE_BOOLEAN, bool, __VA_ARGS__)
/* An enum or int that is stored as 32 bits whatever its C type says. */
#define STATE_ENUM(S, f, max_, ...) \
    { .name = #f, .type = STATE_UINT, .offset = offsetof(S, f), .size = sizeof(((S *)0)->f), .max = max_, __VA_ARGS__ }
/* Bytes of an array or struct without pointers and padding. */
#define STATE_BUF(S, f, ...) \
    { .name = #f, .type = STATE_BUFFER, .offset = offsetof(S, f), .size = sizeof(((S *)0)->f), __VA_ARGS__ }
/* uint8_t *f of `len` bytes, a uint32_t field. */
#define STATE_VBUF(S, f, len, ...) \
    { .name = #f, .type = STATE_VBUFFER, .offset = offsetof(S, f), .size = 1, .num_by = true, .num_offset = STATE_CHECK_TYPE(S, len, uint32_t), __VA_ARGS__ }
/* Array of plain numbers of any size: uint32_t f[N] (signedness does not matter: the bits are kept). Two-dimensional ones are flattened. */
#define STATE_ARRAY(S, f, elem_t, ...) \
    { .name = #f, .type = STATE_UINT, .offset = offsetof(S, f), .size = sizeof(elem_t), .num = sizeof(((S *)0)->f) / sizeof(elem_t), __VA_ARGS__ }
#define STATE_STRUCT(S, f, table_, ...) \
    { .name = #f, .type = STATE_INNER, .offset = offsetof(S, f), .size = sizeof(((S *)0)->f), .table = &(table_), __VA_ARGS__ }
#define STATE_STRUCT_ARRAY(S, f, table_, ...) \
    { .name = #f, .type = STATE_INNER, .offset = offsetof(S, f), .size = sizeof(((S *)0)->f[0]), \
      .num = sizeof(((S *)0)->f) / sizeof(((S *)0)->f[0]), .table = &(table_), __VA_ARGS__ }
/* T *f with `count` (uint32_t field) elements. */
#define STATE_STRUCT_PTR(S, f, count, table_, ...) \
    { .name = #f, .type = STATE_INNER_PTR, .offset = offsetof(S, f), .size = sizeof(((S *)0)->f[0]), \
      .num_by = true, .num_offset = STATE_CHECK_TYPE(S, count, uint32_t), .table = &(table_), __VA_ARGS__ }
#define STATE_SUBSECTION(table_, ...) { .name = "sub", .type = STATE_SUB, .table = &(table_), __VA_ARGS__ }
#define STATE_KIND(S, f, kind_, ...) \
    { .name = #f, .type = STATE_SPECIAL, .offset = offsetof(S, f), .size = sizeof(((S *)0)->f), .kind = &(kind_), __VA_ARGS__ }
/* STATE_TIMER is in hw/core/clock.h. */

/* Readers of the rows.  Save and load write one object's fields into a section (stream.h). */
void state_save(StateWriter *w, const StateTable *t, void *obj);
bool state_check(StateReader *r, const StateTable *t, const void *obj, Error **errp);  /* obj only for the counts of arrays */
bool state_load(StateReader *r, const StateTable *t, void *obj, Error **errp);
/* Plain fields to `.def`, kinds by their reset; not those with `.keep`. Reset and power-on use it. */
void state_reset(const StateTable *t, void *obj);
/* 64-bit digest of the object's saved form. */
uint64_t state_digest(const StateTable *t, void *obj);
/* "name=value" lines. */
void state_print(const StateTable *t, void *obj, GString *out);

/* Primitive reads and writes, for StateKind.  Readers fail (and keep failing) at the end of a section. */
void state_put(StateWriter *w, const void *data, size_t len);
void state_put_u8(StateWriter *w, uint8_t v);
void state_put_u32(StateWriter *w, uint32_t v);
void state_put_u64(StateWriter *w, uint64_t v);
bool state_get(StateReader *r, void *data, size_t len, Error **errp);
bool state_skip(StateReader *r, size_t len, Error **errp);
bool state_get_u8(StateReader *r, uint8_t *v, Error **errp);
bool state_get_u32(StateReader *r, uint32_t *v, Error **errp);
bool state_get_u64(StateReader *r, uint64_t *v, Error **errp);
StateWriter *state_writer_new(void);
const uint8_t *state_writer_data(const StateWriter *w, size_t *len);
void state_writer_free(StateWriter *w);
StateReader *state_reader_new(const void *data, size_t len);    /* borrows data */
size_t state_reader_left(const StateReader *r);
void state_reader_free(StateReader *r);

#endif
