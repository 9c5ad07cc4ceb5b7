#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A PCI expansion ROM with an EFI driver, as C, out of a static ELF program: PE32+ (one section
that is only read and run) after PCI Firmware 3.0, section 5, and UEFI 2.8, 14.4.
usage: mkefirom.py ELF VENDOR DEVICE NAME OUT.c"""
import struct, sys

PAGE, HEAD = 0x1000, 0x200

def program(path):
    """Its bytes from PAGE on, and where it begins."""
    elf = open(path, "rb").read()
    entry, at, = struct.unpack_from("<QQ", elf, 24)
    size, n = struct.unpack_from("<HH", elf, 54)
    code = bytearray()
    for i in range(n):
        kind, flags, off, addr, _, length, memory = struct.unpack_from("<IIQQQQQ", elf, at + i * size)
        if kind == 1 and memory:
            if memory != length or addr < PAGE:
                sys.exit("%s: it has data that is written" % path)
            code += bytes(max(0, addr - PAGE + length - len(code)))
            code[addr - PAGE:addr - PAGE + length] = elf[off:off + length]
        elif kind == 2:
            sys.exit("%s: it needs to be relocated" % path)
    return bytes(code), entry

def portable(code, entry):
    raw = code + bytes(-len(code) % HEAD)
    pages = (len(code) + PAGE - 1) // PAGE * PAGE
    coff = struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x0022)
    optional = struct.pack("<HBBIIIII", 0x20b, 1, 0, len(raw), 0, 0, entry, PAGE)
    optional += struct.pack("<QIIHHHHHHIIIIHHQQQQII", 0, PAGE, HEAD, 0, 0, 0, 0, 0, 0, 0, PAGE + pages, HEAD, 0,
                            11, 0x100, 0, 0, 0, 0, 0, 16) + bytes(128)
    section = struct.pack("<8sIIIIIIHHI", b".text", len(code), PAGE, len(raw), HEAD, 0, 0, 0, 0, 0x60000020)
    head = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64) + b"PE\0\0" + coff + optional + section
    return head.ljust(HEAD, b"\0") + raw

def main(path, vendor, device, name, out):
    image = portable(*program(path))
    rom = bytearray(64)
    blocks = (len(rom) + len(image) + 511) // 512
    struct.pack_into("<HHIHHH", rom, 0, 0xaa55, blocks, 0xef1, 11, 0x8664, 0)
    struct.pack_into("<HH", rom, 0x16, 64, 0x1c)
    struct.pack_into("<4sHHHHB3BHHBBH", rom, 0x1c, b"PCIR", int(vendor, 16), int(device, 16), 0, 0x18, 0, 0, 0, 1,
                     blocks, 1, 3, 0x80, 0)
    rom += image
    rom += bytes(blocks * 512 - len(rom))
    with open(out, "w") as f:
        f.write('/* made by tools/mkefirom.py */\n#include "base/types.h"\n')
        f.write("extern const u8 %s[];\nextern const u32 %s_size;\n" % (name, name))
        f.write("const u32 %s_size = %d;\nconst u8 %s[] = {\n" % (name, len(rom), name))
        for i in range(0, len(rom), 16):
            f.write("    %s,\n" % ", ".join("0x%02x" % b for b in rom[i:i + 16]))
        f.write("};\n")

main(*sys.argv[1:])
