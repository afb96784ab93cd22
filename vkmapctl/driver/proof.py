"""The live proof: one map, write, unmap, map, read through each pair of map2 functions that a device has."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from vkmapctl import native
from vkmapctl.driver.faults import explain
from vkmapctl.driver.whereabouts import at
from vkmapctl.errors import VkmapError
from vkmapctl.model import MAP_CALLS, Api, Note, Probe, Proof
from vkmapctl.native import Fault, Op, Step
from vkmapctl.results import outcomes

if TYPE_CHECKING:
    from vkmapctl.driver.vkapi import OpenDevice

SIZE = 64 << 10
By = Literal["v1", "khr", "core", "placed", "reserve"]


def prove(device: "OpenDevice") -> Probe:
    """Everything about a device that has to be tried rather than asked."""
    facts = device.facts
    proofs = [_prove_on_memory(device, api, _ordinary) for api in facts.apis()]
    if facts.placed.memory_map_placed and facts.route != "none":
        proofs.append(_prove_on_memory(device, "placed", _placed))
    if facts.placed.memory_map_placed and facts.placed.memory_unmap_reserve and facts.route != "none":
        proofs.append(_prove_on_memory(device, "reserve", _placed))
    failed = [proof for proof in proofs if proof.status == "failed"]
    reason = "; ".join(f"{proof.by}: {proof.detail}" for proof in failed)
    return Probe(
        device=facts,
        entry_points=device.entry_points(),
        proofs=tuple(proofs),
        notes=tuple(_disagreements(device)),
        status=outcomes.of_failure(reason) if failed else "ok",
        reason=reason,
    )


def _disagreements(device: "OpenDevice") -> Iterator[Note]:
    """Where the driver's answers contradict the specification or each other."""
    for point in device.entry_points():
        if not point.agrees:
            yield Note(
                "entry-point-disagrees",
                f"vkGetDeviceProcAddr gives {'a pointer' if point.found else 'NULL'} for {point.name} where the "
                f"specification says {'a pointer' if point.rule == 'pointer' else 'NULL'}",
            )
    placed = device.facts.placed
    if "VK_EXT_map_memory_placed" not in device.facts.extensions:
        return
    if not placed.memory_map_placed:
        yield Note("placed-without-feature", "VK_EXT_map_memory_placed without memoryMapPlaced")
    alignment = placed.min_placed_memory_map_alignment or 0
    if alignment & (alignment - 1) or not 0 < alignment <= 65536:
        text = f"minPlacedMemoryMapAlignment {alignment} is not a power of two up to 65536"
        yield Note("placed-alignment", text)


def _prove_on_memory(device: "OpenDevice", by: By, attempt: Callable[..., Proof]) -> Proof:
    usable = [one for one in device.facts.memory_types if one.usable]
    if not usable:
        return Proof(by, "unsupported", "no host-visible memory type to allocate from")
    try:
        memory = device.allocate(usable[0].index, SIZE)
    except VkmapError as error:
        return Proof(by, "failed", error.message)
    try:
        return attempt(device, by, memory, usable[0].coherent)
    except VkmapError as error:
        return Proof(by, "failed", error.message)
    finally:
        device.free(memory)


def _ordinary(device: "OpenDevice", by: By, memory: int, coherent: bool) -> Proof:
    assert by in ("v1", "khr", "core")
    return _map_write_map_read(device, by, memory, coherent, by)


def _placed(device: "OpenDevice", by: By, memory: int, coherent: bool) -> Proof:
    """At an address of our own; with reserve, the loop also looks whether the range stays taken."""
    address = native.reserve_range(SIZE)
    try:
        return _map_write_map_read(device, device.facts.apis()[0], memory, coherent, by, address)
    finally:
        native.release_range(address, SIZE)


def _map_write_map_read(device: "OpenDevice", api: Api, memory: int, coherent: bool, by: By, address: int = 0) -> Proof:
    from vkmapctl.driver.vkapi import result_name

    functions = native.Functions(
        device.address,
        *device.map_functions(api),
        device.function("vkFlushMappedMemoryRanges"),
        device.function("vkInvalidateMappedMemoryRanges"),
        1 if api == "v1" else 2,
    )
    flush = [] if coherent else [Step(Op.FLUSH, size=SIZE)]
    invalidate = [] if coherent else [Step(Op.INVALIDATE, size=SIZE)]
    whole = Step(Op.MAP, size=SIZE, whole=True, flags=native.PLACED if address else 0, address=address)
    unmap = [Step(Op.UNMAP, flags=native.RESERVE if by == "reserve" else 0)]
    if by == "placed":
        unmap.append(Step(Op.HOLD, size=SIZE, address=address))
    cycle = [
        whole, Step(Op.WRITE, size=SIZE), *flush, *unmap,
        whole, *invalidate, Step(Op.VERIFY, size=SIZE), *unmap,
    ]  # fmt: skip
    program = native.Program(
        functions, [(memory, SIZE)], [cycle], map_alignment=device.facts.limits.min_memory_map_alignment, seed=1
    )
    at(f"{MAP_CALLS[api][0]} and its unmap")
    results = native.Results(1)
    results.control.threads = 1
    fault = program.run(native.Clock(False), results, 0, native.Pass.CHECK, iterations=1)
    program.unwind()
    if fault is Fault.OK:
        return Proof(by, "ok", f"{SIZE} bytes written through one mapping, read back through the next")
    _, result, place = results.fault()
    return Proof(by, "failed", explain(fault, result_name(result), place))
