"""Files of the kernel's, read as text."""


def text(path: str) -> str:
    """A file's text, empty where it cannot be read."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""
