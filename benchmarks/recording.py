"""Rows of `vkmapctl record`: what a recorded call costs, how many it keeps up with, and what it costs a program."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from commands import environment
from machine import HERE, Effort, Figures, Missing, command, compile_reference, difference, interleaved, judge, ratio
from vkmapctl.model.recording import Called, RecordingHead
from vkmapctl.saved.recordings import RecordingFile

CLIENTS, PROGRAMS = HERE.parent / "build/clients", HERE.parent / "tests/clients/programs"
WEBGPU = CLIENTS / "node/node_modules/webgpu/index.js"
CALLS = 1_000_000


def recorded(program: Sequence[str | Path], folder: Path, *options: str) -> tuple[str, RecordingFile]:
    """What the program printed, and its recording."""
    file = folder / "program.vkrec"
    arguments = [command("vkmapctl"), "record", "run", "--out", file, "--force", "--quiet", *options, "--", *program]
    done = subprocess.run(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment(), check=True
    )
    return done.stdout, RecordingFile(file)


def record_calls(effort: Effort) -> Iterator[Figures]:
    """ns per call in a loop of nothing but calls, with and without the recorder; and whether it loses any of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loop = compile_reference(folder, ["reference.c", "record_loop.c"], "record_loop")
        calls = str(CALLS if effort.rounds > 5 else CALLS // 10)

        def alone() -> float:
            return float(subprocess.run([loop, calls], stdout=subprocess.PIPE, text=True, check=True).stdout)

        values = interleaved(effort.rounds, lambda: float(recorded([loop, calls], folder, "--no-faults")[0]), alone)
        figures = Figures("recorded call", "a call with record, against one without", "ns/call", how="difference")
        figures.limit = "<= 25 ns"
        yield judge(figures, *values, difference, lambda more: more <= 25)

        made = CALLS * (10 if effort.rounds > 5 else 1)
        _, recording = recorded([loop, str(made)], folder)
        kept = sum(event.call in (Called.MAP, Called.UNMAP) for event in recording.events(0))
        figures = Figures("calls kept", "of so many in a tight loop", "calls", how="ratio", limit=">= 1")
        yield judge(figures, [kept], [made], ratio, lambda share: share >= 1)


def record_programs(effort: Effort) -> Iterator[Figures]:
    """CPU time of programs with and without the recorder: on a busy machine it is steadier than the time that passes.

    All have in it what a process costs once: its ring. Dawn has 256 page faults a map, each of which is watched.
    """
    python = CLIENTS / "venv/bin/python"
    for row, needs, program in (
        ("slangpy", python, (python, PROGRAMS / "slangpy_readbacks.py")),
        ("dawn", WEBGPU, ("node", PROGRAMS / "dawn_readbacks.mjs", WEBGPU)),
    ):
        for options in ((), ("--no-faults",)):
            figures = Figures(" ".join(("record", row, *options)), "a program with record, against itself", "ms of CPU")
            figures.how, figures.limit = "ratio", "<= 1.02 times"
            if not (needs.exists() and shutil.which(program[0])):
                raise Missing("scripts/install-clients sees to the programs")
            yield _program(figures, program, options, effort)


def _program(figures: Figures, program: Sequence[str | Path], options: Sequence[str], effort: Effort) -> Figures:
    with tempfile.TemporaryDirectory() as name:

        def with_recorder() -> float:
            head: RecordingHead = recorded(program, Path(name), *options)[1].head
            return head.program.cpu_seconds * 1e3

        values = interleaved(effort.commands, with_recorder, lambda: cpu_seconds(program) * 1e3)
    return judge(figures, *values, ratio, lambda times: times <= 1.02)


def cpu_seconds(program: Sequence[str | Path]) -> float:
    """CPU time of a program, its children's with it."""
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, program)
    return usage.ru_utime + usage.ru_stime
