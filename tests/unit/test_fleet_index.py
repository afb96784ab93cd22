"""The index: derived from the files, the same however often it is made; what is hostile or cut is told, and costs
nothing else."""

import json
import multiprocessing
import os
import sqlite3
from contextlib import closing

import pytest
from fleets import Fleet, document, envelope, seen

from vkmapctl.errors import UsageProblem
from vkmapctl.fleet import store
from vkmapctl.fleet.index import Index
from vkmapctl.fleet.store import Store
from vkmapctl.model.documents import to_json


@pytest.fixture
def fleet(tmp_path):
    made = Fleet(tmp_path / "store")
    made.begin()
    made.answers("gpu01")
    made.answers("gpu02")
    made.end()
    return made


def contents(path):
    """Everything in an index, without the numbers that stand for words."""
    db = sqlite3.connect(path / "index.db")
    try:
        plain = {name: sorted(db.execute(f"SELECT * FROM {name}").fetchall())
                 for name in ("files", "runs", "answers", "gpus", "problems")}  # fmt: skip
        plain["documents"] = sorted(row[1:] for row in db.execute("SELECT * FROM documents"))
        plain["figures"] = sorted(db.execute(
            "SELECT d.run, d.host, d.name, r.text, m.text, f.value FROM figures f JOIN documents d"
            " ON d.id = f.document JOIN words r ON r.id = f.row JOIN words m ON m.id = f.metric"))  # fmt: skip
        return plain
    finally:
        db.close()


def observed(fleet):
    """The figures of its run."""
    with closing(Index(fleet.store)) as index:
        return list(index.observations(["one"]))


def problems(fleet):
    """What could not be read of it: by name."""
    with closing(Index(fleet.store)) as index:
        return {problem.name: problem.what for problem in index.problems("one")}


def test_what_it_yields_for_statistics(fleet):
    found = observed(fleet)
    assert {one.host for one in found} == {"gpu01", "gpu02"}
    first = found[0]
    kept = json.loads(document())["results"][0]
    assert (first.run, first.host, first.slot, first.row) == ("one", "gpu01", 0, "4 KiB, #2 Vi Co")
    assert (first.metric, first.value) == ("ns_per_pair", kept["ns_per_pair"])
    assert first.gpu == f"{seen('gpu01').uuid}@{seen('gpu01').pci}"
    assert (first.model, first.driver) == ("NVIDIA H100 80GB HBM3", "NVIDIA 580.159.04")
    assert first.kernel
    assert first.cpu
    assert len({one.workload for one in found}) == 1


def test_a_median_at_the_clocks_floor_is_no_figure(fleet):
    rows = json.loads(document())["results"]
    assert all(row["map"]["at_floor"] for row in rows)
    assert {one.metric for one in observed(fleet)} == {"ns_per_pair"}


def test_a_workload_is_the_same_however_it_is_laid_out(fleet):
    fleet.put("gpu03", "0-stress.json.gz", store.packed(json.dumps(json.loads(document("gpu03")), indent=3).encode()))
    assert len({one.workload for one in observed(fleet)}) == 1


def test_made_again_it_is_the_same(fleet, tmp_path):
    Index(fleet.store).close()
    fleet.begin("two", started="2026-11-27T01:00:00+00:00")
    fleet.answers("gpu01", "two")
    fleet.put("gpu02", "0-stress.json.gz", b"half", "two")
    Index(fleet.store).close()
    grown = contents(fleet.store.path)
    Index(fleet.store, again=True).close()
    assert contents(fleet.store.path) == grown
    assert len(grown["problems"]) == 1


def test_nothing_is_read_twice(fleet, monkeypatch):
    Index(fleet.store).close()
    monkeypatch.setattr("vkmapctl.fleet.index.read_document", lambda data: pytest.fail("a document was read again"))
    Index(fleet.store).close()


@pytest.mark.parametrize("damage", [b"", b"no database", b"SQLite format 3\0" + bytes(5000)])
def test_an_index_that_is_damaged_is_made_again(fleet, damage):
    Index(fleet.store).close()
    before = contents(fleet.store.path)
    (fleet.store.path / "index.db").write_bytes(damage)
    Index(fleet.store).close()
    assert contents(fleet.store.path) == before


