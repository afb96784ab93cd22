"""A machine as far as processes, mounts, network and name go: Linux namespaces under an init of their own.

Whatever is started in one ends with its init, and that with this process, however it ends.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

READY = "ready"
# An init that reaps, so that no daemon's child stays a zombie; mounts of the outer machine are seen, its own are not.
_UNSHARE = (
    "unshare", "--mount", "--propagation=slave", "--pid", "--net", "--uts", "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip
_REAP = f"echo {READY}; while :; do sleep infinity & wait; done"


class Space:
    """setup: a shell script that its init runs before it is ready. inside: the space that it is a part of."""

    def __init__(self, setup: str, inside: "Space | None" = None) -> None:
        within = inside.enter if inside else ["setpriv", "--pdeathsig", "KILL"]
        self._begun = subprocess.Popen(
            [*within, *_UNSHARE, "bash", "-ec", f"{setup}\n{_REAP}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._begun.stdout
        line = self._begun.stdout.readline().strip()
        assert line == READY, f"no namespaces to be had: {line!r}, exit code {self._begun.wait()}"
        self.init = _descendant(self._begun.pid, "bash")
        self._left: list[subprocess.Popen[Any]] = []

    @property
    def enter(self) -> list[str]:
        """What a command in it begins with; it runs in `/`."""
        return ["nsenter", "--all", "--target", str(self.init)]

    def run(self, *command: object, **more: Any) -> "subprocess.CompletedProcess[str]":
        """To its end, which is to be a good one."""
        done = subprocess.run(
            [*self.enter, *map(str, command)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **more,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def start(self, *command: object, log: Path, **more: Any) -> None:
        """A daemon that stays in the foreground; it ends with the space."""
        words = [*self.enter, *map(str, command)]
        with log.open("ab") as file:
            self._left.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **more))

    def popen(self, *command: object, **more: Any) -> "subprocess.Popen[str]":
        """Running, with its output to be read."""
        return subprocess.Popen(
            [*self.enter, *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,
        )  # fmt: skip

    def signal_all(self, name: str) -> None:
        """To every process in it but its init."""
        self.run("bash", "-c", f"kill -{name} -1")

    def end(self) -> None:
        """At once, as where the power goes."""
        subprocess.run(["kill", "-KILL", str(self.init)], check=False, stderr=subprocess.DEVNULL)
        for process in (*self._left, self._begun):
            process.kill()  # nsenter stops with what it has started
            process.wait(30)
        assert self._begun.stdout
        self._begun.stdout.close()


def _descendant(pid: int, name: str) -> int:
    """The nearest of that name, by an only child each."""
    while Path(f"/proc/{pid}/comm").read_text().strip() != name:
        pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    return pid


def wait_for(condition: Callable[[], bool], what: Callable[[], str] | str, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds:.0f} s: {what if isinstance(what, str) else what()}"
        time.sleep(0.05)


def lacking(programs: Sequence[str]) -> list[str]:
    """Those that are not on PATH."""
    return [one for one in programs if not shutil.which(one)]
