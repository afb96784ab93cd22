"""What `make docs` notices in a site, on one made up of two pages; the real one needs Sphinx."""

import runpy
from pathlib import Path

import pytest
from pages import ROOT

SCRIPT = runpy.run_path(str(ROOT / "scripts/make-site"))
FIRST = '<link href="style.css"><a href="docs/a.html#there">a</a><a href="https://example.org/">elsewhere</a>'
SECOND = '<h1 id="there">A</h1><a href="../index.html">first</a><a href="#there">here</a><a href="a%20b.json">data</a>'


def wrong(site: Path, *, first: str = FIRST, second: str = SECOND, style: str = "", wanted: str = "docs/a.html"):
    (site / "docs").mkdir()
    (site / "index.html").write_text(first + '<a href="docs/a.html">a</a>')
    (site / "docs/a.html").write_text(second)
    (site / "docs/a b.json").write_text("{}")
    (site / "style.css").write_text(style)
    return SCRIPT["problems"](site, {wanted})


def test_nothing_is_wrong(tmp_path):
    assert wrong(tmp_path, style="a { background: url(data:image/png;base64,AA) }") == set()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"second": '<h1 id="there"><a href="gone.json">x</a>'}, "docs/a.html: gone.json leads nowhere"),
        ({"second": '<h1 id="there"><a href="../../x">x</a>'}, "docs/a.html: ../../x leads nowhere"),
        ({"second": '<h1 id="there"></h1><a href="#gone">x</a>'}, "docs/a.html: #gone: no such anchor"),
        ({"second": '<h1 id="here"></h1>'}, "index.html: docs/a.html#there: no such anchor"),
        ({"second": '<h1 id="there"><img src="gone.svg">'}, "docs/a.html: gone.svg leads nowhere"),
        ({"first": '<script src="https://example.org/a.js"></script>'}, "index.html loads https://example.org/a.js"),
        ({"first": '<link href="//example.org/a.css">'}, "index.html loads //example.org/a.css"),
        ({"style": "@import url('https://example.org/font')"}, "style.css loads https://example.org/font"),
        ({"wanted": "docs/b.html"}, "docs/b.html is not in the navigation"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, changes, expected):
    assert wrong(tmp_path, **changes) == {expected}
