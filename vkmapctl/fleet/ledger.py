"""The ledger of a run: how every GPU that was expected has ended. Documents judge; silence is a failure.

Pure: what the index and the engine say goes in, entries come out.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from vkmapctl import hostlist
from vkmapctl.errors import ExitCode
from vkmapctl.fleet.index import Answer, Card, Document, Index, Problem
from vkmapctl.model.base import Note
from vkmapctl.model.fleet import ENDED_WELL, EngineEnd, Envelope, FleetRun, Ledger, LedgerEntry, Roster, SeenGpu, State
from vkmapctl.text import clean

OfHostT = TypeVar("OfHostT", Answer, Document, Card)
CLOCK_SECONDS = 120.0  # by how much a host's clock may differ before it is told


class Known(NamedTuple):
    """What is known of a run, all of it plain. most: GPUs that a host had at most in earlier runs."""

    run: FleetRun
    ended: EngineEnd | None
    answers: Sequence[Answer]
    documents: Sequence[Document]
    problems: Sequence[Problem] = ()
    cards: Sequence[Card] = ()
    most: Mapping[str, int] = {}


def known(index: Index, run: str, roster: Roster) -> Known:
    """All that an index knows of a run. roster: for a run that no `fleet run` began."""
    answers = list(index.answers(run))
    asked = index.run(run) or FleetRun(
        id=run,
        command=next((one.envelope.command for one in answers), ()),
        engine="",
        started=min((one.envelope.started for one in answers), default=""),
        hosts=hostlist.fold(roster.hosts),
        gpus=roster.gpus,
        software=roster.software,
    )
    return Known(
        asked,
        index.ended(run),
        answers,
        list(index.documents(run)),
        index.problems(run),
        index.cards_before(run),
        index.most_before(run),
    )


def made(of: Known) -> Ledger:
    """The ledger. Raises ValueError where the run's own hosts cannot be read."""
    hosts = hostlist.expand(of.run.hosts)
    expected = set(hosts)
    answers, documents, cards = _by_host(of.answers), _by_host(of.documents), _by_host(of.cards)
    unreadable = {(one.host, one.name): one.what for one in of.problems}
    was_at = {card.uuid: card for card in of.cards}
    entries: list[LedgerEntry] = []
    notes: list[Note] = []
    foreign = [host for host in sorted({*answers, *documents}) if host not in expected]
    for host in (*hosts, *foreign):
        one = _Host(
            host, of, answers.get(host, []), documents.get(host, []), cards.get(host, []), unreadable, was_at,
            foreign=host not in expected,
        )  # fmt: skip
        entries += one.entries()
        notes += one.notes()
    notes += [Note("unreadable", f"{_place(one)}: {one.what}") for one in of.problems]
    notes += _one_machine(of.answers)
    if of.ended is None and of.run.engine:
        notes.append(Note("not-ended", "the engine has not ended, or was killed: hosts may still answer"))
    elif of.ended and of.ended.reason:
        notes.append(Note("engine", of.ended.reason))
    asked = [entry for entry in entries if entry.host in expected]
    return Ledger(
        run=of.run,
        ended=of.ended,
        entries=tuple(entries),
        notes=tuple(notes),
        exit_code=_exit_code(asked, silent=not expected & {*answers, *documents}),
    )


def _exit_code(entries: Sequence[LedgerEntry], *, silent: bool) -> int:
    """0: every expected GPU ended well; 3: no host has answered, which is no GPU's fault; 4: some did not end well."""
    if silent:
        return ExitCode.UNSUPPORTED
    return ExitCode.OK if all(entry.state in ENDED_WELL for entry in entries) else ExitCode.FAILED


