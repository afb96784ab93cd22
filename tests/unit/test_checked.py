"""The headline of a verify run: one sentence that is true."""

import pytest
from builders import a_check, a_device, a_gpu, a_verify_report, checks

from vkmapctl.checks import registry
from vkmapctl.figures.checked import summaries
from vkmapctl.model.device import Placed
from vkmapctl.reports.verify import verify_page

SKIP = {"status": "skip", "detail": "memoryMapPlaced is missing"}
GPU = "Example GPU 80GB"


def broken(*names):
    return [row for name in names for row in checks(name, status="fail")]


@pytest.mark.parametrize(
    ("rows", "changes", "headline", "good"),
    [
        (checks("M1"), {}, f"everything that {GPU} offers works: 1 check passes", True),
        ([*checks("M1"), a_check("P1", None, **SKIP)], {}, f"everything that {GPU} offers works: 1 check passes", True),
        ([*checks("M1"), *checks("P2", status="fail")], {}, f"1 of 2 checks fails on {GPU}: P2", False),
        (
            [*checks("M1"), a_check("P2", 2), a_check("P2", 4, status="fail"), a_check("M5", status="hung")],
            {"outcome": "hung"},
            f"2 of 3 checks fail on {GPU}: P2, M5 (hung)",
            False,
        ),
        (
            broken(*(f"P{i}" for i in range(1, 12))),
            {},
            f"11 of 11 checks fail on {GPU}: P1, P2, P3, P4, P5, P6, P7, P8, 3 more",
            False,
        ),
        (
            [*checks("M1"), *checks("M10", status="quality")],
            {},
            f"everything that {GPU} offers works: 1 check passes; M10 falls short of good quality",
            True,
        ),
        (
            [*checks("M1"), *checks("P2", status="known"), *checks("R6", status="known")],
            {},
            f"nothing new fails on {GPU}: 1 check passes; P2, R6 fail as known",
            True,
        ),
        (
            [a_check("P1", None, **SKIP), a_check("P2", None, **SKIP)],
            {"outcome": "unsupported"},
            f"nothing could be checked on {GPU}: 2 checks skipped",
            False,
        ),
        (
            checks("M1"),
            {"outcome": "interrupted"},
            f"nothing fails on {GPU} so far; not every check was run",
            False,
        ),
        (
            [*checks("M1"), *checks("P2", status="fail"), *checks("P3", status="not-run")],
            {},
            f"1 of 2 checks fails on {GPU}: P2; not every check was run",
            False,
        ),
        (
            [*checks("M1"), *checks("P2", status="fail", at_fault=("VK_LAYER_X",))],
            {},
            f"1 of 2 checks fails on {GPU}: P2; not the driver is at fault, but VK_LAYER_X",
            False,
        ),
        (
            [*checks("M1", status="fail"), *checks("P2", status="fail", at_fault=("VK_LAYER_X",))],
            {},
            f"2 of 2 checks fail on {GPU}: M1, P2",
            False,
        ),
        (
            checks("M1"),
            {"outcome": "crashed"},
            f"1 check passes on {GPU}, but the run is crashed: see the warnings",
            False,
        ),
        (
            checks("M1"),
            {"outcome": "failed", "reason": "no space left"},
            f"the run on {GPU} broke off: no space left",
            False,
        ),
        (
            checks("M1"),
            {"devices": (a_gpu(placed=Placed(True, True, True, 4096, emulated=True)),)},
            f"everything that {GPU} with placed maps emulated offers works: 1 check passes",
            True,
        ),
        (
            checks("M1", status="fail"),
            {"injected": "bit-flip"},
            f"1 of 1 check fails on {GPU} with the fault bit-flip injected: M1",
            False,
        ),
    ],
)
def test_headline(rows, changes, headline, good) -> None:
    (one,) = summaries(a_verify_report(*rows, **changes))
    assert (one.headline, one.good) == (headline, good)


def test_each_device_has_its_own_headline() -> None:
    rows = [*checks("M1"), a_check("M1", 0, device=0, memory_flags=(), status="fail")]
    report = a_verify_report(*rows, devices=(a_device(), a_gpu()))
    assert [one.good for one in summaries(report)] == [False, True]


def test_a_run_that_was_refused_says_why() -> None:
    (line,) = verify_page(a_verify_report(devices=(), outcome="unsupported", reason="no device")).headlines
    assert line == ("nothing was checked: no device", False)


def test_every_row_is_told_somewhere() -> None:
    """What did not pass stands in a chapter or is left out for a reason, and no check is lost between them."""
    statuses = ("fail", "crashed", "hung", "lost", "out-of-memory", "quality", "known", "skip", "not-run", "pass")
    rows = [row for i, status in enumerate(statuses) for row in checks(f"M{i}", status=status, detail=status)]
    (one,) = summaries(a_verify_report(*rows))
    told = {finding.first.id for findings in one.chapters.values() for finding in findings}
    told |= {name for left in one.left for name in left.checks} | set(one.passes)
    assert told == {row.id for row in rows}


def test_what_a_check_means_is_said_in_one_sentence_and_known_for_older_documents() -> None:
    known = registry.load().values()
    assert all(one.breaks.endswith(".") and ". " not in one.breaks for one in known)
    assert len({one.breaks for one in known}) == len(known)
    told = registry.explained(
        a_verify_report(
            a_check("M1", breaks="", title=registry.load()["M1"].title),
            a_check("M2", breaks="", title="another check of that name"),
            a_check("X1", breaks=""),
        )
    )
    assert [row.breaks for row in told.results] == [registry.load()["M1"].breaks, "", ""]
