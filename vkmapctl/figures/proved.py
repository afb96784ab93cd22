"""What the live proof of a device amounts to, by the specification's rules."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec.structs import replace

from vkmapctl.figures import causes, outcomes
from vkmapctl.model.base import Note
from vkmapctl.model.device import Device, EntryPoint, Probe, Proof
from vkmapctl.rules import MAP_CALLS, MAP_MEMORY2, MAP_PLACED

REMARK = "live-proof"


def probe_of(device: Device, resolves: Mapping[str, bool], proofs: Sequence[Proof]) -> Probe:
    """A device's part of the report. resolves: for each map2 name, whether vkGetDeviceProcAddr gives a pointer."""
    told = tuple(_in_words(proof) for proof in proofs)
    failed = [proof for proof in told if proof.status not in ("ok", "unsupported")]
    points = entry_points(device, resolves)
    return Probe(
        device=device,
        entry_points=points,
        proofs=told,
        notes=(
            *_disagreements(device, points),
            *(Note(REMARK, f"{one.by}: {one.remark}") for one in told if one.remark),
        ),
        status=outcomes.worst(proof.status for proof in failed),
        reason="; ".join(f"{proof.by}: {proof.detail}" for proof in failed),
    )


def _in_words(proof: Proof) -> Proof:
    """What the driver's process has seen, as it is shown."""
    if proof.cause is None:
        return proof
    return replace(proof, status=outcomes.of_cause(proof.cause), detail=causes.words(proof.cause))


def entry_points(device: Device, resolves: Mapping[str, bool]) -> tuple[EntryPoint, ...]:
    """The map2 names beside the rules of the vkGetDeviceProcAddr table (chapter Initialization).

    The instance asks for 1.4 here. A core name must then resolve on a 1.4 device; on an older one it may be
    anything and must not be called. A KHR name must resolve where its extension is enabled, else be NULL.
    """

    def point(name: str, must: bool, otherwise: Literal["null", "unspecified"]) -> EntryPoint:
        return EntryPoint(name, resolves[name], "pointer" if must else otherwise, callable=resolves[name] and must)

    core = (point(name, device.version() >= (1, 4), "unspecified") for name in MAP_CALLS["core"])
    khr = (point(name, MAP_MEMORY2 in device.extensions, "null") for name in MAP_CALLS["khr"])
    return (*core, *khr)


def _disagreements(device: Device, points: Sequence[EntryPoint]) -> Iterator[Note]:
    """Where the driver's answers contradict the specification or each other."""
    for point in points:
        if not point.agrees:
            yield Note(
                "entry-point-disagrees",
                f"vkGetDeviceProcAddr gives {'a pointer' if point.found else 'NULL'} for {point.name} where the "
                f"specification says {'a pointer' if point.rule == 'pointer' else 'NULL'}",
            )
    if MAP_PLACED not in device.extensions:
        return
    placed = device.placed
    if not placed.memory_map_placed:
        yield Note("placed-without-feature", f"{MAP_PLACED} without memoryMapPlaced")
    alignment = placed.min_placed_memory_map_alignment or 0
    if alignment & (alignment - 1) or not 0 < alignment <= 65536:
        text = f"minPlacedMemoryMapAlignment {alignment} is not a power of two up to 65536"
        yield Note("placed-alignment", text)
