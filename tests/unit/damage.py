"""Bytes that a reader of files must survive: sound documents cut, bent, nested, swollen and mistyped."""

import json
from pathlib import Path

import msgspec
from builders import a_busy_row, a_device, a_gpu, a_latency, a_probe, a_probe_report, a_row, a_run
from hypothesis import strategies as st
from recordings import a_program_of_everything, an_answer
from traces import a_trace

import vkmapctl
from vkmapctl.model.base import Note
from vkmapctl.model.device import Probe
from vkmapctl.model.documents import (
    SCHEMA,
    Answer,
    CheckRow,
    DoctorReport,
    OtherSide,
    SelftestReport,
    Trial,
    VerifyReport,
    to_json,
)
from vkmapctl.model.measured import Repetition, Versus
from vkmapctl.plans import trace_file, trace_text

_FAILED = a_row(api="v1", status="failed", reason="VK_ERROR_MEMORY_MAP_FAILED in map (step 0)")
_ROUNDS = tuple(80.0 + i % 3 for i in range(10))
_RUN = a_run(a_row(), a_busy_row(), _FAILED, devices=(a_device(), a_gpu()))
_VERSUS = Versus({"ns_per_pair": (1.1, 1.0, 1.2)}, {"ns_per_pair": (1.1, 1.2)}, ({"ns_per_pair": 1.1},) * 3)
SWEEP = a_run(  # a row for everything that is drawn or concluded
    *(a_row(allocation_size=4096 << i, map=a_latency(scale=1 << i), rounds_ns_per_pair=_ROUNDS) for i in (0, 3, 6, 9)),
    *(a_busy_row(memory_type=i, device=0, placed=None, map_size=None) for i in (0, 1, -1)),
    a_row(touch="first", first_touch_ns_per_page=250.0, page_faults={"minor": 9, "major": 0}, threads=2),
    a_row(rate=1000.0, response=a_latency(scale=3), missed_cycles=2, ns_per_pair=None),
    a_row(live=8, versus=_VERSUS, repeats=(Repetition(80.0, {"map": 30.0}, {"map": 60.0}, {}),) * 3),
    a_row(live=7), a_row(live=7, together=2, pairs_per_second=1e6), a_row(steps=5, script="1234abcd"),
    a_row(status="unsupported", reason="no", allocation_size=0, map=None, unmap=None, part="job"),
    devices=(a_device(), a_gpu()), outcome="ok", layers=("VK_LAYER_T",), injected="leak",
    versus=OtherSide(("VK_DRIVER_FILES=/a.json", "B="), "1.4", ("VK_LAYER_T",), (a_device(),)),
    warnings=tuple(Note("drift", f"row {i}: it rose") for i in range(5)),
)  # fmt: skip
_CHECK = CheckRow("M1", "title", "rule", "must", 0, 0, ("De",), "fail", "seen", 0.1)
_VERIFY = VerifyReport(
    schema=SCHEMA, tool=_RUN.tool, started=_RUN.started, host=_RUN.host, loader="1.4", devices=_RUN.devices,
    outcome="failed", exit_code=4, results=(_CHECK,),
)  # fmt: skip
_SELFTEST = SelftestReport(
    schema=SCHEMA, tool=_RUN.tool, device=_RUN.devices[0], baseline=(), outcome="ok", exit_code=0,
    trials=(Trial("leak", "an unmap leaves one more", "M7", True, "quality"),),
)  # fmt: skip
_PROBE = a_probe_report(
    a_probe(), a_probe(a_gpu(), notes=(Note("odd", "a note"),)), Probe(None, status="crashed", reason="killed"),
    missing=("device 0: placed",), layers=("VK_LAYER_T",),
)  # fmt: skip
_DOCTOR = DoctorReport(
    tool=_RUN.tool, devices=_PROBE.devices, device=0, results=_RUN.results[:1], next=("vkmapctl verify",),
    answers=(Answer("placed maps", "no", "no " * 60, "docs/reports.md"), Answer("a map costs", "-", "35 ns", "docs")),
)  # fmt: skip
RECORDED = an_answer(a_program_of_everything())
DOCUMENTS = [to_json(one) for one in (_RUN, SWEEP, a_run(), _PROBE, _VERIFY, _SELFTEST, _DOCTOR, RECORDED)]
PRESETS = [path.read_bytes() for path in sorted(Path(vkmapctl.__file__).parent.glob("presets/*.toml"))]
TRACE = a_trace()
TRACES = [trace_file.packed(TRACE), trace_text.dumps(TRACE, "process 1").encode(), msgspec.json.encode(TRACE)]

numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([0, -1, 1 << 63, 1 << 64, 10**400, 1e308, -0.0]))
words = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "a" * 5000, "\x1b[31m", "\0", "..", "/nowhere/x", "64K", "random", "v1", "nan", "\ud800"]),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=6,
)


def _places(node, path=()):
    """The path of every node of a JSON document."""
    yield path
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield from _places(node[key], (*path, key))


EDGES = [0, 1, 5e-324, 1e-30, 1e-9, 0.5, 1 << 40, (1 << 40) + 1, 1 << 63, 1e30, 1e31, 1e308, 10**40, -1, -2, -0.5]
STEERING = "\x1b]0;title\x07\x1b[2J\x9b1m\r\n\t\u202e\u2028\ufeff\uffff\0\ud800 ™ 漢 [x](http://x) </a> ' \" % {}"


def edit(document, draw):
    """Replaces one value as a stranger would: its type is kept, and so the document often loads. draw: a Random."""
    path, parent = draw.choice([*_places(document)][1:]), document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = _other(parent[path[-1]], draw)


def _other(value, draw):
    match value:
        case bool():
            return not value
        case int():
            return draw.choice([one for one in EDGES if isinstance(one, int)])
        case float():
            return draw.choice(EDGES)
        case str():
            return draw.choice(
                [STEERING, "", "a " * 2000, "a" * 30_000, chr(draw.randrange(0x300)), value[: len(value) // 2]]
            )
        case list() if value:
            return draw.choices(value, k=draw.randrange(4))
        case dict() if value:
            return {key: one for key, one in value.items() if draw.randrange(len(value))}
        case _:
            return draw.choice([None, 1, 1.0, "x"])


def _edited(data, draw, times):
    document = json.loads(data)
    for _ in range(times):
        edit(document, draw)
    return json.dumps(document).encode()


edited_json = st.builds(_edited, st.sampled_from(DOCUMENTS), st.randoms(use_true_random=False), st.integers(1, 4))


@st.composite
def bent_json(draw):
    """A saved document with some of its values replaced, removed or doubled."""
    document = json.loads(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(_places(document))))
        if not path:
            continue
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        match draw(st.sampled_from(["replace", "replace", "remove", "empty", "repeat"])):
            case "replace":
                parent[path[-1]] = draw(values)
            case "remove":
                del parent[path[-1]]
            case "empty":
                parent[path[-1]] = type(parent[path[-1]])() if parent[path[-1]] is not None else 0
            case "repeat":
                parent[path[-1]] = [parent[path[-1]]] * draw(st.integers(1, 50))
    return json.dumps(document).encode("utf-8", "surrogatepass")


@st.composite
def bent_bytes(draw, seeds=DOCUMENTS):
    """A sound file cut short, with other bytes put in, or with a part of it repeated."""
    data = draw(st.sampled_from(seeds))
    at = draw(st.integers(0, len(data)))
    match draw(st.sampled_from(["cut", "insert", "repeat", "swap"])):
        case "cut":
            return data[:at]
        case "insert":
            return data[:at] + draw(st.binary(max_size=8)) + data[at:]
        case "repeat":
            return data[:at] + data[at : at + 40] * draw(st.integers(2, 60)) + data[at:]
        case _:
            return data[:at] + draw(st.binary(min_size=1, max_size=8)) + data[at + 8 :]


nested = st.builds(
    lambda opening, count, closed: b'{"schema": "vkmapctl/1", "results": ' + opening * count + b"]" * (count * closed),
    st.sampled_from([b"[", b'{"a":', b'[{"a":[']),
    st.integers(1, 20_000),
    st.booleans(),
)
saved_runs = st.one_of(
    st.sampled_from(DOCUMENTS), edited_json, bent_json(), bent_json(), bent_bytes(), nested, st.binary(max_size=80)
)
workload_files = st.one_of(
    bent_bytes(PRESETS or [b'[[job]]\nsize = "64K"\n']),
    st.builds(lambda key, value: f"[[job]]\n{key} = {json.dumps(value)}\n".encode("utf-8", "replace"), words, values),
    st.builds(lambda count: b"a = " + b"[" * count, st.integers(1, 20_000)),
    st.binary(max_size=80),
)
