/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of devices in OVF (ResourceSubType), VMX (virtualDev) and their relatives.  The first
 * line of a kind is what a package means that names none.
 */
#include "package/names.h"
#include <stddef.h>
#include <strings.h>

static const struct name_map names[] = {
    { NAME_SCSI, "lsilogic", "lsilogic", false, "pvscsi", "LSI Logic parallel SCSI" },
    { NAME_SCSI, "lsilogicsas", "lsisas1068", false, "pvscsi", "LSI Logic SAS" },
    { NAME_SCSI, "VirtualSCSI", "pvscsi", true, NULL, "VMware paravirtual SCSI" },
    { NAME_SCSI, "pvscsi", "pvscsi", true, NULL, "VMware paravirtual SCSI" },
    { NAME_SCSI, "buslogic", "buslogic", false, "pvscsi", "BusLogic SCSI" },
    { NAME_SCSI, "VirtioSCSI", "virtio_scsi", false, "virtio_blk", "virtio SCSI" },
    { NAME_SCSI, "virtio-scsi", "virtio_scsi", false, "virtio_blk", "virtio SCSI" },
    { NAME_SCSI, "virtio", "virtio_blk", true, NULL, "virtio block" },
    { NAME_SATA, "AHCI", "ahci", false, "ide", "AHCI SATA" },
    { NAME_SATA, "vmware.sata.ahci", "ahci", false, "ide", "AHCI SATA" },
    { NAME_IDE, "PIIX4", "ide", true, NULL, "PIIX4 IDE" },
    { NAME_IDE, "PIIX3", "ide", true, NULL, "PIIX3 IDE" },
    { NAME_IDE, "ICH6", "ide", true, NULL, "ICH6 IDE" },
    { NAME_NVME, "NVMe", "nvme", false, "virtio_blk", "NVMe" },
    { NAME_NVME, "vmware.nvme.controller", "nvme", false, "virtio_blk", "NVMe" },
    { NAME_NIC, "E1000", "e1000", false, "vmxnet3", "Intel E1000" },
    { NAME_NIC, "E1000e", "e1000e", false, "vmxnet3", "Intel E1000e" },
    { NAME_NIC, "VmxNet3", "vmxnet3", true, NULL, "VMware vmxnet3" },
    { NAME_NIC, "VmxNet2", "vmxnet2", false, "vmxnet3", "VMware vmxnet2" },
    { NAME_NIC, "VmxNet", "vmxnet", false, "vmxnet3", "VMware vmxnet" },
    { NAME_NIC, "PCNet32", "pcnet", false, "vmxnet3", "AMD PCnet" },
    { NAME_NIC, "vlance", "pcnet", false, "vmxnet3", "AMD PCnet" },
    { NAME_NIC, "Flexible", "pcnet", false, "vmxnet3", "AMD PCnet or vmxnet" },
    { NAME_NIC, "virtio", "virtio_net", true, NULL, "virtio network" },
    { NAME_NIC, "virtio-net", "virtio_net", true, NULL, "virtio network" },
};

const struct name_map *name_find(enum name_kind kind, const char *foreign)
{
    for (size_t i = 0; i < LEN(names); i++)
        if (names[i].kind == kind &&
            (!foreign || !*foreign || !strcasecmp(names[i].foreign, foreign)))
            return &names[i];
    return NULL;
}
