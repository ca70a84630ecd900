/* SPDX-License-Identifier: MIT */
/* A human monitor: a front on a character device with a line editor in front of the command table. */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include "system/system.h"

typedef struct Monitor Monitor;

Monitor *monitor_new(System *s, Chardev *c, Error **errp);
void monitor_free(Monitor *m);
const char *monitor_chardev(const Monitor *m);      /* its id */

#endif
