"""Bytes that a reader of files must survive: sound documents cut, bent, nested, swollen and mistyped."""

import json
from pathlib import Path

from builders import a_busy_row, a_probe, a_probe_report, a_row, a_run
from hypothesis import strategies as st

import vkmapctl
from vkmapctl.model.documents import SCHEMA, CheckRow, SelftestReport, Trial, VerifyReport, to_json

_FAILED = a_row(api="v1", status="failed", reason="VK_ERROR_MEMORY_MAP_FAILED in map (step 0)")
_RUN = a_run(a_row(), a_busy_row(), _FAILED)
_CHECK = CheckRow("M1", "title", "rule", "must", 0, 0, ("De",), "fail", "seen", 0.1)
_VERIFY = VerifyReport(
    schema=SCHEMA, tool=_RUN.tool, started=_RUN.started, host=_RUN.host, loader="1.4", devices=_RUN.devices,
    outcome="failed", exit_code=4, results=(_CHECK,),
)  # fmt: skip
_SELFTEST = SelftestReport(
    schema=SCHEMA, tool=_RUN.tool, device=_RUN.devices[0], baseline=(), outcome="ok", exit_code=0,
    trials=(Trial("leak", "an unmap leaves one more", "M7", True, "quality"),),
)  # fmt: skip
DOCUMENTS = [to_json(one) for one in (_RUN, a_run(), a_probe_report(a_probe()), _VERIFY, _SELFTEST)]
PRESETS = [path.read_bytes() for path in sorted(Path(vkmapctl.__file__).parent.glob("presets/*.toml"))]

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


@st.composite
def edited_json(draw):
    """A saved document as a stranger edits it: types are kept, and so it often loads."""
    document = json.loads(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(1, 4))):
        path, parent = draw(st.sampled_from([*_places(document)][1:])), document
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = draw(edited(parent[path[-1]]))
    return json.dumps(document).encode()


def edited(value):
    """Other values of the same type, and null."""
    match value:
        case bool():
            return st.booleans()
        case int():
            return st.sampled_from([one for one in EDGES if isinstance(one, int)])
        case float():
            return st.sampled_from(EDGES)
        case str():
            return st.one_of(st.text(max_size=5), st.sampled_from([STEERING, "", "a " * 2000, "a" * 30_000, value]))
        case list() if value:
            return st.lists(st.sampled_from(value), max_size=4)
        case dict() if value:
            return st.sampled_from([{}, *({k: v for k, v in value.items() if k != gone} for gone in value)])
        case _:
            return st.none()


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
    st.sampled_from(DOCUMENTS), edited_json(), bent_json(), bent_json(), bent_bytes(), nested, st.binary(max_size=80)
)
workload_files = st.one_of(
    bent_bytes(PRESETS or [b'[[job]]\nsize = "64K"\n']),
    st.builds(lambda key, value: f"[[job]]\n{key} = {json.dumps(value)}\n".encode("utf-8", "replace"), words, values),
    st.builds(lambda count: b"a = " + b"[" * count, st.integers(1, 20_000)),
    st.binary(max_size=80),
)
