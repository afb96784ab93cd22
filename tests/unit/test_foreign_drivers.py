"""What fifteen drivers answered, as saved documents: they are read and shown whole, and judged right.

The documents are those of version 0.1.0 (tests/data/foreign). Where its verdict was wrong it is not asked for here.
"""

import io
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console

from vkmapctl.figures import outcomes
from vkmapctl.figures.proved import probe_of
from vkmapctl.model.device import Device, Probe
from vkmapctl.model.documents import ProbeReport, VerifyReport
from vkmapctl.plans import gates
from vkmapctl.report import view
from vkmapctl.reports import plain
from vkmapctl.reports.drawing import drawn
from vkmapctl.saved.files import load

FOREIGN = Path(__file__).parents[1] / "data" / "foreign"
DOCUMENTS = sorted(FOREIGN.glob("*.json"))
WIDE = 10_000
MAP2 = {"map2", "core14", "api>=1.4"}
PLACED = MAP2 | {"placed", "reserve"}
TRANSFERS = {"M8", "M8-host", "M8-flush"}  # the device's own work, which a simulated kernel device does not do


class Known(NamedTuple):
    """What is true of a driver. types: the indices of the memory types that can be mapped."""

    driver_id: str
    version: str  # as driverInfo has it
    api_version: str
    meets: set[str]  # of gates.REQUIREMENTS
    types: list[int]
    executes: bool  # whether what is submitted is run


KNOWN = {
    "anv_mtl": Known("INTEL_OPEN_SOURCE_MESA", "25.0.7", "1.4.305", PLACED, [0, 1, 3, 4], False),
    "anv_tgl": Known("INTEL_OPEN_SOURCE_MESA", "25.0.7", "1.4.305", PLACED, [1, 2, 5, 6], False),
    "hasvk_hsw": Known("INTEL_OPEN_SOURCE_MESA", "25.0.7", "1.2.305", set(), [1], False),
    "hk26": Known("MESA_AGXV", "26.2.6", "1.4.354", PLACED, [0, 1], False),
    "lvp22": Known("MESA_LLVMPIPE", "22.3.6", "1.3.230", set(), [0], True),
    "lvp26": Known("MESA_LLVMPIPE", "26.2.6", "1.4.354", MAP2, [0], True),
    "m22_radeon": Known("MESA_RADV", "22.3.6", "1.3.230", set(), [2, 3, 4], False),
    "nvk25": Known("MESA_NVK", "25.0.7", "1.4.305", PLACED, [1, 2], False),
    "nvk26": Known("MESA_NVK", "26.2.6", "1.4.354", PLACED, [1, 2], False),
    "radv26": Known("MESA_RADV", "26.2.6", "1.4.354", PLACED, [2, 3, 4, 5, 6], False),
    "radv_navi31": Known("MESA_RADV", "25.0.7", "1.4.305", PLACED, [2, 3, 4, 5, 6], False),
    "ss156": Known("GOOGLE_SWIFTSHADER", "", "1.3.0", set(), [0], True),
    "tu26": Known("MESA_TURNIP", "26.2.6", "1.4.354", PLACED, [0, 1, 2], False),
    "venus25": Known("MESA_VENUS", "25.0.7", "1.3.269", set(), [0], True),
    "venus26": Known("MESA_VENUS", "26.2.6", "1.4.334", MAP2, [0], True),
}
FIRST_PLACED = {  # whose first map of an object is a placed one
    "P1", "P2", "P3", "P4", "P5", "P7", "P8", "P14", "R1", "R2", "R3", "R4", "R5",
}  # fmt: skip

# Checks that failed, with the memory types, beside those of TRANSFERS on a simulated device.
BROKEN = {
    "anv_mtl": {},
    "hasvk_hsw": {},
    "hk26": {"P2": {0, 1}, "P9": {0, 1}},
    "lvp22": {},
    "lvp26": {},
    "nvk25": {"P1": {1}, "P2": {1}},
    "nvk26": {},
    "radv26": {},
    "ss156": {},
    "tu26": {check: {2} for check in FIRST_PLACED},
    "venus26": {check: {0} for check in ("P4", "P6", "P7", "R4", "R6")},
}
QUALITY = {"tu26": {"R2-view", "R5-extent", "R7", "R8"}, "venus26": {"R2-view", "R7", "R8"}}


