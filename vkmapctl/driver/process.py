"""A forked process that holds the driver, seen from the parent: messages, its end, and its last words.

The child shares anonymous memory with the parent, so nothing has to be named or cleaned up, and it dies with the
parent however that ends.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal, NoReturn

from vkmapctl.driver.messages import Describe, Described, Refused, Reply, Request, pack, reply_of
from vkmapctl.driver.protocol import Died, Interrupted, ReplyT
from vkmapctl.errors import DriverDied, refusal
from vkmapctl.inside import whereabouts
from vkmapctl.inside.fork import Channel, Parent, fork, live

_KEPT_OUTPUT = 4096
_GRACE_SECONDS = 2.0


class Interrupts:
    """Turns SIGINT and SIGTERM into a flag while the parent waits for a child."""

    def __init__(self) -> None:
        self.pending = False

    def _note(self, *_: object) -> None:
        self.pending = True

    @contextmanager
    def caught(self) -> Iterator["Interrupts"]:
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Child:
    """serve(channel) runs in the forked process; its standard output and error come here.

    timeout: seconds without progress after which it counts as hung.
    meanwhile: called once, while the first answer is awaited.
    """

    def __init__(
        self,
        serve: Callable[[Channel], None],
        *,
        timeout: float,
        interrupts: Interrupts,
        heartbeat: Callable[[], object] = lambda: None,
        on_tick: Callable[[], None] = lambda: None,
        meanwhile: Callable[[], object] | None = None,
    ) -> None:
        self._timeout, self._interrupts = timeout, interrupts
        self._heartbeat, self._on_tick = heartbeat, on_tick
        self._output, self._meanwhile = b"", meanwhile
        self._released = self._closed = False
        side = fork()
        if isinstance(side, Parent):
            live(serve, side)
        self.pid = side.pid
        self._channel = Channel(side.replies, side.requests)
        self._output_fd, self._calls = side.output, side.calls
        os.set_blocking(self._output_fd, False)

    def ask(self, request: Request, *, timeout: float | None = None) -> Iterator[Reply]:
        """Sends a request and yields the replies as they come; the caller knows which is the last.

        timeout: for this request, where it may take longer. Raises Died, Interrupted, or the error that the child
        refused with.
        """
        with suppress(BrokenPipeError):  # it has ended, but its last words may still be in the pipe
            self._channel.send(pack(request))
        if self._meanwhile is not None:
            self._meanwhile()
            self._meanwhile = None
        while True:
            reply = reply_of(self._next_message(timeout or self._timeout))
            if isinstance(reply, Refused):
                hints = (*reply.hints, *self._said().splitlines()[-5:])
                raise refusal(reply.message, hints, reply.exit_code, reply.call, reply.result)
            yield reply

    def answer(self, request: Request, kind: type[ReplyT]) -> ReplyT:
        """Sends a request and returns its one reply. Raises as `ask` does."""
        reply = next(self.ask(request))
        assert isinstance(reply, kind), reply
        return reply

    def describe(self) -> Described:
        """The child's devices. Raises VkmapError where the driver dies while they are listed."""
        try:
            return self.answer(Describe(), Described)
        except Died as died:
            raise DriverDied(
                f"the driver {died.kind} while its devices were listed: {died.where}",
                *died.output.splitlines()[-5:],
                "VK_LOADER_DRIVERS_SELECT or VK_DRIVER_FILES can leave a broken driver out",
            ) from None

    def _next_message(self, timeout: float) -> object:
        last_beat, last_change = self._beat(), time.monotonic()
        while True:
            message = self._channel.take()
            if message is not None:
                return message
            readable, _, _ = select.select([self._channel.read_fd, self._output_fd], [], [], 0.1)
            self._take_output()
            if self._channel.read_fd in readable and not self._channel.feed():
                self._raise_died()
            if self._interrupts.pending:
                raise Interrupted
            self._on_tick()
            beat = self._beat()
            if beat != last_beat:
                last_beat, last_change = beat, time.monotonic()
            elif time.monotonic() - last_change > timeout:
                raise self._died("hung", f"no progress for {timeout:.3g} s (--timeout waits longer)")

    def _beat(self) -> object:
        """Changes with each call into the driver, and with each step of the loop."""
        return whereabouts.count(self._calls), self._heartbeat()

    def _take_output(self) -> None:
        try:
            while data := os.read(self._output_fd, 1 << 16):
                self._output = (self._output + data)[-_KEPT_OUTPUT:]
        except BlockingIOError:
            pass

    def _said(self) -> str:
        self._take_output()
        return self._output.decode(errors="replace").strip()

    def _died(self, kind: Literal["crashed", "hung"], how: str) -> Died:
        return Died(kind, how, self._said(), whereabouts.last(self._calls))

    def _raise_died(self) -> NoReturn:
        status = self._reap(_GRACE_SECONDS)
        if status is None:
            raise self._died("hung", "it closed its pipe but did not end")
        if os.WIFSIGNALED(status):
            raise self._died("crashed", f"killed by {_signal_name(os.WTERMSIG(status))}")
        raise self._died("crashed", f"ended with status {os.waitstatus_to_exitcode(status)}")

    def _reap(self, seconds: float) -> int | None:
        """Waits for the child's end; its wait status, None if it lives on."""
        deadline = time.monotonic() + seconds
        while self.pid:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return status
            self._take_output()  # a child must not wait for us to read while we wait for it to end
            if time.monotonic() > deadline:
                return None
            time.sleep(0.0005)
        return 0

    def release(self) -> None:
        """Asks nothing more: the child takes its driver down while the caller does something else."""
        if not self._released:
            self._released = True
            self._channel.close()

    def end(self) -> None:
        self.close()

    def close(self, grace: float = _GRACE_SECONDS) -> None:
        """Lets the child finish, then ends it. Leaves no process behind."""
        if self._closed:
            return
        self._closed = True
        self.release()
        if self.pid and self._reap(grace) is None:
            os.kill(self.pid, signal.SIGKILL)
            self._reap(60)
        os.close(self._output_fd)
        self._calls.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


DriverProcess = Child
