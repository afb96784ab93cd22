"""What the views have in common: the colour of a status, the device at the head, the warnings at the end."""

import shlex
from collections.abc import Iterable, Sequence

from vkmapctl import rules
from vkmapctl.model.base import Note
from vkmapctl.model.device import Device
from vkmapctl.model.documents import CheckRow, Facts, OtherSide, Tool
from vkmapctl.reports.elements import Block, Element, Text
from vkmapctl.units import NONE

KINDS: dict[str, str] = {  # of each status there is, of rows, runs and checks: what it is to a JUnit reader
    "ok": "passed",
    "pass": "passed",
    "quality": "passed",
    "known": "passed",
    "missed": "failure",
    "failed": "failure",
    "fail": "failure",
    "crashed": "error",
    "hung": "error",
    "lost": "error",
    "out-of-memory": "error",
    "interrupted": "error",
    "unsupported": "skipped",
    "not-run": "skipped",
    "skip": "skipped",
}
_STYLES = {"passed": "green", "failure": "bold red", "error": "bold red", "skipped": "yellow"}
_OWN_STYLES = {"quality": "yellow", "known": "yellow", "interrupted": "yellow", "skip": "dim"}
MOST_OF_A_KIND, FIRST_OF_A_KIND = 4, 2  # warnings of one kind that are shown


def status_text(status: str) -> Text:
    """The status in its colour."""
    return Text(status, style=_OWN_STYLES.get(status) or _STYLES.get(KINDS.get(status, ""), ""))


def check_label(row: CheckRow) -> str:
    """`#0 De Vi Co Ca`, or a dash where no memory type was involved."""
    return NONE if row.memory_type is None else " ".join((f"#{row.memory_type}", *row.memory_flags))


def flags_text(flags: Iterable[str]) -> str:
    """`De device-local, Vi host-visible`: what the flags mean that are shown, nothing where none is."""
    shown = set(flags)
    return ", ".join(f"{flag} {words}" for flag, words in rules.FLAGS.items() if flag in shown)


def legend(flags: Iterable[str]) -> list[Element]:
    """The same as one dim line below a table."""
    text = flags_text(flags)
    return [Block(Text(text, style="dim"))] if text else []


def machine_text(host: Facts) -> str:
    """Processor and kernel, as far as a document tells them."""
    return f"{host.get('cpu_model') or 'unknown CPU'}, kernel {host.get('kernel') or 'unknown'}"


def command_text(tool: Tool) -> str:
    """The command as a shell takes it: `>` and blanks in quotes; empty where the document does not tell."""
    return shlex.join((tool.name, *tool.command)) if tool.command else ""


def device_head(device: Device, loader: str) -> Iterable[Element]:
    """Which device and driver, in two lines; a third where its placed maps are emulated."""
    yield Text(f"{device.name}  [device {device.index}, {device.type}]", style="bold")
    through = f", loader {loader}" if loader else ""
    yield Text(f"  driver {device.driver_name} {device.driver_info}, Vulkan {device.api_version}{through}")
    if device.placed.emulated:
        yield Text("  emulated: placed maps and reserve come from vkmapctl's test layer", style="yellow")


def side_lines(side: OtherSide) -> list[str]:
    """What the other side of a run with --versus has of its own, and which devices it found."""
    lines = [f"versus {' '.join(side.environment)}"]
    for one in side.devices:
        lines.append(f"  {one.name}: driver {one.driver_name} {one.driver_info}, Vulkan {one.api_version}")
    return lines + [f"  active layers: {', '.join(side.layers)}"] * bool(side.layers)


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
