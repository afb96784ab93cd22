"""The store: every file appears whole and none is replaced, whoever writes at the same time; read without trust."""

import multiprocessing
import os

import pytest
from fleets import Fleet, document

from vkmapctl.errors import UsageProblem
from vkmapctl.fleet import parcel, store
from vkmapctl.model.fleet import Envelope, FleetRun, Roster

WRITERS, FILES = 2, 100


def _write(folder, number):
    for count in range(FILES):
        store.put(folder, "envelope.json", f"{number} {count} ".encode() * 1000)


def test_two_processes_that_write_the_same_name_lose_nothing(tmp_path):
    writers = [multiprocessing.Process(target=_write, args=(tmp_path, number)) for number in range(WRITERS)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
        assert one.exitcode == 0
    found = sorted(path.read_text() for path in tmp_path.iterdir())
    assert found == sorted(f"{number} {count} " * 1000 for number in range(WRITERS) for count in range(FILES))
    assert all(store.ANSWER.fullmatch(path.name) for path in tmp_path.iterdir()), "no part is left"


def test_a_file_system_without_links_keeps_the_first_too(tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    assert [store.put(tmp_path, "0-probe.json.gz", data) for data in (b"first", b"second")] == [
        "0-probe.json.gz",
        "0-probe-2.json.gz",
    ]
    assert (tmp_path / "0-probe.json.gz").read_bytes() == b"first"


def test_a_roster_is_kept_as_it_was_said_and_not_replaced_by_chance(tmp_path):
    to = store.Store(tmp_path / "fleet")
    roster = Roster(tuple(f"gpu{n:02}" for n in range(1, 17)), 8, 'the "north" wing', "2026-11-26", True)
    to.write_roster(roster)
    assert to.roster() == roster
    assert "gpu[01-16]" in (tmp_path / "fleet" / "roster.toml").read_text()
    with pytest.raises(UsageProblem, match="has a roster"):
        to.write_roster(Roster(("other",)))
    to.write_roster(Roster(("other",)), force=True)
    assert to.roster().hosts == ("other",)


@pytest.mark.parametrize(
    "text",
    ["", "hosts = 3", "hosts = 'gpu['", "hosts = 'a'\ngpus = -1", "hosts = 'a'\ngpus = 1000",
     "hosts = 'x[1-999999999]'", "\0", "hosts = '../../etc'", "[" * 10_000],
)  # fmt: skip
def test_a_roster_that_is_none_is_told_as_such(tmp_path, text):
    (tmp_path / "roster.toml").write_text(text)
    with pytest.raises(UsageProblem, match="is no roster"):
        store.Store(tmp_path).roster()


def test_the_same_run_is_not_begun_twice(tmp_path):
    fleet = Fleet(tmp_path)
    fleet.begin()
    with pytest.raises(UsageProblem, match="has a run one"):
        fleet.begin()


@pytest.mark.parametrize("text", ["", ".", "..", "../x", "a/b", "-run", "a" * 101, "a\n", "ü"])
def test_a_run_is_called_what_a_folder_can_be(text):
    with pytest.raises(ValueError, match="no run's id"):
        store.check_id(text)


def test_ids_of_two_sweeps_of_the_same_second_differ():
    assert len({store.new_id(("probe",)) for _ in range(20)}) > 15


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda data: data[:-20], "cut off"),
        (lambda data: b"", "cut off"),
        (lambda data: b"{}" + data, "not gzipped"),
        (lambda data: data[:100] + bytes(50) + data[150:], "damaged|cut off"),
    ],
)
def test_a_document_that_is_damaged_is_not_read(damage, what):
    with pytest.raises(ValueError, match=what):
        store.unpacked(damage(store.packed(document())))


def test_a_bomb_is_not_unpacked():
    with pytest.raises(ValueError, match="larger than"):
        store.unpacked(store.packed(bytes(store.LARGEST_DOCUMENT + 1)))


def test_neither_a_link_nor_a_pipe_nor_a_folder_is_read(tmp_path):
    (tmp_path / "secret").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder"):
        with pytest.raises((OSError, ValueError)):
            store.read(tmp_path / name, 100)


def test_a_parcel_carries_a_hosts_answer_and_keeps_what_is_there(tmp_path):
    theirs, ours = Fleet(tmp_path / "theirs"), Fleet(tmp_path / "ours")
    theirs.begin()
    theirs.answers("gpu01")
    lines = list(parcel.packed(theirs.store.host_folder("one", "gpu01")))
    folder = ours.store.host_folder("one", "gpu01")
    parcel.unpack(lines, folder)
    names = {"begun.json", "envelope.json", "0-stress.json.gz"}
    assert {path.name for path in folder.iterdir()} == names
    parcel.unpack(lines, folder)
    again = store.read_as(folder / "envelope-2.json", Envelope)
    assert again.seen[0].document == "0-stress-2.json.gz"


def test_a_parcel_of_something_else_leaves_nothing(tmp_path):
    import base64
    import io
    import tarfile

    def tar(name, *, kind=tarfile.REGTYPE, size=2):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as file:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, size if kind == tarfile.REGTYPE else 0, "/etc/passwd"
            file.addfile(entry, io.BytesIO(bytes(size)))
        return base64.b64encode(buffer.getvalue())

    folder = tmp_path / "gpu01"
    folder.mkdir()
    hostile = [
        b"Last login: Monday",
        base64.b64encode(b"no tar at all"),
        tar("../../escaped"),
        tar("/etc/cron.d/mine"),
        tar("envelope.json", kind=tarfile.SYMTYPE),
        tar("envelope.json", kind=tarfile.LNKTYPE),
        tar("envelope.json", size=store.LARGEST_SMALL + 1),
        tar("envelope.json"),
        tar("index.db"),
    ]
    for lines in hostile:
        with pytest.raises(ValueError, match=r"\S"):
            parcel.unpack([lines], folder)
    assert not list(folder.iterdir())
    assert not (tmp_path / "escaped").exists()


def test_a_run_has_what_it_takes_to_be_judged(tmp_path):
    fleet = Fleet(tmp_path)
    fleet.begin(options={"partition": "gpu"})
    read = store.read_as(tmp_path / "runs" / "one" / "run.json", FleetRun)
    assert (read.hosts, read.gpus, read.command, read.options) == (
        "gpu[01-02]", 1, ("stress", "size-sweep"), {"partition": "gpu"},
    )  # fmt: skip
