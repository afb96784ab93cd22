"""Workload files: what sweeps, what wins, and errors that name file, job and key."""

import json
import tomllib
import tracemalloc
from typing import Any, get_args

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vkmapctl.errors import UsageProblem
from vkmapctl.model.case import Access, Touch, UnmapOrder
from vkmapctl.model.documents import to_json
from vkmapctl.model.workload import Workload
from vkmapctl.plans import workload_file
from vkmapctl.plans.options import ACCESSES, APIS, KEYS, MOST_OBJECTS, OPTIONS, TOUCHES, UNMAP_ORDERS, Option
from vkmapctl.plans.workload_file import MOST_ROWS, load, presets, read, schema
from vkmapctl.rules import Api

MIB = 1 << 20
SCHEMA = json.loads(schema())
NAMES = (
    "quick", "size-sweep", "offset-sweep", "api-compare", "reserve-churn", "low4g", "live-set", "first-touch",
    "memory-types", "threads", "soak", "allocation", "host-import", "pressure",
    "busy-gpu", "round-trip", "readback", "upload",
)  # fmt: skip


def workload(text: str, **flags: str) -> Workload:
    return read(text, name="my.toml", flags={name: KEYS[name].kind.values(value) for name, value in flags.items()})


def refusal(text: str) -> UsageProblem:
    with pytest.raises(UsageProblem) as caught:
        workload(text)
    return caught.value


def test_an_empty_job_is_what_the_flags_default_to() -> None:
    assert workload("[[job]]") == Workload(name="my")


def test_every_key() -> None:
    (part,) = workload(
        """
        [[job]]
        name = "all"
        size = ["64K", 4096]
        offset = ["random", "4K"]
        map_size = "whole"
        api = "khr"
        memory_type = "De,Vi"
        placed = true
        reserve = true
        touch = "verify"
        threads = 2
        live = 3
        unmap_order = "random"
        gap = "1ms"
        duration = "250ms"
        warmup = "0s"
        seed = 7
        fail_if = ["map.p99>50us"]
        """
    ).parts()
    assert part == Workload(
        name="all", sizes=(65536, 4096), offsets=("random", 4096), map_size=None, api="khr", memory_type="De,Vi",
        placed="any", reserve=True, touch="verify", threads=2, live=3, unmap_order="random", gap_seconds=0.001,
        seconds=0.25, warmup_seconds=0.0, seed=7, fail_if=("map.p99>50us",),
    )  # fmt: skip


def test_lists_multiply() -> None:
    parts = workload('[[job]]\nthreads = [1, 2]\ntouch = ["none", "read"]\nsize = ["4K", "8K"]').parts()
    assert [(one.touch, one.threads) for one in parts] == [("none", 1), ("none", 2), ("read", 1), ("read", 2)]
    assert {one.sizes for one in parts} == {(4096, 8192)}


def test_ranges() -> None:
    (part,) = workload('[[job]]\nsize = ["4K..1M*16", "3M..4M"]').parts()
    assert part.sizes == (4096, 65536, MIB, 3 * MIB, 4 * MIB)
    assert [one.live for one in workload('[[job]]\nlive = "1..6"').parts()] == [1, 2, 4, 6]
    assert workload('[[job]]\nsize = "4K..fit*4"').sizes == ("4K..fit*4",)


def test_a_job_wins_over_defaults_and_flags_over_both() -> None:
    text = '[defaults]\nsize = "4K"\nlive = 2\nduration = "9s"\n[[job]]\nlive = 3\n[[job]]\niterations = 5\n'
    first, second = workload(text.replace('duration = "9s"\n', "")).parts()
    assert [(one.sizes, one.live, one.iterations) for one in (first, second)] == [((4096,), 3, None), ((4096,), 2, 5)]
    (first, second) = workload(text.replace("iterations = 5", ""), live="7", size="8K", iterations="4").parts()
    assert {(one.sizes, one.live, one.iterations) for one in (first, second)} == {((8192,), 7, 4)}


