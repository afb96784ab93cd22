"""Files to a comparison of recordings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from vkmapctl.commands.opening import kind_of, opened
from vkmapctl.errors import ExitCode, UsageProblem
from vkmapctl.figures.compare_recordings import RecordingsReport, compare_recordings
from vkmapctl.model.documents import SCHEMA
from vkmapctl.text import clean


def compared_recordings(paths: Sequence[Path], gate: Literal["warn", "fail"]) -> RecordingsReport:
    """Recordings, or their JSON documents, the first against each other.

    Raises UsageProblem for files of several kinds, and for one alone.
    """
    other = next((path for path in paths if kind_of(path) != "record"), None)
    if other is not None:
        opened(other)  # which says what is wrong with a file that is none
        raise UsageProblem(f"{other} is no recording, as another of these files is", "compare files of one kind")
    if len(paths) < 2:
        raise UsageProblem(f"{paths[0]} is one recording: nothing to compare", "name a second file")
    reports = [(clean(str(path)), opened(path)) for path in paths]
    made = tuple(compare_recordings(reports[0], one) for one in reports[1:])
    worse = gate == "fail" and any(one.worse for one in made)
    return RecordingsReport(SCHEMA, gate, made, ExitCode.MISSED if worse else ExitCode.OK)
