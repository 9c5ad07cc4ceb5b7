#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Saving a VM whose boot sector writes and reads back without a pause: on each controller, without
a state directory, moved to another place, two at once, and killed while it is saved."""
import os, random, shutil, signal, struct, subprocess, time
from saving import DIR, ENV, RUN, ends, file, mimic, restore, save, moves, start
from vmtest import MIMIC, check, main

ROUNDS = int(os.environ.get("MIMIC_SAVE_ROUNDS", "3"))

def sector(ticks):
    """For so many ticks of 55 ms: counts in sector 5, and reads it back; ends the VM with 0x31."""
    code = bytes.fromhex("31c08ed8fb8b1e6c04"        # bx = the ticks now
                         "ff06007e"                  # again: count
                         "be507cb80043cd137223"      # INT 13h, function 43h: write
                         "be607cb442cd13721a"        # function 42h: read
                         "a1007e3b0600807511"        # the same?
                         "a16c0429d83d") + struct.pack("<H", ticks) + bytes.fromhex(
                             "72d6b031e6f4f4ebfd"    # until the time is over
                             "b07fe6f4f4")           # bad
    code = code.ljust(0x50, b"\0") + struct.pack("<HHHHQ", 16, 1, 0x7e00, 0, 5)
    code = code.ljust(0x60, b"\0") + struct.pack("<HHHHQ", 16, 1, 0x8000, 0, 5)
    return code.ljust(510, b"\0") + b"\x55\xaa"

def make(name, ticks):
    os.makedirs(file(name))
    disk = file(name, "disk.raw")
    with open(disk, "wb") as f:
        f.write(sector(ticks).ljust(4 << 20, b"\0"))
    return disk

def boot(name, disk, *options):
    return start(["run", "--quiet", "--console", "none", "--testdev", "--memory", "64", "--state",
                  file(name, "state")] + list(options) + [disk])

def each_controller():
    for bus in ("ide", "ahci", "pvscsi", "lsilogic", "lsisas1068", "nvme", "virtio_blk"):
        name = "on-" + bus
        n = moves(name, boot(name, make(name, 60), "--disk-bus", bus), 8)
        check(n > 0, "%s: never saved" % bus)

def without_state():
    p = boot("throwaway", make("throwaway", 60), "--throwaway")
    check(moves("throwaway", p, 8) > 0, "never saved")
    check(os.path.exists(file("throwaway", "saved0.disk0.qcow2")), "no copy of the disk's writes")
    check(not os.path.exists(file("throwaway", "state")), "something is kept")
    ends(restore(file("throwaway", "saved0"), "--as-copy"))

def moved():
    p = boot("before", make("before", 60))
    check(save(p, file("before", "saved")), "it ended")
    ends(p, 0)
    os.rename(file("before"), file("after"))
    ends(restore(file("after", "saved")))
    ends(restore(file("after", "saved"), "--revert"))
    ends(restore(file("after", "saved"), "--as-copy", "--state", file("after", "copy")))

def two_at_once():
    p = boot("two", make("two", 100))
    check(save(p, file("two", "first"), "--keep-running"), "it ended")
    both = [subprocess.Popen([MIMIC, "save", "--quiet", "--keep-running", str(p.pid), file("two", "at%d" % i)], env=ENV)
            for i in range(2)]
    mimic("pause", str(p.pid))
    check([b.wait(100) for b in both] == [0, 0], "one fails")
    mimic("resume", str(p.pid))
    ends(p)
    for i in range(2):
        ends(restore(file("two", "at%d" % i), "--as-copy", "--state", file("two", "copy%d" % i)))

def killed(i):
    path, target = file("killed", "saved"), file("killed", "other")
    p = restore(path, "--revert")
    while not [f for f in os.listdir(os.path.join(RUN, "mimic")) if f.endswith("-%d.sock" % p.pid)]:
        time.sleep(0.002)
    s = subprocess.Popen([MIMIC, "save", "--quiet"] + (["--compress"] if i % 2 else []) + [str(p.pid), target], env=ENV,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(random.random() * 0.2)
    p.send_signal(signal.SIGKILL)
    p.communicate()
    s.wait(100)
    left = sorted(os.listdir(file("killed")))
    check(set(left) <= {"disk.raw", "state", "saved", "other"}, "left behind: %s" % left)
    if "other" in left:
        code, out = mimic("restore", "--check", target)
        check(code == 0, out)
        ends(restore(target, "--as-copy", "--state", file("killed-copy")))
        os.unlink(target)
        shutil.rmtree(file("killed-copy"))
    code, out = mimic("restore", "--check", path)
    check(code == 0, out)

def killed_while_saved():
    disk = make("killed", 40)
    p = boot("killed", disk)
    check(save(p, file("killed", "saved")), "it ended")
    ends(p, 0)
    for i in range(ROUNDS):
        killed(i)
    ends(restore(file("killed", "saved"), "--revert"))
    ends(boot("killed", disk))

main([("saved while it writes, on each controller", each_controller),
      ("without a state directory", without_state),
      ("moved to another place", moved),
      ("two at once, and a pause", two_at_once),
      ("killed while it is saved, %d times" % ROUNDS, killed_while_saved)])
