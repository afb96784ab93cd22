"""What people see, kept as golden text: `VKMAPCTL_UPDATE_GOLDEN=1 pytest tests/unit/test_report.py` rewrites it."""

import io
import os
import re
import sys
from pathlib import Path

import pytest
from builders import (
    NON_COHERENT,
    a_busy_row,
    a_check,
    a_device,
    a_gpu,
    a_latency,
    a_probe,
    a_probe_report,
    a_row,
    a_run,
    a_selftest,
    a_trial,
    a_verify_report,
    checks,
)
from fleet_sweeps import a_sweep
from recordings import a_program_of_everything, a_program_that_keeps, an_answer

from vkmapctl.commands import console
from vkmapctl.figures.compare_recordings import RecordingsReport, compare_recordings
from vkmapctl.model.base import Note
from vkmapctl.model.device import EntryPoint, Placed, Probe, Proof
from vkmapctl.model.documents import SCHEMA
from vkmapctl.model.measured import Replayed, TouchRate
from vkmapctl.reports import common
from vkmapctl.reports import probe as probing
from vkmapctl.reports import stress as report
from vkmapctl.reports.compare_recordings import recordings_view
from vkmapctl.reports.outliers import outliers_view
from vkmapctl.reports.recording import recording_view
from vkmapctl.reports.selftest import selftest_view
from vkmapctl.reports.verify import verify_view

