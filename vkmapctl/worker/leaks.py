"""Whether a long run loses memory, mappings or files: the process looked at between rounds."""

import mmap
from itertools import pairwise
from pathlib import Path

from vkmapctl.machine import host

Usage = dict[str, int]
GROWING_ROUNDS = 6  # in a row: noise goes up and down, a leak goes up
LEAST_GROWTH = {"rss_bytes": 16 << 20, "mappings": 16, "files": 8}


def process_usage() -> Usage:
    """This process's resident bytes, mappings and open files."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return {"rss_bytes": pages * mmap.PAGESIZE, "mappings": host.mappings(), "files": files}


class Leaks:
    """Remembers the usage after each round."""

    def __init__(self) -> None:
        self.history: list[Usage] = []

    def after_round(self, usage: Usage) -> str:
        """Evidence of a leak in words, empty for none.

        A leak has grown in each of the last rounds, and by more than the growth that a process has of its own.
        """
        if not usage:
            return ""
        self.history = [*self.history[-GROWING_ROUNDS:], usage]
        if len(self.history) <= GROWING_ROUNDS:
            return ""
        for key, least in LEAST_GROWTH.items():
            values = [one[key] for one in self.history]
            if all(b > a for a, b in pairwise(values)) and values[-1] - values[0] >= least:
                return f"{key} grew in each of the last {GROWING_ROUNDS} rounds: {', '.join(map(str, values))}"
        return ""