def test_a_duration_and_iterations_typed_together_are_refused() -> None:
    with pytest.raises(UsageProblem, match="exclude each other"):
        workload("[[job]]", iterations="5", duration="1s")


def test_what_is_typed_wins_over_what_the_file_counts_by() -> None:
    assert workload("[[job]]\nduration = '9s'", iterations="5").iterations == 5
    assert workload("[[job]]\niterations = 9", duration="1s").iterations is None


def test_gaps_sweep_and_a_typed_one_wins_over_a_rate() -> None:
    assert [one.gap_seconds for one in workload('[[job]]\ngap = [0, "1ms"]').parts()] == [0.0, 0.001]
    (part,) = workload("[[job]]\nrate = 5", gap="1ms").parts()
    assert (part.rate, part.gap_seconds) == (None, 0.001)


def test_flags_that_steps_speak_for_are_left_out_for_scripts() -> None:
    text = '[[job]]\nsteps = [{ op = "map" }, { op = "unmap" }]'
    assert workload(text, placed="low4g", touch="write", size="8K") == workload(text, size="8K")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x =", ("my.toml is not TOML",)),
        ("", ("no job",)),
        ("[[jobs]]", ("'jobs'", "did you mean 'job'?")),
        ("job = 3", ("[defaults]", "[[job]]")),
        ('[[job]]\nsiz = "4K"', ("my.toml", "job 1", "'siz'", "did you mean 'size'?")),
        ('[[job]]\n[[job]]\nname = "b"\nmap-size = 1', ("job 2 ('b')", "did you mean 'map_size'?")),
        ('[defaults]\nthread = 1\n[[job]]', ("[defaults]", "did you mean 'threads'?")),
        ('[[job]]\ntouch = "wirte"', ("touch", "did you mean 'write'?")),
        ('[[job]]\nsize = "4Q"', ("size", "'4Q'")),
        ('[[job]]\nsize = 0', ("size", "0")),
        ('[[job]]\nsize = 1.5', ("size", "'1.5'", "whole number of bytes")),
        ('[[job]]\nsize = "8K..4K"', ("size", "goes up")),
        ('[[job]]\nthreads = 0', ("threads", "1 to 1024")),
        ('[[job]]\nthreads = "x"', ("threads", "1..8")),
        ('[[job]]\nlive = []', ("live", "empty list")),
        ('[[job]]\nduration = 5', ("duration", "'5'", "250ms")),
        ('[[job]]\nduration = 0', ("duration", "longer than 0")),
        ('[defaults]\nduration = "0s"\n[[job]]', ("[defaults]", "longer than 0")),
        ('[[job]]\nwarmup = 0.5', ("warmup", "'0.5'")),
        ('[[job]]\nmemory_type = ""', ("memory_type", "''")),
        ('[[job]]\nmemory_type = -1', ("memory_type", "-1")),
        ('[[job]]\nplaced = "0x0"', ("placed", "0x0")),
        ('[[job]]\nreserve = 1', ("reserve", "true nor false")),
        ('[[job]]\nrate = 1e-300', ("rate", "1e-300", "0.001")),
        ('[[job]]\nperiod = ["1s", "2s"]', ("period",)),
        ('[[job]]\ndraws = 100001', ("draws", "100000")),
        ('[[job]]\nduration = "0s"', ("duration", "longer than 0")),
        ('[[job]]\nduration = "5s"\niterations = 3', ("duration and iterations",)),
        ('[[job]]\nplaced = "low8g"', ("placed", "low8g")),
        ('[[job]]\nrate = -1', ("rate", "-1")),
        ('[[job]]\ngap = "11s"', ("gap", "10 s")),
        ('[defaults]\nrate = 5\n[[job]]\ngap = "1ms"', ("job 1", "rate and gap exclude")),
        ('[[job]]\ngap = "1ms"\nsteps = [{ op = "pause", duration = "1ms" }]', ("gap means nothing beside steps",)),
        ('[[job]]\nfail_if = ["map.p98>1us"]', ("fail_if", "map.p98")),
        ('[[job]]\nfill = true', ("fill", "low4g")),
        ('[[job]]\ndraws = 5', ("draws needs steps",)),
        ('[[job]]\nlive = 2\nsteps = [{ op = "pause", duration = "1ms" }]', ("live means nothing beside steps",)),
        ('[[job]]\nobjects = -1\nsteps = [{ op = "pause", duration = "1ms" }]', ("objects",)),
        ('[[job]]\nsteps = 3', ("steps", "array")),
        ('[[job]]\nsteps = [{ op = "mep" }]', ("job 1", "steps[0]", "did you mean 'map'?")),
        ('[[job]]\nsteps = [{ op = "map", ofset = 1 }]', ("steps[0]", "did you mean 'offset'?")),
        ('[[job]]\nsteps = [{ op = "map", size = "4Q" }]', ("steps[0].size", "'4Q'")),
        ('[[job]]\nsteps = [{ op = "pause", duration = "1h" }]', ("steps[0].duration", "at most")),
        ('[[job]]\nsteps = [{ op = "repeat", times = 0, steps = [] }]', ("times",)),
        ('[[job]]\nsteps = [{ op = "map" }]', ("still mapped",)),
        ('[[job]]\nsteps = []', ("steps", "empty list")),
        ('[[job]]\nsteps = [{ op = ["map"] }]', ("steps[0]", "unknown op")),
        ('[[job]]\ntouch = "read"\nsteps = [{ op = "pause", duration = "1ms" }]', ("touch means nothing",)),
    ],
)  # fmt: skip
def test_errors_name_what_is_wrong_and_where(text: str, words: tuple[str, ...]) -> None:
    error = refusal(text)
    said = "\n".join((error.message, *error.hints))
    assert "my.toml" in said
    assert [word for word in words if word not in said] == []
    assert "\n" not in error.message


