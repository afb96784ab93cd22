"""Files that the pages name in passing are there."""

import re

import pytest
from pages import PAGES, ROOT, name

NAMED = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|c|h|toml|yml))`")
MADE_UP = {"my.toml"}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_named_files(page):
    folders = (ROOT, ROOT / "vkmapctl", ROOT / "tests", ROOT / "tests/driver", ROOT / ".github/workflows")
    named = set(NAMED.findall(page.read_text())) - MADE_UP
    assert [one for one in named if not any((folder / one).exists() for folder in folders)] == []
