"""`fleet outliers` and `fleet export` on a store: which runs are put side by side, and what is to be run again."""

import json
import random
import xml.etree.ElementTree as ET

import pytest
from fleets import COMMAND, Fleet, document, seen

from vkmapctl.cli import main
from vkmapctl.commands.fleet_outliers import odd_hosts
from vkmapctl.fleet import store as stores

HOSTS, GPUS = [f"gpu{i:02}" for i in range(1, 6)], 4
SLOW = ("gpu03", 2)


def scaled(host, slot, factor):
    """A document whose figures are so many times the kept run's."""
    found = json.loads(document(host, slot))
    for row in found["results"]:
        row["ns_per_pair"] *= factor
        for call in ("map", "unmap"):
            row[call]["p50_ns"] *= factor
    return json.dumps(found).encode()


def measures(fleet, run, hosts=HOSTS, slow=1.2, started="2026-11-26T01:00:00+00:00", **changed):
    """A run in which SLOW is slower, and the others differ by a few tenths of a per cent."""
    draw = random.Random(run)
    fleet.begin(run, hosts=",".join(hosts), started=started, **changed)
    for host in hosts:
        fleet.answers(host, run, seen=tuple(seen(host, slot, document="") for slot in range(GPUS)))
        folder = fleet.store.host_folder(run, host)
        for slot in range(GPUS):
            factor = draw.uniform(0.997, 1.003) * (slow if (host, slot) == SLOW else 1)
            (folder / f"{slot}-stress.json.gz").write_bytes(stores.packed(scaled(host, slot, factor)))
    fleet.end(run)


@pytest.fixture
def fleet(tmp_path):
    made = Fleet(tmp_path / "store", HOSTS, GPUS)
    measures(made, "one")
    return made


def outliers(fleet, capsys, *more):
    code = main(["fleet", "outliers", str(fleet.store.path), "--json", *more])
    return code, json.loads(capsys.readouterr().out)


def test_one_run_says_what_to_run_again_and_the_repetition_makes_a_suspect_of_it(fleet, capsys):
    code, found = outliers(fleet, capsys)
    assert code == 0
    assert [(one["verdict"], one["host"]) for one in found["found"]] == [("run-again", "gpu03")]
    assert odd_hosts(fleet.store.path, None) == ["gpu03"]
    measures(fleet, "again", ["gpu03"], started="2026-11-26T02:00:00+00:00", again="one")
    code, found = outliers(fleet, capsys)
    assert code == 5
    (one,) = found["found"]
    assert (one["verdict"], one["against"], one["runs"]) == ("suspect", "peers", ["again", "one"])
    assert one["gpu"].endswith("@0000:03:00.0")
    assert one["shift"] == pytest.approx(0.2, abs=0.02)


def test_a_run_of_another_command_is_not_compared(fleet, capsys):
    other = ("stress", "threads")
    measures(fleet, "two", slow=1.0, started="2026-11-26T02:00:00+00:00", command=other)
    _, found = outliers(fleet, capsys)
    assert found["runs"] == ["two"]
    _, found = outliers(fleet, capsys, "--run", "one")
    assert found["runs"] == ["one"]


def test_a_run_can_be_asked_for_and_later_ones_say_nothing_of_it(fleet, capsys):
    measures(fleet, "two", slow=1.0, started="2026-11-26T02:00:00+00:00")
    _, found = outliers(fleet, capsys)
    assert [(one["verdict"], one["host"]) for one in found["found"]] == [("cleared", "gpu03")]
    _, found = outliers(fleet, capsys, "--run", "one")
    assert [(one["verdict"], one["host"]) for one in found["found"]] == [("run-again", "gpu03")]
    assert main(["fleet", "outliers", str(fleet.store.path), "--run", "none"]) == 2


def test_without_figures_there_is_no_verdict(tmp_path, capsys):
    made = Fleet(tmp_path / "store")
    made.begin()
    made.end()
    assert main(["fleet", "outliers", str(made.store.path)]) == 0
    assert "no verdict: no run has figures" in capsys.readouterr().out


def test_node_problem_detector_is_told_1(fleet, capsys):
    measures(fleet, "two", started="2026-11-26T02:00:00+00:00")
    assert outliers(fleet, capsys, "--exit-style", "npd")[0] == 1


def test_an_export_is_written_whole_and_again(fleet, tmp_path, capsys):
    path = tmp_path / "fleet.xml"
    for _ in range(2):
        assert main(["fleet", "export", str(fleet.store.path), "--format", "junit", "--output", str(path)]) == 0
    assert len(ET.parse(path).findall(".//testcase")) == len(HOSTS) * GPUS
    metrics = tmp_path / "fleet.prom"
    command = ["fleet", "export", str(fleet.store.path), "--format", "openmetrics", "--output", str(metrics)]
    assert main(command) == 0
    assert main(command) == 0, "every night"
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []
    capsys.readouterr()
    assert main(["fleet", "export", str(fleet.store.path), "--format", "jsonl"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(HOSTS) * GPUS


def test_a_repetition_is_not_what_is_exported_by_default(fleet, capsys):
    measures(fleet, "again", ["gpu03"], started="2026-11-26T02:00:00+00:00", again="one")
    assert main(["fleet", "export", str(fleet.store.path), "--format", "jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["run"] for one in lines} == {"one"}
    assert [one["verdict"] for one in lines if one["verdict"]] == ["suspect"]
    assert COMMAND[0] == "stress"
