#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Random instructions in a guest's program, and the same on this processor: what they leave in
registers, flags and memory, and how they fault, is the same.  Some loop so often that they are
made traces of or run directly; a second process runs the same code at other addresses meanwhile.

MIMIC_CASES: how many; MIMIC_SEED: others than the usual ones; MIMIC_ENGINE: another engine;
MIMIC_OPTIONS: more options of mimic run."""
import os, re, subprocess
from vmtest import MIMIC, check, kernels, main, run, scratch

BUILD = os.path.dirname(MIMIC)
INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
/insn_run /cases check /want1 /code 1 >/other &
/insn_run /cases check /want0 /code 0
wait
/bin/busybox cat /other
/bin/busybox poweroff -f
"""

def make(tree, cases, seed):
    """The initrd's tree: busybox, the runner, the cases and what this host makes of them."""
    run_here = os.path.join(BUILD, "insn_run")
    for d in ("bin", "dev"):
        os.makedirs(os.path.join(tree, d))
    subprocess.run([os.path.join(BUILD, "insn_make"), os.path.join(tree, "cases"), str(cases), str(seed)], check=True)
    for turn in ("0", "1"):
        subprocess.run([run_here, os.path.join(tree, "cases"), "write", os.path.join(tree, "want" + turn),
                        os.path.join(tree, "code"), turn], check=True, timeout=600)
    subprocess.run(["cp", "/bin/busybox", os.path.join(tree, "bin")], check=True)
    subprocess.run(["cp", run_here, tree], check=True)
    with open(os.path.join(tree, "init"), "w") as f:
        f.write(INIT)
    os.chmod(os.path.join(tree, "init"), 0o755)

def guest(options, cpus, share):
    """Debian's generic kernel: the cloud one has no 16-bit segments."""
    cases, seed = int(os.environ.get("MIMIC_CASES", "3200")) // share, int(os.environ.get("MIMIC_SEED", "1"))
    with scratch() as d:
        tree, initrd = os.path.join(d, "tree"), os.path.join(d, "initrd")
        make(tree, cases, seed)
        subprocess.run("cd '%s' && find . | cpio -o -H newc --quiet | gzip -1 >'%s'" % (tree, initrd),
                       shell=True, check=True)
        out = run(["run", "--kernel", os.path.join(kernels(), "vmlinuz-generic"), "--initrd", initrd,
                   "--append", "console=ttyS0 panic=-1 quiet", "--memory", "768", "--cpus", str(cpus), "--console", "serial",
                   "--engine", os.environ.get("MIMIC_ENGINE", "auto"), "--stats"] + options +
                  os.environ.get("MIMIC_OPTIONS", "").split(), 300 + cases // 50)[1].replace("\r", "")
        found = re.findall(r"@R (\d+) cases, (\d+) differ", out)
        for line in re.findall(r"^.*(?:trace|direct|promot).*$", out, re.M):
            print("# " + line)
        check(len(found) == 2, "no result:\n" + out[-1500:])
        for n in re.findall(r"^@F (\d+)", out, re.M)[:3]:
            print("# case %s of seed %d" % (n, seed))
        check(all(r == (str(cases), "0") for r in found), "%s\n%s" % (found, out[-3000:]))

main([("random instructions as on this processor", lambda: guest([], 2, 1)),
      ("and without direct execution", lambda: guest(["--no-direct"], 1, 4))])
