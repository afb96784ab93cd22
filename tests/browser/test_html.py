"""The HTML report in a real browser: offline, in light and dark, on a phone, by pointer and by keyboard."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from builders import a_device, a_latency, a_row, a_run
from chromium import Chromium

from vkmapctl.cli import main
from vkmapctl.model.base import Note
from vkmapctl.model.documents import Tool
from vkmapctl.model.loop import CALLS
from vkmapctl.model.measured import Bins, TouchRate
from vkmapctl.model.workload import Workload
from vkmapctl.report import export
from vkmapctl.saved.files import load

ROOT = Path(__file__).parents[2]
H100 = ROOT / "tests" / "golden" / "schema-1" / "placed.json"
WIDTHS = (1280, 721, 720, 390, 360)
PAPER = 688  # pixels of an A4 sheet between margins of 14 mm
FONTS = (
    "serif",
    "sans-serif",
    "monospace",
    "Verdana, 'DejaVu Sans', sans-serif",
    "'Noto Sans', 'Liberation Sans', sans-serif",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = Chromium(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


def latency(middle):
    bins = ((middle, 90_000), (middle * 2, 9_900), (middle * 50, 100))
    return a_latency(count=100_000, min_ns=middle, p50_ns=float(middle), max_ns=middle * 50, histogram=Bins(bins, 0))


def a_full_run():
    """Every chart, every table, and text that would break a page that does not escape it."""
    rows = [
        a_row(job=f"{size} <img src=x onerror=alert(1)>", allocation_size=size, map=latency(100 + size // 64))
        for size in (4096, 65536, 1 << 20, 16 << 20)
    ]
    rows += [
        a_row(job="write", touch="write", touch_bytes_per_second=TouchRate(write=9e9)),
        a_row(job="read", touch="read", touch_bytes_per_second=TouchRate(read=2.1e7)),
        a_row(job="bad", live=7, status="failed", reason="byte 3 is wrong"),
    ]
    device = a_device(name="<script>alert(1)</script>")
    return a_run(*rows, device=device, warnings=(Note("drift", "</main>"),), outcome="failed", exit_code=4)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "run.html"
    path.write_bytes(export(a_full_run(), "html"))
    return path


def a_run_of_every_call():
    """Eight distributions in a row, names as long as they come, and more rows than a chart has lines."""
    long = "exhausted arena, 64 MiB, #2 Vi Co, placed low4g, reserve, touch verify, 8 live, addresses filled"
    others = {call: latency(200 * 7**i) for i, call in enumerate(CALLS[2:], 1)}
    rows = [
        a_row(
            job=f"{long}, {number} threads", threads=number, map=latency(40), unmap=latency(900_000), calls=others,
            response=latency(3_000_000), touch_bytes_per_second=TouchRate(write=9.87e9, read=2.1e7),
            page_faults={"minor": 66_000}, ratio_to_v1=(1.02, 0.98, 1.07), first_touch_ns_per_page=4100.0,
        )
        for number in range(1, 18)
    ]  # fmt: skip
    command = ("stress", "low4g", "--fail-if", "map.p50>1ms", "--save", "a b.json")
    notes = (Note("drift", "the machine slowed down"),)
    return a_run(*rows, warnings=notes, tool=Tool("vkmapctl", "0.1.0", command))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "many.html"
    path.write_bytes(export(a_run_of_every_call(), "html"))
    return path


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """Two cards side by side, with intervals of every width, from a folder of a name that no screen holds."""
    path = tmp_path_factory.mktemp("page") / "comparison.html"
    folder = path.parent / "a_long_name_without_a_place_to_break_it" / "and_another_below_it_just_as_long"
    folder.mkdir(parents=True)
    pair = [
        str(shutil.copy(ROOT / f"docs/results/{name}-size-sweep-placed.json", folder / f"{name}.json"))
        for name in ("h100", "h200")
    ]
    assert main(["report", "compare", *pair, "--allow", "device", "--gate", "warn", "--output", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def h100(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "h100.html"
    path.write_bytes(export(load(H100), "html"))
    return path


def test_the_page_is_one_file_that_asks_for_nothing_else(browser, h100) -> None:
    assert not re.search(rb"(src|href)=[\"'](?!data:|#)|@import|url\(", h100.read_bytes())
    browser.open(h100)
    asked = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert [e for e in browser.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")] == []


def test_every_chart_and_table_is_there(browser, page) -> None:
    browser.open(page)
    headings = browser.evaluate("[...document.querySelectorAll('h2')].map(one => one.textContent).join('|')")
    assert headings.split("|") == [
        "What stands out", "p50 of map by size", "p50 of unmap by size", "Bandwidth through the mapping",
        "Latency distributions", "Percentiles of map", "Percentiles of unmap", "Throughput", "Latency", "Machine",
    ]  # fmt: skip
    assert browser.evaluate("document.querySelectorAll('.wide svg.chart').length") == 6


def test_text_from_a_driver_is_text(browser, page) -> None:
    browser.open(page)
    assert browser.evaluate("document.querySelectorAll('img, main script').length") == 0
    assert browser.evaluate("document.querySelector('h1').textContent") == "vkmapctl stress: <script>alert(1)</script>"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1000, 390])
@pytest.mark.parametrize("which", ["h100", "comparison"])
def test_text_has_contrast_and_nothing_is_wider_than_the_screen(browser, request, which, dark, width) -> None:
    browser.open(request.getfixturevalue(which), width=width, dark=dark, phone=width < 500)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    light = browser.evaluate(
        """(() => {
          const luminance = colour => {
            const part = colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
              .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
            return .2126 * part[0] + .7152 * part[1] + .0722 * part[2];
          };
          const paper = luminance(getComputedStyle(document.body).backgroundColor);
          const found = [];
          for (const one of document.querySelectorAll('h1, p, li, td, th, dt, dd, text, .line, .mark')) {
            const style = getComputedStyle(one);
            const text = !(one instanceof SVGElement);
            const ink = luminance(text ? style.color : one.matches('.line') ? style.stroke : style.fill);
            const ratio = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
            if (ratio < (one.matches('.line, .mark') ? 3 : 4.5)) found.push(one.tagName + ' ' + ratio);
          }
          return found.join(', ') + '|' + (paper > .5);
        })()"""
    )
    assert light == f"|{'false' if dark else 'true'}"


CROWDED = """(() => {
  const found = [];
  for (const chart of document.querySelectorAll('svg.chart')) {
    const edge = chart.getBoundingClientRect();
    if (!edge.width) continue;
    const boxes = [...chart.querySelectorAll('text')].map(one => [one, one.getBoundingClientRect()]);
    boxes.forEach(([one, a], i) => {
      if (a.left < edge.left - 1 || a.right > edge.right + 1 || a.bottom > edge.bottom + 4)
        found.push('cut: ' + one.textContent);
      if (a.height < 10) found.push('small: ' + one.textContent);
      for (const [other, b] of boxes.slice(i + 1))
        if (a.left < b.right && b.left < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom)
          found.push(chart.getAttribute('aria-label') + ': ' + one.textContent + ' / ' + other.textContent);
    });
  }
  return found.join('; ');
})()"""


def set_type(browser, font, spacing="normal") -> None:
    """The page in another font: `spacing` makes every letter wider, as those of a font that is not here may be."""
    browser.evaluate(
        f"document.body.style.fontFamily = {json.dumps(font)}; document.body.style.letterSpacing = '{spacing}'"
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("which", ["h100", "page", "many", "comparison"])
def test_words_in_charts_are_large_enough_and_do_not_overlap_in_any_font(browser, request, which, width) -> None:
    browser.open(request.getfixturevalue(which), width=width, phone=width < 500)
    for font in FONTS:
        set_type(browser, font)
        assert (font, browser.evaluate(CROWDED)) == (font, "")
    set_type(browser, "monospace", "1px")
    assert browser.evaluate(CROWDED) == ""


@pytest.mark.parametrize("font", ["monospace", "serif"])
@pytest.mark.parametrize("which", ["h100", "many", "comparison"])
def test_a_printed_table_keeps_its_last_column(browser, request, which, font) -> None:
    browser.open(request.getfixturevalue(which), width=PAPER)
    browser.print_media()
    set_type(browser, font)
    cut = """[...document.querySelectorAll('th, td')]
      .filter(one => one.scrollWidth > one.clientWidth + 1 || one.getBoundingClientRect().right > innerWidth + 1)
      .map(one => one.textContent).join('; ')"""
    assert browser.evaluate(cut) == ""
    assert browser.evaluate("[...document.querySelectorAll('.wide')].every(one => one.getBoundingClientRect().width)")
    assert browser.evaluate("[...document.querySelectorAll('.narrow')].every(one => !one.checkVisibility())")


@pytest.mark.parametrize("which", ["h100", "many", "comparison"])
def test_a_printed_chart_fits_on_a_sheet(browser, request, which) -> None:
    browser.open(request.getfixturevalue(which), width=PAPER)
    browser.print_media()
    highest = "Math.max(...[...document.querySelectorAll('.wide svg')].map(one => one.getBoundingClientRect().height))"
    assert 100 < browser.evaluate(highest) < 780  # Letter, which is lower than A4, has 949


def test_the_pdf_has_every_figure_and_is_light(browser, many) -> None:
    browser.open(many, dark=True)
    assert browser.pdf().startswith(b"%PDF-")
    assert browser.evaluate("[...document.querySelectorAll('details')].every(one => one.open)")


def test_hovering_shows_a_value(browser, page) -> None:
    browser.open(page)
    x, y = browser.evaluate(
        """(() => { const mark = document.querySelector('.wide .bar'); mark.scrollIntoView({block: 'center'});
           const box = mark.getBoundingClientRect(); return [box.x + 5, box.y + 5]; })()"""
    )
    browser.evaluate(
        "new Promise(done => setTimeout(done, 200))", wait=True
    )  # that scrolling hides what was pointed at
    browser.hover(x, y)
    assert browser.evaluate("tip.hidden") is False
    assert browser.evaluate("tip.textContent").endswith("write 9.00 GB/s")
    browser.hover(2, 2)
    assert browser.evaluate("tip.hidden") is True


def test_the_keyboard_reaches_every_value_of_a_chart_with_one_tab_stop_each(browser, page) -> None:
    browser.open(page)
    charts = "[...document.querySelectorAll('.wide svg.chart')]"
    assert browser.evaluate(f"{charts}.every(one => one.querySelectorAll('[tabindex=\"0\"]').length === 1)")
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.className") == "skip"
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.tagName") == "SUMMARY"
    browser.press("Tab")
    first = browser.evaluate("tip.textContent")
    assert "4 KiB, p50 164 ns" in first
    for key, expected in (("ArrowRight", "64 KiB"), ("End", "16 MiB"), ("ArrowLeft", "1 MiB"), ("Home", "4 KiB")):
        browser.press(key)
        assert expected in browser.evaluate("tip.textContent")
        assert browser.evaluate("document.activeElement.dataset.tip") == browser.evaluate("tip.textContent")
    browser.press("Escape")
    assert browser.evaluate("tip.hidden") is True
    browser.press("Tab")
    assert (
        browser.evaluate("document.activeElement.closest('svg').getAttribute('aria-label')") == "p50 of unmap by size"
    )


def test_the_first_tab_skips_to_the_findings(browser, h100) -> None:
    browser.open(h100)
    browser.press("Tab")
    box = "document.querySelector('.skip').getBoundingClientRect()"
    assert browser.evaluate(f"{box}.left >= 0 && {box}.top >= 0")
    browser.press("Enter")
    assert browser.evaluate("document.activeElement.id") == "main"
    browser.press("Tab")
    assert browser.evaluate("document.querySelector('main').contains(document.activeElement)")
    assert browser.evaluate(f"{box}.right") <= 0


def test_a_value_stays_shown_when_focus_scrolls_to_it(browser, many) -> None:
    browser.open(many, width=390, phone=True)
    far = "[...document.querySelectorAll('.narrow svg.chart')].at(-1).querySelector('.mark')"
    browser.evaluate(f"{far}.focus()")
    browser.evaluate("new Promise(done => setTimeout(done, 300))", wait=True)
    assert browser.evaluate("scrollY") > 0
    assert browser.evaluate("tip.hidden") is False
    assert browser.evaluate("tip.textContent") == browser.evaluate(f"{far}.dataset.tip")
    inside = "(() => { const box = tip.getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight; })()"
    assert browser.evaluate(inside)
    browser.evaluate("scrollTo(0, 0); new Promise(done => setTimeout(done, 300))", wait=True)
    assert browser.evaluate("tip.hidden") is True


def test_charts_of_many_calls_name_each_and_leave_no_row_unsaid(browser, many) -> None:
    browser.open(many)
    strip = "document.querySelector('.wide svg[aria-label^=\"Latency distributions\"]')"
    names = browser.evaluate(
        f"[...{strip}.querySelectorAll('text[text-anchor=end]')].map(one => one.textContent).join()"
    )
    assert names[: names.index(",map")] == "map,unmap,allocate,free,flush,invalidate,import,to-host,to-device,from due"
    styles = browser.evaluate(
        """[...document.querySelector('.legend').children].map(one =>
           one.querySelector('.line').classList[2] + one.querySelector('.mark').getAttribute('d')).join('|')"""
    ).split("|")
    assert len(styles) == len(set(styles)) == 16
    assert "1 more rows are in the tables" not in browser.evaluate("document.body.textContent")
    assert "1 more row is in the tables" in browser.evaluate("document.body.textContent")
    bars = browser.evaluate("[...document.querySelectorAll('.wide .bar')].map(one => one.dataset.tip).join('|')").split(
        "|"
    )
    assert len(bars) == len(set(bars)) == 34


def test_a_command_can_be_pasted_into_a_shell(browser, many) -> None:
    browser.open(many)
    shown = browser.evaluate("[...document.querySelectorAll('dd')].at(-1).textContent")
    assert shown == "vkmapctl stress low4g --fail-if 'map.p50>1ms' --save 'a b.json'"


def test_the_title_names_preset_and_device(browser, h100, tmp_path) -> None:
    browser.open(h100)
    assert browser.evaluate("document.title") == "vkmapctl stress: NVIDIA H100 80GB HBM3"
    path = tmp_path / "quick.html"
    path.write_bytes(export(a_run(a_row(), workload=Workload(name="quick")), "html"))
    browser.open(path)
    assert browser.evaluate("document.title") == "vkmapctl stress quick: llvmpipe (LLVM 19.1.7, 256 bits)"


def test_a_comparison_is_read_by_pointer_and_by_keyboard_like_a_run(browser, comparison) -> None:
    browser.open(comparison)
    assert [e for e in browser.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")] == []
    title = browser.evaluate("document.title")
    assert title == "vkmapctl compare size-sweep: NVIDIA H100 80GB HBM3, NVIDIA H200"
    for _ in range(2):
        browser.press("Tab")
    assert browser.evaluate("tip.hidden") is False
    assert "ns_per_pair" in browser.evaluate("tip.textContent")
    assert browser.evaluate("tip.textContent").endswith("same")


def test_a_run_without_rows_is_a_page_too(browser, tmp_path) -> None:
    path = tmp_path / "empty.html"
    path.write_bytes(export(a_run(outcome="crashed", exit_code=6), "html"))
    browser.open(path)
    assert "crashed (exit code 6)" in browser.evaluate("document.body.textContent")


def test_screenshots_are_not_blank(browser, h100, tmp_path) -> None:
    """For looking at: VKMAPCTL_SCREENSHOTS=FOLDER keeps them."""
    folder = Path(os.environ.get("VKMAPCTL_SCREENSHOTS", tmp_path))
    for name, options in (("light", {}), ("dark", {"dark": True}), ("phone", {"width": 360, "phone": True})):
        browser.open(h100, **options)
        browser.screenshot(folder / f"report-{name}.png")
        assert (folder / f"report-{name}.png").stat().st_size > 20_000
