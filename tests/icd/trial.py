"""One run of the client on the test driver: how it ended, what each call answered, what it printed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from cli_runner import environment

from icd.build import icd

CLIENT = Path(__file__).with_name("client.py")


class Trial(NamedTuple):
    """code: exit status, or minus the signal's number, None where it hung. steps: by call, the last result of each."""

    code: int | None
    steps: dict[str, Any]
    out: bytes
    err: bytes


def tried(folder: Path, breaks: str, way: str = "core", *, timeout: float = 20, beside: bool = False) -> Trial:
    """Output goes to files: a process that the driver leaves behind would hold a pipe open."""
    report, out, err = (folder / name for name in ("report", "out", "err"))
    report.write_text("")
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, CLIENT, report, way],
            env=environment(icd(folder, breaks, beside=beside)), stdout=stdout, stderr=stderr,
        )  # fmt: skip
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
    steps = dict(json.loads(line) for line in report.read_text().splitlines())
    return Trial(code, steps, out.read_bytes(), err.read_bytes())


def processes_of(folder: Path) -> list[int]:
    """Those that live with the folder's manifest as their driver, also where nobody waits for them any more."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.fsencode(folder) in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:  # it has ended, or is another user's
            continue
    return found
