"""A memory control group with a limit, inside of one that this process is in. Needs root and a writable hierarchy.

`python tests/groups/group.py` says whether one can be made here.
"""

import sys
from contextlib import suppress
from pathlib import Path

from vkmapctl.machine import memory


class Impossible(Exception):
    """No group can be made here: why."""


def _may_have_children(group: memory.Group) -> bool:
    """Version 2 limits a group's children only where it has no process of its own, or is the machine's first."""
    if group.version == 1:
        return True
    control = Path(group.folder, "cgroup.subtree_control")
    with suppress(OSError):
        if "memory" not in control.read_text().split():
            control.write_text("+memory")
        return True
    return False


class LimitedGroup:
    """A new group of so many bytes, without swap; None: without a limit. Raises Impossible."""

    def __init__(self, name: str, limit: int | None, inside: "LimitedGroup | None" = None) -> None:
        above = [inside.group] if inside else [one for one in memory.groups() if _counts(one)]
        parent = next((one for one in above if _may_have_children(one)), None)
        if parent is None:
            raise Impossible(f"none of this process's control groups limits memory of others: {above}")
        folder = Path(parent.folder, name)
        self.group = memory.Group(parent.version, f"{parent.name.rstrip('/')}/{name}", str(folder), False)
        try:
            folder.mkdir()
            if limit is not None:
                self._limit(limit)
        except OSError as error:
            with suppress(OSError):
                folder.rmdir()
            raise Impossible(f"{folder} cannot be made or limited: {error.strerror}") from error

    def _limit(self, limit: int) -> None:
        first, second, value = ("memory.max", "memory.swap.max", 0)
        if self.group.version == 1:
            first, second, value = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", limit)
        Path(self.group.folder, first).write_text(str(limit))
        if Path(self.group.folder, second).exists():
            Path(self.group.folder, second).write_text(str(value))

    def enter(self) -> None:
        """This process, and what it starts from now on."""
        Path(self.group.folder, "cgroup.procs").write_text("0")

    def remove(self) -> None:
        """Once no process is in it."""
        Path(self.group.folder).rmdir()


def _counts(group: memory.Group) -> bool:
    """Whether its hierarchy has the memory controller: where version 1 has it, version 2 beside it has not."""
    if group.version == 1:
        return True
    top = memory.groups()[-1].folder
    return "memory" in memory.text(f"{top}/cgroup.controllers").split()


if __name__ == "__main__":
    try:
        LimitedGroup("vkmapctl-try", 1 << 30).remove()
    except Impossible as why:
        sys.exit(
            f"Error: no limited control group can be made here: {why}\nHint: it takes root, and /sys/fs/cgroup writable"
        )
