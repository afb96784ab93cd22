"""The live proof: one map, write, unmap, map, read through each pair of map functions that a device has.

What it finds is judged in the parent (figures/proved).
"""

import ctypes
import os
from typing import Any

from vkmapctl.errors import CallFailed
from vkmapctl.inside.current_call import at
from vkmapctl.inside.device import OpenDevice
from vkmapctl.inside.vkapi import Facts, result_name
from vkmapctl.machine import addresses
from vkmapctl.rules import MAP_CALLS, PLACED, RESERVE, Api, aligned_to, apis, no_usable_type

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
    try:
        memory = device.allocate(types[0]["index"], SIZE)
        try:
            attempt = _Attempt(device, facts, api, memory, coherent="Co" in types[0]["flags"])
            if by in ("placed", "reserve"):
                _at_our_address(attempt, reserve=by == "reserve")
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
    detail = f"{SIZE} bytes written through one mapping, read back through the next"
    return {"by": by, "status": "ok", "detail": detail}


class _Attempt:
    """One memory object on its way through the proof. address: where it is to be mapped, 0 for anywhere."""

    def __init__(self, device: OpenDevice, facts: Facts, api: Api, memory: int, *, coherent: bool) -> None:
        self._device, self._api, self._memory, self._coherent = device, api, memory, coherent
        self._alignment = aligned_to(facts["limits"]["min_memory_map_alignment"])
        self.placed_alignment = facts["placed"]["min_placed_memory_map_alignment"] or SIZE
        self._written = os.urandom(SIZE)  # freed memory may come back with the bytes of the proof before
        self.address, self.unmap_flags = 0, 0

    def write(self) -> None:
        """Maps and writes. Raises Wrong, or CallFailed."""
        ctypes.memmove(self._map(), self._written, SIZE)
        if not self._coherent:
            self._device.flush(self._memory)

    def read(self) -> None:
        """Maps and compares. Raises Wrong, or CallFailed."""
        pointer = self._map()
        if not self._coherent:
            self._device.invalidate(self._memory)
        found = ctypes.string_at(pointer, SIZE)
        if found != self._written:
            at_fault = next(i for i in range(SIZE) if found[i] != self._written[i])
            wrong = {"offset": at_fault, "expected": self._written[at_fault], "found": found[at_fault]}
            raise Wrong("mismatch", mismatch=wrong)

    def _map(self) -> int:
        call = MAP_CALLS[self._api][0]
        at(call)
        flags = PLACED if self.address else 0
        result, pointer = self._device.map(self._api, self._memory, flags=flags, address=self.address)
        if result:
            raise Wrong("call-failed", call=call, result=result_name(result))
        if not pointer:
            raise Wrong("null-pointer", call=call)
        if self.address and pointer != self.address:
            raise Wrong("moved", call=call)
        if pointer % self._alignment:
            raise Wrong("misaligned", call=call)
        return pointer

    def unmap(self) -> None:
        """Raises Wrong."""
        call = MAP_CALLS[self._api][1]
        at(call)
        result = self._device.unmap(self._api, self._memory, self.unmap_flags)
        if result:
            raise Wrong("call-failed", call=call, result=result_name(result))


def _at_our_address(attempt: _Attempt, *, reserve: bool) -> None:
    """The same in a range of our own, which must stay taken after an unmap with reserve. Raises Wrong.

    A range that was lost is left alone: what stands in it now may be another's.
    """
    length = SIZE + attempt.placed_alignment
    base = addresses.map_pages(length, addresses.NONE)
    attempt.address = -(-base // attempt.placed_alignment) * attempt.placed_alignment
    attempt.unmap_flags = RESERVE if reserve else 0
    for half in (attempt.write, attempt.read):
        half()
        attempt.unmap()
        if reserve and not addresses.covered(attempt.address, attempt.address + SIZE):
            raise Wrong("reservation-lost")
        if not reserve and not addresses.map_if_free(SIZE, attempt.address):
            raise Wrong("hold-failed")
    addresses.unmap_pages(base, length)
