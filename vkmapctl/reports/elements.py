"""What a view is made of: text, tables, blocks. `plain` lays them out as lines, `drawing` on a terminal."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

INDENT = 2  # of a block
Part = tuple[str, str]  # text and its style, in rich's words: `bold red`


class Text:
    """Text in parts of one style each."""

    def __init__(self, text: str = "", style: str = "") -> None:
        self.parts: tuple[Part, ...] = ((text, style),)

    @classmethod
    def of(cls, *parts: "str | Part | Text") -> "Text":
        """Joins strings, styled parts and texts."""
        joined = cls()
        joined.parts = tuple(
            part
            for one in parts
            for part in (one.parts if isinstance(one, Text) else [one if isinstance(one, tuple) else (one, "")])
        )
        return joined

    @property
    def plain(self) -> str:
        return "".join(text for text, _ in self.parts)


class Column(NamedTuple):
    """right: aligned so. folds: may break at blanks where the terminal is narrow."""

    header: str
    right: bool = False
    folds: bool = True


class TableLine(NamedTuple):
    cells: Sequence[str | Text]
    style: str = ""


class Table:
    """Rows under headers and a line, or without both where no column has a header."""

    def __init__(self, columns: Iterable[Column]) -> None:
        self.columns = list(columns)
        self.rows: list[TableLine] = []

    def add(self, *cells: str | Text, style: str = "") -> None:
        assert len(cells) == len(self.columns)
        self.rows.append(TableLine(cells, style))

    @property
    def has_header(self) -> bool:
        return any(column.header for column in self.columns)


class Block(NamedTuple):
    """Something indented, with a blank line above where `above` is 1."""

    content: "Text | Table"
    above: int = 0
    indent: int = INDENT


class Fitted(NamedTuple):
    """What depends on the room there is: made for a width in characters. rows: how many it shows."""

    made_for: Callable[[int], "Iterable[Text | Table | Block]"]
    rows: int


Element = Text | Table | Block | Fitted


def table(*titles: str, numeric_from: int = 1) -> Table:
    """An empty table; columns from `numeric_from` on are numbers."""
    return Table(Column(title, right=i >= numeric_from, folds=i < numeric_from) for i, title in enumerate(titles))


def grid(columns: int) -> Table:
    """An empty table without headers."""
    return Table([Column("")] * columns)
