"""A forked process, the pipes to it, and its life up to the first request."""

import marshal
import os
import struct
from collections.abc import Callable, Iterator
from mmap import mmap
from typing import Any, NoReturn

from vkmapctl.errors import ExitCode, VkmapError
from vkmapctl.inside import whereabouts

_LENGTH = struct.Struct("<I")


class Forked:
    """A forked child from the parent's side: its id, the pipes to and from it, and the page where it says its calls."""

    def __init__(self, pid: int, replies: int, requests: int, output: int, calls: mmap) -> None:
        self.pid, self.replies, self.requests, self.output, self.calls = pid, replies, requests, output, calls


class Parent:
    """The same pipes from the child's side: what it prints goes there already."""

    def __init__(self, pid: int, requests: int, replies: int) -> None:
        self.pid, self.requests, self.replies = pid, requests, replies


def fork() -> Forked | Parent:
    """Forks with a pipe each way and one for the child's standard output and error; returns in both processes."""
    requests, replies, output = os.pipe(), os.pipe(), os.pipe()
    calls = whereabouts.page()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        whereabouts.take(calls)
        os.dup2(output[1], 1)
        os.dup2(output[1], 2)
        for fd in (requests[1], replies[0], *output):
            os.close(fd)
        return Parent(parent, requests[0], replies[1])
    for fd in (requests[0], replies[1], output[1]):
        os.close(fd)
    return Forked(pid, replies[0], requests[1], output[0], calls)


class Channel:
    """Messages over a pair of pipes, in builtin types: what they mean is driver/protocol's, which a child may lack.

    marshal serves because both ends are this process and its own fork.
    """

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd, self._write_fd = read_fd, write_fd
        self._buffer = b""

    def send(self, message: dict[str, Any]) -> None:
        """Waits until all of it is in the pipe. Raises BrokenPipeError where nobody reads any more."""
        data = marshal.dumps(message)
        data = _LENGTH.pack(len(data)) + data
        while data:
            data = data[os.write(self._write_fd, data) :]

    def feed(self) -> bool:
        """Takes in what has arrived; False at the end of the stream. Blocks while there is nothing."""
        data = os.read(self.read_fd, 1 << 16)
        self._buffer += data
        return bool(data)

    def take(self) -> Any:
        """The next whole message, None if none has arrived."""
        if len(self._buffer) < _LENGTH.size:
            return None
        end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
        if len(self._buffer) < end:
            return None
        message, self._buffer = self._buffer[_LENGTH.size : end], self._buffer[end:]
        return marshal.loads(message)

    def requests(self) -> Iterator[Any]:
        """In the child: what the parent asks, until it closes the pipe."""
        while True:
            while (message := self.take()) is not None:
                yield message
            if not self.feed():
                return

    def close(self) -> None:
        os.close(self.read_fd)
        os.close(self._write_fd)


def live(serve: Callable[[Channel], None], side: Parent) -> NoReturn:
    """The child's life. Never returns: no cleanup of the parent's may run in the child."""
    status = 70
    try:
        from vkmapctl.inside import process

        process.die_with_parent()
        if os.getppid() != side.pid:
            os._exit(status)
        process.default_signals()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        _serve_or_refuse(serve, Channel(side.requests, side.replies))
        status = 0
    finally:
        os._exit(status)


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
