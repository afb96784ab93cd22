"""Saved documents: never half a file, never a lost one, never a traceback for a bad one."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys

import pytest
from builders import a_device, a_latency, a_probe, a_probe_report, a_row, a_run
from damage import DOCUMENTS as MADE_UP
from hypothesis import given
from hypothesis import strategies as st

from vkmapctl.errors import UsageProblem
from vkmapctl.model.base import Note
from vkmapctl.model.bins import edge
from vkmapctl.model.documents import SCHEMA, Tool, indented, to_json
from vkmapctl.model.measured import Bins
from vkmapctl.report import export
from vkmapctl.saved.decoding import decode
from vkmapctl.saved.files import Sink, load

RUN = a_run(a_row(), a_row(api="v1", status="failed", reason="VK_ERROR_MEMORY_MAP_FAILED in map (step 0)"))


# --- writing --------------------------------------------------------------------------------------


def test_a_new_file_appears_with_the_first_document_and_no_other_file(tmp_path):
    path = tmp_path / "run.json"
    sink = Sink(path, force=False)
    assert list(tmp_path.iterdir()) == []
    sink.save(a_run())
    sink.save(RUN)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == to_json(RUN)


def test_the_file_is_replaced_and_never_rewritten(tmp_path):
    """A reader that has the old file open goes on reading the old document."""
    path = tmp_path / "run.json"
    sink = Sink(path, force=False)
    sink.save(a_run())
    with path.open("rb") as old:
        sink.save(RUN)
        assert old.read() == to_json(a_run())


def test_others_can_read_it_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        Sink(tmp_path / "run.json", force=False).save(RUN)
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run.json").stat().st_mode) == 0o640


def test_an_existing_file_is_kept_without_force(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("precious")
    with pytest.raises(UsageProblem, match="exists") as caught:
        Sink(path, force=False)
    assert "--force" in caught.value.hints[0]
    sink = Sink(path, force=True)
    assert path.read_text() == "precious"
    sink.save(RUN)
    assert load(path) == RUN


def test_a_rerun_replaces_a_report_and_no_saved_run(tmp_path):
    """A workspace that CI keeps: the old report stays until there is a new one, and its mode after that."""
    path = tmp_path / "junit.xml"
    path.write_bytes(REPORTS["junit"])
    path.chmod(0o600)
    sink = Sink(path, force=False, form="junit")
    assert path.read_bytes() == REPORTS["junit"]
    sink.write(b"new")
    assert (sink.error, path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (None, b"new", 0o600)
    Sink(tmp_path / "base.json", force=False).save(RUN)
    with pytest.raises(UsageProblem, match="exists"):
        Sink(tmp_path / "base.json", force=False)


@pytest.mark.parametrize("data", MADE_UP, ids=range(len(MADE_UP)))
@pytest.mark.parametrize("form", ["md", "html"])
def test_every_kind_is_known_by_its_head(tmp_path, data, form):
    document = decode(data)
    (tmp_path / "it").write_bytes(export(document, form))
    Sink(tmp_path / "it", force=False, form=form)


REPORTS = {form: export(RUN, form) for form in ("junit", "md", "html")}


@pytest.mark.parametrize("form", REPORTS)
def test_a_report_is_known_by_its_head_also_one_that_broke_off(tmp_path, form):
    path = tmp_path / "report"
    path.write_bytes(REPORTS[form][: len(REPORTS[form]) // 2])
    sink = Sink(path, force=False, form=form)
    sink.write(b"new")
    assert (sink.error, path.read_bytes()) == (None, b"new")


@pytest.mark.parametrize("form", REPORTS)
def test_a_report_of_another_form_and_any_other_file_is_kept(tmp_path, form):
    """`--junit baseline.json` must not cost the baseline."""
    others = [data for other, data in REPORTS.items() if other != form]
    path = tmp_path / "report"
    for data in [
        *others,
        to_json(RUN),
        b"",
        b"# vkmapper",
        b'{"schema": "mine"}',
        b"<testsuites name='pytest tests'/>",
        b"\n" + REPORTS["md"],
    ]:
        path.write_bytes(data)
        with pytest.raises(UsageProblem, match="exists"):
            Sink(path, force=False, form=form)
        assert path.read_bytes() == data


def test_of_two_reruns_at_once_the_second_says_so(tmp_path):
    path = tmp_path / "junit.xml"
    path.write_bytes(REPORTS["junit"])
    first, second = (Sink(path, force=False, form="junit") for _ in range(2))
    first.write(b"first")
    second.write(b"second")
    assert "replaced by another program" in second.error.message
    assert path.read_bytes() == b"first"


def unwritable(tmp_path, kind):
    (tmp_path / "file").write_text("")
    return {
        "folder": tmp_path,
        "under a file": tmp_path / "file" / "x",
        "no such folder": tmp_path / "none" / "x",
        "name too long": tmp_path / ("x" * 300),
    }[kind]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", ["folder", "under a file", "no such folder", "name too long"])
def test_what_cannot_be_written_is_said_before_anything_is_measured(tmp_path, kind, force):
    with pytest.raises(UsageProblem):
        Sink(unwritable(tmp_path, kind), force=force)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_pipe_or_device_is_not_replaced_by_a_file(tmp_path):
    """`--save /dev/null --force` as root must not end /dev/null."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(UsageProblem):
        Sink(path, force=True)
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_disk_that_refuses_later_leaves_the_last_document(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    sink = Sink(path, force=False)
    sink.save(a_run())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    sink.save(RUN)
    assert "No space left" in sink.error.message
    assert list(tmp_path.iterdir()) == [path]
    assert load(path) == a_run()
    monkeypatch.undo()
    sink.save(RUN)
    assert sink.error is None, "the disk has room again, and the newest document is on it"


def test_two_runs_at_once_never_cost_either_its_document(tmp_path):
    """Both found nothing there when they began."""
    path = tmp_path / "run.json"
    first, second = Sink(path, force=False), Sink(path, force=False)
    first.save(RUN)
    second.save(a_run())
    assert "exists" in second.error.message
    first.save(RUN)
    assert (first.error, load(path)) == (None, RUN)


@pytest.mark.parametrize("saved_before", [False, True])
def test_a_file_created_meanwhile_is_kept_without_force(tmp_path, saved_before):
    path = tmp_path / "run.json"
    sink = Sink(path, force=False)
    if saved_before:
        sink.save(RUN)
        path.unlink()
    path.write_text("precious")
    sink.save(RUN)
    assert sink.error
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("run.json", "precious")]


