#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux sleeps to RAM and wakes: by the alarm of its clock, by the power button, from a saved file; booted directly."""
import json, os, subprocess, time
from vmtest import MIMIC, Session, check, kernels, main, run, scratch

LINE = "console=ttyS0 panic=-1 loglevel=7 no_console_suspend "
ALARM = "run=cat~/sys/power/mem_sleep;echo~+2~>/sys/class/rtc/rtc0/wakealarm;echo~mem~>/sys/power/state;echo~woke~$?"

def args(line, cpus):
    d = kernels()
    return ["run", "--quiet", "--throwaway", "--kernel", os.path.join(d, "vmlinuz-cloud"), "--initrd",
            os.path.join(d, "initrd-64"), "--append", LINE + line, "--memory", "256", "--cpus", str(cpus),
            "--console", "serial", "--no-reboot"]

def by_the_alarm():
    code, out = run(args(ALARM, 2), 200)
    for line in ("[deep]", "Preparing to enter system sleep state S3", "Waking up from system sleep state S3",
                 "CPU1 is up", "PM: suspend exit", "woke 0", "@I done"):
        check(line in out, "no %r:\n%s" % (line, out[-1500:]))
    check(code == 0, "exit code %d" % code)

def mimic(env, *words):
    p = subprocess.run([MIMIC] + list(words), env=dict(os.environ, **env), stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100)
    check(p.returncode == 0, "mimic %s:\n%s" % (" ".join(words), p.stdout.decode("utf-8", "replace")))
    return p.stdout.decode("utf-8", "replace")

def falls_asleep(s, env):
    s.expect("Preparing to enter system sleep state S3", 200)
    for _ in range(300):
        if json.loads(mimic(env, "call", str(s.pid), "status"))["state"] == "asleep":
            return
        time.sleep(0.1)
    raise AssertionError("it does not sleep:\n" + s.text[-1500:])

def saved_asleep():
    """And woken by `mimic resume`, then by `mimic shutdown`, which ends it in the end."""
    with scratch() as d:
        env = {"XDG_RUNTIME_DIR": d}
        sleep = "echo~mem~>/sys/power/state;echo~woke~$?"
        s = Session([MIMIC] + args("run=" + sleep + ";" + sleep, 1), env=env)
        falls_asleep(s, env)
        check("asleep" in mimic(env, "ps"), "mimic ps does not say that it sleeps")
        mimic(env, "save", "--quiet", str(s.pid), os.path.join(d, "saved"))
        check(s.wait(60) == 0, "the saved VM's process")
        s = Session([MIMIC, "restore", "--quiet", "--console", "serial", os.path.join(d, "saved")], env=env)
        for _ in range(100): # its socket is there in a moment
            if str(s.pid) in mimic(env, "ps"):
                break
            time.sleep(0.1)
        check("asleep" in mimic(env, "ps"), "the restored VM does not sleep")
        mimic(env, "resume", str(s.pid))
        s.expect("woke 0", 60)
        falls_asleep(s, env)
        mimic(env, "shutdown", str(s.pid))
        s.expect("woke 0", 60)
        check(s.wait(100) == 0, "exit code after power off")

main([("Linux sleeps until its alarm", by_the_alarm), ("saved while it sleeps, woken by the button", saved_asleep)])
