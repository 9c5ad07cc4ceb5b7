#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One small guest on each engine that there is: interrupt controllers, timers, IPIs, a second
processor.  What it prints is the same everywhere."""
import json, os, subprocess
from vmtest import MIMIC, SOURCE, Skip, check, main, run, scratch

LINES = """start
pit by pic
pit by ioapic
lapic version 00050014
lapic id 00000000
lapic timer
held back 00000002
ipi
nmi
second processor 00000001
x2apic id 00000000
x2apic self ipi
tsc deadline
pci 12378086
pci 70008086
pci 11111234
end""".split("\n")

def build(d):
    obj, elf = os.path.join(d, "engine.o"), os.path.join(d, "engine.elf")
    subprocess.run(["cc", "-m32", "-c", os.path.join(SOURCE, "tests", "guest", "engine.S"), "-o", obj], check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-Ttext=0x100000", "-o", elf, obj], check=True)
    return elf

def engines():
    out = subprocess.run([MIMIC, "list", "engines", "--json"], stdout=subprocess.PIPE, check=True).stdout
    return json.loads(out)["engines"]

def agrees(engine):
    def case():
        if not engine["can_run"]:
            raise Skip(engine["about"])
        with scratch() as d:
            code, out = run(["run", "--quiet", "--kernel", build(d), "--engine", engine["name"], "--cpus", "2",
                             "--memory", "64", "--console", "serial"], 120)
        lines = [line.strip() for line in out.splitlines() if line.strip()]
        check(lines == LINES, "it printed other lines:\n" + out)
        check(code == 1, "exit code %d" % code)
    return case

def auto():
    """What --engine auto takes, and that it says why."""
    best = next((e["name"] for name in ("kvm", "translate", "interpret") for e in engines()
                 if e["name"] == name and e["can_run"] and (e["hardware"] or name != "kvm")), None)
    with scratch() as d:
        code, out = run(["run", "--kernel", build(d), "--engine", "auto", "--cpus", "2", "--memory", "64",
                         "--console", "serial"], 120)
    check("engine %s," % best in out, "not %s:\n%s" % (best, out[:300]))
    kvm = next(e for e in engines() if e["name"] == "kvm")
    if best != "kvm":
        why = kvm["about"].split(":")[0]
        check("kvm" in out and why in out, "it does not say why not kvm (%s):\n%s" % (why, out[:400]))

main([("the chipset under " + e["name"], agrees(e)) for e in engines()] + [("--engine auto", auto)])
