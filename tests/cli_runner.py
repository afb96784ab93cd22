"""Runs the command line as a user does: in a process of its own, on a driver chosen by the loader's own switches."""

import json
import os
import subprocess
import sys
from typing import Any, NamedTuple

from warm import Command

LAVAPIPE = {"VK_LOADER_DRIVERS_SELECT": "*lvp*"}
RADV_NULL = {"VK_LOADER_DRIVERS_SELECT": "*radeon*", "RADV_FORCE_FAMILY": "navi31"}


class Result(NamedTuple):
    """What a user sees."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """stdout as the one JSON document that it must be."""
        return json.loads(self.out)

    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("Error: ")]


def environment(driver: dict[str, str]) -> dict[str, str]:
    """This process's environment with a driver chosen, and no choice of the caller's left."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")}
    return {**inherited, **driver}


def start(*arguments: str, driver: dict[str, str] | None = None) -> Command:
    """The command, running; on lavapipe unless another driver is named."""
    return Command(arguments, environment(LAVAPIPE if driver is None else driver))


def vkmapctl(*arguments: str, driver: dict[str, str] | None = None, timeout: float = 60) -> Result:
    """The command's exit code, stdout and stderr; on lavapipe unless another driver is named."""
    running = start(*arguments, driver=driver)
    out, err = running.communicate(timeout)
    return _sound(Result(running.wait(0), out, err))


def from_scratch(*arguments: str, driver: dict[str, str] | None = None) -> Result:
    """The same by an interpreter started for it."""
    done = subprocess.run(
        [sys.executable, "-m", "vkmapctl", *arguments],
        env=environment(LAVAPIPE if driver is None else driver), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return _sound(Result(done.returncode, done.stdout, done.stderr))


def _sound(result: Result) -> Result:
    assert "Traceback" not in result.err, result.err
    return result
