#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo: a Debian VM packaged for VMware, run as it is, from power-on to power-off.

usage: demo.py MIMIC PACKAGE

Shows the boot on this terminal, logs in, asks the guest what it sees, and powers it off.
"""
import http.server, sys, threading, time
from guest_session import Session

PAGE = b"Hello from the host: this page came through the guest's vmxnet3 card.\n"

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *a):
        pass

def main():
    mimic, package = sys.argv[1:3]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    t0 = time.time()
    print("$ mimic run --throwaway --console serial %s" % package, flush=True)
    s = Session([mimic, "run", "--throwaway", "--console", "serial", package], show=sys.stdout)
    s.login(600)
    booted = time.time() - t0
    s.show = None
    address = s.shell("for i in $(seq 60); do a=$(ip -4 -br addr show scope global); "
                      "[ -n \"$a\" ] && break; sleep 1; done; echo $a | tr -s ' '", 120)
    root = s.shell("findmnt -no SOURCE /")
    facts = [
        ("virtualisation", s.shell("systemd-detect-virt")),
        ("machine", s.shell("cat /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name | tr '\\n' ' '")),
        ("kernel", s.shell("uname -r")),
        ("processors", s.shell("nproc")),
        ("root disk", root + " by " + s.shell(
            "basename $(readlink -f /sys/block/sda/device/../../../driver)")),
        ("network", address.split()[0] + " by " + s.shell(
            "basename $(readlink -f /sys/class/net/%s/device/driver)" % address.split()[0])),
        ("address", address.split()[2]),
        ("a page fetched", s.shell("wget -qO- http://10.0.2.2:%d/" % server.server_port, 60)),
    ]
    s.send("systemctl poweroff")
    code = s.wait(180)
    print("\n\nWhat the guest says about itself:")
    for name, value in facts:
        print("  %-16s %s" % (name, value))
    print("  %-16s %.0f s to the login prompt, exit code %d after power off" % ("mimic", booted, code))
    want = {"virtualisation": "vmware", "root disk": "vmw_pvscsi", "network": "vmxnet3",
            "a page fetched": PAGE.decode().strip()}
    wrong = [n for n, v in facts if n in want and want[n] not in v]
    if wrong or code:
        print("not as it should be: " + ", ".join(wrong or ["exit code %d" % code]))
        return 1
    return 0

sys.exit(main())
