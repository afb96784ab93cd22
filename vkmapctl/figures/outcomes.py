"""How single results add up: which status a failed call has, which of several outcomes is the run's, its exit code."""

from collections.abc import Iterable

from vkmapctl.errors import ExitCode, VkmapError
from vkmapctl.model.base import Outcome, Status

WORST: tuple[Outcome, ...] = (
    "crashed", "hung", "lost", "out-of-memory", "failed", "interrupted", "unsupported",
)  # fmt: skip
EXIT: dict[Outcome, int] = {
    "ok": ExitCode.OK,
    "failed": ExitCode.FAILED,
    "missed": ExitCode.MISSED,
    "unsupported": ExitCode.UNSUPPORTED,
    "crashed": ExitCode.DRIVER_DIED,
    "hung": ExitCode.DRIVER_DIED,
    "lost": ExitCode.DRIVER_DIED,
    "out-of-memory": ExitCode.DRIVER_DIED,
    "interrupted": ExitCode.INTERRUPTED,
}
_RESULTS: dict[str, Status] = {
    "VK_ERROR_DEVICE_LOST": "lost",
    "VK_ERROR_OUT_OF_HOST_MEMORY": "out-of-memory",
    "VK_ERROR_OUT_OF_DEVICE_MEMORY": "out-of-memory",
}


def of_failure(text: str) -> Status:
    """The status that a failed call's VkResult, named in the text, stands for."""
    return next((status for name, status in _RESULTS.items() if name in text), "failed")


def of_error(error: VkmapError) -> Status:
    """The status of a row that ended with an error of ours."""
    return "unsupported" if error.exit_code == ExitCode.UNSUPPORTED else of_failure(error.message)


def worst(statuses: Iterable[str]) -> Outcome:
    """The outcome of a run with these rows: `ok` where none is worse."""
    found = set(statuses)
    return next((status for status in WORST if status in found), "ok")
