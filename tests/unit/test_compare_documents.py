"""Two verify runs, or two probes, side by side: what a gate is about, and what people read."""

import json
from pathlib import Path

import pytest
from builders import a_check, a_device, a_gpu, a_probe, a_probe_report, a_run, a_verify_report, checks
from msgspec.structs import replace

from vkmapctl import cli
from vkmapctl.figures.compare_documents import compare_probe, compare_verify
from vkmapctl.model.device import Placed, Proof
from vkmapctl.model.documents import to_json


def kinds(before, after, **changes):
    compared = compare_verify(
        ("base", a_verify_report(*before, **changes)), ("new", a_verify_report(*after, **changes))
    )
    return {one.check: one.kind for one in compared.changes}, compared.worse


@pytest.mark.parametrize(
    ("before", "after", "kind", "worse"),
    [
        (checks("P2"), checks("P2", status="fail"), "fails", True),
        (checks("P2"), checks("P2", status="crashed"), "fails", True),
        (checks("P2"), [*checks("P2")[:2], a_check("P2", 4, status="hung")], "fails", True),
        ([a_check("P2", None, status="skip")], checks("P2", status="fail"), "fails", True),
        ([], checks("P2", status="fail"), "fails", True),
        ([], checks("P2"), "appears", False),
        ([a_check("P2", None, status="skip")], checks("P2"), "appears", False),
        (checks("P2"), [], "vanishes", False),
        (checks("P2"), [a_check("P2", None, status="skip", detail="memoryMapPlaced is missing")], "vanishes", False),
        (checks("P2", status="fail"), checks("P2"), "passes", False),
        ([a_check("P2", 2), a_check("P2", 4, status="fail")], checks("P2"), "passes", False),
        (checks("P2", status="known"), checks("P2"), "passes", False),
        (checks("P2"), checks("P2", status="known"), "known", False),
        (checks("P2", status="known"), checks("P2", status="fail"), "differs", False),
        (checks("P2", status="fail"), checks("P2", status="crashed"), "differs", False),
        (checks("P2"), checks("P2", status="quality"), "quality", False),
        (checks("P2", status="quality"), checks("P2"), "passes", False),
        (checks("P2", status="fail"), checks("P2", status="fail"), None, False),
        (checks("P2"), checks("P2", detail="another remark"), None, False),
        ([a_check("P2", None, status="skip")], [], None, False),
    ],
)
def test_what_became_of_a_check(before, after, kind, worse) -> None:
    assert kinds(before, after) == ({"P2": kind} if kind else {}, ("P2",) if worse else ())


def test_other_memory_types_are_compared_by_the_check_as_a_whole() -> None:
    """Two drivers of one GPU number their types differently: what fails in both did not newly fail."""
    elsewhere = [a_check("P2", 1, memory_flags=("De", "Vi"), status="fail")]
    assert kinds([a_check("P2", 2), a_check("P2", 4, status="fail")], elsewhere) == ({}, ())
    assert kinds(checks("P2"), elsewhere) == ({"P2": "fails"}, ("P2",))


@pytest.fixture
def saved(tmp_path):
    def save(name, document) -> str:
        path: Path = tmp_path / f"{name}.json"
        path.write_bytes(to_json(document))
        return str(path)

    return save


def test_a_check_that_newly_fails_exits_with_5(saved, capsys) -> None:
    good = saved("good", a_verify_report(*checks("P2"), *checks("M1")))
    bad = saved("bad", a_verify_report(*checks("P2", status="fail", detail="61440 bytes too"), *checks("M1")))
    assert cli.main(["report", "compare", good, bad]) == 5
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == "1 check newly fails: P2; 1 pass in both, 0 fail in both"
    assert "breaks: What breaks without P2." in shown
    assert "on #2 Vi Co, #3 Vi Co Ca, #4 De Vi Co: 61440 bytes too" in shown
    assert cli.main(["report", "compare", good, bad, "--gate", "warn"]) == 0
    assert "(gate: warn) (exit code 0)" in capsys.readouterr().out
    assert cli.main(["report", "compare", bad, good]) == 0
    capsys.readouterr()
    assert cli.main(["report", "compare", good, good, bad, "--json"]) == 5
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["of"], document["exit_code"]) == ("compare-documents", "verify", 5)
    assert [[one["kind"] for one in each["changes"]] for each in document["comparisons"]] == [[], ["fails"]]


@pytest.mark.parametrize(
    ("first", "second", "error"),
    [
        (a_verify_report(*checks("M1")), a_run(), "is a verify document and"),
        (a_run(), a_verify_report(*checks("M1")), "is a stress document and"),
        (a_verify_report(*checks("M1")), a_verify_report(), "has nothing to compare"),
        (a_verify_report(*checks("M1")), a_verify_report(*checks("M1"), devices=(a_device(), a_gpu())), "2 devices"),
        (a_probe_report(a_probe()), a_probe_report(), "has nothing to compare"),
    ],
)
def test_what_cannot_be_compared_is_one_line(saved, capsys, first, second, error) -> None:
    if error == "2 devices":
        error = "holds 1 device and"
    assert cli.main(["report", "compare", saved("first", first), saved("second", second)]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert len(told) == 1
    assert error in told[0]


def test_one_verify_run_is_nothing_to_compare(saved, capsys) -> None:
    assert cli.main(["report", "compare", saved("one", a_verify_report(*checks("M1")))]) == 2
    assert "nothing to compare" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--metric", "map.p50"), ("--output", "page.html"), ("--allow", "driver")])
def test_an_option_that_would_do_nothing_is_refused(saved, capsys, option) -> None:
    good = saved("good", a_verify_report(*checks("M1")))
    assert cli.main(["report", "compare", good, good, *option]) == 2
    assert f"{option[0]} is for stress runs" in capsys.readouterr().err


def test_probes_differ_in_facts_and_a_proof_that_is_lost_is_worse(saved, capsys) -> None:
    gpu = a_gpu()
    bare = replace(gpu, placed=Placed(), memory_types=gpu.memory_types[:4], driver_info="590.1")
    before, after = a_probe_report(a_probe(gpu)), a_probe_report(a_probe(bare, proofs=(Proof("core", "ok"),)))
    compared = compare_probe(("base", before), ("new", after))
    facts = {one.name: (one.base, one.new) for one in compared.facts}
    assert facts["memoryMapPlaced"] == ("yes", "no")
    assert facts["memory type #4"] == ("De Vi Co, heap 0", "-")
    assert facts["driver"] == ("NVIDIA 580.159.04", "NVIDIA 590.1")
    assert "name" not in facts
    assert "live proof of placed" in compared.worse
    assert cli.main(["report", "compare", saved("a", before), saved("b", after)]) == 5
    assert "no longer proved: live proof of" in capsys.readouterr().out
    assert cli.main(["report", "compare", saved("c", before), saved("d", before)]) == 0
    assert "no fact differs" in capsys.readouterr().out
