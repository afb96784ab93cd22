"""Traces in files: a table of a workload file, or a compact file of their own; read without trust."""

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from vkmapctl.errors import UsageProblem
from vkmapctl.model.loop import CALLS
from vkmapctl.model.measured import Latency
from vkmapctl.model.trace import MOST_OBJECTS, MOST_THREADS, AnyTraceStep, Repeat, Trace
from vkmapctl.plans.options import nearest
from vkmapctl.plans.trace_check import check
from vkmapctl.rules import FLAGS
from vkmapctl.saved import sound
from vkmapctl.saved.reading import read_bytes
from vkmapctl.units import LONGEST_SECONDS

MAGIC = b"vkmapctl trace 1\n"
LARGEST_BYTES = 64 << 20
LARGEST_UNPACKED = 128 << 20
MOST_STEPS = 1_000_000  # as they are written
MOST_RUN = 1_000_000_000  # by all threads, repeats counted
DEEPEST = 32  # repeats within repeats
MOST_MEMORY = 256  # memory types; VK_MAX_MEMORY_TYPES is 32
NULLABLE = tuple(key for key in Latency.__struct_fields__ if key.endswith("_ns"))
_OPS: dict[str, type] = {str(kind.__struct_config__.tag): kind for kind in AnyTraceStep.__args__}


