"""The tables of docs/reliability.md that tests make by running what they tell."""

import os
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs/reliability.md"
END = "<!-- end -->\n"


def expect_table(test: str, made: str) -> None:
    """Fails unless the page has this table of the test file; VKMAPCTL_REGENERATE=1 writes it instead."""
    begin = f"<!-- made by {Path(test).relative_to(PAGE.parents[1])} -->\n"
    before, _, rest = PAGE.read_text().partition(begin)
    old, _, after = rest.partition(END)
    if os.environ.get("VKMAPCTL_REGENERATE"):
        PAGE.write_text(before + begin + made + END + after)
    else:
        assert made == old, "VKMAPCTL_REGENERATE=1 writes the table anew"
