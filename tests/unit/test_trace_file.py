"""Traces in files, inline and compact: read as they were written, refused with the place where they are wrong."""

import json
import tomllib
import zlib
from contextlib import suppress

import msgspec
import pytest
from damage import edit
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from traces import a_trace

from vkmapctl.errors import UsageProblem
from vkmapctl.model.trace import Allocate, Free, Map, Repeat, Trace, TraceMemory, Unmap
from vkmapctl.plans import trace_check, trace_file, trace_text, workload_file

HEAD = 'memory = [{ flags = ["Vi", "Co"] }]\nobjects = 2\nranges = [{ size = 65536 }]\n'
ALLOCATE = '{ op = "allocate", object = 0, size = 65536 }'
MAP, UNMAP = '{ op = "map", object = 0 }', '{ op = "unmap", object = 0 }'


def read(threads, head=HEAD, job="", **flags):
    """The trace of a file with these threads, each a text of steps."""
    shown = ", ".join(f"[{steps}]" for steps in threads)
    text = f"[[job]]\n{job}\n[job.trace]\n{head}\nthreads = [{shown}]"
    return workload_file.read(text, name="my.toml", flags=flags)


def test_inline_it_is_read_as_it_was_written():
    trace = a_trace()
    workload = workload_file.read(trace_text.dumps(trace, "process 1"), name="mine.toml")
    assert [part.trace for part in workload.parts()] == [trace]
    assert [part.name for part in workload.parts()] == ["process 1"]


def test_beside_it_is_read_as_it_was_written(tmp_path):
    trace = a_trace()
    (tmp_path / "mine.trace").write_bytes(trace_file.packed(trace))
    (tmp_path / "mine.toml").write_text(trace_text.dumps(trace, "process 1", beside="mine.trace"))
    (part,) = workload_file.load(str(tmp_path / "mine.toml")).parts()
    assert part.trace == trace


def test_digests_tell_traces_apart_and_rows_by_them():
    one, two = (read([f"{ALLOCATE}, {MAP}" + f", {UNMAP}" * times]) for times in (0, 1))
    asked = [part.asked() for workload in (one, two) for part in workload.parts()]
    assert asked[0]["trace"] != asked[1]["trace"]
    assert asked[0]["trace"] == read([f"{ALLOCATE}, {MAP}"]).asked()["trace"]


def test_what_a_job_may_have_beside_a_trace():
    job = 'name = "a"\nmemory_type = "Vi"\napi = ["v1", "core"]\niterations = 3\npace = "recorded"'
    parts = read([ALLOCATE], job=job).parts()
    assert [(part.api, part.memory_type, part.iterations, part.pace) for part in parts] == [
        ("v1", "Vi", 3, "recorded"),
        ("core", "Vi", 3, "recorded"),
    ]


@pytest.mark.parametrize(
    "key", ["size = 4", 'warmup = "1s"', 'duration = "1s"', "threads = 2", "seed = 1", "steps = []"]
)
def test_what_means_nothing_beside_a_trace_is_refused_by_name(key):
    name = key.split()[0]
    with pytest.raises(UsageProblem, match=f"job 1: {name} means nothing beside a trace|steps: an empty list"):
        read([ALLOCATE], job=key)


def test_a_flag_that_means_nothing_beside_a_trace_is_refused_and_a_default_is_not_asked_for():
    with pytest.raises(UsageProblem, match="size means nothing beside a trace"):
        read([ALLOCATE], size=[4096])
    assert read([ALLOCATE], iterations=[7]).iterations == 7
    text = f'[defaults]\nsize = "4K"\nwarmup = "1s"\n[[job]]\n[job.trace]\n{HEAD}threads = [[{ALLOCATE}]]'
    assert workload_file.read(text, name="my.toml").warmup_seconds == 0.1


