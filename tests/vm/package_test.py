#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian VM packaged for VMware: SeaBIOS, GRUB, its own kernel, systemd, VMware's devices."""
import os, signal, subprocess, sys, time, urllib.request
import load
from vmtest import MIMIC, OVA, SOURCE, Session, check, main, scratch

sys.path.insert(0, os.path.join(SOURCE, "tools"))
import bench_idle  # noqa: E402

def start(state, *args):
    return Session([MIMIC, "run", "--console", "serial", "--state", state] + list(args) + [OVA])

def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]

class Guest:
    """One boot, shared by the cases that only look."""
    dir = scratch()
    state = os.path.join(dir.name, "state")
    session = None
    port = free_port()

def boot_to_login():
    before = os.stat(OVA)
    Guest.session = s = start(Guest.state, "--publish", "%d:8000" % Guest.port)
    s.login(600)
    check("Loading Linux" in s.text, "GRUB was not seen")
    after = os.stat(OVA)
    check((before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size), "the package was written to")

def believes_in_vmware():
    s = Guest.session
    check(s.shell("systemd-detect-virt") == "vmware", "systemd-detect-virt")
    check("VMware" in s.shell("cat /sys/class/dmi/id/sys_vendor"), "DMI vendor")
    log = s.shell("dmesg")
    for line in ("Hypervisor detected: VMware", "vmware: TSC freq read from hypervisor"):
        check(line in log, "the kernel's log has no \"%s\"" % line)

def finds_its_devices():
    s = Guest.session
    check("vmw_pvscsi" in s.shell("basename $(readlink -f /sys/block/sda/device/../../../driver)"), "disk driver")
    check("vmxnet3" in s.shell("basename $(readlink -f /sys/class/net/e*/device/driver)"), "network driver")
    s.shell("test -d /sys/class/net/ens192")  # named by the slot number of the package
    s.shell("test -d /sys/bus/pci/devices/0000:0b:00.0/net")  # behind the root port of that number
    s.shell("test -d /sys/bus/pci/devices/0000:03:00.0/host0")
    load.address(s)

def little_memory_at_rest():
    """What the booted VM needs beyond the guest's RAM, translated code included, once it has little to do."""
    for _ in range(90):
        maps = bench_idle.mappings(Guest.session.pid)
        if sum(maps.values()) <= bench_idle.MEMORY_MIB << 10:
            return
        time.sleep(1)
    check(False, "it keeps %d MiB: %s" % (sum(maps.values()) >> 10, maps))

def disk_under_load():
    load.disk(Guest.session)

def network_under_load():
    load.network(Guest.session)

def programs_do_not_crash():
    """Many short ones, that bind their symbols late: some of them run directly for a while."""
    s = Guest.session
    s.shell("dmesg -C; for i in $(seq 60); do ls -la /etc | md5sum | cut -c1-8; vmware-toolbox-cmd timesync status;"
            " done >/dev/null 2>&1; true", 200)
    crashed = s.shell("dmesg | grep -E -A 2 'traps:|segfault' || true")
    check(crashed == "", "programs crashed: " + crashed)

def sleeps_and_wakes():
    """To RAM, until its alarm: SeaBIOS finds where the guest goes on; disk and network are there again."""
    s = Guest.session
    s.shell("rtcwake -m mem -s 2", 60)
    check("PM: suspend exit" in s.shell("dmesg | tail -n 30"), "it did not sleep")
    s.shell("dd if=/dev/urandom of=/root/after bs=1M count=2; sync; echo 3 >/proc/sys/vm/drop_caches; md5sum /root/after")
    s.shell("ping -c 6 -i 0.4 10.0.2.2", 60)  # one answer is enough

def published_port():
    s = Guest.session
    s.shell("cd /etc && (while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nfrom the guest' | nc -l -p 8000 -q 1; done >/dev/null 2>&1 &) ; true"
            if "nc" in s.shell("command -v nc || true") else
            "perl -MIO::Socket::INET -e 'fork and exit; $l=IO::Socket::INET->new(LocalPort=>8000,Listen=>5,ReuseAddr=>1) or die; "
            "while($c=$l->accept){$c->recv($b,999);print $c \"HTTP/1.0 200 OK\\r\\n\\r\\nfrom the guest\";close $c}'")
    for _ in range(20):
        try:
            page = urllib.request.urlopen("http://127.0.0.1:%d/" % Guest.port, timeout=10).read()
            break
        except OSError:
            time.sleep(1)
    else:
        raise AssertionError("nobody answers at the published port")
    check(page == b"from the guest", "the page: %r" % page)

def powers_off():
    s = Guest.session
    s.shell("echo kept >/root/kept; sync")
    s.send("systemctl poweroff")
    check(s.wait(240) == 0, "exit code after power off: %s" % s.status)

def writes_are_kept_and_survive_kill():
    s = start(Guest.state)
    s.login(600)
    check(s.shell("cat /root/kept") == "kept", "the file of the first run")
    s.shell("md5sum /root/a >/root/sum; sync")
    s.send("while :; do dd if=/dev/urandom of=/root/w bs=64k count=200 conv=fsync 2>/dev/null; done")
    time.sleep(8)
    s.kill(signal.SIGKILL)
    overlay = [f for f in os.listdir(Guest.state) if f.endswith(".qcow2")]
    check(overlay, "no overlay in the state directory")
    s = start(Guest.state)
    s.login(600)
    check(s.shell("cat /root/kept") == "kept", "the file after kill -9")
    s.shell("md5sum -c /root/sum", 120)
    check(not s.shell("dmesg | grep -iE 'ext4.*(error|corrupt)' || true"), "the file system was damaged")
    os.kill(s.pid, signal.SIGTERM)
    check(s.wait(240) == 0, "SIGTERM presses the power button: exit code %s" % s.status)

def throwaway():
    s = start(os.path.join(Guest.dir.name, "other"), "--throwaway")
    s.login(600)
    s.shell("test ! -e /root/kept")
    s.kill(signal.SIGTERM)
    check(not os.path.exists(os.path.join(Guest.dir.name, "other")), "a throwaway run left something")

main([("SeaBIOS, GRUB and systemd to the login prompt", boot_to_login),
      ("the guest believes in VMware", believes_in_vmware),
      ("pvscsi and vmxnet3 by the guest's own drivers", finds_its_devices),
      ("little memory beyond the guest's RAM at rest", little_memory_at_rest),
      ("disk under load, data verified", disk_under_load),
      ("64 MiB each way through vmxnet3, verified", network_under_load),
      ("programs do not crash", programs_do_not_crash),
      ("sleep to RAM by SeaBIOS, until the alarm", sleeps_and_wakes),
      ("a published port", published_port), ("a clean power off", powers_off),
      ("writes are kept, also through kill -9", writes_are_kept_and_survive_kill),
      ("a throwaway run leaves nothing", throwaway)])
