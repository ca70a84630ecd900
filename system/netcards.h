/* SPDX-License-Identifier: MIT */
/*
 * -netdev, -nic and -net: back ends in the session, and the cards that the
 * board makes ("model=...,netdev=...,mac=..." in MachineConfig.nics).
 */
#ifndef SYSTEM_NETCARDS_H
#define SYSTEM_NETCARDS_H

#include "system/system.h"

bool netcards_open(System *s, Error **errp);
bool netcards_plan(System *s, const MachineType *type, MachineConfig *config, Error **errp);
/* Once the devices are there: ends of cables that nobody took. */
void netcards_warn(System *s);
void netcards_close(System *s);

#endif
