"""Saved documents: written by rename so that a reader never sees half of one, read with clear errors."""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from vkmapctl.errors import UsageProblem
from vkmapctl.model.documents import to_json
from vkmapctl.saved.decoding import Document, decode
from vkmapctl.saved.reading import read_bytes, unpacked

LARGEST_BYTES = 128 << 20  # some 23,000 rows
TRIED_BYTES = 64 << 10  # more than most documents: a full disk is found before the measuring

HEAD_BYTES = 512
GZIP = b"\x1f\x8b"
OURS = {  # how a report begins that this program made, by its form; a saved run is no report, and may be a baseline
    "junit": re.compile(rb"<\?xml [^>]*>\s*<testsuites name=\"vkmapctl "),
    "md": re.compile(rb"#{1,3} vkmapctl "),
    "openmetrics": re.compile(rb"# TYPE vkmapctl_"),
    "html": re.compile(rb'<!doctype html>\s*<html[^>]*>\s*<head>\s*<meta name="generator" content="vkmapctl'),
}


class Sink:
    """A file to be written, checked before any measuring starts.

    Raises UsageProblem where it exists and `force` is not set, or where it cannot be written. After that nothing is
    raised, so that what was measured can still be printed: `error` says why the latest document is not on the disk.

    A document is written to a file beside it, which is locked meanwhile, and takes its place whole. Without `force`
    only a file of this sink's own is ever replaced, or one that is there as it begins and was written by an earlier run
    in the same form, one of OURS; with it, a link stays and the file that it leads to is replaced. Its mode is kept.
    """

    def __init__(self, path: Path, *, force: bool, form: str = "json") -> None:
        self._path, self._force = path, force
        self._written: int | None = None  # the file of ours that is there, open so that no other gets its inode
        self.error: UsageProblem | None = None
        try:
            if path.is_dir():
                raise UsageProblem(f"{path} is a folder", "give the name of a file")
            if path.exists() and not path.is_file():
                raise UsageProblem(f"{path} is no ordinary file", "give the name of a file")
            if os.path.lexists(path) and not force:
                self._written = _open_ours(path, form)
                if self._written is None:
                    raise self._taken()
            self._target = path.resolve() if force else path
            self._part = self._target.with_name(f".{self._target.name}.part")
            self._write(lambda file: file.write(bytes(TRIED_BYTES)))
        except (OSError, ValueError, RuntimeError) as error:
            raise _cannot("write", path, error) from None

    def save(self, document: Document) -> None:
        """Replaces the file by the whole document; a disk that refuses is remembered in `error`."""
        self.write(to_json(document))

    def write(self, data: bytes) -> None:
        """Replaces the file; a disk that refuses is remembered in `error`."""
        self.write_by(lambda file: file.write(data))

    def write_by(self, fill: Callable[[BinaryIO], object]) -> None:
        """Replaces the file by what `fill` writes; a disk that refuses is remembered in `error`."""
        try:
            self._write(fill, replace=True)
            self.error = None
        except UsageProblem as error:
            self.error = error
        except OSError as error:
            self.error = _cannot("write", self._path, error)

    def _write(self, fill: Callable[[BinaryIO], object], *, replace: bool = False) -> None:
        """Raises UsageProblem for a file that is not ours to replace."""
        with self._open_part() as file:
            try:
                fill(file)
                file.flush()
                if replace:
                    os.fchmod(file.fileno(), self._mode())
                    self._put_in_place()
                    self._forget()
                    self._written = os.dup(file.fileno())
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
            ours = _identity(os.lstat(self._target)) == _identity(os.fstat(self._written))
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

    def _forget(self) -> None:
        if self._written is not None:
            os.close(self._written)
            self._written = None

    def __del__(self) -> None:
        self._forget()

    def _taken(self) -> UsageProblem:
        return UsageProblem(f"{self._path} exists", "choose another name, or --force to overwrite it")


def _open_ours(path: Path, form: str) -> int | None:
    """An ordinary file, open, that this program wrote in that form, to its end or not; None for any other."""
    if form not in OURS:
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(handle).st_mode) and OURS[form].match(os.read(handle, HEAD_BYTES)):
        return handle
    os.close(handle)
    return None


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


def _cannot(do: str, path: Path, error: Exception) -> UsageProblem:
    """error: of the system, or ValueError for a path that no call takes, such as one with a NUL."""
    return UsageProblem(f"cannot {do} {path}: {getattr(error, 'strerror', None) or error}")


def load(path: Path) -> Document:
    """Reads a document, gzipped or not. Raises UsageProblem for a file that is none, naming what is wrong and where."""
    try:
        data = read_bytes(path, LARGEST_BYTES)
    except (OSError, ValueError) as error:
        raise _cannot("read", path, error) from None
    try:
        return decode(_plain(data))
    except (ValueError, RecursionError) as error:
        raise UsageProblem(f"{path} is not a saved run: {error}") from None


def _plain(data: bytes) -> bytes:
    """A document as it is, or as a fleet keeps it: gzipped. Raises ValueError."""
    return unpacked(data, LARGEST_BYTES) if data.startswith(GZIP) else data


class _Head(msgspec.Struct):
    kind: str = ""


def kind_of(path: Path) -> str:
    """The kind that a file says it is, without what else is in it; empty for a file that says none."""
    try:
        return msgspec.json.decode(_plain(read_bytes(path, LARGEST_BYTES)), type=_Head).kind
    except (OSError, ValueError, RecursionError):
        return ""