def test_pace_needs_a_trace():
    with pytest.raises(UsageProblem, match="pace needs a trace"):
        workload_file.read('[[job]]\npace = "full"', name="my.toml")
    with pytest.raises(UsageProblem, match="pace needs a trace"):
        workload_file.load("quick", {"pace": ["recorded"]})


WRONG = [
    ([], "threads: no step"),
    ([""], "threads: no step"),
    ([MAP], r"threads\[0\]\[0\]: object 0 has no memory"),
    ([f"{ALLOCATE}, {ALLOCATE}"], r"threads\[0\]\[1\]: object 0 has memory already"),
    ([f"{ALLOCATE}, {MAP}, {MAP}"], r"threads\[0\]\[2\]: object 0 is mapped already"),
    ([f"{ALLOCATE}, {UNMAP}"], r"threads\[0\]\[1\]: object 0 is not mapped"),
    (['{ op = "free", object = 1 }'], r"threads\[0\]\[0\]: object 1 has no memory"),
    (['{ op = "allocate", object = 2, size = 1 }'], "there is no object 2"),
    (['{ op = "allocate", object = 0, size = 0 }'], "0 bytes cannot be allocated"),
    (['{ op = "allocate", object = 0, size = 1, memory = 1 }'], "there is no memory 1"),
    (['{ op = "allocate", object = 0, size = 1, memory = -1 }'], "there is no memory -1"),
    ([ALLOCATE + ', { op = "map", object = 0, offset = 65536 }'], "is not inside object 0"),
    ([ALLOCATE + ', { op = "map", object = 0, size = 0 }'], "is not inside object 0"),
    ([ALLOCATE + ', { op = "map", object = 0, placed = 0 }'], "vkMapMemory cannot place"),
    ([ALLOCATE + ', { op = "map", object = 0, placed = 1, api = "khr" }'], "there is no range 1"),
    ([ALLOCATE + ', { op = "map", object = 0, placed = 0, at = 1, api = "khr" }'], "is not inside range 0"),
    ([f'{ALLOCATE}, {MAP}, {{ op = "unmap", object = 0, reserve = true }}'], "vkUnmapMemory cannot reserve"),
    ([f'{ALLOCATE}, {MAP}, {{ op = "touch", object = 0, offset = 1, size = 65536 }}'], "is not inside the mapping"),
    ([ALLOCATE + ', { op = "touch", object = 0, offset = 0, size = 1 }'], "object 0 is not mapped"),
    ([f'{ALLOCATE}, {MAP}, {{ op = "flush", ranges = [] }}'], "needs a range"),
    ([f'{ALLOCATE}, {MAP}, {{ op = "flush", ranges = [{{ object = 0, offset = 65536 }}] }}'], "not inside the mapping"),
    (['{ op = "gap", ns = 5, busy = 6 }'], "busy for longer"),
    (['{ op = "wait", of = 0 }'], r"threads\[0\]\[0\]: there is no other thread 0"),
    (['{ op = "signal", to = 1 }'], "there is no other thread 1"),
    ([ALLOCATE, '{ op = "wait", of = 0 }'], r"threads\[1\]\[0\]: thread 0 never sends"),
    (['{ op = "wait", of = 1 }, { op = "signal", to = 1 }', '{ op = "wait", of = 0 }, { op = "signal", to = 0 }'],
     r"threads\[0\]\[0\]: thread 1 never sends"),
    (['{ op = "signal", to = 1 }', '{ op = "repeat", times = 2, steps = [{ op = "wait", of = 0 }] }'],
     r"threads\[1\]\[0\]\.steps\[0\]: thread 0 never sends"),
    ([f'{ALLOCATE}, {{ op = "repeat", times = 3, steps = [{MAP}] }}'],
     r"threads\[0\]\[1\]\.steps\[0\]: object 0 is mapped"),
    (['{ op = "repeat", times = 3, steps = [] }'], "a repeat of nothing"),
    (['{ op = "repeat", times = 0, steps = [] }'], r"threads\[0\]\[0\]\.times: .*>= 1"),
    (['{ op = "mapp" }'], r"threads\[0\]\[0\]: unknown op 'mapp'; did you mean 'map'"),
    (['{ op = "map", objct = 0 }'], r"threads\[0\]\[0\]: unknown key 'objct'; did you mean 'object'"),
    (['{ op = "repeat", times = 3, steps = [{ op = "unmp" }] }'], r"threads\[0\]\[0\]\.steps\[0\]: unknown op"),
    (['{ op = "map", object = "0" }'], r"threads\[0\]\[0\]\.object: Expected `int`"),
    (["5"], r"threads\[0\]\[0\]: Expected `object`"),
]  # fmt: skip


