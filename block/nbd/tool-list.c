/* SPDX-License-Identifier: MIT */
#include "block/nbd/tool-priv.h"

int nbd_tool_list(NbdTool *t)
{
    return nbd_tool_error(t, "no list");
}
