#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare Mimic's CPU with QEMU's TCG, side by side on this machine.

usage: bench.py --mimic FILE --cache DIR [boot | cpu] [--runs N] [options of bench.sh]

boot: Debian's cloud kernel and a busybox initrd, direct boot, 1 vCPU, to /init.
cpu:  the same guest runs its measuring program; ratios to the host and to TCG.
The guest and the runner are those of shared/bench/cpu, beside the checkout.
"""
import argparse, os, subprocess, sys

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--mimic", required=True)
    ap.add_argument("--cache", required=True)
    ap.add_argument("what", nargs="?", choices=["boot", "cpu"], default="boot")
    ap.add_argument("--runs", type=int, default=3)
    a, rest = ap.parse_known_args()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    shared = os.path.join(os.path.dirname(root), "shared", "bench", "cpu")
    if not os.path.exists(os.path.join(shared, "bench.sh")):
        print("bench: %s is not there" % shared, file=sys.stderr)
        return 1
    guest = os.path.join(os.path.abspath(a.cache), "bench-guest")
    if not os.path.exists(os.path.join(guest, "initrd")):
        subprocess.run([os.path.join(shared, "build.sh"), guest], check=True, stdout=subprocess.DEVNULL)
    mimic = os.path.abspath(a.mimic) + " run --quiet --console serial --kernel {kernel} --initrd {initrd} " \
        "--append {append} --memory {mem} --cpus {smp}"
    cmd = [os.path.join(shared, "bench.sh"), "--guest", guest, "--runs", str(a.runs)]
    cmd += ["--mode", "boot"] if a.what == "boot" else []
    return subprocess.run(cmd + rest + ["tcg", "mimic=" + mimic]).returncode

sys.exit(main())
