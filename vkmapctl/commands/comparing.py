"""Files to a comparison: which runs may be compared, and what that makes of the exit code."""

from collections.abc import Collection, Sequence
from pathlib import Path
from shlex import quote
from typing import Literal

from vkmapctl.errors import ExitCode, UsageProblem
from vkmapctl.figures.compare import CompareReport, Difference, Limits, compare
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


def compared(
    runs: Sequence[tuple[str, Run]], limits: Limits, gate: Literal["warn", "fail"], allowed: Collection[str]
) -> CompareReport:
    """The first run against each other. Raises UsageProblem where they differ in what is not allowed to differ."""
    comparisons = tuple(compare(runs[0], other, limits) for other in runs[1:])
    for comparison in comparisons:
        refused = [one for one in comparison.differences if one.group not in allowed and "all" not in allowed]
        if refused:
            raise UsageProblem(
                f"{comparison.base} and {comparison.new} were not measured alike",
                *(difference_line(one) for one in refused),
                f"to compare them nevertheless: {_flags(refused)}",
            )
    worse = any(one.worse() for one in comparisons)
    code = ExitCode.MISSED if worse and gate == "fail" else ExitCode.OK
    return CompareReport(SCHEMA, limits, gate, comparisons, code)


def _flags(refused: Sequence[Difference]) -> str:
    return " ".join(f"--allow {group}" for group in dict.fromkeys(one.group for one in refused))
