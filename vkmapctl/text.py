"""Text from elsewhere, made fit to show where it enters: a driver's, a file's, a stranger's.

Imports the standard library alone, since the driver's process needs it too (inside/).
"""

import codecs

LONGEST = 1000  # characters of one piece of text, such as a line
LONGEST_NAME = 200  # of a job's name, which many lines repeat
CUT = "…"
SIMILAR = "similar"  # an error handler of encodings, once `know_similar` has been called
_SIMILAR = str.maketrans("─━│┌┐└┘├┤┬┴┼…", "--|+++++++++.")


def clean(text: str, most: int = LONGEST) -> str:
    """One line of printable text, of at most `most` characters.

    White space becomes a blank. A question mark stands for whatever else is not printable by str.isprintable: control
    characters, what turns the direction of writing, lone surrogates.
    """
    text = text if len(text) <= most else text[: most - 1] + CUT
    return text if text.isprintable() else "".join(map(_shown, text))


def clean_lines(data: bytes) -> str:
    """The same for each line of what a program has printed; for bytes that are no UTF-8 stands U+FFFD."""
    return "\n".join(clean(line) for line in data.decode(errors="replace").splitlines())


def know_similar() -> None:
    """Lets streams replace what their encoding lacks by what looks like it: lines, dots of plots, else `?`."""
    codecs.register_error(SIMILAR, _similar)


def _similar(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(_SIMILAR)
    return "".join(char if char.isascii() else _dots(char) for char in lacking), error.end


def _dots(char: str) -> str:
    """Braille patterns and blocks are what curves are drawn with."""
    if "\u2580" <= char <= "\u259f" or "\u2800" < char <= "\u28ff":
        return "*"
    return " " if char == "\u2800" else "?"


def _shown(char: str) -> str:
    return char if char.isprintable() else " " if char.isspace() else "?"
