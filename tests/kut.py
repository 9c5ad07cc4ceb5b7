#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run kvm-unit-tests for x86, built already, and print a table.

usage: kut.py MIMIC DIR64 [DIR32] [--engine NAME] [--only REGEX] [--slack FACTOR]

DIR64 and DIR32 hold the *.flat files of a build of kvm-unit-tests, the public repository; no
Debian package has them.  The processors that entries want, and their hypervisors, are options
of mimic run."""
import argparse, os, re, subprocess, sys, time

# name, image, bits, vCPUs, arguments of the test, options of mimic run, seconds
TESTS = [(n, n, 64, 1, "", "", 60) for n in (
    "realmode", "emulator", "smap", "pku", "pks", "la57", "lam", "memory", "rmap_chain", "umip", "idt_test",
    "eventinj", "debug", "setjmp", "xsave", "msr", "tsc", "tsc_adjust", "rdpru", "pcid", "s3")] + [
    (n + "-32", n, 32, 1, "", "", 60) for n in (
    "realmode", "emulator", "smap", "umip", "eventinj", "cmpxchg8b", "taskswitch", "taskswitch2")] + [
    ("access", "access_test", 64, 1, "", "", 600), ("sieve", "sieve", 64, 1, "", "", 180),
    ("syscall", "syscall", 64, 1, "", "--cpu amd", 60),
    ("smptest2", "smptest", 64, 2, "", "", 60), ("smptest3", "smptest", 64, 3, "", "", 60),
    ("apic", "apic", 64, 2, "", "--persona kvm", 180), ("ioapic", "ioapic", 64, 4, "", "", 60),
    ("hypercall", "hypercall", 64, 1, "", "--persona kvm", 60),
    ("kvmclock", "kvmclock_test", 64, 2, "1000000 %d" % time.time(), "--persona kvm", 120),
    ("vmware_backdoors", "vmware_backdoors", 64, 1, "", "--persona vmware", 60)]

def one(a, path, cpus, args, options, seconds):
    """(verdict, assertions that hold, that fail)"""
    cmd = [a.mimic, "run", "--quiet", "--engine", a.engine, "--console", "serial", "--memory", "128",
           "--cpus", str(cpus), "--kernel", path, "--append", args] + options.split()
    try:
        p = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=seconds * a.slack)
        out, code = p.stdout.decode("latin-1"), p.returncode
    except subprocess.TimeoutExpired as e:
        out, code = (e.stdout or b"").decode("latin-1"), None
    held, failed = (len(re.findall(r"^%s" % w, out, re.M)) for w in ("PASS", "FAIL"))
    if code == 1 and not failed:
        return "skip" if not held and "SKIP" in out else "pass", held, failed
    return {None: "timeout", 3: "fail", 77: "skip", 155: "skip"}.get(code, "ended %s" % code), held, failed

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("mimic")
    ap.add_argument("dir64")
    ap.add_argument("dir32", nargs="?")
    ap.add_argument("--engine", default="translate")
    ap.add_argument("--only", default="")
    ap.add_argument("--slack", type=float, default=1)
    a = ap.parse_args()
    bad = 0
    for name, image, bits, cpus, args, options, seconds in TESTS:
        path = os.path.join((a.dir64 if bits == 64 else a.dir32) or "", image + ".flat")
        if not re.search(a.only, name) or not os.path.exists(path):
            continue
        t0 = time.time()
        verdict, held, failed = one(a, path, cpus, args, options, seconds)
        bad += verdict not in ("pass", "skip")
        print("%-18s %-8s %5d hold %3d fail %6.1f s" % (name, verdict, held, failed, time.time() - t0), flush=True)
    return 1 if bad else 0

sys.exit(main())
