"""How single results add up: which status a failed call has, which of several outcomes is the run's, its exit code."""

from collections.abc import Iterable
from typing import TypeVar

from msgspec.structs import replace

from vkmapctl.errors import CallFailed, DriverDied, ExitCode, KilledForMemory, VkmapError
from vkmapctl.model.base import Note, Status
from vkmapctl.model.documents import Document
from vkmapctl.model.measured import Cause

DOES_NOT_FIT = "does-not-fit"
DocumentT = TypeVar("DocumentT", bound=Document)
WORST: tuple[Status, ...] = (
    "crashed", "hung", "lost", "failed", "interrupted", "out-of-memory", "unsupported",
)  # fmt: skip
EXIT: dict[Status, int] = {
    "ok": ExitCode.OK,
    "failed": ExitCode.FAILED,
    "missed": ExitCode.MISSED,
    "unsupported": ExitCode.UNSUPPORTED,
    "crashed": ExitCode.DRIVER_DIED,
    "hung": ExitCode.DRIVER_DIED,
    "lost": ExitCode.DRIVER_DIED,
    "out-of-memory": ExitCode.UNSUPPORTED,  # there was too little of it, as where a plan finds that beforehand
    "interrupted": ExitCode.INTERRUPTED,
}
_RESULTS: dict[str, Status] = {
    "VK_ERROR_DEVICE_LOST": "lost",
    "VK_ERROR_OUT_OF_HOST_MEMORY": "out-of-memory",
    "VK_ERROR_OUT_OF_DEVICE_MEMORY": "out-of-memory",
}
_KINDS: dict[str, Status] = {
    "crashed": "crashed",
    "hung": "hung",
    "out-of-memory": "out-of-memory",
    "interrupted": "interrupted",
    "cut-short": "not-run",
    "not-run": "not-run",
    DOES_NOT_FIT: "not-run",
    "unsupported": "unsupported",
}


def of_result(name: str) -> Status:
    """The status that a failed call's VkResult stands for."""
    return _RESULTS.get(name, "failed")


def of_error(error: VkmapError) -> Status:
    """The status of a row that ended with an error of ours."""
    if isinstance(error, KilledForMemory):
        return "out-of-memory"
    if error.exit_code == ExitCode.UNSUPPORTED:
        return "unsupported"
    if error.exit_code == ExitCode.INTERRUPTED:
        return "interrupted"
    if isinstance(error, DriverDied):
        return error.kind
    return of_result(error.result) if isinstance(error, CallFailed) else "failed"


def of_cause(cause: Cause | None, *, measured: bool = False) -> Status:
    """The status of a row that ended so.

    measured: after some of it was measured. That a call finds no memory while the same objects come and go is a
    failure. That the kernel kills the process for memory is none: others may have taken what its group may have.
    """
    if cause is None:
        return "ok"
    status = _KINDS.get(cause.kind) or of_result(cause.result)
    return "failed" if measured and cause.result and status == "out-of-memory" else status


def worst(statuses: Iterable[str]) -> Status:
    """Of a whole with these parts: `ok` where none is worse."""
    found = set(statuses)
    return next((status for status in WORST if status in found), "ok")


def broken_off(document: DocumentT, error: VkmapError, code: str = "broken-off") -> DocumentT:
    """The document of a run that an error ended. code: of the warning that says so."""
    code = "internal-error" if error.exit_code == ExitCode.INTERNAL else code
    notes = (*document.warnings, Note(code, error.message))
    outcome = of_error(error)
    outcome = outcome if EXIT[outcome] == error.exit_code else "failed"
    return replace(document, outcome=outcome, exit_code=error.exit_code, reason=error.message, warnings=notes)
