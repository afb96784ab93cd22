"""What starts the work on the hosts: an existing scheduler or shell. It launches and queues; documents judge.

An engine is a function from a job to its end; ENGINES names them, each imported when it is asked for.
"""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from vkmapctl import hostlist
from vkmapctl.driver.process import Interrupts
from vkmapctl.errors import Unsupported
from vkmapctl.model.fleet import EngineEnd, FleetRun

HOST_GRACE_SECONDS = 60.0  # beyond a host's own time, in which it ends its command and writes its envelope
ENGINES = {"local": "local", "slurm": "slurm", "ssh": "ssh"}
Engine = Callable[["Job"], EngineEnd]


class Job(NamedTuple):
    """What an engine is to start. program: the words that are vkmapctl on a host.

    seconds: for a host's whole part, from when it begins. wait_seconds: until the first host has begun. begun: whether
    one has, as far as the store shows. tick: called about ten times a second.
    fetch: hosts do not share the store, and send their answers back.
    """

    store: Path
    run: FleetRun
    program: tuple[str, ...]
    seconds: float
    wait_seconds: float
    stop: Interrupts
    begun: Callable[[], bool]
    tick: Callable[[], None] = lambda: None
    fetch: bool = False

    @property
    def options(self) -> dict[str, str]:
        return self.run.options

    @property
    def hosts(self) -> tuple[str, ...]:
        return hostlist.expand(self.run.hosts)

    def words(self, host: str = "", *, store: str = "") -> list[str]:
        """The command of one host; without a name it finds its own."""
        run = self.run
        words = [
            *self.program,
            "fleet",
            "here",
            store or os.path.abspath(self.store),
            "--run",
            run.id,
            "--engine",
            run.engine,
        ]
        words += ["--host", host] if host else []
        words += ["--gpus", str(run.gpus), "--timeout", f"{self.seconds:g}s", *(["--software"] if run.software else [])]
        return [*words, "--", *run.command]


def named(name: str) -> Engine:
    """The engine of that name. Raises Unsupported where what it needs is not here, before anything is begun."""
    module = import_module(f"vkmapctl.fleet.{ENGINES[name]}")
    lacking: Unsupported | None = module.lacking()
    if lacking:
        raise lacking
    engine: Engine = module.run
    return engine


class Patience:
    """How long an engine may take: until the first host has begun, and then until the last must have ended."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._begun_at: float | None = None

    def give_up(self, seconds: float) -> str:
        """Why it is to be ended after so long, or nothing."""
        job = self._job
        job.tick()
        if self._begun_at is None and job.begun():
            self._begun_at = seconds
        if self._begun_at is None:
            return f"no host had begun after {seconds:.0f} s" if seconds > job.wait_seconds else ""
        most = job.seconds + HOST_GRACE_SECONDS
        return f"hosts had not ended after {most:.0f} s" if seconds - self._begun_at > most else ""
