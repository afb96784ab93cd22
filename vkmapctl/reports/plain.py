"""Tables laid out as plain lines, at once: what rich draws, without asking every cell how it wants to be drawn.

rich takes some 6 ms for a row of a run; ten thousand rows took a minute. This knows text in cells, which is all that
large tables here hold; anything else is left to rich.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rich.cells import cell_len
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

LARGE = 300  # rows


class Cell(NamedTuple):
    """The lines of one cell."""

    lines: Sequence[str]
    width: int


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _gap(table: Table) -> str:
    """What stands between two columns."""
    return " " * (table.padding[1] + (1 if table.box else 0))


def _cell(content: Any) -> Cell | None:
    if isinstance(content, Text):
        content = content.plain
    if not isinstance(content, str):
        return None
    lines = content.split("\n")
    return Cell(lines, max(_width(line) for line in lines))


def _grid(table: Table) -> list[list[Cell]] | None:
    """Cells by column, the header first where there is one; None where a cell holds more than text."""
    columns = []
    for column in table.columns:
        contents = [column.header, *column.cells] if table.show_header else list(column.cells)
        cells = [_cell(content) for content in contents]
        if None in cells:
            return None
        columns.append([cell for cell in cells if cell is not None])
    return columns


def _aligned(text: str, width: int, justify: str) -> str:
    missing = width - _width(text)
    if justify == "right":
        return " " * missing + text
    return text + " " * missing


def _filled(lines: Sequence[str], height: int, *, at_bottom: bool) -> Sequence[str]:
    """As many lines as the highest cell of the row has: headers stand at the bottom, cells at the top."""
    blank = [""] * (height - len(lines))
    return [*blank, *lines] if at_bottom else [*lines, *blank]


def table_lines(table: Table) -> list[str] | None:
    """A table as wide as it likes, None for one that only rich can draw."""
    columns = _grid(table)
    if columns is None or table.title or table.caption or table.show_footer or table.show_lines or table.show_edge:
        return None
    widths = [max((cell.width for cell in cells), default=0) for cells in columns]
    gap = _gap(table)
    justified = [column.justify for column in table.columns]
    lines = []
    for number, row in enumerate(zip(*columns, strict=True)):
        height = max(len(cell.lines) for cell in row)
        is_header = number == 0 and table.show_header
        filled = [_filled(cell.lines, height, at_bottom=is_header) for cell in row]
        for texts in zip(*filled, strict=True):
            parts = map(_aligned, texts, widths, justified)
            lines.append(gap.join(parts).rstrip())
        if is_header and table.box:
            lines.append("─" * (sum(widths) + len(gap) * (len(widths) - 1)))
    return lines


def least_width(table: Table) -> int:
    """The narrowest that rich would make a table of text: each column's longest word. Raises ValueError for others."""
    columns = _grid(table)
    if columns is None:
        raise ValueError("a cell holds more than text")
    words = [(word for cell in cells for line in cell.lines for word in line.split()) for cells in columns]
    widest = [max((_width(word) for word in found), default=0) for found in words]
    return sum(widest) + len(_gap(table)) * (len(columns) - 1)


def is_large(part: Any) -> bool:
    """Whether rich would take seconds to draw it: such a view says how many rows it has."""
    return getattr(part, "row_count", 0) > LARGE


def lines_of(part: Any, console: Any) -> Iterator[str]:
    """The lines of anything that rich can print, at the console's width."""
    if isinstance(part, Text):
        yield from part.plain.split("\n")
        return
    if isinstance(part, Padding) and not part.right and not part.bottom:
        yield from [""] * part.top
        for line in lines_of(part.renderable, console):
            yield (" " * part.left + line).rstrip()
        return
    if isinstance(part, Table):
        laid_out = table_lines(part)
        if laid_out is not None:
            yield from laid_out
            return
    if type(part).__module__.startswith("vkmapctl."):
        for inner in part.__rich_console__(console, console.options):
            yield from lines_of(inner, console)
        return
    with console.capture() as captured:
        console.print(part)
    yield from captured.get().splitlines()
