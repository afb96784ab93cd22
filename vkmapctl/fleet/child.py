"""A command of another process, bounded: in time, in what is kept of its standard error, and by signals to this one."""

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, NamedTuple

from vkmapctl.driver.process import Interrupts
from vkmapctl.text import clean

GRACE_SECONDS = 15.0  # from being asked to end until it is killed: a run that is stopped saves what it has
_ITSELF_SECONDS = 1.0  # a signal to all processes of a job has reached the child too
_PR_SET_PDEATHSIG = 1
_LINES = 20
_LONGEST_LINE = 1 << 16


class Ended(NamedTuple):
    """status: its exit code, or the negative number of the signal that killed it. cut: why it was ended, or empty."""

    status: int
    lines: tuple[str, ...]
    seconds: float
    cut: str = ""


def run(
    command: Sequence[str],
    stop: Interrupts,
    *,
    give_up: Callable[[float], str],
    end: Callable[[], None] = lambda: None,
    grace: float = GRACE_SECONDS,
    apart: bool = False,
) -> Ended:
    """Runs a command to its end, with nothing to read and its output thrown away.

    give_up: gets the seconds it has run, about ten times a second, and says why it is to be ended, or nothing. end:
    called before it is asked to. grace: seconds from then until it is killed. apart: in a session of its own, which
    ends with it; else it ends with this process, however that ends. Raises OSError where it cannot be started.
    """
    begun = time.monotonic()
    process = subprocess.Popen(
        list(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=apart, preexec_fn=None if apart else end_with_parent,
    )  # fmt: skip
    assert process.stderr
    kept: deque[str] = deque(maxlen=_LINES)
    reader = threading.Thread(target=_keep, args=(process.stderr, kept), daemon=True)
    reader.start()
    cut = ""
    try:
        while process.poll() is None and not cut:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
            cut = f"stopped by {stop.by}" if stop.by else give_up(time.monotonic() - begun)
        if process.poll() is None:
            end()
            _end(process, _ITSELF_SECONDS if stop.by else 0.0, grace)
        else:
            cut = ""
    finally:
        if apart:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # whatever it has left behind
        elif process.poll() is None:
            process.kill()
        process.wait()
        reader.join(1.0)
    return Ended(process.returncode, tuple(kept), time.monotonic() - begun, cut)


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """In the child: this signal once its parent is gone, killed by an engine for example."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def _end(process: "subprocess.Popen[bytes]", itself: float, grace: float) -> None:
    for number, seconds in ((None, itself), (signal.SIGTERM, grace)):
        if number is not None:
            process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return


def _keep(stream: IO[bytes], kept: "deque[str]") -> None:
    with stream:
        while data := stream.readline(_LONGEST_LINE):
            line = clean(data.decode(errors="replace").strip())
            if line:
                kept.append(line)