@pytest.mark.parametrize(("threads", "words"), WRONG)
def test_what_is_not_possible_is_refused_with_its_place(threads, words):
    with pytest.raises(UsageProblem, match=f"^my.toml: job 1: trace: .*{words}"):
        read(threads)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bogus = 1", "unknown field `bogus`"),
        ("objects = -1", "objects: not from 0"),
        ("objects = 9999999999", "objects: not from 0"),
        ("seconds = -1.0", "seconds: not the time"),
        ("seconds = nan", "seconds: not the time"),
        ("page_size = 1000", "page_size: no power of two"),
        ('memory = [{ flags = ["Zz"] }]', r"memory\[0\]: unknown flag 'Zz'"),
        ("ranges = [{ size = -1 }]", r"ranges\[0\].size: .*>= 0"),
        ("recorded = { mapp = 1 }", "recorded"),
        ("recorded = { map = { count = 1, at_floor = false, histogram = { bins = [[5, 1], [4, 1]], overflow = 0 } } }",
         "recorded.map.histogram.bins: bins are not in their order"),
        ("recorded = { mapp = { count = 0, at_floor = false, histogram = { bins = [], overflow = 0 } } }",
         "recorded: unknown call 'mapp'"),
    ],
)  # fmt: skip
def test_a_head_that_is_wrong_is_refused(line, words):
    with pytest.raises(UsageProblem, match=f"my.toml: job 1: trace: .*{words}"):
        read([ALLOCATE], head=line if "memory" in line else f"memory = []\n{line}")


def test_a_billion_rounds_are_walked_once():
    nested = (
        f'{{ op = "repeat", times = 30000, steps = [{{ op = "repeat", times = 16000, steps = [{MAP}, {UNMAP}] }}] }}'
    )
    trace = read([f"{ALLOCATE}, {nested}"]).trace
    assert trace.threads[0][1].times == 30000
    with pytest.raises(UsageProblem, match="repeats make more than 1000000000 steps"):
        read([f"{ALLOCATE}, {nested.replace('30000', '300000')}"])


def test_signals_of_a_repeat_count_so_often():
    many = '{ op = "repeat", times = 5000000, steps = [{ op = "signal", to = 1 }] }'
    read([many, '{ op = "wait", of = 0 }'])
    with pytest.raises(UsageProblem, match=r"threads\[1\]\[0\]\.steps\[0\]: thread 0 never"):
        read([many.replace("5000000", "9"), '{ op = "repeat", times = 10, steps = [{ op = "wait", of = 0 }] }'])


def test_what_would_take_too_long_to_check_is_refused(monkeypatch):
    monkeypatch.setattr(trace_check, "MOST_STEPS", 1000)
    turns = (
        '{{ op = "repeat", times = 900, steps = [{{ op = "signal", to = {0} }}, {{ op = "wait", of = {0} }}] }}'.format
    )
    with pytest.raises(UsageProblem, match="more than 1,000 steps would have to be run"):
        read([turns(1), turns(0)])


def test_ranges_hold_one_mapping_at_a_place():
    def at(number, place):
        size = f'{{ op = "allocate", object = {number}, size = 4096 }}'
        return f'{size}, {{ op = "map", object = {number}, placed = 0, at = {place}, api = "core" }}'

    read([f"{at(0, 0)}, {at(1, 4096)}"])
    with pytest.raises(UsageProblem, match="range 0 holds object 0 there"):
        read([f"{at(0, 0)}, {at(1, 4095)}"])


