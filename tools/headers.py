#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Check that every header stands alone and has its guard.

usage: headers.py ROOT COMPILER [FLAG...]     prints TAP
"""
import os, re, subprocess, sys

def headers(root):
    for d, dirs, names in os.walk(root):
        dirs[:] = sorted(n for n in dirs if not n.startswith((".", "build")))
        for n in sorted(names):
            if n.endswith(".h"):
                yield os.path.relpath(os.path.join(d, n), root)

def main():
    root, cc = sys.argv[1], sys.argv[2:]
    bad = 0
    files = list(headers(root))
    for n, h in enumerate(files, 1):
        guard = re.sub(r"[^A-Za-z0-9]", "_", h).upper()
        text = open(os.path.join(root, h)).read()
        r = subprocess.run(cc + ["-std=gnu17", "-Wall", "-Wextra", "-Wno-unused-function", "-Wno-unused-variable",
                                 "-Wno-unused-parameter", "-D_GNU_SOURCE", "-Werror",
                                 "-I", root, "-include", h, "-x", "c", "-fsyntax-only", "/dev/null"],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        why = r.stdout.decode() if r.returncode else ""
        if "#ifndef %s\n#define %s\n" % (guard, guard) not in text:
            why += "no guard %s" % guard
        for line in why.splitlines():
            print("# " + line)
        print("%s %d %s" % ("not ok" if why else "ok", n, h))
        bad |= bool(why)
    print("1..%d" % len(files))
    return int(bad)

sys.exit(main())
