#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What mimic run tells about its engine: counters, the map for perf, the listing of blocks."""
import glob, json, os, re
from vmtest import check, kernels, main, run, scratch

def boot(*args):
    d = kernels()
    return run(["run", "--kernel", os.path.join(d, "vmlinuz-cloud"), "--initrd", os.path.join(d, "initrd-64"),
                "--append", "console=ttyS0 panic=-1 loglevel=4 nokaslr", "--memory", "512", "--engine", "translate",
                "--no-reboot"] + list(args), 240)

def everything():
    with scratch() as d:
        trace, symbols = os.path.join(d, "trace"), os.path.join(d, "System.map")
        with open(symbols, "w") as f:
            f.write("ffffffff81000000 T _text\nffffffff81000001 D data\nnonsense\n")
        before = set(glob.glob("/tmp/perf-*.map"))
        code, out = boot("--json", "--stats", "--perf-map", "--symbols", symbols, "--trace", trace,
                         "--trace-count", "30", "--trace-range", "ffffffff81000000-")
        check(code == 0 and "@I done" in out, "no clean end:\n" + out[-800:])
        stats = counters(out)
        for group in ("time", "blocks", "exits", "tlb misses", "interpreted"):
            check(group in stats, "no group " + group)
        check(stats["blocks"]["made"] > 1000, "hardly a block was made")
        check(stats["time"]["translated code (ns)"] > 0, "no time in translated code")
        listing = open(trace).read()
        heads = re.findall(r"^block \d+: (?:_text\+0x[0-9a-f]+ )?guest rip (ffffffff[0-9a-f]+) gpa", listing, re.M)
        check(len(heads) == 30, "%d blocks listed, 30 were asked for" % len(heads))
        check("host\n" in listing and "; to C: " in listing and "... and more" in listing, "not as a listing is")
        new = set(glob.glob("/tmp/perf-*.map")) - before
        lines = [l for f in new for l in open(f).read().splitlines()]
        for f in new:
            os.unlink(f)
        check(len(lines) > 1000, "%d lines in the map" % len(lines))
        check(all(re.match(r"[0-9a-f]+ [0-9a-f]+ \S", l) for l in lines), "a line that perf cannot read")
        check(any(re.search(r" _text\+0x[0-9a-f]+ \[guest kernel ffffffff8", l) for l in lines), "no named kernel code")
        check(any("[guest user " in l for l in lines), "no user code")

def counters(out):
    line = [l for l in out.splitlines() if l.startswith('{"time"')]
    check(len(line) == 1, "not one object of counters:\n" + out[-800:])
    return json.loads(line[0])

def kept():
    with scratch() as d:
        used = []
        for _ in range(2):
            code, out = boot("--json", "--stats", "--state", d)
            check(code == 0 and "@I done" in out, "no clean end:\n" + out[-800:])
            used.append(counters(out)["kept blocks"]["used instead of translating"])
        mode = os.stat(os.path.join(d, "translated")).st_mode & 0o777
        check(mode == 0o600, "the file's mode is %o" % mode)
        check(used[1] > used[0] + 10000, "%d and %d kept blocks were used" % tuple(used))
        os.unlink(os.path.join(d, "translated"))
        code, out = boot("--json", "--stats", "--state", d, "--no-code-cache")
        check(code == 0 and "kept blocks" not in counters(out), "code was kept although it should not be")
        check(not os.path.exists(os.path.join(d, "translated")), "there is a file of translated code")

def refused():
    for args in (["--trace-count", "3"], ["--symbols", "/dev/null"], ["--trace", "/dev/null", "--trace-range", "5"],
                 ["--trace", "/dev/null", "--trace-range", "9-8"], ["--trace", "/nowhere/x"]):
        code, out = boot(*args)
        check(code not in (0, 70) and "mimic run: " in out, "%s: %d, %s" % (args, code, out[-200:]))

main([("counters, map and listing", everything), ("translated code is kept", kept),
      ("what makes no sense is refused", refused)])
