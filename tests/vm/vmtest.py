# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests that boot VMs share: the program, the files, and TAP."""
import os, subprocess, sys, tempfile, traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from guest_session import Session  # noqa: E402,F401

MIMIC = os.environ["MIMIC"]
SOURCE = os.environ["MIMIC_SOURCE"]
CACHE = os.environ["MIMIC_CACHE"]
OVA = os.environ["MIMIC_OVA"]

class Skip(Exception):
    pass

def kernels():
    """The folder with Debian's kernels and the initrds, fetched when it is not there."""
    subprocess.run(["sh", os.path.join(SOURCE, "tests", "guest", "kernels.sh"), CACHE], check=True,
                   stdout=sys.stderr)
    return os.path.join(CACHE, "kernels")

def run(args, seconds, env=None):
    """mimic run to its end: (exit code, what it printed)."""
    p = subprocess.Popen([MIMIC] + args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, env=dict(os.environ, **(env or {})))
    try:
        out = p.communicate(timeout=seconds)[0].decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        p.kill()
        out = p.communicate()[0].decode("utf-8", "replace")
        raise TimeoutError("no end within %d s; the last lines:\n%s" % (seconds, out[-1500:]))
    return p.returncode, out

def check(cond, text):
    if not cond:
        raise AssertionError(text)

def scratch():
    return tempfile.TemporaryDirectory(prefix="mimic-test-")

def main(cases):
    """cases: list of (name, function).  Prints TAP, ends with 1 when one failed."""
    bad = 0
    for n, (name, fn) in enumerate(cases, 1):
        try:
            fn()
            print("ok %d %s" % (n, name), flush=True)
        except Skip as why:
            print("ok %d %s # SKIP %s" % (n, name, why), flush=True)
        except Exception as e:
            bad += 1
            for line in (str(e) or traceback.format_exc()).splitlines():
                print("# " + line)
            print("not ok %d %s" % (n, name), flush=True)
    print("1..%d" % len(cases))
    sys.exit(1 if bad else 0)
