"""`vkmapctl record workload`: what goes where, what is said, and what is refused."""

import random

import pytest
from traces import MS, Made, Recorded

from vkmapctl.commands import record_workload
from vkmapctl.commands.record_workload import workload
from vkmapctl.errors import UsageProblem
from vkmapctl.plans import workload_file
from vkmapctl.saved.recordings import EVENT, FAULT, write


def saved(path, *made):
    """A file of what was made."""
    raw = []
    for number, one in enumerate(made):
        events, faults = path.with_suffix(f".events-{number}"), path.with_suffix(f".faults-{number}")
        events.write_bytes(
            b"".join(
                EVENT.pack(
                    one.duration_ns is not None, one.call, one.marks, one.device, one.thread, one.result, one.begin_ns,
                    one.duration_ns or 0, one.object, one.offset, one.size, one.pointer,
                )
                for one in one.recorded
            )
        )  # fmt: skip
        faults.write_bytes(b"".join(FAULT.pack(one.time_ns, one.address, one.thread, 0) for one in one.faults))
        raw.append((events, faults))
    with open(path, "wb") as file:
        write(file, Recorded(*made).head, raw)
    return path


def a_program(pid=100, rounds=467):
    made = Made(pid)
    one = made.allocate()
    for _ in range(rounds):
        made.sleep(MS).map(one).unmap(one)
    made.map(one, took=None)
    return made


def a_long_program():
    made, draw = Made(), random.Random(1)
    one = made.allocate(size=1 << 30)
    for _ in range(1500):
        made.map(one, offset=draw.randrange(1 << 20)).unmap(one)
    return made


def run(*arguments):
    return workload.main([str(one) for one in arguments], standalone_mode=False)


def test_it_prints_a_file_that_replays_and_says_what_it_has(tmp_path, capsys):
    assert run(saved(tmp_path / "a.vkrec", a_program())) == 0
    out, err = capsys.readouterr()
    (part,) = workload_file.read(out, name="mine.toml").parts()
    assert part.trace.threads[0][1].times == 467
    assert err.splitlines() == [
        "device 0: 1 thread, 935 calls, 1 object at a time; folded to 5 steps",
        "left out: 1 call which had not returned when the program ended",
    ]


def test_a_process_by_its_pid(tmp_path, capsys):
    file = saved(tmp_path / "a.vkrec", a_program(41, 3), a_program(42))
    assert run(file, "--process", 41) == 0
    assert "times = 3" in capsys.readouterr().out
    with pytest.raises(UsageProblem, match="no process 43 was recorded") as caught:
        run(file, "--process", 43)
    assert caught.value.hints == ("recorded: 41, 42",)


def test_it_writes_to_a_file_and_not_over_one(tmp_path, capsys):
    file, out = saved(tmp_path / "a.vkrec", a_program()), tmp_path / "mine.toml"
    assert run(file, "--out", out) == 0
    assert capsys.readouterr().out == ""
    assert workload_file.load(str(out)).parts()[0].trace
    assert not (tmp_path / "mine.trace").exists()
    with pytest.raises(UsageProblem, match="exists"):
        run(file, "--out", out)
    assert run(file, "--out", out, "--force") == 0


def test_what_is_too_long_goes_beside_the_file(tmp_path, capsys):
    file, out = saved(tmp_path / "a.vkrec", a_long_program()), tmp_path / "mine.toml"
    with pytest.raises(UsageProblem, match=r"the trace has 3,001 steps, too many for standard output") as caught:
        run(file)
    assert "--out mine.toml" in caught.value.hints[0]
    assert run(file, "--out", out) == 0
    assert 'trace = "mine.trace"' in out.read_text()
    assert len(workload_file.load(str(out)).parts()[0].trace.threads[0]) == 3001
    assert "folded to 3,001 steps" in capsys.readouterr().err


def test_neither_of_two_files_is_written_over(tmp_path):
    file, out, beside = saved(tmp_path / "a.vkrec", a_long_program()), tmp_path / "mine.toml", tmp_path / "mine.trace"
    beside.write_text("mine")
    with pytest.raises(UsageProblem, match=r"mine\.trace exists"):
        run(file, "--out", out)
    assert beside.read_text() == "mine"
    assert not out.exists()
    with pytest.raises(UsageProblem, match="is to have that name"):
        run(file, "--out", tmp_path / "x.trace")


def test_a_line_of_many_characters_goes_beside_too(tmp_path, monkeypatch):
    monkeypatch.setattr(record_workload, "MOST_CHARACTERS", 100)
    with pytest.raises(UsageProblem, match="too many for standard output"):
        run(saved(tmp_path / "a.vkrec", a_program()))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"[[job]]"])
def test_what_is_no_recording_is_refused(data, tmp_path):
    path = tmp_path / "a.vkrec"
    path.write_bytes(data)
    with pytest.raises(UsageProblem, match="is no recording that can be read"):
        run(path)
