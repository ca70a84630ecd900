/* SPDX-License-Identifier: MIT */
/*
 * fw_cfg: how a board tells its firmware what it consists of.
 *
 * Numbered items and named files (keys from 0x20, sorted by name, listed in the
 * directory item 0x19) that the guest reads as byte streams or by DMA.  The
 * interface is the one that SeaBIOS, edk2, U-Boot and Linux speak; it is
 * documented with the Linux kernel and with the peer.
 *
 * Contents are set while the board is built (main thread, not running); the
 * guest's accesses run under the device's lock.  Files may be writable: the
 * guest writes them by DMA and the board is told.
 */
#ifndef HW_NVRAM_FW_CFG_H
#define HW_NVRAM_FW_CFG_H

#include "hw/core/device.h"

/* Well-known items. */
enum {
    FW_CFG_SIGNATURE = 0x00, FW_CFG_ID = 0x01, FW_CFG_UUID = 0x02, FW_CFG_RAM_SIZE = 0x03, FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05, FW_CFG_MACHINE_ID = 0x06, FW_CFG_KERNEL_ADDR = 0x07, FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_INITRD_ADDR = 0x0a, FW_CFG_INITRD_SIZE = 0x0b, FW_CFG_BOOT_DEVICE = 0x0c, FW_CFG_NUMA = 0x0d,
    FW_CFG_BOOT_MENU = 0x0e, FW_CFG_MAX_CPUS = 0x0f, FW_CFG_KERNEL_ENTRY = 0x10, FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12, FW_CFG_CMDLINE_ADDR = 0x13, FW_CFG_CMDLINE_SIZE = 0x14, FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16, FW_CFG_SETUP_SIZE = 0x17, FW_CFG_SETUP_DATA = 0x18, FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
};

/* Called, under the device's lock, when the item is selected: may replace the contents with fw_cfg_set_file.  And after a guest's write. */
typedef void FwCfgHook(Device *fw_cfg, void *opaque);

/* Items by number; the bytes are copied. A later call replaces. */
void fw_cfg_set(Device *dev, uint16_t key, const void *data, size_t len);
void fw_cfg_set_u16(Device *dev, uint16_t key, uint16_t val);      /* little endian */
void fw_cfg_set_u32(Device *dev, uint16_t key, uint32_t val);
void fw_cfg_set_u64(Device *dev, uint16_t key, uint64_t val);
/* Takes a reference: kernels and initrds are not copied. */
void fw_cfg_set_bytes(Device *dev, uint16_t key, GBytes *bytes);
/* Files; the name has at most 55 characters.  False: too long, or all 0x1000 keys in use. */
bool fw_cfg_set_file(Device *dev, const char *name, const void *data, size_t len, Error **errp);
bool fw_cfg_set_file_hooks(Device *dev, const char *name, FwCfgHook *selected, FwCfgHook *written, void *opaque, Error **errp);
/* What the guest would read; NULL: no such file. */
const uint8_t *fw_cfg_file(Device *dev, const char *name, size_t *len);

#endif
