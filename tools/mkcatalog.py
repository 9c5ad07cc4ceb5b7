#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the constant table of a kind of part out of the list of its files.

usage: mkcatalog.py KIND TYPE HEADER OUT FILE...
Each FILE "x/y.c" defines "const struct TYPE KIND_y".
"""
import os, sys

kind, ctype, header, out, *files = sys.argv[1:]
names = sorted(os.path.splitext(os.path.basename(f))[0] for f in files)
with open(out, "w") as f:
    f.write('/* made by tools/mkcatalog.py */\n#include "%s"\n\n' % header)
    for n in names:
        f.write("extern const struct %s %s_%s;\n" % (ctype, kind, n))
    f.write("\nconst struct %s *const %s_catalog[] = {\n" % (ctype, kind))
    for n in names:
        f.write("    &%s_%s,\n" % (kind, n))
    f.write("    NULL\n};\n")
