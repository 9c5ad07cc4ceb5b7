#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A VMware folder's board as its guest sees it, started by BIOS from a CD and by EFI from pvscsi:
the functions where VMware's products have them, again after the guest has started anew; a TPM and
secure boot that the configuration asks for."""
import os, re, subprocess
from medium import hybrid, need_swtpm, signed
from vmtest import MIMIC, Session, check, main, scratch

VMX = """.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "19"
displayName = "board"
memsize = "512"
firmware = "%s"
serial0.present = "TRUE"
ethernet0.present = "TRUE"
ethernet0.virtualDev = "vmxnet3"
ethernet0.pciSlotNumber = "192"
ethernet1.present = "TRUE"
ethernet1.virtualDev = "e1000"
ethernet1.pciSlotNumber = "33"
scsi0.present = "TRUE"
scsi0.virtualDev = "pvscsi"
scsi0.pciSlotNumber = "160"
%s"""
START = {"bios": """ide1:0.present = "TRUE"
ide1:0.deviceType = "cdrom-image"
ide1:0.fileName = "any.iso"
""", "efi": """scsi0:0.present = "TRUE"
scsi0:0.fileName = "any.vmdk"
"""}
TRUSTED = """sata0.present = "TRUE"
sata0:0.present = "TRUE"
sata0:0.fileName = "signed.vmdk"
uefi.secureBoot.enabled = "TRUE"
vtpm.present = "TRUE"
"""
LIST = ("run=cd~/sys/bus/pci/devices;for~i~in~*;do~echo~@P~$i~$(cut~-c3-~$i/vendor)"
        "~$(cut~-c3-~$i/device)~$(cut~-c3-~$i/subsystem_vendor):$(cut~-c3-~$i/subsystem_device)"
        "~$(cut~-c3-~$i/class)~$(cat~$i/revision);done;echo~@P~end;reboot~-f")
TRUST = ("run=mount~-t~securityfs~s~/sys/kernel/security;cat~/sys/class/tpm/tpm0/tpm_version_major|sed~s/^/@V/;"
         "cat~/sys/class/tpm/tpm0/pcr-sha256/7|sed~s/^/@R/;"
         "wc~-c~</sys/kernel/security/tpm0/binary_bios_measurements|sed~s/^/@L/")

# As lspci tells it of VMware's products: address, ids, subsystem, class, revision.
CHIPSET = "15ad:1976"
BOARD = {
    "0000:00:00.0": ("8086", "7190", CHIPSET, "060000", "0x01"),
    "0000:00:01.0": ("8086", "7191", None, "060400", "0x01"),
    "0000:00:07.0": ("8086", "7110", CHIPSET, "060100", "0x08"),
    "0000:00:07.1": ("8086", "7111", CHIPSET, "01018a", "0x01"),
    "0000:00:07.3": ("8086", "7113", CHIPSET, "068000", "0x08"),
    "0000:00:07.7": ("15ad", "0740", "15ad:0740", "088000", "0x10"),
    "0000:00:0f.0": ("15ad", "0405", "15ad:0405", "030000", "0x00"),
    "0000:00:11.0": ("15ad", "0790", None, "060401", "0x02"),
    "0000:02:01.0": ("8086", "100f", "15ad:0750", "020000", "0x01"),
    "0000:03:00.0": ("15ad", "07c0", "15ad:07c0", "010000", "0x02"),
    "0000:0b:00.0": ("15ad", "07b0", "15ad:07b0", "020000", "0x01"),
}
for slot in range(0x15, 0x19):
    for function in range(8):
        BOARD["0000:00:%02x.%d" % (slot, function)] = ("15ad", "07a0", None, "060400", "0x01")

def compare(text):
    seen = {}
    for line in re.findall(r"@P (0000:.*)", text):
        at, *what = line.split()
        seen[at] = what
    check(sorted(seen) == sorted(BOARD), "only here: %s; only there: %s" % (sorted(set(seen) - set(BOARD)),
                                                                            sorted(set(BOARD) - set(seen))))
    for at, want in BOARD.items():
        for have, word in zip(seen[at], want):
            check(word is None or have == word, "%s: %s, and VMware has %s" % (at, seen[at], want))

def disk(image, folder, name):
    subprocess.run([MIMIC, "disk", "convert", "-q", "--from", "raw", image, os.path.join(folder, name)], check=True,
                   stdout=subprocess.DEVNULL)

def start(folder, firmware, more, *args):
    with open(os.path.join(folder, "board.vmx"), "w") as f:
        f.write(VMX % (firmware, more))
    return Session([MIMIC, "run", "--console", "serial", "--throwaway", *args, folder])

def board(firmware):
    with scratch() as d:
        disk(hybrid(d, LIST), d, "any.vmdk")
        s = start(d, firmware, START[firmware])
        for _ in range(2):
            at = len(s.text)
            s.expect("@P end", 300)
            compare(s.text[at:])
        s.kill()

def trusted():
    need_swtpm()
    with scratch() as d:
        disk(signed(d, TRUST), d, "signed.vmdk")
        s = start(d, "efi", TRUSTED)
        check(s.wait(300) == 0, "exit code %s" % s.status)
        for want in ("secureboot: Secure boot enabled", "@V2", "@R[0-9A-F]{64}", "@L[1-9][0-9]{3}"):
            check(re.search(want, s.text), "the guest does not say %s:\n%s" % (want, s.text[-1500:]))

main([("VMware's board by BIOS", lambda: board("bios")), ("VMware's board by EFI, from a pvscsi disk", lambda: board("efi")),
      ("a configuration's TPM and secure boot", trusted)])