@pytest.mark.parametrize(
    "text",
    [
        "[[job]]\nsize = {many}\noffset = {many}",
        "[[job]]\nseed = {some}\nlive = {some}\nthreads = [1, 2]",
        "[[job]]\nsize = {some}\nseed = {some}",
        "[defaults]\nsize = {some}\n[[job]]\n[[job]]\n[[job]]",
    ],
)
def test_what_multiplies_is_refused_before_it_takes_memory(text: str) -> None:
    text = text.format(many=list(range(1, 20_001)), some=list(range(1, 5_001)))
    tracemalloc.start()
    try:
        said = refusal(text).message
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert f"more than {MOST_ROWS}" in said
    assert most < 32 * MIB


def test_the_largest_sweep_is_not_refused() -> None:
    """Conditions make no rows."""
    half = list(range(1, MOST_ROWS // 2 + 1))
    part = workload(f'[[job]]\nsize = {half}\noffset = [0, "random"]\nfail_if = {["errors>0"] * 3}')
    assert (len(part.sizes), len(part.offsets), len(part.fail_if)) == (len(half), 2, 3)


def test_no_such_preset_or_file() -> None:
    with pytest.raises(UsageProblem, match="did you mean 'soak'") as caught:
        load("soka")
    assert "presets: quick" in caught.value.hints[0]


@pytest.mark.parametrize("name", NAMES)
def test_presets_load_are_documented_and_follow_the_schema(name: str) -> None:
    text = workload_file.text_of(name)
    wanted = load(name)
    assert wanted.question.endswith("?")
    assert wanted.name == name
    jsonschema.validate(tomllib.loads(text), SCHEMA)


def test_there_is_no_other_preset() -> None:
    assert set(presets()) == set(NAMES)
    assert next(iter(presets())) == "quick"


def test_quick_is_what_flags_alone_are() -> None:
    quick = load("quick")
    assert quick == Workload(name="quick", question=quick.question)


def test_soak_is_an_hour_with_a_line_every_so_often() -> None:
    (part,) = load("soak").parts()
    assert (part.seconds, part.period_seconds, part.touch) == (3600, 10, "verify")


@pytest.mark.parametrize("table", [{"siz": 1}, {"threads": True}, {"steps": [{"op": "mep"}]}, {"draws": 0}])
def test_the_schema_refuses_what_the_reader_refuses(table: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"job": [table]}, SCHEMA)


def test_the_same_file_is_the_same_workload() -> None:
    assert to_json(load("reserve-churn")) == to_json(load("reserve-churn"))


def test_the_table_and_the_workload_agree() -> None:
    """Every field but those that a file has outside of its jobs is an option, with the same default."""
    assert {option.field for option in OPTIONS} == set(Workload.__struct_fields__) - {"question", "jobs"}
    unnamed = Workload(name="")
    for option in OPTIONS:
        kept = getattr(unnamed, option.field)
        if option.default is None:
            assert not kept, option.name
        else:
            values = tuple(option.kind.values(option.default))
            assert (values if option.repeatable else values[0]) == kept, option.name


def test_the_words_are_those_of_the_model() -> None:
    assert TOUCHES.choices == get_args(Touch)
    assert UNMAP_ORDERS.choices == get_args(UnmapOrder)
    assert ACCESSES.choices == get_args(Access)
    assert set(APIS.choices) == {"auto", "all", *get_args(Api)}


toml_values = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(1 << 70), 1 << 70),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["64K", "4K..1M*4", "4K..fit", "random", "whole", "cpus", "1..8", "any", "0x1000", "De,Vi"]),
        st.sampled_from(["v1", "none", "reverse", "1s", "0", "map.p99>1us", "-1", "1e9"]),
        st.dates(),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["op", "a"]), inner)),
    max_leaves=4,
)


