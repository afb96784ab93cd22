"""Workload files: what sweeps, what wins, and errors that name file, job and key."""

import json
import tomllib

import jsonschema
import pytest

from vkmapctl.errors import UsageProblem
from vkmapctl.model.documents import to_json
from vkmapctl.model.workload import Workload
from vkmapctl.plans import workload_file
from vkmapctl.plans.workload_file import load, presets, read, schema

MIB = 1 << 20
NAMES = (
    "quick", "size-sweep", "offset-sweep", "api-compare", "reserve-churn", "low4g", "live-set", "first-touch",
    "memory-types", "threads", "soak",
)  # fmt: skip


def workload(text: str, **flags: object) -> Workload:
    return read(text, name="my.toml", flags=flags)


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
        rate = 1000
        duration = "250ms"
        warmup = "0s"
        seed = 7
        fail_if = ["map.p99>50us"]
        """
    ).parts()
    assert part == Workload(
        name="all", sizes=(65536, 4096), offsets=("random", 4096), map_size=None, api="khr", memory_type="De,Vi",
        placed="any", reserve=True, touch="verify", threads=2, live=3, unmap_order="random", rate=1000.0,
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
    (first, second) = workload(text.replace("iterations = 5", ""), live=7, size=(8192,), iterations=4).parts()
    assert {(one.sizes, one.live, one.iterations) for one in (first, second)} == {((8192,), 7, 4)}


def test_a_duration_and_iterations_typed_together_are_refused() -> None:
    with pytest.raises(UsageProblem, match="exclude each other"):
        workload("[[job]]", iterations=5, duration=1.0)


def test_what_is_typed_wins_over_what_the_file_counts_by() -> None:
    assert workload("[[job]]\nduration = '9s'", iterations=5).iterations == 5
    assert workload("[[job]]\niterations = 9", duration=1.0).iterations is None


def test_flags_that_steps_speak_for_are_left_out_for_scripts() -> None:
    text = '[[job]]\nsteps = [{ op = "map" }, { op = "unmap" }]'
    assert workload(text, placed="low4g", touch="write", size=(8192,)) == workload(text, size=(8192,))


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
        ('[[job]]\nsize = 1.5', ("size", "float")),
        ('[[job]]\nsize = "8K..4K"', ("size", "goes up")),
        ('[[job]]\nthreads = 0', ("threads", "1 to 1024")),
        ('[[job]]\nthreads = "x"', ("threads", "1..8")),
        ('[[job]]\nlive = []', ("live", "empty list")),
        ('[[job]]\nduration = 5', ("duration", "int")),
        ('[[job]]\nduration = "0s"', ("duration", "longer than 0")),
        ('[[job]]\nduration = "5s"\niterations = 3', ("duration and iterations",)),
        ('[[job]]\nplaced = "low8g"', ("placed", "low8g")),
        ('[[job]]\nrate = -1', ("rate", "-1")),
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
    ],
)  # fmt: skip
def test_errors_name_what_is_wrong_and_where(text: str, words: tuple[str, ...]) -> None:
    error = refusal(text)
    said = "\n".join((error.message, *error.hints))
    assert "my.toml" in said
    assert [word for word in words if word not in said] == []
    assert "\n" not in error.message


def test_too_many_combinations_are_refused() -> None:
    assert "1000" in refusal(f"[[job]]\nseed = {list(range(40))}\nlive = {list(range(1, 41))}").message


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
    jsonschema.validate(tomllib.loads(text), json.loads(schema()))


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
        jsonschema.validate({"job": [table]}, json.loads(schema()))


def test_the_same_file_is_the_same_workload() -> None:
    assert to_json(load("reserve-churn")) == to_json(load("reserve-churn"))
