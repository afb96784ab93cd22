"""Files that a user names, read without trust: bounded, and never a device that goes on for ever."""

import stat
from pathlib import Path

from vkmapctl.errors import UsageProblem


def read_bytes(path: Path, most: int) -> bytes:
    """The whole of a file or pipe of at most `most` bytes.

    Raises UsageProblem for a larger one and for a device, OSError or ValueError where it cannot be opened.
    """
    with open(path, "rb") as file:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise UsageProblem(f"{path} is no ordinary file")
        data = file.read(most + 1)
    if len(data) > most:
        raise UsageProblem(f"{path} is larger than {most} bytes")
    return data
