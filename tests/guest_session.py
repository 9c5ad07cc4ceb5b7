# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest at the end of mimic's serial console: start it, wait for text, type, read answers."""
import os, pty, re, select, signal, subprocess, sys, termios, time

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>78cDEM]|\x1b\][^\x07]*\x07")

class Ended(Exception):
    pass

class Session:
    """argv runs on a pseudo-terminal; everything it prints is kept in .text."""
    def __init__(self, argv, show=None, env=None):
        self.text, self.at, self.show, self.argv = "", 0, show, argv
        pid, fd = pty.fork()
        if pid == 0:
            mode = termios.tcgetattr(0)
            mode[3] &= ~termios.ECHO  # what is typed before mimic takes the terminal is no answer
            termios.tcsetattr(0, termios.TCSANOW, mode)
            os.execvpe(argv[0], argv, dict(os.environ, TERM="dumb", **(env or {})))
        self.pid, self.fd, self.status = pid, fd, None

    def _read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        if not data:
            raise Ended("mimic ended; its last lines:\n" + self.text[-1500:])
        piece = ESCAPES.sub("", data.decode("utf-8", "replace")).replace("\r", "")
        self.text += piece
        if self.show:
            self.show.write(piece)
            self.show.flush()
        return True

    def expect(self, pattern, seconds):
        """Wait until the text after the last match holds the pattern; the match object."""
        end = time.time() + seconds
        while True:
            m = re.compile(pattern, re.M).search(self.text, self.at)
            if m:
                self.at = m.end()
                return m
            left = end - time.time()
            if left <= 0:
                raise TimeoutError("no %r within %d s; the last lines:\n%s" % (pattern, seconds, self.text[-1500:]))
            self._read(min(left, 1))

    def send(self, line):
        os.write(self.fd, line.encode() + b"\n")

    def shell(self, command, seconds=60):
        """One command at a root shell's prompt: what it printed, and it must succeed."""
        mark = "=%d." % (time.time_ns() % 10 ** 9)
        start = self.at
        self.send("%s; echo %s$?=" % (command, mark))
        # an echo of the command line has a $ where the status stands
        m = self.expect(re.escape(mark) + r"(\d+)=\n", seconds)
        out = self.text[start:m.start()].strip()
        if m.group(1) != "0":
            raise AssertionError("%s: exit status %s\n%s" % (command, m.group(1), out))
        return out

    def login(self, seconds, user="root", password="mimic"):
        self.expect(r"login: ?$", seconds)
        self.send(user)
        self.expect(r"[Pp]assword: ?$", 60)
        self.send(password)
        self.expect(r"[#$] ?$", 120)
        self.shell("stty -echo; bind 'set enable-bracketed-paste off' 2>/dev/null; PS1=; PS2=; dmesg -n 1")

    def wait(self, seconds):
        """Until mimic has ended: its exit code."""
        end = time.time() + seconds
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                break
            if time.time() > end:
                self.kill()
                raise TimeoutError("mimic did not end within %d s; the last lines:\n%s" % (seconds, self.text[-1500:]))
            try:
                self._read(0.2)
            except Ended:
                time.sleep(0.05)
        return self.status

    def kill(self, sig=signal.SIGKILL):
        if self.status is None:
            os.kill(self.pid, sig)
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
