#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every network card in a stock kernel: an address by DHCP, bytes in and back out, compared.

MIMIC_NIC_MIB (16; with MIMIC_LONG set 200): how much is sent each way.
"""
import hashlib, http.server, os, random, socketserver, subprocess, threading
from vmtest import CACHE, SOURCE, check, main, run

MIB = int(os.environ.get("MIMIC_NIC_MIB", "200" if os.environ.get("MIMIC_LONG") else "16"))

class Page(http.server.BaseHTTPRequestHandler):
    body = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *args):
        pass

class Back(socketserver.BaseRequestHandler):
    came = []

    def handle(self):
        sum = hashlib.md5()
        while part := self.request.recv(1 << 16):
            sum.update(part)
        self.came.append(sum.hexdigest())

def serve(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server

def card(nic):
    kernel, initrd = subprocess.run(["sh", os.path.join(SOURCE, "tests", "guest", "initrd.sh"), CACHE],
                                    check=True, stdout=subprocess.PIPE).stdout.decode().split()[-2:]
    Page.body, Back.came = random.Random(nic).randbytes(MIB << 20), []
    page = serve(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page))
    back = serve(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Back))
    try:
        code, out = run(["run", "--quiet", "--kernel", kernel, "--initrd", initrd, "--memory", str(512 + 2 * MIB),
                         "--console", "serial", "--no-reboot", "--nic", nic, "--append",
                         "console=ttyS0 quiet mimic.test=net mimic.back=%d "
                         "mimic.url=http://10.0.2.2:%d/" %
                         (back.server_address[1], page.server_address[1])], 300 + 2 * MIB)
    finally:
        page.shutdown()
        back.shutdown()
    sum = hashlib.md5(Page.body).hexdigest()
    check("10.0.2.15/24" in out, "no address:\n" + out[-1500:])
    check("PAGE " + sum in out, "what came in differs:\n" + out[-1500:])
    check(Back.came == [sum], "what was sent back differs")
    check("TEST GUEST: PASS" in out and code == 0, "no clean end:\n" + out[-1500:])

main([(nic + ": %d MiB in and out" % MIB, lambda nic=nic: card(nic))
      for nic in ("vmxnet3", "e1000", "e1000e", "pcnet", "virtio_net")])
