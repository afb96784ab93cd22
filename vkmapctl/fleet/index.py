"""The index of a store: SQLite, derived from the files, kept up by one process at a time, and made again at will.

Files of a store never change, so that each is read once. What cannot be read is told in `problems`, and read again when
the index is made again.
"""

import errno
import fcntl
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import msgspec

from vkmapctl.errors import Unsupported, UsageProblem
from vkmapctl.fleet import child, store
from vkmapctl.fleet.reading import Read, read_document
from vkmapctl.fleet.store import Store
from vkmapctl.model.fleet import EngineEnd, Envelope, FleetRun, Observation
from vkmapctl.saved.cleaning import cleaned
from vkmapctl.text import clean

VERSION = 1  # of the tables; an index of another version is made again
MOST_FILES = 10_000  # of a host in a run
MANY = 256  # files from which on processes read them
MOST_READERS = 4
WAIT_SECONDS = 120.0  # for another process that is at it
_LOCK = "index.lock"
_TABLES = """
CREATE TABLE files(path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE runs(run TEXT PRIMARY KEY, started TEXT NOT NULL, asked BLOB, ended BLOB) WITHOUT ROWID;
CREATE TABLE answers(run TEXT, host TEXT, kind TEXT, number INTEGER, envelope BLOB NOT NULL,
    PRIMARY KEY(run, host, kind, number)) WITHOUT ROWID;
CREATE TABLE gpus(run TEXT, host TEXT, number INTEGER, slot INTEGER, pci TEXT, uuid TEXT, name TEXT, type TEXT,
    PRIMARY KEY(run, host, number, slot)) WITHOUT ROWID;
CREATE TABLE documents(id INTEGER PRIMARY KEY, run TEXT, host TEXT, name TEXT, slot INTEGER, number INTEGER,
    kind TEXT, outcome TEXT, ok INTEGER, why TEXT, started TEXT, model TEXT, type TEXT, uuid TEXT, pci TEXT,
    driver TEXT, kernel TEXT, cpu TEXT, workload TEXT, UNIQUE(run, host, name));
CREATE TABLE words(id INTEGER PRIMARY KEY, text TEXT UNIQUE NOT NULL);
CREATE TABLE figures(document INTEGER, row INTEGER, metric INTEGER, value REAL);
CREATE INDEX figures_of ON figures(document);
CREATE TABLE problems(run TEXT, host TEXT, name TEXT, what TEXT NOT NULL,
    PRIMARY KEY(run, host, name)) WITHOUT ROWID;
"""


class File(NamedTuple):
    """Something that a host has left."""

    run: str
    host: str
    name: str


class Document(NamedTuple):
    """A document of a run; see fleet/reading.Read."""

    host: str
    name: str
    slot: int
    number: int
    ok: bool
    outcome: str
    why: str
    model: str
    type: str
    uuid: str
    pci: str
    driver: str


class Problem(NamedTuple):
    """A file that cannot be read as what its place says it is; host and name empty where it is the run's own."""

    host: str
    name: str
    what: str


class Answer(NamedTuple):
    """A host's envelope. kind: `begun` or `envelope`; number: 1, or more where it answered again."""

    host: str
    kind: str
    number: int
    envelope: Envelope


class Card(NamedTuple):
    """A GPU as it was last seen in its place, in runs before another."""

    host: str
    pci: str
    uuid: str
    name: str
    run: str


