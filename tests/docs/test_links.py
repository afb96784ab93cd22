"""Every relative link leads to a file of the repository, and to a heading where it names one."""

import re
from pathlib import Path

import pytest
from pages import FENCE, PAGES, ROOT, name, prose

LINK = re.compile(r"\]\(([^)\s]+)\)")
MORE_PAGES = [
    *PAGES,
    *(ROOT / page for page in ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "SECURITY.md", "docs/results/README.md")),
]


def anchors(page: Path) -> set[str]:
    """The headings as GitHub and GitLab name them: lower case, no punctuation, hyphens for blanks."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", MORE_PAGES, ids=name)
def test_relative_links(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)}: {link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{name(page)}: {link} leads out of the repository"
        assert not anchor or anchor in anchors(target), f"{name(page)}: {link}: no such heading"


def linked(page: Path) -> set[Path]:
    return {(page.parent / link.partition("#")[0]).resolve() for link in LINK.findall(prose(page))}


def test_every_page_is_reached_from_the_readme() -> None:
    """A driver's page by way of the findings."""
    reached = linked(ROOT / "README.md") | linked(ROOT / "docs/findings.md")
    assert set(PAGES) - {ROOT / "README.md"} <= reached
