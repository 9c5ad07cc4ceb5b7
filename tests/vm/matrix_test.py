#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian VMs out of OVF packages that name one storage controller and one network card after the
other: by BIOS or EFI, GRUB from the disk, their own kernel (generic, cloud, 32-bit) and its drivers.
Each is put under load with its data compared, killed while it writes, and boots again.

They take minutes each: all of them run with MIMIC_LONG set; with MIMIC_MATRIX, those whose name
this pattern finds.
"""
import os, re, subprocess, time
import load
from vmtest import CACHE, MIMIC, OVA, SOURCE, Session, Skip, check, main, scratch

LONG = bool(os.environ.get("MIMIC_LONG"))
ONLY = os.environ.get("MIMIC_MATRIX")
MIB = 200 if LONG else 32

# our name: type and subtype in an OVF, the kernel's driver
STORAGE = {"pvscsi": (6, "VirtualSCSI", "vmw_pvscsi"), "lsilogic": (6, "lsilogic", "mptspi"),
           "lsisas1068": (6, "lsilogicsas", "mptsas"), "buslogic": (6, "buslogic", "BusLogic"),
           "ahci": (20, "vmware.sata.ahci", "ahci"), "nvme": (20, "vmware.nvme.controller", "nvme"),
           "virtio_blk": (6, "virtio", "virtio-pci"), "ide": (6, "VirtualSCSI", "ata_piix")}
NICS = {"vmxnet3": ("VmxNet3", "vmxnet3"), "e1000": ("E1000", "e1000"), "e1000e": ("E1000e", "e1000e"),
        "pcnet": ("PCNet32", "pcnet32"), "virtio_net": ("virtio", "virtio-pci")}

# guest, firmware, what its kernel's release holds, [storage and card]
GUESTS = [("demo", "bios", "-amd64", "lsilogic e1000, lsisas1068 e1000e, ahci vmxnet3, nvme virtio_net, ide e1000, "
           "virtio_blk virtio_net, buslogic pcnet, pvscsi vmxnet3"),
          # Debian's OVMF has no drivers for SCSI adapters, and buslogic brings none either
          ("wide", "efi", "-amd64", "ahci vmxnet3, nvme e1000e, ide e1000, virtio_blk virtio_net, lsilogic e1000, "
           "lsisas1068 e1000e, pvscsi vmxnet3"),
          ("wide", "bios", "-cloud", "nvme virtio_net, ide vmxnet3, virtio_blk virtio_net, pvscsi vmxnet3, buslogic vmxnet3"),
          ("i386", "bios", "-686-pae", "lsilogic pcnet, buslogic pcnet, ide e1000, lsisas1068 e1000, pvscsi vmxnet3, "
           "ahci e1000e, nvme vmxnet3, virtio_blk virtio_net")]
ROWS = [(guest, firmware, kernel) + tuple(pair.split()) for guest, firmware, kernel, pairs in GUESTS
        for pair in pairs.split(", ")]

class Guest:
    """The files of each guest's package, unpacked once."""
    dirs = {}

    @classmethod
    def of(cls, name):
        if name not in cls.dirs:
            ova = OVA
            if name != "demo":
                if os.getuid():
                    raise Skip("only root can make the guest %s" % name)
                ova = subprocess.run(["sh", os.path.join(SOURCE, "tests", "guest", "demo.sh"), CACHE, name],
                                     check=True, stdout=subprocess.PIPE).stdout.decode().split()[-1]
            cls.dirs[name] = scratch()
            subprocess.run(["tar", "-C", cls.dirs[name].name, "-xf", ova], check=True)
        return cls.dirs[name].name

