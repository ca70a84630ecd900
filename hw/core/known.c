/* SPDX-License-Identifier: MIT */
#include "hw/core/known.h"

#include <glib.h>

typedef struct Known {
    KnownKind kind;
    const char *patterns;       /* globs, separated by a blank; one that a row of this build answers to is never looked up */
    const char *hint;
} Known;

static const Known table[] = {
    { KNOWN_DEVICE, "nvme* ide-* ahci ich9-ahci scsi-* virtio-scsi* lsi* megasas* pvscsi mptsas* am53c974 floppy isa-fdc sd-card sdhci-pci nvdimm virtio-pmem* vhost-user-blk* vhost-scsi*",
      "this build has no such disk; use virtio-blk-pci or virtio-blk-device" },
    { KNOWN_DEVICE, "e1000* rtl8139 pcnet vmxnet3 ne2k_* i8255* tulip igb* lan9118 usb-net vhost-user-net", "this build has no such network card; use virtio-net-pci or virtio-net-device" },
    { KNOWN_DEVICE, "usb-* *xhci* *ehci* *ohci* *uhci* u2f-* ccid-card-* canokey", "this build has no USB; disks, network and consoles: virtio-blk-pci, virtio-net-pci, virtio-serial-pci" },
    { KNOWN_DEVICE, "virtio-gpu* virtio-vga* VGA secondary-vga ramfb bochs-display cirrus-vga vmware-svga qxl* ati-vga vhost-user-gpu*", "this build has no display; use -nographic or a serial console" },
    { KNOWN_DEVICE, "virtio-keyboard* virtio-mouse* virtio-tablet* virtio-input* vhost-user-input* i8042", "this build has no keyboard and pointer; use a serial console" },
    { KNOWN_DEVICE, "*hda* AC97 ES1370 sb16 adlib cs4231a gus virtio-sound* virtio-snd*", "this build has no audio" },
    { KNOWN_DEVICE, "isa-* pci-serial*", "this build has no ISA bus and no 16550; use virtio-serial-pci with virtconsole, or -serial" },
    { KNOWN_DEVICE, "virtio-9p* vhost-user-fs* vhost-vsock* vhost-user-vsock*", "this build has no file sharing with the host; use a disk (-drive file=fat:rw:DIR) or the network" },
    { KNOWN_DEVICE, "virtio-balloon* pc-dimm virtio-mem*", "this build has memory of fixed size; set it with -m" },
    { KNOWN_DEVICE, "pci-bridge pcie-pci-bridge pxb* ioh3420 x3130-upstream xio3130-downstream i82801b11-bridge dmi-pcie-bridge", "this build has one kind of bridge: pcie-root-port" },
    { KNOWN_DEVICE, "tpm-* vfio-* i6300esb ib700 vmcoreinfo vmgenid pvpanic* ivshmem* edu virtio-crypto* virtio-iommu* intel-iommu amd-iommu arm-smmuv3 ipmi-* virtio-*-ccw",
      "this build does not have it" },
    { KNOWN_CPU, "host", "-cpu host needs hardware acceleration, which this build does not have; use -cpu max" },
    { KNOWN_CPU, "a64fx cortex-a35 cortex-a78* cortex-a710 neoverse-n2 neoverse-v1 neoverse-v2", "this build does not model it; -cpu max has the newest features" },
    { KNOWN_CPU, "cortex-a5 cortex-a7 cortex-a8 cortex-a9 cortex-a15 cortex-m* cortex-r* arm9* arm10* arm11* sa11* pxa* ti925t", "this build has the 64-bit Arm processors only; use -cpu max, or cortex-a53" },
    { KNOWN_MACHINE, "raspi* sbsa-ref xlnx-* vexpress* mps2* mps3* microbit lm3s* netduino* stm32* imx* mcimx* mcx* sabrelite ast* *-bmc versatile* realview* xilinx-* highbank midway musca* nuri smdk* npcm*"
                     " orangepi* cubieboard bananapi* b-l475e* olimex* fby35* integratorcp collie kzm none x-remote q35 pc pc-* microvm isapc",
      "this build has one board for Arm: virt" },
    { KNOWN_ACCEL, "kvm hvf xen whpx nvmm hax mshv qtest", "this build has tcg, which runs on every host; leave the option away" },
};

static bool matches(const Known *k, const char *name)
{
    g_auto(GStrv) patterns = g_strsplit(k->patterns, " ", -1);

    for (char **p = patterns; *p; p++) {
        if (g_pattern_match_simple(*p, name)) {
            return true;
        }
    }
    return false;
}

bool known_hint(KnownKind kind, const char *name, Error **errp)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        if (table[i].kind == kind && matches(&table[i], name)) {
            error_hint(errp, "%s", table[i].hint);
            return true;
        }
    }
    return false;
}
