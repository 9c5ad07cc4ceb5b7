#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""mimic disk and mimic check, as a user calls them: on files of other products, on all pairs of
formats, on what is wrong, and interrupted at any instant."""
import bz2, glob, gzip, hashlib, json, os, random, shutil, signal, struct, subprocess, time
from vmtest import MIMIC, SOURCE, Skip, check, main, scratch

MIB = 1 << 20
DIR = scratch()

def at(name):
    return os.path.join(DIR.name, name)

def mimic(*args, code=0, data=None, cwd=None, env=None):
    """Its standard output and error, when it ends with this exit code (None: any sane one)."""
    p = subprocess.run([MIMIC] + [str(a) for a in args], input=data, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=300, cwd=cwd or DIR.name,
                       stdin=subprocess.DEVNULL if data is None else None,
                       env=dict(os.environ, MIMIC_LOG="error", **(env or {})))
    err = p.stderr.decode("utf-8", "replace")
    said = "mimic %s: exit code %d\n%s" % (" ".join(str(a) for a in args), p.returncode, err)
    check(0 <= p.returncode < 126 or p.returncode == 130, said)
    check(code is None or p.returncode == code, said)
    return p.stdout, err

def tells(*args, **kw):
    return json.loads(mimic("disk", *args, "--json", **kw)[0])

def refused(*args, code=65, words=(), **kw):
    """One sentence, which has these words."""
    err = mimic(*args, code=code, **kw)[1]
    lines = [l for l in err.splitlines() if l.startswith("mimic")]
    check(len(lines) == 1, "not one sentence: %r" % err)
    for w in words:
        check(w in lines[0], "\"%s\" is not in: %s" % (w, lines[0]))

def qemu(*args, code=0):
    p = subprocess.run(["qemu-img"] + list(args), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       stdin=subprocess.DEVNULL, timeout=300)
    check(p.returncode == code, "qemu-img %s: %d\n%s" %
          (" ".join(args), p.returncode, p.stdout.decode("utf-8", "replace")))

def raw_disk(name, size, seed, pieces=12):
    """A disk with holes and random pieces in odd places."""
    r = random.Random(seed)
    with open(at(name), "wb") as f:
        f.truncate(size)
        for _ in range(pieces):
            n = r.randrange(1, min(70000, size))
            f.seek(r.randrange(0, size - n))
            f.write(r.randbytes(n))
    return at(name)

def hashes(path):
    """sha256 of all, and of the 64 KiB blocks with content (number, bytes); holes not read."""
    size, at_, blocks, all_ = os.path.getsize(path), 0, hashlib.sha256(), hashlib.sha256()
    whole = size <= 64 * MIB
    with open(path, "rb") as f:
        while at_ < size:
            if not whole:
                try:
                    at_ = os.lseek(f.fileno(), at_, os.SEEK_DATA) // 65536 * 65536
                except OSError:
                    break
            f.seek(at_)
            b = f.read(65536)
            all_.update(b)
            if b.count(0) != len(b):
                blocks.update(struct.pack("<Q", at_ // 65536) + b.ljust(65536, b"\0"))
            at_ += 65536
    return all_.hexdigest() if whole else None, blocks.hexdigest()

# --- files of other products ---

def corpus():
    for up in ("..", "../.."):
        path = os.path.join(SOURCE, up, "shared", "corpus")
        if os.path.exists(path):
            return path
    raise Skip("no corpus beside the project")

def unpack(top):
    """Its image files under one directory; rows of the index with their paths."""
    base = corpus()
    out = at(top.strip("/"))
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(base, "INDEX.tsv")) as f:
        rows = [dict(zip(("file", "stored", "sha256", "sha256_unpacked", "source", "producer",
                          "virtual_size", "raw_sha256", "nz64k_sha256", "cross", "decoder", "facts"),
                         l.rstrip("\n").split("\t"))) for l in f]
    rows = [r for r in rows if r["file"].startswith(top)]
    for r in rows:
        name = os.path.basename(r["file"])
        opener = {"gz": gzip.open, "bz2": bz2.open}.get(r["stored"], open)
        r["path"] = os.path.join(out, name if r["stored"] == "plain" else name.rsplit(".", 1)[0])
        with opener(os.path.join(base, r["file"]), "rb") as i, open(r["path"], "wb") as o:
            shutil.copyfileobj(i, o, 1 << 20)
    return rows

def one_file(r, key):
    path, size = r["path"], int(r["virtual_size"])
    i = tells("info", path, *key)
    check(i["format"] not in ("raw", "unknown") and i["size"] == size, "info: %r" % i)
    mimic("disk", "info", "--chain", path, *key)
    mimic("check", path, *key)
    end = 0
    for m in tells("map", path, *key):
        check(m["offset"] == end and m["length"] > 0, "map: a gap at %d" % end)
        end += m["length"]
    check(end == size, "map: ends at %d, the disk at %d" % (end, size))
    new, raw = path + ".copy.qcow2", path + ".copy.raw"
    report = tells("convert", path, new, *key)
    check(report["to"]["size"] == size, "convert: %r" % report)
    mimic("disk", "compare", path, new, *key)
    mimic("disk", "check", "--read", new)
    mimic("disk", "convert", "-q", new, raw)
    check(os.path.getsize(raw) == size, "the raw copy has %d bytes" % os.path.getsize(raw))
    whole, blocks = hashes(raw)
    if whole and len(r["raw_sha256"]) == 64:
        check(whole == r["raw_sha256"], "another content")
    if len(r["nz64k_sha256"]) == 64:
        check(blocks == r["nz64k_sha256"], "another content in blocks")
    os.unlink(new)
    os.unlink(raw)

def walk(top):
    bad = []
    for r in unpack(top):
        if r["path"].endswith(".txt") or "of another entry" in r["facts"]:
            continue
        key = ["--key-file", os.path.join(os.path.dirname(r["path"]), "passphrase.txt")]
        try:
            if len(r["raw_sha256"]) == 64 or len(r["nz64k_sha256"]) == 64:
                one_file(r, key if "luks" in r["path"] else [])
            else:
                refused("disk", "convert", r["path"], r["path"] + ".copy.qcow2", code=None)
                check(not os.path.exists(r["path"] + ".copy.qcow2"), "made of what was refused")
        except AssertionError as e:
            bad.append("%s: %s" % (r["file"], e))
    check(not bad, "\n".join(bad))

# --- every format into every other ---

QEMU = {"qcow2": "qcow2", "vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx", "vdi": "vdi", "raw": "raw",
        "parallels": "parallels"}

def kinds():
    """Each format that can be made, in each variant that needs no parent and no key."""
    for f in tells("formats"):
        if "create" not in f["can"]:
            continue
        variants = [o["values"].split() for o in f["options"] if o["name"] == "variant"]
        for v in variants[0] if variants else [""]:
            if v not in ("differencing",) and "luks" not in v.lower() and "luks" not in f["name"]:
                yield f["name"], v, f["suffix"]

def pairs():
    size = 6 * MIB
    want = raw_disk("pairs.raw", size, 7)
    os.makedirs(at("pairs"))
    first, bad = [], []
    for n, (name, variant, suffix) in enumerate(kinds()):
        path = at("pairs/%d-%s%s%s" % (n, name, variant, suffix))
        fmt = name + (":" + variant if variant else "")
        try:
            mimic("disk", "convert", "-q", want, path, "--format", fmt)
            mimic("disk", "compare", want, path, "--format2", name)
            mimic("disk", "check", "--read", path, "--format", name)
            if name in QEMU:
                same_in_qemu(want, path, QEMU[name])
            first.append((path, name, fmt, suffix))
        except AssertionError as e:
            bad.append("%s: %s" % (fmt, e))
    for path, name, fmt, _ in first:
        for n, (_, other, ofmt, suffix) in enumerate(first):
            to = at("pairs/to%s" % suffix)
            try:
                mimic("disk", "convert", "-q", path, to, "--from", name, "--format", ofmt)
                mimic("disk", "compare", want, to, "--format2", other)
            except AssertionError as e:
                bad.append("%s to %s: %s" % (fmt, ofmt, e))
            for f in glob.glob(at("pairs/to*")):
                os.unlink(f)
    check(len(first) >= 2, "hardly a format can be made")
    check(not bad, "\n".join(bad))

def options():
    """What may be asked for when a qcow2 or a VMDK is made, alone and together."""
    want = raw_disk("opt.raw", 6 * MIB, 9)
    for n, o in enumerate(("compression=zlib", "compression=zstd", "compression=zlib,level=small",
                           "extended_l2=on", "lazy_refcounts=on", "refcount_bits=1",
                           "refcount_bits=64", "compression=zstd,extended_l2=on",
                           "data_file=opt%d.data", "data_file=opt%d.data,data_file_raw=on")):
        o = o.replace("%d", str(n))
        path = at("opt%d.qcow2" % n)
        mimic("disk", "convert", "-q", want, path, "-o", o)
        mimic("disk", "compare", want, path)
        mimic("disk", "check", "--read", path)
        same_in_qemu(want, path, "qcow2")
    for size in ("4K", "2M"):
        mimic("disk", "convert", "-q", want, at("c%s.qcow2" % size), "--cluster", size)
        mimic("disk", "compare", want, at("c%s.qcow2" % size))
        same_in_qemu(want, at("c%s.qcow2" % size), "qcow2")
    mimic("disk", "convert", "-q", want, at("opt.vmdk"), "-o", "adapter=ide", "-o", "hardware=13")
    i = tells("info", at("opt.vmdk"))
    check(i["adapter"] == "ide" and "ddb.virtualHWVersion: 13" in i["other"], "%r" % i)
    refused("disk", "convert", want, at("no.qcow2"), "-o", "colour=red", words=["colour"])
    refused("disk", "convert", want, at("no.qcow2"), "-o", "compression=arj", words=["zstd"])
    # a disk of several files: none of them half there, and none overwritten
    split = "vmdk:twoGbMaxExtentSparse"
    mimic("disk", "convert", "-q", want, at("split.vmdk"), "--format", split)
    os.unlink(at("split.vmdk"))
    refused("disk", "convert", want, at("split.vmdk"), "--format", split, code=73)
    check(not os.path.exists(at("split.vmdk")), "half of it is there")

def reports():
    """What a conversion keeps, changes and loses is told by name."""
    def told(r, kind):
        return [n["where"] for n in r[kind]]
    snap = at("snap.qcow2")
    want, now = raw_disk("snap.raw", 2 * MIB, 13), raw_disk("now.raw", 2 * MIB, 14)
    qemu("convert", "-O", "qcow2", want, snap)
    qemu("snapshot", "-c", "before", snap)
    qemu("bitmap", "--add", snap, "dirty")
    i = tells("info", snap)
    check("before" in i["snapshots"][0] and "dirty" in i["bitmaps"][0], "%r" % i)
    r = tells("convert", snap, at("snap.vhdx"), "-o", "sector=4096")
    check(told(r, "lost") == ["snapshot", "bitmap"], "%r" % r)
    r = tells("convert", at("snap.vhdx"), at("again.vhdx"))
    check("sector" in told(r, "kept") and not r["lost"], "%r" % r)
    r = tells("convert", at("snap.vhdx"), at("flat.raw"))
    check("sector" in told(r, "lost"), "%r" % r)
    mimic("disk", "compare", want, at("flat.raw"))
    mimic("disk", "convert", "-q", snap, at("snap2.vhdx"), "--snapshot", "before")
    mimic("disk", "compare", want, at("snap2.vhdx"))
    refused("disk", "convert", snap, at("no.vhdx"), "--snapshot", "after", words=["after"], code=None)
    mimic("disk", "convert", "-q", now, at("over.qcow2"), "--parent", snap)
    r = tells("convert", at("over.qcow2"), at("whole.vdi"))
    check("parent" in told(r, "changed") and "size" in told(r, "kept"), "%r" % r)
    mimic("disk", "compare", now, at("whole.vdi"))

def repair():
    """Refcounts that QEMU left for later, and space that nobody uses."""
    lazy = at("lazy.qcow2")
    qemu("create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", lazy, "16M")
    subprocess.run(["qemu-io", "-c", "write -P 7 0 1M", "-c", "flush", "-c", "sigraise 9", lazy],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    i = tells("info", lazy)
    check("dirty" in i, "%r" % i)
    check(tells("check", "--repair", lazy)["result"] == "repaired", "not repaired")
    check(tells("check", lazy)["result"] == "clean", "not clean after repair")
    qemu("check", lazy)
    refused("disk", "check", "--repair", "--format", "raw", raw_disk("r.raw", MIB, 3), words=["raw"])

def same_in_qemu(want, path, driver):
    p = subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", driver, want, path],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
                       cwd=os.path.dirname(path))
    check(p.returncode == 0, "qemu-img: " + p.stdout.decode("utf-8", "replace"))

def pipes():
    want = raw_disk("pipe.raw", 3 * MIB, 11)
    with open(want, "rb") as f:
        data = f.read()
    out, err = mimic("disk", "convert", want, "-", "--format", "raw")
    check(out == data and "standard output" in err, "raw down a pipe")
    out = mimic("disk", "convert", "-", "-", "--from", "raw", "--format", "raw", data=data)[0]
    check(out == data, "raw from a pipe into a pipe")
    for name in [f["name"] for f in tells("formats") if "stream" in f["can"]]:
        fmt = {"vmdk": "vmdk:streamOptimized", "vhd": "vhd:fixed"}.get(name, name)
        out = mimic("disk", "convert", "-q", want, "-", "--format", fmt)[0]
        back = at("pipe-%s.qcow2" % name)
        mimic("disk", "convert", "-q", "-", back, "--from", name, data=out)
        mimic("disk", "compare", want, back)
    refused("disk", "convert", want, "-", "--format", "qcow2", words=["qcow2"], code=None)
    refused("disk", "convert", want, "-", words=["--format"], code=64)
    refused("disk", "convert", "-", at("pipe.none.qcow2"), data=b"text" * 1000, words=["--from raw"])
    check(not os.path.exists(at("pipe.none.qcow2")), "made of what was refused")

# --- chains ---

def chains():
    base, other, want = (raw_disk("chain%d.raw" % i, 8 * MIB, 20 + i) for i in range(3))
    can = {f["name"]: f["can"] for f in tells("formats")}
    for name in [n for n in can if "parent" in can[n]]:
        suffix = {"vmdk": "vmdk:monolithicSparse", "vhd": "vhd:differencing",
                  "vhdx": "vhdx:differencing", "vdi": "vdi:differencing"}.get(name, name)
        up, up2, over = (at("chain-%s.%s" % (w, name)) for w in ("base", "other", "over"))
        mimic("disk", "convert", "-q", base, up, "--format", name)
        mimic("disk", "convert", "-q", other, up2, "--format", name)
        mimic("disk", "convert", "-q", want, over, "--parent", up, "--format", suffix)
        parent = [] if name != "vdi" else ["--parent", up]
        mimic("disk", "compare", over, want, *parent)
        i = tells("info", "--chain", over, *parent)
        check(len(i["parents"]) == 1, "%s: no parent: %r" % (name, i))
        out = mimic("disk", "rebase", over, up2, code=None)[1]
        if "cannot be changed" not in out:
            mimic("disk", "compare", want, over)
            mimic("disk", "rebase", over, up)
            mimic("disk", "compare", want, over)
            flat = at("flat." + name)
            shutil.copy(over, flat)
            if name == "vhdx":
                refused("disk", "rebase", "--flatten", flat, words=["conversion"])
            else:
                mimic("disk", "rebase", "--flatten", flat)
                check("parent" not in tells("info", flat), "it has a parent still")
            mimic("disk", "compare", want, flat)
        mimic("disk", "commit", over, *parent)
        mimic("disk", "compare", want, up)
        mimic("disk", "check", up)

def across():
    """A qcow2 over a raw base and over a VMDK: commit and rebase across formats."""
    base, want = raw_disk("x.raw", 4 * MIB, 31), raw_disk("y.raw", 4 * MIB, 32)
    mimic("disk", "convert", "-q", base, at("x.vmdk"))
    mimic("disk", "convert", "-q", want, at("y.qcow2"), "--parent", base, "--parent-format", "raw")
    mimic("disk", "compare", want, at("y.qcow2"))
    mimic("disk", "rebase", at("y.qcow2"), at("x.vmdk"))
    mimic("disk", "compare", want, at("y.qcow2"))
    qemu("compare", "-f", "raw", want, at("y.qcow2"))
    mimic("disk", "commit", "--remove", at("y.qcow2"))
    check(not os.path.exists(at("y.qcow2")), "the overlay is still there")
    mimic("disk", "compare", want, at("x.vmdk"))
    mimic("disk", "check", at("x.vmdk"))

# --- sizes ---

def resize():
    mimic("disk", "create", "--size", "1.5G", at("s.raw"), "--format", "raw")
    check(os.path.getsize(at("s.raw")) == 3 << 29, "1.5G is something else")
    with open(at("s.raw"), "r+b") as f:
        f.seek(512)
        f.write(b"EFI PART" + bytes(40) + struct.pack("<Q", (3 << 20) - 34))
    r = tells("resize", "--format", "raw", at("s.raw"), "+512M")
    check(r["size"] == 2 << 30 and "GPT" in r["notes"][0], "%r" % r)
    refused("disk", "resize", "--format", "raw", at("s.raw"), "1G", words=["--shrink"])
    r = tells("resize", "--shrink", "--format", "raw", at("s.raw"), "1G")
    check(r["size"] == 1 << 30 and "GPT" in r["notes"][0], "%r" % r)
    refused("disk", "resize", at("s.raw"), "1G", words=["--format raw"])
    refused("disk", "resize", at("s.raw"), "lots", words=["lots"], code=None)
    want = raw_disk("grow.raw", 5 * MIB, 41)
    for f in tells("formats"):
        if "grow" in f["can"] and "create" in f["can"] and f["name"] not in ("raw", "luks"):
            path = at("grow" + f["suffix"])
            mimic("disk", "convert", "-q", want, path, "--format", f["name"])
            mimic("disk", "resize", path, "3G")
            check(tells("info", path)["size"] == 3 << 30, "%s: another size" % path)
            mimic("disk", "compare", want, path)
            mimic("disk", "check", path)
            if f["name"] in QEMU:
                same_in_qemu(want, path, QEMU[f["name"]])

def huge():
    """8 TiB with next to nothing in it: nothing takes long."""
    mimic("disk", "create", "--size", "8T", at("huge.raw"), "--format", "raw")
    with open(at("huge.raw"), "r+b") as f:
        f.seek(5 << 40)
        f.write(b"here")
    mimic("disk", "convert", "-q", at("huge.raw"), at("huge.qcow2"))
    check(tells("info", at("huge.qcow2"))["size"] == 8 << 40, "another size")
    mimic("disk", "compare", at("huge.raw"), at("huge.qcow2"))
    mimic("disk", "check", "--read", at("huge.qcow2"))
    check(len(tells("map", at("huge.qcow2"))) < 10, "a long map")

# --- what is wrong ---

def edges():
    open(at("empty.img"), "wb").close()
    open(at("empty"), "wb").close()
    with open(at("one.img"), "wb") as f:
        f.write(b"x")
    with open(at("odd.raw"), "wb") as f:
        f.write(b"y" * 1000)
    check(tells("info", at("empty.img"))["size"] == 0, "empty.img")
    mimic("disk", "convert", "-q", at("empty.img"), at("empty.qcow2"))
    mimic("disk", "compare", at("empty.img"), at("empty.qcow2"))
    check(tells("map", at("empty.qcow2")) == [], "a map of nothing")
    check(tells("info", at("one.img"))["size"] == 512, "one byte is a sector")
    mimic("disk", "convert", "-q", at("odd.raw"), at("odd.qcow2"))
    check(tells("info", at("odd.qcow2"))["size"] == 1024, "sectors are whole")
    mimic("disk", "compare", at("odd.raw"), at("odd.qcow2"))
    out, _ = mimic("disk", "info", at("empty"), code=65)
    check(b"unknown" in out and b"raw" not in out, "unknown is never raw: %r" % out)
    for cmd in ("info", "check", "map"):
        refused("disk", cmd, DIR.name, words=[DIR.name])
        refused("disk", cmd, "/dev/null", words=["/dev/null"])
        refused("disk", cmd, at("nothing.qcow2"), words=["nothing.qcow2"], code=66)
    os.mkfifo(at("fifo"))
    refused("disk", "info", at("fifo"), words=["fifo"])
    refused("disk", "convert", at("fifo"), at("f.qcow2"))
    refused("disk", "convert", at("odd.raw"), at("odd.raw"), "--force", words=["odd.raw"])
    refused("disk", "convert", at("odd.raw"), at("odd.qcow2"), words=["exists"], code=73)
    refused("disk", "convert", at("odd.raw"), at("x.what"), words=["--format"], code=64)
    refused("disk", "create", at("new.qcow2"), words=["--size"], code=None)
    refused("disk", "create", "--size", "1G", at("odd.qcow2"), words=["exists"], code=73)
    refused("disk", "create", "--size", "1G", at("no/dir/x.qcow2"), code=66)
    before = os.stat(at("odd.qcow2")).st_ino
    mimic("disk", "convert", "-q", "--force", at("one.img"), at("odd.qcow2"))
    check(os.stat(at("odd.qcow2")).st_ino != before, "it was not replaced")
    mimic("disk", "compare", at("one.img"), at("odd.qcow2"))
    mimic("disk", "compare", at("odd.raw"), at("odd.qcow2"), code=1)
    d = tells("compare", at("odd.raw"), at("odd.qcow2"), code=1)
    check(d["content-differs-at"] == 0, "%r" % d)

def parents():
    mimic("disk", "create", "--size", "64M", at("up.qcow2"))
    os.makedirs(at("far"))
    mimic("disk", "create", "--parent", at("up.qcow2"), at("near.qcow2"))
    mimic("disk", "create", "--parent", at("up.qcow2"), at("far/o.qcow2"))
    mimic("disk", "info", at("near.qcow2"))
    refused("disk", "check", at("far/o.qcow2"), words=["--trust"], code=None)
    mimic("disk", "check", "--trust", at("far/o.qcow2"))
    os.unlink(at("up.qcow2"))
    i = tells("info", at("near.qcow2"), code=66)
    check(i["parent"] == "up.qcow2" and "up.qcow2" in i["error"], "%r" % i)
    refused("disk", "convert", at("near.qcow2"), at("c.qcow2"), words=["up.qcow2"], code=66)

def damaged():
    want = raw_disk("dam.raw", 3 * MIB, 51)
    mimic("disk", "convert", "-q", want, at("dam.qcow2"))
    with open(at("dam.qcow2"), "r+b") as f:
        l1 = struct.unpack(">Q", (f.seek(40), f.read(8))[1])[0]
        f.seek(l1)
        f.write(struct.pack(">Q", 1 << 63 | 1 << 40))
    out, err = mimic("disk", "check", at("dam.qcow2"), code=65)
    check(b"damaged" in out and b"L1" in out, "not told where: %r" % out)
    check(tells("check", at("dam.qcow2"), code=65)["result"] == "damaged", "json")
    mimic("check", at("dam.qcow2"), code=65)

def locked():
    import fcntl
    mimic("disk", "create", "--size", "1G", at("lock.qcow2"))
    with open(at("lock.qcow2"), "r+b") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        refused("disk", "info", at("lock.qcow2"), words=["lock.qcow2", "in use"], code=71)
        refused("disk", "resize", at("lock.qcow2"), "2G", words=["in use"], code=71)
        mimic("disk", "info", "--no-lock", at("lock.qcow2"))

def left(directory):
    return [f for f in os.listdir(directory) if ".part" in f]

def full():
    d = at("small")
    os.makedirs(d)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", d],
                      stderr=subprocess.DEVNULL).returncode:
        raise Skip("no right to mount a small file system")
    try:
        src = raw_disk("full.raw", 16 * MIB, 61, pieces=600)
        for name in ("a.qcow2", "a.raw", "a.vmdk", "a.vhd"):
            refused("disk", "convert", src, os.path.join(d, name), words=["No space"], code=71)
            check(not os.listdir(d), "left behind: %r" % os.listdir(d))
    finally:
        subprocess.run(["umount", d])

def read_only():
    if os.geteuid() == 0:
        raise Skip("root may write everywhere")
    d = at("ro")
    os.makedirs(d, mode=0o500)
    refused("disk", "create", "--size", "1G", os.path.join(d, "x.qcow2"), code=71)

# --- interrupted ---

def interrupt(sig, args, wait):
    p = subprocess.Popen([MIMIC] + args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    try:
        p.wait(wait)
    except subprocess.TimeoutExpired:
        p.send_signal(sig)
    return p.wait(60)

def interrupted():
    d = at("int")
    os.makedirs(d)
    src = raw_disk("int.raw", 400 * MIB, 71, pieces=2000)
    ended = set()
    for n in range(12):
        to = os.path.join(d, "t%d.%s" % (n, ("qcow2", "raw", "vmdk")[n % 3]))
        code = interrupt(signal.SIGINT, ["disk", "convert", src, to], n * 0.01)
        ended.add(code)
        check(code in (0, 130, -2), "exit code %d" % code)
        check(os.path.exists(to) == (code == 0), "half a file, or none: %d" % code)
        check(not left(d), "left behind: %r" % left(d))
        if os.path.exists(to):
            os.unlink(to)
    check(130 in ended or -2 in ended, "nothing was interrupted: %r" % ended)

def killed():
    """SIGKILL: no half file under the target's name, and a chain that shows the same disk."""
    d = at("kill")
    os.makedirs(d)
    src = raw_disk("kill.raw", 200 * MIB, 81, pieces=2000)
    base = raw_disk("killbase.raw", 200 * MIB, 82, pieces=1000)
    to = os.path.join(d, "t.qcow2")
    for n in range(8):
        code = interrupt(signal.SIGKILL, ["disk", "convert", src, to], n * 0.02)
        if os.path.exists(to):
            mimic("disk", "compare", src, to)
            os.unlink(to)
        for f in left(d):
            shutil.rmtree(os.path.join(d, f))
    for name in ("qcow2", "vmdk"):
        up, over = os.path.join(d, "up." + name), os.path.join(d, "over." + name)
        mimic("disk", "convert", "-q", base, up)
        mimic("disk", "convert", "-q", src, over, "--parent", up)
        for n in range(5):
            interrupt(signal.SIGKILL, ["disk", "rebase", "--flatten", over], n * 0.02)
            mimic("disk", "compare", src, over)
            if "parent" not in tells("info", over):
                break
        os.unlink(over)
        mimic("disk", "convert", "-q", src, over, "--parent", up)
        for n in range(6):
            interrupt(signal.SIGKILL, ["disk", "commit", over], n * 0.02)
            mimic("disk", "compare", "--any-parent", src, over)
        mimic("disk", "commit", "--any-parent", over)
        mimic("disk", "compare", src, up)
        mimic("disk", "check", up)
        os.unlink(over)
        os.unlink(up)

