"""verify and selftest on lavapipe, plain and through the test layer."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from cli_runner import RADV_NULL, vkmapctl


def verdicts(*arguments: str, code: int = 0, **options: Any) -> dict[str, str]:
    """Verdict by check id; there is one memory type on lavapipe."""
    result = vkmapctl("verify", "--json", "--quiet", *arguments, **options)
    assert result.code == code, result.err
    return {row["id"]: row["status"] for row in result.json()["results"]}


def test_lavapipe_keeps_every_rule_that_it_can_be_asked() -> None:
    found = verdicts()
    maps = {name: status for name, status in found.items() if name.startswith("M")}
    assert maps.pop("M9") == "skip"
    assert set(maps.values()) == {"pass"}
    assert {status for name, status in found.items() if name[0] in "PR"} == {"skip"}


def test_emulated_placed_maps_keep_every_rule() -> None:
    found = verdicts("--emulate", "range", "--quirk", "unaligned-placed")
    assert {name: status for name, status in found.items() if status != "pass"} == {}
    assert {"M9", "P11", "Q1", "R1", "R8"} <= set(found)


def test_the_quirk_is_tried_only_when_asked_for() -> None:
    assert "Q1" not in verdicts("--emulate", "placed", "--check", "P1", "--check", "R1")


def test_a_skip_says_why() -> None:
    result = vkmapctl("verify", "--check", "P1", "--check", "R6", "--json", "--quiet")
    assert [row["detail"] for row in result.json()["results"]] == [
        "memoryMapPlaced is missing",
        "memoryUnmapReserve is missing",
    ]
    assert result.code == 3, "nothing at all could be checked"
    assert set(verdicts(code=3, driver=RADV_NULL).values()) == {"skip"}


@pytest.mark.parametrize(
    ("fault", "check", "status", "code"),
    [
        ("tramples-neighbours", "P2", "fail", 4),
        ("reserve-lies", "R1", "fail", 4),
        ("whole-size-short", "M2", "crashed", 6),
        ("map-hangs", "M1", "hung", 6),
        ("leak", "M7-leak", "quality", 0),
    ],
)
def test_a_broken_rule_is_one_red_row_and_the_rest_still_runs(fault: str, check: str, status: str, code: int) -> None:
    arguments = ("--emulate", "placed", "--inject", fault, "--timeout", "2s")
    found = verdicts("--check", check, "--check", "P12", *arguments, code=code)
    assert found == {check: status, "P12": "pass"}


def test_a_known_failure_does_not_fail_the_run_and_one_that_holds_is_noted() -> None:
    arguments = ("--emulate", "placed", "--inject", "misaligned-pointer", "--known-failure", "M1")
    assert verdicts("--check", "M1", *arguments) == {"M1": "known"}
    document = vkmapctl("verify", "--check", "M1", "--known-failure", "M1", "--json", "--quiet").json()
    assert [note["code"] for note in document["warnings"]] == ["unexpected-pass"]


def test_junit_has_failures_errors_and_skips_with_reasons(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    arguments = ("--emulate", "placed", "--inject", "misaligned-pointer", "--quiet", "--junit", str(path))
    assert vkmapctl("verify", "--check", "M1", "--check", "P11", "--check", "P12", *arguments).code == 4
    suite = ET.parse(path).getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    assert "not aligned" in (suite[0][0].get("message") or "")
    assert suite[1][0].get("message") == "memoryMapRangePlaced is missing"
    assert vkmapctl("verify", "--check", "M1", "--junit", str(path)).code == 2, "it exists"


def test_list_needs_no_driver() -> None:
    listing = vkmapctl("verify", "--list", "--json", driver={"VK_LOADER_DRIVERS_SELECT": "none"})
    assert listing.code == 0
    checks = json.loads(listing.out)
    assert [one["id"] for one in checks][:2] == ["M1", "M2"]
    assert all(one["rule"] and one["title"] for one in checks)


def test_unknown_check_is_one_error_that_names_the_known() -> None:
    result = vkmapctl("verify", "--check", "M99")
    assert (result.code, result.errors()) == (2, ["Error: no check 'M99'"])
    assert "M3-mixed" in result.err


def test_selftest_catches_every_fault_and_complains_of_nothing_without() -> None:
    result = vkmapctl("selftest", "--json", "--quiet", timeout=120)
    document = result.json()
    assert document["baseline"] == []
    assert [trial["fault"] for trial in document["trials"] if not trial["caught"]] == []
    listed = vkmapctl("selftest", "--list").out.splitlines()
    assert {line.partition(":")[0] for line in listed} == {trial["fault"] for trial in document["trials"]}
    assert result.code == 0
