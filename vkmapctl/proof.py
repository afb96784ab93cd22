"""The live proof: one map, write, unmap, map, read through each pair of map2 functions that a device has."""

from typing import TYPE_CHECKING

from vkmapctl import native, outcomes
from vkmapctl.errors import VkmapError
from vkmapctl.model import Api, Note, Probe, Proof
from vkmapctl.native import Fault, Op, Step
from vkmapctl.whereabouts import at

if TYPE_CHECKING:
    from vkmapctl.vkapi import OpenDevice

SIZE = 64 << 10
NAMES = {"v1": "vkMapMemory", "khr": "vkMapMemory2KHR", "core": "vkMapMemory2"}


def prove(device: "OpenDevice") -> Probe:
    """Everything about a device that has to be tried rather than asked."""
    facts = device.facts
    points = device.entry_points()
    notes = [
        Note(
            "entry-point-disagrees",
            f"vkGetDeviceProcAddr gives {'a pointer' if point.found else 'NULL'} for {point.name} where the "
            f"specification says {'a pointer' if point.rule == 'pointer' else 'NULL'}",
        )
        for point in points
        if not point.agrees
    ]
    placed = facts.placed
    if "VK_EXT_map_memory_placed" in facts.extensions:
        if not placed.memory_map_placed:
            notes.append(Note("placed-without-feature", "VK_EXT_map_memory_placed without memoryMapPlaced"))
        alignment = placed.min_placed_memory_map_alignment or 0
        if alignment & (alignment - 1) or not 0 < alignment <= 65536:
            notes.append(
                Note(
                    "placed-alignment",
                    f"minPlacedMemoryMapAlignment {alignment} is not a power of two up to 65536",
                )
            )
    proofs = tuple(_prove_api(device, api) for api in facts.apis())
    failed = [proof for proof in proofs if proof.status == "failed"]
    reason = "; ".join(f"{NAMES[proof.api]}: {proof.detail}" for proof in failed)
    return Probe(
        device=facts,
        entry_points=points,
        proofs=proofs,
        notes=tuple(notes),
        status=outcomes.of_failure(reason) if failed else "ok",
        reason=reason,
    )


def _prove_api(device: "OpenDevice", api: Api) -> Proof:
    usable = [one for one in device.facts.memory_types if one.usable]
    if not usable:
        return Proof(api, "unsupported", "no host-visible memory type to allocate from")
    try:
        memory = device.allocate(usable[0].index, SIZE)
    except VkmapError as error:
        return Proof(api, "failed", error.message)
    try:
        return _map_write_map_read(device, api, memory, usable[0].coherent)
    except VkmapError as error:
        return Proof(api, "failed", error.message)
    finally:
        device.free(memory)


def _map_write_map_read(device: "OpenDevice", api: Api, memory: int, coherent: bool) -> Proof:
    functions = native.Functions(
        device.address,
        *device.map_functions(api),
        device.function("vkFlushMappedMemoryRanges"),
        device.function("vkInvalidateMappedMemoryRanges"),
        1 if api == "v1" else 2,
    )
    flush = [] if coherent else [Step(Op.FLUSH, size=SIZE)]
    invalidate = [] if coherent else [Step(Op.INVALIDATE, size=SIZE)]
    whole = Step(Op.MAP, size=SIZE, whole=True)
    cycle = [
        whole, Step(Op.WRITE, size=SIZE), *flush, Step(Op.UNMAP),
        whole, *invalidate, Step(Op.VERIFY, size=SIZE), Step(Op.UNMAP),
    ]  # fmt: skip
    program = native.Program(
        functions,
        [(memory, SIZE)],
        [cycle],
        map_alignment=device.facts.limits.min_memory_map_alignment,
        seed=1,
    )
    at(f"{NAMES[api]} and its unmap")
    results = native.Results(1)
    results.control.threads = 1
    fault = program.run(native.Clock(False), results, 0, native.Pass.CHECK, iterations=1)
    program.unwind()
    if fault is Fault.OK:
        return Proof(api, "ok", f"{SIZE} bytes written through one mapping, read back through the next")
    return Proof(api, "failed", explain(fault, results.fault()[1]))


def explain(fault: Fault, result: int) -> str:
    """A fault of the loop in words; `result` is the VkResult of a failed call."""
    from vkmapctl.vkapi import result_name

    return {
        Fault.CALL_FAILED: f"the call failed: {result_name(result)}",
        Fault.NULL_POINTER: "VK_SUCCESS, but no pointer",
        Fault.MISALIGNED: "the pointer is not aligned to minMemoryMapAlignment",
        Fault.MISMATCH: "other bytes came back than were written",
    }.get(fault, fault.name.lower().replace("_", " "))
