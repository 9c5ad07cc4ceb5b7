#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Saving VMs in the middle of a load that Debian's own drivers make: four writers at once to each
disk, a download and an upload through each network card, every byte compared.  A TCP connection
does not outlive a restore (the host's end of it is gone), the card and all later ones do.

One disk and one card in a run, all of them with MIMIC_LONG set.
"""
import hashlib, http.server, os, random, re, socketserver, subprocess, sys, threading, time
from saving import ends, file, restore, save, start
from vmtest import CACHE, SOURCE, Skip, check, main

sys.path.insert(0, os.path.join(SOURCE, "tools"))
import bench_io  # noqa: E402

LONG = bool(os.environ.get("MIMIC_LONG"))
DISKS = [("ahci", "/dev/sda"), ("buslogic", "/dev/sda"), ("pvscsi", "/dev/sda"), ("virtio_blk", "/dev/vda"),
         ("nvme", "/dev/nvme0n1"), ("lsisas1068", "/dev/sda"), ("lsilogic", "/dev/sda"), ("ide", "/dev/sda")]
NICS = ["vmxnet3", "e1000", "e1000e", "pcnet", "virtio_net"]
PAGE = random.Random(7).randbytes(8 << 20)
ROUNDS = 6
# Each round downloads the page and sends it back.
NET = """until [ -e /sys/class/net/eth0 ]; do usleep 100000; done
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
n=0
good=0
while [ $good -lt ROUNDS ] && [ $n -lt 40 ]; do
    n=$((n + 1))
    echo "@ROUND $n"
    rm -f /tmp/page
    timeout 10 wget -q -O /tmp/page http://10.0.2.2:DOWN/ || continue
    sum=$(md5sum </tmp/page)
    timeout 20 nc 10.0.2.2 UP </tmp/page || continue
    [ "${sum%% *}" = SUM ] || echo "@BAD $sum"
    good=$((good + 1))
done
echo "@GOOD $good"
"""

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        try:
            self.wfile.write(PAGE)
        except OSError:
            pass  # that connection was cut

    def log_message(self, *args):
        pass

class Back(socketserver.BaseRequestHandler):
    whole = 0

    def handle(self):
        h, n = hashlib.md5(), 0
        try:
            while part := self.request.recv(1 << 16):
                h.update(part)
                n += len(part)
        except OSError:
            return
        Back.whole += n == len(PAGE) and h.digest() == hashlib.md5(PAGE).digest()

def moves(name, p, began, times):
    """Saved and restored so often while it works, then until its end: what the last one said."""
    out = ""
    while not re.search(began, out):
        part = os.read(p.stdout.fileno(), 65536).decode("utf-8", "replace")
        check(part, "it did not begin:\n" + out[-1500:])
        out += part
    for i in range(times):
        time.sleep(0.2 + random.random())
        check(save(p, file(name, "saved%d" % i), *(["--compress"] if i % 2 else [])), "it ended too early:\n" + out)
        out = ends(p, 0)
        check("@BAD" not in out and "FAIL" not in out, "wrong data:\n" + out[-1500:])
        p = restore(file(name, "saved%d" % i), console="serial")
    out = ends(p, 0, 600)
    for i in range(times):
        os.unlink(file(name, "saved%d" % i))
    return out

def disk(bus, node):
    if not LONG and bus != "buslogic":
        raise Skip("with MIMIC_LONG=1")
    os.makedirs(file(bus))
    kernel, rd = subprocess.run(["sh", os.path.join(SOURCE, "tests", "guest", "initrd.sh"), CACHE], check=True,
                                stdout=subprocess.PIPE).stdout.decode().split()[-2:]
    with open(file(bus, "disk.img"), "wb") as f:
        f.truncate(64 << 20)
    p = start(["run", "--quiet", "--kernel", kernel, "--initrd", rd, "--memory", "256", "--console", "serial",
               "--no-reboot", "--state", file(bus, "state"), "--disk", file(bus, "disk.img"), "--format", "raw",
               "--disk-bus", bus, "--append",
               "console=ttyS0 mimic.disk=%s mimic.test=verify mimic.mib=%d" % (node, 48 if LONG else 16)])
    out = moves(bus, p, "Run /init", 4)
    check("TEST GUEST: PASS" in out, "the data differ:\n" + out[-1500:])

def serve(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]

def card(nic):
    if not LONG and nic != "vmxnet3":
        raise Skip("with MIMIC_LONG=1")
    os.makedirs(file(nic))
    down, up = serve(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)), \
        serve(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Back))
    Back.whole = 0
    script = NET.replace("ROUNDS", str(ROUNDS)).replace("DOWN", str(down)).replace("UP", str(up))
    kernel, rd = bench_io.initrd(SOURCE, CACHE, file(nic), script.replace("SUM", hashlib.md5(PAGE).hexdigest()))
    p = start(["run", "--quiet", "--kernel", kernel, "--initrd", rd, "--memory", "256", "--console", "serial",
               "--no-reboot", "--nic", nic, "--state", file(nic, "state"), "--append", "console=ttyS0 quiet"])
    out = moves(nic, p, "@ROUND 1\r", 3)
    check("@GOOD %d" % ROUNDS in out and "@BAD" not in out, "not all went through:\n" + out[-1500:])
    check(Back.whole >= ROUNDS, "%d of %d came back whole" % (Back.whole, ROUNDS))

main([("%s: saved and restored while four write" % bus, lambda b=bus, n=node: disk(b, n)) for bus, node in DISKS] +
     [("%s: saved and restored in mid-transfer" % nic, lambda n=nic: card(n)) for nic in NICS])
