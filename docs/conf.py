"""How Sphinx makes the site of these pages: `make docs`.

The pages are plain Markdown, as GitHub shows it. What only the site needs stands here: the navigation, and that a link
to a file of the repository leads to a copy of it at the same place.
"""

import os
import re
import shutil
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform

ROOT = Path(__file__).parent.parent
NAVIGATION = {
    "Start": [
        "Overview and first run <self>", "docs/install", "docs/platforms", "docs/32-bit", "docs/concepts",
        "docs/troubleshooting",
    ],
    "Tasks": [
        "docs/workloads", "docs/recording", "docs/reports", "In CI <docs/ci>", "A fleet <docs/fleet>",
        "Bisecting a driver <docs/bisect>", "docs/python",
    ],
    "Reference": [
        "docs/commands", "docs/checks", "docs/workload-reference", "docs/saved-runs", "docs/warnings",
        "docs/python-reference",
    ],
    "Drivers": [
        "docs/findings", "docs/drivers/*", "docs/results/README", "Documents of others <tests/data/foreign/README>",
    ],
    "Internals": ["docs/architecture", "When something breaks <docs/reliability>", "docs/performance"],
    "Project": ["CONTRIBUTING", "docs/packaging", "CHANGELOG", "SECURITY", "CODE_OF_CONDUCT"],
}  # fmt: skip
PAGES = {str(page.relative_to(ROOT).with_suffix("")) for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))}
project = "vkmapctl"
version = re.search(r'__version__ = "(.*)"', (ROOT / "vkmapctl/__init__.py").read_text()).group(1)
author = "The vkmapctl authors"
extensions = ["myst_parser"]
include_patterns = ["*.md", "docs/**.md", "tests/data/foreign/README.md"]
root_doc = "README"
nitpicky = True
smartquotes = False  # it makes one dash of the two that flags begin with
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"vkmapctl {version}"
html_copy_source = html_show_copyright = html_show_sphinx = html_use_index = False
html_css_files = ["site.css"]
html_permalinks_icon = "#"
html_static_path = ["site"]


def page(entry: str) -> str:
    """What an entry of the navigation names, without the title that it may have."""
    return re.sub(".* <(.*)>", r"\1", entry)


def navigation() -> str:
    """The chapters that stand at the side of each page, in Sphinx's words, of the pages that there are.

    `More` has what no chapter names.
    """
    named = {page(entry) for chapter in NAVIGATION.values() for entry in chapter}
    lines = []
    for chapter, entries in {**NAVIGATION, "More": sorted(PAGES - named - {"README"})}.items():
        there = [one for one in entries if page(one) == "self" or any(ROOT.glob(f"{page(one)}.md"))]
        if there:
            lines += ["", "```{toctree}", ":hidden:", ":glob:", f":caption: {chapter}", "", *there, "```"]
    return "\n".join(lines)


def add_navigation(app, name, source):
    """README.md is the page that has all others beneath it."""
    if name == root_doc:
        source[0] += navigation()


class LinksToFiles(SphinxPostTransform):
    """A link to a file that is no page leads to its copy at the same place, where a browser shows it if it can."""

    default_priority = 5

    def run(self, **options):
        for link in list(self.document.findall(addnodes.download_reference)):
            file = Path(self.env.relfn2path(link["reftarget"], self.env.docname)[0])
            copy = Path(self.app.outdir, file)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, copy)
            target = os.path.relpath(file, Path(self.env.docname).parent)
            link.replace_self(nodes.reference("", "", *link.children, refuri=target, internal=True))


class ShortCode(SphinxPostTransform):
    """A flag or a name is kept on one line, by a class that docs/site/site.css knows."""

    default_priority = 5

    def run(self, **options):
        for code in self.document.findall(nodes.literal):
            if len(code.astext()) <= 32:
                code["classes"].append("short")


def setup(app):
    app.connect("source-read", add_navigation)
    app.connect("env-updated", lambda app, env: env.dlfiles.clear())  # Sphinx's own copies of the same files
    app.add_post_transform(LinksToFiles)
    app.add_post_transform(ShortCode)
