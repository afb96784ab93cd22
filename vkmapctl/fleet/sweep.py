"""A whole run: begun in the store, started by an engine, ended, indexed and judged."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from vkmapctl import hostlist
from vkmapctl.driver.process import Interrupts
from vkmapctl.errors import UsageProblem
from vkmapctl.fleet import engines, ledger, store
from vkmapctl.fleet.index import Index
from vkmapctl.fleet.store import Store
from vkmapctl.model.fleet import FleetRun, Ledger, Roster

PROGRESS_SECONDS = 2.0


class Swept(NamedTuple):
    """What came of a run. stopped: the signal that ended it early, or empty."""

    ledger: Ledger
    stopped: str


def planned(
    roster: Roster, command: tuple[str, ...], engine: str, options: dict[str, str], hosts: Sequence[str] = (),
    run: str = "", again: str = "",
) -> FleetRun:  # fmt: skip
    """The run as it is asked for. hosts: some of the roster's; none: all. Raises UsageProblem for others."""
    others = sorted(set(hosts) - set(roster.hosts))
    if others:
        raise UsageProblem(
            f"{hostlist.fold(others)}: not in the roster", "vkmapctl fleet init --force says anew who is expected"
        )
    return FleetRun(
        id=run or store.new_id(command),
        command=command,
        engine=engine,
        started=store.now(),
        roster=store.digest(roster),
        hosts=hostlist.fold(hosts or roster.hosts),
        gpus=roster.gpus,
        software=roster.software,
        options=options,
        again=again,
    )


def sweep(
    to: Store,
    run: FleetRun,
    *,
    program: tuple[str, ...],
    seconds: float,
    wait_seconds: float,
    fetch: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> Swept:
    """Runs it to its end and gives the ledger. progress: gets a line whenever more hosts have begun or ended.

    Raises VkmapError where the engine or the store cannot be had.
    """
    engine = engines.named(run.engine)
    to.begin(run)
    answered = _Answered(to, run, progress)
    with Interrupts().caught() as stop:
        job = engines.Job(
            to.path, run, program, seconds, wait_seconds, stop, begun=answered.any, tick=answered.look, fetch=fetch
        )
        to.end(run.id, engine(job))
    return Swept(judged(to, run.id), stop.by)


def judged(to: Store, run: str, *, again: bool = False, progress: Callable[[int], None] = lambda n: None) -> Ledger:
    """The ledger of a run. again: from an index that is made anew. Raises UsageProblem where there is no such run."""
    index = Index(to, again=again, progress=progress)
    try:
        if run not in index.runs():
            raise UsageProblem(f"{to.path} has no run {run}", "vkmapctl fleet status STORE shows the latest")
        return ledger.made(ledger.known(index, run, to.roster()))
    except ValueError as error:
        raise UsageProblem(f"{to.path}, run {run}: {error}") from None
    finally:
        index.close()


class _Answered:
    """How many hosts have begun and ended, as the store shows; looked at now and then, since it may be far away."""

    def __init__(self, to: Store, run: FleetRun, progress: Callable[[str], None]) -> None:
        self._to, self._run, self._progress = to, run, progress
        self._hosts = len(hostlist.expand(run.hosts))
        self._next = 0.0
        self._begun = self._ended = 0

    def look(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PROGRESS_SECONDS
        begun, ended = self._to.answered(self._run.id)
        if (begun, ended) != (self._begun, self._ended):
            self._begun, self._ended = begun, ended
            self._progress(f"{ended} of {self._hosts} hosts have ended, {max(begun - ended, 0)} are at work")

    def any(self) -> bool:
        return self._begun > 0
