#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the tests and count them: the unit tests of a build, the checks of the tree, and,
when a guest is given, the tests that boot VMs.

usage: runtests.py --build DIR [--cache DIR --ova FILE] [--engine NAME] [--only REGEX] [--verbose]

Every test prints TAP ("ok 1 name", "not ok ...", "ok ... # SKIP why").  The last line of the
output reads "N passed, N failed, N skipped".  Of a sanitized build, a test fails by each finding,
and the cases that UNJUDGED names cannot fail otherwise.
"""
import argparse, glob, json, os, re, subprocess, sys, time

# Tests whose results say nothing in a sanitized build; they are run there, for its findings.
UNJUDGED = {"translate_test|system_test|trace_test|keep_test|hostile_test":
            "the sanitizer's own code changes vector registers, which hold the guest's"}

def unjudged(build, name):
    out = subprocess.run(["meson", "introspect", "--buildoptions", build], stdout=subprocess.PIPE, check=True).stdout
    if all(o["value"] == "none" for o in json.loads(out) if o["name"] == "b_sanitize"):
        return None
    return next((why for names, why in UNJUDGED.items() if re.fullmatch(names, name)), None)

def tap(text):
    """(passed, failed, skipped) as lists of (name, remark)."""
    ok, bad, skip, remarks = [], [], [], []
    for line in text.splitlines():
        m = re.match(r"(not )?ok\s+\d+\s+(.*?)(?:\s+# SKIP\s*(.*))?$", line)
        if not m:
            if line.startswith("#"):
                remarks.append(line[1:].strip())
            continue
        if m.group(1):
            bad.append((m.group(2), "; ".join(remarks[-5:])))
        elif m.group(3) is not None:
            skip.append((m.group(2), m.group(3) or "no reason given"))
        else:
            ok.append((m.group(2), ""))
        remarks = []
    return ok, bad, skip

def run(name, cmd, env, limit, total, verbose, excuse=None):
    t0 = time.time()
    try:
        p = subprocess.run(cmd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=limit)
        text, code = p.stdout.decode("utf-8", "replace"), p.returncode
    except subprocess.TimeoutExpired as e:
        text, code = (e.stdout or b"").decode("utf-8", "replace"), "no end after %d s" % limit
    ok, bad, skip = tap(text)
    if excuse:
        skip += [(n, excuse) for n, _ in bad]
        bad = []
        code = 0 if code == 1 else code
    for what in re.findall(r"runtime error: .*|ERROR: (?:Address|Leak)Sanitizer.*", text): # UBSan goes on
        bad.append(("sanitizer", what))
    if not ok and not bad and not skip:
        (ok if code == 0 else bad).append((name, text.strip()[-2000:]))
    elif code != 0 and not bad:
        bad.append((name, "ended with %s\n%s" % (code, text[-2000:])))
    total[0] += len(ok)
    total[1] += len(bad)
    total[2] += len(skip)
    print("%-28s %3d passed %s%s  %.1f s" % (name, len(ok), "%d FAILED " % len(bad) if bad else "",
          "%d skipped" % len(skip) if skip else "", time.time() - t0), flush=True)
    for n, why in skip:
        print("    skipped %s: %s" % (n, why), flush=True)
    for n, why in bad:
        print("    FAILED %s: %s" % (n, why), flush=True)
    if verbose:
        print(text)

def unit_tests(build):
    out = subprocess.run(["meson", "introspect", "--tests", build], stdout=subprocess.PIPE, check=True).stdout
    for t in json.loads(out):
        yield t["name"], t["cmd"], t["env"], t["timeout"]

def engine_cannot(mimic, name):
    """Why whole VMs are not run on this engine here; None when they are."""
    out = subprocess.run([mimic, "list", "engines", "--json"], stdout=subprocess.PIPE, check=True).stdout
    for e in json.loads(out)["engines"]:
        if e["name"] == name:
            usable = e["can_run"] and (e["hardware"] or name != "kvm")
            return None if usable else "engine %s: %s" % (name, e["about"])
    return "there is no engine %s" % name

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", required=True)
    ap.add_argument("--cache")
    ap.add_argument("--ova")
    ap.add_argument("--engine", help="run whole VMs on this engine, not on the best")
    ap.add_argument("--only")
    ap.add_argument("--verbose", action="store_true")
    a = ap.parse_args()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    total = [0, 0, 0]
    for name, cmd, extra, limit in unit_tests(a.build):
        if not a.only or re.search(a.only, name):
            run(name, cmd, dict(os.environ, **extra), limit, total, a.verbose, unjudged(a.build, name))
    if a.ova:
        env = dict(os.environ, MIMIC=os.path.abspath(os.path.join(a.build, "mimic")), MIMIC_SOURCE=root,
                   MIMIC_CACHE=os.path.abspath(a.cache), MIMIC_OVA=os.path.abspath(a.ova))
        cannot = engine_cannot(env["MIMIC"], a.engine) if a.engine else None
        if a.engine:
            env["MIMIC_ENGINE"] = a.engine
        for path in sorted(glob.glob(os.path.join(root, "tests", "vm", "*_test.py"))):
            name = os.path.basename(path)[:-3]
            if a.only and not re.search(a.only, name):
                continue
            if cannot and name != "engine_test": # that one knows all engines
                total[2] += 1
                print("%-28s   skipped: %s" % (name, cannot), flush=True)
                continue
            run(name, [sys.executable, path], env, 10800 if os.environ.get("MIMIC_LONG") else 900, total, a.verbose)
    print("%d passed, %d failed, %d skipped" % tuple(total))
    return 1 if total[1] or not total[0] else 0

sys.exit(main())
