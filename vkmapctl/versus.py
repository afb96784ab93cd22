"""A run's other side: a second driver's process with an environment of its own, and rounds in turns with it."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from vkmapctl.driver.protocol import Interrupted
from vkmapctl.errors import Unsupported
from vkmapctl.figures.versus import Side, versus
from vkmapctl.model.base import Note
from vkmapctl.model.measured import Counted, Row
from vkmapctl.model.workload import Job, Plan
from vkmapctl.runner import Group, Runner
from vkmapctl.text import clean

WHERE = ("device", "memory_type", "memory_flags", "api")  # in which two drivers may answer the same question apart
DIFFERS = "versus-differs"
LOOK_SECONDS = 0.05  # between two looks at the histograms, each of which takes a millisecond or two
OTHER = "the other side"


def shown(environment: Mapping[str, str | None]) -> tuple[str, ...]:
    """As it is typed: `NAME=VALUE`, `NAME=` for one that is not to be there."""
    return tuple(clean(f"{name}={value or ''}") for name, value in environment.items())


@contextmanager
def changed(environment: Mapping[str, str | None]) -> Iterator[None]:
    """This process's environment with these values meanwhile, and as it was afterwards, whatever was changed there."""
    before = dict(os.environ)
    try:
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def beside(plan: Plan, other: Plan) -> tuple[dict[str, Job], list[Note]]:
    """Each job of a plan, by its label, as the other side's device does it; and in what that is not the same.

    Raises Unsupported where it would be another question.
    """
    found: dict[str, Job] = {}
    notes = []
    if [len(group) for group in plan.groups] != [len(group) for group in other.groups]:
        raise Unsupported(
            f"{OTHER} has other rows: {len(other.jobs)} and not {len(plan.jobs)}",
            "name one --api that both have, one memory type, and sizes instead of fit",
        )
    for job, its in zip(plan.jobs, other.jobs, strict=True):
        if job.identity(but=WHERE) != its.identity(but=WHERE):
            raise Unsupported(
                f"{OTHER} would measure {its.label((job, its))} and not {job.label((job, its))}",
                "name sizes instead of fit",
            )
        for what, one, another in (
            ("the api", job.api, its.api), ("the memory", " ".join(job.memory_flags), " ".join(its.memory_flags)),
        ):  # fmt: skip
            if one != another:
                notes.append(Note(DIFFERS, f"{job.job}: {what} is {one} here and {another} on {OTHER}"))
        found[job.job] = replace(its, job=job.job)
    return found, notes


class _Side:
    """One runner's group: its rounds, what was counted from time to time, and what became of it at the end."""

    def __init__(self, runner: Runner, group: Sequence[Job]) -> None:
        self.runner, self._turns = runner, runner.turns(group)
        self.rounds: list[tuple[float | None, ...]] = []
        self.counted: list[list[Counted]] = []
        self.found: Group | None = None

    @property
    def interrupted(self) -> bool:
        """Whether the user ended it."""
        return self.found is not None and self.found.interrupted

    def turn(self) -> None:
        """One round, or the end of the group."""
        try:
            self.rounds.append(next(self._turns))
        except StopIteration as end:
            self.found = end.value

    def look(self) -> None:
        """Takes down what was counted so far."""
        self.counted.append(self.runner.counted())

    def row(self, i: int) -> Side:
        """What it measured of one job."""
        return Side([one[i] for one in self.rounds], [one[i] for one in self.counted])

    def break_off(self) -> None:
        """Ends a group that has not ended, as the user's interrupt would, with what it has so far."""
        if self.found is not None:
            return
        try:
            self._turns.throw(Interrupted())
        except StopIteration as end:
            self.found = end.value
        except Interrupted:  # it had not begun
            self.runner.close(grace=0)


def measure(here: tuple[Runner, Sequence[Job]], there: tuple[Runner, Sequence[Job]]) -> Group:
    """A group on both sides, rounds in turns: here, there, there, here, here, …, so that drift cancels."""
    sides = [_Side(*here), _Side(*there)]
    number, next_look = 0, 0.0
    between = 0.0 if here[1][0].traced else LOOK_SECONDS  # a trace's rounds are few
    try:
        while any(side.found is None for side in sides) and not any(side.interrupted for side in sides):
            for side in sides if number % 2 == 0 else reversed(sides):
                if side.found is None:
                    side.turn()
            number += 1
            if time.monotonic() > next_look and not any(side.found for side in sides):
                for side in sides:
                    side.look()
                next_look = time.monotonic() + between
    finally:
        for side in sides:
            side.break_off()
    return _joined(*sides)


def _joined(here: _Side, there: _Side) -> Group:
    """The rows of here, each with its ratio; one that went well here and not there says so."""
    other = there.found or Group((), ())
    if here.found is None:
        return Group((), (), interrupted=True)
    rows = []
    for i, row in enumerate(here.found.rows):
        ratios = versus(here.row(i), there.row(i))
        its = other.rows[i] if i < len(other.rows) else None
        rows.append(replace(_with_status(row, its), versus=ratios))
    notes = (*here.found.notes, *(Note(note.code, f"{OTHER}: {note.message}") for note in other.notes))
    told = tuple(
        note for note in notes if note.code != "scatter"
    )  # rounds this short do, and the ratio's interval knows
    return Group(tuple(rows), told, here.found.interrupted or other.interrupted)


def _with_status(row: Row, its: Row | None) -> Row:
    if row.status != "ok" or its is None or its.status == "ok":
        return row
    return replace(row, status=its.status, reason=f"{OTHER}: {its.reason}", cause=its.cause, errors=its.errors)
