# SPDX-License-Identifier: GPL-2.0-or-later
"""VMs that are saved and restored again and again until they end; all their files are in one folder."""
import os, random, subprocess, time
from vmtest import MIMIC, check, scratch

GOOD = 0x31 << 1 | 1
DIR = scratch()
RUN = os.path.join(DIR.name, "run")
ENV = dict(os.environ, XDG_RUNTIME_DIR=RUN, MIMIC_LOG="error", TMPDIR=DIR.name)

def file(*names):
    return os.path.join(DIR.name, *names)

def start(args):
    os.makedirs(RUN, 0o700, exist_ok=True)
    return subprocess.Popen([MIMIC] + args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, env=ENV)

def restore(path, *options, console="none"):
    return start(["restore", "--quiet", "--console", console] + list(options) + [path])

def mimic(*args):
    p = subprocess.run([MIMIC] + list(args), env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=100)
    return p.returncode, p.stdout.decode("utf-8", "replace")

def ends(p, want=GOOD, seconds=150):
    out = p.communicate(timeout=seconds)[0].decode("utf-8", "replace")
    check(p.returncode == want, "exit code %s\n%s" % (p.returncode, out))
    return out

def save(p, path, *options):
    """False: the VM was at its end."""
    for _ in range(100): # its socket is there in a moment
        code, out = mimic("save", "--quiet", *options, str(p.pid), path)
        if code == 0:
            return True
        if p.poll() is not None:
            return False
        time.sleep(0.05)
    raise AssertionError("mimic save: %d\n%s" % (code, out))

def moves(name, p, most):
    """Saved and restored until it ends; how often."""
    for i in range(most):
        path = file(name, "saved%d" % i)
        time.sleep(random.random() / 2)
        if not save(p, path, *(["--compress"] if i % 2 else [])):
            break
        ends(p, 0)
        p = restore(path)
    ends(p)
    return i
