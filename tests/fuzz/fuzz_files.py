"""Coverage-guided fuzzing of what reads files: anything but UsageProblem is a finding.

`make fuzz`, or: python tests/fuzz/fuzz_files.py [libFuzzer's flags] CORPUS. The corpus is seeded with sound files.
"""

import contextlib
import io
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
with atheris.instrument_imports(include=["vkmapctl"]):
    from vkmapctl import report
    from vkmapctl.commands.console import print_view
    from vkmapctl.errors import UsageProblem
    from vkmapctl.saved import files as runfile

    try:
        from vkmapctl.plans import workload_file
    except ImportError:
        workload_file = None

FILE = Path(tempfile.mkdtemp(prefix="vkmapctl-fuzz-")) / "input"


def one(data: bytes) -> None:
    """A saved run is read and shown, and a workload read."""
    FILE.write_bytes(data)
    with contextlib.suppress(UsageProblem):
        document = runfile.load(FILE)
        with contextlib.redirect_stdout(io.StringIO()):
            print_view(report.view(document))
    if workload_file:
        with contextlib.suppress(UsageProblem):
            workload_file.load(str(FILE), {})


def seed(corpus: Path) -> None:
    """Puts sound files into an empty corpus."""
    from damage import DOCUMENTS, PRESETS

    if not any(corpus.iterdir()):
        for number, data in enumerate([*DOCUMENTS, *PRESETS]):
            (corpus / f"seed-{number}").write_bytes(data)


if __name__ == "__main__":
    folders = [Path(word) for word in sys.argv[1:] if not word.startswith("-")]
    if folders:
        seed(folders[0])
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
