#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run programs here and in a Linux guest, and compare what they print and how they end.

usage: programs.py MIMIC KERNEL DIR [--only REGEX] [--ends REGEX] [--limit SECONDS] [-- options of mimic run]

DIR holds statically linked programs, such as those of QEMU's tests/tcg; each is run without
arguments, its standard output and exit status are kept; of those that --ends names only the
status, as they print addresses or times.  KERNEL: Debian's generic one has what
16-bit segments need."""
import argparse, os, re, subprocess, sys, tempfile

INIT = """#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
ifconfig lo 127.0.0.1 up
exec </dev/console >/dev/console 2>&1
ulimit -c 0
cd /tmp
for n in $(ls /programs); do
    timeout -s KILL %d /programs/$n >/tmp/o 2>/dev/null </dev/null
    echo "exit $?" >>/tmp/o
    [ -e /ends/$n ] && tail -n 1 /tmp/o >/tmp/e && mv /tmp/e /tmp/o
    if cmp -s /tmp/o /want/$n; then
        echo "@C $n same $(wc -l </tmp/o)"
    else
        echo "@C $n differ $(diff /want/$n /tmp/o | grep -c '^+[^+]') $(tail -n 1 /tmp/o)"
        diff /want/$n /tmp/o | grep -a '^[-+][^-+]' | head -n 40 | cut -c 1-200 | sed 's/^/@D /'
    fi
done
echo "@I done"
poweroff -f
"""

def here(path, limit):
    """What it prints on this machine, with its exit status in a shell's words."""
    with tempfile.TemporaryDirectory() as d:
        p = subprocess.Popen([path], cwd=d, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             preexec_fn=no_core)
        try:
            out = p.communicate(timeout=limit)[0]
            code = p.returncode if p.returncode >= 0 else 128 - p.returncode
        except subprocess.TimeoutExpired:
            p.kill()
            out, code = p.communicate()[0], 137
    return out + b"exit %d\n" % code

def no_core():
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

def tree(d, a, names):
    for sub in ("bin", "dev", "proc", "tmp", "programs", "want", "ends"):
        os.makedirs(os.path.join(d, sub))
    for n in names:
        path = os.path.join(a.dir, n)
        subprocess.run(["cp", path, os.path.join(d, "programs", n)], check=True)
        with open(os.path.join(d, "want", n), "wb") as f:
            out = here(os.path.abspath(path), a.limit)
            f.write(out.splitlines(True)[-1] if a.ends and re.search(a.ends, n) else out)
        if a.ends and re.search(a.ends, n):
            open(os.path.join(d, "ends", n), "w").close()
    subprocess.run(["cp", "/bin/busybox", os.path.join(d, "bin")], check=True)
    with open(os.path.join(d, "init"), "w") as f:
        f.write(INIT % a.limit)
    os.chmod(os.path.join(d, "init"), 0o755)

def main():
    own, options = sys.argv[1:], []
    if "--" in own:
        own, options = own[:own.index("--")], own[own.index("--") + 1:]
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("mimic")
    ap.add_argument("kernel")
    ap.add_argument("dir")
    ap.add_argument("--only", default="")
    ap.add_argument("--ends", default="")
    ap.add_argument("--limit", type=int, default=120)
    a = ap.parse_args(own)
    names = sorted(n for n in os.listdir(a.dir) if re.search(a.only, n))
    with tempfile.TemporaryDirectory(prefix="mimic-test-") as d:
        tree(os.path.join(d, "tree"), a, names)
        subprocess.run("cd '%s/tree' && find . | cpio -o -H newc --quiet | gzip -1 >'%s/initrd'" % (d, d), shell=True, check=True)
        try:
            out = subprocess.run([a.mimic, "run", "--quiet", "--throwaway", "--kernel", a.kernel, "--initrd", d + "/initrd", "--append",
                                  "console=ttyS0 panic=-1 quiet", "--memory", "1024", "--console", "serial", "--no-reboot"] + options,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 timeout=60 + a.limit * len(names)).stdout
        except subprocess.TimeoutExpired as e:
            out = e.stdout or b""
    text = out.decode("latin-1").replace("\r", "")
    for line in re.findall(r"^@[CD] .*", text, re.M):
        print(line[3:])
    same, differ = (re.findall(r"^@C (\S+) %s" % w, text, re.M) for w in ("same", "differ"))
    lost = [n for n in names if n not in same + differ]
    if lost:
        print(text[-1500:])
    print("%d the same, %d differ%s" % (len(same), len(differ), "; without a result: " + " ".join(lost) if lost else ""))
    return 1 if differ or lost else 0

sys.exit(main())