def prefix(path: Path) -> str:
    return path.name.partition(".")[0]


def probed(name: str) -> Probe:
    """The one device of a saved probe."""
    report = load(FOREIGN / f"{name}.probe.json")
    assert isinstance(report, ProbeReport)
    (probe,) = report.devices
    return probe


def device_of(name: str) -> Device:
    device = probed(name).device
    assert device is not None
    return device


def verified(name: str) -> VerifyReport:
    report = load(FOREIGN / f"{name}.verify.json")
    assert isinstance(report, VerifyReport)
    return report


def met(probe: Probe) -> set[str]:
    return {text for text in gates.REQUIREMENTS if not gates.missing([text], None, probe)}


def test_every_document_is_known():
    assert {prefix(path) for path in FOREIGN.glob("*.probe.json")} == set(KNOWN)
    assert {prefix(path) for path in FOREIGN.glob("*.verify.json")} == set(BROKEN)
    assert sum(path.stat().st_size for path in DOCUMENTS) < 300_000, "test data, not an archive"


# --- shown --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_shown_as_plain_lines_at_any_width(path):
    document = load(path)
    for width in (80, WIDE):
        shown = "\n".join(line for one in view(document, verbose=True) for line in plain.lines_of(one, width))
        assert f"(exit code {document.exit_code})" in shown or isinstance(document, ProbeReport)
        for row in document.results if isinstance(document, VerifyReport) else ():
            assert f"{row.id} " in shown
            assert row.detail in shown
        for probe in document.devices if isinstance(document, ProbeReport) else ():
            assert probe.device.name in shown
            assert all(" ".join(one.flags) in shown for one in probe.device.memory_types)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_shown_on_a_terminal_of_80_columns(path):
    screen = Console(file=io.StringIO(), width=80, no_color=True, highlight=False, markup=False, emoji=False)
    document = load(path)
    for element in view(document, verbose=True):
        for part in drawn(element, 80):
            screen.print(part)
    lines = screen.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) > 20


@pytest.mark.parametrize("name", BROKEN)
def test_what_did_not_pass_is_shown_without_a_table_of_what_did(name):
    report = verified(name)
    shown = "\n".join(line for element in view(report) for line in plain.lines_of(element, WIDE))
    assert "what it tests" not in shown
    assert all(row.detail in shown for row in report.results if row.status != "pass")


@pytest.mark.parametrize("name", BROKEN)
def test_the_count_of_each_verdict_is_shown(name):
    report = verified(name)
    shown = "\n".join(line for element in view(report) for line in plain.lines_of(element, WIDE))
    for status, count in Counter(row.status for row in report.results).items():
        assert f"{count} {status}" in shown


# --- judged: probe --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KNOWN)
def test_who_it_is(name):
    device, known = device_of(name), KNOWN[name]
    assert (device.driver_id, device.api_version) == (known.driver_id, known.api_version)
    assert known.version in device.driver_info
    assert device.software == (name in {"lvp22", "lvp26", "ss156", "venus25", "venus26"})


@pytest.mark.parametrize("name", KNOWN)
def test_which_memory_can_be_mapped(name):
    """Types with DEVICE_COHERENT ask for a feature as well, and are left out here."""
    types = device_of(name).memory_types
    assert [one.index for one in types if one.usable and "Dc" not in one.flags] == KNOWN[name].types


@pytest.mark.parametrize("name", KNOWN)
def test_which_calls_map(name):
    expected = ("core", "khr", "v1") if "map2" in KNOWN[name].meets else ("v1",)
    assert device_of(name).apis() == expected


@pytest.mark.parametrize("name", set(KNOWN) - {"venus26"})
def test_gates(name):
    assert met(probed(name)) == KNOWN[name].meets