class Index:
    """The index of a store, brought up to date as it is opened.

    again: makes it anew. progress: gets how many documents have been read. Raises UsageProblem.
    """

    def __init__(
        self, to: Store, *, again: bool = False, progress: Callable[[int], None] = lambda number: None
    ) -> None:
        self._store = to
        if not os.path.isdir(to.path / store.RUNS):
            raise UsageProblem(f"{to.path} is no store", "vkmapctl fleet init STORE --hosts HOSTS makes one")
        path = to.path / store.INDEX
        with _locked(to.path / _LOCK) as writable:
            try:
                if not writable:
                    path = Path(":memory:")
                elif again:
                    _remove(path)
                self._update(path, progress)
            except sqlite3.DatabaseError as error:
                if not writable:
                    raise UsageProblem(f"cannot index {to.path}: {error}") from None
                self._db.close()
                try:
                    _remove(path)  # damaged, or of another version
                    self._update(path, progress)
                except (sqlite3.Error, OSError) as again_error:
                    raise UsageProblem(f"cannot write {path}: {again_error}") from None

    def _update(self, path: Path, progress: Callable[[int], None]) -> None:
        self._db = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
        self._db.execute("PRAGMA synchronous = OFF")  # it can be made again
        if not self._db.execute("PRAGMA user_version").fetchone()[0]:
            self._db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        if self._db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            self._db.close()
            raise sqlite3.DatabaseError("it is of another version")
        self._db.execute("BEGIN")
        _Filling(self._db, self._store).fill(progress)
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()

    # --- what is in it ----------------------------------------------------------------------------

    def runs(self) -> list[str]:
        """The ids of all runs, in the order in which they began."""
        return [run for (run,) in self._db.execute("SELECT run FROM runs ORDER BY started, run")]

    def run(self, run: str) -> FleetRun | None:
        """What was asked for; None for one that no `fleet run` began."""
        row = self._db.execute("SELECT asked FROM runs WHERE run = ?", (run,)).fetchone()
        return msgspec.json.decode(row[0], type=FleetRun) if row and row[0] else None

    def repeats(self, run: str) -> list[str]:
        """The ids of the runs that repeat this one on some hosts."""
        return [one for one in self.runs() if (asked := self.run(one)) and asked.again == run]

    def ended(self, run: str) -> EngineEnd | None:
        """How its engine ended, None while it has not."""
        row = self._db.execute("SELECT ended FROM runs WHERE run = ?", (run,)).fetchone()
        return msgspec.json.decode(row[0], type=EngineEnd) if row and row[0] else None

    def answers(self, run: str) -> Iterator[Answer]:
        """Every envelope of a run, by host, the latest of each last."""
        rows = self._db.execute(
            "SELECT host, kind, number, envelope FROM answers WHERE run = ? ORDER BY host, kind, number", (run,)
        )
        decoder = msgspec.json.Decoder(Envelope)
        for host, kind, number, data in rows:
            yield Answer(host, kind, number, decoder.decode(data))

    def documents(self, run: str) -> Iterator[Document]:
        """Every document of a run that could be read, by host and slot, the latest of each last."""
        rows = self._db.execute(
            "SELECT host, name, slot, number, ok, outcome, why, model, type, uuid, pci, driver FROM documents"
            " WHERE run = ? ORDER BY host, slot, number", (run,),
        )  # fmt: skip
        return map(Document._make, rows)

    def problems(self, run: str) -> list[Problem]:
        """What could not be read of a run."""
        rows = self._db.execute("SELECT host, name, what FROM problems WHERE run = ? ORDER BY host, name", (run,))
        return [Problem(*row) for row in rows]

    def cards_before(self, run: str) -> list[Card]:
        """For each host and PCI address the hardware that was seen there last, in runs that began before this one."""
        rows = self._db.execute(
            "SELECT host, pci, uuid, name, run FROM (SELECT g.host, g.pci, g.uuid, g.name, g.run, "
            " MAX(r.started || ' ' || r.run || printf(' %04d', g.number)) FROM gpus g JOIN runs r USING(run)"
            " WHERE g.type != 'cpu' AND g.pci != '' AND (r.started, r.run) < "
            " (SELECT started, run FROM runs WHERE run = ?) GROUP BY g.host, g.pci)", (run,),
        )  # fmt: skip
        return [Card(*row) for row in rows]

    def most_before(self, run: str) -> dict[str, int]:
        """How many GPUs each host had at most, in runs that began before this one."""
        rows = self._db.execute(
            "SELECT host, MAX(number) FROM (SELECT g.host AS host, COUNT(*) AS number"
            " FROM gpus g JOIN runs r USING(run) WHERE (r.started, r.run) <"
            " (SELECT started, run FROM runs WHERE run = ?) GROUP BY g.host, g.run, g.number) GROUP BY host", (run,),
        )  # fmt: skip
        return dict(rows.fetchall())

    def observations(self, runs: Sequence[str]) -> Iterator[Observation]:
        """The figures of these runs, in the order of runs, hosts, slots and rows.

        Of a GPU that has several documents in a run, the latest that could be read counts.
        """
        for run in runs:
            rows = self._db.execute(
                "SELECT d.host, d.slot, d.uuid || '@' || d.pci, d.model, d.driver, d.kernel, d.cpu, d.workload,"
                " r.text, m.text, f.value FROM documents d JOIN figures f ON f.document = d.id"
                " JOIN words r ON r.id = f.row JOIN words m ON m.id = f.metric"
                " WHERE d.run = ? AND d.number = (SELECT MAX(number) FROM documents o"
                "  WHERE o.run = d.run AND o.host = d.host AND o.slot = d.slot)"
                " ORDER BY d.host, d.slot, f.rowid", (run,),
            )  # fmt: skip
            for row in rows:
                yield Observation(run, *row)


