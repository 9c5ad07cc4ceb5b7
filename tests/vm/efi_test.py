#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""EFI guests: OVMF, GRUB from a CD, a Debian kernel; variables that outlive the VM and kill -9; GRUB
from disks that OVMF has no driver for, and from the one of several that a package says."""
import os, re, shutil, subprocess, time
from vmtest import MIMIC, Session, check, kernels, main, run, scratch

GRUB = """serial --unit=0 --speed=115200
terminal_output serial
set timeout=0
menuentry debian {
    linux /vmlinuz console=ttyS0 panic=-1 loglevel=7
    initrd /initrd
}
"""

def grub(folder, config):
    tree = os.path.join(folder, "tree")
    os.makedirs(os.path.join(tree, "boot", "grub"))
    with open(os.path.join(tree, "boot", "grub", "grub.cfg"), "w") as f:
        f.write(config)
    return tree

def image(folder, tree):
    iso = os.path.join(folder, "efi.iso")
    subprocess.run(["grub-mkrescue", "-o", iso, tree], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return iso

def cd(folder):
    tree = grub(folder, GRUB)
    shutil.copy(os.path.join(kernels(), "vmlinuz-cloud"), os.path.join(tree, "vmlinuz"))
    shutil.copy(os.path.join(kernels(), "initrd-64"), os.path.join(tree, "initrd"))
    return image(folder, tree)

def arguments(iso, state):
    return ["run", "--firmware", "efi", "--cdrom", iso, "--memory", "512", "--console", "serial",
            "--no-reboot", "--state", state]

# A word that is kept on the disk, and the beginning of another disk.
KEEPS = """serial --unit=0 --speed=115200
terminal_output serial
load_env -f /boot/grub/kept
echo "@G was $word"
word=$word.$word
save_env -f /boot/grub/kept word
hexdump -n 16 (hd1)0+1
halt
"""

def boot(iso, state):
    code, out = run(arguments(iso, state), 240)
    check("starting Boot000" in out, "the firmware started nothing:\n" + out[-1500:])
    check("efi: EFI v2" in out, "the kernel sees no EFI:\n" + out[-1500:])
    check("@I done" in out and code == 0, "exit code %d:\n%s" % (code, out[-1500:]))
    check("root bus resource [mem 0x100000000-" in out, "the host bridge has no window above 4 GiB")
    check(re.search(r"BAR \d \[mem 0x[0-9a-f]{9}-0x[0-9a-f]{9} 64bit", out) and "can't claim" not in out,
          "what the firmware put there did not stay")

def variables(state):
    path = os.path.join(state, "nvram.fd")
    with open(path, "rb") as f:
        store = f.read()
    check("BootOrder".encode("utf-16-le") in store, "no BootOrder in %s" % path)
    return store

def through_grub():
    with scratch() as d:
        iso, state = cd(d), os.path.join(d, "state")
        boot(iso, state)
        first = variables(state)
        boot(iso, state)
        check(len(variables(state)) == len(first), "the store changed its size")

def killed_while_it_writes():
    with scratch() as d:
        iso, state = cd(d), os.path.join(d, "state")
        for delay in (0.5, 1.0, 1.5, 2.0):
            p = subprocess.Popen([MIMIC] + arguments(iso, state), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(delay)
            p.kill()
            p.wait()
        boot(iso, state)
        variables(state)

def thrown_away():
    with scratch() as d:
        iso, state = cd(d), os.path.join(d, "state")
        code, out = run(arguments(iso, state) + ["--throwaway"], 240)
        check("@I done" in out and code == 0, "exit code %d:\n%s" % (code, out[-1500:]))
        check(not os.path.exists(os.path.join(state, "nvram.fd")), "variables were kept")

def by_their_roms():
    """Adapters that OVMF has no driver for: GRUB reads and writes by the driver in their ROM."""
    with scratch() as d:
        tree = grub(d, KEEPS)
        subprocess.run(["grub-editenv", os.path.join(tree, "boot", "grub", "kept"), "set", "word=kept"], check=True)
        disk, other = image(d, tree), os.path.join(d, "other.img")
        with open(other, "wb") as f:
            f.write(b"the other disk's".ljust(1 << 20, b"\0"))
        for bus in ("lsilogic", "lsisas1068"):
            for word in ("kept", "kept.kept"):
                code, out = run(["run", "--firmware", "efi", "--disk", disk, "--disk", other, "--disk-bus", bus,
                                 "--memory", "256", "--console", "serial", "--state", os.path.join(d, bus)], 240)
                check(code == 0 and "Scsi(0x0,0x0)" in out and re.search(r"@G was %s\s" % word, out) and
                      "the other disk's" in out, "%s, exit code %d:\n%s" % (bus, code, out[-1500:]))

def without_driver():
    """A BusLogic adapter, for which no EFI firmware of ours has a driver: said before the guest starts."""
    with scratch() as d:
        disk = os.path.join(d, "a.img")
        with open(disk, "wb") as f:
            f.truncate(1 << 20)
        s = Session([MIMIC, "run", "--firmware", "efi", "--disk", disk, "--disk-bus", "buslogic", "--memory", "128",
                     "--console", "serial", "--throwaway"])
        s.expect("lost +buslogic: the EFI firmware has no driver for buslogic: the guest cannot boot", 60)
        s.kill()

ORDER = """.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "19"
displayName = "order"
firmware = "efi"
memsize = "256"
serial0.present = "TRUE"
bios.bootOrder = "hdd"
bios.hddOrder = "%s"
"""
DISKS = {"scsi0:1": "pvscsi", "scsi1:0": "lsilogic", "sata0:2": "", "ide0:0": "", "nvme0:0": ""}

def boot_order():
    """A VMware configuration with disks that all boot: the one that it says, on each kind of controller."""
    with scratch() as d:
        text = ORDER
        for slot, kind in DISKS.items():
            name = slot.replace(":", "-")
            folder = os.path.join(d, name)
            os.mkdir(folder)
            iso = image(folder, grub(folder, "terminal_output serial\nserial\necho \"@G from %s\"\nhalt\n" % slot))
            subprocess.run([MIMIC, "disk", "convert", "-q", "--from", "raw", iso, os.path.join(d, name + ".vmdk")],
                           check=True)
            text += '%s.present = "TRUE"\n%s.fileName = "%s.vmdk"\n' % (slot, slot, name)
            text += '%s.present = "TRUE"\n' % slot.split(":")[0]
            text += '%s.virtualDev = "%s"\n' % (slot.split(":")[0], kind) if kind else ""
        for first in DISKS:
            with open(os.path.join(d, "order.vmx"), "w") as f:
                f.write(text % first)
            code, out = run(["run", "--console", "serial", "--throwaway", os.path.join(d, "order.vmx")], 240)
            check(code == 0 and "@G from %s" % first in out, "%s first, exit code %d:\n%s" % (first, code, out[-1500:]))

main([("OVMF, GRUB, kernel, twice with one store", through_grub),
      ("killed four times, then booted", killed_while_it_writes),
      ("throwaway variables", thrown_away), ("disks by the drivers in their adapters' ROMs", by_their_roms),
      ("disks that EFI has no driver for", without_driver), ("the boot order", boot_order)])
