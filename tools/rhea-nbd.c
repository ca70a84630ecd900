/* SPDX-License-Identifier: MIT */
#include "block/nbd/tool.h"

int main(int argc, char **argv)
{
    return nbd_tool_main(argc, argv);
}
