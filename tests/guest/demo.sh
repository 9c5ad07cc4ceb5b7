#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build the demo guest: a Debian 12 VM out of Debian's own packages, packaged as VMware
# packages one: OVF descriptor, SHA256 manifest and a streamOptimized VMDK in a tar.
#
# usage: demo.sh CACHE-DIR [demo|wide|i386]     prints the path of the .ova as its last line
#
# demo: one kernel, started by BIOS.  wide: Debian's generic kernel when EFI starts it, the cloud
# kernel when BIOS does.  i386: a 32-bit Debian, started by BIOS.
#
# Runs as root (a chroot is needed), without loop devices.  The file is kept in CACHE-DIR
# under a name made of this script and the versions of the packages that matter; a second run
# answers at once.  In the guest: user root, password mimic; the console is the screen and
# the first serial line; DHCP on every wired interface.
set -eu

usage()
{
    echo "usage: demo.sh CACHE-DIR [demo|wide|i386]" >&2
    exit 2
}

[ $# -ge 1 ] && [ $# -le 2 ] || usage
mkdir -p "$1"
cache=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
suite=bookworm
disk_mib=2048
start_mib=1
efi_mib=0
arch=amd64
case ${2:-demo} in
demo)
    name=debian12-vmware
    kernels=linux-image-amd64
    ;;
wide)
    name=debian12-wide
    kernels=linux-image-amd64,linux-image-cloud-amd64,grub-efi-amd64-bin
    efi_mib=16
    ;;
i386)
    name=debian12-i386
    kernels=linux-image-686-pae
    arch=i386
    ;;
*) usage ;;
esac

say()
{
    echo "demo guest: $*" >&2
}

versions()
{
    apt-cache policy linux-image-amd64 systemd grub-pc-bin 2>/dev/null |
        awk '/^[^ ]/ { p = $1 } /Candidate:/ { print p, $2 }'
}

key=$( { cat "$here/demo.sh" "$here/demo.ovf"; echo "$name"; versions; } | sha256sum | cut -c1-16)
out=$cache/$name-$key.ova
if [ -s "$out" ]; then
    say "kept from an earlier run"
    echo "$out"
    exit 0
fi
for tool in mmdebstrap mke2fs qemu-img tar sha256sum; do
    command -v $tool >/dev/null || {
        say "the program $tool is missing (packages: mmdebstrap e2fsprogs qemu-utils)"
        exit 1
    }
done
if [ "$(id -u)" -ne 0 ]; then
    say "must run as root: it makes files of many owners"
    exit 1
fi

