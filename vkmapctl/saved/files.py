"""Saved documents: written by rename so that a reader never sees half of one, read with clear errors."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from vkmapctl.errors import UsageProblem
from vkmapctl.model.device import MALLOC, Device
from vkmapctl.model.documents import SCHEMA, ProbeReport, Run, SelftestReport, VerifyReport, to_json
from vkmapctl.saved import older
from vkmapctl.saved.reading import read_bytes

Document = Run | ProbeReport | VerifyReport | SelftestReport
LARGEST_BYTES = 1 << 30
LARGEST_NUMBER = 1e30
TRIED_BYTES = 64 << 10  # more than most documents: a full disk is found before the measuring


class Sink:
    """A file to be written, checked before any measuring starts.

    Raises UsageProblem where it exists and `force` is not set, or where it cannot be written. After that nothing is
    raised, so that what was measured can still be printed: `error` says why the latest document is not on the disk.

    A document is written to a file beside it, which is locked meanwhile, and takes its place whole. Without `force`
    only a file of this sink's own is ever replaced; with it, a link stays and the file that it leads to is replaced,
    and its mode is kept.
    """

    def __init__(self, path: Path, *, force: bool) -> None:
        self._path, self._force = path, force
        self._written: tuple[int, int] | None = None  # which file of ours is there: device and inode
        self.error: UsageProblem | None = None
        try:
            if path.is_dir():
                raise UsageProblem(f"{path} is a folder", "give the name of a file")
            if path.exists() and not path.is_file():
                raise UsageProblem(f"{path} is no ordinary file", "give the name of a file")
            if os.path.lexists(path) and not force:
                raise self._taken()
            self._target = path.resolve() if force else path
            self._part = self._target.with_name(f".{path.name}.part")
            self._write(bytes(TRIED_BYTES))
        except (OSError, ValueError, RuntimeError) as error:
            raise _cannot("write", path, error) from None

    def save(self, document: Document) -> None:
        """Replaces the file by the whole document; a disk that refuses is remembered in `error`."""
        self.write(to_json(document))

    def write(self, data: bytes) -> None:
        """Replaces the file; a disk that refuses is remembered in `error`."""
        try:
            self._write(data, replace=True)
            self.error = None
        except UsageProblem as error:
            self.error = error
        except OSError as error:
            self.error = _cannot("write", self._path, error)

    def _write(self, data: bytes, *, replace: bool = False) -> None:
        """Raises UsageProblem for a file that is not ours to replace."""
        with self._open_part() as file:
            try:
                file.write(data)
                file.flush()
                if replace:
                    os.fchmod(file.fileno(), self._mode())
                    self._put_in_place()
                    self._written = _identity(os.fstat(file.fileno()))
            finally:
                with suppress(FileNotFoundError):  # it is in its place
                    os.unlink(self._part)

    def _open_part(self) -> BinaryIO:
        """The file beside it, ours alone; one that a killed run has left is written anew."""
        while True:
            handle = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            file = os.fdopen(handle, "wb")
            try:
                with _without_locks():
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _identity(os.fstat(handle)) == _identity(os.lstat(self._part)):
                    os.ftruncate(handle, 0)
                    return file
            except FileNotFoundError:  # another run has just put it in its place, or taken it away
                pass
            except BaseException as error:
                file.close()
                if isinstance(error, BlockingIOError):
                    raise UsageProblem(f"{self._path} is being written by another run", "choose another name") from None
                raise
            file.close()

    def _mode(self) -> int:
        """The mode of the file that is replaced, or a new one's."""
        try:
            return stat.S_IMODE(os.stat(self._target).st_mode)
        except FileNotFoundError:
            umask = os.umask(0)
            os.umask(umask)
            return 0o666 & ~umask

    def _put_in_place(self) -> None:
        if self._force:
            os.replace(self._part, self._target)
            return
        if self._written is None:
            try:
                self._appear()
            except FileExistsError:
                raise self._taken() from None
            return
        try:
            ours = _identity(os.lstat(self._target)) == self._written
        except FileNotFoundError:
            ours = True  # whoever took it away has it
        if not ours:
            raise UsageProblem(f"{self._path} was replaced by another program", "choose another name")
        os.replace(self._part, self._target)

    def _appear(self) -> None:
        """Raises FileExistsError where there is one by now, which a rename would replace."""
        try:
            os.link(self._part, self._target)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            os.close(os.open(self._target, os.O_CREAT | os.O_EXCL))  # a file system without links
            os.replace(self._part, self._target)

    def _taken(self) -> UsageProblem:
        return UsageProblem(f"{self._path} exists", "choose another name, or --force to overwrite it")


def _identity(one: os.stat_result) -> tuple[int, int]:
    return one.st_dev, one.st_ino


@contextmanager
def _without_locks() -> Iterator[None]:
    """Where a file system has no locks, two runs with --force are left to the order in which they end."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise


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


def _cannot(do: str, path: Path, error: Exception) -> UsageProblem:
    """error: of the system, or ValueError for a path that no call takes, such as one with a NUL."""
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
