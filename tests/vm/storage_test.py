#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every storage controller that a package may name, by a stock kernel's own driver: data verified
under load, and flushed data after kill -9.  With MIMIC_LONG set, the Debian VM boots from each by
its firmware and GRUB, is killed while it writes, and boots again.
"""
import os, re, signal, subprocess, tempfile, time
import load
from vmtest import CACHE, MIMIC, OVA, SOURCE, Session, Skip, check, main, run, scratch

# bus, the disk that the guest sees, its driver
ROWS = [("lsilogic", "/dev/sda", "mptspi"), ("lsisas1068", "/dev/sda", "mptsas"),
        ("buslogic", "/dev/sda", "BusLogic"), ("nvme", "/dev/nvme0n1", "nvme"),
        ("ahci", "/dev/sda", "ahci")]
# Those that other tests boot from in each run are boots here only with MIMIC_LONG.
ROOTS = [("pvscsi", "vmw_pvscsi"), ("ide", "ata_piix"), ("virtio_blk", "virtio_blk")]

def test_guest():
    out = subprocess.run(["sh", os.path.join(SOURCE, "tests", "guest", "initrd.sh"), CACHE],
                         check=True, stdout=subprocess.PIPE).stdout.decode().split()
    return out[-2:]

def command(state, image, bus, disk, what):
    kernel, initrd = test_guest()
    return ["run", "--quiet", "--kernel", kernel, "--initrd", initrd, "--memory", "512",
            "--console", "serial", "--no-reboot", "--state", os.path.join(state, "state"),
            "--disk", image, "--format", "raw", "--disk-bus", bus,
            "--append", "console=ttyS0 quiet mimic.disk=%s %s" % (disk, what)]

def image_in(state, mib):
    path = os.path.join(state, "disk.img")
    with open(path, "wb") as f:
        f.truncate(mib << 20)
    return path

def verify(bus, disk):
    with scratch() as d:
        code, out = run(command(d, image_in(d, 64), bus, disk, "mimic.test=verify"), 300)
        check("TEST GUEST: PASS" in out, "the data differ:\n" + out[-1500:])
        check(code == 0, "exit code %d after power off" % code)

def killed(bus, disk):
    with scratch() as d:
        image = image_in(d, 256)
        p = subprocess.Popen([MIMIC] + command(d, image, bus, disk, "mimic.test=journal"),
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        out, end = "", time.monotonic() + 300
        while len(re.findall(r"FLUSHED \d+\r?\n", out)) < 10 and time.monotonic() < end:
            part = os.read(p.stdout.fileno(), 65536).decode("utf-8", "replace")
            if not part:
                break
            out += part
        p.send_signal(signal.SIGKILL)
        out += p.communicate()[0].decode("utf-8", "replace")
        told = re.findall(r"FLUSHED (\d+)\r?\n", out)
        check(len(told) >= 10, "it did not write:\n" + out[-1500:])
        code, out = run(command(d, image, bus, disk, "mimic.test=check mimic.last=%d" % (int(told[-1]) + 1)), 300)
        check("TEST GUEST: PASS" in out, "flushed data are lost:\n" + out[-1500:])

class Root:
    """The disk of the Debian VM as an image by itself."""
    dir = None

    @classmethod
    def disk(cls):
        if not cls.dir:
            cls.dir = tempfile.TemporaryDirectory(prefix="mimic-test-")
            subprocess.run(["tar", "-C", cls.dir.name, "-xf", OVA], check=True)
        return [os.path.join(cls.dir.name, f) for f in os.listdir(cls.dir.name) if f.endswith(".vmdk")][0]

def root(bus, driver):
    if not os.environ.get("MIMIC_LONG"):
        raise Skip("one boot each: with MIMIC_LONG=1")
    with scratch() as d:
        args = [MIMIC, "run", "--console", "serial", "--memory", "512", "--disk-bus", bus,
                "--state", os.path.join(d, "state"), Root.disk()]
        s = Session(args)
        s.login(600)
        check(driver in s.shell("lsmod; ls /sys/bus/pci/drivers"), "the driver is not %s" % driver)
        load.disk(s)
        s.shell("cp /root/a /root/kept; md5sum </root/kept >/root/sum; sync")
        s.send("dd if=/dev/urandom of=/root/lost bs=1M count=200 conv=fsync")
        time.sleep(1) # into the middle of it
        s.kill()
        s = Session(args)
        s.login(600)
        s.shell("md5sum </root/kept | cmp - /root/sum", 120)
        s.send("systemctl poweroff")
        check(s.wait(240) == 0, "exit code after power off: %s" % s.status)

cases = [("%s under load" % bus, lambda b=bus, d=disk: verify(b, d)) for bus, disk, _ in ROWS]
cases += [("%s killed while it writes, opened again" % bus, lambda b=bus, d=disk: killed(b, d))
          for bus, disk, _ in ROWS if bus in ("lsisas1068", "nvme")]
cases += [("the root disk on %s" % bus, lambda b=bus, v=driver: root(b, v))
          for bus, driver in ROOTS + [(b, d) for b, _, d in ROWS]]
main(cases)
