#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Fetch Debian's kernels and make a busybox initrd for each word size, out of Debian packages.
#
# usage: kernels.sh CACHE-DIR
#
# Leaves vmlinuz-cloud, vmlinuz-generic, vmlinuz-686, vmlinuz-686-pae, initrd-64, initrd-32 in
# CACHE-DIR/kernels.  apt works on a private state there, so the host's list of architectures
# stays as it is.  The initrd's init prints "@I init", runs what "run=" on the kernel's command
# line says, prints "@I done" and powers off.
set -eu
mkdir -p "$1/kernels"
dir=$(cd "$1/kernels" && pwd)
[ -e "$dir/complete" ] && exit 0
work=$(mktemp -d "$dir/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
: >"$work/status"
apt_private()
{
    apt-get -qq -o Dir::State="$work/state" -o Dir::State::status="$work/status" \
        -o Dir::Cache="$work/cache" -o APT::Architecture="$arch" -o APT::Architectures="$arch" \
        -o APT::Sandbox::User=root "$@"
}
show_private()
{
    apt-cache -o Dir::State="$work/state" -o Dir::State::status="$work/status" \
        -o Dir::Cache="$work/cache" -o APT::Architecture="$arch" -o APT::Architectures="$arch" "$@"
}
# unpack PACKAGE into $work/x
unpack()
{
    rm -rf "$work/x" "$work"/*.deb
    (cd "$work" && apt_private download "$1" >/dev/null && dpkg-deb -x ./*.deb x)
}
# kernel META-PACKAGE NAME
kernel()
{
    package=$(show_private depends "$1" | awk '/Depends: linux-image-/ { print $2; exit }')
    unpack "$package"
    cp "$work"/x/boot/vmlinuz-* "$dir/vmlinuz-$2"
}
# initrd NAME
initrd()
{
    unpack busybox-static
    r=$work/root
    rm -rf "$r"
    mkdir -p "$r/bin" "$r/proc" "$r/sys" "$r/dev" "$r/tmp"
    cp "$work/x/bin/busybox" "$r/bin/busybox"
    cat >"$r/init" <<'EOF'
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
exec </dev/console >/dev/console 2>&1
echo "@I init"
echo "@I cpus $(nproc) bits $(uname -m) detect $(cat /sys/class/dmi/id/product_name 2>/dev/null)"
for w in $(cat /proc/cmdline); do
    case $w in run=*) echo "${w#run=}" | tr '~' ' ' | sh ;; esac
done
echo "@I done"
poweroff -f
EOF
    chmod +x "$r/init"
    (cd "$r" && find . | cpio -o -H newc --quiet | gzip -1) >"$dir/initrd-$1"
}

# A list that a mirror cannot give now (security's, while it is in motion) is done without.
update()
{
    apt_private update || echo "kernels.sh: going on without the lists that could not be had" >&2
}

arch=amd64
update
kernel linux-image-cloud-amd64 cloud
kernel linux-image-amd64 generic
initrd 64
arch=i386
update
kernel linux-image-686 686
kernel linux-image-686-pae 686-pae
initrd 32
: >"$dir/complete"
