/* SPDX-License-Identifier: MIT */
/* A program that speaks the machine protocol to a session of the test's own. */
#ifndef TESTS_BLOCK_QMP_CLIENT_H
#define TESTS_BLOCK_QMP_CLIENT_H

#include "io/loop.h"
#include "io/qmp.h"

typedef struct QmpClient QmpClient;

QmpClient *client_new(Session *s, Loop *loop);
void client_free(QmpClient *c);
/* One request, 'single quotes' are fine; the loop runs until it is answered.  "return" or "error" of the answer, the caller's. */
Json *client_ask(QmpClient *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* The same, and it must be a return; or an error with this text. */
void client_ok(QmpClient *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
void client_refused(QmpClient *c, const char *error, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
/* Names of events since the last call, one blank between; of jobs with the status: "JOB_STATUS_CHANGE:running". Caller frees. */
char *client_events(QmpClient *c);
/* The job's status now: "null" when there is none.  Caller frees. */
char *client_status(QmpClient *c, const char *id);
/* Runs the loop until the job has this status or one of "concluded", "null". */
void client_wait(QmpClient *c, const char *id, const char *status);
/* "error" of a concluded job, or NULL. Caller frees. */
char *client_job_error(QmpClient *c, const char *id);

#endif
