"""Traces in files: a table of a workload file, or a compact file of their own; read without trust."""

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from vkmapctl.errors import UsageProblem
from vkmapctl.model.trace import AnyTraceStep, Repeat, Trace
from vkmapctl.plans.options import nearest
from vkmapctl.plans.trace_check import check
from vkmapctl.saved.reading import read_bytes

MAGIC = b"vkmapctl trace 1\n"
LARGEST_BYTES = 64 << 20
LARGEST_UNPACKED = 128 << 20
MOST_STEPS = 1_000_000  # as they are written
MOST_RUN = 1_000_000_000  # by all threads, repeats counted
DEEPEST = 32  # repeats within repeats
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
        threads = table.get("threads")
        for number, steps in enumerate(threads if isinstance(threads, list) else ()):
            _check_steps(steps, f"threads[{number}]", where)
        return msgspec.convert(table, Trace)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise UsageProblem(f"{where}: {path.rstrip('`') + ': ' if path else ''}{message}") from None
    except RecursionError:
        raise UsageProblem(f"{where}: repeats are nested too deeply") from None


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
