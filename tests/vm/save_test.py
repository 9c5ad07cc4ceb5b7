#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Save and restore of the Debian VM while it works: disk, processor and clock go on, sums inside
the guest prove that nothing was lost; other engine, copies, going back, kill -9, a full disk."""
import hashlib, json, os, signal, socket, subprocess, sys, time
import load
from vmtest import MIMIC, OVA, Session, Skip, check, main, scratch

ROUNDS = int(os.environ.get("MIMIC_SAVE_ROUNDS", "5"))
WORK = r"""
n=0; h=start
while :; do
  n=$((n+1)); h=$(echo "$h$n" | sha256sum | cut -c1-64)
  echo "$n $h" >>/root/chain
  head -c 300000 /dev/urandom >/root/d.$((n%8)); sync; sha256sum /root/d.$((n%8)) >/root/s.$((n%8))
  sha256sum -c --quiet /root/s.* >>/root/bad 2>&1 || echo "round $n" >>/root/bad
done
"""

class VM:
    dir = scratch()
    run = os.path.join(dir.name, "run")
    env = {"XDG_RUNTIME_DIR": run}
    session = None
    saved = None  # the last file

def file(name):
    return os.path.join(VM.dir.name, name)

def mimic(*args, ok=True):
    p = subprocess.run([MIMIC] + list(args), env=dict(os.environ, **VM.env), stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    out = p.stdout.decode("utf-8", "replace")
    if ok:
        check(p.returncode == 0, "mimic %s: %d\n%s" % (" ".join(args), p.returncode, out))
    else:
        check(p.returncode != 0, "mimic %s: it is done\n%s" % (" ".join(args), out))
    return out

def pid():
    return str(VM.session.pid)

def save(name, *args):
    path = file(name)
    mimic("save", *args, pid(), path)
    if "--keep-running" not in args:
        check(VM.session.wait(60) == 0, "the saved VM's process")
        os.close(VM.session.fd)
    VM.saved = path

def restore(path, *args):
    s = Session([MIMIC, "restore", "--console", "serial"] + list(args) + [path], env=VM.env)
    s.expect(r"^  writes .*\n", 60)
    return s

def chain(s):
    """The last line of the worker's chain, which is as it must be; nothing was bad."""
    check(s.shell("cat /root/bad 2>/dev/null; true", 120) == "", "the guest found wrong sums")
    n, have = s.shell("tail -n 1 /root/chain").split()
    h = "start"
    for i in range(1, int(n) + 1):
        h = hashlib.sha256(("%s%d\n" % (h, i)).encode()).hexdigest()
    check(h == have, "the chain is broken at %s" % n)
    return int(n)

def goes_on(s, seconds=120):
    before = chain(s)
    for _ in range(seconds):
        if chain(s) > before + 1:
            return
        time.sleep(1)
    raise AssertionError("the work does not go on after %d" % before)

def boots_and_works():
    os.mkdir(VM.run, 0o700)
    VM.session = s = Session([MIMIC, "run", "--console", "serial", "--memory", "512", "--state", file("state"), OVA],
                             env=VM.env)
    s.login(600)
    load.address(s)
    s.send("cat >/root/work.sh <<'END'\n" + WORK.strip() + "\nEND")
    s.shell("(setsid sh /root/work.sh >/dev/null 2>&1 &); until [ -s /root/chain ]; do sleep 1; done", 120)
    goes_on(s)

def saved_and_restored():
    for i in range(ROUNDS):
        save("round%d" % i, *(["--compress"] if i % 2 else []))
        VM.session = restore(VM.saved)
        goes_on(VM.session)
        if i:
            os.unlink(file("round%d" % i))
    s = VM.session
    check("vmxnet3" in s.shell("basename $(readlink -f /sys/class/net/e*/device/driver)"), "network driver")
    load.network(s)
    check(s.shell("dmesg | grep -ciE 'I/O error|soft lockup|timed out|call trace' || true") == "0",
          s.shell("dmesg | tail -20"))

def other_engine():
    save("translated")
    VM.session = restore(VM.saved, "--engine", "interpret")
    check("interpret" in mimic("ps"), "mimic ps names another engine")
    time.sleep(5)
    save("interpreted")
    VM.session = restore(VM.saved, "--engine", "translate")
    goes_on(VM.session)

def stands_while_paused():
    s = VM.session
    mimic("pause", pid())
    a = json.loads(mimic("call", pid(), "status"))
    time.sleep(1)
    b = json.loads(mimic("call", pid(), "status"))
    check(a["state"] == b["state"] == "paused" and a["guest_time_ns"] == b["guest_time_ns"], "it does not stand")
    mimic("resume", pid())
    goes_on(s)

