#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What VMs trust: a TPM, secure boot, variables that a package brings; and a disk that a BIOS
reaches by its adapter's own boot ROM."""
import os, re, struct
from medium import hybrid, need_swtpm, signed
from vmtest import MIMIC, Session, check, kernels, main, run, scratch

# Commands as bytes: startup is the kernel's own; ReadClock tells how often the TPM was reset.
ASK = ("run=exec~5<>/dev/tpm0;printf~\"%s\">&5;head~-c~%d~<&5|od~-An~-v~-tx1|tr~-d~'\\n'|"
       "sed~s/^/@T/;echo")
CLOCK = ASK % (r"\200\001\0\0\0\012\0\0\001\201", 35)
RANDOM = ASK % (r"\200\001\0\0\0\014\0\0\001\173\0\020", 28)
PCRS = "run=cat~/sys/class/tpm/tpm0/pcr-sha256/0|sed~s/^/@P/"

def answer(state, ask, *more):
    code, out = run(["run", "--kernel", os.path.join(kernels(), "vmlinuz-cloud"), "--initrd",
                     os.path.join(kernels(), "initrd-64"), "--append", "console=ttyS0 quiet " + ask,
                     "--memory", "256", "--console", "serial", "--tpm", "--state", state, *more], 180)
    m = re.search("@T([0-9a-f ]+)", out)
    check(m and code == 0, "no answer of the TPM:\n" + out[-1500:])
    return bytes.fromhex(m.group(1))

def tpm_keeps():
    need_swtpm()
    with scratch() as d:
        resets = []
        for _ in range(2):
            a = answer(os.path.join(d, "state"), CLOCK)
            check(a[:2] == b"\x80\x01" and a[6:10] == bytes(4), "ReadClock: " + a.hex())
            resets.append(struct.unpack(">I", a[26:30])[0])
        check(resets[1] > resets[0], "resets of one TPM in two runs: %s" % resets)
        a = answer(os.path.join(d, "other"), RANDOM, "--throwaway")
        check(a[6:10] == bytes(4) and len(set(a[12:])) > 4, "GetRandom: " + a.hex())
        check(not os.path.exists(os.path.join(d, "other", "tpm")), "a throwaway TPM was kept")

def signed_starts():
    need_swtpm()
    with scratch() as d:
        code, out = run(["run", "--secure-boot", "--tpm", "--disk", signed(d, PCRS), "--format", "raw",
                         "--net", "none", "--memory", "512", "--console", "serial",
                         "--throwaway"], 240)
        check("secureboot: Secure boot enabled" in out and code == 0,
              "secure boot is off:\n" + out[-1500:])
        m = re.search("@P([0-9A-F]{64})", out)
        check(m and set(m.group(1)) != {"0"}, "the firmware measures nothing:\n" + out[-1500:])

def unsigned_refused():
    with scratch() as d:
        s = Session([MIMIC, "run", "--secure-boot", "--cdrom", hybrid(d), "--net", "none",
                     "--memory", "512", "--console", "serial", "--throwaway"])
        s.expect("Access Denied", 180)
        s.kill()

def buslogic_starts():
    with scratch() as d:
        code, out = run(["run", "--disk", hybrid(d), "--format", "raw", "--disk-bus", "buslogic",
                         "--net", "none", "--memory", "512", "--console", "serial",
                         "--throwaway"], 240)
        check("@I done" in out and code == 0, "exit code %d:\n%s" % (code, out[-1500:]))

main([("a TPM answers, and keeps what it should", tpm_keeps),
      ("secure boot: shim, GRUB, kernel as signed, measured", signed_starts),
      ("secure boot: unsigned is refused", unsigned_refused),
      ("BIOS boot from BusLogic", buslogic_starts)])
