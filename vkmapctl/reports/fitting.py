"""Tables that give up columns where there is no room for all."""

from collections.abc import Iterable, Sequence

from vkmapctl.reports.elements import INDENT, Block, Fitted, Table, Text
from vkmapctl.reports.plain import least_width


def fitted(made: Table, spare: Sequence[str]) -> Fitted:
    """A table, indented, without some of its spare columns where it is too wide, and a line that says which.

    spare: headers, the one that is given up first first.
    """

    def made_for(width: int) -> Iterable[Block | Text]:
        left, gone = made, list[str]()
        for title in spare:
            if least_width(left) <= width - INDENT:
                break
            if any(column.header == title for column in left.columns):
                left, gone = _without(left, title), [*gone, title.replace("\n", " ")]
        yield Block(left)
        if gone:
            yield Block(Text(f"a wider terminal shows: {', '.join(gone)}", style="dim"))

    return Fitted(made_for, len(made.rows))


def _without(made: Table, title: str) -> Table:
    place = next(i for i, column in enumerate(made.columns) if column.header == title)
    less = Table(column for i, column in enumerate(made.columns) if i != place)
    for row in made.rows:
        less.add(*(cell for i, cell in enumerate(row.cells) if i != place), style=row.style)
    return less
