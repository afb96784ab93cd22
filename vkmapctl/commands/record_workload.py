"""`vkmapctl record workload`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vkmapctl.commands import console
from vkmapctl.commands.params import Command
from vkmapctl.errors import ExitCode, UsageProblem

if TYPE_CHECKING:
    from vkmapctl.figures.tracing import Traced
    from vkmapctl.model.recording import RecordingHead
    from vkmapctl.model.trace import Trace

MOST_STEPS = 2_000  # that somebody may want to read
MOST_CHARACTERS = 256 << 10


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--process", type=int, metavar="PID", help="Of this process; by default the one with most events.")
@click.option("--device", type=int, metavar="N", help="Its device N, from 0 on; by default the one with most calls.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.toml", help="Write here, not to standard output.")
@click.option("--force", is_flag=True, help="Overwrite the files of --out.")
def workload(file: Path, process: int | None, device: int | None, out: Path | None, force: bool) -> int:
    """Make a workload file of a recording, which 'vkmapctl stress' replays.

    It has the calls of one process and one device, in order: sizes, offsets, memory types by their flags, lifetimes,
    threads and the order across them, times between calls, and touched pages. No names, addresses, shaders or data of
    the program are in it. A trace that is too long to read goes to a compact file beside the file of --out.
    """
    from vkmapctl.figures.tracing import trace_of
    from vkmapctl.plans import trace_file, trace_text
    from vkmapctl.saved.recordings import RecordingFile

    recording = RecordingFile(file)
    made = trace_of(recording, _index(recording.head, process), device)
    name = f"process {made.process + 1}"
    steps = trace_file.written(made.trace)
    if steps > trace_file.MOST_STEPS:
        raise UsageProblem(f"the trace has {steps:,} steps, more than {trace_file.MOST_STEPS:,}", *_SHORTER)
    text = trace_text.dumps(made.trace, name) if steps <= MOST_STEPS else ""
    if not text or len(text) > MOST_CHARACTERS:
        if out is None:
            raise UsageProblem(f"the trace has {steps:,} steps, too many for standard output", _BESIDE)
        beside = out.with_suffix(".trace")
        if beside == out:
            raise UsageProblem(f"{out}: the trace is to have that name", "give a name that ends in .toml")
        _write(out, trace_text.dumps(made.trace, name, beside=beside.name), force, beside, made.trace)
    elif out:
        _write(out, text, force)
    else:
        console.write(text)
    _tell(made, steps)
    return ExitCode.OK


_SHORTER = ("record a shorter time: vkmapctl record --for 5s -- PROGRAM",)
_BESIDE = "--out mine.toml writes mine.toml, and the trace to mine.trace beside it"


def _index(head: "RecordingHead", pid: int | None) -> int | None:
    """Of the process with that number. Raises UsageProblem."""
    if pid is None:
        return None
    found = [index for index, one in enumerate(head.processes) if one.pid == pid]
    if not found:
        known = ", ".join(str(one.pid) for one in head.processes) or "none"
        raise UsageProblem(f"no process {pid} was recorded", f"recorded: {known}")
    return found[0]


def _write(out: Path, text: str, force: bool, beside: Path | None = None, trace: "Trace | None" = None) -> None:
    """Writes the workload file, and the trace beside it first. Raises UsageProblem."""
    from vkmapctl.plans import trace_file
    from vkmapctl.saved.files import Sink

    files = [(Sink(out, force=force, form="workload"), text.encode())]
    if beside and trace:
        files.insert(0, (Sink(beside, force=force, form="trace"), trace_file.packed(trace)))
    for sink, data in files:
        sink.write(data)
        if sink.error:
            raise sink.error


def _tell(made: "Traced", steps: int) -> None:
    """What is in it, and what is not, on standard error."""
    trace = made.trace
    counted = [
        _count(len(trace.threads), "thread"),
        _count(made.calls, "call"),
        f"{_count(trace.objects, 'object')} at a time",
    ]
    console.say(f"device {made.device}: {', '.join(counted)}; folded to {_count(steps, 'step')}")
    for words in made.left_out:
        console.say(f"left out: {words}")
    for words in made.replaced:
        console.say(f"replaced: {words}")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + "s" * (number != 1)
