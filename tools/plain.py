#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Check that code which may run with a guest's vector registers in the host's calls no function
of the C library, or of a sanitizer, that uses them: string functions.

usage: plain.py LIBRARY     exit 1 and one line a call
"""
import re, subprocess, sys

USES_VECTORS = re.compile(r"^(__asan_)?(bcmp|bcopy|bzero|r?mem(r?chr|cmp|cpy|pcpy|move|set|mem)|str(n?cat|n?cmp|n?cpy|r?chr|n?len|str|c?spn|pbrk)|stpn?cpy)(_chk)?$")

def main():
    # relocations, as an unused name may be left in the table of symbols
    out = subprocess.run(["objdump", "-r", "-w", sys.argv[1]], stdout=subprocess.PIPE, check=True).stdout.decode()
    where, bad = "", set()
    for line in out.splitlines():
        if "file format" in line:
            where = line.split(":")[0]
        m = re.match(r"[0-9a-f]+ R_\S+\s+([\w.]+)", line)
        if m and USES_VECTORS.match(m.group(1)):
            bad.add("%s calls %s" % (where, m.group(1)))
    for line in sorted(bad):
        print(line)
    return int(bool(bad))

sys.exit(main())
