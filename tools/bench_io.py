# SPDX-License-Identifier: GPL-2.0-or-later
"""./dev bench disk and net: sequential reads and writes, TCP both ways, by Debian's kernel and its own
drivers, beside QEMU TCG with the same device in the same run.  Disks: a raw image and an empty qcow2
over it, in memory, for both; cached: through the guest's page cache; direct: past it, 1 MiB at a time.
Nets: libslirp for both."""
import json, math, os, re, socket, subprocess, sys, tempfile, threading, time

TARGET = 2.0  # times the rate of TCG

# our name of the bus, QEMU's devices for it, the guest's name of the disk
DISKS = {
    "pvscsi": (["-device", "pvscsi", "-device", "scsi-hd,drive=d0"], "/dev/sda"),
    "virtio_blk": (["-device", "virtio-blk-pci,drive=d0"], "/dev/vda"),
    "ahci": (["-device", "ich9-ahci,id=a", "-device", "ide-hd,bus=a.0,drive=d0"], "/dev/sda"),
    "nvme": (["-device", "nvme,serial=1,drive=d0"], "/dev/nvme0n1"),
    "ide": (["-device", "ide-hd,drive=d0"], "/dev/sda"),
    # QEMU has no such last two, and with its mptsas1068 no /dev/sda came in 70 s: its fastest instead
    "lsisas1068": (["-device", "pvscsi", "-device", "scsi-hd,drive=d0"], "/dev/sda"),
    "lsilogic": (["-device", "pvscsi", "-device", "scsi-hd,drive=d0"], "/dev/sda"),
    "buslogic": (["-device", "pvscsi", "-device", "scsi-hd,drive=d0"], "/dev/sda"),
}
NICS = {"vmxnet3": "vmxnet3", "e1000": "e1000", "virtio_net": "virtio-net-pci", "e1000e": "e1000e", "pcnet": "pcnet"}
DEFAULT = {"disk": ["pvscsi", "virtio_blk"], "net": ["vmxnet3", "e1000", "virtio_net"]}

HEAD = """#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
exec </dev/console >/dev/console 2>&1
for m in $(cat /modules/order); do insmod /modules/$m.ko 2>/dev/null; done
"""
DISK = """until [ -e DISK ]; do usleep 100000; done
drop() { sync; echo 3 >/proc/sys/vm/drop_caches; }
for i in $(seq RUNS); do
    drop; stream read-cached read DISK MIB
    drop; stream read-direct dread DISK MIB
    drop; stream write-cached write DISK MIB
    drop; stream write-direct dwrite DISK MIB
done
"""
NET = """until [ -e /sys/class/net/eth0 ]; do usleep 100000; done
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
until ping -c 1 -W 1 10.0.2.2 >/dev/null; do :; done
for i in $(seq RUNS); do
    stream out send 10.0.2.2 SINK MIB
    stream in take 10.0.2.2 SOURCE MIB
done
"""
TAIL = "echo @I done\npoweroff -f\n"

def initrd(source, cache, work, script):
    """The test guest with another first program: a second archive behind the first takes its place."""
    kernel, old = subprocess.run(["sh", os.path.join(source, "tests", "guest", "initrd.sh"), cache], check=True,
                                 stdout=subprocess.PIPE).stdout.decode().split()[-2:]
    tree = os.path.join(work, "tree")
    os.makedirs(os.path.join(tree, "bin"))
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-static", "-o", os.path.join(tree, "bin", "stream"),
                    os.path.join(source, "tests", "guest", "stream.c")], check=True)
    with open(os.path.join(tree, "init"), "w") as f:
        f.write(HEAD + script + TAIL)
    os.chmod(os.path.join(tree, "init"), 0o755)
    over = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=b"init\nbin/stream\n", cwd=tree, check=True,
                          stdout=subprocess.PIPE).stdout
    path = os.path.join(work, "initrd")
    with open(path, "wb") as f:
        f.write(open(old, "rb").read())
        f.write(b"\0" * (-f.tell() % 4) + over)
    return kernel, path

def measure(argv, work, seconds=600):
    """{name: best MiB/s} of one guest.  What is thrown away is in `work`, as everything else."""
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         env=dict(os.environ, TMPDIR=work))
    timer = threading.Timer(seconds, p.kill)
    timer.start()
    best, began, text, done = {}, {}, "", False
    for line in p.stdout:
        now, line = time.time(), line.decode("utf-8", "replace")
        text += line
        m = re.search(r"@(B|E) (\S+)(?: (\d+))?", line)
        if m and m.group(1) == "B":
            began[m.group(2)] = now
        elif m and m.group(2) in began and m.group(3):
            rate = int(m.group(3)) / 2 ** 20 / (now - began[m.group(2)])
            best[m.group(2)] = max(best.get(m.group(2), 0), rate)
        done |= "@I done" in line
    timer.cancel()
    p.wait()
    if not done:
        print("bench: %s did not come to its end:\n%s" % (argv[0], text[-1500:]), file=sys.stderr)
    return best

