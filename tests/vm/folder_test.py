#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM's folder as VMware left it: a chain of snapshots boots; what is open or suspended there is
refused with one sentence, and is not with the option that it names; the disk to boot from."""
import os, socket, struct, subprocess
from vmtest import MIMIC, check, main, run, scratch

DIR = scratch()
GRAIN = 128 * 512
VMX = """.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "19"
displayName = "web"
memsize = "64"
scsi0.present = "TRUE"
scsi0.virtualDev = "pvscsi"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "web-000002.vmdk"
"""

def path(*names):
    return os.path.join(DIR.name, "web", *names)

def write(name, text):
    os.makedirs(os.path.dirname(path(name)), exist_ok=True)
    with open(path(name), "w") as f:
        f.write(text)

def boots(number):
    """A boot sector that reads sector 128 and ends the VM with its first byte and this number."""
    code = (b"\x31\xc0\x8e\xd8\xbe\x14\x7c\xb4\x42\xcd\x13"  # INT 13h, function 42h
            b"\xa0\x00\x80\xe6\xf4\xf4").ljust(0x14, b"\x90")
    code = code.replace(b"\xa0\x00\x80", b"\xa0" + struct.pack("<H", 0x8000 + number))
    return (code + struct.pack("<HHHHQ", 16, 1, 0x8000, 0, 128)).ljust(510, b"\0") + b"\x55\xaa"

def fill(name, grain, data):
    """One grain of a sparse VMDK that has none yet, by its tables."""
    with open(path(name), "r+b") as f:
        end = f.seek(0, 2)
        end += -end % 512
        for at in (48, 56):  # both grain directories
            f.seek(at)
            f.seek(struct.unpack("<Q", f.read(8))[0] * 512)
            table = struct.unpack("<I", f.read(4))[0]
            if table:
                f.seek(table * 512 + 4 * grain)
                f.write(struct.pack("<I", end // 512))
        f.seek(end)
        f.write(data.ljust(GRAIN, b"\0"))

def make():
    names = ["web.vmdk", "web-000001.vmdk", "web-000002.vmdk"]
    os.makedirs(path())
    for up, name in zip([None] + names, names):
        how = ["--parent", path(up)] if up else ["--size", "4M"]
        subprocess.run([MIMIC, "disk", "create", "-q"] + how + [path(name)], check=True)
    fill(names[0], 0, boots(0))
    fill(names[0], 1, b"\x11\x12")
    fill(names[1], 1, b"\x13\x14")  # the first snapshot's writes
    fill(names[2], 0, boots(1))     # and those since the second
    write("web.vmx", VMX)

def go(what, *options):
    return run(["run", "--testdev", "--console", "none", "--throwaway"] + list(options) + [path(what)], 100,
               env={"MIMIC_LOG": "error"})

def runs(what, *options, says=()):
    code, out = go(what, *options)
    check(code == 0x14 << 1 | 1, "exit code %d\n%s" % (code, out))
    for word in says:
        check(word in out, "\"%s\" is not in:\n%s" % (word, out))

def refused(*words):
    code, out = go("web.vmx")
    lines = [l for l in out.splitlines() if l.startswith("mimic")]
    check(code == 71 and len(lines) == 1, "exit code %d\n%s" % (code, out))
    for word in words:
        check(word in lines[0], "\"%s\" is not in: %s" % (word, lines[0]))

def chain():
    make()
    runs("web.vmx")
    runs("")

def open_elsewhere():
    lock = "web-000002.vmdk.lck/M12345.lck"
    write(lock, "alpha 5040-13099283 0 X lc=1 M12345.lck")
    refused("web-000002.vmdk.lck", "process 5040", "\"alpha\"", "--ignore-locks")
    runs("web.vmx", "--ignore-locks", says=["alpha"])
    write(lock, "%s 99999999-1 0 X lc=1 M12345.lck" % socket.gethostname())
    runs("web.vmx", says=["has ended"])
    write(lock, "alpha 5040-13099283 0 S lc=1 M12345.lck")  # reads only, as we do
    runs("web.vmx")
    os.remove(path(lock))
    write("web.vmx.lck", "")  # ESXi's
    refused("web.vmx.lck", "does not say who")
    os.rename(path("web.vmx.lck"), path(".lck-0123456789abcdef"))
    refused(".lck-0123456789abcdef")
    os.remove(path(".lck-0123456789abcdef"))
    runs("web.vmx")

def suspended():
    write("web.vmx", VMX + 'checkpoint.vmState = "web-1a.vmss"\n')
    refused("suspended", "web-1a.vmss", "--discard-suspend")
    runs("web.vmx", "--discard-suspend", says=["power failure"])
    for options, say in ((["--discard-suspend"], True), ([], False)):  # once for all
        code, out = run(["run", "--testdev", "--console", "none", "--state", path("state")] + options +
                        [path("web.vmx")], 100, env={"MIMIC_LOG": "error"})
        check(code == 0x14 << 1 | 1 and ("power failure" in out) == say, "exit code %d\n%s" % (code, out))
    check("disk0    scsi0, 4 MiB" in out, "the disk's size is not told:\n" + out)
    write("web-1a.vmss", "another one")
    code, out = run(["run", "--console", "none", "--state", path("state"), path("web.vmx")], 100)
    check(code == 71 and "--discard-suspend" in out, "exit code %d\n%s" % (code, out))
    write("web.vmx", VMX + 'checkpoint.vmState = "web-Snapshot2.vmsn"\n')
    runs("web.vmx", says=["web-Snapshot2.vmsn"])
    code, out = run(["inspect", path("web.vmx")], 60)
    check(code == 0, "exit code %d\n%s" % (code, out))

def boot_order():
    """Two disks that both boot: the one that the configuration says, on each kind of controller."""
    write("web.vmx", VMX)
    for kind, slot in (("pvscsi", "scsi0:1"), ("lsilogic", "scsi0:3"), ("", "ide0:1"), ("", "sata0:2")):
        other = "other-%s.vmdk" % slot.replace(":", "-")
        subprocess.run([MIMIC, "disk", "create", "-q", "--size", "4M", path(other)], check=True)
        fill(other, 0, boots(0))
        fill(other, 1, b"\x15")
        text = VMX.replace("pvscsi", kind or "pvscsi")
        text += '%s.present = "TRUE"\n%s.fileName = "%s"\n' % (slot, slot, other)
        if not slot.startswith("scsi"):
            text += '%s.present = "TRUE"\n' % slot.split(":")[0]
        for first, want in (("scsi0:0", 0x14), (slot, 0x15)):
            write("web.vmx", text + 'bios.bootOrder = "cdrom,hdd"\nbios.hddOrder = "%s"\n' % first)
            code, out = go("web.vmx")
            check(code == want << 1 | 1, "%s before the other: exit code %d\n%s" % (first, code, out))

def by_any_name():
    """The same writes are found again, from whatever directory and by whatever name."""
    write("web.vmx", VMX)
    env = {"MIMIC_LOG": "error", "XDG_STATE_HOME": os.path.join(DIR.name, "state")}
    was = os.getcwd()
    try:
        for place, name in ((path(), "web.vmx"), (DIR.name, "web"), ("/", path("..", "web", "web.vmx"))):
            os.chdir(place)
            code, out = run(["run", "--testdev", "--console", "none", name], 100, env=env)
            check(code == 0x14 << 1 | 1, "%s in %s: exit code %d\n%s" % (name, place, code, out))
    finally:
        os.chdir(was)
    states = os.listdir(os.path.join(env["XDG_STATE_HOME"], "mimic"))
    check(len([s for s in states if s.startswith("web-")]) == 1, "not one state: %s" % states)

main([("a chain of snapshots", chain), ("a folder that is open in VMware", open_elsewhere),
      ("a suspended VM", suspended), ("the boot order", boot_order),
      ("a folder by any of its names", by_any_name)])
