# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of ./dev bench cpu: groups of items, each as a ratio to QEMU TCG and to the host,
with the target beside it.  Everything is measured by the runner that is handed in (bench.sh),
which runs one guest under each VMM in turn; the scaling over two vCPUs by a second guest, the
same but for its first program."""
import json, math, os, subprocess, sys, tempfile, time

# name, items, at least so many times faster than TCG, at most so many times slower than the host
GROUPS = [
    ("integer", "int dispatch sort hash sha256 gzip gunzip zstd", 2.5, 1.7),
    ("call heavy", "call", 10, 2.5),
    ("floating point and SIMD", "matmul nbody x87 sse2", 25, 1.3),
    ("memcpy, string", "memcpy string", 5, 1.5),
    ("system calls", "syscall file pipe signal", 3, 2),
    ("fork, exec, page faults", "fork exec fault mprotect segv", 3, 5),
    ("self-modifying, fresh code", "smc jit", 10, 5),
    ("boot to /init", "init", 2.5, None),
    ("pointer chase", "chase_l1 chase_l2 chase_mem", None, None),
    ("the rest", "rdtsc cpuid atomic smp shell pack", None, None),
]
SCALING = 1.8  # throughput of two vCPUs at least, one is 1
PARALLEL = "int sha256 sort hash matmul"

INIT = """#!/bin/busybox sh
export PATH=/bin
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
/bin/busybox mount -t tmpfs tmp /tmp
cd /tmp
echo "@I init 0"
work() { /bin/mbench -s SCALE ITEMS >/dev/null; }
work
echo "@B one"; work; echo "@E one 1 0"
echo "@B two"; work & work & wait; echo "@E two 2 0"
echo "@I done"
/bin/busybox poweroff -f
"""

def gmean(v):
    return math.exp(sum(map(math.log, v)) / len(v)) if v else None

def runner(script, guest, options, vmms):
    with tempfile.NamedTemporaryFile(suffix=".json") as f:
        r = subprocess.run([script, "--guest", guest, "--json", f.name] + options + vmms, stdout=subprocess.DEVNULL)
        if r.returncode:
            sys.exit(r.returncode)
        return json.load(open(f.name))

def measure(script, guest, options, vmms):
    """{VMM: {item: ns}}; `init` is the boot."""
    out = {}
    for name, m in runner(script, guest, options, vmms).items():
        out[name] = dict(m["res"])
        if m["init"]:
            out[name]["init"] = m["init"] * 1e9
        for b in m["bad"]:
            print("problem under %s: %s" % (name, b), file=sys.stderr)
    return out

def scaling_guest(guest, into, scale):
    """The guest with another first program: a second archive behind the first takes its place."""
    os.symlink(os.path.join(guest, "vmlinuz"), os.path.join(into, "vmlinuz"))
    for n in ("mbench", "bench.iso"):
        os.symlink(os.path.join(guest, n), os.path.join(into, n))
    with open(os.path.join(into, "init"), "w") as f:
        f.write(INIT.replace("SCALE", "%g" % scale).replace("ITEMS", PARALLEL))
    os.chmod(os.path.join(into, "init"), 0o755)
    over = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=b"init\n", stdout=subprocess.PIPE, cwd=into, check=True)
    with open(os.path.join(into, "initrd"), "wb") as f:
        f.write(open(os.path.join(guest, "initrd"), "rb").read())
        f.write(b"\0" * (-f.tell() % 4) + over.stdout)

def scaling_host(guest, scale):
    cmd = [os.path.join(guest, "mbench"), "-s", "%g" % scale] + PARALLEL.split()
    took = []
    for n in (1, 1, 2):  # the first is not counted
        t = time.time()
        for p in [subprocess.Popen(cmd, stdout=subprocess.DEVNULL) for _ in range(n)]:
            p.wait()
        took.append(time.time() - t)
    return 2 * took[1] / took[2]

def scaling(script, guest, scale, vmms):
    """{VMM: throughput of two vCPUs, one is 1}"""
    with tempfile.TemporaryDirectory() as d:
        scaling_guest(guest, d, scale)
        got = measure(script, d, ["--no-native", "--smp", "2"], vmms)
    out = {n: m["one"] / m["two"] for n, m in got.items() if "one" in m and "two" in m}
    out["native"] = scaling_host(guest, scale)
    return out

def rate(best, item):
    """How many times faster than TCG; how many times slower than the host."""
    us, tcg, host = (best.get(n, {}).get(item) for n in ("mimic", "tcg", "native"))
    return tcg / us if us and tcg else None, us / host if us and host else None

def table(best, scale2):
    """Rows for the table and for JSON."""
    rows = []
    for name, items, faster, slower in GROUPS:
        inside = [dict(zip(("item", "tcg", "host"), (i,) + rate(best, i))) for i in items.split()]
        inside = [r for r in inside if r["tcg"] or r["host"]]
        if not inside:
            continue
        row = {"group": name, "items": inside, "tcg": gmean([r["tcg"] for r in inside if r["tcg"]]),
               "host": gmean([r["host"] for r in inside if r["host"]]), "tcg_target": faster, "host_target": slower}
        rows.append(row)
    slow = [r["item"] for g in rows for r in g["items"] if r["tcg"] and r["tcg"] < 1]
    return {"groups": rows, "slower_than_tcg": slow, "scaling": scale2, "scaling_target": SCALING, "ns": best}

def number(v, sign=""):
    return "-" if v is None else "%s%.2f" % (sign, v)

def show(t, out):
    print("%-28s %10s %8s    %10s %8s" % ("", "x TCG", "at least", "of host", "at most"), file=out)
    for g in t["groups"]:
        ok = [g["tcg"] is None or g["tcg_target"] is None or g["tcg"] >= g["tcg_target"],
              g["host"] is None or g["host_target"] is None or g["host"] <= g["host_target"]]
        print("%-28s %10s %8s %-2s %10s %8s %s" %
              (g["group"], number(g["tcg"]), number(g["tcg_target"]), "" if ok[0] else "!", number(g["host"]),
               number(g["host_target"]), "" if ok[1] else "!"), file=out)
        for r in g["items"] if len(g["items"]) > 1 else []:
            print("  %-26s %10s %8s %-2s %10s" % (r["item"], number(r["tcg"]), "", "<1" if (r["tcg"] or 1) < 1 else "",
                                                number(r["host"])), file=out)
    if t["scaling"]:
        s = t["scaling"]
        print("%-28s %10s %8.2f %-2s  (TCG %s, host %s)" %
              ("two vCPUs, one is 1", number(s.get("mimic")), SCALING, "" if s.get("mimic", 0) >= SCALING else "!",
               number(s.get("tcg")), number(s.get("native"))), file=out)
    print("slower than TCG: %s" % (" ".join(t["slower_than_tcg"]) or "nothing"), file=out)

def main(script, guest, runs, scale, only, mimic, as_json):
    options = ["--runs", str(runs), "--scale", "%g" % scale] + (["--only", only] if only else [])
    vmms = ["tcg", "mimic=" + mimic]
    best = measure(script, guest, options, vmms)
    t = table(best, None if only else scaling(script, guest, max(scale / 2, 5), vmms))
    if as_json:
        json.dump(t, sys.stdout, indent=1)
        print()
    else:
        show(t, sys.stdout)
    return 0
