"""Which call a driver's process is in, where its parent can read it: a page shared from before the fork.

The page holds how many calls there were, and then the latest one's name.
"""

import mmap
import struct

_COUNT = struct.Struct("@Q")
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
    _mine[_COUNT.size : _COUNT.size + len(data) + 1] = data + b"\0"
    _COUNT.pack_into(_mine, 0, count(_mine) + 1)


def count(page: mmap.mmap) -> int:
    """In the parent: how many calls the page's child began, so that each is a sign of progress."""
    return int(_COUNT.unpack_from(page)[0])


def last(page: mmap.mmap) -> str:
    """In the parent: the call that the page's child began last, `` if none."""
    return page[_COUNT.size : _COUNT.size + _LONGEST + 1].partition(b"\0")[0].decode(errors="replace")
