/* SPDX-License-Identifier: MIT */
/* Flash whose contents come from a drive (-drive if=pflash) and go back to it. */
#ifndef HW_BLOCK_CFI_FLASH_DRIVE_H
#define HW_BLOCK_CFI_FLASH_DRIVE_H

#include "hw/core/device.h"

typedef struct Session Session;

/* The drive or node must be exactly as large as the chip.  Realized, not running. */
bool cfi_flash_set_drive(Device *flash, Session *s, const char *drive, bool readonly, Error **errp);

#endif
