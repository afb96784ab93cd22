"""A host's answer as lines of text, for where hosts do not share the store: its files as tar, in base64.

It comes from a stranger: names are those that a host writes, sizes are bounded, and nothing else is unpacked.
"""

import base64
import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

from vkmapctl.fleet import store
from vkmapctl.model.documents import to_json
from vkmapctl.model.fleet import Envelope
from vkmapctl.saved.cleaning import cleaned

OUT = "-"  # instead of a store's path: the answer goes to standard output
LARGEST = 256 << 20  # bytes of one host's answer as it is sent
_LINE = 57 * 16  # bytes, which are 1,216 characters


def packed(folder: Path) -> Iterator[bytes]:
    """The lines of a host's folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(folder.iterdir()):
            if store.ANSWER.fullmatch(path.name) or store.DOCUMENT.fullmatch(path.name):
                tar.add(path, path.name, recursive=False)
    data = buffer.getvalue()
    for start in range(0, len(data), _LINE):
        yield base64.b64encode(data[start : start + _LINE]) + b"\n"


def unpack(lines: Iterable[bytes], folder: Path) -> None:
    """Puts what was sent into a host's folder. Raises ValueError for what is no such answer, and OSError."""
    files = _files(b"".join(base64.b64decode(line.strip(), validate=True) for line in lines))
    names = {name: store.put(folder, name, data) for name, data in files.items() if store.DOCUMENT.fullmatch(name)}
    for name in sorted(set(files) - set(names)):  # the envelope last, as on a host
        envelope = msgspec.json.decode(cleaned(files[name]), type=Envelope)
        seen = tuple(replace(gpu, document=names.get(gpu.document, "")) for gpu in envelope.seen)
        store.put(folder, store.ANSWER.sub(r"\1.json", name), to_json(replace(envelope, seen=seen)))


def _files(data: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for entry in tar:
                name = entry.name
                answer = store.ANSWER.fullmatch(name)
                if not entry.isreg() or not (answer or store.DOCUMENT.fullmatch(name)):
                    raise ValueError("it holds what no host writes")
                most = store.LARGEST_SMALL if answer else store.LARGEST_DOCUMENT
                file = tar.extractfile(entry)
                if entry.size > most or file is None:
                    raise ValueError(f"{name} is larger than {most} bytes")
                found[name] = file.read()
    except tarfile.TarError as error:
        raise ValueError(f"it is damaged: {error}") from None
    return found
