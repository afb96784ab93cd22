"""Which call a driver's process is in, where its parent can read it: a page shared from before the fork."""

import mmap

_LONGEST = 200
_mine = mmap.mmap(-1, mmap.PAGESIZE)


def page() -> mmap.mmap:
    """In the parent, before a fork: the page for the next child."""
    return mmap.mmap(-1, mmap.PAGESIZE)


def take(page: mmap.mmap) -> None:
    """In the child: from here on, `at` writes to this page."""
    global _mine
    _mine = page


def at(call: str) -> None:
    """In the child, before a call into the driver."""
    data = call.encode()[:_LONGEST]
    _mine[: len(data) + 1] = data + b"\0"


def last(page: mmap.mmap) -> str:
    """In the parent: the call that the page's child began last, `` if none."""
    return page[: _LONGEST + 1].partition(b"\0")[0].decode(errors="replace")
