# SPDX-License-Identifier: GPL-2.0-or-later
"""What a firmware starts from: a CD that is a disk as well, with GRUB and Debian's kernel, and a
disk whose programs are signed."""
import os, shutil, subprocess
from vmtest import CACHE, Skip, kernels

SIGNED = ("shim-signed", "grub-efi-amd64-signed")
GRUB = """serial --unit=0 --speed=115200
terminal_output serial
set timeout=0
menuentry debian {
    linux /vmlinuz console=ttyS0 panic=-1 loglevel=7 '%s'
    initrd /initrd
}
"""
def need_swtpm():
    if not shutil.which("swtpm"):
        raise Skip("swtpm is not installed")

def tree(folder, ask):
    at = os.path.join(folder, "tree")
    os.makedirs(os.path.join(at, "boot", "grub"))
    shutil.copy(os.path.join(kernels(), "vmlinuz-cloud"), os.path.join(at, "vmlinuz"))
    shutil.copy(os.path.join(kernels(), "initrd-64"), os.path.join(at, "initrd"))
    with open(os.path.join(at, "boot", "grub", "grub.cfg"), "w") as f:
        f.write(GRUB % ask)
    return at

def hybrid(folder, ask="run=true"):
    """Starts as a CD and as a disk, by BIOS and by EFI; nobody has signed it."""
    image = os.path.join(folder, "any.iso")
    subprocess.run(["grub-mkrescue", "-o", image, tree(folder, ask)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return image

def signed(folder, ask):
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
    at, image = tree(folder, ask), os.path.join(folder, "signed.img")
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
