"""A workload file that replays a trace, as TOML: with the trace in it, or in a file beside it."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from vkmapctl.model.trace import AnyTraceStep, Repeat, Trace

QUESTION = "What do the calls of a recorded program cost on this driver, beside what they cost where it was recorded?"
_INDENT = "  "


def dumps(trace: Trace, name: str, *, beside: str | None = None) -> str:
    """The file. name: of its one job. beside: the name of the compact file that has the trace, None for the whole."""
    lines = ["# Made by vkmapctl record workload. It has no names, no addresses and no data of the program.", ""]
    lines += [f"question = {_value(QUESTION)}", "", "[[job]]", f"name = {_value(name)}"]
    lines += [f"trace = {_value(beside)}"] if beside else _table(trace)
    return "\n".join(lines) + "\n"


def _table(trace: Trace) -> Iterator[str]:
    yield ""
    yield "[job.trace]"
    yield f"objects = {trace.objects}"
    yield f"seconds = {trace.seconds!r}"
    yield f"page_size = {trace.page_size}"
    yield f"memory = {_value(msgspec.to_builtins(trace.memory))}"
    yield f"ranges = {_value(msgspec.to_builtins(trace.ranges))}"
    yield "threads = ["
    for steps in trace.threads:
        yield f"{_INDENT}["
        yield from _steps(steps, 2)
        yield f"{_INDENT}],"
    yield "]"
    if trace.recorded:
        yield ""
        yield "[job.trace.recorded]"
        for call, latency in trace.recorded.items():
            yield f"{call} = {_value(msgspec.to_builtins(latency))}"


def _steps(steps: Iterable[AnyTraceStep], depth: int) -> Iterator[str]:
    for step in steps:
        if isinstance(step, Repeat):
            yield f'{_INDENT * depth}{{ op = "repeat", times = {step.times}, steps = ['
            yield from _steps(step.steps, depth + 1)
            yield f"{_INDENT * depth}] }},"
        else:
            yield f"{_INDENT * depth}{_value(msgspec.to_builtins(step))},"


def _value(value: Any) -> str:
    """One value, on one line. What is None is left out: TOML has no word for it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items() if one is not None) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)  # numbers, truth values and text without odd characters are the same in both