def helps():
    out = mimic("disk", "--help")[0].decode()
    for sub in ("info", "convert", "create", "resize", "check", "map", "compare", "commit", "rebase"):
        check("\n  " + sub in out, "%s is not listed" % sub)
        check("usage: mimic disk " + sub in mimic("disk", sub, "--help")[0].decode(), "no help")
        check(".TH MIMIC-disk-" + sub in mimic("manual", "disk", sub)[0].decode(), "no page")
    check("mimic disk convert" in mimic("manual", "disk")[0].decode(), "no list in the page")
    script = mimic("completion")[0].decode() + """
COMP_WORDS=(mimic disk con); COMP_CWORD=2; _mimic; echo "${COMPREPLY[@]}"
COMP_WORDS=(mimic disk compare --st); COMP_CWORD=3; _mimic; echo "${COMPREPLY[@]}"
"""
    p = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    check(p.stdout.decode().split() == ["convert", "--strict"], "completion: %r" % p.stdout)
    refused("disk", "fly", words=["fly"], code=64)
    refused("disk", "convert", "a", words=["FROM TO"], code=64)
    refused("disk", "info", "--colour", "a", words=["--colour"], code=64)

main([("help, manual, completion", helps), ("files of products", lambda: walk("disk/")),
      ("files of tools", lambda: walk("peer-made/")), ("every format into every other", pairs),
      ("options", options),
      ("reports", reports), ("repair", repair), ("pipes", pipes), ("chains", chains), ("chains across formats", across), ("sizes", resize),
      ("an 8 TiB disk", huge), ("odd files", edges), ("parents", parents),
      ("a damaged image", damaged), ("an image in use", locked), ("a full disk", full),
      ("a directory for reading only", read_only), ("SIGINT", interrupted), ("SIGKILL", killed)])
