#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks that come and go, floppy disks, a printer port: by a stock kernel's own drivers, and a boot from a floppy."""
import hashlib, os, subprocess, time
from vmtest import CACHE, MIMIC, SOURCE, Session, check, main, run, scratch

# Reads the second head's second sector, prints it, ends the VM with code 33.
BOOT = bytes.fromhex("31c08ed88ec08ed0bc0070bb007eb80102b90200ba0001cd1372e5be007e"
                     "ac84c07406baf803eeebf5b010baf400eef4")

def image(folder, name, size, data=b""):
    path = os.path.join(folder, name)
    with open(path, "wb") as f:
        f.write(data)
        f.truncate(size)
    return path

def guest():
    out = subprocess.run(["sh", os.path.join(SOURCE, "tests", "guest", "initrd.sh"), CACHE],
                         check=True, stdout=subprocess.PIPE).stdout.decode().split()
    return out[-2:]

class Guest(Session):
    """The test guest's shell, and mimic's commands for it."""
    def __init__(self, folder, *more):
        kernel, initrd = guest()
        self.env = {"XDG_RUNTIME_DIR": folder}
        super().__init__([MIMIC, "run", "--quiet", "--kernel", kernel, "--initrd", initrd, "--memory", "256",
                          "--console", "serial", "--no-reboot", "--state", os.path.join(folder, "state"),
                          "--append", "console=ttyS0 quiet mimic.test=shell"] + list(more), env=self.env)
        self.expect("TEST GUEST: shell", 120)
        self.expect(r"# ?$", 30)
        self.shell("stty -echo; PS1=; dmesg -n 1")

    def mimic(self, *words, code=0):
        vm = [str(self.pid)] if words[0] == "disk" else []
        p = subprocess.run([MIMIC] + list(words[:2]) + vm + list(words[2:]), stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, env=dict(os.environ, **self.env))
        check(p.returncode == code, "%s: exit code %d: %s" % (words, p.returncode, p.stdout.decode()))
        return p.stdout.decode()

    def until(self, condition):
        self.shell("i=0; until %s || [ $i = 100 ]; do i=$((i+1)); usleep 100000; done; %s" % (condition, condition))

    def off(self):
        self.send("poweroff -f")
        check(self.wait(60) == 0, "exit code after power off: %s" % self.status)

def pvscsi():
    with scratch() as d:
        g = Guest(d, "--disk", image(d, "disk.img", 16 << 20), "--disk-bus", "pvscsi")
        extra = image(d, "extra.img", 32 << 20)
        check("extra" in g.mimic("disk", "attach", extra), "it has no name")
        g.until("[ -b /dev/sdb ]")
        g.shell("dd if=/dev/urandom of=/tmp/r bs=1M count=8; dd if=/tmp/r of=/dev/sdb bs=1M conv=fsync;"
                "echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/sdb bs=1M count=8 | cmp - /tmp/r")
        g.mimic("disk", "detach", "extra")
        g.until("[ ! -e /dev/sdb ]")
        g.mimic("disk", "detach", "extra", code=66)
        check(not any(open(extra, "rb").read(1 << 20)), "the image was written to")
        g.mimic("disk", "attach", extra) # what was written is there again
        g.until("[ -b /dev/sdb ]")
        g.shell("dd if=/dev/sdb bs=1M count=8 | cmp - /tmp/r")
        g.mimic("disk", "attach", extra, "--unit", "1", code=73)
        g.off()

def floppies():
    with scratch() as d:
        one, two = os.urandom(1440 << 10), os.urandom(720 << 10)
        g = Guest(d, "--floppy", image(d, "one.flp", len(one), one), "--port", "parallel0=" + os.path.join(d, "paper"))
        g.shell("for m in parport parport_pc lp floppy; do insmod /modules/$m.ko; done")
        g.shell("seq 1 2000 >/tmp/x; cat /tmp/x >/dev/lp0")
        paper = "".join("%d\n" % n for n in range(1, 2001)).encode()
        g.until("[ -b /dev/fd0 ]")
        check(hashlib.md5(one).hexdigest() in g.shell("md5sum /dev/fd0", 120), "it reads otherwise")
        g.shell("head -c 100k /dev/urandom >/tmp/r; dd if=/tmp/r of=/dev/fd0 conv=fsync;"
                "echo 3 >/proc/sys/vm/drop_caches; head -c 100k /dev/fd0 | cmp - /tmp/r", 120)
        g.mimic("disk", "insert", "fdc:0", image(d, "two.flp", len(two), two), "--readonly")
        check(hashlib.md5(two).hexdigest() in g.shell("md5sum /dev/fd0", 120), "the new one reads otherwise")
        g.shell("! dd if=/tmp/r of=/dev/fd0 conv=fsync")
        g.mimic("disk", "eject", "two")
        g.shell("! head -c 512 /dev/fd0 >/dev/null")
        g.off()
        check(open(os.path.join(d, "paper"), "rb").read() == paper, "something else was printed")

def boots():
    with scratch() as d:
        text = b"THE FLOPPY SPEAKS\r\n\0"
        disk = BOOT.ljust(510, b"\0") + b"\x55\xaa" + bytes(18 * 512) + text.ljust(512, b"\0")
        code, out = run(["run", "--quiet", "--floppy", image(d, "boot.flp", 1440 << 10, disk), "--memory", "32",
                         "--console", "serial", "--testdev", "--throwaway", "--net", "none"], 60)
        check("THE FLOPPY SPEAKS" in out and code == 33, "exit code %d:\n%s" % (code, out[-800:]))

main([("a disk comes to pvscsi and goes", pvscsi), ("floppy disks and a printer in Linux", floppies),
      ("SeaBIOS boots from a floppy disk", boots)])
