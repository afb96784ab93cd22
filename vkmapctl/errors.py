"""Errors that a user can cause or meet, each with hints and its exit code."""

from typing import Literal


class ExitCode:
    """What the process returns; part of the command line's contract. Plain integers, which cost no import."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    UNSUPPORTED = 3
    FAILED = 4
    MISSED = 5
    DRIVER_DIED = 6
    INTERRUPTED = 130


class VkmapError(Exception):
    """One line that says what, hint lines that say what to do, and an exit code."""

    exit_code: int = ExitCode.INTERNAL

    def __init__(self, message: str, *hints: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hints = hints
        self.exit_code = type(self).exit_code if exit_code is None else exit_code


class UsageProblem(VkmapError):
    """A flag, file or value that makes no sense."""

    exit_code = ExitCode.USAGE


class Unsupported(VkmapError):
    """No loader, driver, device, feature or memory for what was asked."""

    exit_code = ExitCode.UNSUPPORTED


class CallFailed(VkmapError):
    """A Vulkan call failed where nothing can go on without it. call: its name; result: the VkResult's name."""

    exit_code = ExitCode.FAILED

    def __init__(
        self, message: str, *hints: str, exit_code: int | None = None, call: str = "", result: str = ""
    ) -> None:
        super().__init__(message, *hints, exit_code=exit_code)
        self.call, self.result = call, result


def refusal(message: str, hints: tuple[str, ...], exit_code: int, call: str = "", result: str = "") -> VkmapError:
    """The error that another process has met, as its own."""
    if call:
        return CallFailed(message, *hints, exit_code=exit_code, call=call, result=result)
    return VkmapError(message, *hints, exit_code=exit_code)


class DriverDied(VkmapError):
    """The process that holds the driver crashed or hung, as `kind` says."""

    exit_code = ExitCode.DRIVER_DIED
    kind: Literal["crashed", "hung"] = "crashed"
