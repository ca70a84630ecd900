/* SPDX-License-Identifier: MIT */
/* Firmware files by name: as given, in the folders of -L, then where the distribution's packages put them. */
#ifndef SYSTEM_FIRMWARE_H
#define SYSTEM_FIRMWARE_H

#include "system/system.h"

/* The path to open; `name` itself when it is nowhere (the board's message will say so).  Caller frees. */
char *firmware_find(const CmdLine *cl, const char *name);
/* The first of these names that is in one of the folders, NULL: none.  Caller frees. */
char *firmware_default(const CmdLine *cl, const char *const *names);
/* fw_cfg contents out of -fw_cfg, -boot, bootindex= and -uuid; the devices are there.  firmware-items.c */
bool firmware_items(System *s, Error **errp);
/* -L help: one folder per line.  Caller frees. */
char *firmware_folders(const CmdLine *cl);

#endif
