"""Which call into the driver a process is in, where its parent can read it: a page shared from before the fork.

The page holds how many calls there were, and then the latest one's name.
"""

import mmap

from vkmapctl.text import clean

_COUNT = 8  # bytes
_LONGEST = 200
_mine = mmap.mmap(-1, mmap.PAGESIZE)


def new_page() -> mmap.mmap:
    """In the parent, before a fork: the page for the process to come."""
    return mmap.mmap(-1, mmap.PAGESIZE)


def write_to(page: mmap.mmap) -> None:
    """In the driver's process: from here on, `at` writes to this page."""
    global _mine
    _mine = page


def at(call: str) -> None:
    """In the driver's process, before a call into the driver."""
    data = call.encode()[:_LONGEST]
    _mine[_COUNT : _COUNT + len(data) + 1] = data + b"\0"
    _mine[:_COUNT] = (count(_mine) + 1).to_bytes(_COUNT, "little")


def count(page: mmap.mmap) -> int:
    """In the parent: how many calls the page's process began, so that each is a sign of progress."""
    return int.from_bytes(page[:_COUNT], "little")


def last(page: mmap.mmap) -> str:
    """In the parent: the call that the page's process began last, `` if none; a driver may have written there too."""
    return clean(page[_COUNT : _COUNT + _LONGEST + 1].partition(b"\0")[0].decode(errors="replace"))
