/* SPDX-License-Identifier: MIT */
/* What the files of the protocol share. */
#ifndef IO_QMP_PRIV_H
#define IO_QMP_PRIV_H

#include "io/qmp.h"

void qmp_event_send(Session *s, Json *event);       /* to all that have negotiated; takes it over */

#endif
