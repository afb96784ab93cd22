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
from vkmapctl.model.recording import Called, Event, Mark, PageFault, RecordingHead

HEAD = "recording.json"
EVENT = struct.Struct("<IBBHIiQQQQQQ")  # struct vkm_event, with times in ns since the recording began
FAULT = struct.Struct("<QQII")  # time in ns, address, thread, process
LARGEST_HEAD = 16 << 20
MOST_BYTES = 64 << 30  # of one process's events, unpacked: a billion of them
_CHUNK = 1 << 14  # records
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
            self._zip = zipfile.ZipFile(path)
            self.head = _head(self._zip)
        except (
            OSError,
            ValueError,
            KeyError,
            RuntimeError,
            NotImplementedError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise _damaged(path, error) from None

    def events(self, process: int) -> Iterator[Event]:
        """Those of head.processes[process], in the order in which they began."""
        records = self._records(f"events-{process}", EVENT)
        for state, call, marks, device, thread, result, begin, ns, memory, offset, size, pointer in records:
            if call >= len(_CALLED):
                raise _damaged(self._path, ValueError(f"there is no call {call}"))
            took = ns if state else None
            yield Event(
                _CALLED[call], begin, took, thread, result, device, memory, offset, size, pointer, _MARKS[marks]
            )

    def faults(self, process: int) -> Iterator[PageFault]:
        """Those of head.processes[process], in the order of time."""
        for time, address, thread, _ in self._records(f"faults-{process}", FAULT):
            yield PageFault(time, address, thread)

    def _records(self, name: str, kind: struct.Struct) -> Iterator[tuple[int, ...]]:
        try:
            if name not in self._zip.namelist():
                return
            if self._zip.getinfo(name).file_size > MOST_BYTES:
                raise ValueError(f"{name} is larger than {MOST_BYTES} bytes")
            with self._zip.open(name) as file:
                while data := file.read(kind.size * _CHUNK):
                    if len(data) % kind.size:
                        raise ValueError(f"{name} ends in the middle of a record")
                    yield from kind.iter_unpack(data)
        except (
            OSError,
            ValueError,
            RuntimeError,
            NotImplementedError,
            EOFError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
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
    with file.open(HEAD) as entry:
        data = entry.read(LARGEST_HEAD)
    return msgspec.json.decode(data, type=RecordingHead)


def _damaged(path: Path, error: Exception) -> UsageProblem:
    return UsageProblem(f"{path} is no recording that can be read: {error}", "vkmapctl record makes one")
