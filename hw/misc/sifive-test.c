/* SPDX-License-Identifier: MIT */
/* The finisher that test programs and syscon-poweroff write to: one word says how the machine ends. */
#include "hw/core/device.h"
#include "hw/core/machine.h"

enum { FINISH_FAIL = 0x3333, FINISH_PASS = 0x5555, FINISH_RESET = 0x7777 };

static void finish(Device *dev, const RegAccess *a, uint64_t val)
{
    if (a->lanes != 0xffffffff) {
        return;
    }
    switch (val & 0xffff) {
    case FINISH_FAIL:
        machine_request_exit(dev->machine, (int)(val >> 16 & 0xff));
        break;
    case FINISH_PASS:
        machine_request(dev->machine, REQUEST_SHUTDOWN, CAUSE_GUEST_SHUTDOWN);
        break;
    case FINISH_RESET:
        machine_request(dev->machine, REQUEST_RESET, CAUSE_GUEST_RESET);
        break;
    }
}

static const Reg test_regs[] = { REG32V(FINISH, 0x00, .wo = true, .written = finish), {} };

static const DeviceType test_type = {
    .name = "riscv.sifive.test", .desc = "SiFive test finisher", .category = "Misc", .size = sizeof(Device),
    .regs = test_regs, .mmio_size = 0x1000, .stateless = true,
};
DEVICE_TYPE(test_type);
