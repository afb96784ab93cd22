"""Views as plain lines of full width, without rich: for files, pipes, and tables that rich would draw for minutes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vkmapctl.reports.elements import Block, Column, Element, Fitted, Table, Text

LARGE = 300  # rows: rich takes some 6 ms for each
GAP = "  "


class Cell(NamedTuple):
    """The lines of one cell."""

    lines: Sequence[str]
    width: int


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _cell(content: str | Text) -> Cell:
    lines = (content.plain if isinstance(content, Text) else content).split("\n")
    return Cell(lines, max(_width(line) for line in lines))


def _cells_by_column(table: Table) -> list[list[Cell]]:
    """The header first where there is one."""
    rows = [row.cells for row in table.rows]
    if table.has_header:
        rows.insert(0, [column.header for column in table.columns])
    return [[_cell(row[i]) for row in rows] for i in range(len(table.columns))]


def _aligned(text: str, width: int, right: bool) -> str:
    missing = " " * (width - _width(text))
    return missing + text if right else text + missing


def _filled(lines: Sequence[str], height: int, *, at_bottom: bool) -> Sequence[str]:
    """As many lines as the highest cell of the row has: headers stand at the bottom, cells at the top."""
    blank = [""] * (height - len(lines))
    return [*blank, *lines] if at_bottom else [*lines, *blank]


def table_lines(table: Table) -> list[str]:
    """A table as wide as it likes."""
    columns = _cells_by_column(table)
    widths = [max((cell.width for cell in cells), default=0) for cells in columns]
    lines = []
    for number, row in enumerate(zip(*columns, strict=True)):
        height = max(len(cell.lines) for cell in row)
        is_header = number == 0 and table.has_header
        filled = [_filled(cell.lines, height, at_bottom=is_header) for cell in row]
        for texts in zip(*filled, strict=True):
            parts = map(_aligned, texts, widths, (column.right for column in table.columns))
            lines.append(GAP.join(parts).rstrip())
        if is_header:
            lines.append("─" * (sum(widths) + len(GAP) * (len(widths) - 1)))
    return lines


def least_width(table: Table) -> int:
    """The narrowest that it can be drawn whole: the longest word of a column that folds, the longest line of others."""
    widest = [
        max(map(_width, (piece for cell in cells for line in cell.lines for piece in _pieces(line, column))), default=0)
        for column, cells in zip(table.columns, _cells_by_column(table), strict=True)
    ]
    return sum(widest) + len(GAP) * (len(table.columns) - 1)


def _pieces(line: str, column: Column) -> list[str]:
    return line.split() if column.folds else [line]


def is_large(element: Element) -> bool:
    """Whether rich would take seconds to draw it."""
    rows = element.rows if isinstance(element, Fitted) else len(element.rows) if isinstance(element, Table) else 0
    return rows > LARGE


def lines_of(element: Element, width: int) -> Iterator[str]:
    """Its lines; width: the room for what can be fitted to it."""
    match element:
        case Text():
            yield from (line.rstrip() for line in element.plain.split("\n"))
        case Table():
            yield from table_lines(element)
        case Block(content, above, indent):
            yield from [""] * above
            for line in lines_of(content, width - indent):
                yield (" " * indent + line).rstrip()
        case Fitted(made_for):
            for inner in made_for(width):
                yield from lines_of(inner, width)
