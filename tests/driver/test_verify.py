"""verify and selftest on lavapipe, plain and through the test layer."""

import json
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cli_runner import LAVAPIPE, RADV_NULL, environment, vkmapctl

from vkmapctl.reports.schema import schema


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
    assert {"M9", "P11", "P16", "Q1", "R1", "R1-all", "R8"} <= set(found)


@pytest.mark.parametrize("fault", ["tramples-neighbours", "place-replaces-64k"])
def test_a_driver_that_tramples_breaks_one_rule_and_no_other(fault: str) -> None:
    checks = ["P1", "P2", "P3", "P4", "P7", "P8", "P14", "P16", "R2", "R3", "R7"]
    chosen = [word for check in checks for word in ("--check", check)]
    found = verdicts(*chosen, "--emulate", "placed", "--inject", fault, code=4)
    assert found == {check: "fail" if check == "P2" else "pass" for check in checks}


def test_a_driver_that_refuses_a_first_placed_map_breaks_one_rule_and_no_other() -> None:
    checks = ["P1", "P1-first", "P5", "P7", "P14", "R2", "R8"]
    chosen = [word for check in checks for word in ("--check", check)]
    found = verdicts(*chosen, "--emulate", "placed", "--inject", "first-place-refused", code=4)
    assert found == {check: "fail" if check == "P1-first" else "pass" for check in checks}


def test_each_way_of_refusing_is_told_from_the_others() -> None:
    chosen = ("--check", "R1", "--check", "R1-none", "--check", "R1-all")
    found = verdicts(*chosen, "--emulate", "placed", "--inject", "reserve-ignores-none", code=4)
    assert found == {"R1": "pass", "R1-none": "fail", "R1-all": "fail"}


def test_the_largest_map_is_told_to_the_byte() -> None:
    arguments = ("--check", "M11", "--emulate", "placed", "--inject", "large-maps-fail", "--json", "--quiet")
    (row,) = vkmapctl("verify", *arguments).json()["results"]
    assert row["status"] == "quality"
    assert row["detail"].startswith("the largest is 64 MiB (67108864 bytes); 67174400 bytes are allocated, but not")


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


def test_a_file_says_on_which_driver_what_may_break(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    entry = '[[known]]\ncheck = "M1"\nreason = "off by 8"\ndriver = "{}"\nmemory_type = "De Vi Co Ca"\n'
    arguments = ("verify", "--check", "M1", "--emulate", "placed", "--known-failures", str(path), "--json", "--quiet")
    path.write_text(entry.format("llvmpipe"))
    broken = vkmapctl(*arguments, "--inject", "misaligned-pointer")
    (row,) = broken.json()["results"]
    assert (broken.code, row["status"]) == (0, "known")
    assert row["detail"].endswith("is not aligned (known: off by 8)")
    mended = vkmapctl(*arguments)
    assert [note["message"] for note in mended.json()["warnings"]] == [
        "M1 (memory type De Vi Co Ca, llvmpipe) is listed as a known failure and unexpectedly passes: off by 8"
    ]
    path.write_text(entry.format("radv"))
    other = vkmapctl(*arguments, "--inject", "misaligned-pointer")
    assert (other.code, other.json()["warnings"]) == (4, [])


def test_a_driver_that_hangs_in_every_map_ends_soon_and_says_what_was_not_tried() -> None:
    result = vkmapctl("verify", "--emulate", "placed", "--inject", "map-hangs", "--timeout", "1s", "--json", "--quiet")
    statuses = [row["status"] for row in result.json()["results"]]
    assert (result.code, result.json()["outcome"]) == (6, "hung")
    assert (statuses.count("hung"), statuses.count("not-run")) == (3, len(statuses) - 3 - statuses.count("skip"))
    assert statuses[:4] == ["hung", "hung", "hung", "not-run"]


def test_junit_has_failures_errors_and_skips_with_reasons(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    arguments = ("--emulate", "placed", "--inject", "misaligned-pointer", "--quiet", "--junit", str(path))
    assert vkmapctl("verify", "--check", "M1", "--check", "P11", "--check", "P12", *arguments).code == 4
    suite = ET.parse(path).getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    cases = suite.findall("testcase")
    assert "not aligned" in (cases[0][0].get("message") or "")
    assert cases[1][0].get("message") == "memoryMapRangePlaced is missing"
    assert vkmapctl("verify", "--check", "M1", "--quiet", "--junit", str(path)).code == 0, "a rerun replaces it"
    assert ET.parse(path).getroot()[0].get("tests") == "1"


def test_list_needs_no_driver() -> None:
    listing = vkmapctl("verify", "--list", "--json", driver={"VK_LOADER_DRIVERS_SELECT": "none"})
    assert listing.code == 0
    checks = json.loads(listing.out)
    assert [one["id"] for one in checks][:2] == ["M1", "M2"]
    assert all(one["rule"] and one["title"] for one in checks)


def test_what_was_seen_is_told_once_and_passes_only_where_asked_for() -> None:
    chosen = (
        "--check",
        "M1",
        "--check",
        "M6",
        "--check",
        "P11",
        "--emulate",
        "placed",
        "--inject",
        "misaligned-pointer",
    )
    result = vkmapctl("verify", *chosen)
    assert result.code == 4
    assert result.out.startswith("1 of 2 checks fails on llvmpipe")
    assert result.err.splitlines()[-2:] == ["M1: fail", "M6: pass"]
    assert result.out.count("is not aligned") == 1
    assert "not aligned" not in result.err
    assert "breaks: Aligned vector loads" in result.out
    assert "P11 skipped: memoryMapRangePlaced is missing" in result.out
    assert "M6" not in result.out
    assert "mapped objects do not share addresses" in vkmapctl("verify", *chosen, "--verbose").out


def test_unknown_check_is_one_error_that_names_the_known() -> None:
    result = vkmapctl("verify", "--check", "M99")
    assert (result.code, result.errors()) == (2, ["Error: no check 'M99'"])
    assert "M3-mixed" in result.err


def test_selftest_catches_every_fault_and_complains_of_nothing_without() -> None:
    result = vkmapctl("selftest", "--json", "--quiet", timeout=180)
    document = result.json()
    assert "VK_LAYER_VKMAPCTL_test" in document["layers"]
    assert document["baseline"] == []
    assert [trial for trial in document["trials"] if not trial["caught"]] == []
    assert all(trial["how"].partition(":")[0] in trial["expected"] for trial in document["trials"])
    listed = vkmapctl("selftest", "--list").out.splitlines()
    assert {line.partition(":")[0] for line in listed} == {trial["fault"] for trial in document["trials"]}
    assert result.code == 0


def test_a_trial_that_ctrl_c_ends_is_not_caught(tmp_path: Path) -> None:
    saved = tmp_path / "selftest.json"
    with subprocess.Popen(
        [sys.executable, "-m", "vkmapctl", "selftest", "--save", str(saved)],
        env=environment(LAVAPIPE),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        for _ in range(3):  # finished trials, told on standard error
            assert "noticed" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.stderr.read()
        assert process.wait(30) == 130
    document = json.loads(saved.read_text())
    assert document["outcome"] == "interrupted"
    assert 3 <= len(document["trials"]) < 20
    assert all(trial["caught"] for trial in document["trials"])


@pytest.mark.parametrize(
    "asked", [("probe",), ("doctor",), ("verify", "--check", "M1"), ("stress", "--iterations", "100")]
)
def test_the_schema_holds_of_what_is_printed(asked) -> None:
    jsonschema.validate(vkmapctl(*asked, "--json", "--quiet").json(), schema(asked[0]))