GOLDEN = Path(__file__).parents[1] / "golden"
UPDATE = "VKMAPCTL_UPDATE_GOLDEN"
WIDTHS = ("80", "200", "plain")
ANSI = re.compile(r"\x1b")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def render(monkeypatch):
    """The text that a view becomes on a terminal of some columns, or `plain` without one; no trailing blanks."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LINES", "50")

    def rendered(view, width, *, color=False):
        stream = io.StringIO() if width == "plain" else Terminal()
        monkeypatch.setenv("COLUMNS", "80" if width == "plain" else width)
        monkeypatch.setattr(sys, "stdout", stream)
        console.print_view(view, color=color)
        return re.sub(r" +$", "", stream.getvalue(), flags=re.MULTILINE)

    return rendered


def a_simple_run():
    """Two apis of one range, on a device without placed maps."""
    return a_run(
        a_row(api="v1", map=a_latency(p50_ns=20.0, at_floor=True)),
        a_row(api="core", ratio_to_v1=(1.02, 0.98, 1.07)),
        warnings=(Note("few-samples", "64 MiB, core: map p99 rests on 900 samples; try a longer --duration"),),
    )


def a_full_run():
    """Every optional column filled, and a row that failed."""
    return a_run(
        a_busy_row(),
        a_busy_row(
            api="khr", placed=None, reserve=False, live=1, threads=1, offset=4097, map_size=None, ratio_to_v1=None
        ),
        a_busy_row(
            memory_type=2, memory_flags=("Vi", "Co"), pairs=0, pairs_per_second=None, ns_per_pair=None,
            ratio_to_v1=None, map=None, unmap=None, touch_bytes_per_second=TouchRate(), page_faults={},
            status="crashed", reason="killed by SIGSEGV in vkMapMemory2 (step 0, iteration 12); it said: stack smashed",
        ),
        device=a_gpu(placed=Placed(True, True, True, 4096, emulated=True)),
        outcome="crashed",
        exit_code=6,
        warnings=(
            Note("drift", "256 MiB at random: ns per pair moved by 44% between the first and last rounds"),
            Note("placed-without-reserve", "ns per pair includes one mmap that takes the range back after each unmap"),
        ),
    )  # fmt: skip


def a_replay():
    """A trace on another driver than its own: some of it replaced, some of it failed, a call that nobody recorded."""
    recorded = {"map": a_latency(scale=2.0), "unmap": a_latency(count=7, p99_ns=None), "flush": a_latency(count=1)}
    replay = Replayed(
        calls={"map": 123_460, "unmap": 123_456, "allocate": 2},
        recorded=recorded,
        recorded_seconds=12.5,
        replaced=("memory type De Vi is #0 De Vi Co Ca", "placed maps are plain ones: the feature is missing"),
        skipped=1234,
        differs=1,
        waits_ns=250_000_000,
    )
    return a_run(
        a_row(
            job="mine", part="mine", trace="0123abcd", pace="recorded", threads=2, pairs=0, pairs_per_second=None,
            ns_per_pair=None, seconds=13.0, map=a_latency(at_floor=True), calls={"allocate": a_latency(count=2)},
            errors={"VK_ERROR_MEMORY_MAP_FAILED": 4}, status="failed", replay=replay,
            reason="VK_ERROR_MEMORY_MAP_FAILED in vkMapMemory2 (thread 1, step 12, object 0)",
        ),
        outcome="failed",
        exit_code=4,
    )  # fmt: skip


def a_run_of_nothing():
    """Refused before the first row."""
    return a_run(floor=None, outcome="interrupted", exit_code=130)


def a_good_probe():
    return a_probe_report(a_probe(a_device()), a_probe(a_gpu()))


def a_bad_probe():
    """A device that lies, one that lacks everything, and one that crashed."""
    liar = a_gpu(index=0, placed=Placed(False, True, True, 3000), memory_types=(NON_COHERENT,))
    points = (
        EntryPoint("vkMapMemory2", True, "unspecified", False),
        EntryPoint("vkUnmapMemory2", True, "unspecified", False),
        EntryPoint("vkMapMemory2KHR", False, "pointer", False),
        EntryPoint("vkUnmapMemory2KHR", False, "pointer", False),
    )
    failed = Proof("khr", "failed", "vkGetDeviceProcAddr gives NULL for vkMapMemory2KHR, which this device must have")
    bare = a_device(index=1, route="none", extensions={}, memory_types=(), heaps=(), api_version="1.1.0")
    return a_probe_report(
        a_probe(
            liar,
            entry_points=points,
            proofs=(failed, Proof("v1", "ok")),
            notes=(Note("placed-alignment", "minPlacedMemoryMapAlignment 3000 is not a power of two up to 65536"),),
            status="failed",
            reason=f"vkMapMemory2KHR: {failed.detail}",
        ),
        a_probe(bare, entry_points=(), proofs=(Proof("v1", "unsupported", "no host-visible memory type"),)),
        Probe(device=None, status="crashed", reason="the driver crashed in the live proof: killed by SIGSEGV"),
        missing=("map2: not proved: other bytes came back", "placed: the feature memoryMapPlaced is missing"),
        warnings=(Note("features-unfilled", "Example GPU 80GB leaves its features unfilled"),),
        outcome="crashed",
        exit_code=6,
    )


def a_bad_verify():
    """Everything that a check can be: broken, dead, of poor quality, known, skipped, not run, and good."""
    return a_verify_report(
        *checks("M1"),
        *checks("M2", status="fail", detail="byte 4095 of the rest at 0 of 4096 is out of reach of this mapping"),
        a_check("P2", 2),
        a_check("P2", 3, status="fail", detail="4096 bytes before the range were replaced too"),
        a_check("P2", 4, status="fail", detail="61440 bytes after the range were replaced too"),
        a_check("M5", 2, status="crashed", detail="killed by SIGSEGV in vkUnmapMemory2"),
        *(a_check("M5", index, status="hung", detail="no progress for 30 s in vkUnmapMemory2") for index in (3, 4)),
        *checks("M10", status="quality", level="quality", detail="it is still mapped there"),
        *checks("P1", status="known", detail="fail: asked for 0x1000, got 0x2000 (known: issue 12 of the driver)"),
        *(a_check(f"R{i}", None, status="skip", detail="memoryUnmapReserve is missing") for i in range(1, 6)),
        a_check("P11", None, status="skip", detail="memoryMapRangePlaced is missing"),
        a_check("M9", 2),
        *(a_check("M9", index, status="skip", detail="the map cannot be made to fail") for index in (3, 4)),
        *(a_check(name, status="not-run", detail="hung three times before") for name in ("P16", "P17")),
        warnings=(Note("unexpected-pass", "M1 is listed as a known failure and unexpectedly passes: off by 8"),),
        outcome="crashed",
        exit_code=6,
    )


def a_good_verify():
    return a_verify_report(
        *checks("M1"),
        *checks("M11", detail="4.00 GiB; more was not tried"),
        a_check("P11", None, status="skip", detail="memoryMapRangePlaced is missing"),
    )


def a_bad_selftest():
    """A fault that one of two checks misses, one that cannot be had, and a check that fails by itself."""
    return a_selftest(
        a_trial("map-fails"),
        a_trial("leak", by="verify M7-leak", caught=False, how="pass: 325 mappings, 29 files"),
        a_trial("leak", by="stress", how="failed: 1 mapping a cycle"),
        a_trial("reserve-fails", by="", caught=None, how="no placed maps to emulate here"),
        baseline=("M8: fail: byte 0 is 0x00, expected 0x69",),
        outcome="failed",
        exit_code=4,
    )


def a_recordings_report():
    """A program before and after it was mended, and the other way round."""
    bad, good = an_answer(a_program_of_everything()), an_answer(a_program_that_keeps())
    made = compare_recordings(("bad.vkrec", bad), ("good.vkrec", good))
    return RecordingsReport(SCHEMA, "fail", (made, compare_recordings(("good", good), ("bad", bad))), 5)


VIEWS = {
    "run-simple": lambda: report.run_view(a_simple_run()),
    "run-full": lambda: report.run_view(a_full_run()),
    "run-replay": lambda: report.run_view(a_replay()),
    "run-nothing": lambda: report.run_view(a_run_of_nothing()),
    "probe-good": lambda: probing.probe_view(a_good_probe()),
    "probe-bad": lambda: probing.probe_view(a_bad_probe()),
    "verify-good": lambda: verify_view(a_good_verify()),
    "verify-bad": lambda: verify_view(a_bad_verify()),
    "verify-bad-verbose": lambda: verify_view(a_bad_verify(), verbose=True),
    "selftest-bad": lambda: selftest_view(a_bad_selftest()),
    "selftest-bad-verbose": lambda: selftest_view(a_bad_selftest(), verbose=True),
    "outliers": lambda: outliers_view(a_sweep(runs=7).outliers),
    "recording-bad": lambda: recording_view(an_answer(a_program_of_everything(), dropped=3)),
    "recording-good": lambda: recording_view(an_answer(a_program_that_keeps(), faults_missing="none were asked for")),
    "recording-nothing": lambda: recording_view(an_answer()),
    "recordings-compared": lambda: recordings_view(a_recordings_report()),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", VIEWS)
def test_golden(render, name, width):
    text = render(VIEWS[name](), width)
    path = GOLDEN / f"{name}-{width}.txt"
    if os.environ.get(UPDATE):
        path.write_text(text)
    assert text == path.read_text(), f"{UPDATE}=1 rewrites {path.name}"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", VIEWS)
def test_nothing_is_cut_or_wider_than_the_terminal(render, name, width):
    text = render(VIEWS[name](), width)
    assert "…" not in text
    if width != "plain":
        assert max(len(line) for line in text.splitlines()) <= int(width)


@pytest.mark.parametrize("name", VIEWS)
def test_no_control_codes_without_a_terminal_or_without_colour(render, monkeypatch, name):
    assert not ANSI.search(render(VIEWS[name](), "plain", color=True))
    assert not ANSI.search(render(VIEWS[name](), "80", color=False))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not ANSI.search(render(VIEWS[name](), "80", color=True))


def test_a_terminal_gets_colours(render):
    assert ANSI.search(render(VIEWS["probe-good"](), "80", color=True))


@pytest.mark.parametrize("width", WIDTHS)
def test_every_figure_stays_in_one_piece(render, width):
    """A figure broken over two lines is read as another one."""
    simple, full = render(VIEWS["run-simple"](), width), render(VIEWS["run-full"](), width)
    for figure in ("12.3 M", "81 ns", "21.5 us", "123 k", "1.02 (0.98 to 1.07)"):
        assert figure in simple
    spare = () if width == "80" else ("66.0 k",)  # numbers of page faults are given up where there is no room
    for figure in ("9.87 GB/s", "21.0 MB/s", "231 us", "236 ms", *spare):
        assert figure in full


def test_rows_of_different_devices_are_told_apart(render):
    devices = (a_device(), a_gpu())
    run = a_run(a_row(device=0), a_row(device=1), devices=devices)
    lines = [line for line in render(report.run_view(run), "plain").splitlines() if "core" in line and "12.3 M" in line]
    assert len(set(lines)) == 2


@pytest.mark.parametrize(("count", "lines"), [(4, 4), (5, 3), (300, 3)])
def test_warnings_that_every_row_draws_do_not_fill_the_screen(render, count, lines):
    notes = [Note("few-samples", f"row {i}: few") for i in range(count)] + [Note("layer-in-path", "a layer")]
    shown = render(common.notes_view(notes), "plain").strip().splitlines()
    assert [line for line in shown if "layer-in-path" in line] == ["warning [layer-in-path] a layer"]
    assert len(shown) - 1 == lines
    assert count <= 4 or f"{count - 2} more of this kind" in shown[2]


def test_names_from_a_driver_are_text_and_no_markup(render):
    device = a_device(name="[bold]GPU[/bold] :smile: [/]", driver_info="[red]")
    text = render(probing.probe_view(a_probe_report(a_probe(device))), "plain")
    assert "Device 0: [bold]GPU[/bold] :smile: [/]" in text


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (a_row(), "64 MiB: ok, 12.3 M pairs/s, map p50 35 ns, p99 61 ns"),
        (
            a_row(status="crashed", pairs_per_second=None, map=None, unmap=None),
            "64 MiB: crashed, - pairs/s, map p50 -, p99 -",
        ),
    ],
)
def test_row_line(row, expected):
    assert report.row_line(row) == expected