work=$(mktemp -d "$cache/demo.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
root=$work/root

# The host's own Debian mirror, when it is of the same suite.
sources()
{
    for f in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
        if grep -qs "^[^#]*$suite" "$f"; then
            echo "$f"
            return
        fi
    done
}

# Drivers of hardware that no VM has, documents and translations stay out.
install_packages()
{
    include=systemd-sysv,udev,dbus,kmod,login,passwd,iproute2,iputils-ping,netbase,wget,zstd
    include=$include,initramfs-tools,$kernels,grub-pc-bin,grub2-common,pciutils
    include=$include,open-vm-tools,qemu-guest-agent
    set --
    for d in sound drivers/gpu drivers/media drivers/staging drivers/infiniband drivers/isdn \
        drivers/iio drivers/net/wireless drivers/net/ethernet drivers/net/can drivers/net/usb \
        drivers/bluetooth drivers/hwmon drivers/mtd drivers/thunderbolt drivers/comedi \
        drivers/nfc drivers/platform net/wireless net/mac80211 net/bluetooth net/nfc net/can \
        fs/ocfs2 fs/ceph fs/afs fs/gfs2 drivers/firewire drivers/usb/gadget drivers/leds; do
        set -- "$@" --dpkgopt="path-exclude=/lib/modules/*/kernel/$d/*"
    done
    for d in intel amd dec realtek; do
        set -- "$@" --dpkgopt="path-include=/lib/modules/*/kernel/drivers/net/ethernet/$d/*"
    done
    for d in doc man info locale lintian bug; do
        set -- "$@" --dpkgopt="path-exclude=/usr/share/$d/*"
    done
    # A list that a mirror cannot give now (security's, while it is in motion) is done without.
    debian "$@" $(sources) || {
        say "again, by the first source only"
        rm -rf "$root"
        sed '/^$/q' $(sources) >"$work/first.sources"
        debian "$@" "$work/first.sources"
    }
}

# debian OPTIONS... SOURCES
debian()
{
    mmdebstrap --quiet --mode=root --variant=apt --format=directory --include="$include" \
        --architectures=$arch --aptopt='Acquire::Languages "none"' \
        --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
        --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"' \
        --essential-hook='printf "MODULES=most\nCOMPRESS=zstd\nCOMPRESSLEVEL=1\n" \
            >"$1/etc/initramfs-tools/conf.d/demo"' \
        $suite "$root" "$@" >&2
}

configure()
{
    printf 'UUID=%s / ext4 errors=remount-ro,noatime 0 1\n' "$uuid" >"$root/etc/fstab"
    echo demo >"$root/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 demo\n' >"$root/etc/hosts"
    rm -f "$root/etc/resolv.conf"
    echo 'nameserver 10.0.2.3' >"$root/etc/resolv.conf"
    mkdir -p "$root/etc/systemd/network"
    printf '[Match]\nName=en* eth*\n\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n' \
        >"$root/etc/systemd/network/80-wired.network"
    echo 'root:mimic' | chroot "$root" chpasswd
    chroot "$root" systemctl --quiet enable systemd-networkd
    chroot "$root" systemctl --quiet disable systemd-networkd-wait-online apt-daily.timer \
        apt-daily-upgrade.timer open-vm-tools vgauth qemu-guest-agent # tests start what they want
    rm -f "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/*_* "$root"/etc/machine-id
    chroot "$root" systemd-machine-id-setup >/dev/null 2>&1 # else the first boot sets units anew
}

# menu_entry KERNEL-FILE
menu_entry()
{
    cat <<EOF
menuentry 'Debian GNU/Linux ${1#vmlinuz-}' {
    echo 'Loading Linux ${1#vmlinuz-} ...'
    linux /boot/$1 root=UUID=$uuid ro console=tty0 console=ttyS0,115200
    echo 'Loading initial ramdisk ...'
    initrd /boot/initrd.img-${1#vmlinuz-}
}
EOF
}

# By name the generic kernel is the first one, and the cloud kernel the second.
grub_menu()
{
    cat <<EOF
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set default=0
set timeout=1
search --no-floppy --fs-uuid --set=root $uuid
EOF
    [ $efi_mib = 0 ] || printf 'if [ "$grub_platform" = pc ]; then\n    set default=1\nfi\n'
    for k in "$root"/boot/vmlinuz-*; do
        menu_entry "$(basename "$k")"
    done
}

# grub_image FORMAT FILE MODULES: what finds the menu
grub_image()
{
    cp -r "$root/usr/lib/grub/$1" "$root/boot/grub/$1"
    rm -f "$root/boot/grub/$1"/*.module
    format=$1 file=$2
    shift 2
    chroot "$root" grub-mkimage -O "$format" -o "/boot/grub/$format/$file" \
        -p '(hd0,msdos1)/boot/grub' part_msdos ext2 normal configfile linux search \
        search_fs_uuid serial terminal echo minicmd "$@"
}

# GRUB's core images with all that they need before the menu; the rest lies in /boot/grub.
install_grub()
{
    mkdir -p "$root/boot/grub"
    grub_menu >"$root/boot/grub/grub.cfg"
    grub_image i386-pc core.img biosdisk
    [ $efi_mib = 0 ] || grub_image x86_64-efi bootx64.efi
}

# A number as four bytes, lowest first, the way printf takes them.
le32()
{
    printf '\\%03o\\%03o\\%03o\\%03o' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) \
        $(($1 >> 24 & 255))
}

# The first sector behind its code: disk signature, one active Linux partition, EFI's or none,
# 0xaa55.
partition_table()
{
    printf "$(le32 "$(od -An -N4 -tu4 /dev/urandom)")\0\0"
    printf "\200\376\377\377\203\376\377\377$(le32 $((start_mib * 2048)))"
    printf "$(le32 $((root_mib * 2048)))"
    if [ $efi_mib = 0 ]; then
        head -c 16 /dev/zero
    else
        printf "\0\376\377\377\357\376\377\377$(le32 $(((start_mib + root_mib) * 2048)))"
        printf "$(le32 $((efi_mib * 2048)))"
    fi
    head -c 32 /dev/zero
    printf '\125\252'
}

# What EFI starts from a disk that it knows nothing of.
efi_partition()
{
    mkfs.vfat -F 16 -C "$work/esp" $((efi_mib * 1024)) >/dev/null
    MTOOLS_SKIP_CHECK=1 mmd -i "$work/esp" ::/EFI ::/EFI/BOOT
    MTOOLS_SKIP_CHECK=1 mcopy -i "$work/esp" "$root/boot/grub/x86_64-efi/bootx64.efi" \
        ::/EFI/BOOT/BOOTX64.EFI
    dd if="$work/esp" of="$img" bs=1M seek=$((start_mib + root_mib)) conv=notrunc status=none
}

# MBR code, GRUB's core behind it, one partition: by plain copying, no loop device.
make_disk()
{
    img=$work/disk.img
    root_mib=$((disk_mib - start_mib - efi_mib))
    truncate -s ${disk_mib}M "$img"
    dd if="$root/boot/grub/i386-pc/boot.img" of="$img" bs=440 count=1 conv=notrunc status=none
    partition_table | dd of="$img" bs=1 seek=440 conv=notrunc status=none
    dd if="$root/boot/grub/i386-pc/core.img" of="$img" bs=512 seek=1 conv=notrunc status=none
    if [ "$(stat -c %s "$root/boot/grub/i386-pc/core.img")" -gt $((start_mib * 1048576 - 512)) ]
    then
        say "GRUB's core image does not fit in front of the partition"
        exit 1
    fi
    mke2fs -q -t ext4 -U "$uuid" -L root -m 1 -O '^metadata_csum_seed,^orphan_file' \
        -E "offset=$((start_mib * 1048576)),lazy_itable_init=1,nodiscard" \
        -d "$root" "$img" $((root_mib * 1024))k >&2
    [ $efi_mib = 0 ] || efi_partition
}

# The descriptor first, then its manifest, then the disk, as VMware's exporter orders them.
make_package()
{
    qemu-img convert -f raw -O vmdk -o subformat=streamOptimized,adapter_type=lsilogic \
        "$work/disk.img" "$work/$name-disk1.vmdk"
    sed -e "s/@NAME@/$name/g" -e "s/@BYTES@/$(stat -c %s "$work/$name-disk1.vmdk")/" \
        -e "s/@CAPACITY@/$disk_mib/" -e "s/@USED@/$(($(stat -c %b "$work/disk.img") * 512))/" \
        "$here/demo.ovf" >"$work/$name.ovf"
    (
        cd "$work"
        for f in "$name.ovf" "$name-disk1.vmdk"; do
            echo "SHA256($f)= $(sha256sum "$f" | cut -d' ' -f1)"
        done >"$name.mf"
        tar --format=ustar --owner=0 --group=0 --numeric-owner -cf "$name.ova" \
            "$name.ovf" "$name.mf" "$name-disk1.vmdk"
    )
}

uuid=$(cat /proc/sys/kernel/random/uuid)
say "installing Debian packages (a few minutes)"
install_packages
say "configuring"
configure
install_grub
say "making the disk"
make_disk
say "packaging"
make_package
mv "$work/$name.ova" "$out"
echo "$out"
