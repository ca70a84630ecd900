/* SPDX-License-Identifier: MIT */
#include "block/iscsi.h"

bool iscsi_defaults(Session *s, const Json *o, Error **errp)
{
    return error_set(errp, "built without iSCSI; install libiscsi-dev");
}
