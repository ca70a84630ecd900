/* SPDX-License-Identifier: MIT */
/* The machine protocol on a character device; needs no machine. */
#ifndef MONITOR_QMP_FRONT_H
#define MONITOR_QMP_FRONT_H

#include "chardev/chardev.h"
#include "io/qmp.h"

typedef struct QmpFront QmpFront;

/* `host` without write and take_fd, which are made here; its opaque goes to prepare. */
QmpFront *qmp_front_new(Chardev *c, const QmpHost *host, Error **errp);
void qmp_front_free(QmpFront *f);       /* not from a callback of the loop */

#endif
