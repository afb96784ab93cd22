"""The store: a folder that hosts share, in which every file appears whole, by rename, and none is ever replaced.

    roster.toml                          who is expected
    index.db                             made of the rest, as often as one likes (fleet/index)
    runs/<id>/run.json                   what was asked for
    runs/<id>/ended.json                 how the engine ended
    runs/<id>/<host>/begun.json          the host is at work
    runs/<id>/<host>/envelope.json       what became of it
    runs/<id>/<host>/<slot>-<kind>.json.gz   the document of each GPU

A host that answers twice gets a second file of each: envelope-2.json. Whoever may write to the store may write anything
to it, so that all of it is read without trust.
"""

import errno
import gzip
import os
import re
import stat
import time
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from secrets import token_hex
from typing import TypeVar

import msgspec

from vkmapctl import hostlist
from vkmapctl.errors import UsageProblem
from vkmapctl.model.base import Data
from vkmapctl.model.documents import to_json
from vkmapctl.model.fleet import EngineEnd, FleetRun, Roster
from vkmapctl.saved import reading
from vkmapctl.saved.cleaning import cleaned
from vkmapctl.text import LONGEST_NAME, clean

ROSTER, RUNS, INDEX = "roster.toml", "runs", "index.db"
RUN, ENDED, BEGUN, ENVELOPE = "run.json", "ended.json", "begun.json", "envelope.json"
DOCUMENT = re.compile(r"(\d{1,4})-(probe|stress|verify)(?:-(\d{1,4}))?\.json\.gz")
ANSWER = re.compile(r"(begun|envelope)(?:-(\d{1,4}))?\.json")
LARGEST_SMALL = 1 << 20  # bytes of a roster, run, engine's end or envelope
LARGEST_DOCUMENT = 16 << 20  # unpacked
MOST_GPUS = 256  # of a host
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_ANSWERS = 1000  # of one host to one run
DataT = TypeVar("DataT", bound=Data)


def now() -> str:
    """This moment, as it is saved."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_id(command: tuple[str, ...]) -> str:
    """An id that no other run has, and that sorts by time."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{command[0]}-{token_hex(2)}"


def check_id(run: str) -> str:
    """Raises ValueError for what is no run's id, such as a path."""
    if not _RUN_ID.fullmatch(run):
        raise ValueError(f"'{run}' is no run's id: letters, digits, dots and dashes, at most 100")
    return run


class Store:
    """A store that is there or will be. Raises UsageProblem, also from its methods, where it cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if os.path.exists(path) and not os.path.isdir(path):
            raise UsageProblem(f"{path} is no folder", "a store is a folder: vkmapctl fleet init STORE --hosts HOSTS")

    # --- the roster -------------------------------------------------------------------------------

    def roster(self) -> Roster:
        """Raises UsageProblem where there is none."""
        path = self.path / ROSTER
        try:
            text = read(path, LARGEST_SMALL).decode()
            found = msgspec.convert(tomllib.loads(text), _RosterFile)
            return Roster(
                hostlist.expand(found.hosts), found.gpus, clean(found.name, LONGEST_NAME), clean(found.made),
                found.software,
            )  # fmt: skip
        except FileNotFoundError:
            raise UsageProblem(
                f"{self.path} has no roster", "vkmapctl fleet init STORE --hosts 'gpu[01-16]' says who is expected"
            ) from None
        except OSError as error:
            raise _cannot("read", path, error) from None
        except (ValueError, RecursionError) as error:
            raise UsageProblem(f"{path} is no roster: {error}") from None

    def has_roster(self) -> bool:
        """Whether somebody has said who is expected."""
        return os.path.exists(self.path / ROSTER)

    def write_roster(self, roster: Roster, *, force: bool = False) -> None:
        """Raises UsageProblem where there is one, unless `force`."""
        lines = [
            f"name = {_toml(roster.name)}",
            f"made = {_toml(roster.made)}",
            f"hosts = {_toml(hostlist.fold(roster.hosts))}",
            f"gpus = {roster.gpus} # of each host; 0: as many as it ever had",
            f"software = {str(roster.software).lower()} # whether a host without a GPU answers with a software driver",
        ]
        try:
            (self.path / RUNS).mkdir(parents=True, exist_ok=True)
            data = ("\n".join(lines) + "\n").encode()
            if force:
                os.replace(_written(self.path, ROSTER, data), self.path / ROSTER)
            else:
                _place(self.path, ROSTER, data)
        except FileExistsError:
            raise UsageProblem(
                f"{self.path} has a roster", "--force replaces it; the runs that were made keep theirs"
            ) from None
        except OSError as error:
            raise _cannot("write", self.path / ROSTER, error) from None

    # --- runs -------------------------------------------------------------------------------------

    def begin(self, run: FleetRun) -> None:
        """Raises UsageProblem where there is such a run."""
        folder = self.path / RUNS / run.id
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _place(folder, RUN, to_json(run))
        except FileExistsError:
            raise UsageProblem(f"{self.path} has a run {run.id}", "give another id") from None
        except OSError as error:
            raise _cannot("write", folder / RUN, error) from None

    def end(self, run: str, ended: EngineEnd) -> None:
        """Keeps how the engine ended."""
        try:
            put(self.path / RUNS / run, ENDED, to_json(ended))
        except OSError as error:
            raise _cannot("write", self.path / RUNS / run / ENDED, error) from None

    def runs(self) -> list[str]:
        """The ids of all runs, by name."""
        return sorted(name for name in folders(self.path / RUNS) if _RUN_ID.fullmatch(name))

    def hosts(self, run: str) -> list[str]:
        """The hosts that have a folder in a run, by name."""
        return sorted(name for name in folders(self.path / RUNS / run) if hostlist.is_host(name))

    def host_folder(self, run: str, host: str) -> Path:
        """The folder of a host's answers, which is made. Raises OSError."""
        folder = self.path / RUNS / run / host
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def answered(self, run: str) -> tuple[int, int]:
        """How many hosts have begun, and how many have ended."""
        found = [{match[1] for name in _files(self.path / RUNS / run / host) if (match := ANSWER.fullmatch(name))}
                 for host in self.hosts(run)]  # fmt: skip
        return sum(bool(names) for names in found), sum("envelope" in names for names in found)