def deep(depth):
    step = Free()
    for _ in range(depth):
        step = Repeat(1, (step,))
    return Trace((), ((step,),))


def test_repeats_too_deep_are_refused_in_both_forms():
    text = '{ op = "repeat", times = 1, steps = [' * 40 + '{ op = "free" }' + "] }" * 40
    with pytest.raises(UsageProblem, match="more than 32 repeats within each other"):
        read([text])
    with pytest.raises(UsageProblem, match="nested too deeply"):
        read(['{ op = "repeat", times = 1, steps = [' * 2000 + '{ op = "free" }' + "] }" * 2000])


@pytest.mark.parametrize("name", ["../mine.trace", "/etc/passwd", "", "a\x00b", "x/../../y"])
def test_a_file_that_is_not_beside_is_refused(name, tmp_path):
    with pytest.raises(UsageProblem, match="is no file beside the workload file"):
        trace_file.read(name, "here", tmp_path)


def test_a_file_that_is_named_where_there_is_no_folder_is_refused():
    with pytest.raises(UsageProblem, match="is no file beside the workload file"):
        workload_file.read('[[job]]\ntrace = "mine.trace"', name="my.toml")


def compact(tmp_path, data):
    (tmp_path / "mine.trace").write_bytes(data)
    return trace_file.read("mine.trace", "here", tmp_path)


GOOD = trace_file.packed(Trace((TraceMemory(("Vi",)),), ((Allocate(0, 4096), Map(0), Unmap(0)),), objects=1))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is no trace"),
        (b"PK\x03\x04", "is no trace"),
        (trace_file.MAGIC, "it is cut short"),
        (GOOD[:-1], "it is cut short"),
        (trace_file.MAGIC + b"bogus", "is no trace that can be read"),
        (trace_file.MAGIC + zlib.compress(b"\xc1"), "is no trace that can be read"),
        (trace_file.MAGIC + zlib.compress(bytes(trace_file.LARGEST_UNPACKED + 1)), "it is too large"),
        (trace_file.MAGIC + zlib.compress(b"\x91" * 100_000), "is no trace that can be read"),
        (trace_file.packed(deep(40)), "more than 32 repeats"),
        (trace_file.packed(Trace((), ((Map(0),),))), r"threads\[0\]\[0\]: object 0 has no memory"),
        (trace_file.packed(Trace((), ((Allocate(-1, -1),),))), r"is no trace that can be read: .*>= 0"),
    ],
)  # fmt: skip
def test_a_compact_file_that_is_wrong_is_refused(data, words, tmp_path):
    with pytest.raises(UsageProblem, match=words):
        compact(tmp_path, data)


def test_a_compact_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageProblem, match=r"cannot read .*mine.trace: No such file"):
        trace_file.read("mine.trace", "here", tmp_path)


def test_every_damaged_byte_is_refused_or_a_trace(tmp_path):
    for place in range(len(trace_file.MAGIC), len(GOOD)):
        data = bytearray(GOOD)
        data[place] ^= 0xFF
        with pytest.raises(UsageProblem):
            compact(tmp_path, bytes(data))


@given(st.randoms(use_true_random=False), st.integers(1, 4))
def test_an_edited_trace_is_refused_or_read(draw, times):
    table = msgspec.to_builtins(a_trace())
    for _ in range(times):
        edit(table, draw)
    with suppress(UsageProblem):
        trace = trace_file.read(json.loads(json.dumps(table)), "here", None)
        assert workload_file.read(trace_text.dumps(trace, "job"), name="mine.toml").parts()[0].trace == trace


def test_the_schema_takes_what_is_written():
    schema = msgspec.json.decode(workload_file.schema())
    Draft202012Validator(schema).validate(tomllib.loads(trace_text.dumps(a_trace(), "process 1")))
