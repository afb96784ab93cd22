"""Progress says what is done and what is left, by the time that the plan gives each row."""

import io

import pytest
from builders import a_job, a_row

from vkmapctl.commands.progress import LineARow, LiveLine, Time


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def told(jobs, *ends, sides=1, now=None):
    """What is told once rows have ended at these seconds, or at `now`."""
    clock = Clock()
    time = Time(jobs, sides, clock)
    for end in ends:
        clock.now = 100.0 + end
        time.row()
    clock.now = 100.0 + (now if now is not None else ends[-1] if ends else 0)
    return time.told()


TWO = a_job(duration_seconds=2.0, warmup_seconds=0.5)
COUNTED = a_job(iterations=5)


@pytest.mark.parametrize(
    ("jobs", "ends", "more", "line"),
    [
        ([TWO] * 12, (), {}, "0 of 12 rows, 0.0 s of about 30 s"),
        ([TWO] * 12, (2.5, 5, 7.5), {}, "3 of 12 rows, 8 s of about 30 s"),
        ([TWO] * 12, (3, 6, 9), {}, "3 of 12 rows, 9 s of about 36 s"),  # each took a fifth longer
        ([TWO] * 12, (1, 1, 1), {}, "3 of 12 rows, 1.0 s of about 24 s"),  # three that failed at once
        ([TWO] * 2, (2.5,), {"now": 60}, "1 of 2 rows, 60 s of about 60 s"),
        ([TWO] * 2, (2.5, 5), {}, "2 of 2 rows, 5 s"),
        ([TWO] * 2, (2.5, 5, 7.5), {}, "3 of 3 rows, 8 s"),
        ([TWO] * 2, (), {"sides": 2}, "0 of 2 rows, 0.0 s of about 10 s"),
        ([TWO], (), {}, "0 of 1 row, 0.0 s of about 2.5 s"),
        ([COUNTED] * 4, (), {"now": 3}, "0 of 4 rows, 3 s"),
        ([COUNTED] * 4, (10,), {}, "1 of 4 rows, 10 s of about 40 s"),
        ([TWO, COUNTED], (2.5,), {}, "1 of 2 rows, 2.5 s of about 5 s"),
        ([a_job(duration_seconds=3600.0, warmup_seconds=0.0)], (), {"now": 600}, "0 of 1 row, 10 min of about 60 min"),
        ([a_job(duration_seconds=36000.0)] * 2, (36000,), {}, "1 of 2 rows, 10.0 h of about 20.0 h"),
    ],
)
def test_what_is_told(jobs, ends, more, line):
    assert told(jobs, *ends, **more) == line


def test_a_log_has_a_line_a_row(capsys):
    watcher = LineARow()
    watcher.begin([TWO] * 2)
    watcher.row(a_row(job="64 KiB"))
    line = capsys.readouterr().err
    assert line.startswith("[1 of 2 rows, 0.0 s of about ")
    assert "] 64 KiB: ok, " in line


def test_a_terminal_shows_what_is_left(monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    watcher = LiveLine(color=True)
    watcher.begin([TWO] * 12)
    watcher.row(a_row())
    watcher.end()
    assert "1 of 12 rows, 0.0 s of about 28 s" in terminal.getvalue()
