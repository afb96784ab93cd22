"""Rows of whole commands: start-up, memory, and the stress command against a C program of its own."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from machine import Effort, Figures, Missing, command, compile_reference, difference, interleaved, judge, ratio

SIZE = 64 << 10
MIB = 1 << 20


def environment() -> dict[str, str]:
    """As a user has it: Python keeps the bytecode that it has compiled."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def wall(arguments: Sequence[str], folder: Path) -> float:
    """Seconds from start to end of a command, whose output goes to a file."""
    with open(folder / "output", "w") as output:
        begin = time.perf_counter()
        subprocess.run(arguments, stdout=output, stderr=subprocess.DEVNULL, env=environment(), cwd=folder, check=True)
        return time.perf_counter() - begin


def run_json(*arguments: str) -> Any:
    """The document that a vkmapctl command prints."""
    done = subprocess.run(
        [command("vkmapctl"), *arguments, "--json", "--quiet"], stdout=subprocess.PIPE, env=environment(), check=True
    )
    return json.loads(done.stdout)


def start_up(effort: Effort) -> Iterator[Figures]:
    """Wall time of probe against vulkaninfo, text against text and JSON against JSON."""
    with tempfile.TemporaryDirectory() as name:
        folder, tool = Path(name), command("vkmapctl")
        own = lambda *more: lambda: wall([tool, *more], folder) * 1e3  # noqa: E731
        for row, arguments, others, limit in (
            ("probe", ("probe",), ("--summary",), 1.8),
            ("probe --json", ("probe", "--json", "--quiet"), ("-j", "-o", "vulkaninfo.json"), 0.0),
        ):
            what = f"against vulkaninfo {' '.join(others[:1])}"
            figures = Figures(row, what, "ms", how="ratio", limit=f"<= {limit:g}" if limit else "")
            try:
                rival = command("vulkaninfo")
            except Missing as missing:
                figures.value = statistics.median(own(*arguments)() for _ in range(effort.commands))
                figures.note = str(missing)
                yield figures
                continue
            values = interleaved(
                effort.commands, own(*arguments), lambda r=rival, o=others: wall([r, *o], folder) * 1e3
            )
            yield judge(figures, *values, ratio, lambda times, most=limit: times <= most if most else True)
        figures = Figures("--version", "", "ms")
        values = interleaved(effort.commands, own("--version"))
        figures.value, figures.rounds = statistics.median(values[0]), len(values[0])
        yield figures


def stress_command(effort: Effort) -> Iterator[Figures]:
    """ns per pair as `vkmapctl stress` reports it, against a C program that shares nothing with it."""
    duration = "150ms" if effort.rounds > 5 else "100ms"
    with tempfile.TemporaryDirectory() as name:
        program = compile_reference(Path(name), ["reference.c", "reference_main.c"], "reference")
        own: dict[str, list[float]] = {"v1": [], "core": []}
        other: dict[str, list[float]] = {"v1": [], "core": []}
        for _ in range(effort.rounds if effort.rounds > 5 else 1):
            document = run_json("stress", "--size", str(SIZE), "--api", "all", "--duration", duration)
            for row in document["results"]:
                if row["api"] in own:
                    own[row["api"]].append(statistics.median(row["rounds_ns_per_pair"]))
            said = subprocess.run([program, str(SIZE), "75"], stdout=subprocess.PIPE, text=True, check=True).stdout
            for line in said.splitlines():
                api, nanoseconds = line.split()
                other[api].append(float(nanoseconds))
        for api, values in own.items():
            if len(values) == len(other[api]) > 0:
                figures = Figures(f"stress {api}", "the command against a C program", "ns/pair", how="difference")
                figures.limit = "<= 1 ns"
                yield judge(figures, values, other[api], difference, lambda more: more <= 1.0)


WATCH = (
    "import os, subprocess, sys\n"
    "process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
    "_, status, usage = os.wait4(process.pid, 0)\n"
    "print(usage.ru_maxrss * 1024)\n"
    "os._exit(os.waitstatus_to_exitcode(status) & 255)\n"
)


def peak_memory(*arguments: str) -> float:
    """Peak resident bytes of the larger of a vkmapctl command's two processes.

    Waited for by a small process, because the kernel counts what a process held before it became another program.
    """
    tool = [command("vkmapctl"), *arguments, "--quiet"]
    done = subprocess.run(
        [sys.executable, "-u", "-c", WATCH, *tool], stdout=subprocess.PIPE, text=True, env=environment(), check=True
    )
    return float(done.stdout)


def memory(effort: Effort) -> Iterator[Figures]:
    """Peak memory of a run and of one a hundred times as long."""
    few = 20_000 if effort.rounds > 5 else 200

    def peak(pairs: int) -> float:
        return peak_memory("stress", "--size", str(SIZE), "--iterations", str(pairs), "--warmup", "0s") / MIB

    values = interleaved(5 if effort.rounds > 5 else 1, lambda: peak(few * 100), lambda: peak(few))
    figures = Figures("memory", f"{few * 100} cycles against {few}", "MiB", how="difference", limit="<= 1 MiB")
    yield judge(figures, *values, difference, lambda more: more <= 1.0)
