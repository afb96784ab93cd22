"""What devices that work at once cost each other, as a table."""

from collections.abc import Sequence

from vkmapctl import units
from vkmapctl.figures.findings import sharing
from vkmapctl.model.documents import Run
from vkmapctl.model.measured import Row
from vkmapctl.reports.elements import Block, Column, Table, Text
from vkmapctl.units import NONE


def sharing_view(run: Run) -> Sequence[Text | Block]:
    """What each row loses when all devices work at once; nothing where they never did."""
    pairs = sharing(run.results)
    if not pairs:
        return []
    names = {device.index: device.name for device in run.devices}
    titles = ("device", "row", "pairs/s alone", "together", "kept", "map p99 alone", "together")
    made = Table(Column(title, right=i > 1) for i, title in enumerate(titles))
    for alone, together in pairs:
        made.add(f"{alone.device}: {names[alone.device]}", alone.job, *_shared_figures(alone, together))
    count = pairs[0][1].together
    title = f"\nWhat sharing costs ({count} devices, each alone and then all at once)"
    return [Text(title, style="bold"), Block(made)]


def _shared_figures(alone: Row, together: Row) -> tuple[str, str, str, str, str]:
    rates = [row.pairs_per_second for row in (alone, together)]
    tails = [row.map.p99_ns if row.map else None for row in (alone, together)]
    kept = NONE if not rates[0] or rates[1] is None else f"{rates[1] / rates[0]:.0%}"
    return (
        NONE if rates[0] is None else units.count(rates[0]),
        NONE if rates[1] is None else units.count(rates[1]),
        kept,
        NONE if tails[0] is None else units.duration(tails[0]),
        NONE if tails[1] is None else units.duration(tails[1]),
    )
