#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""memtest86+ as Debian packages it, without an error: up to the test that mostly waits, for bits to
fade; with MIMIC_LONG through that, too, to the end of its first pass."""
import os, re, time
from vmtest import MIMIC, Session, Skip, check, main

def first_pass(image, seconds):
    path = "/boot/" + image
    if not os.path.exists(path):
        raise Skip("%s is not there (package memtest86+)" % path)
    s = Session([MIMIC, "run", "--quiet", "--kernel", path, "--append", "console=ttyS0,115200",
                 "--memory", "16", "--console", "serial"])
    try:
        long = os.environ.get("MIMIC_LONG")
        s.expect(r"Pass complete|Pass:\s*[1-9]|Passes:\s*[1-9]" if long else r"Bit fade test", seconds)
        m = re.findall(r"Errors:\s*(\d+)", s.text)
        check(m and m[-1] == "0", "errors: %s" % m[-1:])
    finally:
        s.kill()

main([("64-bit", lambda: first_pass("memtest86+x64.bin", 420))])
