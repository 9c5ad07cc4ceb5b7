#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build the test guest: a Debian kernel and an initial RAM disk of busybox, the kernel's
# storage and network drivers, and the tests of guest_init.sh.
#
# usage: initrd.sh CACHE-DIR [generic|cloud]     prints the kernel's path, then the initrd's
#
# Needs no root and no network beyond apt.  Kept in CACHE-DIR by the versions of the packages
# and the contents of both scripts.
set -eu

if [ $# -lt 1 ]; then
    echo "usage: initrd.sh CACHE-DIR [generic|cloud]" >&2
    exit 2
fi
mkdir -p "$1"
cache=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
flavour=${2:-generic}
case $flavour in
generic) meta=linux-image-amd64 ;;
cloud) meta=linux-image-cloud-amd64 ;;
*)
    echo "initrd.sh: no kernel $flavour" >&2
    exit 2
    ;;
esac
modules="vmw_pvscsi mptspi mptsas BusLogic nvme ahci vmxnet3 e1000 e1000e pcnet32 ata_piix sd_mod sr_mod isofs virtio_pci virtio_blk virtio_net
virtio_console virtio_rng vmw_vsock_vmci_transport vmw_vsock_virtio_transport ext4
crc32c_generic af_packet xhci_pci ehci_pci uhci_hcd usb_storage usbhid hid_generic evdev"
# Loaded by who wants them: insmod /modules/floppy.ko
more="floppy parport parport_pc lp vmwgfx"

kernel_package=$(apt-cache depends $meta | awk '/Depends: linux-image/ { print $2; exit }')
versions=$(apt-cache policy "$kernel_package" busybox-static | awk '/Candidate:/ { print $2 }')
key=$( { cat "$here/initrd.sh" "$here/guest_init.sh"; echo "$flavour $versions"; } |
    sha256sum | cut -c1-16)
kernel=$cache/vmlinuz-$flavour-$key
initrd=$cache/initrd-$flavour-$key
if [ ! -s "$initrd" ]; then
    work=$(mktemp -d "$cache/initrd.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' INT TERM
    chmod 755 "$work"
    (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$kernel_package" \
        busybox-static) >&2
    for deb in "$work"/*.deb; do
        dpkg-deb -x "$deb" "$work/x"
    done
    tree=$work/tree
    mkdir -p "$tree/bin" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/mnt" "$tree/tmp" \
        "$tree/modules"
    cp "$work/x/bin/busybox" "$tree/bin/busybox"
    cp "$here/guest_init.sh" "$tree/init"
    chmod 755 "$tree/init"

    # Modules with what they depend on, in the order in which they must be loaded.
    find "$work/x/lib/modules" -name '*.ko' >"$work/all"
    : >"$tree/modules/order"
    add_module()
    {
        # A name has _ where its file may have -.
        pattern=$(echo "$1" | sed 's/[_-]/[_-]/g')
        grep -qx "$1" "$tree/modules/order" && return
        file=$(grep "/$pattern\.ko\$" "$work/all" || true)
        [ -n "$file" ] || return 0 # built in, or not in this flavour
        for need in $(tr '\0' '\n' <"$file" | sed -n 's/^depends=//p' | tr ',' ' '); do
            (add_module "$need")
        done
        grep -qx "$1" "$tree/modules/order" && return
        cp "$file" "$tree/modules/$1.ko"
        echo "$1" >>"$tree/modules/order"
    }
    for m in $modules; do
        add_module "$m"
    done
    cp "$tree/modules/order" "$work/order"
    for m in $more; do
        add_module "$m"
    done
    mv "$work/order" "$tree/modules/order"
    (cd "$tree" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet | gzip -1 \
        >"$work/initrd")
    cp "$work"/x/boot/vmlinuz-* "$kernel"
    mv "$work/initrd" "$initrd"
fi
echo "$kernel"
echo "$initrd"
