"""`report compare --output`: the page says what the terminal says, and the terminal says what it said without it."""

import json
import re
from html.parser import HTMLParser

import pytest
from builders import a_device, a_row, a_run
from msgspec.structs import replace

from vkmapctl.cli import main
from vkmapctl.model.documents import to_json
from vkmapctl.model.workload import Workload


class Words(HTMLParser):
    """The text of a page and the cells of its tables."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.lines, self._in_cell = "", [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes) -> None:
        if tag == "tr":
            self.lines.append([])
        if tag in ("td", "th"):
            self.lines[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data) -> None:
        self.text += data
        if self._in_cell:
            self.lines[-1][-1] += data


@pytest.fixture
def saved(tmp_path):
    """Two runs, of which the second takes twice the time in one row and lacks another."""
    names = ("one <b>", "two", "three")
    rows = [
        a_row(job=name, part=name, rounds_ns_per_pair=tuple(81.0 + k % 3 for k in range(10)))
        for number, name in enumerate(names)
    ]
    slow = replace(rows[0], rounds_ns_per_pair=tuple(2 * value for value in rows[0].rounds_ns_per_pair))
    paths = []
    for name, among in (("base", rows), ("new", [slow, rows[1]])):
        path = tmp_path / f"{name} run.json"
        path.write_bytes(to_json(a_run(*among, device=a_device(), workload=Workload(name="live-set"))))
        paths.append(str(path))
    return paths


def test_the_page_says_what_the_terminal_says(saved, tmp_path, capsys) -> None:
    assert main(["report", "compare", *saved]) == 5
    shown = capsys.readouterr().out
    path = tmp_path / "page.html"
    assert main(["report", "compare", *saved, "--output", str(path)]) == 5
    assert capsys.readouterr().out == shown
    page = Words(path.read_text())
    assert "vkmapctl compare live-set: llvmpipe (LLVM 19.1.7, 256 bits)" in page.text
    assert shown.splitlines()[-1] in page.text
    for line in shown.splitlines():
        cells = set(re.split(r"  +|─+", line.strip()))
        assert line.strip() in page.text or any(cells <= {*told, ""} for told in page.lines), line
    told = {(cells[0], cells[1]): cells[-1] for cells in page.lines if len(cells) == 7}
    assert told["one <b>", "ns_per_pair"] == "slower"
    assert told["two", "ns_per_pair"] == "same"
    assert told["three", "-"] == "missing"
    assert "three: NEW has no such row" in page.text


def test_the_chart_has_each_median_with_its_change(saved, tmp_path, capsys) -> None:
    path = tmp_path / "page.html"
    main(["report", "compare", *saved, "--output", str(path)])
    tips = re.findall(r'data-tip="([^"]*)"', path.read_text())
    assert "one &lt;b&gt;: ns_per_pair 82 ns to 164 ns, +100.0%, slower" in tips
    assert len(tips) == 2 * 2 * 3  # two widths, two rows, three metrics


def test_json_stays_one_document_beside_a_page(saved, tmp_path, capsys) -> None:
    path = tmp_path / "page.html"
    assert main(["report", "compare", *saved, "--json", "--output", str(path)]) == 5
    assert json.loads(capsys.readouterr().out)["kind"] == "compare"
    assert path.read_bytes().startswith(b"<!doctype html>")


def test_a_file_of_somebody_else_is_kept(saved, tmp_path, capsys) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("mine")
    assert main(["report", "compare", *saved, "--output", str(path)]) == 2
    assert path.read_text() == "mine"
    assert main(["report", "compare", *saved, "--output", str(path), "--force"]) == 5
    assert "slower" in path.read_text()


def test_devices_side_by_side_are_a_page_too(tmp_path, capsys) -> None:
    devices = (a_device(), a_device(index=1, name="Other GPU"))
    run = replace(a_run(a_row(), a_row(device=1)), devices=devices)
    saved, path = tmp_path / "all.json", tmp_path / "page.html"
    saved.write_bytes(to_json(run))
    assert main(["report", "compare", str(saved), "--output", str(path)]) == 0
    page = Words(path.read_text())
    assert "Devices side by side" in page.text
    assert ["row", "device 1", "device 2"] in page.lines
