"""A fleet's run as programs see it: exports, read by parsers that are not ours."""

import csv
import io
import json
import xml.etree.ElementTree as ET

import pytest
from fleet_sweeps import HOSTILE, a_sweep
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from vkmapctl.figures.outliers import judge
from vkmapctl.reports import FLEET_FORMATS, fleet
from vkmapctl.reports.outliers import gpu_text, summary

SWEEP = a_sweep(runs=7)


def test_a_fleet_without_peers_has_no_verdict() -> None:
    assert summary(judge([])) == "no verdict: no run has figures"
    alone = a_sweep(hosts=1, a_host=3).outliers
    assert summary(alone) == "no verdict: there are no peers to compare"


@pytest.mark.parametrize(
    ("key", "shown"),
    [("ecb42e8c00@0000:3b:00.0", "3b:00.0 ecb42e8c"), ("ecb42e8c00@", "ecb42e8c"), ("@0001:3b:00.0", "0001:3b:00.0")],
)
def test_a_gpu_is_called_by_its_address_and_the_start_of_its_uuid(key, shown) -> None:
    assert gpu_text(key) == shown


def test_openmetrics_has_few_series_no_timestamps_and_both_parsers_read_it() -> None:
    text = fleet.export(SWEEP, "openmetrics").decode()
    for parser in (openmetrics, prometheus):
        samples = [sample for family in parser(text) for sample in family.samples]
        assert all(sample.timestamp is None for sample in samples)
        by_name = {(one.name, tuple(one.labels.values())): one.value for one in samples}
        assert by_name["vkmapctl_fleet_gpus", ("ok",)] == 63
        assert by_name["vkmapctl_fleet_gpus", ("interrupted",)] == 0
        assert by_name["vkmapctl_fleet_outliers", ("suspect", "peers")] == 1
        assert by_name["vkmapctl_fleet_not_well", ("gpu0002", "3", "suspect")] == 1
        assert by_name["vkmapctl_fleet_start_timestamp_seconds", ()] == 1772330400
    assert len(samples) < 45


def test_openmetrics_of_a_fleet_that_is_silent_stays_small() -> None:
    sweep = a_sweep(hosts=100)
    gone = tuple(entry for entry in sweep.ledger.entries if entry.state == "missing") * 100
    silent = sweep._replace(ledger=type(sweep.ledger)(run=sweep.ledger.run, entries=gone))
    text = fleet.export(silent, "openmetrics").decode()
    assert f'vkmapctl_fleet_gpus{{state="missing"}} {len(gone)}' in text
    assert text.count("vkmapctl_fleet_not_well{") == fleet.MOST_SERIES


def test_csv_and_json_lines_have_a_line_for_each_gpu() -> None:
    rows = list(csv.DictReader(io.StringIO(fleet.export(SWEEP, "csv").decode(), newline="")))
    objects = [json.loads(line) for line in fleet.export(SWEEP, "jsonl").splitlines()]
    assert len(rows) == len(objects) == 80
    assert [(one["host"], one["slot"]) for one in objects if one["verdict"] == "suspect"] == [("gpu0002", 3)]
    suspect = next(row for row in rows if row["verdict"] == "suspect")
    assert (suspect["against"], suspect["state"]) == ("peers", "ok")
    assert 0.1 < float(suspect["shift"]) < 0.2
    assert {one["state"] for one in objects if one["host"] == "gpu0008"} == {"missing"}


def test_junit_has_a_case_for_each_expected_gpu() -> None:
    root = ET.fromstring(fleet.export(SWEEP, "junit"))
    (suite,) = root
    cases = suite.findall("testcase")
    assert len({case.get("name") for case in cases}) == len(cases) == 80
    assert (suite.get("failures"), suite.get("errors")) == ("9", "8")
    red = {case.get("name"): case.find("failure") for case in cases if case.find("failure") is not None}
    assert red["gpu0002 slot 3"].get("message").startswith("suspect: 15.")
    assert red["gpu0006 slot 0"].get("message").startswith("failed: the driver crashed")
    foreign = a_sweep()
    entries = tuple(type(one)(host=one.host, slot=one.slot, state="foreign") for one in foreign.ledger.entries)
    stranger = foreign._replace(ledger=type(foreign.ledger)(run=foreign.ledger.run, entries=entries))
    assert ET.fromstring(fleet.export(stranger, "junit")).findall(".//testcase") == []


@pytest.mark.parametrize("wanted", FLEET_FORMATS)
def test_hostile_text_breaks_no_form(wanted) -> None:
    data = fleet.export(a_sweep(hostile=True), wanted)
    if wanted == "html":
        assert b"</script><b>" not in data
        assert data.count(b"</script>") == 2
    elif wanted == "junit":
        told = [one.get("message") for one in ET.fromstring(data).findall(".//failure")]
        assert any(HOSTILE.strip() in message for message in told)
    elif wanted == "csv":
        assert all(len(row) == 17 for row in csv.reader(io.StringIO(data.decode(), newline="")))
    elif wanted == "jsonl":
        assert json.loads(data.splitlines()[40])["why"] == HOSTILE


@pytest.mark.parametrize("wanted", FLEET_FORMATS)
def test_an_empty_fleet_has_every_form(wanted) -> None:
    sweep = a_sweep()
    empty = fleet.Sweep(type(sweep.ledger)(run=sweep.ledger.run), judge([]), {})
    assert fleet.export(empty, wanted) is not None


def test_the_page_draws_what_it_says() -> None:
    page = fleet.export(SWEEP, "html").decode()
    assert page.count('role="gridcell"') == 80
    assert page.index("What is odd") < page.index("What is not simply ok") < page.index("The fleet, one cell")
    assert "<polyline" in page
