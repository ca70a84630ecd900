/* SPDX-License-Identifier: MIT */
/*
 * GICv3 interrupt translation service for boards: device "arm-gicv3-its".
 *
 * One window of 128 KiB: control registers, then the translation register that
 * devices write messages to (event id as data, device id from the requester id
 * of the write).  its_set_gic before realize.
 */
#ifndef HW_INTC_GICV3_ITS_H
#define HW_INTC_GICV3_ITS_H

#include "hw/core/device.h"

void gicv3_its_set_gic(Device *its, Device *gic);

#endif
