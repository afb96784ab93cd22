"""Errors that a user can cause or meet, each with hints and its exit code."""

import errno
import os
from typing import Literal

_IN_WSL = "use WSL 2 (wsl --install): docs/install.md says what its drivers can do"
_SYSTEMS = {
    "win32": ("Windows", _IN_WSL),
    "cygwin": ("Windows (Cygwin)", _IN_WSL),
    "msys": ("Windows (MSYS2)", _IN_WSL),
    "darwin": ("macOS", "use a Linux machine, or a virtual one with a driver for the CPU (mesa-vulkan-drivers)"),
}


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
    kind = Unsupported if exit_code == ExitCode.UNSUPPORTED else VkmapError
    return kind(message, *hints, exit_code=exit_code)


class KilledForMemory(Unsupported):
    """The kernel killed the process that holds the driver, for lack of memory: how, and in which call if known."""

    how = call = ""


class DriverDied(VkmapError):
    """The process that holds the driver crashed or hung, as `kind` says: how, and in which call if that is known."""

    exit_code = ExitCode.DRIVER_DIED
    kind: Literal["crashed", "hung"] = "crashed"
    how = call = ""


def of_system(platform: str) -> Unsupported | None:
    """Why nothing can be done on this kind of system (as sys.platform names it); None on Linux."""
    if platform == "linux":
        return None
    name, instead = _SYSTEMS.get(platform, (platform, "use a Linux machine, or a virtual one that is given the GPU"))
    return Unsupported(f"vkmapctl works on Linux alone, and this is {name}", instead)


def of_exception(error: Exception) -> VkmapError:
    """What an exception that nobody expected is to a user: what this machine lacks, or a mistake of this program's own.

    Of a mistake, VKMAPCTL_TRACEBACK=1 shows the traceback as hints.
    """
    if isinstance(error, VkmapError):
        return error
    lacking = _lacking(error)
    if lacking:
        return Unsupported(*lacking)
    import traceback

    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(frame.filename)}:{frame.lineno}"
    lines = [line for text in traceback.format_exception(error) for line in text.splitlines() if line.strip()]
    hints = ["this is a mistake in vkmapctl: please report it, with what VKMAPCTL_TRACEBACK=1 adds to this"]
    return VkmapError(
        f"internal error: {type(error).__name__}: {error} ({where})",
        *(lines if os.environ.get("VKMAPCTL_TRACEBACK") == "1" else hints),
    )


def _lacking(error: Exception) -> tuple[str, str] | None:
    """The message and hint for what this machine, or the caller's limits, do not give."""
    if isinstance(error, MemoryError):
        return "there is not enough memory", "a smaller workload takes less; 'ulimit -v' and the container limit it too"
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return "no more threads can be started", "'ulimit -u' and the container limit their number"
    if not isinstance(error, OSError):
        return None
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"no more files can be opened: {error.strerror}", "'ulimit -n' raises the limit"
    if error.errno == errno.EAGAIN:
        return "no more processes can be started", "'ulimit -u' and the container limit their number"
    if str(error.filename).startswith(("/proc/", "/dev/", "/sys/")):
        return f"cannot open {error.filename}: {error.strerror}", "vkmapctl needs it; is that file system mounted here?"
    return None
