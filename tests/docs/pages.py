"""The pages that people read, and what stands in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("drivers/*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def name(page: Path) -> str:
    """A page's path in the repository."""
    return str(page.relative_to(ROOT))


def commands(page: Path) -> list[str]:
    """The lines of a page's `sh` blocks, without comments; a line that ends in a backslash goes on."""
    blocks = "\n".join(text for language, text in FENCE.findall(page.read_text()) if language == "sh")
    lines = blocks.replace("\\\n", " ").splitlines()
    return [line for line in (re.sub(r"(^|\s)\s*#.*", "", one).strip() for one in lines) if line]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text())


def workloads(page: Path) -> list[str]:
    """The `toml` blocks of a page."""
    return [text for language, text in FENCE.findall(page.read_text()) if language == "toml"]
