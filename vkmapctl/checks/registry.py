"""The registry of conformance checks: which there are, what each needs, and how one is run to its verdict.

A check is one small function of the ground it stands on. It returns None or a remark; it raises Broken where the
driver breaks the rule, and Skip where it cannot be tried here. One process runs one check on one memory type, so it
may end in any way.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from inspect import cleandoc
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec.structs import replace

from vkmapctl.checks.ground import Broken, Ground, Skip
from vkmapctl.errors import VkmapError
from vkmapctl.figures import outcomes
from vkmapctl.model.base import Verdict
from vkmapctl.model.device import Device, MemoryType
from vkmapctl.model.documents import VerifyReport

if TYPE_CHECKING:  # the registry can be read where there is no Vulkan at all
    from vkmapctl.inside.device import OpenDevice

Level = Literal["must", "quality"]
Need = Literal["map2", "placed", "range", "reserve"]

_FEATURES: dict[str, str] = {
    "placed": "memoryMapPlaced",
    "range": "memoryMapRangePlaced",
    "reserve": "memoryUnmapReserve",
}


class Check(NamedTuple):
    """One rule. `rule`: the valid usage or section of the specification it stands on; `why`: why it is checked.

    breaks: what a user, or the developer of Wine or an engine, sees where a driver breaks it.
    """

    id: str
    title: str
    rule: str
    level: Level
    needs: tuple[Need, ...]
    breaks: str
    run: Callable[[Ground], str | None]
    quirk: str | None = None

    @property
    def why(self) -> str:
        return cleandoc(self.run.__doc__ or "")


REGISTRY: dict[str, Check] = {}


def check(
    identifier: str,
    title: str,
    rule: str,
    *,
    breaks: str,
    level: Level = "must",
    needs: Iterable[Need] = (),
    quirk: str | None = None,
) -> Callable[[Callable[[Ground], str | None]], Callable[[Ground], str | None]]:
    """Registers a function as a check."""

    def register(function: Callable[[Ground], str | None]) -> Callable[[Ground], str | None]:
        assert identifier not in REGISTRY, identifier
        REGISTRY[identifier] = Check(identifier, title, rule, level, tuple(needs), breaks, function, quirk)
        return function

    return register


def load() -> dict[str, Check]:
    """Every check, in the order of its chapters."""
    for chapter in ("ordinary", "placed", "reserve"):
        import_module(f"vkmapctl.checks.{chapter}")
    return REGISTRY


def explained(report: VerifyReport) -> VerifyReport:
    """A report of an older version with what its checks mean in practice, as far as they are still the same ones."""
    known = load()
    rows = []
    for row in report.results:
        one = known.get(row.id)
        same = one if one and one.title == row.title and not row.breaks else None
        rows.append(replace(row, breaks=same.breaks) if same else row)
    return replace(report, results=tuple(rows))


def missing_need(one: Check, facts: Device) -> str | None:
    """Why a check cannot run on a device at all."""
    placed = facts.placed
    there = {
        "map2": facts.route != "none",
        "placed": placed.memory_map_placed,
        "range": placed.memory_map_range_placed,
        "reserve": placed.memory_unmap_reserve,
    }
    for need in one.needs:
        if not there[need]:
            return f"{_FEATURES[need]} is missing" if need in _FEATURES else "no vkMapMemory2 here"
    return None


def verdict_of(error: VkmapError) -> Literal["lost", "out-of-memory"] | None:
    """The verdict on a call that failed because nothing can go on, None on any other."""
    status = outcomes.of_error(error)
    return status if status == "lost" or status == "out-of-memory" else None


def run(one: Check, device: "OpenDevice", memory_type: MemoryType) -> Verdict:
    """Runs a check to its verdict. An error of a call that should succeed is a broken rule too."""
    ground = Ground(device, memory_type)
    broken: Literal["fail", "quality"] = "fail" if one.level == "must" else "quality"
    try:
        with ground.held:
            remark = one.run(ground)
    except Skip as skip:
        return Verdict("skip", str(skip))
    except Broken as seen:
        return Verdict(broken, str(seen))
    except VkmapError as error:
        return Verdict(verdict_of(error) or broken, error.message)
    return Verdict("pass", remark or "")
