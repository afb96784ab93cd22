"""The pages of verify, selftest, probe and record in a real browser: offline, light and dark, phone and paper."""

import os
from pathlib import Path

import pytest
from builders import a_check, a_gpu, a_probe, a_probe_report, a_selftest, a_trial, a_verify_report, checks
from chromium import WEAK, Chromium
from msgspec.structs import replace
from recordings import DEVICE, a_program_of_everything, an_answer

from vkmapctl.model.base import Note
from vkmapctl.model.recording import Program
from vkmapctl.report import export

WIDTHS = (1000, 360)
HOSTILE = "<script>alert(1)</script>"
LONG = "it is still mapped there as rw-s /dev/nvidiactl-" + "0123456789abcdef" * 12
DOCUMENTS = {
    "verify": a_verify_report(
        *checks("M1"),
        a_check("P2", 4, title=HOSTILE, status="fail", detail=LONG),
        a_check("M5", 2, status="crashed", detail="killed by SIGSEGV"),
        *checks("M10", status="quality", detail="it can still be read"),
        a_check("P11", None, status="skip", detail="memoryMapRangePlaced is missing"),
        devices=(a_gpu(name=HOSTILE),),
        warnings=(Note("drift", "</main>"),),
        outcome="crashed",
        exit_code=6,
    ),
    "selftest": a_selftest(a_trial("leak"), a_trial("bit-flip", caught=False, how=LONG)),
    "probe": a_probe_report(a_probe(a_gpu())),
    "record": an_answer(
        a_program_of_everything(),
        program=Program(HOSTILE, None, "SIGKILL", seconds=0.2),
        devices=(replace(DEVICE, name=HOSTILE),),
        faults_missing=LONG,
        dropped=7,
    ),
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = Chromium(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for kind, document in DOCUMENTS.items():
        (folder / f"{kind}.html").write_bytes(export(document, "html"))
    return {kind: folder / f"{kind}.html" for kind in DOCUMENTS}


def test_the_failures_come_first_and_every_row_is_there(browser, pages) -> None:
    browser.open(pages["verify"])
    headings = browser.evaluate("[...document.querySelectorAll('h2, h3')].map(one => one.textContent).join('|')")
    assert headings.split("|") == [
        f"{HOSTILE}  [device 1, discrete]", "Failures", "Crashes and hangs", "Quality", "Left out", "Passed",
        "9 rows: 3 pass, 3 quality, 1 fail, 1 crashed, 1 skip", "Machine",
    ]  # fmt: skip
    headline = browser.evaluate("document.querySelector('.headline').textContent")
    assert headline == f"2 of 4 checks fail on {HOSTILE}: P2, M5 (crashed)"
    assert browser.evaluate("document.querySelectorAll('details tbody tr').length") == 9


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_page_asks_for_nothing_and_runs_nothing(browser, pages, kind) -> None:
    browser.open(pages[kind])
    asked = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert [e for e in browser.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")] == []
    charts = kind == "record"
    assert browser.evaluate("document.querySelectorAll('script, img').length") == charts, "what charts say by pointer"


@pytest.mark.parametrize("kind", DOCUMENTS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_text_has_contrast_and_nothing_is_wider_than_the_screen(browser, pages, kind, dark, width) -> None:
    browser.open(pages[kind], width=width, dark=dark, phone=width < 500)
    browser.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(WEAK) == ""


def test_screenshots_are_not_blank(browser, pages, tmp_path) -> None:
    """For looking at: VKMAPCTL_SCREENSHOTS=FOLDER keeps them."""
    folder = Path(os.environ.get("VKMAPCTL_SCREENSHOTS", tmp_path))
    for kind, page in pages.items():
        for name, options in (("light", {}), ("dark", {"dark": True}), ("phone", {"width": 360, "phone": True})):
            browser.open(page, **options)
            browser.screenshot(folder / f"{kind}-{name}.png")
            assert (folder / f"{kind}-{name}.png").stat().st_size > 10_000
