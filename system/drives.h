/* SPDX-License-Identifier: MIT */
/*
 * -blockdev and -drive (with -hda, -cdrom, -pflash): the block layer opens them
 * (block/drive.h); here the flashes are handed to the board, and a drive with
 * if=virtio, or without if= on a board that means that, gets its device.
 */
#ifndef SYSTEM_DRIVES_H
#define SYSTEM_DRIVES_H

#include "system/system.h"

/* The machine type is known. */
bool drives_open(System *s, Error **errp);
/* Flashes into the config; valid until drives_close. */
void drives_plan(System *s, MachineConfig *config);
bool drives_devices(System *s, Error **errp);
void drives_close(System *s);

#endif
