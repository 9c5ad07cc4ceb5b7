#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""EFI guests: OVMF, GRUB from a CD, a Debian kernel; variables that outlive the VM and kill -9."""
import os, shutil, subprocess, time
from vmtest import MIMIC, check, kernels, main, run, scratch

GRUB = """serial --unit=0 --speed=115200
terminal_output serial
set timeout=0
menuentry debian {
    linux /vmlinuz console=ttyS0 panic=-1 loglevel=7
    initrd /initrd
}
"""

def cd(folder):
    tree = os.path.join(folder, "tree")
    os.makedirs(os.path.join(tree, "boot", "grub"))
    shutil.copy(os.path.join(kernels(), "vmlinuz-cloud"), os.path.join(tree, "vmlinuz"))
    shutil.copy(os.path.join(kernels(), "initrd-64"), os.path.join(tree, "initrd"))
    with open(os.path.join(tree, "boot", "grub", "grub.cfg"), "w") as f:
        f.write(GRUB)
    iso = os.path.join(folder, "efi.iso")
    subprocess.run(["grub-mkrescue", "-o", iso, tree], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return iso

def arguments(iso, state):
    return ["run", "--firmware", "efi", "--cdrom", iso, "--memory", "512", "--console", "serial",
            "--no-reboot", "--state", state]

def boot(iso, state):
    code, out = run(arguments(iso, state), 240)
    check("starting Boot000" in out, "the firmware started nothing:\n" + out[-1500:])
    check("efi: EFI v2" in out, "the kernel sees no EFI:\n" + out[-1500:])
    check("@I done" in out and code == 0, "exit code %d:\n%s" % (code, out[-1500:]))

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

main([("OVMF, GRUB, kernel, twice with one store", through_grub),
      ("killed four times, then booted", killed_while_it_writes),
      ("throwaway variables", thrown_away)])
