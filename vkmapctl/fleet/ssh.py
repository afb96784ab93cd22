"""SSH by ClusterShell, an extra: the same command on each host, some at a time.

Where hosts share the store they write to it. Where they do not (`fetch`), each sends its answer back on its standard
output, as fleet/parcel packs it.
"""

import shlex
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from vkmapctl.errors import Unsupported
from vkmapctl.fleet import parcel, store
from vkmapctl.fleet.engines import HOST_GRACE_SECONDS, Job
from vkmapctl.model.fleet import EngineEnd
from vkmapctl.text import clean

FANOUT = 64
CONNECT_SECONDS = 15
OPTIONS = "-oServerAliveInterval=15 -oServerAliveCountMax=4"  # a link that is cut is noticed within a minute
_TICK_SECONDS = 0.2
_LINES = 20


def lacking() -> Unsupported | None:
    """Says that ClusterShell is not installed."""
    try:
        import ClusterShell.Task  # noqa: F401
    except ImportError:
        return Unsupported("--via ssh needs ClusterShell, which is not installed", "pip install 'vkmapctl[fleet]'")
    return None


def run(job: Job) -> EngineEnd:
    """Waits for ssh to every host; one that does not end in its time is given up."""
    from ClusterShell.Task import task_self

    task = task_self()
    task.set_info("fanout", int(job.options.get("fanout", FANOUT)))
    task.set_info("connect_timeout", CONNECT_SECONDS)
    task.set_info("ssh_options", OPTIONS)
    lines: deque[str] = deque(maxlen=_LINES)
    said: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="vkmapctl-fleet-") as scratch:
        for host in job.hosts:
            words = job.words(host, store=parcel.OUT if job.fetch else "")
            task.shell(
                shlex.join(words),
                nodes=host,
                handler=_events(_Host(job, host, Path(scratch), said, lines)),
                timeout=job.seconds + HOST_GRACE_SECONDS,
                stderr=True,
            )
        task.timer(_TICK_SECONDS, handler=_ticks(job, task), interval=_TICK_SECONDS, autoclose=True)
        task.resume()
    stopped = f"stopped by {job.stop.by}" if job.stop.by else ""
    return EngineEnd(
        ended=store.now(), status=None if stopped else 0, reason=stopped, hosts=dict(said), lines=tuple(lines)
    )


class _Host:
    """What ssh to one host says. said: by host, why it may be silent."""

    def __init__(self, job: Job, host: str, scratch: Path, said: dict[str, str], lines: "deque[str]") -> None:
        self._job, self._host, self._said, self._lines = job, host, said, lines
        self._sent = scratch / host
        self._size = 0
        self._last = ""

    def read(self, stream: str, data: bytes) -> None:
        if stream == "stderr":
            self._last = clean(data.decode(errors="replace").strip()) or self._last
            return
        self._size += len(data)
        if self._job.fetch and self._size <= parcel.LARGEST:
            with open(self._sent, "ab") as file:
                file.write(data + b"\n")

    def ended(self, status: int | None, *, timed_out: bool) -> None:
        """Also where the answer is complete, of which the status says nothing."""
        why = "not done in its time" if timed_out else f"ssh ended with {status}" if status else ""
        if why:
            self._say(f"{why}: {self._last}" if self._last else why)
        if self._sent.exists():
            self._unpack()

    def _unpack(self) -> None:
        try:
            if self._size > parcel.LARGEST:
                raise ValueError(f"it is larger than {parcel.LARGEST} bytes")
            folder = store.Store(self._job.store).host_folder(self._job.run.id, self._host)
            with open(self._sent, "rb") as file:
                parcel.unpack(file, folder)
        except (OSError, ValueError, RecursionError) as error:
            self._say(f"what it sent is no answer: {error}")
        finally:
            self._sent.unlink(missing_ok=True)

    def _say(self, what: str) -> None:
        self._said[self._host] = clean(what)
        self._lines.append(clean(f"{self._host}: {what}"))


def _events(host: _Host) -> Any:
    from ClusterShell.Event import EventHandler

    class Events(EventHandler):  # type: ignore[misc]
        _status: int | None = None

        def ev_read(self, worker: Any, node: str, sname: str, msg: bytes) -> None:
            host.read(sname, msg)

        def ev_hup(self, worker: Any, node: str, rc: int | None) -> None:
            self._status = rc

        def ev_close(self, worker: Any, timedout: bool) -> None:
            host.ended(self._status, timed_out=timedout)

    return Events()


def _ticks(job: Job, task: Any) -> Any:
    from ClusterShell.Event import EventHandler

    class Ticks(EventHandler):  # type: ignore[misc]
        def ev_timer(self, timer: Any) -> None:
            job.tick()
            if job.stop.by:
                task.abort()

    return Ticks()
