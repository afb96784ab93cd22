"""The page of a fleet in a real browser: 10,000 GPUs, by keyboard, in light and dark, on a phone, offline."""

import json

import pytest
from chromium import WEAK, Chromium
from fleet_sweeps import HOSTILE, a_sweep

from vkmapctl.reports.fleet import export

HOSTS = 1250


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = Chromium(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "fleet.html"
    path.write_bytes(export(a_sweep(hosts=20, hostile=True), "html"))
    return path


def about(browser):
    return browser.evaluate("document.getElementById('about').textContent")


def press_letter(browser, letter):
    browser.call("Input.dispatchKeyEvent", type="keyDown", key=letter, text=letter)


def test_it_asks_for_nothing_and_raises_nothing(browser, page) -> None:
    browser.open(page)
    asked = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert [e for e in browser.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")] == []


def test_suspects_and_failures_come_first_and_hostile_text_is_text(browser, page) -> None:
    browser.open(page)
    headings = browser.evaluate("[...document.querySelectorAll('h2')].map(one => one.textContent).join('|')")
    assert headings == "What is odd|What is not simply ok|The fleet, one cell for each GPU|What could be seen|Run"
    assert browser.evaluate("document.querySelector('#odd + .scroll tbody tr').textContent").startswith(
        "suspectgpu0002"
    )
    assert HOSTILE.split("\n")[0] in browser.evaluate("document.querySelector('#failures + .scroll').textContent")


def test_a_cell_tells_its_state_by_letter_and_colour(browser, page) -> None:
    browser.open(page)
    seen = json.loads(
        browser.evaluate(
            """JSON.stringify(Object.fromEntries([...document.querySelectorAll('#cells i')].map(cell =>
                 [cell.textContent, [cell.className, getComputedStyle(cell).color]])))"""
        )
    )
    names = {letter: name for letter, (name, _) in seen.items()}
    assert names == {
        "·": "ok", "F": "failed", "M": "missing", "S": "suspect", "R": "run-again", "W": "swapped"
    }  # fmt: skip
    assert seen["·"][1] != seen["S"][1]


def test_the_keyboard_goes_through_the_cells_and_the_page_says_what_they_are(browser, page) -> None:
    browser.open(page)
    assert browser.evaluate("document.querySelectorAll('#cells [tabindex=\"0\"]').length") == 1
    browser.evaluate("document.querySelector('#cells i').focus()")
    assert about(browser).startswith("gpu0001, slot 0: ok")
    browser.press("ArrowRight")
    assert about(browser).startswith("gpu0001, slot 1: ok")
    press_letter(browser, "n")
    assert about(browser).startswith("gpu0001, slot 2: ok, and another card")
    press_letter(browser, "n")
    told = about(browser)
    assert told.startswith("gpu0002, slot 3: suspect")
    assert "slower than its peers" in told
    assert "oldest first: +1" in told, "its history"
    browser.press("End")
    assert about(browser).startswith("gpu0020, slot 7")
    browser.press("Home")
    browser.press("ArrowLeft")
    assert about(browser).startswith("gpu0001, slot 0"), "there is nothing before the first"
    assert browser.evaluate("document.querySelectorAll('#cells [tabindex=\"0\"]').length") == 1


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1000, 360])
def test_text_has_contrast_and_nothing_is_wider_than_the_screen(browser, page, dark, width) -> None:
    browser.open(page, width=width, dark=dark, phone=width < 500)
    browser.evaluate("document.querySelector('#cells i').focus()")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(WEAK) == ""


def test_ten_thousand_gpus_are_on_one_page(browser, tmp_path) -> None:
    path = tmp_path / "fleet.html"
    path.write_bytes(export(a_sweep(hosts=HOSTS), "html"))
    assert path.stat().st_size < 2 << 20
    browser.open(path)
    assert browser.evaluate("document.querySelectorAll('#cells i').length") == 8 * HOSTS
    assert browser.evaluate("document.querySelectorAll('*').length") < 15_000
    browser.evaluate("document.querySelector('#cells i').focus()")
    browser.press("End")
    assert about(browser).startswith(f"gpu{HOSTS:04}, slot 7")
