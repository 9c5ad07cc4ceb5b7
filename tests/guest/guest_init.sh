#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# /init of the test guest.  The kernel's command line says what to do:
#
#   mimic.test=verify  mimic.disk=/dev/sda mimic.mib=16 mimic.jobs=4
#       every job writes its part of the disk, flushes, forgets what it cached, compares
#   mimic.test=journal mimic.disk=/dev/sda
#       writes numbered blocks for ever, says "FLUSHED n" after each flush: to be killed
#   mimic.test=check   mimic.disk=/dev/sda mimic.last=n
#       the first n numbered blocks of a journal are whole
#   mimic.test=net     mimic.url=http://10.0.2.2:8000/x
#       DHCP on the first card, then fetches the page and prints its checksum; with
#       mimic.back=PORT sends it back there
#   mimic.test=vsock   mimic.do=call,6000,4:refused,7
#       runs /vsock for each part, words apart by commas; it is in an archive after ours
#   mimic.test=none    boots and powers off          (anything else: a shell)
#
# The last line is "TEST GUEST: PASS" or "TEST GUEST: FAIL ...", then the machine powers off.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
exec </dev/console >/dev/console 2>&1
for m in $(cat /modules/order); do
    insmod "/modules/$m.ko" 2>/dev/null
done

setting()
{
    for word in $(cat /proc/cmdline); do
        case $word in
        "mimic.$1="*) echo "${word#*=}" && return ;;
        esac
    done
    echo "$2"
}

finish()
{
    echo "TEST GUEST: $*"
    sync
    poweroff -f
}

wait_for() # a device: drivers look for theirs beside us
{
    tries=0
    until [ -e "$1" ]; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || finish "FAIL no $1"
        usleep 100000
    done
}

disk=$(setting disk /dev/sda)

# One MiB that no other number has.
pattern()
{
    yes "block $1 of the test guest, $(($1 * 7919))" | head -c 1048576
}

# On the disk when it returns: sync alone does not flush the cache of a disk without a file system.
write_block()
{
    pattern "$1" | dd of="$disk" bs=64k seek=$(($1 * 16)) conv=notrunc,fsync iflag=fullblock \
        2>/dev/null
}

block_is_whole()
{
    [ "$(pattern "$1" | md5sum)" = \
        "$(dd if="$disk" bs=64k skip=$(($1 * 16)) count=16 2>/dev/null | md5sum)" ]
}

verify_part() # first block, blocks
{
    n=$1
    while [ "$n" -lt $(($1 + $2)) ]; do
        write_block "$n" || return 1
        n=$((n + 1))
    done
    sync
    echo 3 >/proc/sys/vm/drop_caches
    n=$1
    while [ "$n" -lt $(($1 + $2)) ]; do
        block_is_whole "$n" || return 1
        n=$((n + 1))
    done
}

test_verify()
{
    wait_for "$disk"
    jobs=$(setting jobs 4)
    each=$(($(setting mib 16) / jobs))
    i=0
    while [ $i -lt "$jobs" ]; do
        (verify_part $((i * each)) $each && : >/tmp/ok.$i) &
        i=$((i + 1))
    done
    wait
    i=0
    while [ $i -lt "$jobs" ]; do
        [ -e /tmp/ok.$i ] || finish "FAIL part $i of $disk differs"
        i=$((i + 1))
    done
    finish PASS
}

test_journal()
{
    wait_for "$disk"
    n=0
    while write_block $n; do
        echo "FLUSHED $n"
        n=$((n + 1))
    done
    finish "FAIL cannot write block $n"
}

test_check()
{
    wait_for "$disk"
    n=0
    while [ $n -lt "$(setting last 0)" ]; do
        block_is_whole $n || finish "FAIL block $n was flushed and is not there"
        n=$((n + 1))
    done
    finish PASS
}

test_net()
{
    wait_for /sys/class/net/eth0
    cat >/tmp/lease <<'EOF'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/${mask:-24}" dev "$interface"
ip route add default via "$router"
EOF
    chmod 755 /tmp/lease
    ip link set eth0 up
    udhcpc -q -n -t 20 -i eth0 -s /tmp/lease || finish "FAIL no lease"
    ip addr show eth0
    wget -q -O /tmp/page "$(setting url http://10.0.2.2/)"
    sum=$(md5sum </tmp/page)
    echo "PAGE ${sum%% *}"
    back=$(setting back "")
    [ -z "$back" ] || nc 10.0.2.2 "$back" </tmp/page || finish "FAIL nothing could be sent back"
    finish PASS
}

test_vsock()
{
    for part in $(setting do "" | tr : ' '); do
        # shellcheck disable=SC2046 # words are what is wanted
        /vsock $(echo "$part" | tr , ' ') || finish "FAIL vsock $part"
    done
    finish PASS
}

case $(setting test shell) in
vsock) test_vsock ;;
verify) test_verify ;;
journal) test_journal ;;
check) test_check ;;
net) test_net ;;
none) finish PASS ;;
*)
    echo "TEST GUEST: shell"
    sh
    finish PASS
    ;;
esac
