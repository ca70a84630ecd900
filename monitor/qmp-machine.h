/* SPDX-License-Identifier: MIT */
/* What programs hear of the machine, and the commands that run it. */
#ifndef MONITOR_QMP_MACHINE_H
#define MONITOR_QMP_MACHINE_H

#include "system/system.h"

void qmp_machine_event(System *s, const MachineEvent *ev);
/* The program ends by this cause (no request of the guest). */
void qmp_quitting(System *s, RequestCause cause);

#endif
