"""The benchmark runs and fills every row; what the figures are is no test's business."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "benchmarks" / "run.py"
NAMES = {
    "read by 1", "read by 4", "read by 16", "write by 1", "write by 4", "write by 16",
    "non-temporal read", "non-temporal write",
    "rate v1", "latency v1", "wrappers", "raw cffi", "write 64 KiB", "verify 64 KiB", "copy 64 KiB", "threads 2",
    "stress v1", "probe", "probe --json", "--version", "memory", "ordinary map, #0, 64 KiB",
    "ordinary unmap, #0, 64 KiB, 2 threads", "allocate+free pair, 64 KiB", "allocate, 64 KiB",
    "free after allocate, 64 KiB", "import+free pair, 64 KiB", "import, 64 KiB", "free after import, 64 KiB",
    "flush, 64 KiB",
    "busy rate core", "round trip 256 B", "recorded call", "calls kept",
}  # fmt: skip
OF_CLIENTS = {"record_programs"}  # which make test-clients installs
SERIES = {
    "map size", "live objects", "set-up of live objects", "threads", "rows of a run", "histogram", "saved file",
    "report show",
}  # fmt: skip


def run(folder, *flags):
    file = folder / "figures.json"
    done = subprocess.run(
        [sys.executable, str(RUN), "--quick", *flags, "--json", str(file)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text())


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return run(tmp_path_factory.mktemp("bench"))


def test_every_row_is_there(result):
    _, document = result
    assert {row["row"] for row in document["rows"]} >= NAMES


def test_every_row_has_figures(result):
    for row in result[1]["rows"]:
        if row["value"] is None:
            assert row["row"] in OF_CLIENTS, row
            continue
        assert math.isfinite(row["value"]), row
        assert row["value"] > 0, row
        if row["reference"] is None:
            assert row["note"] or not row["limit"], row
        elif row["how"]:
            assert row["low"] <= row["judged"] <= row["high"], row


def test_every_row_with_a_limit_is_judged(result):
    for row in result[1]["rows"]:
        if row["limit"] and row["reference"] is not None:
            assert row["met"] in (True, False), row


def test_each_way_to_map_is_measured_beside_c(tmp_path):
    rows = {row["row"]: row for row in run(tmp_path, "--emulate")[1]["rows"]}
    calls = [f"{way} {call}, #0, 64 KiB" for way in ("ordinary", "placed", "reserve") for call in ("map", "unmap")]
    assert set(rows) == {f"{call}{threads}" for call in calls for threads in ("", ", 2 threads")}
    for row in rows.values():
        assert row["value"] > 0, row
        assert row["reference"] > 0, row


def test_growth_has_points(result):
    series = {one["name"]: one["points"] for one in result[1]["growth"]}
    assert set(series) == SERIES
    for name in SERIES - {"report show"}:
        assert series[name], name


def test_the_table_shows_each_row(result):
    text, document = result
    for row in document["rows"]:
        assert f"| {row['row']} |" in text
