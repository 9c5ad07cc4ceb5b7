#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernels, booted directly, each to its own sign of life and a clean power off."""
import os, re, select, signal, subprocess, time
from vmtest import MIMIC, Skip, check, kernels, main, run

LINE = "console=ttyS0 panic=-1 loglevel=4"

def boot(kernel, initrd, cpus=1, extra="", args=(), seconds=240):
    d = kernels()
    code, out = run(["run", "--kernel", os.path.join(d, "vmlinuz-" + kernel), "--initrd",
                     os.path.join(d, "initrd-" + initrd), "--append", (LINE + " " + extra).strip(),
                     "--memory", "768", "--cpus", str(cpus), "--console", "serial", "--no-reboot"] + list(args), seconds)
    check("@I done" in out, "the guest did not come to the end of init:\n" + out[-1500:])
    check(code == 0, "exit code %d after power off" % code)
    check("@I cpus %d " % cpus in out, "not %d processors:\n%s" % (cpus, out[-500:]))
    return out

def cloud():
    boot("cloud", "64")

def cloud_two_cpus():
    boot("cloud", "64", cpus=2)

def cloud_eight_cpus():
    boot("cloud", "64", cpus=8, seconds=400)

def cloud_page_table_isolation():
    boot("cloud", "64", extra="pti=on nosmap")

def cloud_vmware_persona():
    out = boot("cloud", "64", extra="loglevel=7", args=["--persona", "vmware"])
    for line in ("Hypervisor detected: VMware", "vmware: TSC freq read from hypervisor",
                 "detect VMware"):
        check(line in out, "no line with \"%s\"" % line)

def generic():
    boot("generic", "64")

def i386():
    boot("686", "32")

def i386_pae():
    boot("686-pae", "32")

def lock_step():
    if not os.environ.get("MIMIC_LONG"):
        raise Skip("minutes long: with MIMIC_LONG=1")
    boot("cloud", "64", args=["--engine", "translate", "--check"], seconds=1800)

def starved():
    """A host without time for us: stopped for 100 ms, run for 20, while the kernel counts the ticks of
    its timer for as long as the TSC says; with the HPET, and with the PIT."""
    d = kernels()
    for extra in ("", " nohpet"):
        p = subprocess.Popen([MIMIC, "run", "--quiet", "--throwaway", "--kernel", os.path.join(d, "vmlinuz-cloud"), "--initrd",
                              os.path.join(d, "initrd-64"), "--append", LINE + " loglevel=7" + extra, "--memory", "256",
                              "--console", "serial", "--no-reboot"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        text, end = b"", time.time() + 200
        try:
            while not re.search(rb"Calibrating delay|Kernel panic", text):
                check(time.time() < end, "no end:\n" + text[-500:].decode("latin-1"))
                hungry = b"TSC deadline timer" in text
                if hungry:
                    p.send_signal(signal.SIGSTOP)
                    time.sleep(0.1)
                    p.send_signal(signal.SIGCONT)
                if select.select([p.stdout], [], [], 0.02 if hungry else 1)[0]:
                    more = os.read(p.stdout.fileno(), 65536)
                    check(more, "it ended:\n" + text[-500:].decode("latin-1"))
                    text += more
        finally:
            p.kill()
            p.wait()
        for bad in (b"timer not connected", b"Kernel panic"):
            check(bad not in text, bad.decode() + extra)

main([("cloud kernel", cloud), ("cloud kernel, 2 vCPUs", cloud_two_cpus),
      ("cloud kernel, 8 vCPUs", cloud_eight_cpus),
      ("cloud kernel, page table isolation", cloud_page_table_isolation),
      ("cloud kernel as a VMware guest", cloud_vmware_persona), ("generic kernel", generic),
      ("i386 kernel", i386), ("i386 PAE kernel", i386_pae), ("cloud kernel in lock-step", lock_step), ("a host without time", starved)])
