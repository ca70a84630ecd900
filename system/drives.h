/* SPDX-License-Identifier: MIT */
/*
 * -blockdev and -drive (with -hda, -cdrom, -pflash): nodes in the session, and
 * the devices that -drive brings along, by its interface:
 *
 *   none     the user names it in -device X,drive=ID
 *   pflash   the board's flash, in order
 *   virtio   a virtio-blk-pci device
 *
 * Without if= the machine type says which.
 */
#ifndef SYSTEM_DRIVES_H
#define SYSTEM_DRIVES_H

#include "system/system.h"

bool drives_open(System *s, Error **errp);
/* Interfaces are known now: flashes into the config (valid until drives_close). */
bool drives_plan(System *s, const MachineType *type, MachineConfig *config, Error **errp);
bool drives_devices(System *s, Error **errp);
void drives_close(System *s);

#endif