class _DocumentRead(NamedTuple):
    """A document that has been read; its slot and number stand in its file's name."""

    slot: int
    number: int
    says: Read


_Found = Answer | _DocumentRead | Exception  # what came of reading a file


class _Filling:
    """One update: every file that is not in the index yet."""

    def __init__(self, db: sqlite3.Connection, to: Store) -> None:
        self._db, self._store = db, to
        self._words: dict[str, int] = dict(db.execute("SELECT text, id FROM words").fetchall())
        self._problems = set(map(File._make, db.execute("SELECT run, host, name FROM problems")))
        self._read = 0

    def fill(self, progress: Callable[[int], None]) -> None:
        """Reads them all. progress: gets how many documents have been read, about once a second."""
        told = time.monotonic()
        for run in self._store.runs():
            known = {path for (path,) in self._db.execute(
                "SELECT path FROM files WHERE path >= ? AND path < ?", (f"{run}/", f"{run}0"))}  # fmt: skip
            self._run(run, known)
            new = [File(run, host, name) for host in self._store.hosts(run)
                   for name in _names(self._store.path / store.RUNS / run / host)
                   if not name.startswith(".") and f"{run}/{host}/{name}" not in known]  # fmt: skip
            for file, found in zip(new, _all_read(str(self._store.path / store.RUNS), new), strict=True):
                self._file(file, found)
                if time.monotonic() - told > 1:
                    told = time.monotonic()
                    progress(self._read)
            self._begin(run)

    def _run(self, run: str, known: set[str]) -> None:
        """What was asked for and how the engine ended."""
        self._db.execute("INSERT OR IGNORE INTO runs VALUES(?, '', NULL, NULL)", (run,))
        folder = self._store.path / store.RUNS / run
        for name, kind, column in ((store.RUN, FleetRun, "asked"), (store.ENDED, EngineEnd, "ended")):
            if f"{run}/{name}" in known or not os.path.lexists(folder / name):
                continue
            try:
                found = store.read_as(folder / name, kind)
            except (OSError, ValueError, RecursionError) as error:
                self._problem(run, "", name, error)
                continue
            data = msgspec.json.encode(found)
            self._db.execute(f"UPDATE runs SET {column} = ? WHERE run = ?", (data, run))
            self._done(f"{run}/{name}")
            if isinstance(found, FleetRun):
                self._db.execute("UPDATE runs SET started = ? WHERE run = ?", (found.started, run))

    def _begin(self, run: str) -> None:
        """Of a run that no `fleet run` began, when its first host did."""
        self._db.execute(
            "UPDATE runs SET started = coalesce((SELECT MIN(json_extract(envelope, '$.started')) FROM answers a"
            " WHERE a.run = runs.run), '') WHERE run = ? AND asked IS NULL", (run,),
        )  # fmt: skip

    def _file(self, file: File, found: _Found) -> None:
        run, host, name = file
        try:
            if isinstance(found, Exception):
                raise found
            if isinstance(found, Answer):
                self._answer(run, found)
            else:
                self._document(file, found)
        except (OSError, ValueError, RecursionError) as error:
            self._problem(run, host, name, error)
        else:
            if file in self._problems:
                self._db.execute("DELETE FROM problems WHERE run = ? AND host = ? AND name = ?", file)
            self._done(f"{run}/{host}/{name}")

    def _answer(self, run: str, answer: Answer) -> None:
        host, kind, number, envelope = answer
        if (envelope.run, envelope.host) != (run, host):
            raise ValueError(f"it says it is of {envelope.host} and run {envelope.run}")
        if len(envelope.seen) > store.MOST_GPUS:
            raise ValueError(f"it has more than {store.MOST_GPUS} GPUs")
        slots = [gpu.slot for gpu in envelope.seen]
        if len(set(slots)) < len(slots) or any(not 0 <= slot < store.MOST_GPUS for slot in slots):
            raise ValueError("its slots are not sound")
        data = msgspec.json.encode(envelope)
        self._db.execute("INSERT OR REPLACE INTO answers VALUES(?, ?, ?, ?, ?)", (run, host, kind, number, data))
        if kind == "envelope":
            self._db.executemany(
                "INSERT OR REPLACE INTO gpus VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                [(run, host, number, one.slot, one.pci, one.uuid, one.name, one.type) for one in envelope.seen],
            )

    def _document(self, file: File, found: _DocumentRead) -> None:
        self._read += 1
        *facts, figures = found.says
        cursor = self._db.execute(
            f"INSERT OR REPLACE INTO documents VALUES(NULL{', ?' * 18})", (*file, found.slot, found.number, *facts)
        )
        document = cursor.lastrowid
        self._db.executemany(
            "INSERT INTO figures VALUES(?, ?, ?, ?)",
            [(document, self._word(row), self._word(metric), value) for row, metric, value in figures],
        )

    def _word(self, text: str) -> int:
        found = self._words.get(text)
        if found is None:
            found = self._words[text] = len(self._words) + 1
            self._db.execute("INSERT INTO words VALUES(?, ?)", (found, text))
        return found

    def _problem(self, run: str, host: str, name: str, error: Exception) -> None:
        """Not taken for read: a file system may have shown half of it, and a later version may read it."""
        what = clean(str(getattr(error, "strerror", None) or error))
        self._db.execute("INSERT OR REPLACE INTO problems VALUES(?, ?, ?, ?)", (run, host, clean(name), what))

    def _done(self, path: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO files VALUES(?)", (path,))


def _all_read(runs: str, files: list[File]) -> Iterator[_Found]:
    """What each of these files says, in their order. Many are read by processes, one for each CPU."""
    readers = min(len(os.sched_getaffinity(0)), MOST_READERS)
    read = partial(_read, runs)
    if len(files) < MANY or readers == 1:
        yield from map(read, files)
        return
    with ProcessPoolExecutor(readers, get_context("fork"), _end_with_parent) as pool:
        try:
            yield from pool.map(read, files, chunksize=16)
        except BrokenProcessPool:
            raise Unsupported("a process that read documents was killed", "is there memory for it?") from None


def _end_with_parent() -> None:
    """Of a reader: however this process ends, and not by what a terminal sends to both."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child.end_with_parent(signal.SIGKILL)


def _read(runs: str, file: File) -> _Found:
    """What a file says, or why it cannot be read as what its place says it is."""
    path = os.path.join(runs, *file)
    try:
        if match := store.ANSWER.fullmatch(file.name):
            envelope = msgspec.json.decode(cleaned(store.read(path, store.LARGEST_SMALL)), type=Envelope)
            return Answer(file.host, match[1], int(match[2] or 1), envelope)
        if match := store.DOCUMENT.fullmatch(file.name):
            found = read_document(store.unpacked(store.read(path, store.LARGEST_DOCUMENT)))
            return _DocumentRead(int(match[1]), int(match[3] or 1), found)
        return ValueError("it is nothing that a host writes")
    except OSError as error:
        return error
    except (ValueError, RecursionError) as error:
        return ValueError(str(error))  # msgspec's own cannot be sent from process to process


def _names(folder: Path) -> Iterable[str]:
    try:
        return sorted(os.listdir(folder))[:MOST_FILES]
    except OSError:
        return []


def _remove(path: Path) -> None:
    for name in (path.name, f"{path.name}-journal"):
        path.with_name(name).unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Holds the one lock of an index; False where the store cannot be written, and the index is made in memory.

    Raises UsageProblem where another process has it for too long.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOSPC, errno.EDQUOT):
            raise UsageProblem(f"cannot write {path}: {error.strerror}") from None
        yield False
        return
    try:
        until = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise UsageProblem(f"another process has been indexing {path.parent} for a long time") from None
                time.sleep(0.05)
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise UsageProblem(f"cannot lock {path}: {error.strerror}") from None
                break  # a file system without locks: SQLite's own is left
        yield True
    finally:
        os.close(handle)
