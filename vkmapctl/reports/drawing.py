"""Views on a terminal: each element as rich draws it."""

from collections.abc import Iterator

from rich import box, padding, table, text
from rich.console import RenderableType

from vkmapctl.reports.elements import Block, Element, Fitted, Table, Text
from vkmapctl.reports.plain import least_width


def drawn(element: Element, width: int) -> Iterator[RenderableType]:
    """What rich prints for it; width: of the terminal, in characters."""
    match element:
        case Text():
            yield _text(element)
        case Table():
            yield _table(element, whole=least_width(element) <= width)
        case Block(content, above, indent):
            for inner in drawn(content, width - indent):
                yield padding.Padding(inner, (above, 0, 0, indent), expand=False)
        case Fitted(made_for):
            for one in made_for(width):
                yield from drawn(one, width)


def _text(of: Text) -> text.Text:
    return text.Text.assemble(*of.parts)


def _table(of: Table, *, whole: bool) -> table.Table:
    """whole: there is room for every word; else they break wherever they must, so that nothing is lost."""
    if of.has_header:
        made = table.Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    else:
        made = table.Table.grid(padding=(0, 2, 0, 0))
    for column in of.columns:
        made.add_column(
            column.header,
            justify="right" if column.right else "left",
            no_wrap=whole and not column.folds,
            overflow="fold",
        )
    for cells, style in of.rows:
        made.add_row(*(_text(cell) if isinstance(cell, Text) else cell for cell in cells), style=style)
    return made
