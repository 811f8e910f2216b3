"""A program on a terminal of its own: a pty, and a screen that understands what terminfo's vt100 and xterm say.

Only what curses sends to such terminals is known here; anything else is an error, so that nothing is drawn past the test.
"""
import errno
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

DEADLINE_S = float(os.environ.get("SF_DEADLINE_S", "30"))
SEQUENCE = re.compile(r"\x1b\[([?>]?)([0-9;]*)([A-Za-z@])|\x1b[()][AB0]|\x1b[=>78M]|\x1b\][^\x07]*\x07|\x1b[<c]")
COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"]
PLAIN = (None, False, False)  # colour, bold, reverse


class Screen:
    """Rows of cells: (character, (colour, bold, reverse))."""

    def __init__(self, rows, columns):
        self.attributes, self.row, self.column, self.pending, self.last = PLAIN, 0, 0, "", " "
        self.cells = []
        self.resize(rows, columns)
        self.top, self.alternate, self.inserting = 0, False, False

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.cells = [[(row[i] if i < len(row) else (" ", PLAIN)) for i in range(columns)] for row in (self.cells + [[]] * rows)[:rows]]
        self.row, self.column = min(self.row, rows - 1), min(self.column, columns - 1)
        self.top, self.bottom = 0, rows - 1

    def line(self, number):
        return "".join(cell[0] for cell in self.cells[number]).rstrip()

    def lines(self):
        return [self.line(i) for i in range(self.rows)]

    def text(self):
        return "\n".join(self.lines())

    def look(self, word, number=None):
        """(colour, bold, reverse) of the first character of a word on the screen, or on one of its rows."""
        for i in range(self.rows) if number is None else [number]:
            at = self.line(i).find(word)
            if at >= 0:
                return self.cells[i][at][1]
        raise AssertionError(f"no {word!r} on the screen:\n{self.text()}")

    def feed(self, text):
        text = self.pending + text
        at = 0
        while at < len(text):
            if text[at] != "\x1b":
                self.put(text[at])
                at += 1
                continue
            found = SEQUENCE.match(text, at)
            if not found:
                assert len(text) - at < 32, f"unknown to this terminal: {text[at:at + 32]!r}"
                break  # the rest is yet to come
            self.control(found)
            at = found.end()
        self.pending = text[at:]

    def put(self, char):
        if char == "\n":
            self.down()
        elif char == "\r":
            self.column = 0
        elif char == "\b":
            self.column = max(0, self.column - 1)
        elif char == "\t":
            self.column = min(self.columns - 1, self.column // 8 * 8 + 8)
        elif char >= " ":
            if self.column >= self.columns:
                self.column = 0
                self.down()
            if self.inserting:
                self.cells[self.row].insert(self.column, None)
                self.cells[self.row].pop()
            self.cells[self.row][self.column] = (char, self.attributes)
            self.last = char
            self.column += 1

    def down(self):
        if self.row == self.bottom:
            self.scroll(self.top, 1)
        else:
            self.row = min(self.rows - 1, self.row + 1)

    def scroll(self, top, count):
        region = self.cells[top:self.bottom + 1]
        blank = [[(" ", PLAIN)] * self.columns for _ in range(min(abs(count), len(region)))]
        self.cells[top:self.bottom + 1] = region[len(blank):] + blank if count > 0 else blank + region[:len(region) - len(blank)]

    def erase(self, row, begin, end):
        self.cells[row][begin:end] = [(" ", PLAIN)] * max(0, end - begin)

    def control(self, found):
        if found.group(0) == "\x1bM":
            if self.row == self.top:
                self.scroll(self.top, -1)
            else:
                self.row -= 1
        if not found.group(3):
            return
        private, kind = found.group(1), found.group(3)
        numbers = [int(n) if n else 0 for n in found.group(2).split(";")]
        n = max(1, numbers[0])
        if private:
            if 1049 in numbers:
                self.alternate = kind == "h"
            return
        if kind != "b":
            self.column = min(self.column, self.columns - 1)
        if kind == "m":
            self.style(numbers)
        elif kind in "Hf":
            self.row, self.column = min(n, self.rows) - 1, min(max(1, (numbers + [1])[1]), self.columns) - 1
        elif kind == "A":
            self.row = max(0, self.row - n)
        elif kind == "B":
            self.row = min(self.rows - 1, self.row + n)
        elif kind == "C":
            self.column = min(self.columns - 1, self.column + n)
        elif kind == "D":
            self.column = max(0, self.column - n)
        elif kind == "G":
            self.column = min(n, self.columns) - 1
        elif kind == "d":
            self.row = min(n, self.rows) - 1
        elif kind == "b":
            for _ in range(n):
                self.put(self.last)
        else:
            self.edit(kind, n, numbers)

    def edit(self, kind, n, numbers):
        row = self.cells[self.row]
        if kind == "K":
            self.erase(self.row, 0 if numbers[0] else self.column, self.columns if numbers[0] != 1 else self.column + 1)
        elif kind == "J":
            if numbers[0] == 0:
                self.erase(self.row, self.column, self.columns)
            for i in range(self.row + 1 if numbers[0] == 0 else 0, self.rows if numbers[0] != 1 else self.row):
                self.erase(i, 0, self.columns)
        elif kind == "X":
            self.erase(self.row, self.column, min(self.columns, self.column + n))
        elif kind == "P":
            self.cells[self.row] = row[:self.column] + row[self.column + n:] + [(" ", PLAIN)] * min(n, self.columns - self.column)
        elif kind == "@":
            self.cells[self.row] = (row[:self.column] + [(" ", PLAIN)] * n + row[self.column:])[:self.columns]
        elif kind in "LM":
            self.scroll(self.row, n if kind == "M" else -n)
        elif kind == "S":
            self.scroll(self.top, n)
        elif kind == "T":
            self.scroll(self.top, -n)
        elif kind == "r":
            self.top, self.bottom = n - 1, ((numbers + [0])[1] or self.rows) - 1
            self.row = self.column = 0
        elif kind == "Z":
            self.column = max(0, (self.column - 1) // 8 * 8)
        elif kind in "hl" and numbers == [4]:
            self.inserting = kind == "h"
        elif kind not in "lhtnc":
            raise AssertionError(f"unknown to this terminal: CSI {numbers} {kind}")

    def style(self, numbers):
        colour, bold, reverse = self.attributes
        for n in numbers:
            if n == 0:
                colour, bold, reverse = PLAIN
            elif n == 1:
                bold = True
            elif n == 22:
                bold = False
            elif n == 7:
                reverse = True
            elif n == 27:
                reverse = False
            elif 30 <= n <= 37:
                colour = COLOURS[n - 30]
            elif n == 39:
                colour = None
        self.attributes = (colour, bold, reverse)


class Terminal:
    """A program on a terminal. Its stderr is the terminal too, as in life."""

    def __init__(self, command, rows=24, columns=100, term="xterm", env=None):
        self.screen = Screen(rows, columns)
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.size(rows, columns)
        self.raw = ""
        environment = {**os.environ, "TERM": term, "LC_ALL": "C.UTF-8", **(env or {})}
        for name in ("LINES", "COLUMNS"):
            environment.pop(name, None)
        self.process = subprocess.Popen(command, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=environment, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        self.pump(0)
        self.screen.resize(rows, columns)
        self.size(rows, columns)

    def press(self, keys):
        os.write(self.master, keys.encode())

    def pump(self, wait_s):
        """Takes what the program has written; returns whether it may write more."""
        while select.select([self.master], [], [], wait_s)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError as error:
                assert error.errno == errno.EIO
                return False
            text = data.decode(errors="replace")
            self.raw += text
            self.screen.feed(text)
            wait_s = 0
        return True

    def until(self, condition, what, deadline_s=DEADLINE_S):
        """Until condition(screen) holds; returns its value."""
        end = time.monotonic() + deadline_s
        while True:
            value = condition(self.screen)
            if value:
                return value
            assert time.monotonic() < end, f"{what}: not within {deadline_s} s:\n{self.screen.text()}"
            if self.process.poll() is not None and not self.pump(0):
                raise AssertionError(f"{what}: it ended with {self.process.returncode}:\n{self.screen.text()}")
            self.pump(0.02)

    def shows(self, word, deadline_s=DEADLINE_S):
        self.until(lambda screen: word in screen.text(), f"shows {word!r}", deadline_s)

    def wait(self, deadline_s=DEADLINE_S):
        """The exit code."""
        end = time.monotonic() + deadline_s
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end:\n{self.screen.text()}"
            self.pump(0.02)
        self.pump(0)
        return self.process.returncode

    def is_restored(self):
        return termios.tcgetattr(self.slave) == self.before and not self.screen.alternate

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)
