"""Files to a comparison: which runs may be compared, and what that makes of the exit code."""

from collections.abc import Collection, Sequence
from pathlib import Path
from shlex import quote
from typing import Literal

from vkmapctl.errors import ExitCode, UsageProblem
from vkmapctl.figures.compare import CompareReport, Difference, Limits, compare, differing, match, of_build, pooled_run
from vkmapctl.model.documents import SCHEMA, Run
from vkmapctl.reports.compare import difference_line
from vkmapctl.saved.files import load
from vkmapctl.text import clean


def load_run(path: Path) -> tuple[str, Run]:
    """The file's name and its run. Raises UsageProblem for anything but a stress run with rows."""
    document = load(path)
    if not isinstance(document, Run):
        raise UsageProblem(f"{path} is no stress run", "report show prints any saved document")
    if not document.results:
        raise UsageProblem(
            f"{path} has no rows to compare", f"its run was {document.outcome}: report show {quote(str(path))}"
        )
    return clean(str(path)), document


def pooled(runs: Sequence[tuple[str, Run]], allowed: Collection[str]) -> tuple[str, Run]:
    """Runs of one build as one. Raises UsageProblem where they differ in what is not allowed to differ."""
    (name, first), *others = runs
    for other_name, other in others:
        _refuse(name, other_name, differing(first, other, match(first, other)[0]), allowed)
    return ", ".join(name for name, _ in runs), pooled_run([run for _, run in runs])


def compared(
    runs: Sequence[tuple[str, Run]],
    limits: Limits,
    gate: Literal["warn", "fail"],
    allowed: Collection[str],
    *,
    runs_each: int = 1,
) -> CompareReport:
    """The first run against each other. Raises UsageProblem where they differ in what is not allowed to differ.

    Another build of one and the same driver is what comparisons are for.
    """
    comparisons = tuple(compare(runs[0], other, limits, runs_each=runs_each) for other in runs[1:])
    for one in comparisons:
        builds = of_build(one.differences)
        _refuse(one.base, one.new, [other for other in one.differences if other not in builds], allowed)
    worse = any(one.worse() for one in comparisons)
    code = ExitCode.MISSED if worse and gate == "fail" else ExitCode.OK
    return CompareReport(SCHEMA, limits, gate, comparisons, code)


def _refuse(base: str, new: str, found: Sequence[Difference], allowed: Collection[str]) -> None:
    refused = [one for one in found if one.group not in allowed and "all" not in allowed]
    if refused:
        raise UsageProblem(
            f"{base} and {new} were not measured alike",
            *(difference_line(one) for one in refused),
            f"to compare them nevertheless: {_flags(refused)}",
        )


def _flags(refused: Sequence[Difference]) -> str:
    return " ".join(f"--allow {group}" for group in dict.fromkeys(one.group for one in refused))
