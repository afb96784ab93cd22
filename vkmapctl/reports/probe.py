"""A probe to tables: what each device is, and which ways to map it has."""

from collections.abc import Iterable

from vkmapctl import units
from vkmapctl.model.device import Device, HostImport, Probe, Proof
from vkmapctl.model.documents import ProbeReport
from vkmapctl.reports import page as pages
from vkmapctl.reports.common import flags_text, legend, notes_view, status_text
from vkmapctl.reports.elements import Block, Element, Table, Text, grid, table
from vkmapctl.reports.page import Headline, Page, Part, Section
from vkmapctl.rules import MAP_CALLS, Api
from vkmapctl.units import NONE


def probe_view(report: ProbeReport) -> list[Element]:
    """Every device, then what a gate found missing."""
    view: list[Element] = [Text(f"Vulkan loader {report.loader}")] if report.loader else []
    if report.layers:
        view.append(Text(f"active layers: {', '.join(report.layers)}"))
    for probe in report.devices:
        view += _device_view(probe)
    view += legend(
        flag for one in report.devices if one.device for kind in one.device.memory_types for flag in kind.flags
    )
    view += notes_view(report.warnings)
    if report.missing:
        view.append(Text("\nmissing:", style="bold red"))
        view += [Text(f"  {line}") for line in report.missing]
    return view


def probe_page(report: ProbeReport) -> Page:
    """The same for Markdown and HTML, a part for each device."""
    missing = [Part("Missing", sections=[Section("A gate asked for", lines=report.missing)])] if report.missing else []
    found = [one.device for one in report.devices if one.device]
    return Page(
        title=f"vkmapctl probe: {', '.join(device.name for device in found)}".rstrip(": "),
        headlines=[_headline(probe) for probe in report.devices]
        or [Headline(f"nothing was probed: {report.reason or report.outcome}", False)],
        parts=[*missing, *(_part(one, report) for one in report.devices)],
        notes=report.warnings,
        outcome=report.outcome,
        exit_code=report.exit_code,
        facts=pages.facts(report),
        legend=flags_text(flag for device in found for one in device.memory_types for flag in one.flags),
    )


def _headline(probe: Probe) -> Headline:
    """`mapping works on X: vkMapMemory2, vkMapMemory, a placed map, unmap with reserve`."""
    proved = [_PROVED[proof.by] for proof in probe.proofs if proof.status == "ok"]
    if probe.device is None or probe.status != "ok":
        name = probe.device.name if probe.device else "a driver"
        return Headline(f"{name} is broken ({probe.status}): {probe.reason}", False)
    if not proved:
        return Headline(f"mapping was not proved on {probe.device.name}", False)
    return Headline(f"mapping works on {probe.device.name}: {', '.join(proved)}", True)


_PROVED = {by: calls[0] for by, calls in MAP_CALLS.items()} | {
    "placed": "a placed map",
    "reserve": "unmap with reserve",
}


def _part(probe: Probe, report: ProbeReport) -> Part:
    device = probe.device
    if device is None:
        return Part(f"{probe.status} driver", about=[probe.reason])
    placed = [*_placed_table(device)]
    lines = [f"map2: {_route_text(device)}"]
    lines += [one.plain.strip() for one in placed if isinstance(one, Text)]
    sections = [Section("Ways to map", lines=lines)]
    if probe.notes:
        notes = [f"[{note.code}] {note.message}" for note in probe.notes]
        sections.append(Section("Warnings", lines=notes))
    sheets = [pages.sheet_of("Live proof", _proof_table(probe))] if probe.entry_points else []
    sheets += [pages.sheet_of("Placed maps", one) for one in placed if isinstance(one, Table)]
    sheets += [pages.sheet_of("Memory types", _memory_table(device))] if device.memory_types else []
    return Part(
        pages.device_title(device),
        pages.device_about(device, report),
        sections,
        [*sheets, pages.sheet_of("Device", _identity_table(device))],
    )


def _device_view(probe: Probe) -> Iterable[Element]:
    device = probe.device
    if device is None:
        yield Text.of("\n", status_text(probe.status), f": {probe.reason}")
        return
    yield Text(f"\nDevice {device.index}: {device.name}", style="bold")
    yield Block(_identity_table(device))
    yield Block(Text.of("\nmap2: ", (_route_text(device), "bold")))
    if probe.entry_points:
        yield Block(_proof_table(probe))
    if probe.status != "ok":
        yield Block(Text.of(status_text(probe.status), f": {probe.reason}"))
    for part in _placed_table(device):
        yield Block(part)
    if len(device.allocations) > 1:
        yield Block(Text(f"\nallocations: {', '.join(device.allocations)}"))
    if device.host_import:
        yield Block(Text(_import_text(device.host_import)))
    if device.memory_types:
        yield Block(_memory_table(device))
    else:
        yield Block(Text("\nno memory types: nothing can be allocated on this device", style="yellow"))
    for note in probe.notes:
        yield Block(Text.of(("warning", "yellow"), f" [{note.code}] {note.message}"))


