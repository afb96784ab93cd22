"""Forking the driver's process: the pipes between it and its parent, and how it begins and ends.

What goes through the pipes is builtin types here; driver/messages says what they mean.
"""

import marshal
import os
from collections.abc import Callable, Iterator
from mmap import mmap
from typing import Any, NoReturn

from vkmapctl.errors import ExitCode, VkmapError
from vkmapctl.inside import current_call

EXIT = "exit"  # the last call of a process that ends as it should
BROKEN = 70  # exit status of a process that could not even report its error
_LENGTH = 4  # bytes that say how long a message is


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
    requests, replies, output = os.pipe(), os.pipe(), os.pipe()
    calls, parent = current_call.new_page(), os.getpid()
    pid = os.fork()
    if pid == 0:
        current_call.write_to(calls)
        os.dup2(output[1], 1)
        os.dup2(output[1], 2)
        for fd in (requests[1], replies[0], *output):
            os.close(fd)
        _live(serve, Channel(requests[0], replies[1]), parent)
    for fd in (requests[0], replies[1], output[1]):
        os.close(fd)
    return Started(pid, Channel(replies[0], requests[1]), output[0], calls)


def _live(serve: Callable[[Channel], None], channel: Channel, parent: int) -> NoReturn:
    """All that the driver's process does. Never returns: no cleanup of the parent's Python may run in it.

    It ends as a C program does, so that a driver's destructors and exit handlers run while the parent looks on.
    """
    try:
        from vkmapctl.inside import process

        os.setpgid(0, 0)  # a driver may leave processes behind, which can then be ended with this one
        process.die_with_parent()
        if os.getppid() != parent:
            os._exit(BROKEN)
        process.default_signals()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        _serve_or_refuse(serve, channel)
        current_call.at(EXIT)
        process.exit(0)
    finally:
        os._exit(BROKEN)


def _serve_or_refuse(serve: Callable[[Channel], None], channel: Channel) -> None:
    """Reports an error of ours by message; a bug's traceback goes there as hints."""
    try:
        serve(channel)
    except VkmapError as error:
        failed = {"call": getattr(error, "call", ""), "result": getattr(error, "result", "")}
        _refuse(channel, error.message, error.hints, error.exit_code, **failed)
    except Exception:
        import traceback

        hints = tuple(line for line in traceback.format_exc().splitlines() if line.strip())
        _refuse(channel, "internal error in the driver process", hints, ExitCode.INTERNAL)


def _refuse(
    channel: Channel, message: str, hints: tuple[str, ...], exit_code: int, call: str = "", result: str = ""
) -> None:
    """Sends a messages.Refused."""
    refused = {"message": message, "hints": hints, "exit_code": exit_code, "call": call, "result": result}
    channel.send({"type": "Refused", **refused})
