/* SPDX-License-Identifier: MIT */
/* What the files of hw/core/ share about devices. */
#ifndef HW_CORE_DEVICE_PRIV_H
#define HW_CORE_DEVICE_PRIV_H

#include "hw/core/device.h"

/* A window's rows as an array indexed by offset. */
struct RegMap {
    Device *dev;
    RegBlock block;
    unsigned mmio;              /* index of the window */
    unsigned shift;             /* log2 of the granule: the narrowest row */
    uint16_t *row;              /* 1 + row number, 0: nothing */
    uint64_t size;              /* of all instances */
};

extern const MemOps reg_map_ops;

RegMap *reg_map_new(Device *dev, const RegBlock *block, unsigned mmio);
void reg_map_free(RegMap *map);
void reg_map_reset(RegMap *map);
void reg_map_save(const RegMap *map, StateWriter *w);
bool reg_map_walk(const RegMap *map, StateReader *r, bool apply, Error **errp);
void reg_map_print(const RegMap *map, GString *out);

void device_reset_phase(Device *dev, int phase);        /* 0 enter, 1 hold, 2 exit; this device only */
bool device_walk_state(Device *dev, StateReader *r, bool apply, Error **errp);

#endif