def _identity_table(device: Device) -> Table:
    table = grid(2)
    for name, value in (
        ("type", device.type),
        ("apiVersion", device.api_version),
        ("driver", f"{device.driver_name} ({device.driver_id}), {device.driver_info}"),
        ("driverVersion", device.driver_version),
        ("conformanceVersion", device.conformance_version),
        ("vendorID, deviceID", f"{device.vendor_id:#06x}, {device.device_id:#06x}"),
        ("deviceUUID", device.device_uuid),
        ("driverUUID", device.driver_uuid),
        ("PCI address", device.pci_address or NONE),
        ("minMemoryMapAlignment", str(device.limits.min_memory_map_alignment)),
        ("nonCoherentAtomSize", str(device.limits.non_coherent_atom_size)),
    ):
        table.add(name, value)
    return table


def _route_text(device: Device) -> str:
    revision = device.extensions.get("VK_KHR_map_memory2")
    extension = f"VK_KHR_map_memory2 revision {revision} (specification: 1)" if revision else "no VK_KHR_map_memory2"
    how = {
        "core": "core, by promotion to Vulkan 1.4",
        "khr": "by extension",
        "none": "none: vkMapMemory only",
    }[device.route]
    return f"{how}; {extension}"


def _proof_table(probe: Probe) -> Table:
    names: dict[Api, str] = {"core": "2", "khr": "2KHR", "v1": ""}
    points = {point.name: point for point in probe.entry_points}
    proved = table("functions", "resolves", "by the rules", "live proof", numeric_from=9)
    proofs = {proof.by: proof for proof in probe.proofs}
    for api, suffix in names.items():
        functions = (f"vkMapMemory{suffix}", f"vkUnmapMemory{suffix}")
        found = [points[name] for name in functions if name in points]
        resolves = {True: "yes", False: "no"}[all(point.found for point in found)] if found else "yes"
        rule = {"pointer": "must", "null": "must not", "unspecified": "not to be called"}
        rules = rule[found[0].rule] if found else "must"
        proved.add(" ".join(functions), resolves, rules, _verdict(proofs.get(api)))
    for by, text in (("placed", "a placed map"), ("reserve", "unmap with reserve")):
        if by in proofs:
            proved.add(text, "", "", _verdict(proofs[by]))
    return proved


def _verdict(proof: Proof | None) -> Text:
    if proof is None:
        return Text(NONE)
    verdict = status_text(proof.status)
    return verdict if proof.status == "ok" else Text.of(verdict, f" ({proof.detail})")


def _placed_table(device: Device) -> Iterable[Text | Table]:
    revision = device.extensions.get("VK_EXT_map_memory_placed")
    if revision is None:
        yield Text("\nplaced maps: no VK_EXT_map_memory_placed")
        return
    placed = device.placed
    origin = ", emulated by vkmapctl's test layer" if placed.emulated else ""
    yield Text(f"\nplaced maps: VK_EXT_map_memory_placed revision {revision} (specification: 1){origin}")
    table = grid(2)
    for name, value in (
        ("memoryMapPlaced", placed.memory_map_placed),
        ("memoryMapRangePlaced", placed.memory_map_range_placed),
        ("memoryUnmapReserve", placed.memory_unmap_reserve),
    ):
        table.add(f"  {name}", Text("yes", style="green") if value else Text("no", style="yellow"))
    table.add("  minPlacedMemoryMapAlignment", str(placed.min_placed_memory_map_alignment or NONE))
    yield table


def _import_text(limits: HostImport) -> str:
    taking = ", ".join(f"#{one}" for one in limits.memory_types or ())
    told = "" if limits.memory_types is None else f"; memory types that take one: {taking or 'none'}"
    return f"host pointers: minImportedHostPointerAlignment {limits.min_imported_host_pointer_alignment}{told}"


def _memory_table(device: Device) -> Table:
    listing = table("\nmemory type", "\nflags", "\nheap", "\nheap size", "\nfree", numeric_from=2)
    for one in device.memory_types:
        heap = device.heaps[one.heap]
        free = None if heap.budget is None else max(heap.budget - (heap.usage or 0), 0)
        local = " De" if heap.device_local else ""
        listing.add(
            f"#{one.index}",
            " ".join(one.flags) or NONE,
            f"{one.heap}{local}",
            units.size(heap.size),
            NONE if free is None else units.size(free),
            style="" if one.host_visible else "dim",
        )
    return listing
