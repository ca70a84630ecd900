/* SPDX-License-Identifier: MIT */
/*
 * CFI flash for boards: device_new("cfi.pflash01"), properties name, size and
 * sector, device_realize, then map cfi_flash_region() and give it contents.
 *
 * The contents live in guest RAM of their own (id: the name), so reads run at
 * the speed of memory while the chip shows its array.
 */
#ifndef HW_BLOCK_CFI_FLASH_H
#define HW_BLOCK_CFI_FLASH_H

#include "hw/core/device.h"

/* Where the contents come from. */
typedef struct CfiFlashStore {
    /* [off, off + len) has changed to `data`. Device lock held: submit, do not wait. */
    void (*write)(void *opaque, uint64_t off, const void *data, uint64_t len);
    /* Main thread, the guest stands; may be NULL: wait for what is under way; the chip goes, and all must be on the medium. */
    void (*settle)(void *opaque);
    void (*release)(void *opaque);
} CfiFlashStore;

MemRegion *cfi_flash_region(Device *dev);
/* Contents from the start; the rest stays 0. Realized, not running. */
bool cfi_flash_load(Device *dev, const void *data, uint64_t len, Error **errp);
/* Without a store the contents are lost at the end. readonly: program and erase report a protected sector. */
void cfi_flash_set_store(Device *dev, const CfiFlashStore *store, void *opaque, bool readonly);

#endif