# ---- who runs the guest

def ours(mimic, kernel, rd):
    return [mimic, "run", "--quiet", "--console", "serial", "--no-reboot", "--memory", "1024", "--kernel", kernel,
            "--initrd", rd, "--append", "console=ttyS0 quiet"]

def qemu(kernel, rd):
    return ["qemu-system-x86_64", "-accel", "tcg", "-m", "1024", "-nodefaults", "-display", "none", "-serial", "stdio",
            "-no-reboot", "-kernel", kernel, "-initrd", rd, "-append", "console=ttyS0 quiet"]

def disk_row(mimic, kernel, rd, bus, image, work):
    devices, _ = DISKS[bus]
    over = os.path.join(work, "over.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "raw", over], check=True)
    theirs = measure(qemu(kernel, rd) + ["-drive", "if=none,id=d0,format=qcow2,file=" + over] + devices, work)
    us = measure(ours(mimic, kernel, rd) + ["--net", "none", "--disk", image, "--format", "raw", "--disk-bus", bus,
                                            "--state", os.path.join(work, "state"), "--throwaway"], work)
    os.unlink(over)
    return us, theirs

def net_row(mimic, kernel, rd, nic, work):
    theirs = measure(qemu(kernel, rd) + ["-netdev", "user,id=n0", "-device", NICS[nic] + ",netdev=n0"], work)
    us = measure(ours(mimic, kernel, rd) + ["--nic", nic], work)
    return us, theirs

# ---- the peer of the guest

def serve(handle):
    s = socket.create_server(("127.0.0.1", 0))

    def loop():
        while True:
            c, _ = s.accept()
            threading.Thread(target=handle, args=(c,), daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()
    return s.getsockname()[1]

def sink(c):
    buf = bytearray(1 << 20)
    while c.recv_into(buf):
        pass
    c.close()

def source_of(mib):
    def source(c):
        block = bytes(1 << 20)
        try:
            for _ in range(mib):
                c.sendall(block)
        except OSError:
            pass
        c.close()
    return source

# ---- the table

def show(rows):
    for name, us, theirs in rows:
        for what in sorted(set(us) | set(theirs)):
            a, b = us.get(what), theirs.get(what)
            ratio = a / b if a and b else None
            print("%-12s %-13s %9s %9s %8s  %s" %
                  (name, what, "%.0f" % a if a else "-", "%.0f" % b if b else "-", "%.2f" % ratio if ratio else "-",
                   "" if ratio and ratio >= TARGET else "!"), flush=True)

def gmean(v):
    return math.exp(sum(map(math.log, v)) / len(v)) if v else 0

def main(what, mimic, source, cache, runs, mib, names, as_json):
    rows = []
    with tempfile.TemporaryDirectory(prefix="mimic-bench-", dir="/dev/shm") as work:
        image = os.path.join(work, "disk.img")
        if what == "disk":
            block = os.urandom(1 << 20)
            with open(image, "wb") as f:
                for _ in range(mib):
                    f.write(block)
        elif what == "net":
            peers = NET.replace("SINK", str(serve(sink))).replace("SOURCE", str(serve(source_of(mib))))
        print("%-12s %-13s %9s %9s %8s  at least %.1f" % ("", "", "Mimic", "TCG MiB/s", "ratio", TARGET), flush=True)
        for name in names or DEFAULT[what]:
            inner = os.path.join(work, name)
            os.mkdir(inner)
            script = DISK.replace("DISK", DISKS[name][1]) if what == "disk" else peers
            kernel, rd = initrd(source, cache, inner, script.replace("RUNS", str(runs)).replace("MIB", str(mib)))
            us, theirs = disk_row(mimic, kernel, rd, name, image, inner) if what == "disk" else \
                net_row(mimic, kernel, rd, name, inner)
            rows.append((name, us, theirs))
            show(rows[-1:])
    ratios = [us[k] / theirs[k] for _, us, theirs in rows for k in us if k in theirs]
    print("geometric mean of the ratios: %.2f" % gmean(ratios))
    if as_json:
        print(json.dumps([{"device": n, "mimic": u, "tcg": t} for n, u, t in rows], indent=1))
    return 0
