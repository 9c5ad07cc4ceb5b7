#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""USB by a stock kernel's own drivers: what devices say of themselves, a disk verified, pointer and
keys through VNC into the guest's input devices; and a stick that the firmware starts from, by its own
drivers.  The rows with the kernel need MIMIC_LONG.
"""
import os, select, socket, struct, subprocess, time
from vmtest import CACHE, MIMIC, SOURCE, Session, Skip, check, main, run, scratch

SPEED = {"uhci": "12", "ehci": "480", "xhci": "5000"}
DRIVER = {"uhci": "uhci_hcd", "ehci": "ehci-pci", "xhci": "xhci_hcd"}

class Viewer:
    """As much of RFB as moves a pointer and presses keys."""
    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(60)
        self.s.connect(path)
        self.s.sendall(self.take(12))
        n = self.take(1)[0]
        check(1 in self.take(n), "the viewer is asked for a password")
        self.s.sendall(b"\1")
        check(self.take(4) == bytes(4), "the viewer is not let in")
        self.s.sendall(b"\1")
        self.width, self.height = struct.unpack(">HH", self.take(24)[:4])
        self.ask()

    def take(self, n):
        out = b""
        while len(out) < n:
            part = self.s.recv(n - len(out))
            check(part, "the screen has gone")
            out += part
        return out

    def ask(self):
        """The size of the picture is known to the other side once it has been drawn."""
        self.s.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, self.width, self.height))
        self.s.recv(1)
        end = time.monotonic() + 1
        while select.select([self.s], [], [], 0.2)[0] and time.monotonic() < end:
            self.s.recv(1 << 20)

    def pointer(self, x, y, buttons):
        self.s.sendall(struct.pack(">BBHH", 5, buttons, x, y))

    def key(self, symbol):
        for down in (1, 0):
            self.s.sendall(struct.pack(">BBHI", 4, down, 0, symbol))

def guest():
    return subprocess.run(["sh", os.path.join(SOURCE, "tests", "guest", "initrd.sh"), CACHE],
                          check=True, stdout=subprocess.PIPE).stdout.decode().split()[-2:]

def events(text):
    """(type, code, value) of each input_event in a hex dump of 24-byte lines."""
    out = []
    for line in text.splitlines():
        try:
            raw = bytes.fromhex(line.strip())
        except ValueError:
            continue
        if len(raw) == 24:
            out.append(struct.unpack("<HHi", raw[16:]))
    return out

def pick(s, name):
    return s.shell("grep -l '%s' /sys/class/input/event*/device/name" % name).strip().split("/")[4]

def listen(s, event, count):
    s.shell("(dd if=/dev/input/%s bs=24 count=%d 2>/dev/null | hexdump -v -e '24/1 \"%%02x\" \"\\n\"' "
            ">/tmp/%s; : >/tmp/%s.end) & sleep 1" % (event, count, event, event))

def heard(s, event):
    s.shell("n=0; until [ -e /tmp/%s.end ] || [ $n -gt 300 ]; do usleep 100000; n=$((n+1)); done" % event, 60)
    return events(s.shell("cat /tmp/%s" % event))

def stock(bus):
    kernel, initrd = guest()
    with scratch() as d:
        image, vnc = os.path.join(d, "stick.img"), os.path.join(d, "vnc")
        with open(image, "wb") as f:
            f.write(os.urandom(8 << 20))
        args = [MIMIC, "run", "--quiet", "--kernel", kernel, "--initrd", initrd, "--memory", "512",
                "--console", "serial", "--no-reboot", "--usb", bus, "--disk", image, "--disk-bus", "usb",
                "--display", "vnc", "--vnc", vnc, "--state", os.path.join(d, "state"),
                "--append", "console=ttyS0 quiet"]
        s = Session(args)
        s.expect("TEST GUEST: shell", 300)
        s.shell("stty -echo; PS1=; dmesg -n 1")
        s.shell("n=0; until [ -e /dev/sda ] || [ $n -gt 600 ]; do usleep 100000; n=$((n+1)); done", 90)
        said = s.shell("cd /sys/bus/usb/devices; for i in $(grep -l 0e0f */idVendor); do d=${i%%/*}; "
                       "echo $(cat $d/idProduct $d/speed $d/manufacturer $d/product "
                       "$d/bConfigurationValue $d/*:1.0/bInterfaceClass); done")
        check("0005 %s VMware VMware Virtual USB Mass Storage 1 08" % SPEED[bus] in said, said)
        check("VMware Virtual USB Mouse 1 03" in said and "VMware Virtual Keyboard 1 03" in said, said)
        check(DRIVER[bus] in s.shell("ls /sys/bus/pci/drivers/*/*/usb1/.. -d; ls /sys/bus/pci/drivers"), "driver")
        sum = subprocess.run(["md5sum", image], check=True, stdout=subprocess.PIPE).stdout.decode().split()[0]
        check(sum in s.shell("md5sum </dev/sda", 120), "what is read from the stick differs")
        s.shell("dd if=/dev/sda of=/dev/sda bs=64k count=32 seek=64 conv=notrunc,fsync 2>/dev/null; "
                "echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/sda bs=64k count=32 2>/dev/null | md5sum >/tmp/a; "
                "dd if=/dev/sda bs=64k skip=64 count=32 2>/dev/null | md5sum | cmp - /tmp/a", 120)
        mouse, keyboard = pick(s, "Virtual USB Mouse"), pick(s, "Virtual Keyboard")
        v = Viewer(vnc)
        listen(s, mouse, 3)
        v.pointer(v.width // 4, v.height // 2, 0)
        got = heard(s, mouse)
        x, y = (next((e[2] for e in got if e[:2] == (3, code)), -1) for code in (0, 1))
        check(abs(x - 8192) < 100 and abs(y - 16384) < 100, "the pointer: %s" % got)
        listen(s, keyboard, 3)
        v.key(ord("a"))
        got = heard(s, keyboard)
        check((1, 30, 1) in got, "the key: %s" % got)
        s.send("poweroff -f")
        check(s.wait(120) == 0, "exit code after power off: %s" % s.status)

# Reads the next sector by the firmware's disk service, sends it to the serial line up to a zero, and
# ends the VM by its test device.
SECTOR = bytes.fromhex("31c08ed88ec0 b80102 b90200 b600 bb007e cd13 be007e ac 84c0 7406 baf803 ee ebf5"
                       "b000 baf400 ee f4 ebfd".replace(" ", ""))

def firmware(bus):
    with scratch() as d:
        image = os.path.join(d, "stick.img")
        with open(image, "wb") as f:
            f.write(SECTOR.ljust(510, b"\0") + b"\x55\xaa" + b"STARTED FROM USB\r\n".ljust(512, b"\0"))
            f.truncate(4 << 20)
        code, out = run(["run", "--quiet", "--memory", "64", "--console", "serial", "--testdev", "--no-reboot",
                         "--usb", bus, "--disk", image, "--disk-bus", "usb", "--state", os.path.join(d, "state")], 120)
        check("STARTED FROM USB" in out, "it did not start:\n" + out[-1500:])

def long(bus, fn):
    if not os.environ.get("MIMIC_LONG"):
        raise Skip("one boot each: with MIMIC_LONG=1")
    fn(bus)

main([("%s: the firmware starts from a stick" % bus, lambda b=bus: firmware(b)) for bus in SPEED] +
     [("%s by the kernel's driver" % bus, lambda b=bus: long(b, stock)) for bus in SPEED])