@given(st.sampled_from(OPTIONS), toml_values)
def test_any_value_is_read_or_refused_in_words_and_the_schema_refuses_no_more(option: Option, value: Any) -> None:
    said = ""
    try:
        assert workload_file._asked({option.name: value}, "my.toml")[option.name]
    except UsageProblem as error:
        said = error.message
    if said:
        assert option.name in said
    else:
        jsonschema.validate({"job": [{option.name: msgspec.to_builtins(value)}]}, SCHEMA)


STEP = '[[job]]\nsteps = [{ op = "repeat", steps = [{ op = "map" }, { op = "write", %s }, { op = "unmap" }] }]'


@pytest.mark.parametrize("key", ["offset = -1", "size = -4096", "offset = 9223372036854775808", "object = -1"])
def test_a_number_of_a_step_has_bounds_and_the_step_is_named(key: str) -> None:
    assert "job 1: steps[0].steps[1]." + key.split()[0] in refusal(STEP % key).message
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(STEP % key), SCHEMA)


@pytest.mark.parametrize("weight", ["-1.0", "inf", "nan", "1e300"])
def test_a_weight_has_bounds(weight: str) -> None:
    text = f'[[job]]\ndraws = 5\nsteps = [{{ op = "pause", duration = "1ms", weight = {weight} }}]'
    assert "steps[0].weight" in refusal(text).message


def test_objects_of_steps_and_of_a_job_have_the_same_bound() -> None:
    text = "[[job]]\nobjects = {}\nsteps = [{{ op = 'free', object = {} }}]"
    last = MOST_OBJECTS - 1
    assert f"object {last} has no memory" in refusal(text.format(MOST_OBJECTS, last)).message
    assert f"objects: a script has from 1 to {MOST_OBJECTS}" in refusal(text.format(MOST_OBJECTS + 1, last)).message
    assert "steps[0].object" in refusal(text.format(MOST_OBJECTS, MOST_OBJECTS)).message
