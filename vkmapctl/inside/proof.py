"""The live proof: one map, write, unmap, map, read through each pair of map functions that a device has.

What it finds is judged in the parent (figures/proved).
"""

import ctypes
import os
from typing import TYPE_CHECKING, Any

from vkmapctl.errors import CallFailed
from vkmapctl.inside.current_call import at
from vkmapctl.inside.device import OpenDevice
from vkmapctl.inside.vkapi import Facts, result_name
from vkmapctl.machine import addresses
from vkmapctl.rules import MAP_CALLS, PLACED, RESERVE, Api, aligned_to, apis, no_usable_type

if TYPE_CHECKING:
    from vkmapctl.machine.ranges import Range

SIZE = 64 << 10
_NAMES = (*MAP_CALLS["core"], *MAP_CALLS["khr"])


def prove(device: OpenDevice, facts: Facts) -> dict[str, Any]:
    """What has to be tried rather than asked: `resolves`, which names have a pointer, and `proofs` (model.Proof)."""
    ways = apis(facts["route"], facts["extensions"])
    placed = facts["placed"]
    proofs = [_proof(device, facts, by=api, api=api) for api in ways]
    if placed["memory_map_placed"] and facts["route"] != "none":
        proofs.append(_proof(device, facts, by="placed", api=ways[0]))
        if placed["memory_unmap_reserve"]:
            proofs.append(_proof(device, facts, by="reserve", api=ways[0]))
    return {"resolves": {name: device.function(name) != 0 for name in _NAMES}, "proofs": proofs}


