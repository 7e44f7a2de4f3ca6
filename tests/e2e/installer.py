"""What does an installer type? Commands on a terminal of their own, read and answered as a person would."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sys
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path

from shared.texts import Language, text

_QUIET_S = 0.4  # nothing more is printed and the cursor waits behind text: it is our turn
_PATIENCE_S = 90.0  # the slowest command seen takes a tenth of it
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")
_USER = "admin"  # what the prompt offers, and what these cameras have
_COMMANDS = Path(sys.executable).parent


@dataclass
class Tally:
    """What was asked of the person, from the first command on."""

    commands: list[str] = field(default_factory=list)
    confirmations: int = 0  # Enter
    names: int = 0  # a user name
    passwords: list[str] = field(default_factory=list)  # whose
    other: list[str] = field(default_factory=list)  # questions this person has no answer to
    keys: int = 0

    @property
    def questions(self) -> int:
        return self.confirmations + self.names + len(self.passwords) + len(self.other)


class Installer:
    """Knows each camera's address and password by heart, and types at a terminal of 80 columns."""

    def __init__(self, environment: dict[str, str], passwords: dict[str, str]) -> None:
        """`passwords`: by address."""
        self._environment = os.environ | environment | {"TERM": "xterm", "COLUMNS": "80", "LINES": "40"}
        self._environment["ANNINH_LANGUAGE"] = Language.VI
        self._passwords = passwords
        self.tally = Tally()

    def type(self, line: str) -> Session:
        """Type a command; the caller reads it to its end, or leaves it running."""
        self.tally.commands.append(line)
        self.tally.keys += len(line) + 1
        return Session(line, self._environment)

    def do(self, line: str) -> str:
        """Type a command, answer what it asks, return all it said. It must end well."""
        session = self.type(line)
        while session.read_until_asked():
            session.send(self._answer(session))
        assert session.exit_code == 0, session.said
        return session.said

    def _answer(self, session: Session) -> str:
        """A password where nothing is echoed, no to another camera's, Enter to what is offered."""
        question = session.said.splitlines()[-1]
        if session.hides:
            address = self._spoken_of(session.said)
            self.tally.passwords.append(address)
            answer = self._passwords[address]
        elif question.startswith(text("cameras.ask-same", Language.VI, user=_USER)):
            self.tally.confirmations += 1
            answer = "" if self._same_password(self._spoken_of(session.said)) else "n"
        elif "[Y/n]" in question:
            self.tally.confirmations += 1
            answer = ""
        elif question.rstrip().endswith("]:"):
            self.tally.names += 1
            answer = ""
        else:
            self.tally.other.append(question)
            answer = ""
        self.tally.keys += len(answer) + 1
        return answer

    def _same_password(self, address: str) -> bool:
        before = self.tally.passwords[-1:]
        return [self._passwords[address]] == [self._passwords[other] for other in before]

    def _spoken_of(self, said: str) -> str:
        """Which camera is it about? The one mentioned last, as a reader would take it."""
        last = max(self._passwords, key=said.rfind)
        assert last in said, f"a password is asked for, and nobody knows which camera's:\n{said}"
        return last


class Session:
    """One command on a pseudo-terminal; it is the child's controlling one, as at a real desk."""

    def __init__(self, line: str, environment: dict[str, str]) -> None:
        name, *arguments = line.split()
        self.said = ""
        self.exit_code: int | None = None
        self._raw = b""
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:  # in the child
            program = str(_COMMANDS / name)
            os.execve(program, [program, *arguments], environment)
        termios.tcsetwinsize(self._terminal, (40, 80))

    @property
    def hides(self) -> bool:
        """Is what we type not shown?"""
        return not termios.tcgetattr(self._terminal)[3] & termios.ECHO

    def send(self, answer: str) -> None:
        os.write(self._terminal, answer.encode() + b"\n")
        self._read(0.05)

    def read_until_asked(self) -> bool:
        """True when a question waits for us, False when the command has ended."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline_s:
            got = self._read(_QUIET_S)
            if self.exit_code is not None:
                return False
            if not got and self.said.rstrip(" ").endswith((":", "?")):
                return True
        self.interrupt()
        raise AssertionError(f"neither a question nor an end:\n{self.said}")

    def interrupt(self) -> int:
        """Ctrl-C, and read to the end; return the exit code."""
        os.kill(self._pid, signal.SIGINT)
        deadline_s = time.monotonic() + _PATIENCE_S
        while self.exit_code is None:
            self._read(_QUIET_S)
            if time.monotonic() > deadline_s:
                os.kill(self._pid, signal.SIGKILL)
        return self.exit_code

    def _read(self, quiet_s: float) -> bool:
        """Take in what comes until nothing does for so long; False when nothing came."""
        got = False
        while self.exit_code is None and select.select([self._terminal], [], [], quiet_s)[0]:
            try:
                self._raw += os.read(self._terminal, 65536)
                got = True
            except OSError:  # EIO: the child has closed its side
                _, status = os.waitpid(self._pid, 0)
                self.exit_code = os.waitstatus_to_exitcode(status)
                os.close(self._terminal)
        self.said = _CONTROL.sub("", self._raw.decode("utf-8", "replace"))
        return got
