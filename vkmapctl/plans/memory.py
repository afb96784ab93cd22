"""Whether what a plan takes of memory fits: refused beforehand, by the limit that says no."""

from vkmapctl import units
from vkmapctl.errors import Unsupported
from vkmapctl.model.device import Room


def check(what: str, room: Room, *, memory: int, addresses: int, private: int, smaller: str) -> None:
    """Raises Unsupported where one of a plan's needs is more than its limit leaves. what: has no room, in words.

    memory: bytes of the host's memory. addresses: of the process's address space. private: of private writable memory.
    Each is what it takes for sure: a driver may take more. smaller: the hint to take less.
    """
    for bound, need in ((room.memory, memory), (room.addresses, addresses), (room.private, private)):
        if bound and need > bound.free:
            raise Unsupported(
                f"{what} does not fit: {bound.left_said} and {units.size(bound.kept)} is left alone",
                *(hint for hint in (smaller, bound.hint) if hint),
            )
