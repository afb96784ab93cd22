"""What a probe and a short run of one device mean for a person: answers in plain words. Pure."""

from collections.abc import Iterable, Sequence

from vkmapctl import units
from vkmapctl.figures.allocating import cost
from vkmapctl.model.case import memory_label
from vkmapctl.model.device import Device, Probe
from vkmapctl.model.documents import Answer
from vkmapctl.model.measured import Row
from vkmapctl.rules import MAP_CALLS

# The parts of the short run that the answers rest on, by name.
MAP, PLACED, LOW, WRITE, READ = "map", "placed map", "32-bit churn", "write", "read"
_MOST_ALIGNMENT = 64 << 10  # Windows hands out addresses in steps of 64 KiB (dwAllocationGranularity)
_ROUTES = {
    "core": "by promotion to Vulkan 1.4",
    "khr": "by VK_KHR_map_memory2",
    "none": "neither Vulkan 1.4 nor VK_KHR_map_memory2",
}
_CONCEPTS = "docs/concepts.md"


def answers(probe: Probe, rows: Sequence[Row], in_path: Sequence[str]) -> tuple[Answer, ...]:
    """Every question with its answer. rows: of the short run; in_path: layers that answer the measured calls."""
    device = probe.device
    assert device is not None
    return (
        _mapping(probe),
        _map2(probe, device),
        _placed(probe, device),
        _reserve(probe, device),
        _wow64(probe, device, rows),
        _cost("a map costs", MAP, rows),
        _cost("a placed map costs", PLACED, rows),
        *_memory(rows),
        _layers(in_path),
    )


def _mapping(probe: Probe) -> Answer:
    ways = {MAP_CALLS[proof.by][0]: proof for proof in probe.proofs if proof.by in ("core", "khr", "v1")}
    bad = {name: proof.detail for name, proof in ways.items() if proof.status != "ok"}
    if not bad and ways and probe.status == "ok":
        text = f"written through one mapping, read back through the next: {', '.join(ways)}"
        return Answer("mapping works", "yes", text, _CONCEPTS)
    alike = set(bad.values())
    each = alike if len(alike) == 1 and len(bad) == len(ways) else [f"{name}: {why}" for name, why in bad.items()]
    return Answer("mapping works", "no", "; ".join(each) or probe.reason or "nothing could be tried", "docs/checks.md")


def _map2(probe: Probe, device: Device) -> Answer:
    works, why = _proof(probe, "core") if device.route == "core" else _proof(probe, "khr")
    return Answer("vkMapMemory2", "yes" if works else "no", why or _ROUTES[device.route], f"{_CONCEPTS}#map2")


def _proof(probe: Probe, by: str) -> tuple[bool, str]:
    """Whether a proof holds, and why it does not where there is one."""
    found = next((proof for proof in probe.proofs if proof.by == by), None)
    if found is None or found.status == "ok":
        return found is not None, ""
    tried = "not tried" if found.status == "unsupported" else "it is there, and fails"
    return False, f"{tried}: {found.detail}"


def _placed(probe: Probe, device: Device) -> Answer:
    works, why = _proof(probe, "placed")
    if works:
        alignment = units.size(device.placed.min_placed_memory_map_alignment or 0)
        parts = "whole objects and parts" if device.placed.memory_map_range_placed else "whole objects"
        why = f"{parts}, at multiples of {alignment}"
    elif not why:
        has = "VK_EXT_map_memory_placed" in device.extensions
        why = "VK_EXT_map_memory_placed without memoryMapPlaced" if has else "no VK_EXT_map_memory_placed"
    return Answer("placed maps", "yes" if works else "no", _emulated(device, why), f"{_CONCEPTS}#placed-maps")


def _reserve(probe: Probe, device: Device) -> Answer:
    works, why = _proof(probe, "reserve")
    why = why or ("addresses stay taken after an unmap" if works else "no memoryUnmapReserve")
    return Answer("reserve on unmap", "yes" if works else "no", _emulated(device, why), f"{_CONCEPTS}#reserve")


