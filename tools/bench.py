#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare Mimic with QEMU, side by side on this machine.

usage: bench.py --mimic FILE --cache DIR [boot | cpu | convert | disk | idle | net | restore] [--runs N] [--scale PERCENT]
                [--only ITEMS] [--guest DIR] [--json] [options of bench.sh]

boot: Debian's cloud kernel and a busybox initrd, direct boot, 1 vCPU, to /init.
cpu:  the same guest runs its measuring program; each group of items as a ratio to TCG and to
      the host, with the target beside it ("!": missed); two vCPUs against one.
disk, net: sequential bytes by each device that is named (pvscsi virtio_blk lsisas1068 lsilogic buslogic
      ahci nvme ide, vmxnet3 e1000 e1000e pcnet virtio_net), as a ratio to TCG with the same device, or its
      nearest; --mib of them.
idle: memory and processor time of the demo package (--ova) at its login prompt, after --settle
      seconds for --seconds; exit code 1 when either is too much.
restore: a saved VM to its first instruction, beside QEMU's -loadvm and -incoming; what --copies of
      it cost, and of the demo package (--ova).
The guest and the runner are those of shared/bench/cpu, beside the checkout.
convert: disk images between raw and each format, against qemu-img and a sparse copy: times as
      wall seconds and as a ratio to qemu-img's in the same rounds (shared/bench/convert.sh).
      Names of cases (raw-vmdkstream ...) choose; else all.
"""
import argparse, os, shutil, subprocess, sys, tempfile

import bench_cpu, bench_idle, bench_io, bench_restore

# What a case of convert.sh is for us: the format of the new image, the size that must come out.
FORMATS = {
    "vmdkstream": "vmdk:streamOptimized", "vmdksparse": "vmdk:monolithicSparse", "vhdx": "vhdx", "vpc": "vhd",
    "vdi": "vdi", "qcow2": "qcow2", "qcow2zlib": "qcow2 -o compression=zlib", "qcow2zstd": "qcow2 -o compression=zstd",
    "raw": "raw", "qed": None,
}

def convert_case(script, mimic, case, source, work, runs):
    """The lines of one case: label, wall, ratio to qemu-img, peak, size, check."""
    source_format, _, target = case.partition("-")
    form = FORMATS[target]
    if form is None:
        return
    raw = "--from raw " if source_format == "raw" else ""
    ours = "%s disk convert --quiet %s--format %s {in} {out}" % (mimic, raw, form)
    r = subprocess.run(["bash", script, "-s", source, "-w", work, "-n", str(runs), case, "mimic=" + ours],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    rows = {f[0]: f for f in (l.split() for l in r.stdout.splitlines()) if len(f) >= 10}
    if not {"copy", "qemu", "mimic"} <= set(rows):
        print("%-16s %s" % (case, r.stdout.strip().splitlines()[-1:]), flush=True)
        return
    copy, qemu, us = (rows[n] for n in ("copy", "qemu", "mimic"))
    wall = max(float(us[1]), 0.01)
    print("%-16s %8s %8s %8s %9.1f %9.1f %9.2f %10s %9.3f  %s" %
          (case, copy[1], qemu[1], us[1], float(qemu[1]) / wall, float(qemu[3]) / max(float(us[3]), 0.01),
           wall / max(float(copy[1]), 0.01), us[5], float(us[6]) / max(float(qemu[6]), 1), us[9]), flush=True)

def convert(mimic, root, runs, cases):
    script = os.path.join(os.path.dirname(root), "shared", "bench", "convert.sh")
    if not os.path.exists(script):
        print("bench: %s is not there" % script, file=sys.stderr)
        return 1
    work = tempfile.mkdtemp(prefix="mimic-bench-", dir="/dev/shm")
    source = os.path.join(work, "disk.raw")
    names = cases or ["raw-" + n for n in FORMATS if FORMATS[n]] + [n + "-raw" for n in FORMATS if n != "raw"]
    print("%-16s %8s %8s %8s %9s %9s %9s %10s %9s" % ("", "copy s", "qemu s", "mimic s", "x qemu", "x cpu", "of copy",
                                                     "peak MiB", "of size"))
    try:
        for case in names:
            convert_case(script, mimic, case, source, work, runs)
            for f in os.listdir(work):
                if f != "disk.raw":
                    os.unlink(os.path.join(work, f))
    finally:
        shutil.rmtree(work)
    return 0

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--mimic", required=True)
    ap.add_argument("--cache", required=True)
    ap.add_argument("what", nargs="?", choices=["boot", "cpu", "convert", "disk", "idle", "net", "restore"], default="boot")
    ap.add_argument("--runs", type=int, default=3)
    ap.add_argument("--scale", type=float, default=100, help="of the work of cpu, in per cent")
    ap.add_argument("--only", default="", help="these items of cpu, with commas")
    ap.add_argument("--guest", help="a guest that build.sh made")
    ap.add_argument("--json", action="store_true", help="the table of cpu or idle as JSON")
    ap.add_argument("--ova", help="the package of idle")
    ap.add_argument("--copies", type=int, default=100, help="of restore")
    ap.add_argument("--mib", type=int, default=256, help="of disk and net")
    ap.add_argument("--settle", type=float, default=60)
    ap.add_argument("--seconds", type=float, default=30)
    a, rest = ap.parse_known_args()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if a.what == "convert":
        return convert(os.path.abspath(a.mimic), root, a.runs, rest)
    if a.what == "idle":
        return bench_idle.main(os.path.abspath(a.mimic), a.ova, a.settle, a.seconds, rest, a.json)
    if a.what in ("disk", "net"):
        return bench_io.main(a.what, os.path.abspath(a.mimic), root, a.cache, a.runs, a.mib, rest, a.json)
    shared = os.path.join(os.path.dirname(root), "shared", "bench", "cpu")
    if not os.path.exists(os.path.join(shared, "bench.sh")):
        print("bench: %s is not there" % shared, file=sys.stderr)
        return 1
    guest = a.guest or os.path.join(os.path.abspath(a.cache), "bench-guest")
    if not os.path.exists(os.path.join(guest, "initrd")):
        subprocess.run([os.path.join(shared, "build.sh"), guest], check=True, stdout=subprocess.DEVNULL)
    script = os.path.join(shared, "bench.sh")
    mimic = os.path.abspath(a.mimic) + " run --quiet --console serial --kernel {kernel} --initrd {initrd} " \
        "--append {append} --memory {mem} --cpus {smp}"
    if a.what == "cpu":
        return bench_cpu.main(script, os.path.abspath(guest), a.runs, a.scale, a.only, mimic, a.json)
    if a.what == "restore":
        return bench_restore.main(os.path.abspath(a.mimic), os.path.abspath(guest), a.ova, a.runs, a.copies, a.json)
    cmd = [script, "--guest", guest, "--runs", str(a.runs), "--mode", "boot"]
    return subprocess.run(cmd + rest + ["tcg", "mimic=" + mimic]).returncode

sys.exit(main())
