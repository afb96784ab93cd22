"""Which queue of a device does what: one for the checks' and the round trips' copies, one for what keeps it busy."""

from collections.abc import Sequence
from typing import NamedTuple

GRAPHICS, COMPUTE, TRANSFER = 1, 2, 4  # VkQueueFlagBits
_SPARSE, _PROTECTED = 8, 16  # which change nothing about what a family is for


class Family(NamedTuple):
    """VkQueueFamilyProperties, as far as it matters here."""

    flags: int
    queues: int


class Place(NamedTuple):
    """A queue: its family, and its number there."""

    family: int
    number: int


class Queues(NamedTuple):
    """copies: for copies that are waited for. load: for those that keep the device busy; the same one where there is
    no other."""

    copies: Place
    load: Place

    @property
    def apart(self) -> bool:
        """Whether both may be used by different threads at once."""
        return self.copies != self.load

    def counts(self) -> dict[int, int]:
        """How many queues of each family have to be created."""
        found: dict[int, int] = {}
        for place in self:
            found[place.family] = max(found.get(place.family, 0), place.number + 1)
        return found


def chosen(families: Sequence[Family], *, any_fills: bool) -> Queues:
    """Copies on the first family that copies: graphics and compute queues always do (VkQueueFlagBits).

    The load on a family that only transfers, else on a second queue, else on another family that copies. any_fills:
    whether a queue that only transfers may fill (VUID-vkCmdFillBuffer-apiVersion-07894: from Vulkan 1.1 on).
    """
    able = [i for i, one in enumerate(families) if one.flags & (GRAPHICS | COMPUTE | TRANSFER) and one.queues]
    first = able[0] if able else 0
    copies = Place(first, 0)
    for i in able:
        if any_fills and i != first and families[i].flags & ~(_SPARSE | _PROTECTED) == TRANSFER:
            return Queues(copies, Place(i, 0))
    if able and families[first].queues > 1:
        return Queues(copies, Place(first, 1))
    others = [i for i in able[1:] if families[i].flags & (GRAPHICS | COMPUTE)]
    return Queues(copies, Place(others[0], 0) if others else copies)
