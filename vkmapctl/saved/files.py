"""Saved documents: written by rename so that a reader never sees half of one, read with clear errors."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from vkmapctl.errors import UsageProblem
from vkmapctl.model.device import MALLOC, Device
from vkmapctl.model.documents import SCHEMA, DoctorReport, ProbeReport, Run, SelftestReport, VerifyReport, to_json
from vkmapctl.saved import older
from vkmapctl.saved.reading import read_bytes

Document = Run | ProbeReport | VerifyReport | SelftestReport | DoctorReport
LARGEST_BYTES = 1 << 30
LARGEST_NUMBER = 1e30
TRIED_BYTES = 64 << 10  # more than most documents: a full disk is found before the measuring


class Sink:
    """A file to be written, checked before any measuring starts.

    Raises UsageProblem where it exists and `force` is not set, or where it cannot be written. After that nothing is
    raised, so that what was measured can still be printed: `error` says why the latest document is not on the disk.
    """

    def __init__(self, path: Path, *, force: bool) -> None:
        self._path = path
        self.error: UsageProblem | None = None
        try:
            if path.is_dir():
                raise UsageProblem(f"{path} is a folder", "give the name of a file")
            if path.exists() and not path.is_file():
                raise UsageProblem(f"{path} is no ordinary file", "give the name of a file; --json prints to stdout")
            if path.exists() and not force:
                raise UsageProblem(f"{path} exists", "choose another name, or --force to overwrite it")
            self._write(bytes(TRIED_BYTES))
        except (OSError, ValueError) as error:
            raise _cannot("write", path, error) from None

    def save(self, document: Document) -> None:
        """Replaces the file by the whole document; a disk that refuses is remembered in `error`."""
        self.write(to_json(document))

    def write(self, data: bytes) -> None:
        """Replaces the file; a disk that refuses is remembered in `error`."""
        try:
            self._write(data, replace=True)
            self.error = None
        except OSError as error:
            self.error = _cannot("write", self._path, error)

    def _write(self, data: bytes, *, replace: bool = False) -> None:
        folder = self._path.parent
        handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            if replace:
                umask = os.umask(0)
                os.umask(umask)
                os.chmod(name, 0o666 & ~umask)
                os.replace(name, self._path)
                return
        except BaseException:
            os.unlink(name)
            raise
        os.unlink(name)


def _check_sound(document: Document) -> None:
    """What the types cannot say, so that whoever shows a document may rely on it. Raises ValidationError."""
    nodes = list(_nodes(document))
    devices = [node for node in nodes if isinstance(node, Device)]
    for device in devices:
        if any(one.heap >= len(device.heaps) for one in device.memory_types):
            raise msgspec.ValidationError(f"device {device.index} has a memory type without a heap")
    rows = document.results if isinstance(document, Run | VerifyReport) else ()
    known = {device.index for device in devices}
    if any(row.device not in known for row in rows):
        raise msgspec.ValidationError("a row names a device that is not in the document")
    odd = [node for node in nodes if isinstance(node, int | float) and not 0 <= node <= LARGEST_NUMBER]
    if odd != [row.memory_type for row in rows if row.memory_type == MALLOC]:
        raise msgspec.ValidationError("a number is negative, or larger than any that is measured")


def _nodes(document: Document) -> Iterator[object]:
    """A document's values, but for the facts about its host, which are only shown."""
    waiting: list[object] = [document]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, tuple):
            waiting += node
        elif isinstance(node, msgspec.Struct):
            waiting += [getattr(node, name) for name in node.__struct_fields__ if name != "host"]


def _cannot(do: str, path: Path, error: OSError | ValueError) -> UsageProblem:
    """ValueError: a path that no system call takes, such as one with a NUL."""
    return UsageProblem(f"cannot {do} {path}: {getattr(error, 'strerror', None) or error}")


def load(path: Path) -> Document:
    """Reads a saved document. Raises UsageProblem for a file that is none, naming what is wrong and where."""
    try:
        data = read_bytes(path, LARGEST_BYTES)
    except (OSError, ValueError) as error:
        raise _cannot("read", path, error) from None
    try:
        head = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        schema = msgspec.json.decode(head["schema"], type=str) if "schema" in head else ""
        if schema != SCHEMA:
            raise UsageProblem(f"{path} has schema '{schema}', this version reads {SCHEMA}")
        document: Document = msgspec.convert(older.renamed(msgspec.json.decode(data)), type=Document)
        _check_sound(document)
        return older.completed(document) if isinstance(document, Run) else document
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageProblem(f"{path} is not a saved run: {error}") from None
