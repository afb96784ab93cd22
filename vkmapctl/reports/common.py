"""What the views have in common: the colour of a status, the device at the head, the warnings at the end."""

from collections.abc import Iterable, Sequence

from vkmapctl.model.base import Note
from vkmapctl.model.device import Device
from vkmapctl.reports.elements import Element, Text

_STYLES = {
    "ok": "green",
    "failed": "bold red",
    "missed": "bold red",
    "crashed": "bold red",
    "hung": "bold red",
    "lost": "bold red",
    "out-of-memory": "bold red",
    "unsupported": "yellow",
    "interrupted": "yellow",
    "not-run": "yellow",
}
MOST_OF_A_KIND, FIRST_OF_A_KIND = 4, 2  # warnings of one kind that are shown


def status_text(status: str) -> Text:
    """The status in its colour."""
    return Text(status, style=_STYLES.get(status, ""))


def device_head(device: Device, loader: str) -> Iterable[Element]:
    """Which device and driver, in two lines; a third where its placed maps are emulated."""
    yield Text(f"{device.name}  [device {device.index}, {device.type}]", style="bold")
    through = f", loader {loader}" if loader else ""
    yield Text(f"  driver {device.driver_name} {device.driver_info}, Vulkan {device.api_version}{through}")
    if device.placed.emulated:
        yield Text("  emulated: placed maps and reserve come from vkmapctl's test layer", style="yellow")


def notes_view(notes: Sequence[Note]) -> list[Element]:
    """Warnings, a line each and a kind after the other; of a kind that many rows draw, the first and their number."""
    kinds: dict[str, list[str]] = {}
    for note in notes:
        kinds.setdefault(note.code, []).append(note.message)
    lines = []
    for code, messages in kinds.items():
        shown = messages if len(messages) <= MOST_OF_A_KIND else messages[:FIRST_OF_A_KIND]
        lines += [f" [{code}] {message}" for message in shown]
        if len(shown) < len(messages):
            lines.append(f" [{code}] {len(messages) - len(shown)} more of this kind, which --save and --json keep")
    return [Text.of("\n" if i == 0 else "", ("warning", "yellow"), line) for i, line in enumerate(lines)]
