#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Saving a VM in the middle of its network's work, and restoring it: each card's rings go on, all
that arrives whole is right.  Connections to the host end with the process that held them: the
guest's programs are told so (a reset), and new ones work.

MIMIC_SAVE_ROUNDS: how often each is saved (2).  e1000e is a long row (MIMIC_LONG)."""
import hashlib, http.server, os, random, socketserver, subprocess, threading, time
from vmtest import CACHE, MIMIC, SOURCE, Session, Skip, check, main, scratch

ROUNDS = int(os.environ.get("MIMIC_SAVE_ROUNDS", "2"))
BODY = random.Random(6).randbytes(12 << 20)
SUM = hashlib.md5(BODY).hexdigest()
WORK = r"""
good=0; cut=0
while :; do
  if timeout 30 wget -q -O /tmp/page $1; then
    [ "$(md5sum </tmp/page)" = "$3  -" ] && good=$((good+1)) || echo "page $good" >>/tmp/bad
    timeout 30 nc 10.0.2.2 $2 </tmp/page >/dev/null 2>&1
  else
    cut=$((cut+1))
  fi
  echo "$good $cut" >/tmp/new; mv /tmp/new /tmp/count
done
"""

class Page(http.server.BaseHTTPRequestHandler):
    sent = 0

    def do_GET(self):
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            for i in range(0, len(BODY), 1 << 16):
                self.wfile.write(BODY[i:i + (1 << 16)])
                Page.sent += 1 << 16
        except OSError:
            pass  # its VM was saved

    def log_message(self, *args):
        pass

class Back(socketserver.BaseRequestHandler):
    whole, wrong, cut = 0, 0, 0

    def handle(self):
        sum, n = hashlib.md5(), 0
        try:
            while part := self.request.recv(1 << 16):
                sum.update(part)
                n += len(part)
                Page.sent += len(part)
        except OSError:
            pass
        if n < len(BODY):
            Back.cut += 1
        elif sum.hexdigest() == SUM:
            Back.whole += 1
        else:
            Back.wrong += 1

def serve(server):
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server

def start(nic, page, back, env):
    kernel, initrd = subprocess.run(["sh", os.path.join(SOURCE, "tests", "guest", "initrd.sh"), CACHE],
                                    check=True, stdout=subprocess.PIPE).stdout.decode().split()[-2:]
    s = Session([MIMIC, "run", "--quiet", "--console", "serial", "--memory", "256", "--nic", nic, "--kernel", kernel,
                 "--initrd", initrd, "--append", "console=ttyS0 quiet"], env=env)
    s.expect(r"# ?$", 300)
    s.shell("stty -echo; PS1=; PS2=")
    s.shell("until [ -e /sys/class/net/eth0 ]; do usleep 100000; done; ip link set eth0 up; "
            "ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2")
    s.send("cat >/tmp/work.sh <<'END'\n" + WORK.strip() + "\nEND")
    s.shell("(sh /tmp/work.sh http://10.0.2.2:%d/ %d %s >/dev/null 2>&1 &)" %
            (page.server_address[1], back.server_address[1], SUM))
    return s

def count(s):
    good, cut = s.shell("cat /tmp/count 2>/dev/null || echo 0 0").split()[-2:]
    return int(good), int(cut)

def in_the_middle():
    """Bytes are on their way."""
    before = Page.sent
    for _ in range(3000):
        if Page.sent > before + (1 << 18):
            return
        time.sleep(0.01)
    raise AssertionError("nothing moves on the network")

def goes_on(s):
    before = count(s)[0]
    for _ in range(120):
        if count(s)[0] > before + 1:
            return
        time.sleep(0.5)
    raise AssertionError("no page arrives any more: %s\n%s" % (s.shell("cat /tmp/count; ip link show eth0"),
                                                             s.shell("dmesg | tail -5")))

def card(nic):
    if nic == "e1000e" and not os.environ.get("MIMIC_LONG"):
        raise Skip("a long row: MIMIC_LONG=1")
    Back.whole = Back.wrong = Back.cut = 0
    page = serve(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page))
    back = serve(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Back))
    with scratch() as d:
        run = os.path.join(d, "run")
        os.mkdir(run, 0o700)
        env = {"XDG_RUNTIME_DIR": run, "XDG_STATE_HOME": d}
        s = start(nic, page, back, env)
        goes_on(s)
        for i in range(ROUNDS):
            time.sleep(random.random())
            in_the_middle()
            path = os.path.join(d, "saved%d" % i)
            subprocess.run([MIMIC, "save", "--quiet", str(s.pid), path], env=dict(os.environ, **env), check=True,
                           timeout=100)
            check(s.wait(60) == 0, "the saved VM's process")
            os.close(s.fd)
            s = Session([MIMIC, "restore", "--quiet", "--console", "serial", path], env=env)
            goes_on(s)
        good, cut = count(s)
        print("# %s: %d times; %d pages in whole, %d cut; %d sent back whole, %d cut" %
              (nic, ROUNDS, good, cut, Back.whole, Back.cut), flush=True)
        check(s.shell("cat /tmp/bad 2>/dev/null; true") == "", "wrong bytes came in")
        check(Back.wrong == 0 and Back.whole > 0, "wrong bytes went out")
        check(s.shell("cat /sys/class/net/eth0/statistics/rx_errors /sys/class/net/eth0/statistics/tx_errors").split()
              == ["0", "0"], "the card counts errors")
        check(s.shell("dmesg | grep -ciE 'timed out|call trace|unit hang' || true") == "0", s.shell("dmesg | tail -20"))
        s.kill()
    page.shutdown()
    back.shutdown()

main([(nic + ": saved while bytes move", lambda nic=nic: card(nic)) for nic in ("vmxnet3", "virtio_net", "e1000e")])
