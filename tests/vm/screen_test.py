#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What Debian's kernel draws through its vmwgfx driver is, pixel by pixel, what mimic screen saves."""
import json, os, struct, subprocess, zlib
from vmtest import CACHE, MIMIC, SOURCE, Session, check, main, scratch

MODULES = "drm ttm drm_kms_helper drm_ttm_helper vmwgfx"
HOT_X, HOT_Y = 4, 8

def initrd(d):
    """The test guest's, and an archive with the program that draws after it."""
    kernel, plain = subprocess.run(["sh", os.path.join(SOURCE, "tests", "guest", "initrd.sh"), CACHE],
                                   check=True, stdout=subprocess.PIPE).stdout.decode().split()[-2:]
    subprocess.run(["cp", os.path.join(os.path.dirname(MIMIC), "screen_guest"), os.path.join(d, "screen")], check=True)
    subprocess.run("cd '%s' && echo screen | cpio -o -H newc --quiet | gzip -1 | cat '%s' - >initrd" % (d, plain),
                   shell=True, check=True)
    return kernel, os.path.join(d, "initrd")

def png(path):
    """(width, height, lines of bytes) of a PNG of true colour whose lines have no filter."""
    data, at, packed = open(path, "rb").read(), 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height = struct.unpack(">II", body[:8])
        elif kind == b"IDAT":
            packed += body
        at += 12 + size
    raw, line = zlib.decompress(packed), 1 + 3 * width
    return width, height, [raw[y * line + 1:(y + 1) * line] for y in range(height)]

def pattern(width, height):
    """As the guest's program draws it."""
    return [bytearray(b for x in range(width) for b in (x * 7 & 255, y * 5 & 255, (x ^ y) & 255)) for y in range(height)]

def invert(lines, x, y, width, height):
    for row in range(y, y + height):
        for i in range(3 * x, 3 * (x + width)):
            lines[row][i] ^= 255

def point(lines, x, y):
    """The guest's pointer: 16 by 16 opaque, the rest of its upper half lets half of it through."""
    for row in range(32):
        for column in range(64):
            px, py = x - HOT_X + column, y - HOT_Y + row
            if not (0 <= px < len(lines[0]) // 3 and 0 <= py < len(lines)):
                continue
            over, alpha = ((0x20, 0x40, 0xc0), 255) if row < 16 and column < 16 else ((0x80, 0, 0x40), 128)
            for i in range(3):
                under = lines[py][3 * px + i] * (255 - alpha) // 255
                lines[py][3 * px + i] = min(255, over[i] + under)

def same(shot, lines, what):
    width, height, got = shot
    check((width, height) == (len(lines[0]) // 3, len(lines)), "%s: the picture is %d by %d" % (what, width, height))
    wrong = [(x, y) for y in range(height) if got[y] != lines[y]
             for x in range(width) if got[y][3 * x:3 * x + 3] != lines[y][3 * x:3 * x + 3]]
    check(not wrong, "%s: %d pixels differ, first %s" % (what, len(wrong), wrong[:1]))

class Guest:
    def __init__(self, d, *more):
        kernel, image = initrd(d)
        own = {"XDG_STATE_HOME": d, "XDG_RUNTIME_DIR": d}
        self.d, self.env = d, dict(os.environ, **own)
        self.s = Session([MIMIC, "run", "--quiet", "--kernel", kernel, "--initrd", image, "--memory", "512",
                          "--persona", "vmware", "--video", "svga", "--console", "serial", "--no-reboot",
                          "--append", "console=ttyS0 quiet mimic.test=shell"] + list(more), env=own)
        self.s.expect(r"TEST GUEST: shell", 180)
        self.s.send("stty -echo; for m in %s; do insmod /modules/$m.ko; done; /screen; exit" % MODULES)
        self.s.expect(r"SCREEN READY", 120)

    def draw(self, line, answer):
        self.s.send(line)
        self.s.expect(answer, 60)

    def call(self, *args):
        return subprocess.run([MIMIC] + list(args), env=self.env, check=True, stdout=subprocess.PIPE).stdout

    def shot(self):
        path = os.path.join(self.d, "shot.png")
        name = json.loads(self.call("ps", "--json"))[0]["name"]
        size = json.loads(self.call("screen", name, path, "--json"))
        shot = png(path)
        check(shot[:2] == (size["width"], size["height"]), "its size is not what was said of it")
        return shot

    def end(self):
        self.s.send("\x04")
        self.s.wait(120)

def drawn_is_shown():
    with scratch() as d:
        g = Guest(d)
        check(g.shot()[:2] == (1280, 800) or g.shot()[:2] == (1024, 768), "no console of the kernel's")
        g.draw("show 800 600", r"SHOWN 800 600")
        lines = pattern(800, 600)
        same(g.shot(), lines, "800 by 600")
        g.draw("paint 100 50 300 77", r"PAINTED")
        invert(lines, 100, 50, 300, 77)
        same(g.shot(), lines, "a part drawn again")
        g.draw("cursor 120 40", r"POINTED")
        seen = [bytearray(l) for l in lines]
        point(seen, 120, 40)
        same(g.shot(), seen, "with a pointer")
        g.draw("layout 1152 720", r"SHOWN 1152 720") # as the tools tell the driver of a new size
        shot = g.shot()
        check(shot[:2] == (1152, 720), "the picture is %d by %d" % shot[:2])
        g.end()

main([("vmwgfx: what is drawn is shown, in every size", drawn_is_shown)])