def package(folder, guest, firmware, storage, nic):
    """A descriptor beside the guest's disk, of which there is one: its path."""
    files = Guest.of(guest)
    ovf = [f for f in os.listdir(files) if f.endswith(".ovf")][0]
    disk = [f for f in os.listdir(files) if f.endswith(".vmdk")][0]
    os.link(os.path.join(files, disk), os.path.join(folder, disk))
    with open(os.path.join(files, ovf)) as f:
        items = re.split(r"(?=<Item)", f.read())
    kind, subtype, _ = STORAGE[storage]
    for i, item in enumerate(items):
        if "VirtualSCSI" in item or "VmxNet3" in item:
            if (storage, nic)["VmxNet3" in item] not in ("pvscsi", "vmxnet3"):
                item = re.sub(r"<vmw:Config[^>]*pciSlotNumber[^>]*/>", "", item)
            item = item.replace("VirtualSCSI", subtype).replace(">VmxNet3<", ">%s<" % NICS[nic][0])
            items[i] = re.sub(r"(ResourceType>)6<", r"\g<1>%d<" % kind, item)
        elif storage == "ide" and "Hard disk" in item:
            items[i] = re.sub(r"(Parent>)3<", r"\g<1>5<", item)
        elif storage == "ide" and "CD/DVD" in item:
            items[i] = re.sub(r"(Parent>)5<", r"\g<1>4<", item)
    path = os.path.join(folder, "vm.ovf")
    with open(path, "w") as f:
        f.write("".join(items).replace('vmw:key="firmware" vmw:value="bios"',
                                       'vmw:key="firmware" vmw:value="%s"' % firmware))
    return path

# The driver of the PCI device that a thing in sysfs belongs to.
DRIVER = ("p=$(readlink -f %s); until [ \"$(basename \"$(readlink $p/subsystem)\")\" = pci ]; do p=$(dirname $p); "
          "[ $p != / ]; done; basename $(readlink $p/driver || cat $p/host*/scsi_host/*/proc_name)")

def login(s):
    """systemd waits 90 s for the console's device, an initramfs 30 s for the disk, by the guest's clock."""
    m = s.expect(r"(?=login: ?$)|Timed out waiting for device .*|\(initramfs\)", 900)
    check(not m.group(), "it gave up: \"%s\" (was the host busy?); its last lines:\n%s" % (m.group(), s.text[-1500:]))
    s.login(60)

def row(guest, firmware, kernel, storage, nic):
    with scratch() as d:
        args = [MIMIC, "run", "--console", "serial", "--memory", "512", "--state", os.path.join(d, "state"),
                package(d, guest, firmware, storage, nic)]
        s = Session(args)
        login(s)
        check(kernel in s.shell("uname -r"), "another kernel")
        s.shell("test %s /sys/firmware/efi" % ("-d" if firmware == "efi" else "! -e"))
        disk = s.shell(DRIVER % "/sys/dev/block/$(mountpoint -d /)")
        check(disk == STORAGE[storage][2], "the disk's driver is " + disk)
        card = s.shell(DRIVER % "/sys/class/net/e*")
        check(card == NICS[nic][1], "the card's driver is " + card)
        load.address(s)
        load.disk(s)
        load.network(s, MIB)
        s.shell("cp /root/a /root/kept; md5sum </root/kept >/root/sum; sync")
        s.send("while :; do dd if=/dev/urandom of=/root/lost bs=64k count=1000 conv=fsync; done")
        time.sleep(3) # into the middle of it
        s.kill()
        s = Session(args)
        login(s)
        s.shell("md5sum </root/kept | cmp - /root/sum", 120)
        check(not s.shell("dmesg | grep -iE 'ext4.*(error|corrupt)' || true"), "the file system was damaged")
        s.send("systemctl poweroff")
        check(s.wait(300) == 0, "exit code after power off: %s" % s.status)

def only_if(name, r):
    if not (re.search(ONLY, name) if ONLY else LONG):
        raise Skip("with MIMIC_LONG=1, or MIMIC_MATRIX=%s" % name.replace(" ", "."))
    row(*r)

NAMES = ["%s %s %s%s" % (r[1], r[3], r[4], r[2]) for r in ROWS]
main([(name, lambda name=name, r=r: only_if(name, r)) for name, r in zip(NAMES, ROWS)])
