#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Check that code which may run with a guest's vector registers in the host's calls no function
of the C library, or of a sanitizer, that uses them: string functions.

usage: plain.py LIBRARY     exit 1 and one line a call
"""
import re, subprocess, sys

USES_VECTORS = re.compile(r"^(__asan_)?(bcmp|bcopy|bzero|r?mem(r?chr|cmp|cpy|pcpy|move|set|mem)|str(n?cat|n?cmp|n?cpy|r?chr|n?len|str|c?spn|pbrk)|stpn?cpy)(_chk)?$")

def main():
    out = subprocess.run(["nm", "-A", "-u", sys.argv[1]], stdout=subprocess.PIPE, check=True).stdout.decode()
    bad = [l for l in out.splitlines() if USES_VECTORS.match(l.split()[-1])]
    for line in bad:
        print("%s calls %s" % (line.split(":")[-2], line.split()[-1]))
    return int(bool(bad))

sys.exit(main())
