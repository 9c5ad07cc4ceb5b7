#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sockets between a stock kernel and its host, by VMCI and by virtio: bytes there and back, compared.

MIMIC_VSOCK_MIB (12): how much is sent each way.
"""
import os, random, re, socket, subprocess, threading
from vmtest import CACHE, MIMIC, SOURCE, check, main, scratch

MIB = int(os.environ.get("MIMIC_VSOCK_MIB", "12"))
OLD = """.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "13"
displayName = "by ports"
memsize = "512"
vmci0.present = "TRUE"
vmci0.id = "-1234567"
"""

def byte_at(at):
    """As the guest's program makes them."""
    return ((at * 2654435761 % 2 ** 64) >> 13 ^ at >> 16) & 255

class Listener(threading.Thread):
    """A port of the host, for one connection: back goes what comes, or it is kept."""
    def __init__(self, path, back):
        super().__init__(daemon=True)
        self.server, self.back, self.came = socket.socket(socket.AF_UNIX), back, b""
        self.server.bind(path)
        self.server.listen()
        self.start()

    def run(self):
        c = self.server.accept()[0]
        while part := c.recv(1 << 16):
            if self.back:
                c.sendall(part)
            else:
                self.came += part
        c.close()

def initrd(d):
    """The test guest's, and an archive with the program after it."""
    kernel, plain = subprocess.run(["sh", os.path.join(SOURCE, "tests", "guest", "initrd.sh"), CACHE],
                                   check=True, stdout=subprocess.PIPE).stdout.decode().split()[-2:]
    subprocess.run(["cp", os.path.join(os.path.dirname(MIMIC), "vsock_guest"), os.path.join(d, "vsock")], check=True)
    subprocess.run("cd '%s' && echo vsock | cpio -o -H newc --quiet | gzip -1 | cat '%s' - >initrd" % (d, plain),
                   shell=True, check=True)
    return kernel, os.path.join(d, "initrd")

def dial(path, data):
    """Port 5000 of the guest, which sends back what it is sent."""
    s, got = socket.socket(socket.AF_UNIX), b""
    s.settimeout(120)
    s.connect(path)
    s.sendall(b"CONNECT 5000\n")
    sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)), daemon=True)
    sender.start()
    while part := s.recv(1 << 16):
        got += part
    s.close()
    hello, _, got = got.partition(b"\n")
    check(re.fullmatch(rb"OK \d+", hello), "it says %r" % hello)
    check(got == data, "%d of %d bytes came back, or others" % (len(got), len(data)))

def talk(path, vm, out):
    """While the guest answers on port 5000: three connections."""
    data = random.Random(path).randbytes(MIB << 20)
    dial(path, b"short")
    dial(path, data)
    r = subprocess.run([MIMIC, "vsock", str(vm.pid), "5001"], stdin=subprocess.DEVNULL, capture_output=True,
                       timeout=120)
    check(r.returncode and b"nobody in the guest" in r.stderr, "a port without anybody: %r" % r.stderr)
    r = subprocess.run([MIMIC, "vsock", str(vm.pid), "5000"], input=data[:1 << 20], capture_output=True, timeout=120)
    check(r.returncode == 0 and r.stdout == data[:1 << 20], "mimic vsock: %d bytes, %r" % (len(r.stdout), r.stderr))
    out.append(True)

def sockets(args, files=lambda d: []):
    with scratch() as d:
        path = os.path.join(d, "v.sock")
        kernel, rd = initrd(d)
        Listener(path + "_6000", True)
        poured = Listener(path + "_6001", False)
        vm = subprocess.Popen([MIMIC, "run", "--quiet", "--kernel", kernel, "--initrd", rd, "--vsock", path,
                               "--memory", "512", "--console", "serial", "--no-reboot", "--state",
                               os.path.join(d, "state"), "--append", "console=ttyS0 quiet mimic.test=vsock "
                               "mimic.do=refused,7:call,6000,%d:pour,6001,3:echo,5000,3" % MIB] + args + files(d),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        killer = threading.Timer(300, vm.kill)
        killer.start()
        out, talked, why = b"", [], []
        for line in vm.stdout:
            out += line
            if b"VSOCK READY" in line:
                try:
                    talk(path, vm, talked)
                except Exception as e:
                    why.append(str(e))
                    vm.kill()
        vm.wait()
        killer.cancel()
    out = out.decode("utf-8", "replace")
    check(not why, "%s\n%s" % (why, out[-1000:]))
    check("VSOCK REFUSED ECONNRESET" in out and "VSOCK CALL %d bytes back" % (MIB << 20) in out, out[-1500:])
    want = bytes(byte_at(i) for i in range(3 << 20))
    check(poured.came == want, "what was sent before the close: %d bytes" % len(poured.came))
    check(talked and "TEST GUEST: PASS" in out and vm.returncode == 0, "no clean end:\n" + out[-1500:])
    check(not os.path.exists(path), "its socket is still there")

def old(d):
    with open(os.path.join(d, "old.vmx"), "w") as f:
        f.write(OLD)
    return [os.path.join(d, "old.vmx")]

main([("VMCI with DMA: %d MiB both ways, by guest and by host" % MIB, lambda: sockets(["--persona", "vmware"])),
      ("VMCI by ports, as hardware 13 has it: the same", lambda: sockets([], old)),
      ("virtio: the same", lambda: sockets([]))])