def digest(roster: Roster) -> str:
    """Equal for rosters that expect the same."""
    said = msgspec.json.encode((roster.hosts, roster.gpus, roster.software))
    return blake2b(said, digest_size=8).hexdigest()


class _RosterFile(Data, frozen=True):
    hosts: str
    gpus: int = 0
    name: str = ""
    made: str = ""
    software: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.gpus <= MOST_GPUS:
            raise ValueError(f"gpus is {self.gpus}, and must be 0 to {MOST_GPUS}")


def _toml(text: str) -> str:
    """A basic string; what JSON escapes, TOML escapes alike."""
    return msgspec.json.encode(text).decode()


# --- files --------------------------------------------------------------------------------------------


def put(folder: Path, name: str, data: bytes) -> str:
    """Lets a file appear whole, on the disk, under this name, or the next that is free. Raises OSError."""
    return appear_as(_written(folder, name, data), name)


def _place(folder: Path, name: str, data: bytes) -> None:
    """The same under this name alone. Raises FileExistsError."""
    part = _written(folder, name, data)
    try:
        _appear(part, folder / name)
    finally:
        part.unlink(missing_ok=True)


def appear_as(part: Path, name: str) -> str:
    """Gives a file that is written this name, or the next that is free, as `envelope-2.json`. Raises OSError."""
    stem, dot, suffix = name.partition(".")
    try:
        for number in range(1, _MOST_ANSWERS):
            unique = name if number == 1 else f"{stem}-{number}{dot}{suffix}"
            with suppress(FileExistsError):
                _appear(part, part.parent / unique)
                return unique
        raise FileExistsError(errno.EEXIST, f"there are {_MOST_ANSWERS} of them", str(part.parent / name))
    finally:
        part.unlink(missing_ok=True)


def packed(data: bytes) -> bytes:
    """As documents are kept; the same for the same document."""
    return gzip.compress(data, 6, mtime=0)


def unpacked(data: bytes) -> bytes:
    """A document of at most LARGEST_DOCUMENT. Raises ValueError for a larger one, or one that is damaged or cut."""
    return reading.unpacked(data, LARGEST_DOCUMENT)


def read(path: Path | str, most: int) -> bytes:
    """The whole of an ordinary file, no link. Raises OSError, or ValueError for another or a larger one."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("it is no ordinary file")
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most} bytes")
    return data


def read_as(path: Path, kind: type[DataT]) -> DataT:
    """A small JSON file, its text cleaned. Raises OSError, ValueError or RecursionError."""
    return msgspec.json.decode(cleaned(read(path, LARGEST_SMALL)), type=kind)


def folders(path: Path) -> Iterator[str]:
    """The names of folders in a folder, links left out; none where there is no such folder."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(path) as entries:
        yield from (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def _files(path: Path) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _written(folder: Path, name: str, data: bytes) -> Path:
    """A file beside its place, on the disk."""
    part = part_of(folder, name)
    try:
        with open(part, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    return part


def part_of(folder: Path, name: str) -> Path:
    """Where a file is written before it appears; no two processes, of any host, have the same."""
    return folder / f".{name}.{token_hex(8)}.part"


def _appear(part: Path, path: Path) -> None:
    """Raises FileExistsError where there is one, which a rename would replace. The part may be there still."""
    try:
        os.link(part, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))  # a file system without links
        os.replace(part, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """So that the name is on the disk too, where the file system can say so."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _cannot(do: str, path: Path, error: OSError) -> UsageProblem:
    return UsageProblem(f"cannot {do} {path}: {error.strerror or error}")