def copies():
    save("twin", "--keep-running")
    goes_on(VM.session)
    two = [restore(VM.saved, "--as-copy", "--state", file("copy%d" % i), "--vnc", file("vnc%d" % i)) for i in (1, 2)]
    names = [json.loads(mimic("call", str(s.pid), "status")) for s in two + [VM.session]]
    with socket.socket(socket.AF_UNIX) as viewer:
        viewer.settimeout(60)
        viewer.connect(file("vnc2"))
        check(viewer.recv(4) == b"RFB ", "no VNC of a restored VM")
    check(len({n["name"] for n in names}) == 3 and len({n["uuid"] for n in names}) == 3, "they are not different VMs")
    for i, s in enumerate(two):
        goes_on(s)
        s.shell("echo %d >/root/which; sync" % i)
    for i, s in enumerate(two):
        check(s.shell("echo 3 >/proc/sys/vm/drop_caches; cat /root/which") == str(i), "copies share what they write")
        mimic("shutdown", "--now", str(s.pid))
        s.wait(60)
    goes_on(VM.session)
    VM.session.shell("test ! -e /root/which")

def goes_back():
    s = VM.session
    s.shell("echo later >/root/later; sync")
    mimic("shutdown", "--now", pid())
    s.wait(60)
    out = mimic("restore", file("twin"), ok=False)
    check("--revert" in out and "--as-copy" in out, out)
    VM.session = restore(file("twin"), "--revert")
    VM.session.shell("test ! -e /root/later")
    goes_on(VM.session)

def full_disk():
    small = file("small")
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], stderr=subprocess.DEVNULL).returncode:
        raise Skip("a small file system cannot be mounted here")
    try:
        out = mimic("save", pid(), os.path.join(small, "x"), ok=False)
        check("No space" in out, out)
        check(os.listdir(small) == [], "something is left")
    finally:
        subprocess.run(["umount", small], check=True)
    goes_on(VM.session)
    check("is there already" in mimic("save", pid(), file("twin"), ok=False), "another file gave way")
    goes_on(VM.session)

def killed_while_saving():
    target = file("killed")
    save("good", "--keep-running")
    p = subprocess.Popen([MIMIC, "save", "--compress", pid(), target], env=dict(os.environ, **VM.env),
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.3)
    VM.session.kill(signal.SIGKILL)
    check(p.wait(60) != 0, "mimic save does not notice")
    left = [f for f in os.listdir(VM.dir.name) if f.startswith("killed")]
    check(not left, "something is left: %s" % left)
    VM.session = restore(file("good"), "--revert")
    goes_on(VM.session)

def damaged_files():
    whole = open(file("good"), "rb").read()
    bad = file("bad")
    for what, data in (("cut", whole[:len(whole) // 2]), ("foreign", b"\0" * 100000),
                       ("flipped", whole[:9000000] + bytes([whole[9000000] ^ 1]) + whole[9000001:])):
        with open(bad, "wb") as f:
            f.write(data)
        out = mimic("restore", "--as-copy", "--state", file("copy3"), bad, ok=False)
        check(bad in out, "%s: %s" % (what, out))
        mimic("restore", "--check", bad, ok=False)
    mimic("restore", "--check", file("good"))

def computes_directly():
    """Memory is mapped from the saved file: user code that computes runs on the processor all the same."""
    s = VM.session
    loop = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; echo $i"
    check(s.shell(loop, 300) == "400000", "a loop")
    stats = json.loads(mimic("call", pid(), "stats"))
    check(stats["direct execution"]["address spaces promoted"] > 0, str(stats["direct execution"]))

def moved():
    """The file, the package and the state directory in another place."""
    s = VM.session
    s.shell("echo moves >/root/moves; sync")
    os.mkdir(file("old"))
    mimic("save", pid(), os.path.join(VM.dir.name, "old", "web.saved"))
    check(s.wait(60) == 0, "the saved VM's process")
    os.close(s.fd)
    os.rename(VM.dir.name, VM.dir.name + "-moved")
    VM.env["XDG_RUNTIME_DIR"] = os.path.join(VM.dir.name + "-moved", "run")
    try:
        VM.session = restore(os.path.join(VM.dir.name + "-moved", "old", "web.saved"))
        check(VM.session.shell("cat /root/moves") == "moves", "another disk")
        goes_on(VM.session)
        mimic("shutdown", "--now", pid())
        VM.session.wait(60)
    finally:
        os.rename(VM.dir.name + "-moved", VM.dir.name)
        VM.env["XDG_RUNTIME_DIR"] = VM.run
    VM.session = restore(os.path.join(VM.dir.name, "old", "web.saved"), "--revert")
    goes_on(VM.session)

def powers_off():
    s = VM.session
    s.send("poweroff")
    check(s.wait(300) == 0, "exit code")

main([("boots and works", boots_and_works),
      ("saved and restored, %d times" % ROUNDS, saved_and_restored),
      ("goes on under the other engine, and back", other_engine),
      ("stands while it is paused", stands_while_paused),
      ("copies are VMs of their own", copies),
      ("goes back, when told to", goes_back),
      ("a full disk", full_disk),
      ("killed while saving", killed_while_saving),
      ("damaged files are refused by name", damaged_files),
      ("user code computes on the processor", computes_directly),
      ("all of it in another place", moved),
      ("powers off", powers_off)])
