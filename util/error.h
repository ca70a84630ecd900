/* SPDX-License-Identifier: MIT */
/*
 * Errors of the user or the host: objects with message, hint and cause.
 *
 * A function that can fail takes `Error **errp` as its last parameter and says
 * so in its return value too (false or NULL).  errp may be NULL: the caller
 * does not want to know.  *errp must be NULL on entry.  The message names the
 * thing, the value and the way out, without a full stop or newline; text is
 * printed at the edge only (system, monitor, tools).
 *
 * What the guest does wrong goes to log_guest() (util/log.h); what we do wrong
 * is an assert.
 */
#ifndef UTIL_ERROR_H
#define UTIL_ERROR_H

#include <stdbool.h>
#include <glib.h>

typedef struct Error Error;

/* Classes that QMP clients match. */
typedef enum { ERROR_GENERIC, ERROR_COMMAND_NOT_FOUND, ERROR_DEVICE_NOT_FOUND, ERROR_DEVICE_NOT_ACTIVE, ERROR_KVM_MISSING_CAP } ErrorClass;

/* Set *errp; always returns false, so that `return error_set(errp, ...)` reads well. */
bool error_set(Error **errp, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* The same with `: strerror(err)` appended; err is a positive errno value. */
bool error_set_errno(Error **errp, int err, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
bool error_set_class(Error **errp, ErrorClass cls, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
/* Put text in front of the message ("kernel 'x': "); returns false. No-op when *errp is NULL. */
bool error_prepend(Error **errp, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Add a line of help, printed after the message; returns false. */
bool error_hint(Error **errp, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Hand err to *errp (freed when errp is NULL or already set); returns false when err is set, true otherwise. */
bool error_propagate(Error **errp, Error *err);

const char *error_message(const Error *err);
const char *error_hint_text(const Error *err);      /* "" without one; lines end in \n */
ErrorClass error_class(const Error *err);
int error_errno(const Error *err);                  /* 0 if none was given */
Error *error_copy(const Error *err);
void error_free(Error *err);                        /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Error, error_free)

#endif
