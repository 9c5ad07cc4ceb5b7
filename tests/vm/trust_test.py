#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What VMs trust: a TPM, secure boot, variables that a package brings; and a disk that a BIOS
reaches by its adapter's own boot ROM."""
import os, re, shutil, struct, subprocess
from vmtest import CACHE, MIMIC, Session, Skip, check, kernels, main, run, scratch

SIGNED = ("shim-signed", "grub-efi-amd64-signed")
GRUB = """serial --unit=0 --speed=115200
terminal_output serial
set timeout=0
menuentry debian {
    linux /vmlinuz console=ttyS0 panic=-1 loglevel=7 '%s'
    initrd /initrd
}
"""
# Commands as bytes: startup is the kernel's own; ReadClock tells how often the TPM was reset.
ASK = ("run=exec~5<>/dev/tpm0;printf~\"%s\">&5;head~-c~%d~<&5|od~-An~-v~-tx1|tr~-d~'\\n'|"
       "sed~s/^/@T/;echo")
CLOCK = ASK % (r"\200\001\0\0\0\012\0\0\001\201", 35)
RANDOM = ASK % (r"\200\001\0\0\0\014\0\0\001\173\0\020", 28)
PCRS = "run=cat~/sys/class/tpm/tpm0/pcr-sha256/0|sed~s/^/@P/"

def need_swtpm():
    if not shutil.which("swtpm"):
        raise Skip("swtpm is not installed")

def answer(state, ask, *more):
    code, out = run(["run", "--kernel", os.path.join(kernels(), "vmlinuz-cloud"), "--initrd",
                     os.path.join(kernels(), "initrd-64"), "--append", "console=ttyS0 quiet " + ask,
                     "--memory", "256", "--console", "serial", "--tpm", "--state", state, *more], 180)
    m = re.search("@T([0-9a-f ]+)", out)
    check(m and code == 0, "no answer of the TPM:\n" + out[-1500:])
    return bytes.fromhex(m.group(1))

def tpm_keeps():
    need_swtpm()
    with scratch() as d:
        resets = []
        for _ in range(2):
            a = answer(os.path.join(d, "state"), CLOCK)
            check(a[:2] == b"\x80\x01" and a[6:10] == bytes(4), "ReadClock: " + a.hex())
            resets.append(struct.unpack(">I", a[26:30])[0])
        check(resets[1] > resets[0], "resets of one TPM in two runs: %s" % resets)
        a = answer(os.path.join(d, "other"), RANDOM, "--throwaway")
        check(a[6:10] == bytes(4) and len(set(a[12:])) > 4, "GetRandom: " + a.hex())
        check(not os.path.exists(os.path.join(d, "other", "tpm")), "a throwaway TPM was kept")

def tree(folder, ask):
    at = os.path.join(folder, "tree")
    os.makedirs(os.path.join(at, "boot", "grub"))
    shutil.copy(os.path.join(kernels(), "vmlinuz-cloud"), os.path.join(at, "vmlinuz"))
    shutil.copy(os.path.join(kernels(), "initrd-64"), os.path.join(at, "initrd"))
    with open(os.path.join(at, "boot", "grub", "grub.cfg"), "w") as f:
        f.write(GRUB % ask)
    return at

def hybrid(folder):
    """Starts as a CD and as a disk, by BIOS and by EFI; nobody has signed it."""
    image = os.path.join(folder, "any.iso")
    subprocess.run(["grub-mkrescue", "-o", image, tree(folder, "run=true")], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return image

def signed(folder):
    """A disk with Debian's shim, GRUB and kernel, as Microsoft and Debian have signed them."""
    kept = os.path.join(CACHE, "signed")
    if not os.path.exists(os.path.join(kept, "usr/lib/shim/shimx64.efi.signed")):
        os.makedirs(kept, exist_ok=True)
        for package in SIGNED:
            subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package],
                           cwd=kept, check=True, stdout=subprocess.DEVNULL)
        for name in os.listdir(kept):
            if name.endswith(".deb"):
                subprocess.run(["dpkg-deb", "-x", name, "."], cwd=kept, check=True)
    at, image = tree(folder, PCRS), os.path.join(folder, "signed.img")
    with open(image, "wb") as f:
        f.truncate(40 << 20)
    subprocess.run(["mkfs.vfat", image], check=True, stdout=subprocess.DEVNULL)
    def put(path, to):
        subprocess.run(["mcopy", "-i", image, path, "::" + to], check=True)
    for name in ("EFI", "EFI/BOOT", "EFI/debian"):
        subprocess.run(["mmd", "-i", image, "::" + name], check=True)
    put(os.path.join(kept, "usr/lib/shim/shimx64.efi.signed"), "EFI/BOOT/BOOTX64.EFI")
    put(os.path.join(kept, "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"),
        "EFI/BOOT/grubx64.efi")
    put(os.path.join(at, "vmlinuz"), "vmlinuz")
    put(os.path.join(at, "initrd"), "initrd")
    put(os.path.join(at, "boot", "grub", "grub.cfg"), "EFI/debian/grub.cfg")
    return image

def signed_starts():
    need_swtpm()
    with scratch() as d:
        code, out = run(["run", "--secure-boot", "--tpm", "--disk", signed(d), "--format", "raw",
                         "--net", "none", "--memory", "512", "--console", "serial",
                         "--throwaway"], 240)
        check("secureboot: Secure boot enabled" in out and code == 0,
              "secure boot is off:\n" + out[-1500:])
        m = re.search("@P([0-9A-F]{64})", out)
        check(m and set(m.group(1)) != {"0"}, "the firmware measures nothing:\n" + out[-1500:])

def unsigned_refused():
    with scratch() as d:
        s = Session([MIMIC, "run", "--secure-boot", "--cdrom", hybrid(d), "--net", "none",
                     "--memory", "512", "--console", "serial", "--throwaway"])
        s.expect("Access Denied", 180)
        s.kill()

def buslogic_starts():
    with scratch() as d:
        code, out = run(["run", "--disk", hybrid(d), "--format", "raw", "--disk-bus", "buslogic",
                         "--net", "none", "--memory", "512", "--console", "serial",
                         "--throwaway"], 240)
        check("@I done" in out and code == 0, "exit code %d:\n%s" % (code, out[-1500:]))

main([("a TPM answers, and keeps what it should", tpm_keeps),
      ("secure boot: shim, GRUB, kernel as signed, measured", signed_starts),
      ("secure boot: unsigned is refused", unsigned_refused),
      ("BIOS boot from BusLogic", buslogic_starts)])
