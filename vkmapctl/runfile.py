"""Saved documents: written by rename so that a reader never sees half of one, read with clear errors."""

import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from vkmapctl.errors import UsageProblem
from vkmapctl.model import SCHEMA, ProbeReport, Run, SelftestReport, VerifyReport, to_json

Document = Run | ProbeReport | VerifyReport | SelftestReport
LARGEST_BYTES = 1 << 30


class Sink:
    """A file to be written, checked before any measuring starts.

    Raises UsageProblem where it exists and `force` is not set, or where it cannot be written.
    """

    def __init__(self, path: Path, *, force: bool) -> None:
        self._path = path
        try:
            if path.is_dir():
                raise UsageProblem(f"{path} is a folder", "give the name of a file")
            if path.exists() and not path.is_file():
                raise UsageProblem(f"{path} is no ordinary file", "give the name of a file; --json prints to stdout")
            if path.exists() and not force:
                raise UsageProblem(f"{path} exists", "choose another name, or --force to overwrite it")
            self._write(b"")
        except OSError as error:
            raise UsageProblem(f"cannot write {path}: {error.strerror}") from None

    def save(self, document: Document) -> None:
        """Replaces the file by the whole document. Raises UsageProblem where the disk refuses."""
        self.write(to_json(document))

    def write(self, data: bytes) -> None:
        """Replaces the file. Raises UsageProblem where the disk refuses."""
        try:
            self._write(data, replace=True)
        except OSError as error:
            raise UsageProblem(f"cannot write {self._path}: {error.strerror}") from None

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


def load(path: Path) -> Document:
    """Reads a saved document. Raises UsageProblem for a file that is none, naming what is wrong and where."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise UsageProblem(f"{path} is too large to be a saved run")
        data = path.read_bytes()
    except OSError as error:
        raise UsageProblem(f"cannot read {path}: {error.strerror}") from None
    try:
        head = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        schema = msgspec.json.decode(head["schema"], type=str) if "schema" in head else ""
        if schema != SCHEMA:
            raise UsageProblem(f"{path} has schema '{schema}', this version reads {SCHEMA}")
        document: Document = msgspec.convert(_renamed(msgspec.json.decode(data)), type=Document)
        return document
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageProblem(f"{path} is not a saved run: {error}") from None


def _renamed(saved: Any) -> Any:
    """Keys that files of this schema had under another name: a proof's `by` was `api`."""
    probes = saved.get("devices") if isinstance(saved, dict) and saved.get("kind") == "probe" else None
    for probe in probes if isinstance(probes, list) else ():
        proofs = probe.get("proofs") if isinstance(probe, dict) else None
        for proof in proofs if isinstance(proofs, list) else ():
            if isinstance(proof, dict) and "api" in proof:
                proof.setdefault("by", proof["api"])
    return saved
