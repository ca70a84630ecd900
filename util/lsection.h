/* SPDX-License-Identifier: MIT */
/*
 * Tables whose rows live in many files.
 *
 * A row is a const object anywhere in the program; ROW_IN_SECTION() puts a
 * pointer to it into a section of the linker's own making, and ROWS_FOREACH()
 * walks all of them.  No constructor runs and nothing is registered at start.
 *
 *     // in the header of the table's reader
 *     #define DEVICE_TYPE(row) ROW_IN_SECTION(device_types, DeviceType, row)
 *
 *     // in each file that has a row
 *     static const DeviceType pl031_type = { .name = "pl031", ... };
 *     DEVICE_TYPE(pl031_type);
 *
 *     // in the reader, once at file level, then anywhere
 *     ROWS_DECLARE(device_types, DeviceType);
 *     ROWS_FOREACH(device_types, DeviceType, t) { ... t->name ... }
 *
 * The section is called rows_<name>; the name is a C identifier.  The order of rows is that of the
 * link: readers that print them sort.  Rows count only in programs that link
 * the file holding them (rhea_whole in meson.build).
 */
#ifndef UTIL_LSECTION_H
#define UTIL_LSECTION_H

#include <stdbool.h>
#include <string.h>

#define ROW_IN_SECTION(section_, type, row) \
    static const type *const row##_in_##section_ __attribute__((used, section("rows_" #section_))) = &(row)

/* Weak: a program without any row of the kind still links, and sees none. */
#define ROWS_DECLARE(section_, type) \
    extern const type *const __start_rows_##section_[] __attribute__((weak, visibility("hidden"))); \
    extern const type *const __stop_rows_##section_[] __attribute__((weak, visibility("hidden")))

/* `row` is declared by the loop, as const type *. */
#define ROWS_FOREACH(section_, type, row) \
    for (const type *const *row##_at_ = __start_rows_##section_, *row = 0; \
         row##_at_ < __stop_rows_##section_ && (row = *row##_at_, 1); row##_at_++)

/* Is `wanted` the name of a row or one of its aliases (NULL-terminated, may be NULL)? */
static inline bool row_named(const char *name, const char *const *aliases, const char *wanted)
{
    while (strcmp(name, wanted)) {
        if (!aliases || !*aliases) {
            return false;
        }
        name = *aliases++;
    }
    return true;
}

#define ROWS_COUNT(section_) ((unsigned)(__stop_rows_##section_ - __start_rows_##section_))

#endif
