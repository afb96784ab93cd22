"""Which rows a verify run has, with a driver that only exists on paper."""

from builders import a_device

from vkmapctl.checks import registry
from vkmapctl.model.base import Verdict
from vkmapctl.verify import SECONDS_AFTER_HANG, _row, rows

MANY = list(registry.load().values())[:8]


class Attempts:
    """Gives each attempt the next verdict, and notes how long it would have waited."""

    timeout = 30.0

    def __init__(self, *verdicts: str) -> None:
        self.verdicts, self.waits = list(verdicts), []

    def attempt(self, one, device, memory_type, *, timeout=None):
        self.waits.append(timeout or self.timeout)
        return _row(one, device, memory_type, Verdict(self.verdicts.pop(0)))


def test_a_driver_that_hangs_three_times_is_left_alone():
    attempts = Attempts("pass", "hung", "pass", "hung", "fail", "hung")
    found = list(rows(MANY, a_device(), attempts))
    assert [row.status for row in found] == ["pass", "hung", "pass", "hung", "fail", "hung", "not-run", "not-run"]
    assert found[-1].detail == "hung three times before"
    assert attempts.waits == [30, 30, *[SECONDS_AFTER_HANG] * 4]


def test_a_shorter_patience_stays_as_it_is():
    attempts = Attempts("hung", "hung", "hung")
    attempts.timeout = 2.0
    list(rows(MANY, a_device(), attempts))
    assert attempts.waits == [2, 2, 2]


def test_crashes_do_not_end_it():
    attempts = Attempts(*["crashed"] * 8)
    assert {row.status for row in rows(MANY, a_device(), attempts)} == {"crashed"}
