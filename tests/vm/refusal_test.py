#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input: one clear sentence that names file, field and expectation, an exit code, no crash."""
import os, struct, tarfile
from vmtest import MIMIC, OVA, check, main, run, scratch

DIR = scratch()

def refused(args, *words, code=None, seconds=120):
    got, out = run(args, seconds, env={"MIMIC_LOG": "error"})
    check(0 < got < 128, "exit code %d\n%s" % (got, out[-800:]))
    check(code is None or got == code, "exit code %s, not %s\n%s" % (got, code, out[-800:]))
    lines = [l for l in out.splitlines() if l.startswith("mimic")]
    check(len(lines) == 1, "not one sentence:\n" + out[-800:])
    for w in words:
        check(w in lines[0], "\"%s\" is not in: %s" % (w, lines[0]))

def copy_ova(name, change):
    """A copy of the package, each member through change(name, bytes); None drops it."""
    path = os.path.join(DIR.name, name)
    with tarfile.open(OVA) as src, tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as dst:
        for m in src:
            data = change(m.name, src.extractfile(m).read())
            if data is None:
                continue
            import io
            m.size = len(data)
            dst.addfile(m, io.BytesIO(data))
    return path

def without_manifest(name, data):
    return None if name.endswith(".mf") else data

def truncated():
    path = os.path.join(DIR.name, "short.ova")
    with open(OVA, "rb") as f:
        data = f.read(os.path.getsize(OVA) // 2)
    with open(path, "wb") as f:
        f.write(data)
    refused(["run", path], "short.ova", code=65)
    refused(["inspect", path], "short.ova", code=65)

def wrong_digest():
    def change(name, data):
        return data[:5000] + bytes([data[5000] ^ 1]) + data[5001:] if name.endswith(".vmdk") else data
    refused(["run", copy_ova("digest.ova", change)], ".vmdk", "SHA256", code=65)

def missing_disk():
    def change(name, data):
        return None if name.endswith((".vmdk", ".mf")) else data
    refused(["run", copy_ova("nodisk.ova", change)], ".vmdk")

def corrupt_grain_table():
    def change(name, data):
        if name.endswith(".mf"):
            return None
        if name.endswith(".vmdk"):
            # both grain directories (the second is read when the first is bad): the first
            # table of each lies behind the end of the file
            data = bytearray(data)
            for at in (48, 56):
                gd = struct.unpack_from("<Q", data, at)[0] * 512
                check(0 < gd < len(data), "the sample has its grain directory somewhere else")
                struct.pack_into("<I", data, gd, 0x7fffffff)
            data = bytes(data)
        return data
    refused(["run", copy_ova("grain.ova", change)], "grain", code=65)

def not_xml():
    def change(name, data):
        return None if name.endswith(".mf") else b"<!DOCTYPE x [<!ENTITY a 'b'>]><x/>" if name.endswith(".ovf") else data
    refused(["run", copy_ova("doctype.ova", change)], ".ovf", "DOCTYPE", code=65)

def not_there():
    refused(["run", os.path.join(DIR.name, "nothing.ova")], "nothing.ova", code=66)

def unknown_file():
    path = os.path.join(DIR.name, "text")
    with open(path, "w") as f:
        f.write("just text\n" * 1000)
    refused(["run", path], "text")
    open(path, "w").close()
    refused(["run", path], "text", "empty", code=65)

def no_memory():
    path = os.path.join(DIR.name, "k.bin")
    multiboot(path, b"\xf4")
    refused(["run", "--kernel", path, "--memory", "50T"], "memory", code=71)

def multiboot(path, code):
    """The smallest multiboot kernel (a.out kludge), loaded at 1 MiB, with this code."""
    base, magic, flags = 0x100000, 0x1BADB002, 1 << 16
    head = struct.pack("<8I", magic, flags, (-(magic + flags)) & 0xffffffff, base, base, 0, 0, base + 32)
    with open(path, "wb") as f:
        f.write(head + code)

def jumps_into_nothing():
    path = os.path.join(DIR.name, "jump.bin")
    multiboot(path, b"\xb8\x00\x00\x00\xf0\xff\xe0")  # mov $0xf0000000,%eax; jmp *%eax
    for engine in ("translate", "interpret"):
        refused(["run", "--quiet", "--engine", engine, "--kernel", path], "triple fault", "0xf", code=70)

def bad_kernel():
    path = os.path.join(DIR.name, "kernel")
    with open(path, "wb") as f:
        f.write(b"\0" * 5000)
    refused(["run", "--kernel", path], "kernel")

def wrong_options():
    refused(["run", "--memory", "lots", OVA], "--memory", code=64)
    refused(["run", "--publish", "x", OVA], "--publish", code=64)
    refused(["run", "--colour", OVA], "--colour", code=64)
    refused(["run"], "file", code=64)
    refused(["run", OVA, OVA], "one file", code=64)
    refused(["run", "--cpus", "99", OVA], "99", "64", code=64)
    refused(["fly"], "fly", code=64)

def too_new():
    path = os.path.join(DIR.name, "new.vmx")
    with open(path, "w") as f:
        f.write('config.version = "8"\nvirtualHW.version = "22"\ndisplayName = "new"\nmemsize = "64"\n')
    refused(["run", path], "new", "22", "4 to 21", code=65)

main([("a truncated OVA", truncated), ("a wrong manifest digest", wrong_digest),
      ("a missing disk", missing_disk), ("a corrupt grain table", corrupt_grain_table),
      ("a DOCTYPE in the descriptor", not_xml), ("a file that is not there", not_there),
      ("a file of no known format", unknown_file), ("no memory for the guest", no_memory),
      ("a guest that jumps into nothing", jumps_into_nothing), ("a kernel that is none", bad_kernel),
      ("a hardware version of the future", too_new), ("wrong options", wrong_options)])
