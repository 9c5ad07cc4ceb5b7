# SPDX-License-Identifier: GPL-2.0-or-later
"""What a booted VM costs that does nothing: host memory beyond the guest's own RAM (/proc/PID/smaps),
processor time, and who wakes up.  The guest is the demo package, at its login prompt."""
import json, os, re, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests"))
from guest_session import Session  # noqa: E402

MEMORY_MIB, CPU_PCT = 64, 1.0  # at most
GUEST_RAM = "/memfd:guest memory"

def mappings(pid):
    """{name: KiB that are ours}; a page shared with other processes counts in part."""
    out, name = {}, None
    for line in open("/proc/%d/smaps" % pid):
        m = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)", line)
        if m:
            name = re.sub(r" \(deleted\)$", "", m.group(1)) or "[anonymous]"
        elif line.startswith("Pss:"):
            out[name] = out.get(name, 0) + int(line.split()[1])
    return {n: k for n, k in out.items() if k and not n.startswith(GUEST_RAM)}

def threads(pid):
    """{thread: (ns on a processor, times it was put on one)}"""
    out = {}
    for t in os.listdir("/proc/%d/task" % pid):
        base = "/proc/%d/task/%s/" % (pid, t)
        try:
            ns, _, runs = open(base + "schedstat").read().split()
            out[t + " " + open(base + "comm").read().strip()] = (int(ns), int(runs))
        except OSError:
            pass
    return out

def measure(pid, seconds):
    a = threads(pid)
    time.sleep(seconds)
    b = threads(pid)
    rows = {n: ((b[n][0] - a[n][0]) / seconds / 1e7, (b[n][1] - a[n][1]) / seconds) for n in b if n in a}
    return {"cpu_pct": sum(r[0] for r in rows.values()), "runs_per_s": sum(r[1] for r in rows.values()),
            "threads": {n: {"cpu_pct": r[0], "runs_per_s": r[1]} for n, r in rows.items() if r[1]}}

def main(mimic, ova, settle, seconds, rest, as_json):
    if not ova or not os.path.exists(ova):
        print("bench: %s" % ("%s is not there" % ova if ova else "idle needs the demo package: --ova FILE, "
                             "as ./dev bench idle gives it"), file=sys.stderr)
        return 1
    s = Session([mimic, "run", "--throwaway", "--console", "serial", ova] + rest)
    try:
        s.expect(r"login: ?$", 600)
        time.sleep(settle)
        out = measure(s.pid, seconds)
        maps = mappings(s.pid)
    finally:
        s.kill()
    out["memory_mib"] = sum(maps.values()) / 1024
    out["mappings_kib"] = maps
    if as_json:
        print(json.dumps(out, indent=1))
    else:
        print("%-40s %8.1f MiB   at most %d" % ("memory beyond the guest's RAM", out["memory_mib"], MEMORY_MIB))
        for n, k in sorted(maps.items(), key=lambda x: -x[1])[:8]:
            print("  %-38s %8.1f" % (n[-38:], k / 1024))
        print("%-40s %8.2f %%     at most %.1f, of one core" % ("processor time", out["cpu_pct"], CPU_PCT))
        for n, t in sorted(out["threads"].items(), key=lambda x: -x[1]["cpu_pct"]):
            print("  %-38s %8.2f %%   %.1f wake-ups a second" % (n, t["cpu_pct"], t["runs_per_s"]))
    return 0 if out["memory_mib"] <= MEMORY_MIB and out["cpu_pct"] <= CPU_PCT else 1
