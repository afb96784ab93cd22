"""The table at the top of the findings fits a screen, and says what the saved documents say."""

import pytest
from pages import ROOT

from vkmapctl.saved.files import load

PAGE = (ROOT / "docs/findings.md").read_text()
LINES = PAGE[PAGE.index("| driver ") :].partition("\n\n")[0].splitlines()
CHECKS = {
    "lands": {"P1"}, "alone": {"P2"}, "moves": {"P4", "P7"}, "error": {"M9", "P9"}, "keeps": {"R2", "R3", "R4"},
    "plain": {"R6"},
}  # fmt: skip
FOREIGN, RESULTS = "tests/data/foreign", "docs/results"
SAVED = {
    "NVIDIA 580.159.04": (f"{RESULTS}/h100-", f"{RESULTS}/h200-"),
    "NVK 25.0.7": (f"{FOREIGN}/nvk25.",),
    "NVK 26.2.6": (f"{FOREIGN}/nvk26.",),
    "RADV 22.3.6": (f"{FOREIGN}/m22_radeon.",),
    "RADV 25.0.7, 26.2.6": (f"{FOREIGN}/radv_navi31.", f"{FOREIGN}/radv26."),
    "ANV 25.0.7": (f"{FOREIGN}/anv_mtl.", f"{FOREIGN}/anv_tgl."),
    "hasvk 25.0.7": (f"{FOREIGN}/hasvk_hsw.",),
    "turnip 26.2.6": (f"{FOREIGN}/tu26.",),
    "Honeykrisp 26.2.6": (f"{FOREIGN}/hk26.",),
    "Venus 25.0.7": (f"{FOREIGN}/venus25.",),
    "Venus 26.2.6": (f"{FOREIGN}/venus26.",),
    "lavapipe 22.3.6": (f"{FOREIGN}/lvp22.",),
    "lavapipe 25.0.7, 26.2.6": (f"{FOREIGN}/lvp26.",),
    "SwiftShader 156": (f"{FOREIGN}/ss156.",),
}
NEVER_PLACED = "VK_ERROR_MEMORY_MAP_FAILED"  # turnip: whatever a check was about, its first placed map was refused


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


ROWS = {cells(line)[0]: dict(zip(cells(LINES[0]), cells(line), strict=True)) for line in LINES[2:]}


def documents(driver, kind):
    paths = [ROOT / f"{begin}{kind}.json" for begin in SAVED[driver]]
    return [load(path) for path in paths if path.exists()]


def rows_of(driver, checks):
    rows = [row for report in documents(driver, "verify") for row in report.results if row.id in checks]
    return [row for row in rows if row.status != "skip"]


def test_it_fits_a_screen():
    assert max(map(len, LINES)) <= 100
    assert len(LINES) <= 20
    assert list(ROWS) == list(SAVED)


@pytest.mark.parametrize("driver", SAVED)
def test_what_it_has(driver):
    devices = [probe.device for report in documents(driver, "probe") for probe in report.devices]
    assert devices
    for device in devices:
        placed = device.placed.memory_map_placed and device.placed.memory_unmap_reserve
        assert ROWS[driver]["has"] == ("placed" if placed else "v1" if device.route == "none" else "map2")
        assert not device.placed.memory_map_range_placed


@pytest.mark.parametrize("column", CHECKS)
@pytest.mark.parametrize("driver", [driver for driver in SAVED if documents(driver, "verify")])
def test_verdicts(driver, column):
    """A crash is not asked for: it need not be about what the check tests."""
    rows = rows_of(driver, CHECKS[column])
    if column != "lands":
        rows = [row for row in rows if row.status == "pass" or NEVER_PLACED not in row.detail]
    broken = any(row.status == "fail" for row in rows)
    assert ROWS[driver][column] == ("NO" if broken else "yes" if rows else "-")


@pytest.mark.parametrize("driver", [driver for driver in SAVED if rows_of(driver, {"R1"})])
def test_who_tells_that_a_reserve_failed(driver):
    """Version 0.1.0 passed a success that the kernel had not granted; only a refusal that was told is a yes."""
    told = any("stayed mapped" in row.detail for row in rows_of(driver, {"R1"}))
    assert ROWS[driver]["told"] == ("yes" if told else "NO")
