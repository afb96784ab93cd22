"""The parent's hold on the driver's process: messages, its end, and its last words. How it is forked: inside/fork.

The process shares anonymous memory with the parent, so nothing has to be named or cleaned up, and it dies with the
parent however that ends.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from msgspec.structs import replace

from vkmapctl.driver import loader_output
from vkmapctl.driver.messages import Described, Refused, Reply, Request, pack, reply_of
from vkmapctl.driver.protocol import DeathKind, Died, Interrupted, ReplyT
from vkmapctl.errors import DriverDied, KilledForMemory, refusal
from vkmapctl.inside import current_call
from vkmapctl.inside.fork import EXIT, PARENTS_SIGNALS, Channel, Started, start
from vkmapctl.machine import memory
from vkmapctl.text import clean_lines

_LOOK_MS = 100  # how often it is looked at
_LONGEST_LOOK_SECONDS = 0.25  # what is beyond that, this process itself was stopped, or had no CPU
_KEPT_OUTPUT = 1 << 20
_LAST_WORDS = 4096
_GRACE_SECONDS = 2.0


class Interrupts:
    """Turns SIGINT, SIGTERM and SIGHUP into a flag while a process is waited for. by: the first one's name, or empty.

    What the caller has this process ignore, as nohup does, stays ignored, and so does a handler that is not Python's. A
    thread that is not the main one, of a program that uses the Python API, can take no signals.
    """

    def __init__(self) -> None:
        self.by = ""

    @property
    def pending(self) -> bool:
        return bool(self.by)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.by = self.by or signal.Signals(number).name

    @contextmanager
    def caught(self) -> Iterator["Interrupts"]:
        numbers = PARENTS_SIGNALS if threading.current_thread() is threading.main_thread() else ()
        before = {number: signal.getsignal(number) for number in numbers}
        before = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}
        for number in before:
            signal.signal(number, self._note)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class DriverProcess:
    """A process that runs serve(channel), as inside/fork starts it, or that runs it already: `started`.

    timeout: seconds without progress after which it counts as hung. heartbeat: changes with progress that is no call.
    on_tick: called every tenth of a second while an answer is awaited.
    """

    def __init__(
        self,
        serve: Callable[[Channel], None],
        *,
        timeout: float,
        interrupts: Interrupts,
        heartbeat: Callable[[], object] = lambda: None,
        on_tick: Callable[[], None] = lambda: None,
        started: Started | None = None,
    ) -> None:
        self._timeout, self._interrupts = timeout, interrupts
        self._heartbeat, self._on_tick = heartbeat, on_tick
        self._output, self._before = b"", 0
        self._closed = False
        self._kills = memory.KillWatch()
        process = started or start(serve)
        self.pid, self._channel = process.pid, process.channel
        self._output_fd, self._calls = process.output, process.calls
        os.set_blocking(self._output_fd, False)
        self._poll = select.poll()  # select would not take a number from 1,024 on
        self._poll.register(self._channel.read_fd, select.POLLIN)
        self._poll.register(self._output_fd, select.POLLIN)

    def describe(self) -> Described:
        """The devices, which the process tells unasked and once, before anything else.

        Raises VkmapError where the driver dies while they are listed.
        """
        try:
            described = self._next_reply(self._timeout)
        except Died as died:
            raise _not_listed(died) from None
        assert isinstance(described, Described), described
        return replace(described, taken=memory.taken_by(self.pid))

    def ask(self, request: Request, *, timeout: float | None = None) -> Iterator[Reply]:
        """Sends a request and yields the replies as they come; the caller knows which is the last.

        timeout: for this request, where it may take longer. Raises Died, Interrupted, or the error that the process
        refused with.
        """
        self._take_output()
        self._before = len(self._output)
        with suppress(BrokenPipeError):  # it has ended, but its last words may still be in the pipe
            self._channel.send(pack(request))
        while True:
            yield self._next_reply(timeout or self._timeout)

    def answer(self, request: Request, kind: type[ReplyT]) -> ReplyT:
        """Sends a request and returns its one reply. Raises as `ask` does."""
        reply = next(self.ask(request))
        assert isinstance(reply, kind), reply
        return reply

    def end(self) -> None:
        """Lets the process destroy what is open, unload its driver and exit.

        Raises Died where it crashes or hangs on the way, Interrupted, or the error that it refused with.
        """
        self._channel.close_write()
        while (message := self._next_message(self._timeout)) is not None:
            self._reply_of(message)
        status = self._reap(_GRACE_SECONDS)
        if status != 0 or current_call.last(self._calls) != EXIT:
            raise self._death(status)

    def _next_reply(self, timeout: float) -> Reply:
        message = self._next_message(timeout)
        if message is None:
            raise self._death(self._reap(_GRACE_SECONDS))
        return self._reply_of(message)

    def _reply_of(self, message: object) -> Reply:
        reply = reply_of(message)
        if isinstance(reply, Refused):
            hints = (*reply.hints, *self._last_words().splitlines()[-5:])
            raise refusal(reply.message, hints, reply.exit_code, reply.call, reply.result)
        return reply

    def _next_message(self, timeout: float) -> object:
        """None once the process has ended or closed its pipe. Raises Died where it hangs.

        An interrupt comes before any end: whoever stops this process may have stopped that one too.
        """
        last_beat, waited, latest = self._beat(), 0.0, time.monotonic()
        while True:
            try:
                message = self._channel.take()
            except (ValueError, EOFError, TypeError):
                raise self._died("crashed", "it wrote into a file that was not its own: its parent's pipe") from None
            if message is not None:
                return message
            ended = self._has_ended()  # though a helper that the driver left behind holds the pipe open
            readable = {fd for fd, _ in self._poll.poll(0 if ended else _LOOK_MS)}
            self._take_output()
            if self._channel.read_fd in readable:
                ended = not self._channel.feed()
            if self._interrupts.pending:
                raise Interrupted
            if ended:
                return None
            self._on_tick()
            beat, now = self._beat(), time.monotonic()
            waited += min(now - latest, _LONGEST_LOOK_SECONDS)
            latest = now
            if beat != last_beat:
                last_beat, waited = beat, 0.0
            elif waited > timeout:
                raise self._died("hung", f"no progress for {timeout:.3g} s (--timeout waits longer)")

    def _has_ended(self) -> bool:
        """Whether the process waits for its parent to read its status."""
        return not self.pid or os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _beat(self) -> object:
        """Changes with each call into the driver, and with each step of the loop."""
        return current_call.count(self._calls), self._heartbeat()

    def _take_output(self) -> None:
        """What there is, up to a megabyte: a driver may print faster than this."""
        for _ in range(16):
            try:
                data = os.read(self._output_fd, 1 << 16)
            except BlockingIOError:
                return
            if not data:  # it has closed its output, which would be ready for ever
                with suppress(KeyError):
                    self._poll.unregister(self._output_fd)
                return
            too_much = max(len(self._output) + len(data) - _KEPT_OUTPUT, 0)
            self._output = (self._output + data)[too_much:]
            self._before = max(self._before - too_much, 0)

    def said(self) -> str:
        """What the process has printed: its driver, the layers, the loader. The end of it, where it is much."""
        if not self._closed:
            self._take_output()
        return clean_lines(self._output).strip()

    def _last_words(self) -> str:
        """What it has printed since it was last asked something."""
        self._take_output()
        return loader_output.without_noise(clean_lines(self._output[self._before :][-_LAST_WORDS:]))

    def _died(self, kind: DeathKind, how: str) -> Died:
        return Died(kind, how, self._last_words(), current_call.last(self._calls))

    def _death(self, status: int | None) -> Died:
        """How the process ended, which has closed its pipe. status: of waitpid, None where it lives on."""
        if status is None:
            return self._died("hung", "it closed its pipe but did not end")
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and (why := self._kills.killed()):
            return self._died("out-of-memory", why)
        if os.WIFSIGNALED(status):
            return self._died("crashed", f"killed by {_signal_name(os.WTERMSIG(status))}")
        return self._died("crashed", f"ended with status {os.waitstatus_to_exitcode(status)}")

    def _reap(self, seconds: float) -> int | None:
        """Waits for its end; the wait status, None if it lives on."""
        deadline = time.monotonic() + seconds
        while self.pid:
            if self._has_ended():
                with suppress(ProcessLookupError):  # what the driver has left behind, while the group's number is ours
                    os.killpg(self.pid, signal.SIGKILL)
                status = os.waitpid(self.pid, 0)[1]
                self.pid = 0
                return status
            self._take_output()  # it must not wait for us to read while we wait for it to end
            if time.monotonic() > deadline:
                return None
            time.sleep(0.0005)
        return 0

    def close(self, grace: float = _GRACE_SECONDS) -> None:
        """Lets the process finish, then ends it. Leaves no process behind."""
        if self._closed:
            return
        self._channel.close()
        if self.pid and self._reap(grace) is None:
            os.kill(self.pid, signal.SIGKILL)
            self._reap(60)
        self._take_output()
        self._closed = True
        os.close(self._output_fd)
        self._calls.close()


def _not_listed(died: Died) -> DriverDied | KilledForMemory:
    """The error of a process that died while its devices were listed."""
    message, last = f"{died.what} while its devices were listed: {died.where}", died.output.splitlines()[-5:]
    error: DriverDied | KilledForMemory
    if died.kind == "out-of-memory":
        error = KilledForMemory(message, *last, *(note.message for note in died.notes))
    else:
        leave_out = "VK_LOADER_DRIVERS_SELECT or VK_DRIVER_FILES can leave a broken driver out"
        error = DriverDied(message, *last, leave_out)
        error.kind = died.kind
    error.how, error.call = died.how, died.call
    return error


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
