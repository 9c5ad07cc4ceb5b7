#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the fuzz targets of a build for some time each.

usage: fuzz.py --build DIR [--seconds N] [NAME...]

Corpora are kept in DIR/corpus.  A finding leaves its input there and ends with exit 1.
An empty corpus begins with random inputs, long ones too: most targets read an input as a program
of short operations, and libFuzzer alone would try the first few of them only for minutes.
"""
import argparse, glob, os, random, re, subprocess, sys

def seed(corpus, name):
    r = random.Random(name)
    for i in range(48):
        with open(os.path.join(corpus, "seed%d" % i), "wb") as f:
            f.write(r.randbytes(16 << i % 8))

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", required=True)
    ap.add_argument("--seconds", type=int, default=30)
    ap.add_argument("names", nargs="*")
    a = ap.parse_args()
    targets = sorted(p for p in glob.glob(os.path.join(a.build, "*_fuzz")) if os.access(p, os.X_OK))
    if a.names:
        targets = [p for p in targets if os.path.basename(p) in a.names or os.path.basename(p)[:-5] in a.names]
    found = 0
    for p in targets:
        name = os.path.basename(p)
        corpus = os.path.abspath(os.path.join(a.build, "corpus", name))
        os.makedirs(corpus, exist_ok=True)
        if not os.listdir(corpus):
            seed(corpus, name)
        r = subprocess.run([os.path.abspath(p), "-max_total_time=%d" % a.seconds, "-timeout=10", "-rss_limit_mb=2048",
                            "-max_len=65536", "-len_control=0", "-artifact_prefix=%s/" % corpus, corpus],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=a.build)
        text = r.stdout.decode("utf-8", "replace")
        done = re.search(r"^#(\d+)\s+DONE\s+cov: (\d+)", text, re.M)
        print("%-28s %s" % (name, "ok, %s runs, %s edges" % done.groups() if r.returncode == 0 and done else "FINDING"),
              flush=True)
        if r.returncode:
            found += 1
            print(text[-4000:])
    print("%d targets, %d with findings" % (len(targets), found))
    return 1 if found or not targets else 0

sys.exit(main())
