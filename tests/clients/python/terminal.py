"""`tarn sql` in a terminal: lines, completion, history, timing, pager, progress.

Takes `PROGRAM URL FOLDER`; the folder is the client's home. Needs nothing but Python.
"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

PROGRAM, URL, HOME = sys.argv[1:4]
LIMIT_S = 60
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


class Terminal:
    """A started client and what it has shown."""

    def __init__(self, **environment):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
            os.environ.update({"TERM": "xterm", "HOME": HOME, **environment})
            os.execv(PROGRAM, [PROGRAM, "sql", URL])
        self.until("tarn=>")

    def until(self, text):
        """Reads until a text is shown; returns what came since the last call."""
        seen, deadline = "", time.monotonic() + LIMIT_S
        while text not in seen:
            assert time.monotonic() < deadline, f"no {text!r} in {seen[-500:]!r}"
            if not select.select([self.terminal], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self.terminal, 65536)
            except OSError:
                data = b""
            assert data, f"the client has ended; no {text!r} in {seen!r}"
            if b"\x1b[6n" in data:  # where is the cursor?
                os.write(self.terminal, b"\x1b[1;1R")
            seen += ESCAPES.sub("", data.decode(errors="replace"))
        return seen

    def type(self, keys, text):
        os.write(self.terminal, keys.encode())
        return self.until(text)

    def end(self):
        os.write(self.terminal, b"\\q\r")
        deadline = time.monotonic() + LIMIT_S
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.terminal)
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, "the client does not end"
            try:
                if select.select([self.terminal], [], [], 0.05)[0]:
                    os.read(self.terminal, 65536)
            except OSError:
                pass


client = Terminal(PAGER="")
client.type("SELECT 40 +\r", "\n")
client.type("2 AS answer;\r", "(1 row")
print("ok - a statement over several lines")

shown = client.type("SELECT count(*) AS n FROM nat\t", "nation")
client.type(";\r", "25")
print("ok - names of tables are completed")

client.type("\x1b[A", "FROM nation")
client.type("\r", "25")
print("ok - the last statement comes back")

client.type("\\timing off\r", "iming is off")
shown = client.type("SELECT 'short' AS it;\r", "(1 row)")
assert " ms" not in shown, shown
client.type("\\timing on\r", "iming is on")
shown = client.type("SELECT 'timed' AS it;\r", "B)")
assert "1 row" in shown and "ms" in shown, shown
print("ok - the footer has rows, time and bytes")

client.type("SELECT count(*) AS n FROM lineitem a, lineitem b, lineitem c "
            "WHERE a.l_partkey + b.l_partkey < c.l_partkey;\r", "scanned")
client.type("\x03", "57014")
print("ok - long statements show how far they are, and Ctrl-C ends them")

client.type("SELECT nonsense;\r", "42703")
client.type("SELECT 'alive' AS is;\r", "(1 row")
print("ok - an error does not end the client")
assert client.end() == 0

history = Terminal(PAGER="")
history.type("\x12alive", "'alive' AS is")
history.type("\r", "(1 row")
print("ok - the history lasts")
assert history.end() == 0

paged = Terminal(PAGER="sed 's/^/paged: /'")
paged.type("SELECT x FROM generate_series(1, 500) t(x);\r", "paged:")
print("ok - long results go through the pager")
assert paged.end() == 0
