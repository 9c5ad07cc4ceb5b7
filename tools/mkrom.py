#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An expansion ROM as C: length and sums filled in.  usage: mkrom.py BINARY NAME OUT.c"""
import sys

def main(source, name, out):
    rom = bytearray(open(source, "rb").read())
    rom += b"\0" * (-(len(rom) + 1) % 512 + 1)
    blocks = len(rom) // 512
    if rom[:2] != b"\x55\xaa" or blocks > 127:
        sys.exit("%s: no expansion ROM" % source)
    pcir = int.from_bytes(rom[0x18:0x1a], "little")
    pnp = int.from_bytes(rom[0x1a:0x1c], "little")
    if rom[pcir:pcir + 4] != b"PCIR" or rom[pnp:pnp + 4] != b"$PnP":
        sys.exit("%s: headers are not where it says" % source)
    rom[2] = blocks
    rom[pcir + 16] = blocks
    rom[pnp + 9] = -sum(rom[pnp:pnp + 32]) & 0xff
    rom[-1] = -sum(rom[:-1]) & 0xff
    with open(out, "w") as f:
        f.write('/* made by tools/mkrom.py */\n#include "base/types.h"\n')
        f.write("extern const u8 %s[];\nextern const u32 %s_size;\n" % (name, name))
        f.write("const u32 %s_size = %d;\nconst u8 %s[] = {\n" % (name, len(rom), name))
        for i in range(0, len(rom), 16):
            f.write("    %s,\n" % ", ".join("0x%02x" % b for b in rom[i:i + 16]))
        f.write("};\n")

main(*sys.argv[1:])