def test_venus_is_not_believed_about_placed_maps():
    """It says memoryMapPlaced, but a second placed map of an object returns the address of the first."""
    probe = probed("venus26")
    assert device_of("venus26").placed.memory_map_placed
    assert met(probe) - {"reserve"} == MAP2
    (line,) = gates.missing(["placed"], None, probe)
    assert line.startswith("placed: not proved")


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_missing_says_why(name):
    probe = probed(name)
    for text in set(gates.REQUIREMENTS) - met(probe):
        (line,) = gates.missing([text], None, probe)
        assert line.startswith(f"{text}: ")


OWN_NAMES = {
    "anv_mtl": "intel", "anv_tgl": "intel", "hasvk_hsw": "intel", "hk26": "honeykrisp", "lvp22": "llvmpipe",
    "lvp26": "llvmpipe", "m22_radeon": "radv", "nvk25": "nvk", "nvk26": "nvk", "radv26": "radv", "radv_navi31": "radv",
    "ss156": "swiftshader", "tu26": "turnip", "venus25": "venus", "venus26": "venus",
}  # fmt: skip


@pytest.mark.parametrize("wanted", sorted(set(OWN_NAMES.values())))
def test_expected_driver_is_met_by_its_own_devices_alone(wanted):
    """Venus names the device behind it, llvmpipe, in the device's name: that does not make it llvmpipe's driver."""
    found = {name for name in KNOWN if not gates.missing([], wanted, probed(name))}
    assert found == {name for name, own in OWN_NAMES.items() if own == wanted}


@pytest.mark.parametrize("name", KNOWN)
def test_what_the_answers_amount_to(name):
    saved = probed(name)
    device = device_of(name)
    judged = probe_of(device, {point.name: point.found for point in saved.entry_points}, saved.proofs)
    assert judged.entry_points == saved.entry_points
    assert all(point.agrees for point in judged.entry_points)
    assert judged.status == ("failed" if name == "venus26" else "ok")
    contradictions = {"entry-point-disagrees", "placed-without-feature", "placed-alignment"}
    assert not contradictions & {note.code for note in judged.notes}


@pytest.mark.parametrize("name", KNOWN)
def test_placed_features(name):
    placed = device_of(name).placed
    has = "placed" in KNOWN[name].meets or name == "venus26"
    features = (placed.memory_map_placed, placed.memory_unmap_reserve, placed.memory_map_range_placed)
    assert features == (has, has, False)
    assert placed.min_placed_memory_map_alignment == (4096 if has else None)
    assert not placed.emulated


def test_limits_that_a_size_can_meet():
    """The largest allocation that a driver promises; what it grants in the end may be less."""
    assert device_of("ss156").limits.max_memory_allocation_size == 0x40000000
    assert device_of("hasvk_hsw").limits.max_memory_allocation_size > device_of("hasvk_hsw").heaps[0].size
    assert device_of("ss156").limits.non_coherent_atom_size == 256


# --- judged: verify -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BROKEN)
def test_what_verify_found(name):
    rows = verified(name).results
    found: dict[str, set[int]] = {}
    for row in rows:
        if row.status in ("fail", "crashed", "hung") and row.id not in TRANSFERS:
            found.setdefault(row.id, set()).add(row.memory_type)
    assert found == BROKEN[name]
    assert {row.id for row in rows if row.status == "quality"} == QUALITY.get(name, set())


@pytest.mark.parametrize("name", BROKEN)
def test_the_devices_own_work_fails_where_nothing_is_executed(name):
    verdicts = {row.status for row in verified(name).results if row.id in TRANSFERS} - {"skip"}
    assert verdicts == ({"pass"} if KNOWN[name].executes else {"fail"})


@pytest.mark.parametrize("name", BROKEN)
def test_outcome_and_exit_code(name):
    report = verified(name)
    outcome = outcomes.worst("failed" if row.status == "fail" else row.status for row in report.results)
    assert (report.outcome, report.exit_code) == (outcome, outcomes.EXIT[outcome])


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_offered_is_skipped_with_the_reason(name):
    rows = verified(name).results
    assert all(row.detail for row in rows if row.status == "skip")
    placed = device_of(name).placed.memory_map_placed
    assert {row.status for row in rows if row.id == "P1"} <= ({"pass", "fail", "crashed"} if placed else {"skip"})
    assert {row.status for row in rows if row.id == "P11"} == {"skip"}, "no driver here has memoryMapRangePlaced"
