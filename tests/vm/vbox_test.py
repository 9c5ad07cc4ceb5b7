#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian VM converted for VirtualBox, run as it is: AHCI, Intel E1000, work for both."""
import os, time
import load
from vmtest import MIMIC, OVA, Session, check, main, run, scratch

class Guest:
    """One boot, shared by the cases."""
    dir = scratch()
    package = os.path.join(dir.name, "debian.vbox")
    session = None

def start(*args):
    return Session([MIMIC, "run", "--console", "serial", "--state", os.path.join(Guest.dir.name, "state")] +
                   list(args) + [Guest.package])

def boots():
    code, out = run(["convert", "-q", OVA, Guest.package], 300)
    check(code == 0, out)
    Guest.session = start()
    Guest.session.login(600)

def has_its_devices():
    s = Guest.session
    check("ahci" in s.shell("basename $(readlink -f /sys/block/sda/device/../../../../driver)"), "disk driver")
    check("e1000" in s.shell("basename $(readlink -f /sys/class/net/e*/device/driver)"), "network driver")
    check("NCQ" in s.shell("dmesg | grep 'ata.*NCQ'"), "no command queue")
    load.address(s)

def disk_under_load():
    load.disk(Guest.session)

def network_under_load():
    load.network(Guest.session)

def killed_in_mid_write():
    s = Guest.session
    s.shell("cp /root/a /root/kept; sync; md5sum </root/kept >/root/sum; sync")
    s.send("dd if=/dev/urandom of=/root/lost bs=1M count=200 conv=fsync")
    time.sleep(1) # into the middle of it
    s.kill()
    s = Guest.session = start()
    s.login(600)
    s.shell("md5sum </root/kept | cmp - /root/sum", 120)

def powers_off():
    s = Guest.session
    s.send("systemctl poweroff")
    check(s.wait(240) == 0, "exit code after power off: %s" % s.status)

main([("VirtualBox package to login", boots), ("AHCI and E1000", has_its_devices),
      ("disk under load", disk_under_load), ("network under load", network_under_load),
      ("killed in mid-write, runs again", killed_in_mid_write), ("power off", powers_off)])
