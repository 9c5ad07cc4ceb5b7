# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a saved VM takes to its first instruction, beside QEMU's -loadvm and -incoming, and what
copies of it cost: Debian's cloud kernel, idle in a shell, 512 MiB; for the copies also the demo
package (--ova), logged in."""
import json, os, re, shutil, socket, statistics, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests"))
from guest_session import Session  # noqa: E402

APPEND = "console=ttyS0 rdinit=/bin/busybox sh quiet"

class Line:
    """A Unix socket of JSON lines."""
    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect(path)
        self.f = self.s.makefile("rwb")

    def read(self):
        return json.loads(self.f.readline())

    def ask(self, **o):
        self.f.write(json.dumps(o).encode() + b"\n")
        self.f.flush()
        while True:
            r = self.read()
            if "event" not in r: # QEMU's come between
                return r

    def close(self):
        self.f.close()
        self.s.close()

def median(times):
    return statistics.median(times) * 1000

# ---- Mimic

class Mimic:
    def __init__(self, program, work):
        self.program, self.work = program, work
        self.run = os.path.join(work, "run")
        os.mkdir(self.run, 0o700)
        self.env = {"XDG_RUNTIME_DIR": self.run}

    def call(self, *args):
        return subprocess.run([self.program] + list(args), env=dict(os.environ, **self.env), check=True,
                              stdout=subprocess.PIPE).stdout

    def save(self, session, path):
        t = time.time()
        self.call("save", str(session.pid), path)
        seconds = time.time() - t
        session.wait(60)
        return seconds

    def restore(self, path, state, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, console="none"):
        return subprocess.Popen([self.program, "restore", "--as-copy", "--quiet", "--console", console,
                                 "--state", state, path], env=dict(os.environ, **self.env),
                                stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL)

    def status(self, pid):
        """Of a VM that has run something; None: not there yet."""
        for f in os.listdir(os.path.join(self.run, "mimic")):
            if f.endswith("-%d.sock" % pid):
                try:
                    line = Line(os.path.join(self.run, "mimic", f))
                    out = line.ask(call="status")["result"]
                    line.close()
                    return out
                except (OSError, ValueError):
                    pass
        return None

    def first(self, path, runs):
        times = []
        for i in range(runs):
            state = os.path.join(self.work, "first%d" % i)
            t = time.time()
            p = self.restore(path, state)
            while not self.status(p.pid):
                time.sleep(0.0005)
            times.append(time.time() - t)
            p.kill()
            p.wait()
            shutil.rmtree(state, ignore_errors=True)
        return times

# ---- QEMU

class Qemu:
    def __init__(self, guest, work):
        self.work, self.qmp = work, os.path.join(work, "qmp")
        self.argv = ["qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-nodefaults", "-display", "none",
                     "-kernel", guest + "/vmlinuz", "-initrd", guest + "/initrd", "-append", APPEND,
                     "-drive", "if=virtio,format=qcow2,file=" + work + "/disk.qcow2",
                     "-qmp", "unix:%s,server=on,wait=off" % self.qmp]

    def connect(self):
        while True:
            try:
                line = Line(self.qmp)
                break
            except OSError:
                time.sleep(0.0005)
        line.read()
        line.ask(execute="qmp_capabilities")
        return line

    def make(self, path):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", self.work + "/disk.qcow2", "64M"], check=True)
        s = Session(self.argv + ["-serial", "stdio"])
        s.expect(r"# ?$", 300)
        time.sleep(5)
        line = self.connect()
        line.ask(execute="human-monitor-command", arguments={"command-line": "savevm idle"})
        line.ask(execute="migrate", arguments={"uri": "exec:cat >" + path})
        while True:
            r = line.ask(execute="query-migrate")
            if r["return"].get("status") in ("completed", "failed"):
                break
            time.sleep(0.1)
        line.close()
        s.kill()

    def first(self, how, runs):
        times = []
        for _ in range(runs):
            t = time.time()
            p = subprocess.Popen(self.argv + ["-serial", "null"] + how, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
            line = self.connect()
            while line.ask(execute="query-status").get("return", {}).get("status") != "running":
                time.sleep(0.0005)
            times.append(time.time() - t)
            line.close()
            p.kill()
            p.wait()
        return times

# ---- copies

def own_kib(pid):
    """What it does not share, tables of pages included; memory that it maps twice counts once."""
    total = 0
    for l in open("/proc/%d/smaps_rollup" % pid):
        if re.match(r"(Pss_Anon|Pss_Shmem|Swap):", l):
            total += int(l.split()[1])
    for l in open("/proc/%d/status" % pid):
        if l.startswith("VmPTE:"):
            total += int(l.split()[1])
    return total

def free_kib():
    return int(re.search(r"MemAvailable: +(\d+)", open("/proc/meminfo").read()).group(1))

ANSWER_S = 600  # for all copies together

def answers(all_):
    """A line to each one's serial console: when did its guest's shell (or login) repeat it?"""
    begin = time.time()
    got, at = [b""] * len(all_), [None] * len(all_)
    for i, p in enumerate(all_):
        os.set_blocking(p.stdout.fileno(), False)
        os.write(p.stdin.fileno(), b"echo copy%d-$((40+2))\n" % i)
    while None in at and time.time() < begin + ANSWER_S:
        for i, p in enumerate(all_):
            if at[i] is None:
                got[i] += p.stdout.read() or b""
                if b"copy%d-42" % i in got[i]:
                    at[i] = time.time()
        time.sleep(0.02)
    return at

def copies(m, name, path, n):
    before, t = free_kib(), time.time()
    all_ = [m.restore(path, os.path.join(m.work, "copy%d" % i), subprocess.PIPE, subprocess.PIPE, "serial")
            for i in range(n)]
    try:
        at = sorted(a - t for a in answers(all_) if a)
        time.sleep(60) # they have nothing to do again
        own = [own_kib(p.pid) for p in all_ if p.poll() is None]
        used = before - free_kib()
    finally:
        for p in all_:
            p.kill()
            p.wait()
        for i in range(n):
            shutil.rmtree(os.path.join(m.work, "copy%d" % i), ignore_errors=True)
    row = {"copies": n, "answering": len(at), "seconds": at[-1] if at else None,
           "median_s": statistics.median(at) if at else None,
           "own_mib": statistics.mean(own) / 1024 if own else None, "host_mib_each": used / 1024 / n}
    print("%-22s %3d of %d copies answer, the last after %.1f s (half of them %.1f); a minute later each has %.1f MiB "
          "of its own (the host: %.1f)" % (name, row["answering"], n, row["seconds"] or 0, row["median_s"] or 0,
                                           row["own_mib"] or 0, row["host_mib_each"]), flush=True)
    return row

def main(mimic, guest, ova, runs, n, as_json):
    out = {}
    with tempfile.TemporaryDirectory(prefix="mimic-bench-", ignore_cleanup_errors=True) as work:
        m = Mimic(mimic, work)
        s = Session([mimic, "run", "--quiet", "--console", "serial", "--net", "none", "--memory", "512", "--state",
                     work + "/state", "--kernel", guest + "/vmlinuz", "--initrd", guest + "/initrd",
                     "--append", APPEND], env=m.env)
        s.expect(r"# ?$", 300)
        time.sleep(5)
        saved = work + "/kernel.saved"
        out["save_s"] = m.save(s, saved)
        out["file_mib"] = os.path.getsize(saved) / 2 ** 20
        out["mimic_first_ms"] = m.first(saved, 1)[0] * 1000
        out["mimic_ms"] = median(m.first(saved, runs))
        print("save                   %.2f s, %.0f MiB" % (out["save_s"], out["file_mib"]))
        print("restore                %.0f ms to the first instruction (%.0f ms the first time)" %
              (out["mimic_ms"], out["mimic_first_ms"]), flush=True)
        if shutil.which("qemu-system-x86_64"):
            q = Qemu(guest, work)
            q.make(work + "/qemu.state")
            out["loadvm_ms"] = median(q.first(["-loadvm", "idle"], runs))
            out["incoming_ms"] = median(q.first(["-incoming", "exec:cat " + work + "/qemu.state"], runs))
            print("QEMU -loadvm           %.0f ms, %.1f times as long" % (out["loadvm_ms"], out["loadvm_ms"] / out["mimic_ms"]))
            print("QEMU -incoming         %.0f ms, %.1f times as long" % (out["incoming_ms"], out["incoming_ms"] / out["mimic_ms"]),
                  flush=True)
        out["kernel"] = copies(m, "copies of the kernel", saved, n)
        if ova:
            s = Session([mimic, "run", "--quiet", "--console", "serial", "--memory", "512", "--state", work + "/debian",
                         ova], env=m.env)
            s.login(600)
            time.sleep(90) # what a start begins ends: hostnamed, timers of the first minute
            saved = work + "/debian.saved"
            m.save(s, saved)
            m.first(saved, 1)
            out["debian_ms"] = median(m.first(saved, runs))
            print("restore of Debian      %.0f ms to the first instruction, %.0f MiB" %
                  (out["debian_ms"], os.path.getsize(saved) / 2 ** 20), flush=True)
            out["debian"] = copies(m, "copies of Debian", saved, n)
    if as_json:
        print(json.dumps(out, indent=1))
    return 0
