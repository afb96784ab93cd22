"""Forking the driver's process: the pipes between it and its parent, and how it begins and ends.

What goes through the pipes is builtin types here; driver/messages says what they mean.
"""

import marshal
import os
import signal
from collections.abc import Callable, Iterator
from mmap import mmap
from typing import Any, NoReturn

from vkmapctl.errors import of_exception
from vkmapctl.inside import current_call

EXIT = "exit"  # the last call of a process that ends as it should
BROKEN = 70  # exit status of a process that could not even report its error
PARENTS_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # to end a run is the parent's to do
_LENGTH = 4  # bytes that say how long a message is
_requests: set[int] = set()  # the parent's ends of the pipes to its processes; no other must hold them open


class Channel:
    """Messages over a pair of pipes. marshal serves because both ends are one program and its own fork."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd, self._write_fd = read_fd, write_fd
        self._buffer = b""

    def send(self, message: dict[str, Any]) -> None:
        """Waits until all of it is in the pipe. Raises BrokenPipeError where nobody reads any more."""
        data = marshal.dumps(message)
        data = len(data).to_bytes(_LENGTH, "little") + data
        while data:
            data = data[os.write(self._write_fd, data) :]

    def feed(self) -> bool:
        """Takes in what has arrived; False at the end of the stream. Blocks while there is nothing."""
        data = os.read(self.read_fd, 1 << 16)
        self._buffer += data
        return bool(data)

    def take(self) -> Any:
        """The next whole message, None if none has arrived."""
        end = _LENGTH + int.from_bytes(self._buffer[:_LENGTH], "little")
        if len(self._buffer) < max(end, _LENGTH + 1):
            return None
        message, self._buffer = self._buffer[_LENGTH:end], self._buffer[end:]
        return marshal.loads(message)

    def requests(self) -> Iterator[Any]:
        """In the driver's process: what the parent asks, until it closes the pipe."""
        while True:
            while (message := self.take()) is not None:
                yield message
            if not self.feed():
                return

    def close_write(self) -> None:
        """The other side's requests end here."""
        if self._write_fd >= 0:
            _requests.discard(self._write_fd)
            os.close(self._write_fd)
            self._write_fd = -1

    def close(self) -> None:
        """Both directions."""
        self.close_write()
        os.close(self.read_fd)


class Started:
    """A driver's process that runs: its id, the channel to it, what it prints, and the page that names its calls."""

    def __init__(self, pid: int, channel: Channel, output: int, calls: mmap) -> None:
        self.pid, self.channel, self.output, self.calls = pid, channel, output, calls


def start(serve: Callable[[Channel], None]) -> Started:
    """Forks a process that runs serve(channel) and ends; its standard output and error go to a pipe of their own."""
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:  # inherited: how a process ended would be lost
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    requests, replies, output = os.pipe(), os.pipe(), os.pipe()
    calls, parent = current_call.new_page(), os.getpid()
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, PARENTS_SIGNALS)  # until the process ignores them
    try:
        pid = os.fork()
        if pid == 0:
            current_call.write_to(calls)
            os.dup2(output[1], 1)
            os.dup2(output[1], 2)
            for fd in (requests[1], replies[0], *output, *_requests):
                os.close(fd)
            _live(serve, Channel(requests[0], replies[1]), parent)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    for fd in (requests[0], replies[1], output[1]):
        os.close(fd)
    _requests.add(requests[1])
    return Started(pid, Channel(replies[0], requests[1]), output[0], calls)


def _live(serve: Callable[[Channel], None], channel: Channel, parent: int) -> NoReturn:
    """All that the driver's process does. Never returns: no cleanup of the parent's Python may run in it.

    It ends as a C program does, so that a driver's destructors and exit handlers run while the parent looks on.
    """
    try:
        from vkmapctl.inside import process

        try:
            _settle(parent)
            serve(channel)
        except Exception as error:
            _refuse(channel, error)
        current_call.at(EXIT)
        process.exit(0)
    finally:
        os._exit(BROKEN)


def _settle(parent: int) -> None:
    """Into a group of its own, where nothing that is meant for the parent ends it, but the parent's end does."""
    from vkmapctl.inside import process

    os.setpgid(0, 0)  # a driver may leave processes behind, which can then be ended with this one
    process.die_with_parent()
    if os.getppid() != parent:
        os._exit(BROKEN)
    for number in PARENTS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PARENTS_SIGNALS)
    read, write = os.pipe()
    os.dup2(read, 0)  # with nothing to read
    os.close(read)
    os.close(write)


def _refuse(channel: Channel, error: Exception) -> None:
    """Sends a messages.Refused."""
    told = of_exception(error)
    failed = {"call": getattr(told, "call", ""), "result": getattr(told, "result", "")}
    refused = {"message": told.message, "hints": told.hints, "exit_code": told.exit_code, **failed}
    channel.send({"type": "Refused", **refused})