def _emulated(device: Device, why: str) -> str:
    return f"{why} (emulated by vkmapctl's layer)" if device.placed.emulated else why


def _wow64(probe: Probe, device: Device, rows: Sequence[Row]) -> Answer:
    """Wine's 32-bit mode: buffers below 4 GiB that stay where they are."""
    lacks = []
    for by, name in (("placed", "placed maps"), ("reserve", "reserve on unmap")):
        works, why = _proof(probe, by)
        if not works:
            lacks.append(f"{name}: {why}" if why else f"no {name}")
    alignment = device.placed.min_placed_memory_map_alignment or 0
    if not lacks and alignment > _MOST_ALIGNMENT:
        lacks.append(f"addresses only at multiples of {units.size(alignment)}")
    churn = next((row for row in rows if row.part == LOW), None)
    if not lacks and (churn is None or churn.status != "ok"):
        lacks.append(churn.reason if churn else "it was not tried")
    about, see = "32-bit programs (WoW64)", f"{_CONCEPTS}#reserve"
    if lacks:
        return Answer(about, "no", "; ".join(lacks), see)
    assert churn is not None
    text = f"{units.count(churn.pairs)} placed maps below 4 GiB, every byte right, every range kept"
    return Answer(about, "yes", text, see)


def _cost(about: str, part: str, rows: Sequence[Row]) -> Answer:
    timed = [row for row in rows if row.part == part and row.map and row.map.p50_ns is not None]
    if not timed:
        return Answer(about, "-", "not measured", "docs/performance.md")
    told = (f"{cost(row, 'map')} for {units.size(row.allocation_size)}" for row in timed)
    return Answer(about, "-", ", ".join(told), f"{_CONCEPTS}#what-stress-measures")


def _memory(rows: Sequence[Row]) -> Iterable[Answer]:
    """Which type to stage through, to write often, and to read back: the fastest of those that it is for."""
    written, read = ([row for row in rows if row.part == part] for part in (WRITE, READ))
    for about, found in best_types(written, read).items():
        yield Answer(about, "-", found or "not measured", f"{_CONCEPTS}#memory-types")


def best_types(written: Sequence[Row], read: Sequence[Row]) -> dict[str, str]:
    """For each use the fastest type that it is for, with its figure; empty where nothing was measured.

    Staging memory is not the device's own where there is other; what is written every frame is.
    """
    apart = [row for row in written if "De" not in row.memory_flags]
    local = [row for row in written if "De" in row.memory_flags]
    return {
        "stage uploads in": _fastest(apart or written, "write"),
        "write every frame in": _fastest(local or written, "write"),
        "read back from": _fastest(read, "read"),
    }


def _fastest(rows: Sequence[Row], kind: str) -> str:
    rated = [(rate, row) for row in rows if (rate := getattr(row.touch_bytes_per_second, kind))]
    if not rated:
        return ""
    rate, row = max(rated, key=lambda one: one[0])
    return f"{memory_label(row)}, {'written' if kind == 'write' else 'read'} at {units.bandwidth(rate)}"


def _layers(in_path: Sequence[str]) -> Answer:
    text = ", ".join(in_path) or "none between a program and its maps"
    return Answer("layers in the way", "yes" if in_path else "no", text, "docs/troubleshooting.md")


def next_steps(probe: Probe, all_answers: Sequence[Answer]) -> tuple[str, ...]:
    """What to type next, the most useful first."""
    works = all_answers[0].verdict == "yes"
    steps = ["vkmapctl verify"] if not works else ["vkmapctl stress size-sweep", "vkmapctl verify"]
    placed = next(one for one in all_answers if one.about == "placed maps")
    if works and placed.verdict == "yes":
        steps.insert(1, "vkmapctl stress low4g")
    return tuple(steps)