def pointer_types(device: OpenDevice, facts: Facts) -> list[int] | None:
    """The memory types that take a pointer to a page of this process; None where the device imports none."""
    limits = facts["host_import"]
    if limits is None:
        return None
    alignment = limits["min_imported_host_pointer_alignment"]
    begin = addresses.map_pages(2 * max(alignment, addresses.PAGE), addresses.READ_WRITE)
    try:
        return device.pointer_types(-(-begin // alignment) * alignment)
    except CallFailed:
        return []
    finally:
        addresses.unmap_pages(begin, 2 * max(alignment, addresses.PAGE))


class Wrong(Exception):
    """What is not as it must be: a cause, in the shape of model.measured.Cause."""

    def __init__(self, kind: str, **more: Any) -> None:
        super().__init__(kind)
        self.cause = {"kind": kind, **more}


def _proof(device: OpenDevice, facts: Facts, *, by: str, api: Api) -> dict[str, Any]:
    types = [one for one in facts["memory_types"] if "Vi" in one["flags"] and not one["barred"]]
    if not types:
        detail = no_usable_type((one["flags"], one["barred"]) for one in facts["memory_types"])
        return {"by": by, "status": "unsupported", "detail": detail}
    ours, remark = by in ("placed", "reserve"), ""
    size = SIZE + _placed_alignment(facts) if ours else SIZE  # no multiple of 64 KiB, in which some drivers place
    try:
        memory = device.allocate(types[0]["index"], size)
        try:
            attempt = _Attempt(device, facts, api, memory, size, coherent="Co" in types[0]["flags"])
            if ours:
                remark = _at_our_address(attempt, reserve=by == "reserve")
            else:
                attempt.write()
                attempt.unmap()
                attempt.read()
                attempt.unmap()
        finally:
            device.free(memory)
    except Wrong as wrong:
        return {"by": by, "status": "failed", "cause": wrong.cause}
    except CallFailed as error:
        cause = {"kind": "call-failed", "call": error.call, "result": error.result, "text": error.message}
        return {"by": by, "status": "failed", "cause": cause}
    detail = f"{size} bytes written through one mapping, read back through the next"
    return {"by": by, "status": "ok", "detail": detail, "remark": remark}


def _placed_alignment(facts: Facts) -> int:
    """minPlacedMemoryMapAlignment; 64 KiB, the most that it may be, where it is nothing that it may be."""
    told = facts["placed"]["min_placed_memory_map_alignment"] or 0
    return told if 0 < told <= SIZE and told == aligned_to(told) else SIZE


class _Attempt:
    """One memory object on its way through the proof. address: where it is to be mapped, 0 for anywhere."""

    def __init__(self, device: OpenDevice, facts: Facts, api: Api, memory: int, size: int, *, coherent: bool) -> None:
        self._device, self._api, self._memory, self._coherent = device, api, memory, coherent
        self._alignment = aligned_to(facts["limits"]["min_memory_map_alignment"])
        self.size, self.placed_alignment = size, _placed_alignment(facts)
        self._written = os.urandom(size)  # freed memory may come back with the bytes of the proof before
        self.address = 0

    def write(self) -> None:
        """Maps and writes. Raises Wrong, or CallFailed."""
        ctypes.memmove(self.map(self.address), self._written, self.size)
        if not self._coherent:
            self._device.flush(self._memory)

    def read(self) -> None:
        """Maps and compares. Raises Wrong, or CallFailed."""
        pointer = self.map(self.address)
        if not self._coherent:
            self._device.invalidate(self._memory)
        found = ctypes.string_at(pointer, self.size)
        if found != self._written:
            at_fault = next(i for i in range(self.size) if found[i] != self._written[i])
            wrong = {"offset": at_fault, "expected": self._written[at_fault], "found": found[at_fault]}
            raise Wrong("mismatch", mismatch=wrong)

    def map(self, address: int = 0) -> int:
        """The pointer, which is the address where there is one. Raises Wrong."""
        call = MAP_CALLS[self._api][0]
        at(call)
        flags = PLACED if address else 0
        result, pointer = self._device.map(self._api, self._memory, flags=flags, address=address)
        if result:
            raise Wrong("call-failed", call=call, result=result_name(result))
        if not pointer:
            raise Wrong("null-pointer", call=call)
        if address and pointer != address:
            raise Wrong("moved", call=call)
        if pointer % self._alignment:
            raise Wrong("misaligned", call=call)
        return pointer

    def unmap(self, flags: int = 0) -> None:
        """Raises Wrong."""
        call = MAP_CALLS[self._api][1]
        at(call)
        result = self._device.unmap(self._api, self._memory, flags)
        if result:
            raise Wrong("call-failed", call=call, result=result_name(result))


def _at_our_address(attempt: _Attempt, *, reserve: bool) -> str:
    """The same in a range of our own between guards, which must stay taken after an unmap with reserve. Raises Wrong.

    A range that was lost is left alone: what stands in it, or beside it, may now be another's. Returns what is worth
    a remark: a reserved range that still shows the object, which no rule forbids.
    """
    from vkmapctl.machine import ranges  # here: few drivers place maps, and it takes its time to import

    taken = ranges.take(attempt.size, alignment=attempt.placed_alignment)
    attempt.address, remark = taken.begin, ""
    for half in (attempt.write, attempt.read):
        half()
        before = addresses.areas_in(taken.begin, taken.end) if reserve else []
        attempt.unmap(RESERVE if reserve else 0)
        if beside := ranges.trampled([taken]):
            raise Wrong("tramples", text=beside)
        if reserve:
            shown = addresses.still_showing(before, addresses.areas_in(taken.begin, taken.end))
            remark = remark or ", ".join(map(str, shown))
            _expect_reserved(attempt, taken)
        elif not addresses.map_if_free(taken.length, taken.begin):
            raise Wrong("still-mapped" if _shows_a_file(taken) else "hold-failed")
    taken.release()
    return remark and f"the range still shows the object after an unmap with reserve: {remark}"


def _expect_reserved(attempt: _Attempt, taken: "Range") -> None:
    """The range is taken, and the driver's next map of its own choice is elsewhere."""
    if not addresses.covered(taken.begin, taken.end):
        raise Wrong("reservation-lost")
    pointer = attempt.map()
    if pointer < taken.end and taken.begin < pointer + attempt.size:
        raise Wrong("reservation-reused")
    attempt.unmap()


def _shows_a_file(taken: "Range") -> bool:
    """Whether what stands in the range is a driver's: what this process itself takes has no file."""
    return any(area.inode for area in addresses.areas_in(taken.begin, taken.end))
