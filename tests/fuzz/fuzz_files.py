"""Coverage-guided fuzzing of what reads files, and of all that is made of them: anything but VkmapError is a finding.

`make fuzz`, or: python tests/fuzz/fuzz_files.py [libFuzzer's flags] CORPUS. The corpus is seeded with sound files.
"""

import contextlib
import json
import random
import sys
import tempfile
import zlib
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).parents[1] / "unit"), str(Path(__file__).parents[1])]
with atheris.instrument_imports(include=["vkmapctl"]):
    from damage import DOCUMENTS, PRESETS, TRACES, edit
    from everywhere import made_of, plan_of

    from vkmapctl.errors import VkmapError
    from vkmapctl.plans import trace_file, workload_file
    from vkmapctl.reports import export, html, probe, stress, verify  # noqa: F401  before they are asked for
    from vkmapctl.saved import files as runfile

FILE = Path(tempfile.mkdtemp(prefix="vkmapctl-fuzz-")) / "input"


def one(data: bytes) -> int:
    """A saved document is read, shown, exported and compared; a workload is read and planned; a trace is read, in a
    compact file and as the table of a workload.

    -1 for what is neither: it is not kept in the corpus, since most of what is made of it would be neither again.
    """
    FILE.write_bytes(data)
    taken = False
    with contextlib.suppress(VkmapError):
        document = runfile.load(FILE)
        taken = True
        made_of(document)
    with contextlib.suppress(VkmapError):
        wanted = workload_file.load(str(FILE), {})
        taken = True
        plan_of(wanted)
    with contextlib.suppress(VkmapError):
        trace_file.read(FILE.name, "here", FILE.parent)
        taken = True
    table = None
    with contextlib.suppress(ValueError, RecursionError):
        table = json.loads(data)
    with contextlib.suppress(VkmapError):
        trace_file.read(table, "here", None)
        taken = True
    return 0 if taken else -1


def mutated(data: bytes, largest: int, seed: int) -> bytes:
    """JSON with a value replaced, three times out of four, so that it still loads; else libFuzzer's own mutation, of a
    compact trace mostly of what is packed in it.
    """
    draw = random.Random(seed)
    with contextlib.suppress(ValueError, RecursionError, IndexError):
        if draw.randrange(4):
            document = json.loads(data)
            edit(document, draw)
            return json.dumps(document).encode()[:largest]
    with contextlib.suppress(zlib.error):
        if data.startswith(trace_file.MAGIC) and draw.randrange(8):
            inside = zlib.decompress(data[len(trace_file.MAGIC) :])
            return trace_file.MAGIC + zlib.compress(atheris.Mutate(inside, largest))
    return atheris.Mutate(data, largest)


def seed(corpus: Path) -> None:
    """Puts sound files into an empty corpus."""
    if not any(corpus.iterdir()):
        for number, data in enumerate([*DOCUMENTS, *PRESETS, *TRACES]):
            (corpus / f"seed-{number}").write_bytes(data)


if __name__ == "__main__":
    folders = [Path(word) for word in sys.argv[1:] if not word.startswith("-")]
    if folders:
        seed(folders[0])
    atheris.Setup(sys.argv, one, custom_mutator=mutated)
    atheris.Fuzz()