def test_an_index_of_another_version_is_made_again(fleet):
    Index(fleet.store).close()
    before = contents(fleet.store.path)
    db = sqlite3.connect(fleet.store.path / "index.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    Index(fleet.store).close()
    assert contents(fleet.store.path) == before


def _index(path):
    Index(Store(path)).close()


def test_two_processes_at_once_make_one_index(fleet):
    both = [multiprocessing.Process(target=_index, args=(fleet.store.path,)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
        assert one.exitcode == 0
    assert len(contents(fleet.store.path)["documents"]) == 2


def test_a_store_that_cannot_be_written_is_read_all_the_same(fleet, monkeypatch):
    opened = os.open

    def refuse(path, flags, *mode, **more):
        if str(path).endswith("index.lock"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, flags, *mode, **more)

    monkeypatch.setattr(os, "open", refuse)
    assert len(observed(fleet)) == 4
    assert not (fleet.store.path / "index.db").exists()


def test_what_is_no_store(tmp_path):
    with pytest.raises(UsageProblem, match="is no store"):
        Index(Store(tmp_path))


NESTED = b'{"kind":"stress","schema":"vkmapctl/1","outcome":"ok","exit_code":0,"workload":' + b"[" * 100_000
HOSTILE = {
    "0-stress.json.gz": b"half of a document",
    "1-stress.json.gz": store.packed(document())[:-9],
    "2-stress.json.gz": store.packed(document()[:-9]),
    "3-stress.json.gz": store.packed(bytes(store.LARGEST_DOCUMENT + 1)),
    "4-stress.json.gz": store.packed(NESTED),
    "5-stress.json.gz": store.packed(document(schema="vkmapctl/9")),
    "6-stress.json.gz": store.packed(document(kind="stress", outcome=7)),
    "7-stress.json.gz": store.packed(b"[]"),
    "8-probe.json.gz": store.packed(document(devices=json.loads(document())["devices"] * 2)),
    "envelope.json": b"{}",
    "envelope-2.json": to_json(envelope("gpu01")),
    "envelope-3.json": to_json(envelope("gpu03", "other")),
    "envelope-4.json": to_json(envelope("gpu03", seen=(seen(slot=-1),))),
    "envelope-5.json": to_json(envelope("gpu03", seen=(seen(slot=1), seen(slot=1)))),
    "envelope-6.json": b" " * (store.LARGEST_SMALL + 1),
    "evil.sh": b"#!/bin/sh",
    "0-stress.json.gz\nrm": b"",
    "\x1b[31m.json": b"",
    "9999-stress-12345.json.gz": b"",
}


def test_what_is_hostile_or_half_written_is_told_and_costs_nothing_else(fleet):
    sound = observed(fleet)
    folder = fleet.store.host_folder("one", "gpu03")
    for name, data in HOSTILE.items():
        (folder / name).write_bytes(data)
    (folder / "17-probe.json.gz").symlink_to("/etc/passwd")
    os.mkfifo(folder / "18-probe.json.gz")
    (folder / "19-probe.json.gz").mkdir()
    told = problems(fleet)
    assert len(told) == len(HOSTILE) + 3
    assert all(name.isprintable() and what.isprintable() and what for name, what in told.items())
    assert "cut off" in told["1-stress.json.gz"]
    assert observed(fleet) == sound


def test_what_was_half_written_is_read_once_it_is_whole(fleet):
    folder = fleet.store.host_folder("one", "gpu03")
    whole = store.packed(document("gpu03"))
    (folder / "0-stress.json.gz").write_bytes(whole[:-100])
    assert problems(fleet)
    (folder / "0-stress.json.gz").write_bytes(whole)
    assert not problems(fleet)
    assert "gpu03" in {one.host for one in observed(fleet)}


def test_text_of_a_document_is_cleaned_and_figures_that_no_machine_measures_are_left_out(fleet):
    rows = json.loads(document())["results"]
    rows[0] |= {"job": "\x1b[31mred\n\u202e" + "x" * 5000, "ns_per_pair": -1.0}
    rows[0]["map"] |= {"at_floor": False, "p50_ns": 1e300}
    rows[0]["unmap"] |= {"at_floor": False, "p50_ns": 42.0}
    rows[1] |= {"status": "crashed"}
    fleet.put("gpu03", "0-stress.json.gz", store.packed(document("gpu03", results=rows, host={"kernel": "\0\x07"})))
    found = [one for one in observed(fleet) if one.host == "gpu03"]
    assert [(one.metric, one.value) for one in found] == [("unmap.p50", 42.0)]
    assert found[0].row.isprintable()
    assert len(found[0].row) <= 200
    assert found[0].kernel.isprintable()


def test_the_latest_document_of_a_gpu_counts(fleet):
    rows = json.loads(document())["results"]
    rows[0]["ns_per_pair"] = 1234.5
    fleet.put("gpu01", "0-stress.json.gz", store.packed(document(results=rows)))
    found = [one for one in observed(fleet) if one.host == "gpu01"]
    assert found[0].value == 1234.5
    assert len(found) == 2
