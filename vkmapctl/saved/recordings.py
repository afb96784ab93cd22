"""Recordings as files: a zip of the head as JSON and, for each process, its events and its page faults.

Nothing in one is executed, and nothing is believed: sizes are bounded, and every record is looked at as it is read.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from vkmapctl.errors import UsageProblem
from vkmapctl.model.documents import SCHEMA
from vkmapctl.model.recording import Called, Event, Mark, PageFault, RecordingHead
from vkmapctl.saved import sound
from vkmapctl.saved.cleaning import cleaned

HEAD = "recording.json"
EVENT = struct.Struct("<IBBHIiQQQQQQ")  # struct vkm_event, with times in ns since the recording began
FAULT = struct.Struct("<QQII")  # time in ns, address, thread, process
LARGEST_HEAD = 16 << 20
MOST_BYTES = 64 << 30  # of one process's events, unpacked: a billion of them
MOST_PROCESSES = 4096
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CHUNK = 1 << 14  # records
_BROKEN = (  # what reading a zip of a stranger's raises; RecursionError is a RuntimeError
    OSError, ValueError, KeyError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_CALLED = tuple(Called)
_MARKS = tuple(map(Mark, range(256)))  # a byte of them; made once, since there are many events
_MAGIC = b"PK\x03\x04"


class RecordingFile:
    """A recording that was saved; its events are read anew each time that they are asked for.

    Raises UsageProblem, also while events are read, for a file that is none, is damaged, or claims too much.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            if path.exists() and not path.is_file():  # a device goes on for ever
                raise ValueError("it is no ordinary file")
            self._zip = zipfile.ZipFile(path)
            self._names = frozenset(self._zip.namelist())
            self.head = _head(self._zip)
        except _BROKEN as error:
            raise _damaged(path, error) from None

    def events(self, process: int) -> Iterator[Event]:
        """Those of head.processes[process], in the order in which they began."""
        records = self._records(f"events-{process}", EVENT)
        called, marked, most = _CALLED, _MARKS, len(_CALLED)
        new = tuple.__new__  # as Event._make has it, at a third of the time
        for state, call, marks, device, thread, result, begin, ns, memory, offset, size, pointer in records:
            if call >= most:
                raise _damaged(self._path, ValueError(f"there is no call {call}"))
            took = ns if state else None
            yield new(
                Event,
                (called[call], begin, took, thread, result, device, memory, offset, size, pointer, marked[marks]),
            )

    def faults(self, process: int) -> Iterator[PageFault]:
        """Those of head.processes[process], in the order of time."""
        for time, address, thread, _ in self._records(f"faults-{process}", FAULT):
            yield PageFault(time, address, thread)

    def _records(self, name: str, kind: struct.Struct) -> Iterator[tuple[int, ...]]:
        try:
            if name not in self._names:
                return
            if self._zip.getinfo(name).file_size > MOST_BYTES:
                raise ValueError(f"{name} is larger than {MOST_BYTES} bytes")
            with self._zip.open(name) as file:
                while data := file.read(kind.size * _CHUNK):
                    if len(data) % kind.size:
                        raise ValueError(f"{name} ends in the middle of a record")
                    yield from kind.iter_unpack(data)
        except _BROKEN as error:
            raise _damaged(self._path, error) from None


def is_recording(path: Path) -> bool:
    """Whether the file begins as one; False also for one that cannot be read."""
    try:
        if not path.is_file():
            return False
        with open(path, "rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def write(to: BinaryIO, head: RecordingHead, raw: Sequence[tuple[Path, Path | None]]) -> None:
    """Writes a recording. raw: files of EVENT and of FAULT records, one pair for each of head.processes."""
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        target.writestr(HEAD, msgspec.json.format(msgspec.json.encode(head), indent=1))
        for number, (events, faults) in enumerate(raw):
            target.write(events, f"events-{number}")
            if faults:
                target.write(faults, f"faults-{number}")


def _head(file: zipfile.ZipFile) -> RecordingHead:
    if file.getinfo(HEAD).file_size > LARGEST_HEAD:
        raise ValueError(f"{HEAD} is larger than {LARGEST_HEAD} bytes")
    if any(entry.compress_type not in _PACKED for entry in file.infolist()):
        raise ValueError("it is packed in another way than recordings are")
    with file.open(HEAD) as entry:
        data = cleaned(entry.read(LARGEST_HEAD))
    head = msgspec.json.decode(data, type=RecordingHead)
    if head.schema != SCHEMA:
        raise ValueError(f"it has schema '{head.schema}', this version reads {SCHEMA}")
    if len(head.processes) > MOST_PROCESSES:
        raise ValueError(f"it claims {len(head.processes)} processes")
    try:
        sound.check(head)
    except sound.Unsound as error:
        raise ValueError(f"{error.what} - at `${error.where}`") from None
    return head


def _damaged(path: Path, error: Exception) -> UsageProblem:
    return UsageProblem(f"{path} is no recording that can be read: {error}", "vkmapctl record makes one")
