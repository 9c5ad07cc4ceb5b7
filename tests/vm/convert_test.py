#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""mimic convert, inspect and check on packages, as a user calls them: every format with a writer
into every other, pipes, what is refused, and what is left after an end in the middle."""
import gzip, hashlib, json, os, random, shutil, signal, subprocess, tarfile, time, zipfile
from vmtest import MIMIC, Skip, check, main, scratch

MIB = 1 << 20
DIR = scratch()

def at(name):
    return os.path.join(DIR.name, name)

def mimic(*args, code=0, data=None, stdout=subprocess.PIPE):
    p = subprocess.run([MIMIC] + [str(a) for a in args], input=data, stdout=stdout,
                       stderr=subprocess.PIPE, timeout=120, cwd=DIR.name,
                       stdin=subprocess.DEVNULL if data is None else None,
                       env=dict(os.environ, MIMIC_LOG="error"))
    err = p.stderr.decode("utf-8", "replace")
    check(p.returncode == code, "mimic %s: exit code %d\n%s%s" %
          (" ".join(str(a) for a in args), p.returncode, err, (p.stdout or b"").decode("utf-8", "replace")))
    return p.stdout, err

def refused(*args, code=65, words=(), **kw):
    err = mimic(*args, code=code, **kw)[1]
    check(err.startswith("mimic ") and err.count("\n") == 1, "not one sentence: %r" % err)
    for w in words:
        check(w in err, "\"%s\" is not in: %s" % (w, err))

def raw_disk(name, size, seed, pieces=12):
    r = random.Random(seed)
    with open(at(name), "wb") as f:
        f.truncate(size)
        for _ in range(pieces):
            n = r.randrange(1, 70000)
            f.seek(r.randrange(0, size - n))
            f.write(r.randbytes(n))
    return at(name)

def sha(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        for b in iter(lambda: f.read(MIB), b""):
            h.update(b)
    return h.hexdigest()

VMX = """.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "13"
displayName = "web & <co>"
guestOS = "debian12-64"
memsize = "1024"
numvcpus = "2"
uuid.bios = "56 4d 00 01 02 03 04 05-06 07 08 09 0a 0b 0c 0d"
scsi0.present = "TRUE"
scsi0.virtualDev = "lsilogic"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "%s"
scsi0:1.present = "TRUE"
scsi0:1.fileName = "%s"
ethernet0.present = "TRUE"
ethernet0.virtualDev = "e1000"
ethernet0.addressType = "static"
ethernet0.address = "00:50:56:01:02:03"
ethernet0.networkName = "lan"
annotation = "a note"
foo.bar = "kept"
"""
DISKS = []

def source():
    """A VMX folder with two disks of three and five MiB."""
    path = at("src/web.vmx")
    if not os.path.exists(path):
        os.mkdir(at("src"))
        for i, size in enumerate((3, 5)):
            raw = raw_disk("src%d.raw" % i, size * MIB, 7 + i)
            DISKS.append(raw)
            mimic("disk", "convert", raw, at("src/disk%d.vmdk" % i))
        with open(path, "w") as f:
            f.write(VMX % ("disk0.vmdk", "disk1.vmdk"))
    return path

def facts(path):
    """What inspect says, of the things that every format can say."""
    d = json.loads(mimic("inspect", "--json", path)[0])
    return d, {"cpus": d["cpus"], "memory": d["memory"], "disks": [k for k in d["disks"] if k["media"] == "disk"],
               "macs": [n["mac"] for n in d["nics"]]}

def contents(path, where):
    """Each disk of a package, as raw, compared with what went in."""
    os.mkdir(where)
    mimic("convert", "-q", path, os.path.join(where, "x.vmx"), "--disk-format", "raw")
    raws = sorted((f for f in os.listdir(where) if not f.endswith((".vmx", ".nvram"))),
                  key=lambda f: os.path.getsize(os.path.join(where, f)))
    got = [sha(os.path.join(where, f)) for f in raws]
    shutil.rmtree(where)
    return got

# name, target (in a directory of its own when it has disks beside it), disks can be compared
FORMATS = [("ovf", "p.ova"), ("ovf", "p.ovf"), ("vmx", "p.vmx"), ("vbox", "p.vbox"), ("libvirt", "p.xml"),
           ("xl", "p.cfg"), ("proxmox", "100.conf"), ("pvs", "p.pvs"), ("xva", "p.xva"),
           ("vagrant", "p.box"), ("kubevirt", "p.yaml")]
KEEPS_TWO = {"vagrant": True, "kubevirt": True}

def matrix():
    src, bad = source(), []
    want = [sha(p) for p in DISKS]
    made = {}
    for name, target in FORMATS:
        d = at("m-" + target)
        os.mkdir(d)
        try:
            mimic("convert", src, os.path.join(d, target), "--format", name)
            made[target] = (name, os.path.join(d, target))
        except AssertionError as e:
            bad.append("vmx -> %s: %s" % (target, e))
    for target, (name, path) in sorted(made.items()):
        try:
            _, f = facts(path)
            check(f["cpus"] == 2 and f["memory"] == 1 << 30, "%s: %r" % (target, f))
            check(f["macs"] == ["00:50:56:01:02:03"] or name == "vagrant", "%s: %r" % (target, f))
            got = contents(path, at("raw-" + target))
            check(got == want, "%s: %d disks, contents differ" % (target, len(got)))
            mimic("check", path)
        except AssertionError as e:
            bad.append(str(e))
            continue
        for name2, target2 in FORMATS:
            out = at("to-" + target2)
            os.mkdir(out)
            try:
                report = json.loads(mimic("convert", "--json", path, os.path.join(out, target2), "--format",
                                          name2)[0])
                check(set(report) >= {"kept", "changed", "lost", "vms"}, "report: %r" % report)
                got = contents(os.path.join(out, target2), at("raw2"))
                check(got == want, "%s -> %s: contents differ" % (target, target2))
            except AssertionError as e:
                bad.append("%s -> %s: %s" % (target, target2, e))
                shutil.rmtree(at("raw2"), ignore_errors=True)
            shutil.rmtree(out)
    check(not bad, "\n".join(bad))

def lost_is_told():
    src = source()
    out = json.loads(mimic("convert", "--json", src, at("lost.ova"))[0])
    check(any("foo" in l["where"] or "foo" in l["text"] for l in out["lost"]), "foo.bar: %r" % out["lost"])
    refused("convert", "--strict", src, at("strict.ova"), words=["would be lost"])
    check(not os.path.exists(at("strict.ova")), "strict.ova is there")
    mimic("convert", "-q", "--strict", src, at("again.vmx"))
    with open(at("again.vmx")) as f:
        check('foo.bar = "kept"' in f.read(), "foo.bar is not written back")
    told = mimic("inspect", "--lost", "--to", "ovf", src)[0].decode()
    check("foo" in told, "inspect --lost: " + told)

def ova():
    path = at("base.ova")
    if not os.path.exists(path):
        mimic("convert", "-q", source(), path)
    return path

def members(path):
    with tarfile.open(path) as t:
        return t.getnames()

def pipes():
    src, want = ova(), [sha(p) for p in DISKS]
    names = members(src)
    check(names[0].endswith(".ovf") and names[1].endswith(".mf"), "order: %r" % names)
    data = open(src, "rb").read()
    mimic("convert", "-q", "-", at("pipe1.vmx"), data=data)
    check(contents(at("pipe1.vmx"), at("raw-p1")) == want, "from a pipe into a folder")
    out = mimic("convert", "-q", "-", "-", "--format", "ovf", data=data)[0]
    with open(at("pipe2.ova"), "wb") as f:
        f.write(out)
    mimic("check", at("pipe2.ova"))
    check(contents(at("pipe2.ova"), at("raw-p2")) == want, "through two pipes")
    # the manifest last, and the disks the other way round
    with tarfile.open(src) as t, tarfile.open(at("turned.ova"), "w") as u:
        for n in [names[0]] + names[:1:-1] + [names[1]]:
            u.addfile(t.getmember(n), t.extractfile(n))
    turned = open(at("turned.ova"), "rb").read()
    mimic("convert", "-q", "-", at("pipe3.vmx"), data=turned)
    check(contents(at("pipe3.vmx"), at("raw-p3")) == want, "another order")
    for cut in (100, 5000, len(data) // 2, len(data) - 20000):
        refused("convert", "-", at("pipe4.vmx"), data=data[:cut])
    # a raw disk in place of a packed one: one wrong byte is seen by the manifest alone
    with tarfile.open(src) as t:
        m = t.getmember(names[1])
        wrong = bytearray(data)
        i = m.offset_data + m.size - 10
        wrong[i] = ord("0") if wrong[i] != ord("0") else ord("1")
    refused("convert", "-", at("pipe5.vmx"), data=bytes(wrong), words=["the manifest says"])
    left = [f for f in os.listdir(DIR.name) if f.startswith(("pipe4", "pipe5"))]
    check(not left, "left behind: %r" % left)

def wrappings():
    src, want = ova(), [sha(p) for p in DISKS]
    with open(src, "rb") as f, gzip.open(at("w.ova.gz"), "wb", 1) as g:
        shutil.copyfileobj(f, g)
    with tarfile.open(src) as t:
        for mode, name in ((zipfile.ZIP_DEFLATED, "w1.zip"), (zipfile.ZIP_STORED, "w2.zip")):
            with zipfile.ZipFile(at(name), "w", mode) as z:
                for m in t.getmembers():
                    z.writestr(m.name, t.extractfile(m).read())
        with tarfile.open(at("dots.ova"), "w", format=tarfile.PAX_FORMAT) as u:
            for m in reversed(t.getmembers()):
                data = t.extractfile(m)
                m.name = "./" + m.name
                u.addfile(m, data)
        t.extractall(at("unpacked"))
    for name in ("w.ova.gz", "w1.zip", "w2.zip", "dots.ova", "unpacked"):
        check(contents(at(name), at("raw-w")) == want, name)
        mimic("check", at(name))

def compressed_zip_bomb():
    with zipfile.ZipFile(at("bomb.zip"), "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("a.ovf", b"x")
        z.writestr("b.vmdk", bytes(8 * MIB))
    raw = bytearray(open(at("bomb.zip"), "rb").read())
    i = raw.rindex(b"PK\1\2")
    raw[i + 24:i + 28] = (0xfffffff0).to_bytes(4, "little")
    with open(at("bomb.zip"), "wb") as f:
        f.write(raw)
    refused("inspect", at("bomb.zip"), code=71, words=["claims"])

def refusals():
    src = source()
    refused("convert", src, at("x.nothing"), words=["format"])
    refused("convert", src, at("y"), "--format", "nothing", words=["nothing"])
    refused("convert", src, at("y.vmc"), "--format", "vmc", words=["read, not written"])
    refused("convert", at("none.ova"), at("y.vmx"), code=66)
    open(at("there.ova"), "w").close()
    refused("convert", src, at("there.ova"), code=73, words=["exists already"])
    check(os.path.getsize(at("there.ova")) == 0, "it was written to")
    os.mkdir(at("beside"))
    open(at("beside/x.vmdk"), "w").close()
    refused("convert", ova(), at("beside/x.vmx"), code=73, words=["exists already"])
    check(os.listdir(at("beside")) == ["x.vmdk"], "left: %r" % os.listdir(at("beside")))
    refused("convert", src, at("y.ova"), "--sign", "key", words=["--cert"])
    refused("convert", src, at("y.ova"), "--vm", "other", code=66, words=["other"])
    refused("convert", src, at("y.ova"), "--disk-format", "nothing", words=["nothing"])
    os.mkdir(at("hole"))
    shutil.copy(src, at("hole/web.vmx"))
    report = json.loads(mimic("convert", "--json", at("hole/web.vmx"), at("hole/out.vmx"))[0])
    check(sum("was not there" in l["text"] for l in report["lost"]) == 2, "missing disks: %r" % report)

def bare_image():
    raw = source() and DISKS[0]
    mimic("convert", "-q", raw, at("bare.ova"), "--name", "my vm")
    d = json.loads(mimic("inspect", "--json", at("bare.ova"))[0])
    check(d["name"] == "my vm", d["name"])
    check(contents(at("bare.ova"), at("raw-b")) == [sha(raw)], "contents")
    out = mimic("convert", "-q", raw, "-", "--format", "vmx", "--no-disks", "--image-format", "raw")[0].decode()
    check(os.path.realpath(raw) in out, "no path of the disk: " + out)

def killed():
    raw = raw_disk("big.raw", 300 * MIB, 3, pieces=3000)
    for target, seconds in [(t, s) for t in ("k.ova", "k.vmx") for s in (0.02, 0.1, 0.3)]:
        for sig in (signal.SIGKILL, signal.SIGINT):
            d = at("killed")
            os.mkdir(d)
            p = subprocess.Popen([MIMIC, "convert", raw, os.path.join(d, target)], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
            try:
                p.wait(seconds)
            except subprocess.TimeoutExpired:
                p.send_signal(sig)
                p.wait(60)
            there = os.listdir(d)
            if target in there:
                mimic("check", os.path.join(d, target))
            if sig == signal.SIGINT and p.returncode:
                check(p.returncode in (130, -signal.SIGINT), "exit code %d" % p.returncode)
                check(p.returncode != 130 or not there, "left after SIGINT: %r" % there)
            shutil.rmtree(d)
    os.unlink(raw)

def full_disk():
    raw = raw_disk("wide.raw", 40 * MIB, 5, pieces=2000)
    d = at("full")
    os.mkdir(d)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", d], stderr=subprocess.DEVNULL).returncode:
        raise Skip("no file system can be mounted")
    try:
        for target in ("f.ova", "f.vmx", "f.ovf"):
            refused("convert", raw, os.path.join(d, target), code=71, words=["No space"])
            check(not os.listdir(d), "%s left: %r" % (target, os.listdir(d)))
    finally:
        subprocess.run(["umount", d])

def signed():
    if not shutil.which("openssl"):
        raise Skip("openssl is not there")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", at("k.pem"), "-out",
                    at("c.pem"), "-days", "30", "-subj", "/CN=tester"], check=True, stderr=subprocess.DEVNULL)
    mimic("convert", "-q", source(), at("signed.ova"), "--sign", at("k.pem"), "--cert", at("c.pem"))
    out = mimic("check", at("signed.ova"))[0].decode()
    check("signature    right" in out and "not trusted" in out, out)
    out = mimic("check", at("signed.ova"), "--authority", at("c.pem"))[0].decode()
    check("chain        trusted" in out, out)
    data = bytearray(open(at("signed.ova"), "rb").read())
    with tarfile.open(at("signed.ova")) as t:
        m = [m for m in t.getmembers() if m.name.endswith(".vmdk")][0]
    data[m.offset_data + m.size // 2] ^= 1
    with open(at("changed.ova"), "wb") as f:
        f.write(data)
    out = mimic("check", at("changed.ova"), code=65)[0].decode()
    check("digests      wrong" in out and "signature    right" in out, out)

main([("every format into every other", matrix), ("what is lost is told", lost_is_told), ("pipes", pipes),
      ("zip, gzip, dots, a directory", wrappings), ("a zip bomb", compressed_zip_bomb),
      ("refusals", refusals), ("a bare image", bare_image), ("a full disk", full_disk),
      ("signed", signed), ("killed", killed)])
