"""Progress over many short trials: one live line on a terminal, a line for each part elsewhere, on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from vkmapctl.commands import console


@contextmanager
def trials(of: Callable[[Any], tuple[str, str]], output: dict[str, Any]) -> Iterator[Callable[[Any], None]]:
    """What is called with each finished row, unless --quiet. of: a row's part, such as its check, and its verdict.

    The rows of one part follow one another; one without a verdict gets no line. What they saw is not told here but in
    the report, once.
    """
    if output["quiet"]:
        yield lambda row: None
        return
    told = _Live(not output["no_color"]) if sys.stderr.isatty() else _Lines()
    parts = _Parts(of, told)
    try:
        yield parts.row
    finally:
        parts.end()
        told.end()


class _Lines:
    """For logs."""

    def row(self, part: str, done: int) -> None:
        pass

    def part(self, part: str, verdicts: str) -> None:
        console.say(f"{part}: {verdicts}")

    def end(self) -> None:
        pass


class _Live:
    """For terminals: a line that is gone when all is done."""

    def __init__(self, color: bool) -> None:
        from rich.progress import Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console.make(stderr=True, color=color),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)
        with suppress(OSError):
            self._progress.start()

    def row(self, part: str, done: int) -> None:
        self._progress.update(self._task, description=f"{part}: {done} done")
        with suppress(OSError):
            self._progress.refresh()

    def part(self, part: str, verdicts: str) -> None:
        pass

    def end(self) -> None:
        with suppress(OSError):
            self._progress.stop()


class _Parts:
    """Collects the verdicts of a part until the next one begins."""

    def __init__(self, of: Callable[[Any], tuple[str, str]], told: _Lines | _Live) -> None:
        self._of, self._told = of, told
        self._part, self._verdicts, self._done = "", list[str](), 0

    def row(self, row: Any) -> None:
        part, verdict = self._of(row)
        if part != self._part:
            self.end()
        self._part = part
        self._verdicts += [verdict] * bool(verdict)
        self._done += 1
        self._told.row(part, self._done)

    def end(self) -> None:
        if self._verdicts:
            self._told.part(self._part, ", ".join(dict.fromkeys(self._verdicts)))
        self._verdicts = []
