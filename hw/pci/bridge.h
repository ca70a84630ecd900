/* SPDX-License-Identifier: MIT */
/*
 * PCI-to-PCI bridges (type 1 headers): a bus behind a device, and the windows
 * through which memory and port accesses pass.  A bridge's struct begins with
 * a PciBridge; its init sets pci.is_bridge (pci_bridge_init), its realize calls
 * pci_bridge_setup().
 */
#ifndef HW_PCI_BRIDGE_H
#define HW_PCI_BRIDGE_H

#include "hw/pci/pci.h"

enum { BRIDGE_MEM, BRIDGE_PREF, BRIDGE_IO, BRIDGE_WINDOWS };

typedef struct PciBridge {
    PciDevice pci;
    PciBus sec;
    MemRegion mem, io;                      /* address spaces of the bus behind */
    MemRegion window[BRIDGE_WINDOWS];
    bool open[BRIDGE_WINDOWS];
} PciBridge;

void pci_bridge_init(PciBridge *b);         /* from DeviceType.init */
/* Registers of the header and the bus; named after the device's id, or "pci.N". */
void pci_bridge_setup(PciBridge *b, bool express);
void pci_bridge_teardown(PciBridge *b);

#endif
