"""Which rows a verify run has, with a driver that only exists on paper."""

import pytest
from builders import a_device

from vkmapctl.checks import registry
from vkmapctl.model.base import Verdict
from vkmapctl.verify import SECONDS_AFTER_HANG, _row, _validated, rows

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


@pytest.mark.parametrize("check", ["R1", "R1-none", "R1-all"])
def test_what_the_validation_layer_says_after_a_failed_unmap_is_its_own_error(check):
    said = ["VUID-VkMemoryUnmapInfo-memory-07964: unmap", "VUID-VkMappedMemoryRange-memory-00684: flush"]
    known = registry.load()
    assert _validated(known[check], Verdict("pass"), said).status == "pass"
    assert _validated(known["R2"], Verdict("pass"), said) == Verdict("fail", "; ".join(said))
    assert _validated(known[check], Verdict("pass"), ["VUID-vkMapMemory2-memory-1: map"]).status == "fail"
