"""Running somebody's program: started when one is ready for it, followed with all its children, and ended."""

import ctypes
import os
import re
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from vkmapctl.errors import UsageProblem

_PR_SET_CHILD_SUBREAPER = 36
OWN_BITS = 64 if sys.maxsize > 1 << 32 else 32  # of this process's pointers
_ELF_BITS = {b"\x7fELF\x01": 32, b"\x7fELF\x02": 64}  # by the magic and the class (elf(5))
_GRACE_SECONDS = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(NamedTuple):
    """How the program ended. status: as os.waitpid has it. cpu_seconds, page_faults: of all its processes."""

    status: int
    seconds: float
    cpu_seconds: float
    page_faults: int

    @property
    def exit_code(self) -> int | None:
        """None where a signal ended it."""
        return os.WEXITSTATUS(self.status) if os.WIFEXITED(self.status) else None

    @property
    def signal(self) -> str:
        """The signal that ended it, such as SIGKILL, or nothing."""
        return signal.Signals(os.WTERMSIG(self.status)).name if os.WIFSIGNALED(self.status) else ""


class Program:
    """A program that runs in this one's terminal, with its standard streams.

    prepare: called with its process id before it is executed. Raises UsageProblem where it cannot be.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        prepare: Callable[[int], None] = lambda pid: None,
    ) -> None:
        self.path = find(arguments[0], environment)
        self._others = frozenset(_children_of(os.getpid()))  # this process's own, which are no matter of the program's
        _adopt_orphans(True)
        self._signals = 0
        go_read, go_write = os.pipe()
        error_read, error_write = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            _execute(self.path, arguments, environment, go_read, go_write, error_write)
        os.close(go_read)
        os.close(error_write)
        try:
            prepare(self.pid)
        finally:
            os.close(go_write)  # it begins now
        self._begun = time.monotonic()
        with os.fdopen(error_read, "rb") as errors:
            refused = errors.read()
        if refused:
            os.waitpid(self.pid, 0)
            raise UsageProblem(f"{arguments[0]} cannot be executed: {os.strerror(int(refused))}")
        self._ended: Ended | None = None
        self._cpu_seconds, self._page_faults = 0.0, 0
        self.running = True  # it, or some process that it left behind

    def poll(self) -> Ended | None:
        """Takes note of processes that have ended; how the program itself ended, None while it runs."""
        for pid in self._children():
            try:
                ended, status, usage = os.wait4(pid, os.WNOHANG)
            except ChildProcessError:
                continue
            if not ended:
                continue
            self._cpu_seconds += usage.ru_utime + usage.ru_stime
            self._page_faults += usage.ru_minflt + usage.ru_majflt
            if pid == self.pid:
                self._ended = Ended(status, time.monotonic() - self._begun, 0.0, 0)
        if self.running and not self._children():
            self.running = False
            _adopt_orphans(False)
        return self._ended and self._ended._replace(cpu_seconds=self._cpu_seconds, page_faults=self._page_faults)

    def _children(self) -> list[int]:
        """The program, and what it has left behind: children of this process that were none before."""
        own = [self.pid] if self._ended is None else []
        return own + [pid for pid in _children_of(os.getpid()) if pid not in self._others and pid != self.pid]

    def tree(self) -> list[int]:
        """The process ids of the program and its children, as far as they still run."""
        found, left = [], self._children()
        while left:
            pid = left.pop()
            found.append(pid)
            left += _children_of(pid)
        return found

    def files(self) -> set[str]:
        """The files that its processes have mapped."""
        found: set[str] = set()
        for pid in self.tree():
            with suppress(OSError):
                lines = Path(f"/proc/{pid}/maps").read_bytes().decode("utf-8", "replace").splitlines()
                found |= {line.split(maxsplit=5)[5] for line in lines if line.count(" ") > 4 and "/" in line}
        return found

    def end(self) -> None:
        """Asks every process of it to end, and kills what has not after five seconds."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.tree():
                with suppress(OSError):
                    os.kill(pid, number)
            until = time.monotonic() + _GRACE_SECONDS
            while self.running and time.monotonic() < until:
                self.poll()
                time.sleep(0.01)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Meanwhile a signal to this process is the program's: the terminal has sent it Ctrl-C already, the rest is
        passed on, and the second one ends it."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        before = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}
        for number in before:
            signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 1:
            number = signal.SIGKILL
        elif number == signal.SIGINT and _in_terminal():
            return
        for pid in self.tree():
            with suppress(OSError):
                os.kill(pid, number)


def _adopt_orphans(wanted: bool) -> None:
    """Whether a process whose parent has ended becomes this one's child."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0)


def _execute(
    path: str, arguments: Sequence[str], environment: Mapping[str, str], go: int, begin: int, errors: int
) -> None:
    """In the child: waits until the parent is ready, then is the program."""
    os.close(begin)
    try:
        for number in (*_SIGNALS, signal.SIGPIPE, signal.SIGXFSZ):
            if signal.getsignal(number) != signal.SIG_IGN or number in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
        os.read(go, 1)
        os.execve(path, list(arguments), dict(environment))
    except OSError as error:
        os.write(errors, str(error.errno).encode())
    finally:
        os._exit(127)


def find(name: str, environment: Mapping[str, str]) -> str:
    """The file that the shell would execute. Raises UsageProblem where there is none."""
    if "/" in name:
        candidates = [name]
    else:
        candidates = [os.path.join(one or ".", name) for one in environment.get("PATH", os.defpath).split(":")]
    for path in candidates:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    if "/" in name and os.path.exists(name):
        raise UsageProblem(f"{name} cannot be executed", "it is no file, or not marked as executable: chmod +x")
    raise UsageProblem(f"there is no program {name}", "give it as the shell would find it: vkmapctl record -- PROGRAM")


def bits(path: str) -> int | None:
    """32 or 64, as an ELF program's pointers have them; None for any other file."""
    try:
        with open(path, "rb") as file:
            return _ELF_BITS.get(file.read(5))
    except OSError:
        return None


def is_privileged(path: str) -> bool:
    """Whether executing the file gives a user more rights, so that libraries ignore what the environment says."""
    try:
        if os.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID):
            return os.getuid() != 0
        return "security.capability" in os.listxattr(path)
    except OSError:
        return False


def _children_of(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                found += map(int, re.findall(r"\d+", Path(f"/proc/{pid}/task/{thread}/children").read_text()))
    return found


def _in_terminal() -> bool:
    """Whether this process is in the foreground of a terminal, which then has told the program too."""
    try:
        with open("/dev/tty", "rb", buffering=0) as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
