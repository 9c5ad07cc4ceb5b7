#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Check that every #include obeys layers.txt, and that every source has its SPDX line.

usage: layers.py [ROOT]     exit 1 and one line a breach
"""
import os, re, sys

def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    may, bad = {}, 0
    for line in open(os.path.join(root, "layers.txt")):
        line = line.split("#")[0].strip()
        if line:
            folder, _, known = line.partition(":")
            may[folder.strip()] = known.split()
    for folder in may:
        for d, _, names in os.walk(os.path.join(root, folder)):
            for name in sorted(names):
                if not name.endswith((".c", ".h", ".def")):
                    continue
                path = os.path.join(d, name)
                test = name.endswith(("_test.c", "_fuzz.c", "_rig.h"))
                text = open(path, encoding="utf-8").read()
                where = os.path.relpath(path, root)
                if "SPDX-License-Identifier: GPL-2.0-or-later" not in text.split("\n", 1)[0]:
                    print("%s:1: no SPDX line" % where)
                    bad = 1
                for n, line in enumerate(text.split("\n"), 1):
                    m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
                    if not m:
                        continue
                    to = m.group(1)
                    if to.endswith("_int.h") and os.path.dirname(to) != os.path.dirname(where):
                        print("%s:%d: %s is private to its folder" % (where, n, to))
                        bad = 1
                    top = to.split("/")[0]
                    if top == folder or may[folder] == ["*"] or (test and top == "tests"):
                        continue
                    if not any(to == k or to.startswith(k + "/") for k in may[folder]):
                        print("%s:%d: %s/ may not know %s" % (where, n, folder, to))
                        bad = 1
    return bad

sys.exit(main())