def test_one_that_was_taken_away_is_written_again(tmp_path):
    path = tmp_path / "run.json"
    sink = Sink(path, force=False)
    sink.save(a_run())
    path.rename(tmp_path / "kept.json")
    sink.save(RUN)
    assert (load(path), load(tmp_path / "kept.json")) == (RUN, a_run())


def test_a_file_that_another_run_writes_at_this_moment_is_refused(tmp_path):
    path = tmp_path / "run.json"
    with Sink(path, force=True)._open_part(), pytest.raises(UsageProblem, match="another run"):
        Sink(path, force=True)
    Sink(path, force=True).save(RUN)
    assert load(path) == RUN


def test_what_a_killed_run_left_is_cleaned_by_the_next_of_that_name(tmp_path):
    """kill -9 while the document was on its way to the disk."""
    path = tmp_path / "run.json"
    pid = os.fork()
    if pid == 0:
        sink = Sink(path, force=False)
        os.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        sink.save(RUN)
        os._exit(0)
    os.waitpid(pid, 0)
    assert [one.name for one in tmp_path.iterdir()] == [".run.json.part"]
    sink = Sink(path, force=False)
    assert list(tmp_path.iterdir()) == []
    sink.save(RUN)
    assert [one.name for one in tmp_path.iterdir()] == ["run.json"]


def test_force_writes_through_a_link_and_keeps_the_mode(tmp_path):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "target.json", tmp_path / "link.json"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    with pytest.raises(UsageProblem, match="exists"):
        Sink(link, force=False)
    Sink(link, force=True).save(RUN)
    assert link.is_symlink()
    assert load(target) == RUN
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [one.name for one in target.parent.iterdir()] == ["target.json"]


