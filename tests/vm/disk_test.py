#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks under load in a stock kernel, data verified; and a VM killed while it writes."""
import os, re, signal, subprocess, time
from vmtest import CACHE, MIMIC, SOURCE, check, main, run, scratch

def test_guest():
    out = subprocess.run(["sh", os.path.join(SOURCE, "tests", "guest", "initrd.sh"), CACHE],
                         check=True, stdout=subprocess.PIPE).stdout.decode().split()
    return out[-2:]

def command(state, image, bus, what):
    kernel, initrd = test_guest()
    return ["run", "--quiet", "--kernel", kernel, "--initrd", initrd, "--memory", "512",
            "--console", "serial", "--no-reboot", "--state", os.path.join(state, "state"),
            "--disk", image, "--format", "raw", "--disk-bus", bus,
            "--append", "console=ttyS0 quiet mimic.disk=%s %s" %
            ("/dev/vda" if bus == "virtio_blk" else "/dev/sda", what)]

def image_in(state, mib):
    path = os.path.join(state, "disk.img")
    with open(path, "wb") as f:
        f.truncate(mib << 20)
    return path

def verify(bus):
    with scratch() as d:
        code, out = run(command(d, image_in(d, 64), bus, "mimic.test=verify"), 300)
        check("TEST GUEST: PASS" in out, "the data differ:\n" + out[-1500:])
        check(code == 0, "exit code %d after power off" % code)

def journal(d, image, blocks):
    """Writes until so many blocks are flushed, is killed; the last number it told."""
    p = subprocess.Popen([MIMIC] + command(d, image, "pvscsi", "mimic.test=journal"),
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    out, end = "", time.monotonic() + 300
    while len(re.findall(r"FLUSHED \d+\r?\n", out)) < blocks and time.monotonic() < end:
        part = os.read(p.stdout.fileno(), 65536).decode("utf-8", "replace")
        if not part:
            break
        out += part
    p.send_signal(signal.SIGKILL)
    out += p.communicate()[0].decode("utf-8", "replace")
    told = re.findall(r"FLUSHED (\d+)\r?\n", out)
    check(len(told) >= blocks, "it did not write:\n" + out[-1500:])
    return int(told[-1])

def killed():
    with scratch() as d:
        image = image_in(d, 256)
        last = journal(d, image, 20)
        code, out = run(command(d, image, "pvscsi",
                                "mimic.test=check mimic.last=%d" % (last + 1)), 300)
        check("TEST GUEST: PASS" in out, "flushed data are lost:\n" + out[-1500:])
        check(code == 0, "exit code %d after power off" % code)
        with open(image, "rb") as f:
            check(not any(f.read(1 << 20)), "the disk that was given has been written to")

main([("pvscsi under load", lambda: verify("pvscsi")), ("IDE under load", lambda: verify("ide")),
      ("virtio-blk under load", lambda: verify("virtio_blk")),
      ("killed while it writes, opened again", killed)])
