/* SPDX-License-Identifier: MIT */
#ifndef HW_PCI_PCI_PRIV_H
#define HW_PCI_PCI_PRIV_H

#include "hw/core/machine.h"
#include "hw/pci/pci.h"

/* After bytes have changed: map what they say. Device lock held. */
void pci_config_changed(PciDevice *d, unsigned offset, unsigned len);
void pci_update_bars(PciDevice *d);
void pci_unmap_bars(PciDevice *d);
void pci_intx_update(PciDevice *d);
void pci_msix_update(PciDevice *d);
void pci_bridge_update(PciDevice *d);
PciBus *pci_bridge_bus(PciDevice *d);
void pci_msix_clear(PciDevice *d);

#endif
