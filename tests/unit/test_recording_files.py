"""Recordings as files: shown, exported, compared; and files of strangers, which are clear errors."""

import csv
import io
import json
import re
import struct
import zipfile
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from recordings import Made, a_head, a_program_of_everything, a_program_that_keeps, write_recording

from vkmapctl import cli
from vkmapctl.errors import UsageProblem
from vkmapctl.figures.recorded import answered
from vkmapctl.model.documents import to_json
from vkmapctl.model.recording import Called
from vkmapctl.reports.schema import schema
from vkmapctl.saved.recordings import EVENT, HEAD, RecordingFile, is_recording


@pytest.fixture
def recording(tmp_path):
    return write_recording(tmp_path / "everything.vkrec", a_program_of_everything())


@pytest.fixture
def good(tmp_path):
    return write_recording(tmp_path / "good.vkrec", a_program_that_keeps())


def run(*words):
    return cli.main([str(word) for word in words])


# --- on the command line --------------------------------------------------------------------------


def test_show(recording, capsys):
    assert run("record", "show", recording) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("example: exit code 0, 135 ms")
    assert run("report", "show", recording) == 0
    assert capsys.readouterr().out == shown


def test_the_document_of_a_recording_is_shown_as_the_recording(recording, tmp_path, capsys):
    assert run("record", "show", recording) == 0
    shown = capsys.readouterr().out
    assert run("record", "show", recording, "--json") == 0
    saved = tmp_path / "saved.json"
    saved.write_text(capsys.readouterr().out)
    for words in (["record", "show", saved], ["report", "show", saved]):
        assert run(*words) == 0
        assert capsys.readouterr().out == shown