class _Host:
    """One host of a run."""

    def __init__(
        self,
        host: str,
        of: Known,
        answers: Sequence[Answer],
        documents: Sequence[Document],
        cards: Sequence[Card],
        unreadable: Mapping[tuple[str, str], str],
        was_at: Mapping[str, Card],
        *,
        foreign: bool,
    ) -> None:
        self._host, self._of, self._foreign = host, of, foreign
        self._envelopes = [one.envelope for one in answers if one.kind == "envelope"]
        self._begun = bool(answers)
        self._documents = {one.name: one for one in documents}
        self._latest = {one.slot: one for one in documents}
        self._cards = {card.pci: card for card in cards}
        self._unreadable, self._was_at = unreadable, was_at

    # --- entries ----------------------------------------------------------------------------------

    def entries(self) -> list[LedgerEntry]:
        """One for each GPU that it had, or should have had."""
        found = list(self._of_envelope(self._envelopes[-1]) if self._envelopes else self._of_documents())
        if self._foreign:
            return [_foreign(entry) for entry in found]
        return found

    def _expected(self) -> int:
        """How many it should have; at least one, which stands for the host."""
        return self._of.run.gpus or self._of.most.get(self._host, 0) or 1

    def _of_envelope(self, envelope: Envelope) -> Iterator[LedgerEntry]:
        """The GPUs that it has, those that it had, and as many more as are expected."""
        gone = {pci: card for pci, card in self._cards.items() if pci not in {gpu.pci for gpu in envelope.seen}}
        broke = not envelope.seen and envelope.exit_code == ExitCode.INTERRUPTED  # before it knew what it has
        lacking = 0 if self._foreign else max(self._expected() - len(envelope.seen), 0)
        named = sorted(gone)[:lacking] if len(gone) == lacking and not broke else []
        places: list[SeenGpu | Card] = [*envelope.seen, *(gone[pci] for pci in named)]
        if all(one.pci for one in places):
            places.sort(key=lambda one: one.pci)
        else:
            places.sort(key=lambda one: one.slot if isinstance(one, SeenGpu) else len(envelope.seen))
        for slot, one in enumerate(places):
            yield self._of_gpu(slot, one, envelope) if isinstance(one, SeenGpu) else self._gone(slot, one, envelope)
        for slot in range(len(places), len(envelope.seen) + lacking):
            entry = self._missing(slot, self._why_lacking(envelope))
            yield replace(entry, state="interrupted") if broke else entry

    def _of_gpu(self, slot: int, gpu: SeenGpu, envelope: Envelope) -> LedgerEntry:
        document = self._documents.get(gpu.document)
        entry = LedgerEntry(
            host=self._host,
            slot=slot,
            state="failed",
            document=self._path(gpu.document) if gpu.document else "",
            gpu=key_of(gpu.uuid, gpu.pci),
            model=gpu.name,
            driver=gpu.driver,
            pci=gpu.pci,
        )
        if document is None:
            what = self._unreadable.get((self._host, gpu.document), "it is not there")
            why = f"its document cannot be read: {what}" if gpu.document else gpu.reason or envelope.reason
            broke = gpu.exit_code is None and not gpu.document
            return _ended(
                entry, "interrupted" if broke else "failed", why or f"exit code {gpu.exit_code} and no document"
            )
        if document.uuid and gpu.uuid and document.uuid != gpu.uuid:
            return _ended(entry, "failed", f"its document is of another GPU: {document.model}, UUID {document.uuid}")
        state, why = _judged(document)
        if state == "failed" and gpu.exit_code is None:  # it was ended from outside
            state, why = "interrupted", gpu.reason or why
        if state == "interrupted":
            why = gpu.reason or why
        swapped = self._swapped(gpu)
        if state == "ok" and swapped:
            return _ended(entry, "swapped", swapped)
        return _ended(entry, state, "; ".join(filter(None, (why, swapped))))

    def _swapped(self, gpu: SeenGpu) -> str:
        """What tells that another card is in this place than before, or nothing."""
        before = self._cards.get(gpu.pci)
        if before is None or gpu.type == "cpu" or before.uuid == gpu.uuid:
            return ""
        came = self._was_at.get(gpu.uuid)
        told = f"another card than in run {before.run}, which had {before.name}, UUID {before.uuid}"
        return told + (f"; this one was in {came.host} at {came.pci} in run {came.run}" if came else "")

    def _gone(self, slot: int, card: Card, envelope: Envelope) -> LedgerEntry:
        return LedgerEntry(
            host=self._host,
            slot=slot,
            state="missing",
            why=f"not there: {envelope.reason or f'run {card.run} had {card.name} at {card.pci}'}",
            gpu=key_of(card.uuid, card.pci),
            model=card.name,
            pci=card.pci,
        )

    def _why_lacking(self, envelope: Envelope) -> str:
        if not envelope.seen:
            return envelope.reason or (envelope.lines[-1] if envelope.lines else "the host has no GPU")
        return f"not there: the host has {len(envelope.seen)} of {self._expected()} GPUs"

    def _of_documents(self) -> Iterator[LedgerEntry]:
        """Of a host without an envelope: its documents judge all the same, and for the rest it broke off, or is
        silent."""
        count = max(0 if self._foreign else self._expected(), *(slot + 1 for slot in self._latest), 0)
        if self._begun or self._latest:
            broke = "the host began its part and did not end it"
        else:
            broke = self._said() or "the host has not answered"
        for slot in range(count):
            document = self._latest.get(slot)
            if document is None:
                entry = self._missing(slot, broke + self._unread(slot))
                yield replace(entry, state="interrupted") if self._begun or self._latest else entry
                continue
            entry = LedgerEntry(
                host=self._host, slot=slot, state="failed", document=self._path(document.name),
                gpu=key_of(document.uuid, document.pci), model=document.model, driver=document.driver,
                pci=document.pci,
            )  # fmt: skip
            yield _ended(entry, *_judged(document))

    def _said(self) -> str:
        """The engine's word for it."""
        said = self._of.ended.hosts.get(self._host, "") if self._of.ended else ""
        return f"the host has not answered; {self._of.run.engine}: {said}" if said else ""

    def _unread(self, slot: int) -> str:
        found = [what for (host, name), what in self._unreadable.items()
                 if host == self._host and name.startswith(f"{slot}-")]  # fmt: skip
        return f"; its document cannot be read: {found[0]}" if found else ""

    def _missing(self, slot: int, why: str) -> LedgerEntry:
        return LedgerEntry(host=self._host, slot=slot, state="missing", why=why)

    def _path(self, name: str) -> str:
        return f"runs/{self._of.run.id}/{self._host}/{name}"

    # --- notes ------------------------------------------------------------------------------------

    def notes(self) -> Iterator[Note]:
        """What is told of the host beside its GPUs."""
        if self._foreign:
            yield Note("foreign", f"{self._host} has answered and was not asked: it is not among the run's hosts")
        if len(self._envelopes) > 1:
            yield Note("answered-twice", f"{self._host} has answered {len(self._envelopes)} times: its last one counts")
        if not self._envelopes:
            if self._latest:
                yield Note("no-envelope", f"{self._host} left documents and no envelope: it broke off")
            return
        envelope = self._envelopes[-1]
        if self._of.run.gpus and len(envelope.seen) > self._of.run.gpus:
            yield Note("more-gpus", f"{self._host} has {len(envelope.seen)} GPUs, and the roster {self._of.run.gpus}")
        if envelope.command != self._of.run.command:
            yield Note("other-command", f"{self._host} ran {clean(' '.join(envelope.command))}")
        if off := _off(envelope, self._of):
            yield Note("clock", f"the clock of {self._host} is off by {off}")


