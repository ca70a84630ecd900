/* SPDX-License-Identifier: MIT */
/* rhea-nbd: exports one image over NBD.  Also answers to the name qemu-nbd. */
#ifndef BLOCK_NBD_TOOL_H
#define BLOCK_NBD_TOOL_H

int nbd_tool_main(int argc, char **argv);

#endif