def read(value: Any, where: str, folder: Path | None) -> Trace:
    """The trace of a workload file's key: a table, or the name of a compact file in the folder.

    Raises UsageProblem that names the step.
    """
    if isinstance(value, dict):
        return _sound(from_table(value, where), where)
    if not isinstance(value, str):
        raise UsageProblem(f"{where}: neither a table nor the name of a file")
    if folder is None or not _is_beside(value):
        raise UsageProblem(f"{where}: '{value[:200]}' is no file beside the workload file", "give its bare name")
    path = folder / value
    try:
        data = read_bytes(path, LARGEST_BYTES)
    except (OSError, ValueError) as error:
        raise UsageProblem(f"{where}: cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    return _sound(unpacked(data, str(path)), str(path))


def _is_beside(name: str) -> bool:
    """Whether a name stays inside of its folder."""
    path = Path(name)
    return bool(name) and name.isprintable() and not path.is_absolute() and ".." not in path.parts


def from_table(table: dict[str, Any], where: str) -> Trace:
    """A trace as TOML has it. Raises UsageProblem that names the step."""
    try:
        table = _with_nothing(table)
        threads = table.get("threads")
        for number, steps in enumerate(threads if isinstance(threads, list) else ()):
            _check_steps(steps, f"threads[{number}]", where)
        return msgspec.convert(table, Trace)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise UsageProblem(f"{where}: {path.rstrip('`') + ': ' if path else ''}{message}") from None
    except RecursionError:
        raise UsageProblem(f"{where}: repeats are nested too deeply") from None


def _with_nothing(table: dict[str, Any]) -> dict[str, Any]:
    """A table whose latencies have null where there is no figure, which TOML cannot say."""
    recorded = table.get("recorded")
    if not isinstance(recorded, dict):
        return table
    filled = {name: dict.fromkeys(NULLABLE) | one if isinstance(one, dict) else one for name, one in recorded.items()}
    return table | {"recorded": filled}


def _check_steps(steps: Any, path: str, where: str) -> None:
    """Raises UsageProblem for an unknown op or key."""
    for number, step in enumerate(steps if isinstance(steps, list) else ()):
        if not isinstance(step, dict):
            continue
        op, place = str(step.get("op")), f"{where}: {path}[{number}]"
        if op not in _OPS:
            raise UsageProblem(f"{place}: unknown op '{op[:40]}'{nearest(op, _OPS)}", f"known: {', '.join(_OPS)}")
        known = ("op", *(field.encode_name for field in msgspec.structs.fields(_OPS[op])))
        for key in step:
            if key not in known:
                raise UsageProblem(f"{place}: unknown key '{key}'{nearest(key, known)}", f"known: {', '.join(known)}")
        _check_steps(step.get("steps"), f"{path}[{number}].steps", where)


def written(trace: Trace) -> int:
    """How many steps it is written with, repeats and what is in them once."""
    return sum(_counted(steps, "", 1 << 10)[0] for steps in trace.threads)


def packed(trace: Trace) -> bytes:
    """The compact file of a trace."""
    return MAGIC + zlib.compress(msgspec.msgpack.encode(trace), 9)


def unpacked(data: bytes, name: str) -> Trace:
    """The trace of a compact file. Raises UsageProblem."""
    if not data.startswith(MAGIC):
        raise UsageProblem(f"{name} is no trace", "vkmapctl record workload makes one")
    unpacker = zlib.decompressobj()
    try:
        told = unpacker.decompress(data[len(MAGIC) :], LARGEST_UNPACKED)
        if not unpacker.eof:
            raise ValueError("it is cut short" if not unpacker.unconsumed_tail else "it is too large")
        return msgspec.msgpack.decode(told, type=Trace)
    except (zlib.error, ValueError, msgspec.DecodeError, RecursionError) as error:
        raise UsageProblem(f"{name} is no trace that can be read: {error}") from None


def _sound(trace: Trace, where: str) -> Trace:
    """The same, which is of a bounded size and possible. Raises UsageProblem."""
    _check_head(trace, where)
    written = run = 0
    for number, steps in enumerate(trace.threads):
        more = _counted(steps, f"{where}: threads[{number}]", DEEPEST)
        written, run = written + more[0], run + more[1]
    if written > MOST_STEPS:
        raise UsageProblem(f"{where}: more than {MOST_STEPS} steps")
    if run > MOST_RUN:
        raise UsageProblem(f"{where}: repeats make more than {MOST_RUN} steps of it")
    check(trace, where)
    return trace


def _check_head(trace: Trace, where: str) -> None:
    for wrong, what in (
        (len(trace.threads) > MOST_THREADS, f"threads: more than {MOST_THREADS}"),
        (not any(trace.threads), "threads: no step"),
        (not 0 <= trace.objects <= MOST_OBJECTS, f"objects: not from 0 to {MOST_OBJECTS}"),
        (not 0 <= trace.seconds <= LONGEST_SECONDS, "seconds: not the time of a recording"),
        (trace.page_size < 1 or trace.page_size & (trace.page_size - 1), "page_size: no power of two"),
        (len(trace.memory) > MOST_MEMORY, f"memory: more than {MOST_MEMORY}"),
        (len(trace.ranges) > MOST_OBJECTS, f"ranges: more than {MOST_OBJECTS}"),
    ):
        if wrong:
            raise UsageProblem(f"{where}: {what}")
    for number, one in enumerate(trace.memory):
        for flag in one.flags:
            if flag not in FLAGS:
                known = ", ".join(FLAGS)
                raise UsageProblem(f"{where}: memory[{number}]: unknown flag '{flag[:40]}'", f"known: {known}")
    for name, latency in trace.recorded.items():
        if name not in CALLS:
            raise UsageProblem(f"{where}: recorded: unknown call '{name[:40]}'", f"known: {', '.join(CALLS)}")
        try:
            sound.check(latency)
        except sound.Unsound as error:
            raise UsageProblem(f"{where}: recorded.{name}{error.where}: {error.what}") from None


def _counted(steps: Iterable[AnyTraceStep], place: str, depth: int) -> tuple[int, int]:
    """How many steps are written, and how many are run."""
    if not depth:
        raise UsageProblem(f"{place}: more than {DEEPEST} repeats within each other")
    written = run = 0
    for step in steps:
        written += 1
        if isinstance(step, Repeat):
            inside = _counted(step.steps, place, depth - 1)
            written, run = written + inside[0], run + inside[1] * step.times
        else:
            run += 1
    return written, run
