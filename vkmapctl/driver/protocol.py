"""What a runner needs of the driver's process, and how that process may fail it: declared here, met by DriverProcess.

No process, pipe or signal is in here, so that a runner can be tested with a driver made of answers.
"""

from collections.abc import Iterator
from typing import Literal, Protocol, TypeVar

from vkmapctl.driver.messages import Described, Reply, Request
from vkmapctl.model.base import Note

ReplyT = TypeVar("ReplyT", bound=Reply)
DIED_AT_END = "died-at-end"  # of the warning that tells Died.at_end
KILLED = "killed-for-memory"  # of the warning in Died.notes
DeathKind = Literal["crashed", "hung", "out-of-memory"]
_WHAT = {
    "crashed": "the driver crashed",
    "hung": "the driver hung",
    "out-of-memory": "the driver's process ended",  # which is no fault of the driver's
}


class Died(Exception):
    """The process ended by itself, made no progress, or was killed by the kernel for memory.

    kind: `crashed`, `hung` or `out-of-memory`; output: what it printed last; call: what it was doing, if that is known.
    """

    def __init__(self, kind: DeathKind, how: str, output: str, call: str = "") -> None:
        super().__init__(how)
        self.kind, self.how, self.output, self.call = kind, how, output, call

    @property
    def where(self) -> str:
        """`killed by SIGSEGV in vkCreateDevice`."""
        return f"{self.how} in {self.call}" if self.call else self.how

    @property
    def what(self) -> str:
        """`the driver crashed`."""
        return _WHAT[self.kind]

    @property
    def at_end(self) -> str:
        """What is told of a driver that died in its own end."""
        return f"{self.what} when it was to end: {self.where}"

    @property
    def notes(self) -> tuple[Note, ...]:
        """What to do about it, of a process that was killed for memory."""
        if self.kind != "out-of-memory":
            return ()
        return (Note(KILLED, f"{self.how}: give it more, or let it take less; it says nothing about the driver"),)

    @property
    def said(self) -> str:
        """The last of what the process printed since it was asked, on one line."""
        return " / ".join(self.output.splitlines()[-3:])

    @property
    def told(self) -> str:
        """`where`, and what it said."""
        return f"{self.where}; it said: {self.said}" if self.said else self.where


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM reached the parent while it waited for the driver's process."""


class Driver(Protocol):
    """A process that holds the driver."""

    def describe(self) -> Described:
        """The devices: the first thing to ask. Raises VkmapError where the driver dies while they are listed."""

    def ask(self, request: Request, *, timeout: float | None = None) -> Iterator[Reply]:
        """Sends a request and yields the replies as they come; the caller knows which is the last.

        timeout: seconds without progress, for this request. Raises Died, Interrupted, or the VkmapError that the
        process refused with.
        """

    def answer(self, request: Request, kind: type[ReplyT]) -> ReplyT:
        """Sends a request and returns its one reply. Raises as `ask` does."""

    def said(self) -> str:
        """What the process has printed so far."""

    def end(self) -> None:
        """Lets the process destroy what is open, unload its driver and exit.

        Raises Died where it crashes or hangs on the way, Interrupted, or the VkmapError that it refused with.
        """

    def close(self, grace: float = ...) -> None:
        """Leaves no process behind; one that has not ended has `grace` seconds for it."""
