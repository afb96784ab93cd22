"""What every kind of plain data is made of: the frozen base, statuses, a note.

Numbers are numbers, units stand in the key's name, a missing value is None. Decoding ignores keys it
does not know, so that older readers open newer files of the same schema.
"""

from typing import Literal

import msgspec

Status = Literal[
    "ok", "failed", "missed", "unsupported", "crashed", "hung", "lost", "out-of-memory", "interrupted", "not-run"
]  # of a row, and of a whole run


class Data(msgspec.Struct, frozen=True):
    """Base of everything that is passed or saved."""


class Note(Data, frozen=True):
    """A warning in a run: a stable code for scripts and a message for people."""

    code: str
    message: str


VerdictStatus = Literal[
    "pass", "fail", "known", "quality", "skip", "crashed", "hung", "lost", "out-of-memory", "not-run"
]


class Verdict(Data, frozen=True):
    """How one check ended. quality: the driver may do so, but a user should know. known: broken, as expected.

    not-run: the driver had hung too often before.
    """

    status: VerdictStatus
    detail: str = ""