def test_json(recording, capsys):
    assert run("record", "show", recording, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    Draft202012Validator(schema("record")).validate(document)
    Draft202012Validator(schema()).validate(document)
    assert document["kind"] == "record"
    assert {"calls", "objects", "findings", "processes", "dropped"} <= set(document)
    first = document["calls"][0]
    assert (first["call"], first["count"], first["failed"]) == ("vkAllocateMemory", 1084, 1)
    assert first["latency"]["p50_ns"] > 0


def test_markdown(recording, capsys):
    assert run("record", "show", recording, "--markdown") == 0
    shown = capsys.readouterr().out
    assert "| vkAllocateMemory |" in shown
    assert "**allocates-per-use**" in shown
    assert run("report", "export", recording, "--format", "md") == 0
    assert capsys.readouterr().out == shown
    assert run("record", "show", recording, "--markdown", "--json") == 2


def test_csv(recording, capsys):
    assert run("report", "export", recording, "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert rows[0]["call"] == "vkAllocateMemory"
    assert rows[0]["errors"] == "VK_ERROR_OUT_OF_DEVICE_MEMORY=1"
    assert run("report", "export", recording, "--format", "junit") == 2


def test_a_page_has_charts_over_time(recording, tmp_path):
    page = tmp_path / "page.html"
    assert run("report", "export", recording, "--format", "html", "--output", page) == 0
    text = page.read_text()
    assert len(re.findall("<polyline", text)) == 2 * 4, "objects, and bytes in three ways, each wide and narrow"
    assert "Live objects over time" in text
    assert "Allocates, maps and frees a memory object for each use" in text
    assert "NaN" not in text
    assert run("report", "export", recording, "--format", "html", "--output", page) == 0, "ours is replaced"


def test_plots(recording, capsys):
    assert run("record", "show", recording, "--plot") == 0
    assert "live objects over time" in capsys.readouterr().out


def test_compare_before_and_after(recording, good, tmp_path, capsys):
    assert run("report", "compare", recording, good) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("nothing is newly found; 11 findings gone: never-returned, failed-calls, ")
    assert run("report", "compare", good, recording) == 5
    assert "newly found: never-returned, failed-calls" in capsys.readouterr().out
    assert run("report", "compare", good, recording, "--gate", "warn") == 0
    assert "(gate: warn)" in capsys.readouterr().out
    assert run("record", "show", recording, "--json") == 0
    (tmp_path / "saved.json").write_text(capsys.readouterr().out)
    assert run("report", "compare", tmp_path / "saved.json", good, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "compare-recordings"
    calls = {one["call"]: one for one in document["comparisons"][0]["calls"]}
    assert (calls["vkAllocateMemory"]["base_count"], calls["vkAllocateMemory"]["new_count"]) == (1084, 1)


def test_a_recording_compared_with_itself_is_the_same(recording, capsys):
    assert run("report", "compare", recording, recording) == 0
    shown = capsys.readouterr().out
    assert "gone" not in shown
    assert "1.00" in shown


def test_what_cannot_be_compared(recording, tmp_path, capsys):
    assert run("report", "compare", recording) == 2
    assert "is one recording" in capsys.readouterr().err
    (tmp_path / "other.json").write_text("{}")
    assert run("report", "compare", recording, tmp_path / "other.json") == 2
    assert "is not a saved run" in capsys.readouterr().err


def test_figures_must_be_a_stress_run(recording, capsys):
    assert run("record", "show", recording, "--figures", "/nonexistent") == 2
    assert run("record", "show", recording, "--figures", recording) == 2
    assert capsys.readouterr().err.count("Error:") == 2


def test_other_documents_are_no_recordings(tmp_path, capsys):
    from builders import a_run

    (tmp_path / "run.json").write_bytes(to_json(a_run()))
    assert run("record", "show", tmp_path / "run.json") == 2
    assert "is no recording" in capsys.readouterr().err


# --- files of strangers ---------------------------------------------------------------------------


def refused(path, capsys, words="is no recording that can be read"):
    """Whether it is one clear line, for each command that opens it."""
    for command in (["record", "show", path], ["report", "show", path], ["report", "compare", path, path]):
        assert run(*command) == 2
        told = capsys.readouterr()
        assert told.err.count("Error:") == 1
        assert words in told.err, told.err
        assert "Traceback" not in told.err


def packed(path, *, compression=zipfile.ZIP_DEFLATED, **entries):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in entries.items():
            file.writestr(name.replace("_", "-") if name != "head" else HEAD, data)
    return path


def head_of(*made, **changes):
    return json.dumps(json.loads(to_json(a_head(*made))) | changes)


def test_every_truncation_of_a_recording(recording, tmp_path, capsys):
    data = recording.read_bytes()
    cut = tmp_path / "cut.vkrec"
    for length in (*range(0, 60), *range(60, len(data), 997), len(data) - 1):
        cut.write_bytes(data[:length])
        assert run("record", "show", cut) == 2, length
        assert "Traceback" not in capsys.readouterr().err


def test_every_flipped_byte_is_an_error_or_a_recording(tmp_path, capsys):
    small = write_recording(tmp_path / "small.vkrec", Made().submit())
    data = small.read_bytes()
    for place in range(len(data)):
        small.write_bytes(data[:place] + bytes([data[place] ^ 0x41]) + data[place + 1 :])
        assert run("record", "show", small) in (0, 2), place
        assert "Traceback" not in capsys.readouterr().err


def test_a_file_of_nothing(tmp_path, capsys):
    (tmp_path / "empty").write_bytes(b"")
    refused(tmp_path / "empty", capsys, "is not a saved run")
    assert not is_recording(tmp_path / "empty")
    assert not is_recording(tmp_path)
    assert not is_recording(tmp_path / "nowhere")


def test_a_zip_of_other_things(tmp_path, capsys):
    refused(packed(tmp_path / "other.zip", letter="dear sir"), capsys)


@pytest.mark.parametrize(
    "head",
    [
        "", "[]", "{}", "null", '{"kind": "recording"}', "[" * 100_000, head_of(schema="vkmapctl/9"),
        head_of(program=5), head_of(processes=[{"pid": "x"}]), head_of(program={"name": "x", "seconds": -1}),
        head_of(program={"name": "x", "seconds": 1e300}),
        head_of(processes=[{"pid": 1, "parent": 1, "name": "", "events": 1}] * 5000),
    ],
    ids=range(12),
)  # fmt: skip
def test_a_head_that_is_none(tmp_path, capsys, head):
    refused(packed(tmp_path / "bad.vkrec", head=head), capsys)


def test_steering_characters_in_names_are_taken_out(tmp_path, capsys):
    named = head_of(program={"name": "\x1b[31mred\x07"}, faults_missing="\x1b]0;title\x07")
    assert run("record", "show", packed(tmp_path / "red.vkrec", head=named)) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "red" in shown


@pytest.mark.parametrize("call", [17, 255])
def test_a_call_that_there_is_not(tmp_path, capsys, call):
    made = Made().call(call)
    refused(write_recording(tmp_path / "bad.vkrec", made), capsys, f"there is no call {call}")


def test_a_record_that_is_cut(tmp_path, capsys):
    made = Made().submit()
    made.events += b"x"
    refused(write_recording(tmp_path / "bad.vkrec", made), capsys, "ends in the middle of a record")
    made = Made().submit()
    made.faults += b"x"
    refused(write_recording(tmp_path / "bad2.vkrec", made), capsys, "ends in the middle of a record")


def test_an_entry_that_claims_more_than_there_is(tmp_path, capsys):
    """The sizes of the directory at the end, which a reader trusts."""
    path = write_recording(tmp_path / "big.vkrec", Made().submit())
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\x01\x02", 0, data.rindex(b"events-0"))
    struct.pack_into("<I", data, place + 24, 0xFFFFFFFE)
    path.write_bytes(data)
    assert run("record", "show", path) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_refused(tmp_path, capsys, way):
    path = packed(tmp_path / "other.vkrec", compression=way, head=head_of(Made().submit()))
    refused(path, capsys, "packed in another way")


def test_what_it_claims_of_a_process_need_not_be_there(tmp_path):
    """Events without a process are not read; a process without events has none."""
    path = packed(tmp_path / "odd.vkrec", head=head_of(Made().submit()), events_7=b"x")
    report = answered(RecordingFile(path))
    assert report.calls == ()
    assert len(report.processes) == 1


def test_a_recording_is_read_as_often_as_one_likes(tmp_path):
    path = write_recording(tmp_path / "one.vkrec", Made().submit().submit())
    file = RecordingFile(path)
    assert len(list(file.events(0))) == len(list(file.events(0))) == 2
    assert [one.call for one in file.events(0)] == [Called.SUBMIT] * 2
    assert EVENT.size == 64


# --- the group ------------------------------------------------------------------------------------


def test_record_names_its_commands(capsys):
    assert run("record", "--help") == 0
    assert "show" in capsys.readouterr().out
    assert run("record") == 2


def test_a_word_that_is_no_command_is_a_program(monkeypatch):
    """As soon as there is a command that runs one."""
    import click

    from vkmapctl.commands import params
    from vkmapctl.commands.record import record

    seen = []

    @click.command(cls=params.Command, context_settings={"ignore_unknown_options": False})
    @click.option("--out")
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def running(out, words):
        seen.append((out, words))

    monkeypatch.setitem(record.commands, "run", running)
    for words in (
        ["--", "show", "--json", "-h"],
        ["--out", "a", "--", "vkcube", "--c", "300"],
        ["vkcube"],
        ["run", "--", "vkcube"],
    ):
        assert run("record", *words) == 0
    assert seen == [
        (None, ("show", "--json", "-h")),
        ("a", ("vkcube", "--c", "300")),
        (None, ("vkcube",)),
        (None, ("vkcube",)),
    ]


def test_a_problem_while_events_are_read_is_a_usage_problem(tmp_path):
    path = write_recording(tmp_path / "bad.vkrec", Made().call(99))
    with pytest.raises(UsageProblem):
        answered(RecordingFile(path))


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/full", "/proc/self", "/nowhere/x"])
def test_a_device_is_not_read_for_ever(path) -> None:
    with pytest.raises(UsageProblem, match="is no recording that can be read"):
        RecordingFile(Path(path))
