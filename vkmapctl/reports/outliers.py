"""What is odd in a fleet as text: suspects first, then what could be seen and how sure it is."""

from collections.abc import Iterable, Sequence

from vkmapctl.figures.checked import plural
from vkmapctl.model.outliers import Drift, Group, Kind, Odd, Outliers, Verdict, Yardstick
from vkmapctl.reports.elements import Block, Column, Element, Table, Text

AGAINST = {
    "peers": "its peers",
    "hosts": "other hosts",
    "siblings": "one row, its host's GPUs (weaker)",
    "itself": "its earlier runs",
    "host-itself": "the host's earlier runs",
}
VERDICTS: dict[Verdict, str] = {"suspect": "suspect", "run-again": "to be run again", "cleared": "cleared"}
_STYLES: dict[Verdict, str] = {"suspect": "bold red", "run-again": "yellow", "cleared": "dim"}
MOST = 40  # lines of a verdict; JSON and the page have all


def outliers_view(found: Outliers, most: int | None = MOST) -> Iterable[Element]:
    """A sentence, a table of what is odd, and what each comparison could have seen."""
    yield Text(summary(found), style="bold red" if found.exit_code else "bold")
    for verdict, words in VERDICTS.items():
        odd = [one for one in found.found if one.verdict == verdict]
        if odd:
            yield Text(f"\n{words[0].upper()}{words[1:]}", style="bold")
            yield Block(_table(odd[:most], verdict))
            if most and len(odd) > most:
                yield Block(Text(f"{len(odd) - most} more, which --json has", style="dim"))
    for title, lines in explained(found):
        yield Text(f"\n{title}", style="bold")
        for line in lines:
            yield Block(Text(line))
    for line in next_steps(found):
        yield Text(f"\n{line}")


def summary(found: Outliers) -> str:
    """`2 suspects, 1 to be run again`, or that nothing is odd, or that there is no verdict."""
    counts = {verdict: sum(one.verdict == verdict for one in found.found) for verdict in VERDICTS}
    parts = [plural(counts["suspect"], "suspect")] * bool(counts["suspect"])
    parts += [f"{counts['run-again']} to be run again"] * bool(counts["run-again"])
    if parts:
        return ", ".join(parts)
    if not any(group.by_gpu or group.by_host for group in found.groups) and not found.drifts:
        return "no verdict: there are no peers to compare" if found.groups else "no verdict: no run has figures"
    return "nothing is odd"


def _table(odd: Sequence[Odd], verdict: Verdict) -> Table:
    made = Table(
        [Column("host"), Column("GPU"), Column("beside"), Column("shift", right=True, folds=False),
         Column("before", right=True, folds=False), Column("z", right=True, folds=False)]
    )  # fmt: skip
    for one in odd:
        made.add(
            Text(one.host, style=_STYLES[verdict]),
            about_gpu(one),
            AGAINST[one.against] + (f": {one.row}" if one.row else ""),
            shift_text(one.shift),
            "" if one.before is None else shift_text(one.before),
            f"{one.z:.1f}",
        )
    return made


def about_gpu(one: Odd) -> str:
    """Its address and the first digits of its UUID; of a host's only one that it may be at fault too."""
    return gpu_text(one.gpu) if one.gpu else "its one GPU, or the host" if one.alone else "the host"


def gpu_text(key: str) -> str:
    """`3b:00.0 ecb42e8c` of what observations call a GPU."""
    uuid, _, pci = key.partition("@")
    return " ".join(part for part in (pci.removeprefix("0000:"), uuid[:8]) if part) or key


def shift_text(shift: float) -> str:
    """`12.3 % slower`."""
    return f"{_share(abs(shift))} {'slower' if shift > 0 else 'faster'}"


def explained(found: Outliers) -> Iterable[tuple[str, list[str]]]:
    """What was compared, what could be seen, and how many false alarms are to be expected, a group after the other."""
    for group in found.groups:
        yield kind_text(group.kind), group_lines(group)
    for drift in found.drifts:
        yield f"{kind_text(drift.kind)}: against earlier runs", drift_lines(drift)


def kind_text(kind: Kind) -> str:
    """Model, driver, kernel, CPU and workload."""
    named = [("driver ", kind.driver), ("kernel ", kind.kernel), ("", kind.cpu), ("workload ", kind.workload)]
    return ", ".join([kind.model, *(word + value for word, value in named if value)])


def group_lines(group: Group) -> list[str]:
    """Of a group of peers."""
    size = f"{plural(group.gpus, 'GPU')} on {plural(group.hosts, 'host')}, {plural(group.rows, 'figure')} each"
    lines = [f"{size}, run {group.run}"]
    if group.reason:
        return [*lines, f"no verdict: {group.reason}"]
    if group.thin:
        lines.append(f"not judged: {plural(group.thin, 'GPU')} with less than half of the figures")
    lines += _seen("GPUs", group.by_gpu, "less their host")
    if not group.by_gpu:
        lines.append("GPUs are not judged: too few have others on their host, so that a GPU and a host look the same")
    lines += _seen("hosts", group.by_host)
    if not group.by_host:
        lines.append(
            f"hosts are not judged: there {'is' if group.hosts == 1 else 'are'} {group.hosts}, and 8 are needed"
        )
    return lines


def drift_lines(drift: Drift) -> list[str]:
    """Of a group beside its own earlier runs."""
    changed = [
        f"{name} {old} to {new}"
        for name, old, new in (
            ("driver", drift.was.driver, drift.kind.driver),
            ("kernel", drift.was.kernel, drift.kind.kernel),
        )
        if old != new
    ]
    since = f", since {' and '.join(changed)}" if changed else ""
    return [
        f"{plural(drift.gpus, 'GPU')} on {plural(drift.hosts, 'host')}, beside {plural(drift.runs, 'earlier run')}",
        f"all of them together: {shift_text(drift.shared)}{since}, which is taken off and is no GPU's fault",
        *_seen("GPUs", drift.by_gpu, "less their host"),
        *_seen("hosts", drift.by_host),
    ]


def _seen(what: str, by: Yardstick | None, how: str = "") -> list[str]:
    if not by:
        return []
    lie = f"{what}{f', {how},' if how else ''} lie {_share(by.spread)} apart"
    faster = f"{by.faster} as far out on the faster side, where no fault puts them"
    return [
        f"{lie}, and are odd beyond {by.bar:.1f} times that: two runs find a slowdown of {_share(by.smallest)} "
        "9 times of 10",
        f"false alarms to be expected in one run: {max(by.chance, by.faster):.2g} "
        f"({by.chance:.2g} by chance; {faster})",
    ]


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def next_steps(found: Outliers) -> list[str]:
    """What to type next."""
    verdicts = {one.verdict for one in found.found}
    lines = []
    if "run-again" in verdicts:
        lines.append("run again what one run found, on the same hosts: vkmapctl fleet rerun STORE --only suspect")
    if "suspect" in verdicts:
        lines.append("a suspect differs in two runs: docs/fleet.md says what to look at, and in which order")
    return lines
