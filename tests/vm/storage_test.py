#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every storage controller that a package may name, by a stock kernel's own driver: data verified
under load, and flushed data after kill -9.  As root disks of whole Debian VMs: matrix_test.py.
"""
import os, re, signal, subprocess, time
from vmtest import CACHE, MIMIC, SOURCE, check, main, run, scratch

# bus, the disk that the guest sees
ROWS = [("lsilogic", "/dev/sda"), ("lsisas1068", "/dev/sda"), ("buslogic", "/dev/sda"), ("nvme", "/dev/nvme0n1"),
        ("ahci", "/dev/sda")]

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

cases = [("%s under load" % bus, lambda b=bus, d=disk: verify(b, d)) for bus, disk in ROWS]
cases += [("%s killed while it writes, opened again" % bus, lambda b=bus, d=disk: killed(b, d))
          for bus, disk in ROWS if bus in ("lsisas1068", "nvme")]
main(cases)
