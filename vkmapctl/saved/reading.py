"""Files that a user names, read without trust: bounded, and never a device that goes on for ever."""

import stat
import zlib
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


def unpacked(data: bytes, most: int) -> bytes:
    """What was gzipped, of at most `most` bytes. Raises ValueError for what is larger, damaged or cut off."""
    engine = zlib.decompressobj(31)
    try:
        whole = engine.decompress(data, most + 1)
    except zlib.error as error:
        raise ValueError(f"it is not gzipped, or damaged: {error}") from None
    if len(whole) > most:
        raise ValueError(f"it is larger than {most} bytes")
    if not engine.eof:
        raise ValueError("it is cut off")
    return whole