def test_a_link_to_nothing_is_a_name_that_is_taken(tmp_path):
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "target.json")
    with pytest.raises(UsageProblem, match="exists"):
        Sink(link, force=False)
    Sink(link, force=True).save(RUN)
    assert load(tmp_path / "target.json") == RUN


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_links(tmp_path, monkeypatch, number):
    path = tmp_path / "run.json"

    def no_links(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", no_links)
    first, second = Sink(path, force=False), Sink(path, force=False)
    first.save(RUN)
    second.save(a_run())
    assert "exists" in second.error.message
    assert load(path) == RUN


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(tmp_path, monkeypatch, number):
    def no_locks(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", no_locks)
    Sink(tmp_path / "run.json", force=False).save(RUN)
    assert load(tmp_path / "run.json") == RUN


# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", [RUN, a_run(), a_probe_report(a_probe())], ids=["run", "no rows", "probe"])
def test_what_was_saved_is_loaded(tmp_path, document):
    Sink(tmp_path / "it.json", force=False).save(document)
    assert load(tmp_path / "it.json") == document


def test_the_document_is_json_with_the_promised_keys(tmp_path):
    document = json.loads(to_json(RUN))
    assert document["schema"] == SCHEMA
    assert {"tool", "host", "devices", "workload", "floor", "results", "warnings", "outcome", "exit_code"} <= set(
        document
    )
    assert document["results"][0]["map"]["p50_ns"] == 35.0
    assert document["results"][0]["ratio_to_v1"] is None


def test_a_histogram_is_one_line_and_a_row_is_not():
    assert indented(b'{"bins":[[21,13],[-2.5e-7,1]],"flags":["Vi"]}').decode() == (
        '{\n "bins": [[21,13],[-2.5e-7,1]],\n "flags": [\n  "Vi"\n ]\n}\n'
    )


numbers = st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text() | st.text('[]\n", 1', max_size=8)


@given(
    st.recursive(
        st.none() | st.booleans() | numbers | texts,
        lambda one: st.lists(one) | st.dictionaries(texts, one),
        max_leaves=30,
    )
)
def test_how_it_is_laid_out_changes_no_value(value):
    assert json.loads(indented(json.dumps(value).encode())) == value


def test_unknown_keys_are_ignored(tmp_path):
    document = json.loads(to_json(RUN)) | {"from_the_future": {"deep": [1]}}
    document["results"][0]["also"] = None
    path = tmp_path / "it.json"
    path.write_text(json.dumps(document))
    assert load(path) == RUN


def changed(**keys):
    return json.dumps(json.loads(to_json(RUN)) | keys).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"null",
        b"[]",
        b"{}",
        b'"vkmapctl/1"',
        to_json(RUN)[:-100],
        to_json(RUN)[:40],
        to_json(RUN) + b"{}",
        b"\x00" * 100,
        b"\xff\xfe" + to_json(RUN),
        to_json(RUN).replace(b"64 MiB", b"64 \xff\xfe"),
        b'{"schema": ' + b"[" * 200_000,
        b'{"schema": "vkmapctl/1", "results": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"schema": "vkmapctl/1", "x": ' + b'{"a":' * 200_000 + b"1" + b"}" * 200_000 + b"}",
        changed(schema="vkmapctl/2"),
        changed(schema=None),
        changed(schema=1),
        changed(kind="other"),
        changed(kind=None),
        changed(results=None),
        changed(results=[{}]),
        changed(outcome="splendid"),
        changed(exit_code="0"),
        b'{"schema": "vkmapctl/1"}',
    ],
)
def test_a_file_that_is_no_saved_run(tmp_path, data):
    path = tmp_path / "it.json"
    path.write_bytes(data)
    with pytest.raises(UsageProblem) as caught:
        load(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_another_schema_is_named(tmp_path):
    path = tmp_path / "it.json"
    path.write_bytes(changed(schema="vkmapctl/2"))
    with pytest.raises(UsageProblem, match=r"vkmapctl/2.*vkmapctl/1"):
        load(path)


@pytest.mark.parametrize("kind", ["folder", "under a file", "no such folder", "name too long"])
def test_what_cannot_be_read(tmp_path, kind):
    with pytest.raises(UsageProblem, match="cannot read"):
        load(unwritable(tmp_path, kind))


def edited(path, value):
    """RUN with one value replaced. path: `results[0].map.count`."""
    document = parent = json.loads(to_json(RUN))
    *way, last = [
        int(part) if part.isdecimal() else part for part in path.replace("]", "").replace("[", ".").split(".")
    ]
    for part in way:
        parent = parent[part]
    parent[last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("path", "value", "where", "says"),
    [
        ("results[0].map.count", 0, "results[0].map.count", "samples in the histogram"),
        ("results[0].map.histogram.bins", [[31, 0]], "results[0].map.histogram.bins", "bins"),
        ("results[0].map.histogram.bins", [[40, 1], [31, 1]], "results[0].map.histogram.bins", "bins"),
        ("results[1].unmap.histogram.bins", [[(1 << 40) + 1, 1]], "results[1].unmap.histogram.bins", "bins"),
        ("results[0].allocation_size", 0, "results[0].allocation_size", "no size"),
        ("results[0].ns_per_pair", 5e-324, "results[0].ns_per_pair", "smaller"),
        ("results[0].ns_per_pair", 1e300, "results[0].ns_per_pair", "larger"),
        ("results[1].seconds", -1.0, "results[1].seconds", "negative"),
        ("results[0].rounds_ns_per_pair", [1.0, -1.0], "results[0].rounds_ns_per_pair[1]", "negative"),
        ("results[0].page_faults", {"minor": -1}, "results[0].page_faults.minor", "negative"),
        ("results[0].memory_type", -2, "results[0].memory_type", "negative"),
        ("results[0].device", 7, "results[0].device", "no such device"),
        ("results[1].threads", "1", "results[1].threads", "Expected `int`"),
        ("results[1]", [], "results[1]", "Expected `object`"),
        ("floor.call_ns", 1e-300, "floor.call_ns", "smaller"),
        ("devices[0].memory_types[0].heap", 1, "devices[0].memory_types[0].heap", "no such heap"),
        ("exit_code", 10**40, "exit_code", "larger"),
    ],
)
def test_what_no_view_can_show_is_refused_with_its_place(tmp_path, path, value, where, says):
    (tmp_path / "it.json").write_bytes(edited(path, value))
    with pytest.raises(UsageProblem) as caught:
        load(tmp_path / "it.json")
    assert says in caught.value.message
    assert f"`$.{where}`" in caught.value.message


def test_numbers_that_are_none_are_refused(tmp_path):
    for text in (b"NaN", b"Infinity", b"-Infinity", b"1e999"):
        (tmp_path / "it.json").write_bytes(to_json(RUN).replace(b'"ns_per_pair": 81.0', b'"ns_per_pair": ' + text))
        with pytest.raises(UsageProblem, match="not a saved run"):
            load(tmp_path / "it.json")


def test_devices_that_are_told_twice_are_refused(tmp_path):
    (tmp_path / "it.json").write_bytes(to_json(a_run(devices=(a_device(), a_device()))))
    with pytest.raises(UsageProblem, match=r"same index - at `\$\.devices`"):
        load(tmp_path / "it.json")


def test_a_stranger_s_text_is_cleaned(tmp_path):
    text = "\x1b[2J\u202e ™\n" + "x" * 30_000
    run = a_run(
        a_row(job=text, reason=text), host={text: text}, started=text, warnings=(Note(text, text),), outcome="failed",
        device=a_device(name=text), tool=Tool(text, text, (text,)),
    )  # fmt: skip
    (tmp_path / "it.json").write_bytes(json.dumps(json.loads(to_json(run))).encode())
    found = to_json(load(tmp_path / "it.json")).decode().replace("\n", "")
    assert found.isprintable()
    assert "\\u" not in found
    assert found.count("?[2J? ™ xxx") == 11
    assert len(found) < 11 * 20_000 + 10_000


def test_memory_for_a_large_file_is_a_few_times_its_size(tmp_path):
    """With bins as runs have them: some of thousands of samples, most of few. The file itself is a part of it."""
    path = tmp_path / "large.json"
    bins = tuple((edge(i), 1 + (5000 // i if i % 9 else 70_000 + i)) for i in range(1, 300))
    latency = a_latency(histogram=Bins(bins, 0))
    path.write_bytes(to_json(a_run(*(a_row(job=f"{i}", map=latency, unmap=latency) for i in range(3_000)))))
    size = path.stat().st_size
    script = "import re, sys; from pathlib import Path; from vkmapctl.saved.files import load;"
    script += "peak = lambda: int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]) * 1024;"
    script += "before = peak();"
    script += "run = load(Path(sys.argv[1])); print(len(run.results), peak() - before)"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    rows, grown = map(int, done.stdout.split())
    assert rows == 3_000
    assert size > 20e6
    assert size < grown < 6 * size


def test_a_file_of_too_many_values_is_refused_before_they_are_made(tmp_path):
    path = tmp_path / "it.json"
    path.write_bytes(b'{"schema": "vkmapctl/1", "kind": "stress", "x": [' + b"1," * 33_000_000 + b"1]}")
    with pytest.raises(UsageProblem, match="more than 32,000,000 values"):
        load(path)
