"""Other processes, as /proc tells of them."""

from pathlib import Path


def children(pid: int) -> list[int]:
    """What a process has started and not waited for; none of one that is gone."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def runs(pid: int) -> bool:
    """Whether it has not ended. One that has, and whose parent has not waited for it yet, is as good as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
