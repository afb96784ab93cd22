"""`doctor` on lavapipe, through the layer, without memory, and without a driver."""

import json

import pytest
from cli_runner import RADV_NULL, vkmapctl


def test_it_answers_and_names_what_to_type_next() -> None:
    result = vkmapctl("doctor", "--quiet")
    assert (result.code, result.err) == (0, "")
    assert "mapping works" in result.out
    assert "vkmapctl verify" in result.out


def test_placed_maps_make_wow64_a_yes() -> None:
    document = vkmapctl("doctor", "--emulate", "placed", "--json", "--quiet").json()
    assert document["kind"] == "doctor"
    found = {one["about"]: one["verdict"] for one in document["answers"]}
    assert found["32-bit programs (WoW64)"] == found["placed maps"] == "yes"
    assert [row["status"] for row in document["results"]] == ["ok"] * len(document["results"])


def test_a_reserve_that_lets_go_makes_it_a_no_and_fails() -> None:
    document = vkmapctl("doctor", "--emulate", "placed", "--inject", "reserve-lets-go", "--json", "--quiet").json()
    found = {one["about"]: one["verdict"] for one in document["answers"]}
    assert found["32-bit programs (WoW64)"] == "no"
    assert document["exit_code"] == 4


def test_markdown_and_a_saved_file(tmp_path) -> None:
    path = tmp_path / "it.json"
    result = vkmapctl("doctor", "--markdown", "--quiet", "--save", str(path))
    assert result.out.startswith("### vkmapctl doctor")
    assert json.loads(path.read_text())["kind"] == "doctor"
    assert "mapping works" in vkmapctl("report", "show", str(path)).out


def test_a_device_without_memory_is_answered_too() -> None:
    result = vkmapctl("doctor", "--quiet", driver=RADV_NULL)
    assert result.code == 3
    assert "mapping works           no   no host-visible memory type to allocate from" in result.out


@pytest.mark.parametrize(("fault", "code"), [("map-crashes", 6), ("map-fails", 4)])
def test_a_broken_driver(fault, code) -> None:
    result = vkmapctl("doctor", "--inject", fault, "--quiet")
    assert result.code == code
    assert "mapping works           no" in result.out