def _judged(document: Document) -> tuple[State, str]:
    """A document's own verdict, and why."""
    if document.ok:
        return "ok", ""
    if document.outcome == "interrupted":
        return "interrupted", document.why
    told = "" if document.outcome == "failed" else f"{document.outcome}: "
    return "failed", (told + document.why) if document.why else document.outcome


def _ended(entry: LedgerEntry, state: State, why: str) -> LedgerEntry:
    return replace(entry, state=state, why=why)


def _foreign(entry: LedgerEntry) -> LedgerEntry:
    told = "" if entry.state == "ok" else f"{entry.state}: {entry.why}"
    return _ended(entry, "foreign", told)


def key_of(uuid: str, pci: str) -> str:
    """What observations call a GPU, empty where it never showed itself."""
    return f"{uuid}@{pci}" if uuid or pci else ""


def _place(problem: Problem) -> str:
    return "/".join(filter(None, (problem.host, problem.name)))


def _one_machine(answers: Iterable[Answer]) -> Iterator[Note]:
    """Hosts that are one machine under several names: what one says of its GPUs, the others say again."""
    names: dict[str, set[str]] = defaultdict(set)
    for one in answers:
        if one.envelope.boot_id:
            names[one.envelope.boot_id].add(one.host)
    for hosts in names.values():
        if len(hosts) > 1:
            yield Note("one-machine", f"{hostlist.fold(sorted(hosts))} are one machine: they have the same boot id")


def _off(envelope: Envelope, of: Known) -> str:
    """By how much its clock is ahead or behind, as far as the run's own times show; empty where they agree."""
    begun, ended = _time(envelope.started), _time(envelope.ended)
    first, last = _time(of.run.started), _time(of.ended.ended if of.ended else "")
    if begun and first and (first - begun).total_seconds() > CLOCK_SECONDS:
        return f"{(first - begun).total_seconds():.0f} s or more: it is behind"
    if ended and last and (ended - last).total_seconds() > CLOCK_SECONDS:
        return f"{(ended - last).total_seconds():.0f} s or more: it is ahead"
    return ""


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _by_host(things: Iterable[OfHostT]) -> dict[str, list[OfHostT]]:
    found: dict[str, list[OfHostT]] = defaultdict(list)
    for one in things:
        found[one.host].append(one)
    return found
