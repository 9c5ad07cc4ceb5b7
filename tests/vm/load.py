# SPDX-License-Identifier: GPL-2.0-or-later
"""Work for a guest's disk and network, with every byte compared; guest: a logged-in Session."""
import hashlib, http.server, random, threading
from vmtest import check

big = b""
uploads = {}

class Host(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(big)))
        self.end_headers()
        self.wfile.write(big)

    def do_POST(self):
        h, left = hashlib.md5(), int(self.headers["Content-Length"])
        while left:
            data = self.rfile.read(min(left, 1 << 16))
            h.update(data)
            left -= len(data)
        uploads[self.path] = h.hexdigest()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *a):
        pass

def disk(guest):
    guest.shell("dd if=/dev/urandom of=/root/a bs=1M count=48 2>/dev/null; sync; cp /root/a /root/b; sync; "
                "echo 3 >/proc/sys/vm/drop_caches; cmp /root/a /root/b", 300)
    guest.shell("for i in 1 2 3 4; do (dd if=/root/a of=/root/c$i bs=4k conv=fsync 2>/dev/null) & done; wait; "
                "echo 3 >/proc/sys/vm/drop_caches; for i in 1 2 3 4; do cmp /root/a /root/c$i || exit 1; done; "
                "rm /root/c? /root/b", 600)

def address(guest):
    guest.shell("for i in $(seq 60); do ip -4 -br addr show scope global | grep -q 10.0.2.15 && break; sleep 1; done; "
                "ip -4 -br addr show scope global | grep -q 10.0.2.15", 120)

def network(guest, mib=64):
    global big
    big = random.Random(1).randbytes(mib << 20)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = "http://10.0.2.2:%d" % server.server_port
    out = guest.shell("wget -qO /root/n %s/big && md5sum </root/n" % url, 300 + mib)
    check(hashlib.md5(big).hexdigest() in out, "what came down differs: " + out)
    guest.shell("wget -qO /dev/null --post-file=/root/n %s/up && rm /root/n" % url, 300 + mib)
    check(uploads.pop("/up", None) == hashlib.md5(big).hexdigest(), "what went up differs")
    server.shutdown()
