/* SPDX-License-Identifier: MIT */
/* What all iSCSI disks of a session share unless their own options say otherwise: -iscsi. */
#ifndef BLOCK_ISCSI_H
#define BLOCK_ISCSI_H

#include "io/session.h"
#include "util/json.h"

/* user, password, password-secret, initiator-name, header-digest, timeout; the last call counts.  Refused by a build without iSCSI. */
bool iscsi_defaults(Session *s, const Json *o, Error **errp);

#endif
