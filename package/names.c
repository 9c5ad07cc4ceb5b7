/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of devices in OVF (ResourceSubType), VMX (virtualDev) and their relatives.  The first
 * line of a kind is what a package means that names none.
 */
#include "package/names.h"
#include <stddef.h>
#include <strings.h>

static const struct name_map names[] = {
    { NAME_SCSI, "lsilogic", "lsilogic", true, NULL, "LSI Logic parallel SCSI" },
    { NAME_SCSI, "lsilogicsas", "lsisas1068", true, NULL, "LSI Logic SAS" },
    { NAME_SCSI, "lsisas1068", "lsisas1068", true, NULL, "LSI Logic SAS" },
    { NAME_SCSI, "VirtualSCSI", "pvscsi", true, NULL, "VMware paravirtual SCSI" },
    { NAME_SCSI, "pvscsi", "pvscsi", true, NULL, "VMware paravirtual SCSI" },
    { NAME_SCSI, "buslogic", "buslogic", true, NULL, "BusLogic SCSI" },
    { NAME_SCSI, "VirtioSCSI", "virtio_scsi", false, "virtio_blk", "virtio SCSI" },
    { NAME_SCSI, "virtio-scsi", "virtio_scsi", false, "virtio_blk", "virtio SCSI" },
    { NAME_SCSI, "virtio-scsi-pci", "virtio_scsi", false, "virtio_blk", "virtio SCSI" },
    { NAME_SCSI, "virtio-scsi-single", "virtio_scsi", false, "virtio_blk", "virtio SCSI" },
    { NAME_SCSI, "virtio", "virtio_blk", true, NULL, "virtio block" },
    { NAME_SCSI, "lsi", "lsi53c895a", false, "pvscsi", "LSI 53C895A SCSI" },
    { NAME_SCSI, "lsi53c895a", "lsi53c895a", false, "pvscsi", "LSI 53C895A SCSI" },
    { NAME_SCSI, "lsi53c810", "lsi53c810", false, "pvscsi", "LSI 53C810 SCSI" },
    { NAME_SCSI, "megasas", "megasas", false, "pvscsi", "LSI MegaRAID SAS" },
    { NAME_SCSI, "lsisas1078", "lsisas1078", false, "pvscsi", "LSI SAS 1078" },
    { NAME_SCSI, "vmpvscsi", "pvscsi", true, NULL, "VMware paravirtual SCSI" },
    { NAME_SCSI, "am53c974", "am53c974", false, "pvscsi", "AMD 53C974 SCSI" },
    { NAME_SCSI, "dc390", "am53c974", false, "pvscsi", "Tekram DC-390 SCSI" },
    { NAME_SCSI, "aic7870", "aic7870", false, "pvscsi", "Adaptec 7870 SCSI" },
    { NAME_SCSI, "storvsc", "storvsc", false, "virtio_blk", "Hyper-V synthetic SCSI" },
    { NAME_SATA, "AHCI", "ahci", true, NULL, "AHCI SATA" },
    { NAME_SATA, "IntelAhci", "ahci", true, NULL, "AHCI SATA" },
    { NAME_SATA, "vmware.sata.ahci", "ahci", true, NULL, "AHCI SATA" },
    { NAME_IDE, "PIIX4", "ide", true, NULL, "PIIX4 IDE" },
    { NAME_IDE, "PIIX3", "ide", true, NULL, "PIIX3 IDE" },
    { NAME_IDE, "ICH6", "ide", true, NULL, "ICH6 IDE" },
    { NAME_NVME, "NVMe", "nvme", true, NULL, "NVMe" },
    { NAME_NVME, "vmware.nvme.controller", "nvme", true, NULL, "NVMe" },
    { NAME_NIC, "E1000", "e1000", true, NULL, "Intel E1000" },
    { NAME_NIC, "E1000e", "e1000e", true, NULL, "Intel E1000e" },
    { NAME_NIC, "VmxNet3", "vmxnet3", true, NULL, "VMware vmxnet3" },
    { NAME_NIC, "VmxNet2", "vmxnet2", false, "vmxnet3", "VMware vmxnet2" },
    { NAME_NIC, "VmxNet", "vmxnet", false, "vmxnet3", "VMware vmxnet" },
    { NAME_NIC, "PCNet32", "pcnet", true, NULL, "AMD PCnet" },
    { NAME_NIC, "vlance", "pcnet", true, NULL, "AMD PCnet" },
    { NAME_NIC, "Flexible", "pcnet", true, NULL, "AMD PCnet or vmxnet" },
    { NAME_NIC, "rtl8139", "rtl8139", false, "vmxnet3", "Realtek RTL8139" },
    { NAME_NIC, "e1000-82540em", "e1000", true, NULL, "Intel E1000" },
    { NAME_NIC, "e1000-82544gc", "e1000", true, NULL, "Intel E1000" },
    { NAME_NIC, "e1000-82545em", "e1000", true, NULL, "Intel E1000" },
    { NAME_NIC, "pcnet", "pcnet", true, NULL, "AMD PCnet" },
    { NAME_NIC, "ne2k_pci", "ne2k_pci", false, "vmxnet3", "NE2000 on PCI" },
    { NAME_NIC, "ne2k_isa", "ne2k_isa", false, "vmxnet3", "NE2000 on ISA" },
    { NAME_NIC, "i82551", "i82551", false, "vmxnet3", "Intel i82551" },
    { NAME_NIC, "i82557b", "i82557b", false, "vmxnet3", "Intel i82557B" },
    { NAME_NIC, "i82559er", "i82559er", false, "vmxnet3", "Intel i82559ER" },
    { NAME_NIC, "netfront", "xen_net", false, "virtio_net", "Xen paravirtual network" },
    { NAME_NIC, "82540EM", "e1000", true, NULL, "Intel E1000" },
    { NAME_NIC, "82543GC", "e1000", true, NULL, "Intel E1000" },
    { NAME_NIC, "82545EM", "e1000", true, NULL, "Intel E1000" },
    { NAME_NIC, "Am79C970A", "pcnet", true, NULL, "AMD PCnet" },
    { NAME_NIC, "Am79C973", "pcnet", true, NULL, "AMD PCnet" },
    { NAME_NIC, "Am79C960", "pcnet", false, "vmxnet3", "AMD PCnet on ISA" },
    { NAME_NIC, "igb", "igb", false, "vmxnet3", "Intel 82576" },
    { NAME_NIC, "tulip", "tulip", false, "vmxnet3", "DEC 21140" },
    { NAME_NIC, "netvsc", "netvsc", false, "virtio_net", "Hyper-V synthetic network" },
    { NAME_NIC, "virtio", "virtio_net", true, NULL, "virtio network" },
    { NAME_NIC, "virtio-net", "virtio_net", true, NULL, "virtio network" },
    { NAME_NIC, "virtio-net-pci", "virtio_net", true, NULL, "virtio network" },
    { NAME_NIC, "virtio-non-transitional", "virtio_net", true, NULL, "virtio network" },
    { NAME_NIC, "virtio-transitional", "virtio_net", true, NULL, "virtio network" },
    { NAME_XEN, "xvd", "xen_blk", false, "virtio_blk", "Xen paravirtual disks" },
    { NAME_USB, "usb", "usb_storage", true, NULL, "disks on USB" },
    { NAME_USB, "vmware.usb.uhci", "uhci", true, NULL, "the USB 1.1 controller" },
    { NAME_USB, "vmware.usb.ehci", "ehci", true, NULL, "the USB 2 controller" },
    { NAME_USB, "vmware.usb.xhci", "xhci", true, NULL, "the USB 3 controller" },
    { NAME_FLOPPY, "I82078", "fdc", true, NULL, "the floppy controller" },
    { NAME_FLOPPY, "fdc", "fdc", true, NULL, "the floppy controller" },
};

const struct name_map *name_find(enum name_kind kind, const char *foreign)
{
    for (size_t i = 0; i < LEN(names); i++)
        if (names[i].kind == kind &&
            (!foreign || !*foreign || !strcasecmp(names[i].foreign, foreign)))
            return &names[i];
    return NULL;
}
